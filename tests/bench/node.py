"""Prints what an agent costs a node, out of the very image that nodes get: `make bench-node`.

The image is unpacked and its Python run in a chroot, with real plugins. Times are of whole
processes; `start` is the imports of an audit less an empty program in the same Python, run in
turn (both leave without tidying up, which is no part of a start). On a busy machine wall times
tell how busy it is: CPU is the figure then, and the fastest run of each. It ends with 1 where a
figure misses its goal, and names it on standard error.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cni_upgrade.agent.protocol.operation import Kind, Operation, Paths, Target
from tests.bench import image
from tests.bench.measure import Command
from tests.cluster import build as cluster

PLUGINS = ("bridge", "host-local", "portmap", "firewall", "bandwidth", "loopback")
RELEASE = "1.9.1"
MANY = (250, 500, 1000)
PYTHON = ("python3", "-I", "-B", "-u")
EMPTY = "import os; os._exit(0)"
IMPORTS = f"import cni_upgrade.agent.agent, cni_upgrade.agent.audit; {EMPTY}"


@dataclass(frozen=True)
class Figure:
    """One row: what was measured (the median, and the range), and what it is to be at most."""

    name: str
    unit: str
    values: tuple[float, ...]
    goal: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def missed(self) -> bool:
        """Whether it has a goal and is beyond it."""
        return self.goal is not None and self.median > self.goal

    def row(self) -> str:
        """For people."""
        goal = "" if self.goal is None else f"<= {self.goal:g} {self.unit}".rstrip()
        holds = "" if self.goal is None else "MISSED" if self.missed else "holds"
        shown = (self.median, min(self.values), max(self.values))
        numbers = " ".join(f"{value:8.3f}" for value in shown)
        return f"{self.name:52} {self.unit:5} {numbers}  {goal:11} {holds}".rstrip()

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": round(self.median, 4),
            "min": round(min(self.values), 4),
            "max": round(max(self.values), 4),
            "runs": len(self.values),
            "goal": self.goal,
        }


def conflist(number: int) -> str:
    """A file without a version whose chain has every plugin but the loopback."""
    chain: list[dict[str, object]] = [{"type": "bridge", "ipam": {"type": "host-local"}}]
    chain += [{"type": each} for each in PLUGINS[2:-1]]
    return json.dumps({"name": f"net{number}", "plugins": chain}, indent=2)


class Node:
    """The image's files with a host in them: config folders of several sizes, real plugins."""

    def __init__(self, rootfs: Path) -> None:
        self.rootfs = rootfs
        host = rootfs / "host"
        (host / "opt/cni/bin").mkdir(parents=True)
        (host / "var/lib/cni/results").mkdir(parents=True)
        cluster.ensure([f"plugins-{RELEASE}"])
        for plugin in PLUGINS:
            shutil.copy(cluster.home(f"plugins-{RELEASE}") / plugin, host / "opt/cni/bin")
        (rootfs / "dev").mkdir(exist_ok=True)
        (rootfs / "dev/null").touch()
        for count in (3, *MANY):
            folder = host / f"etc/cni/{count}"
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number:04}.conflist").write_text(conflist(number))

    def audit(self, files: int) -> Command:
        """The agent with an audit of the folder of so many files."""
        operation = Operation(
            id=f"{Kind.AUDIT}-{0:020x}",
            kind=Kind.AUDIT,
            node="bench",
            runtime="containerd://1.6.2",
            target=Target("1.0.0"),
            root="/host",
            paths=Paths(conf_dirs=(f"/etc/cni/{files}",)),
        )
        order = f"CNI_UPGRADE_OPERATION={json.dumps(operation.to_json())}"
        log = "CNI_UPGRADE_TERMINATION_LOG=/tmp/message"
        return self.inside(*PYTHON, "-m", "cni_upgrade.agent.agent", environment=(order, log))

    def inside(self, *command: str, environment: tuple[str, ...] = ()) -> Command:
        """A command in the image, with nothing of this environment."""
        variables = ("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", *environment)
        start = (shutil.which("env") or "env", "-i", *variables, shutil.which("chroot") or "chroot")
        return (*start, str(self.rootfs), *command)

    def verify(self) -> None:
        """That the audit finds what the figures are said to be of. Raises RuntimeError."""
        subprocess.run(self.audit(3), check=True, stdout=subprocess.DEVNULL)
        result = json.loads((self.rootfs / "tmp/message").read_text())
        report = result["report"]
        known = [each for each in report["plugins"] if each["source"] == "VERSION"]
        if (len(report["files"]), len(known)) != (3, len(PLUGINS)):
            raise RuntimeError(f"the audit did not see 3 files and 6 plugins: {result}")


def measure(runs: int, *commands: Command) -> list[list[dict[str, float]]]:
    """The runs of each command, taken in turn by a process of its own."""
    program = Path(__file__).with_name("measure.py")
    done = subprocess.run(
        (sys.executable, "-I", "-S", str(program)),
        input=json.dumps({"commands": commands, "runs": runs}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[list[dict[str, float]]] = json.loads(done.stdout)
    return found


def process_figures(node: Node, runs: int) -> list[Figure]:
    """An audit of 3 files and 6 plugins: what it takes, and what of that is the start."""
    audits, starts, empty = measure(
        runs,
        node.audit(3),
        node.inside(*PYTHON, "-c", IMPORTS),
        node.inside(*PYTHON, "-c", EMPTY),
    )
    pairs = list(zip(starts, empty, strict=True))
    return [
        Figure("audit: CPU, plugins included", "s", _values(audits, "cpu"), 0.3),
        Figure("audit: wall", "s", _values(audits, "wall")),
        Figure("audit: memory of the largest process", "MB", _values(audits, "memory"), 40),
        Figure("Python itself: wall", "ms", _values(empty, "wall", 1000)),
        Figure(
            "start beyond Python itself: wall",
            "ms",
            tuple(1000 * (one["wall"] - other["wall"]) for one, other in pairs),
            60,
        ),
        Figure(
            "start beyond Python itself: CPU",
            "ms",
            tuple(1000 * (one["cpu"] - other["cpu"]) for one, other in pairs),
            60,
        ),
        Figure(
            "start beyond Python itself: wall, fastest of each",
            "ms",
            (1000 * (min(_values(starts, "wall")) - min(_values(empty, "wall"))),),
            60,
        ),
        Figure(
            "start : Python itself (wall)",
            "x",
            tuple(one["wall"] / other["wall"] for one, other in pairs),
        ),
    ]


def _values(runs: list[dict[str, float]], name: str, factor: float = 1) -> tuple[float, ...]:
    return tuple(factor * each[name] for each in runs)


def folder_figures(node: Node, runs: int) -> list[Figure]:
    """Folders of many files: the time may grow as their number does."""
    measured = measure(runs, *(node.audit(count) for count in MANY))
    figures = [
        Figure(f"audit of {count} files: {name}", "s", _values(times, name), goal)
        for count, times in zip(MANY, measured, strict=True)
        for name, goal in (("wall", 1.0 if count == MANY[-1] else None), ("cpu", None))
    ]
    for few, many in ((0, 1), (1, 2)):
        ratios = [b["cpu"] / a["cpu"] for a, b in zip(measured[few], measured[many], strict=True)]
        name = f"{MANY[many]} files : {MANY[few]} files (CPU)"
        figures.append(Figure(name, "x", tuple(ratios), 2.2))
    return figures


def image_figures(layers: list[image.Layer], rootfs: Path) -> list[Figure]:
    """What a node downloads, and whether Python finds its modules compiled."""
    figures = [
        Figure(f"layer {number} ({layer.holds}): packed", "MB", (layer.packed / 1e6,))
        for number, layer in enumerate(layers, 1)
    ]
    packed = sum(layer.packed for layer in layers)
    plain = sum(layer.plain for layer in layers)
    return [
        *figures,
        Figure("image: packed", "MB", (packed / 1e6,), 60),
        Figure("image: plain", "MB", (plain / 1e6,)),
        Figure("modules without a .pyc", "", (len(image.uncompiled(rootfs)),), 0),
    ]


def verdict(figures: list[Figure]) -> int:
    """The exit code; tells those that miss their goal."""
    missed = [each for each in figures if each.missed]
    for each in missed:
        print(f"missed: {each.name}: {each.median:.3f} {each.unit}", file=sys.stderr)
    return 1 if missed else 0


def main() -> int:
    """The table, then one line of JSON; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="tests.bench.node", description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root: the image's Python runs in a chroot")
    with tempfile.TemporaryDirectory() as folder:
        rootfs = Path(folder)
        layers = image.unpack(image.built(), rootfs)
        figures = image_figures(layers, rootfs)
        node = Node(rootfs)
        node.verify()
        figures += process_figures(node, options.runs)
        figures += folder_figures(node, max(3, options.runs // 3))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} CPUs, load {load}, {options.runs} runs after one that is not counted")
    print(f"{'':52} {'unit':5} {'median':>8} {'min':>8} {'max':>8}  goal")
    for figure in figures:
        print(figure.row())
    print(json.dumps({"cpus": os.cpu_count(), "figures": [each.to_json() for each in figures]}))
    return verdict(figures)


if __name__ == "__main__":
    sys.exit(main())
