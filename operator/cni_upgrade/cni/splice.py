"""Edits a JSON text by the spans of its parts, so that nothing else of the text changes."""

from collections.abc import Iterator, Sequence

from cni_upgrade.cni.document import Member, Node
from cni_upgrade.cni.value import dataclass


@dataclass(frozen=True, slots=True)
class Splice:
    """A piece of the text and what stands there afterwards."""

    start: int
    end: int
    text: str


def without(node: Node, gone: Sequence[Member]) -> Iterator[Splice]:
    """Take members out of an object, each with one comma and the space that was its own."""
    members = node.members
    places = [place for place, member in enumerate(members) if any(m is member for m in gone)]
    while places:
        first = last = places.pop(0)
        while places and places[0] == last + 1:
            last = places.pop(0)
        if last + 1 < len(members):
            yield Splice(members[first].start, members[last + 1].start, "")
        elif first > 0:
            yield Splice(members[first - 1].value.end, members[last].value.end, "")
        else:
            yield Splice(members[first].start, members[last].value.end, "")


def spliced(text: str, splices: Sequence[Splice]) -> str:
    """The text with every splice carried out; they must not overlap."""
    for splice in sorted(splices, key=lambda each: (each.start, each.end), reverse=True):
        text = text[: splice.start] + splice.text + text[splice.end :]
    return text
