"""Creates and deletes pods as containerd and as CRI-O do it, and keeps what libcni said."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.judge.plugin_matrix import config
from tests.judge.plugin_matrix.cells import Cell, Group
from tests.judge.plugin_matrix.chains import PODS
from tests.judge.world import World


@dataclass(frozen=True)
class Pod:
    """What each command said of one kind of pod; an empty text where it went well."""

    kind: str
    add: str
    status: str
    """CRI-O's status of the new pod: CHECK, from 0.4.0 on, with the config cached at ADD."""
    delete: str
    leaks: bool
    check: str | None = None
    """CHECK with the file; None where it was not asked apart from the status."""

    @property
    def checked(self) -> bool:
        """Whether CRI-O came to ask the status."""
        return not self.add


@dataclass
class Lived:
    """A config, the file of it, and what became of each kind of pod."""

    cell: Cell
    data: bytes
    containerd: list[Pod] = field(default_factory=list)
    crio: list[Pod] = field(default_factory=list)
    """The same pods where the runtimes do the same."""
    commands: dict[str, str] = field(default_factory=dict)
    """PLUGIN-STATUS and GC, at 1.1.0."""


def live(group: Group) -> Iterator[Lived]:
    """Every cell of a group. After a deletion that failed, the rest lives on a new node."""
    left = list(enumerate(group.cells))
    while left:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="matrix-")))
            world = stack.enter_context(World(group.libcni, folder / "node", quiet=True))
            for name, path in group.release.binaries().items():
                (world.bin / name).symlink_to(path)
            clean = True
            while left and clean:
                number, cell = left.pop(0)
                lived = _live(world, cell, number)
                clean = not any(pod.delete or pod.leaks for pod in (*lived.containerd, *lived.crio))
                yield lived


def _live(world: World, cell: Cell, number: int) -> Lived:
    place = config.Place(number, str(world.folder / "ipam"), str(world.bin))
    data = config.text(cell.chain, cell.version, cell.addresses, place)
    world.file.write_bytes(data)
    Path(f"{place.data_dir}.env").write_text(config.subnet_file(place))
    lived = Lived(cell, data)
    for kind in cell.chain.pods:
        lived.containerd.append(_pod(world, cell, number, kind, "DEL"))
        if cell.chain.full:
            lived.crio.append(_pod(world, cell, number, kind, "DEL-CACHED"))
    if not lived.crio:
        lived.crio = lived.containerd
    added = not any(pod.add for pod in lived.containerd)
    if added and cell.version == "1.1.0":
        pod = world.pod(f"{number}-none")
        for command in ("PLUGIN-STATUS", "GC"):
            lived.commands[command] = world.run(command, pod, {})
    return lived


def _pod(world: World, cell: Cell, number: int, kind: str, delete: str) -> Pod:
    """One pod from its ADD to its DEL, which is asked whether or not the rest went well."""
    for command in cell.chain.prepare:
        subprocess.run(
            ["ip", "-n", world.name, *command.replace("{n}", str(number)).split()],
            check=False,
            stderr=subprocess.DEVNULL,
        )
    pod = world.pod(f"{number}-{list(PODS).index(kind)}-{delete[3:]}")
    given = PODS[kind]
    add = world.run("ADD", pod, given)
    status, check = "", None
    if not add:
        if delete == "DEL" and cell.chain.full:
            check = world.run("CHECK", pod, given)
        else:
            status = world.run("STATUS", pod, given)
    deleted = world.run(delete, pod, given)
    return Pod(kind, add, status, deleted, bool(world.addresses(pod)), check)
