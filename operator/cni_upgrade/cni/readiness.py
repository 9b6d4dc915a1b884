"""Tells what would break on a node if its runtime were newer, before anybody makes it so.

The same judgement as of today, asked for each release of the runtime that is meant: its libcni
decides about the files, the plugins and the pods that run now. Where that release would look for
them in other folders than today's, nothing of this holds.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from cni_upgrade.cni import runtime_config, runtimes
from cni_upgrade.cni.facts import Facts, Target
from cni_upgrade.cni.numbers import wholes
from cni_upgrade.cni.runtimes import ANY, Release, named
from cni_upgrade.cni.unanswered import in_use, unanswered
from cni_upgrade.cni.value import dataclass
from cni_upgrade.cni.verdict import judge

Elsewhere = Callable[[str], str | None]
"""Of a runtime as Kubernetes names it: what it would read in place of what the node's runtime reads
today, or why that is not known; None where it would read the same."""


class UnknownRuntimeError(ValueError):
    """What was asked for does not name releases of a known runtime."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What fails, or is not known, under some releases of the runtime that was asked for."""

    releases: str
    """The first and last of them, e.g. "containerd 1.6.0 to 1.6.2"."""
    why: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether ADD and DEL would work under every release meant; None when it is not known."""

    wanted: str
    ready: bool | None
    obstacles: tuple[Obstacle, ...] = ()
    elsewhere: tuple[Obstacle, ...] = ()
    """The releases that read other folders, or of which it is not known which they read."""
    unanswered: tuple[Obstacle, ...] = ()
    """The releases that begin to ask of plugins what those may not answer."""


def _the_same(_runtime: str) -> None:
    """Each release reads what is read today."""


def readiness(
    facts: Facts, wanted: str, after: str | None = None, elsewhere: Elsewhere = _the_same
) -> Readiness:
    """Judge the node as it is under the releases meant by e.g. `containerd>=1.6`.

    What gives its pods a network without CNI today (kubenet) is of dockershim alone: under each of
    these runtimes the config folder counts. With `after`, a runtime as Kubernetes names it, only
    of releases that are newer than that one and carry another libcni, or read other folders. No
    release is judged that would look `elsewhere`.

    Raises UnknownRuntimeError for what is not of that form, or meets no known release.
    """
    obstacles: list[Obstacle] = []
    others: list[Obstacle] = []
    asking: list[Obstacle] = []
    unknown = False
    facts = replace(facts, without_cni=None, check_doubted=False)
    today = in_use(facts)
    for name, first, last, other in _runs(wanted, after, elsewhere):
        several = _several(name, first, last)
        if other is not None:
            others.append(Obstacle(several, other))
            continue
        judged = judge(replace(facts, runtime=f"{name}://{first}", libcni=None), Target())
        found = judged.baseline
        unknown = unknown or found.add is None or found.del_ is None
        why = found.add_why or found.del_why
        if why:
            obstacles.append(Obstacle(several, why))
            continue
        used = [each.name for each in judged.files if each.active]
        for begins, doubt in unanswered(facts, today, used, (name, first, last)):
            asking.append(Obstacle(_several(name, begins, last), doubt))
    ready = False if obstacles else None if unknown or others or asking else True
    return Readiness(wanted, ready, tuple(obstacles), tuple(others), tuple(asking))


def _several(name: str, first: str, last: str) -> str:
    return f"{name} {first} to {last}" if last != first else f"{name} {first}"


def together(obstacles: Iterable[Obstacle]) -> list[str]:
    """One line for each cause, with all the releases that it is true of."""
    by_why: dict[str, list[str]] = {}
    for each in obstacles:
        by_why.setdefault(each.why, []).append(each.releases)
    return [f"{', '.join(several)}: {why}" for why, several in by_why.items()]


def _runs(
    wanted: str, after: str | None, elsewhere: Elsewhere
) -> Iterator[tuple[str, str, str, str | None]]:
    """The runs of releases, those cut in two whose later ones read another thing (`elsewhere`).

    A libcni outlives the way in which containerd reads its files: 2.1 and 2.2 have the same.
    Raises UnknownRuntimeError.
    """
    for name, first, last in releases(wanted):
        passed = not _later(name, _numbers(first), after)
        other = None if passed else elsewhere(f"{name}://{first}")
        for line in runtime_config.SINCE if name == "containerd" else ():
            begins = (*line, 0)
            within = _numbers(first)[:2] < line <= _numbers(last)[:2]
            if not within or not _later(name, begins, after):
                continue
            then = elsewhere(f"{name}://{_text(begins)}")
            if then != other:
                if not passed:
                    yield name, first, f"{line[0]}.{line[1] - 1}", other
                passed, first, other = False, _text(begins), then
        if not passed:
            yield name, first, last, other


def _later(name: str, first: tuple[int, int, int], after: str | None) -> bool:
    return after is None or runtimes.later(name, first, after)


def _text(numbers: Release) -> str:
    return ".".join(map(str, numbers))


def _numbers(release: str) -> Release:
    """Of a release, or of a line."""
    major, minor, *patch = map(int, release.split("."))
    return major, minor, patch[0] if patch else 0


def releases(wanted: str) -> list[tuple[str, str, str]]:
    """The runs of releases meant: the runtime's name, the first release and the last.

    Raises UnknownRuntimeError for what is not of the form containerd>=1.6 or containerd=2.*, or
    meets none.
    """
    name, least, most = _parsed(wanted)
    rows = [
        row
        for row in runtimes.TABLE
        if row.name == name and row.last >= least and row.first <= most
    ]
    if not rows:
        newest = [row.until for row in runtimes.TABLE if row.name == name][-1]
        raise UnknownRuntimeError(
            f"{wanted!r}: no release of {name} that is known here, the newest is {newest}"
        )
    return [
        (name, _text(max(row.first, least)), row.until if row.last <= most else named(most))
        for row in rows
    ]


def _parsed(wanted: str) -> tuple[str, Release, Release]:
    """The runtime, and the first and the last release that is meant."""
    text = wanted.replace(" ", "")
    name, pattern, version = text.partition(">=" if ">=" in text else "=")
    parts = version.split(".")
    line = parts[:-1] if pattern == "=" and parts[-1] == "*" else parts
    numbers = wholes(line)
    if name.lower() not in runtimes.NAMES or numbers is None or len(numbers) > 3:
        raise UnknownRuntimeError(
            f"{wanted[:80]!r} is not of the form containerd>=1.6, containerd=2.* or cri-o>=1.24"
        )
    least, most = [*numbers, 0, 0], [*numbers, ANY, ANY]
    if pattern == ">=":
        most = [ANY, ANY, ANY]
    return runtimes.NAMES[name.lower()], (least[0], least[1], least[2]), (most[0], most[1], most[2])
