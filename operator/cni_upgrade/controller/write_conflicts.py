"""Writes that somebody is always first at: too many conflicts are a refusal, then left alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cni_upgrade.planner.world import decisions as d

_CONTESTED = 3
"""Conflicts in a row over one write, after which it is taken for refused: what is read after each
is newer, so a fourth one is hardly chance, and a webhook may deny with any status."""
_LEAST_REST, _MOST_REST = 4.0, 60.0
"""Seconds for which such a write is left alone: twice as long each time."""


def _write(decision: d.Decision) -> tuple[str, str]:
    """The kind of a decision, and the name of what it is about."""
    members = (getattr(decision, each, None) for each in ("name", "node", "policy"))
    return type(decision).__name__, str(next(filter(None, members), ""))


@dataclass(slots=True)
class _Contest:
    """A write that somebody was always first at."""

    write: tuple[str, str]
    conflicts: int = 0
    rests_until: float = 0.0
    """On the monotonic clock."""

    def lost(self, now: float) -> bool:
        """One conflict more; True where that are too many for chance."""
        self.conflicts += 1
        if (more := self.conflicts - _CONTESTED) < 0:
            return False
        self.rests_until = now + min(_LEAST_REST * 2.0 ** min(more, 10), _MOST_REST)
        return True


class WriteConflicts:
    """The conflicts of each turn over the write that it is at; another write is counted anew."""

    def __init__(self) -> None:
        self._contests: dict[str, _Contest] = {}
        """By the subject of a turn."""

    def rests(self, subject: str, decision: d.Decision) -> bool:
        """Whether this write is left alone for now."""
        contest = self._over(subject, decision)
        return contest is not None and time.monotonic() < contest.rests_until

    def lost(self, subject: str, decision: d.Decision) -> bool:
        """Note a conflict; True where there were too many for somebody to have been first."""
        contest = self._over(subject, decision)
        if contest is None:
            contest = self._contests[subject] = _Contest(_write(decision))
        return contest.lost(time.monotonic())

    def forget(self, subject: str) -> None:
        """A turn went to its end, or is not asked for any more."""
        self._contests.pop(subject, None)

    def _over(self, subject: str, decision: d.Decision) -> _Contest | None:
        contest = self._contests.get(subject)
        return contest if contest is not None and contest.write == _write(decision) else None
