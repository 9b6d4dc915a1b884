"""Carries decisions out, turn by turn: what ends one, and what the next pass is to know of it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Container, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

from cni_upgrade.api import names
from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.object_cache import ObjectCache
from cni_upgrade.controller.pending_events import PendingEvents, Standing
from cni_upgrade.controller.write_conflicts import WriteConflicts
from cni_upgrade.controller.writes import Writes
from cni_upgrade.kube.interface import Kube, KubeError
from cni_upgrade.planner.world import decisions as d
from cni_upgrade.planner.world.batch import GARBAGE, Batch
from cni_upgrade.planner.world.snapshot import Snapshot

log = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE = 10
"""Turns in flight: enough to keep the API server busy, few enough not to flood it."""


def _together(decisions: Sequence[d.Decision]) -> Iterator[Sequence[d.Decision]]:
    """One after the other; but evictions side by side, for a slow webhook delays each of them."""
    for evictions, run in groupby(decisions, lambda each: isinstance(each, d.Evict)):
        if evictions:
            yield tuple(run)
        else:
            yield from ((each,) for each in run)


async def _all(asked: Iterable[Awaitable[T]]) -> list[T]:
    """What each came to, once all have ended; then the first error that one ended with.

    A mistake of our own in one turn must leave no other behind: it would write by this plan beside
    the next one.
    """
    ends = await asyncio.gather(*asked, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return [end for end in ends if not isinstance(end, BaseException)]


class Executor:
    """The only writer. A decision that fails ends its turn; the next pass looks again."""

    def __init__(self, kube: Kube, store: ClusterStore, recorder: EventRecorder) -> None:
        self._requests = Writes(kube, store, recorder, self._meant)
        self._store = store
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._stopped = ""
        self._broken = False
        self._dropped = False
        self._owed = PendingEvents(recorder.say)
        self._contests = WriteConflicts()
        self.silent = False
        """The API server did not answer: the rest of the turns was put off."""
        self.carried_out: Counter[str] = Counter()
        """Decisions carried out so far, by their kind."""
        self.refused: Counter[str] = Counter()
        """Decisions that the API server refused, by its reason."""

    async def carry_out(self, turns: Iterable[Batch], world: Snapshot) -> bool:
        """Take all turns; True where each went to its end, or something was learned from it.

        Policies come last, and not at all where a node's turn has just met a refusal: they would
        tell of a node what its record does not. The next plan knows of it.
        """
        self.silent = False
        self._stopped = world.stopped
        self._requests.world = world
        self._broken = self._dropped = False
        self._owed.settle(self._standing)
        nodes: list[Batch] = []
        policies: list[Batch] = []
        turns = tuple(turns)
        self._forget({turn.subject for turn in turns})
        for turn in turns:
            (policies if turn.sums_up else nodes).append(turn)
        done = all(await _all(self._turn(turn, world) for turn in nodes))
        if self._broken:
            return done
        return all(await _all(self._turn(turn, world) for turn in policies)) and done

    def drop(self) -> None:
        """Begin nothing more of what is carried out now: it was planned before another one led."""
        self._dropped = True

    def _forget(self, subjects: Container[str]) -> None:
        """What was said of leftovers that nobody asks to delete any more: each has a new name."""
        errors = self._store.errors
        for gone in [s for s in errors if s.startswith(GARBAGE) and s not in subjects]:
            del errors[gone]
            self._contests.forget(gone)

    async def _turn(self, turn: Batch, world: Snapshot) -> bool:
        async with self._places:
            for group in _together(turn.decisions):
                ends = await _all(self._step(turn, each) for each in group)
                if not all(end is None for end in ends):
                    # One that was refused before is counted as its record says already.
                    self._broken = self._broken or turn.subject not in world.errors
                    return all(end is not False for end in ends)
            self._store.errors.pop(turn.subject, None)
            self._contests.forget(turn.subject)
            return True

    async def _step(self, turn: Batch, decision: d.Decision) -> bool | None:
        """None where the turn goes on; else how it ended, as `carry_out` tells it."""
        if not self._meant() or self._contests.rests(turn.subject, decision):
            return False
        try:
            refusal = await self._requests.send(decision)
        except KubeError as error:
            self.refused[error.reason] += 1
            if isinstance(decision, d.SetStatus) and (error.unreachable or error.conflict):
                # Of a conflict too: a try before this one may have been answered with an error.
                events = [each for each in turn.decisions if isinstance(each, d.Emit)]
                self._owed.note(decision, self._requests.planned_from(decision), events)
            # An eviction may have waited for somebody's webhook, and then tells of nothing else.
            self.silent = self.silent or (error.status == 0 and not isinstance(decision, d.Evict))
            said = (turn.subject, type(decision).__name__, error)
            if error.conflict and not self._contests.lost(turn.subject, decision):
                # Somebody was first; what they wrote was read.
                log.info("%s: %s: %s", *said)
                return True
            self._store.errors[turn.subject] = error.message
            log.warning("%s: %s: %s", *said)
            return False
        if refusal is not None:
            self.refused[refusal.reason] += 1
            return None
        if isinstance(decision, d.SetStatus):
            self._owed.forget(decision)
        self.carried_out[type(decision).__name__] += 1
        if not isinstance(decision, d.SetStatus | d.KeepStatus | d.Emit):
            log.info("%s: %s", turn.subject, type(decision).__name__)
        return None

    def _meant(self) -> bool:
        """Whether what was planned is still to be done, or to be asked for once more.

        Not in silence: each request would wait as long for nothing as the one before it. Not what
        was planned before everything was stopped: the next plan ends what was begun.
        """
        return not (self.silent or self._dropped or self._store.stopped != self._stopped)

    def _standing(self, kind: str, name: str) -> Standing | None:
        """What is known by now of a record or a policy."""
        states = kind == names.NODE_STATE_KIND
        shelf: ObjectCache[Any] = self._store.states if states else self._store.policies
        if (item := shelf.items.get(name)) is not None:
            return Standing(item.metadata.resource_version, item.status.to_api())
        if (error := shelf.unreadable.get(name)) is not None:
            obj: Any = error.obj
            return Standing(obj["metadata"]["resourceVersion"], obj.get("status") or {})
        return None
