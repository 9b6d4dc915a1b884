"""Tells what would break on a node if its runtime were newer, before anybody makes it so.

The same judgement as of today, asked for each release of the runtime that is meant: its libcni
decides about the files, the plugins and the pods that run now.
"""

from dataclasses import replace

from cni_upgrade.cni import runtimes
from cni_upgrade.cni.facts import Facts, Target
from cni_upgrade.cni.numbers import wholes
from cni_upgrade.cni.value import dataclass
from cni_upgrade.cni.verdict import judge

_NAMES = {"containerd": "containerd", "cri-o": "cri-o", "crio": "cri-o"}


class UnknownRuntimeError(ValueError):
    """What was asked for does not name releases of a known runtime."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What fails under some releases of the runtime that was asked for."""

    releases: str
    """The first and last of them, e.g. "containerd 1.6.0 to 1.6.2"."""
    why: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether ADD and DEL would work under every release meant; None when it is not known."""

    wanted: str
    ready: bool | None
    obstacles: tuple[Obstacle, ...] = ()


def readiness(facts: Facts, wanted: str, after: str | None = None) -> Readiness:
    """Judge the node as it is under the releases meant by e.g. `containerd>=1.6`.

    What gives its pods a network without CNI today (kubenet) is of dockershim alone: under each of
    these runtimes the config folder counts. With `after`, a runtime as Kubernetes names it, only
    of releases that are newer than that one and carry another libcni.

    Raises UnknownRuntimeError for what is not of that form, or meets no known release.
    """
    obstacles: list[Obstacle] = []
    unknown = False
    facts = replace(facts, without_cni=None)
    for name, first, last in releases(wanted, after):
        found = judge(replace(facts, runtime=f"{name}://{first}", libcni=None), Target()).baseline
        unknown = unknown or found.add is None or found.del_ is None
        why = found.add_why or found.del_why
        if why:
            several = f" to {last}" if last != first else ""
            obstacles.append(Obstacle(f"{name} {first}{several}", why))
    return Readiness(wanted, False if obstacles else None if unknown else True, tuple(obstacles))


def releases(wanted: str, after: str | None = None) -> list[tuple[str, str, str]]:
    """The runs of releases meant: the runtime's name, the first release and the last.

    With `after` those that begin after that release of the same runtime.

    Raises UnknownRuntimeError for what is not of the form containerd>=1.6, or meets none.
    """
    name, minimum = _parsed(wanted)
    rows = [row for row in runtimes.TABLE if row.name == name and row.last >= minimum]
    if not rows:
        newest = [row.until for row in runtimes.TABLE if row.name == name][-1]
        raise UnknownRuntimeError(
            f"{wanted!r}: no release of {name} that is known here, the newest is {newest}"
        )
    rows = [row for row in rows if after is None or runtimes.later(row.name, row.first, after)]
    firsts = [".".join(str(number) for number in max(row.first, minimum)) for row in rows]
    return [(name, first, row.until) for first, row in zip(firsts, rows, strict=True)]


def _parsed(wanted: str) -> tuple[str, tuple[int, int, int]]:
    name, _, version = wanted.replace(" ", "").partition(">=")
    parts = wholes(version.split("."))
    if name.lower() not in _NAMES or parts is None:
        raise UnknownRuntimeError(
            f"{wanted[:80]!r} is not of the form containerd>=1.6 or cri-o>=1.24"
        )
    numbers = [*parts[:3], 0, 0]
    return _NAMES[name.lower()], (numbers[0], numbers[1], numbers[2])
