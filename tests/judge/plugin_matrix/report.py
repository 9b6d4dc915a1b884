"""Writes the tables of docs/plugin-matrix.md from what was lived and what was said of it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cni_upgrade.cni import versions
from tests.judge.plugin_matrix.cells import LIBCNI
from tests.judge.plugin_matrix.compare import Compared
from tests.judge.plugin_matrix.live import Lived, Pod
from tests.judge.plugin_matrix.releases import NOT_HAD, NOT_LIVED

_KINDS = ("right", "wrong works", "wrong fails", "not known")
_PREDICTIONS = {
    "create": "a new pod is created",
    "delete": "a new pod is deleted",
    "address stays": "its address is free afterwards",
    "create after": "created, after the engine's rewrite",
    "delete after": "deleted, after the engine's rewrite",
}


@dataclass(frozen=True)
class Cost:
    """What the run took, in seconds."""

    wall: float
    cpu: float


def whole(lived: Sequence[Lived], found: Sequence[Compared], cost: Cost | None) -> Iterator[str]:
    """The whole page, but for its title."""
    yield from _size(lived, cost)
    yield from _predictions(found)
    yield from _differences(found, "wrong works", 'Where "works" was wrong')
    yield from _differences(found, "wrong fails", 'Where "fails" was wrong')
    yield from _not_known(found)
    yield from _outcomes(lived)
    yield from _commands(lived)
    yield from _absent()


def _size(lived: Sequence[Lived], cost: Cost | None) -> Iterator[str]:
    pods = sum(len(each.containerd) + len(each.crio or ()) for each in lived)
    chains = len({each.cell.chain for each in lived})
    releases = len({each.cell.release for each in lived})
    took = f", in {cost.wall / 60:.0f} min with {cost.cpu / 60:.0f} min of CPU" if cost else ""
    yield (
        f"{len(lived)} configs (cells) of {chains} chains with {releases} releases of plugins, "
        f"under libcni {', '.join(LIBCNI)}; {pods} pods lived{took}."
    )


def _predictions(found: Iterable[Compared]) -> Iterator[str]:
    counts = Counter((each.what, each.runtime, each.kind) for each in found)
    yield "\n## What was said, and what happened\n"
    yield f"| the engine's prediction | runtime | {' | '.join(_KINDS)} |"
    yield "|---" * (len(_KINDS) + 2) + "|"
    for what, title in _PREDICTIONS.items():
        for runtime in ("containerd", "cri-o"):
            numbers = " | ".join(str(counts[what, runtime, kind]) for kind in _KINDS)
            yield f"| {title} | {runtime} | {numbers} |"
    totals = Counter(each.kind for each in found)
    yield f"| all | | {' | '.join(str(totals[kind]) for kind in _KINDS)} |"


def _differences(found: Iterable[Compared], kind: str, title: str) -> Iterator[str]:
    wrong = [each for each in found if each.kind == kind]
    yield f"\n## {title}\n"
    if not wrong:
        yield "Nowhere."
        return
    yield "| chain | addresses | prediction | runtime | releases | versions | libcni | seen |"
    yield "|---" * 8 + "|"
    groups: dict[tuple[str, ...], list[Compared]] = {}
    for each in wrong:
        key = (each.cell.chain.title, each.cell.addresses, each.what, _seen(each))
        groups.setdefault(key, []).append(each)
    for (chain, addresses, what, seen), members in sorted(groups.items()):
        cells = [each.cell for each in members]
        yield " | ".join(
            (
                f"| {chain} | {addresses} | {what}",
                _listed(each.runtime for each in members),
                _listed(cell.release.name for cell in cells),
                _listed(cell.version or "missing" for cell in cells),
                _listed(cell.libcni for cell in cells),
                f"{_plain(seen)} |",
            )
        )


def _seen(each: Compared) -> str:
    """What failed and with which pods; where nothing did, why the engine said that it would."""
    if not each.errors:
        return _short(f"all work; the engine: {each.why}")
    by_error: dict[str, list[str]] = {}
    for pod, error in each.errors.items():
        by_error.setdefault(_short(error), []).append(pod)
    if len(by_error) == 1 and len(each.errors) == len(each.cell.chain.pods):
        return next(iter(by_error))
    return "; ".join(f"{', '.join(pods)}: {error}" for error, pods in by_error.items())


def _not_known(found: Iterable[Compared]) -> Iterator[str]:
    yield "\n## What is not known, by reason\n"
    counts: dict[tuple[str, str], list[Compared]] = {}
    for each in found:
        if each.kind == "not known":
            counts.setdefault((each.why or "no reason named", each.what), []).append(each)
    if not counts:
        yield "Nothing."
        return
    yield "| reason | prediction | how many | of these it worked | chains |"
    yield "|---" * 5 + "|"
    for (why, what), members in sorted(counts.items(), key=lambda pair: -len(pair[1])):
        worked = sum(not each.errors for each in members)
        chains = _listed(each.cell.chain.title for each in members)
        yield f"| {_plain(why)} | {what} | {len(members)} | {worked} | {chains} |"


def _outcomes(lived: Iterable[Lived]) -> Iterator[str]:
    """By chain and release, under the newest libcni: which command fails, and at which versions."""
    yield f"\n## What happened, under libcni {LIBCNI[-1]}\n"
    yield (
        "`ADD`, `CHECK` (as CRI-O asks it of each new pod) and `DEL` that failed, with the versions "
        "at which they did and the kinds of pods; an empty field: all went well; `.`: not lived."
    )
    newest = [each for each in lived if each.cell.libcni == LIBCNI[-1]]
    names = list(dict.fromkeys(each.cell.release.name for each in newest))
    rows: dict[tuple[str, str], dict[str, list[Lived]]] = {}
    for each in newest:
        row = rows.setdefault((each.cell.chain.title, each.cell.addresses), {})
        row.setdefault(each.cell.release.name, []).append(each)
    yield f"\n| chain | addresses | {' | '.join(names)} |"
    yield "|---" * (len(names) + 2) + "|"
    for (chain, addresses), row in rows.items():
        fields = [_failures(row[name]) if name in row else "." for name in names]
        yield f"| {chain} | {addresses} | {' | '.join(fields)} |"


def _failures(lived: Iterable[Lived]) -> str:
    failed: dict[tuple[str, str], list[str]] = {}
    for each in lived:
        for command, kinds in _failing(each.crio).items():
            named = "" if len(kinds) == len(each.crio) else f" ({', '.join(kinds)})"
            failed.setdefault((command, named), []).append(each.cell.version or "missing")
    return "; ".join(
        f"{command} {_listed(at)}{named}" for (command, named), at in sorted(failed.items())
    )


def _failing(pods: Iterable[Pod]) -> Mapping[str, list[str]]:
    """The commands that failed, and of which kinds of pods."""
    failed: dict[str, list[str]] = {}
    for pod in pods:
        for command, error in (("ADD", pod.add), ("CHECK", pod.status), ("DEL", pod.delete)):
            if error:
                failed.setdefault(command, []).append(pod.kind)
    return failed


def _commands(lived: Iterable[Lived]) -> Iterator[str]:
    yield "\n## STATUS and GC, at 1.1.0\n"
    counts: Counter[tuple[str, str]] = Counter()
    for each in lived:
        added = not any(pod.add for pod in each.containerd)
        for command, error in each.commands.items() if added else ():
            counts[command.removeprefix("PLUGIN-"), _short(error) or "answered well"] += 1
    yield "| command | answer | how often |"
    yield "|---|---|---|"
    for (command, answer), count in sorted(counts.items()):
        yield f"| {command} | {_plain(answer)} | {count} |"


def _absent() -> Iterator[str]:
    yield "\n## What is not in it\n"
    yield "| plugin | why |"
    yield "|---|---|"
    for plugin, why in {**NOT_HAD, **NOT_LIVED}.items():
        yield f"| {plugin} | {why} |"


def _listed(values: Iterable[str]) -> str:
    """Each once, in the order of releases; versions of the specification as a range."""
    once = list(dict.fromkeys(values))
    order = ["missing", *versions.KNOWN]
    if all(each in order for each in once):
        once.sort(key=order.index)
    else:
        once.sort(key=_numbers)
    return ", ".join(once)


def _numbers(text: str) -> tuple[list[int], str]:
    parts = text.split(".")
    return ([int(part) for part in parts] if all(map(str.isdigit, parts)) else [], text)


def _short(error: str) -> str:
    """What stays the same from one run to the next: no address, no name that was made up."""
    for pattern, name in _CHANGING:
        error = pattern.sub(name, error)
    return " ".join(error.split())[:150]


_CHANGING = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"(/run/netns/)?judge-[\w-]+", "POD"),
        (r"(?<![\w.])10\.\d+\.\d+\.\d+", "IPv4"),
        (r"fd00:[0-9a-f:]+", "IPv6"),
        (r"\b(br|net|hd|hp)\d+\b", r"\1N"),
        (r"\bveth\w+", "VETH"),
        (r"(the result holds no address): .*", r"\1"),
        (r"\b(CNI-[A-Z]+-)?[0-9a-f]{20,}", r"\1CHAIN"),
        (r"0x[0-9a-f]+", "ADDRESS"),
        (r"/tmp/matrix-\w+", ""),
        (r'plugin type="\S+" failed \(\w+\): ', ""),
        (r"(?i)(cni version )\d\.\d\.\d ", r"\1"),
        (r"\\n.*", ""),
    )
)


def _plain(text: str) -> str:
    return text.replace("|", "\\|")
