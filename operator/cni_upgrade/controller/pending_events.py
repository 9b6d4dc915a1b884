"""Events of status writes of which it is not known whether they were done.

An Event follows its write. Where that write's answer is lost, the record says afterwards what there
was to tell, so no plan tells it again; and where it was not done, the next plan writes and tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cni_upgrade.planner.world.decisions import Emit, SetStatus
from cni_upgrade.planner.world.merge_patch import holds

_MOST = 8
"""Tries of one write that are kept, while the API server takes writes and answers none of them."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an object."""

    version: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Write:
    done: SetStatus
    version: str
    """What it was planned from: while that stands, it was not done."""
    events: tuple[Emit, ...]


class PendingEvents:
    """What is to be told once it is seen that its write was done."""

    def __init__(self, say: Callable[[Emit], None]) -> None:
        self._say = say
        self._writes: dict[tuple[str, str], list[_Write]] = {}
        """By the kind and name of what was written."""

    def note(self, done: SetStatus, version: str, events: Sequence[Emit]) -> None:
        """Its answer was lost, or it was refused because another version stands."""
        if events:
            tries = self._writes.setdefault((done.kind, done.name), [])
            tries.append(_Write(done, version, tuple(events)))
            del tries[:-_MOST]

    def forget(self, done: SetStatus) -> None:
        """It was done, and what follows it is told: none of the tries before it can be any more."""
        self._writes.pop((done.kind, done.name), None)

    def settle(self, standing: Callable[[str, str], Standing | None]) -> None:
        """Tell of what was done, by what stands there now under a kind and a name."""
        for (kind, name), tries in list(self._writes.items()):
            now = standing(kind, name)
            if now is not None and any(each.version == now.version for each in tries):
                continue
            del self._writes[(kind, name)]
            for each in tries:
                if now is not None and holds(each.done.status, now.status):
                    for event in each.events:
                        self._say(event)
                    break
