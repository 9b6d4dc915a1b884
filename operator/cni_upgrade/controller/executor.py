"""Carries decisions out: one request each, its answer put back into the store, nothing decided."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import singledispatchmethod
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.controller.store import Store
from cni_upgrade.fleet import decisions as d
from cni_upgrade.fleet.turn import Turn
from cni_upgrade.kube.port import Kube, KubeError
from cni_upgrade.kube.resources import EVENTS, JOBS, NODE_STATES, NODES, PODS, POLICIES

log = logging.getLogger(__name__)

_AT_ONCE = 10
"""Turns in flight: enough to keep the API server busy, few enough not to flood it."""

COMPONENT = "cni-upgrade-operator"
_RESOURCES = {names.POLICY_KIND: POLICIES, names.NODE_STATE_KIND: NODE_STATES}


class Executor:
    """The only writer. A decision that fails ends its turn; the next pass looks again."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self._kube = kube
        self._store = store
        self._places = asyncio.Semaphore(_AT_ONCE)
        self.carried_out: Counter[str] = Counter()
        """Decisions carried out so far, by their kind."""
        self.refused: Counter[str] = Counter()
        """Decisions that the API server refused, by its reason."""

    async def carry_out(self, turns: Iterable[Turn]) -> bool:
        """Take all turns; True where every one went to its end."""
        return all(await asyncio.gather(*(self._turn(turn) for turn in turns)))

    async def _turn(self, turn: Turn) -> bool:
        async with self._places:
            for decision in turn.decisions:
                try:
                    await self._do(decision)
                except KubeError as error:
                    self.refused[error.reason] += 1
                    if error.conflict:
                        # Somebody was first; the watch brings what they wrote.
                        log.info("%s: %s: %s", turn.subject, type(decision).__name__, error)
                    else:
                        self._store.errors[turn.subject] = error.message
                        log.warning("%s: %s: %s", turn.subject, type(decision).__name__, error)
                    return False
                self.carried_out[type(decision).__name__] += 1
                if not isinstance(decision, d.SetStatus | d.Emit):
                    log.info("%s: %s", turn.subject, type(decision).__name__)
            self._store.errors.pop(turn.subject, None)
            return True

    @singledispatchmethod
    async def _do(self, decision: Any) -> None:
        raise TypeError(f"nobody carries out a {type(decision).__name__}")

    @_do.register
    async def _(self, decision: d.CreateState) -> None:
        self._store.states.put(await self._kube.create(NODE_STATES, None, dict(decision.body)))

    @_do.register
    async def _(self, decision: d.DeleteState) -> None:
        await self._gone(NODE_STATES, None, decision.name, decision.uid)

    @_do.register
    async def _(self, decision: d.Claim) -> None:
        body = {
            "metadata": {
                "resourceVersion": decision.resource_version,
                "labels": {names.LABEL_POLICY: decision.label},
            },
            "spec": {"policyRef": decision.policy_ref},
        }
        self._store.states.put(await self._kube.patch(NODE_STATES, None, decision.name, body))

    @_do.register
    async def _(self, decision: d.SetStatus) -> None:
        resource = _RESOURCES[decision.kind]
        shelf = self._store.policies if resource is POLICIES else self._store.states
        body = {"status": dict(decision.status)}
        try:
            shelf.put(await self._kube.patch(resource, None, decision.name, body, "status"))
        except KubeError as error:
            # It was deleted meanwhile: nothing is left to write on.
            if not error.gone:
                raise

    @_do.register
    async def _(self, decision: d.CreateJob) -> None:
        try:
            self._store.jobs.put(
                await self._kube.create(
                    JOBS, self._store.config.namespaces.agents, dict(decision.body)
                )
            )
        except KubeError as error:
            # The name says what it does: the same Job is there already.
            if not error.conflict:
                raise

    @_do.register
    async def _(self, decision: d.DeleteJob) -> None:
        await self._gone(JOBS, self._store.config.namespaces.agents, decision.name, decision.uid)

    @_do.register
    async def _(self, decision: d.Cordon) -> None:
        await self._node(decision.node, decision.resource_version, decision.owner, True)

    @_do.register
    async def _(self, decision: d.Uncordon) -> None:
        await self._node(decision.node, decision.resource_version, None, None)

    async def _node(
        self, node: str, version: str, owner: str | None, unschedulable: bool | None
    ) -> None:
        body = {
            "metadata": {
                "resourceVersion": version,
                "annotations": {names.CORDONED_BY: owner},
            },
            "spec": {"unschedulable": unschedulable},
        }
        self._store.nodes.put(await self._kube.patch(NODES, None, node, body))

    @_do.register
    async def _(self, decision: d.Evict) -> None:
        try:
            await self._kube.evict(decision.namespace, decision.name, decision.uid)
        except KubeError as error:
            if error.gone or error.conflict:
                return
            if error.status not in (403, 429, 500):
                raise
            # 429: a budget; 403: its namespace is terminating; 500: two budgets for one pod.
            why = "; ".join(c.get("message", "") for c in error.causes) or error.message
            self._store.evicted(decision.uid, why)
        else:
            self._store.evicted(decision.uid, "")

    @_do.register
    async def _(self, decision: d.CreateProof) -> None:
        try:
            self._store.proofs.put(
                await self._kube.create(
                    PODS, self._store.config.namespaces.proof, dict(decision.body)
                )
            )
        except KubeError as error:
            if not error.conflict:
                raise

    @_do.register
    async def _(self, decision: d.DeleteProof) -> None:
        await self._gone(PODS, self._store.config.namespaces.proof, decision.name, decision.uid)

    async def _gone(self, resource: Any, namespace: str | None, name: str, uid: str) -> None:
        try:
            await self._kube.delete(resource, namespace, name, uid, "Background")
        except KubeError as error:
            # 404: gone; 409: the name belongs to another object, which is not ours to delete.
            if not (error.gone or error.conflict):
                raise

    @_do.register
    async def _(self, decision: d.Emit) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{decision.name[:200]}.{uuid.uuid4().hex[:16]}"},
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": decision.kind,
                "name": decision.name,
                "uid": decision.uid,
            },
            "type": decision.type,
            "reason": decision.reason,
            "message": decision.message[:1024],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            # Events of cluster-scoped objects live in the namespace "default".
            await self._kube.create(EVENTS, "default", body)
        except KubeError as error:
            # An event is a courtesy; the record of what happened is the node state's history.
            log.warning("event %s on %s was lost: %s", decision.reason, decision.name, error)
