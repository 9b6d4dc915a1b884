"""Findings for people: those of one code stand together, and what to do is told once."""

from collections.abc import Iterable, Iterator, Sequence

from cni_upgrade.cli.wrapping import BENEATH, wrapped
from cni_upgrade.cni.findings import Finding, Severity


def grouped_findings(findings: Sequence[Finding]) -> Iterator[str]:
    """The groups, in the order of their first finding; a blank line after each."""
    groups: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    told: set[str] = set()
    for (severity, code), group in groups.items():
        count = f" ({len(group)})" if len(group) > 1 else ""
        yield f"{severity} {code}{count}"
        for message in dict.fromkeys(_message(each) for each in group):
            yield from wrapped(message, BENEATH)
        # CannotCure repeats the action of the finding that it cannot cure.
        actions = [each.action for each in group if each.action not in told]
        for action in merged(dict.fromkeys(actions)):
            yield from wrapped(f"to do: {action}", BENEATH)
        told.update(actions)
        yield ""


def _message(finding: Finding) -> str:
    if finding.component in finding.message:
        return finding.message
    return f"{finding.component}: {finding.message}"


def merged(sentences: Iterable[str]) -> list[str]:
    """Sentences that differ in one word become one that lists the words.

    "install bridge, or ..." and "install portmap, or ..." are "install bridge and portmap, or ...".
    """
    kept: list[tuple[list[str], int | None, list[str]]] = []
    for sentence in sentences:
        words = sentence.split()
        for place, (first, where, listed) in enumerate(kept):
            apart = _difference(first, words)
            if apart is not None and where in (None, apart):
                kept[place] = (first, apart, [*(listed or [first[apart]]), words[apart]])
                break
        else:
            kept.append((words, None, []))
    return [_sentence(*each) for each in kept]


def _difference(first: Sequence[str], other: Sequence[str]) -> int | None:
    """The place of the one word in which they differ."""
    if len(first) != len(other):
        return None
    places = [i for i, (a, b) in enumerate(zip(first, other, strict=True)) if a != b]
    return places[0] if len(places) == 1 else None


def _sentence(words: list[str], place: int | None, listed: list[str]) -> str:
    if place is None:
        return " ".join(words)
    end = "," if all(each.endswith(",") for each in listed) else ""
    bare = [each.removesuffix(end) for each in listed]
    all_of_them = f"{', '.join(bare[:-1])} and {bare[-1]}{end}"
    return " ".join([*words[:place], all_of_them, *words[place + 1 :]])
