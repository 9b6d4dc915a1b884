"""Values of metrics' labels that users choose: names of policies, reasons and versions in records.

Prometheus keeps a series for each value, and the controller a counter. Without a bound, a user who
may write policies or records only could fill the memory of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

Labels = TypeVar("Labels", bound=tuple[str, ...])

OTHER = "other"
"""What stands for all values beyond the bound."""


class LabelValues:
    """The first so many values that came; each later one is told as `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def named(self, value: str) -> str:
        """The value to be told."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value

    def keep(self, there: Iterable[str]) -> None:
        """Forget those that are not there any more, so that others are told by name."""
        self._known.intersection_update(there)


def most(counts: Counter[Labels], bound: int) -> Iterator[tuple[tuple[str, ...], int]]:
    """The combinations with the highest counts; the rest is told as one, of `other` alone."""
    ordered = counts.most_common()
    kept, rest = ordered[:bound], ordered[bound:]
    yield from kept
    if rest:
        # Set after the kept ones, so a kept combination of `other` alone is part of the sum.
        others = (OTHER,) * len(rest[0][0])
        same = sum(count for labels, count in kept if labels == others)
        yield others, same + sum(count for _, count in rest)
