"""Carries decisions out: one request each, its answer put back into the store, nothing decided."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from itertools import groupby
from typing import Any, TypeVar

from cni_upgrade.api import names
from cni_upgrade.controller.clock import utc_now
from cni_upgrade.controller.owed import Owed, Standing
from cni_upgrade.controller.recorder import Recorder
from cni_upgrade.controller.shelf import Shelf
from cni_upgrade.controller.store import Store
from cni_upgrade.fleet import decisions as d
from cni_upgrade.fleet import disruption
from cni_upgrade.fleet.snapshot import Snapshot
from cni_upgrade.fleet.turn import LEFTOVER, Turn
from cni_upgrade.kube.port import Kube, KubeError
from cni_upgrade.kube.resources import (
    BUDGETS,
    JOBS,
    LEASES,
    NODE_STATES,
    NODES,
    PODS,
    POLICIES,
    Resource,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE = 10
"""Turns in flight: enough to keep the API server busy, few enough not to flood it."""

_CONTESTED = 3
"""Conflicts in a row over one write, after which it is taken for refused: what is read after each
is newer, so a fourth one is hardly chance, and a webhook may deny with any status."""
_LEAST_REST, _MOST_REST = 4.0, 60.0
"""Seconds for which such a write is left alone: twice as long each time."""

_PERSON = 30.0
"""Seconds before a pod is asked for again that only a person can set free: two requests each."""


def _against(error: KubeError) -> str:
    """What keeps a pod from being evicted, budgets named.

    Source: k8s.io/kubernetes v1.34.4 pkg/registry/core/pod/storage/eviction.go; a 429 without that
    cause comes from API priority and fairness (k8s.io/apiserver v0.34.4 pkg/server/filters).
    """
    budgets = [c.get("message", "") for c in error.causes if c.get("reason") == "DisruptionBudget"]
    if budgets:
        return "; ".join(budgets)
    if error.status == 429 and "webhook" not in error.message:
        return f"the API server is busy: {error.message}"
    return error.message


def _together(decisions: Sequence[d.Decision]) -> Iterator[Sequence[d.Decision]]:
    """One after the other; but evictions side by side, for a slow webhook delays each of them."""
    for evictions, run in groupby(decisions, lambda each: isinstance(each, d.Evict)):
        if evictions:
            yield tuple(run)
        else:
            yield from ((each,) for each in run)


def _write(decision: d.Decision) -> tuple[str, str]:
    """The kind of a decision, and the name of what it is about."""
    members = (getattr(decision, each, None) for each in ("name", "node", "policy"))
    return type(decision).__name__, str(next(filter(None, members), ""))


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


class Executor:
    """The only writer. A decision that fails ends its turn; the next pass looks again.

    Every write of a record or a Node carries the version that the planner saw, so that a second
    controller, or a person, is never overwritten: the first wins, the other looks again.
    """

    def __init__(self, kube: Kube, store: Store, recorder: Recorder) -> None:
        self._kube = kube
        self._recorder = recorder
        self._store = store
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._world: Snapshot = Snapshot(utc_now(), store.config)
        """What the turns that are being taken were planned from."""
        self._stopped = ""
        self._broken = False
        self._dropped = False
        self._owed = Owed(recorder.say)
        self._contests: dict[str, _Contest] = {}
        """By the subject of a turn."""
        self.progress = time.monotonic()
        """When a decision was last answered, on the monotonic clock."""
        self.silent = False
        """The API server did not answer: the rest of the turns was put off."""
        self.carried_out: Counter[str] = Counter()
        """Decisions carried out so far, by their kind."""
        self.refused: Counter[str] = Counter()
        """Decisions that the API server refused, by its reason."""

    async def carry_out(self, turns: Iterable[Turn], world: Snapshot) -> bool:
        """Take all turns; True where each went to its end, or something was learned from it.

        Policies come last, and not at all where a node's turn has just met a refusal: they would
        tell of a node what its record does not. The next plan knows of it.
        """
        self.silent = False
        self._stopped = world.stopped
        self._world = world
        self._broken = self._dropped = False
        self._owed.settle(self._standing)
        nodes: list[Turn] = []
        policies: list[Turn] = []
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
        for gone in [s for s in errors if s.startswith(LEFTOVER) and s not in subjects]:
            del errors[gone]
            self._contests.pop(gone, None)

    async def _turn(self, turn: Turn, world: Snapshot) -> bool:
        async with self._places:
            for group in _together(turn.decisions):
                ends = await _all(self._step(turn, each) for each in group)
                if not all(end is None for end in ends):
                    # One that was refused before is counted as its record says already.
                    self._broken = self._broken or turn.subject not in world.errors
                    return all(end is not False for end in ends)
            self._store.errors.pop(turn.subject, None)
            self._contests.pop(turn.subject, None)
            return True

    async def _step(self, turn: Turn, decision: d.Decision) -> bool | None:
        """None where the turn goes on; else how it ended, as `carry_out` tells it."""
        # Each request would wait as long for nothing as the one before it; and what was
        # planned before everything was stopped is not begun after it.
        if self.silent or self._dropped or self._store.stopped != self._stopped:
            return False
        if self._rests(turn, decision):
            return False
        try:
            await self._do(decision)
        except KubeError as error:
            self.refused[error.reason] += 1
            if isinstance(decision, d.SetStatus) and (error.unreachable or error.conflict):
                # Of a conflict too: a try before this one may have been answered with an error.
                events = [each for each in turn.decisions if isinstance(each, d.Emit)]
                self._owed.note(decision, self._planned_from(decision), events)
            # An eviction may have waited for somebody's webhook, and then tells of nothing else.
            self.silent = self.silent or (error.status == 0 and not isinstance(decision, d.Evict))
            said = (turn.subject, type(decision).__name__, error)
            if error.conflict and not self._lost(turn, decision):
                # Somebody was first; what they wrote was read.
                log.info("%s: %s: %s", *said)
                return True
            self._store.errors[turn.subject] = error.message
            log.warning("%s: %s: %s", *said)
            return False
        finally:
            self.progress = time.monotonic()
        if isinstance(decision, d.SetStatus):
            self._owed.forget(decision)
        self.carried_out[type(decision).__name__] += 1
        if not isinstance(decision, d.SetStatus | d.KeepStatus | d.Emit):
            log.info("%s: %s", turn.subject, type(decision).__name__)
        return None

    def _contest(self, turn: Turn, decision: d.Decision) -> _Contest | None:
        contest = self._contests.get(turn.subject)
        return contest if contest is not None and contest.write == _write(decision) else None

    def _rests(self, turn: Turn, decision: d.Decision) -> bool:
        """Whether this write is left alone for now."""
        contest = self._contest(turn, decision)
        return contest is not None and time.monotonic() < contest.rests_until

    def _lost(self, turn: Turn, decision: d.Decision) -> bool:
        """Whether there were too many conflicts over this write for somebody to have been first."""
        contest = self._contest(turn, decision)
        if contest is None:
            contest = self._contests[turn.subject] = _Contest(_write(decision))
        return contest.lost(time.monotonic())

    async def _look(
        self, shelf: Shelf[Any], resource: Resource, namespace: str | None, name: str
    ) -> None:
        """Read one object anew: a refusal says that what we know of it is old."""
        one = self._kube.list(resource, namespace, fieldSelector=f"metadata.name={name}")
        await shelf.replace_one(name, one)

    def _standing(self, kind: str, name: str) -> Standing | None:
        """What is known by now of a record or a policy."""
        states = kind == names.NODE_STATE_KIND
        shelf: Shelf[Any] = self._store.states if states else self._store.policies
        if (item := shelf.items.get(name)) is not None:
            return Standing(item.metadata.resource_version, item.status.to_api())
        if (error := shelf.unreadable.get(name)) is not None:
            obj: Any = error.obj
            return Standing(obj["metadata"]["resourceVersion"], obj.get("status") or {})
        return None

    def _planned_from(self, decision: d.SetStatus) -> str:
        """The version of the object that the planner saw."""
        name, world = decision.name, self._world
        if decision.kind == names.NODE_STATE_KIND:
            return world.states[name].metadata.resource_version
        if name in world.unread:
            return world.unread[name].resource_version
        return world.policies[name].metadata.resource_version

    async def _guarded(
        self, shelf: Shelf[Any], resource: Resource, name: str, body: Any, sub: str = ""
    ) -> None:
        """A patch that carries a version: what is there now is known afterwards in any case."""
        try:
            shelf.put(await self._kube.patch(resource, None, name, body, sub))
        except KubeError as error:
            if not (error.conflict or error.gone):
                raise
            await self._look(shelf, resource, None, name)
            raise KubeError(409, error.reason, error.message) from error

    async def _create(
        self, shelf: Shelf[Any], resource: Resource, namespace: str | None, name: str, body: Any
    ) -> None:
        """The name says what it is: where it is taken, the same object is there already."""
        try:
            shelf.put(await self._kube.create(resource, namespace, dict(body)))
        except KubeError as error:
            if not error.conflict:
                raise
            await self._look(shelf, resource, namespace, name)
            if not shelf.knows(name):
                # Nobody has that name, so it was refused by who denies with this status.
                raise

    async def _gone(
        self, shelf: Shelf[Any], resource: Resource, namespace: str | None, name: str, uid: str
    ) -> None:
        it = {"metadata": {"namespace": namespace, "name": name, "uid": uid}}
        try:
            left = await self._kube.delete(resource, namespace, name, uid, "Background")
        except KubeError as error:
            # 404: gone; 409: the name belongs to another object, which is not ours to delete; or
            # it was refused by who denies with this status.
            if not (error.gone or error.conflict):
                raise
            if error.conflict:
                found = await self._kube.list(
                    resource, namespace, fieldSelector=f"metadata.name={name}"
                )
                if any(raw["metadata"]["uid"] == uid for raw in found.items):
                    raise
            shelf.drop(it)
        else:
            if left.get("kind") == "Status":
                shelf.drop(it)
            else:
                shelf.put(left)

    @singledispatchmethod
    async def _do(self, decision: Any) -> None:
        raise TypeError(f"nobody carries out a {type(decision).__name__}")

    @_do.register
    async def _(self, decision: d.CreateState) -> None:
        await self._create(
            self._store.states, NODE_STATES, None, decision.name, dict(decision.body)
        )

    @_do.register
    async def _(self, decision: d.DeleteState) -> None:
        await self._gone(self._store.states, NODE_STATES, None, decision.name, decision.uid)

    @_do.register
    async def _(self, decision: d.Claim) -> None:
        body = {
            "metadata": {
                "resourceVersion": decision.resource_version,
                "labels": {names.LABEL_POLICY: decision.label},
            },
            "spec": {"policyRef": decision.policy_ref},
        }
        await self._guarded(self._store.states, NODE_STATES, decision.name, body)

    @_do.register
    async def _(self, decision: d.SetStatus) -> None:
        shelf: Shelf[Any] = self._store.states
        resource = NODE_STATES
        if decision.kind == names.POLICY_KIND:
            shelf, resource = self._store.policies, POLICIES
        body = {
            "metadata": {"resourceVersion": self._planned_from(decision)},
            "status": dict(decision.status),
        }
        await self._guarded(shelf, resource, decision.name, body, "status")
        if decision.kind == names.POLICY_KIND:
            self._store.told[decision.name] = self._store.now()

    @_do.register
    async def _(self, decision: d.SetFinalizers) -> None:
        meta = {
            "resourceVersion": decision.resource_version,
            "finalizers": list(decision.finalizers),
        }
        shelf = self._store.policies
        await self._guarded(shelf, POLICIES, decision.policy, {"metadata": meta})
        known = shelf.items.get(decision.policy)
        if known and known.metadata.deletion_timestamp and not known.metadata.finalizers:
            # It went with that write.
            shelf.drop({"metadata": {"name": decision.policy, "uid": known.metadata.uid}})

    @_do.register
    async def _(self, decision: d.KeepStatus) -> None:
        self._store.keep(decision.name, decision.status)

    @_do.register
    async def _(self, decision: d.CreateJob) -> None:
        space = self._store.config.namespaces.agents
        await self._create(self._store.jobs, JOBS, space, decision.name, decision.body)

    @_do.register
    async def _(self, decision: d.DeleteJob) -> None:
        space = self._store.config.namespaces.agents
        await self._gone(self._store.jobs, JOBS, space, decision.name, decision.uid)

    @_do.register
    async def _(self, decision: d.Cordon) -> None:
        await self._node(decision, decision.owner, {"unschedulable": True})

    @_do.register
    async def _(self, decision: d.Uncordon) -> None:
        await self._node(decision, None, {"unschedulable": None})

    @_do.register
    async def _(self, decision: d.Unmark) -> None:
        await self._node(decision, None, {})

    async def _node(
        self,
        decision: d.Cordon | d.Uncordon | d.Unmark,
        owner: str | None,
        spec: dict[str, bool | None],
    ) -> None:
        meta = {
            "resourceVersion": decision.resource_version,
            "annotations": {names.CORDONED_BY: owner},
        }
        body = {"metadata": meta, "spec": spec}
        await self._guarded(self._store.nodes, NODES, decision.node, body)

    @_do.register
    async def _(self, decision: d.TakeLease) -> None:
        shelf, space = self._store.leases, self._store.config.lease_namespace
        body, version = dict(decision.body), decision.resource_version
        try:
            if version:
                body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
                raw = await self._kube.patch(LEASES, space, decision.name, body)
            else:
                raw = await self._kube.create(LEASES, space, body)
        except KubeError as error:
            if not (error.conflict or (version and error.gone)):
                raise
            # Somebody else was first: who has it is known before anything else is done.
            await self._look(shelf, LEASES, space, decision.name)
            raise KubeError(409, error.reason, error.message) from error
        shelf.put(raw)

    @_do.register
    async def _(self, decision: d.DropLease) -> None:
        space = self._store.config.lease_namespace
        await self._gone(self._store.leases, LEASES, space, decision.name, decision.uid)

    @_do.register
    async def _(self, decision: d.Evict) -> None:
        try:
            await self._kube.evict(decision.namespace, decision.name, decision.uid)
        except KubeError as error:
            if error.gone:
                return
            # 409: it is another pod by now, as the next list shows, or a webhook; 429: a budget;
            # 403: its namespace is terminating; 500: two budgets for one pod; any other: a webhook.
            # It is the answer for this pod alone, the next ones are asked too.
            if error.status == 500 and disruption.SEVERAL in error.message:
                told = await self._several(decision) or error.message
                self._store.evicted(decision.uid, told, _PERSON)
                return
            self._store.evicted(decision.uid, _against(error), error.retry_after or 0.0)
            if error.status == 0:
                raise
        else:
            self._store.evicted(decision.uid, "")

    async def _several(self, decision: d.Evict) -> str:
        """Names the budgets of a pod that has several; empty where they cannot be listed."""
        pods = self._store.node_pods.get(decision.node, ())
        labels = next((pod.labels for pod in pods if pod.uid == decision.uid), None)
        if labels is None:
            return ""
        try:
            listed = await self._kube.list(BUDGETS, decision.namespace)
        except KubeError as error:
            log.warning("%s: its disruption budgets: %s", decision.name, error)
            return ""
        return disruption.told(labels, listed.items)

    @_do.register
    async def _(self, decision: d.CreateProof) -> None:
        space = self._store.config.namespaces.proof
        await self._create(self._store.proofs, PODS, space, decision.name, decision.body)

    @_do.register
    async def _(self, decision: d.DeleteProof) -> None:
        space = self._store.config.namespaces.proof
        await self._gone(self._store.proofs, PODS, space, decision.name, decision.uid)

    @_do.register
    async def _(self, decision: d.Emit) -> None:
        self._recorder.say(decision)
