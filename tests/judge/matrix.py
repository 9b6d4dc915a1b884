"""Measures "is a rewrite safe while pods run": DEL at one version of a pod added at another.

    python -m tests.judge.matrix        prints the whole table as Markdown (some minutes)

`compat.del_survives` is that table as code; the tests hold its cells against this measurement.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from cni_upgrade.cni import compat, versions
from tests.judge.build import RELEASES
from tests.judge.world import World

LEVELS: tuple[str | None, ...] = (None, *versions.KNOWN)
PLUGINS = ("bridge", "host-local", "portmap")


def measure(world: World, added: str | None, now: str | None) -> str:
    """One cell: "ok", "fail" or "fail+leak"; "no ADD" where there is no such pod."""
    pod = world.pod(f"{added}-{now}")
    world.write(added, "portmap")
    if world.run("ADD", pod):
        return "no ADD"
    world.write(now, "portmap")
    if not world.run("DEL", pod):
        return "leak" if world.addresses(pod) else "ok"
    cell = "fail+leak" if world.addresses(pod) else "fail"
    world.write(added, "portmap")
    world.run("DEL", pod)
    return cell


def row(release: str, folder: Path) -> Iterator[tuple[str | None, str | None, str]]:
    """Every cell of one release of libcni."""
    with World(release, folder / "node") as world:
        world.install("1.9.1", *PLUGINS)
        for added in LEVELS:
            for now in LEVELS:
                yield added, now, measure(world, added, now)


def main() -> None:
    """Print the table; a cell that the code does not predict is marked."""
    cells: dict[str, dict[tuple[str | None, str | None], str]] = {}
    for release in RELEASES:
        with tempfile.TemporaryDirectory() as folder:
            cells[release] = {(a, n): cell for a, n, cell in row(release, Path(folder))}
    print("| at ADD -> now |", " | ".join(RELEASES), "|")
    print("|---" * (len(RELEASES) + 1) + "|")
    for added in LEVELS:
        for now in LEVELS:
            line = []
            for release in RELEASES:
                cell = cells[release][added, now]
                predicted = compat.del_survives(release, added, now)
                wrong = cell != "no ADD" and predicted != (cell == "ok")
                line.append(f"**{cell}**" if wrong else cell)
            print(f"| {added or 'missing'} -> {now or 'missing'} |", " | ".join(line), "|")


if __name__ == "__main__":
    main()
