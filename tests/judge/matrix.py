"""Measures "is a rewrite safe while pods run": DEL and CHECK of a pod added at another version.

    python -m tests.judge.matrix        prints both tables as Markdown (some minutes)

`compat.del_survives` is the first table as code; the tests hold its cells against this measurement.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from cni_upgrade.cni import compat, versions
from tests.judge.build import RELEASES
from tests.judge.world import World

LEVELS: tuple[str | None, ...] = (None, *versions.KNOWN)
PLUGINS = ("bridge", "host-local", "portmap")


_CHECKS = {True: "ok", False: "fail", None: "none"}


def measure(world: World, added: str | None, now: str | None) -> tuple[str, str]:
    """One cell of each table: "ok", "fail" or "fail+leak", and "ok", "fail" or "none" for a version
    that has no CHECK; "no ADD" where there is no such pod."""
    pod = world.pod(f"{added}-{now}")
    world.write(added, "portmap")
    if world.run("ADD", pod):
        return "no ADD", "no ADD"
    world.write(now, "portmap")
    checked = _CHECKS[world.check(pod)]
    if not world.run("DEL", pod):
        return "leak" if world.addresses(pod) else "ok", checked
    cell = "fail+leak" if world.addresses(pod) else "fail"
    world.write(added, "portmap")
    world.run("DEL", pod)
    return cell, checked


Cell = tuple[str | None, str | None, str, str]
"""The version at ADD, the one now, and the two cells."""


def row(release: str, folder: Path) -> Iterator[Cell]:
    """Every cell of one release of libcni."""
    with World(release, folder / "node") as world:
        world.install("1.9.1", *PLUGINS)
        for added in LEVELS:
            for now in LEVELS:
                yield added, now, *measure(world, added, now)


def main() -> None:
    """Print the tables; a cell of the first that the code does not predict is marked."""
    cells: dict[str, dict[tuple[str | None, str | None], tuple[str, str]]] = {}
    for release in RELEASES:
        with tempfile.TemporaryDirectory() as folder:
            made = row(release, Path(folder))
            cells[release] = {(a, n): (deleted, checked) for a, n, deleted, checked in made}
    for number, title in enumerate(("DEL", "CHECK")):
        print(f"\n| {title}, at ADD -> now |", " | ".join(RELEASES), "|")
        print("|---" * (len(RELEASES) + 1) + "|")
        for added in LEVELS:
            for now in LEVELS:
                line = []
                for release in RELEASES:
                    cell = cells[release][added, now][number]
                    predicted = compat.del_survives(release, added, now)
                    wrong = not number and cell != "no ADD" and predicted != (cell == "ok")
                    line.append(f"**{cell}**" if wrong else cell)
                print(f"| {added or 'missing'} -> {now or 'missing'} |", " | ".join(line), "|")


if __name__ == "__main__":
    main()
