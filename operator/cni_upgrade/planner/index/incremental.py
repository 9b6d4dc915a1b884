"""What is worked out of each node by its name, and again only of those that have changed since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import compress
from operator import is_not
from typing import Generic, TypeVar

T = TypeVar("T")


def catch_up(known: dict[str, T], now: Mapping[str, T]) -> set[str]:
    """Make `known` what there is now; the names of what is another object since, or gone.

    Objects of a snapshot never change, so the same object is the same value.
    """
    names, count = list(now), len(known)
    if names[:count] == list(known):
        # Nothing has gone, and what is new stands behind the rest: nearly always, and then to
        # compare thousands is hardly anything.
        moved = [*compress(names, map(is_not, known.values(), now.values())), *names[count:]]
        for name in moved:
            known[name] = now[name]
        return set(moved)
    other = {name for name, each in now.items() if known.get(name) is not each}
    other |= known.keys() - now.keys()
    known.clear()
    known |= now
    return other


class Incremental(Generic[T]):
    """One entry a node, in the order of their names; nodes of which there is nothing to say have
    none."""

    def __init__(self) -> None:
        self.entries: dict[str, T] = {}
        """As they were last read."""
        self._late: set[str] = set()
        self._mixed = False
        """Names have come since the entries were last sorted."""

    def touch(self, name: str) -> None:
        """What was worked out of a node may be something else by now."""
        self._late.add(name)

    def read(self, work_out: Callable[[str], T | None]) -> Mapping[str, T]:
        """Every entry, those of touched nodes worked out anew.

        What that raises it raises again the next time: the node stays touched.
        """
        for name in sorted(self._late):
            before, entry = self.entries.get(name), work_out(name)
            if entry is not None:
                self.entries[name] = entry
                self._mixed = self._mixed or before is None
            elif before is not None:
                del self.entries[name]
            self._replaced(before, entry)
            self._late.discard(name)
        if self._mixed:
            self.entries, self._mixed = dict(sorted(self.entries.items())), False
        return self.entries

    def _replaced(self, before: T | None, entry: T | None) -> None:
        """An entry has taken the place of another one, or of none, or has gone."""
