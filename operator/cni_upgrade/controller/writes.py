"""What each decision asks of the API server, and the answer put back into the store."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import singledispatchmethod
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.controller.clock import utc_now
from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.object_cache import ObjectCache
from cni_upgrade.kube.interface import Kube, KubeError, Object
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
from cni_upgrade.kube.retry_after import insist
from cni_upgrade.planner.limits import pod_disruption_budgets
from cni_upgrade.planner.world import decisions as d
from cni_upgrade.planner.world.snapshot import Snapshot

log = logging.getLogger(__name__)

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


class Writes:
    """One request for each decision; after a conflict, what is there instead is read.

    Every write of a record or a Node carries the version that the planner saw, so that a second
    controller, or a person, is never overwritten: the first wins, the other looks again.
    """

    def __init__(
        self, kube: Kube, store: ClusterStore, recorder: EventRecorder, meant: Callable[[], bool]
    ) -> None:
        """`meant`: whether what was planned may still be asked of a busy API server once more."""
        self._kube = kube
        self._meant = meant
        self._recorder = recorder
        self._store = store
        self.world = Snapshot(utc_now(), store.config)
        """What the decisions were planned from that are sent now."""

    def planned_from(self, decision: d.SetStatus) -> str:
        """The version of the object that the planner saw."""
        name, world = decision.name, self.world
        if decision.kind == names.NODE_STATE_KIND:
            return world.states[name].metadata.resource_version
        if name in world.unread:
            return world.unread[name].resource_version
        return world.policies[name].metadata.resource_version

    async def _insist(self, write: Callable[[], Awaitable[Object]]) -> Object:
        """The write alone: what is read after it is sent again by the client, as any read is."""
        return await insist(write, self._meant)

    async def _look(
        self, shelf: ObjectCache[Any], resource: Resource, namespace: str | None, name: str
    ) -> None:
        """Read one object anew: a refusal says that what we know of it is old."""
        one = self._kube.list(resource, namespace, fieldSelector=f"metadata.name={name}")
        await shelf.replace_one(name, one)

    async def _guarded(
        self, shelf: ObjectCache[Any], resource: Resource, name: str, body: Any, sub: str = ""
    ) -> None:
        """A patch that carries a version: what is there now is known afterwards in any case."""
        try:
            shelf.put(await self._insist(lambda: self._kube.patch(resource, None, name, body, sub)))
        except KubeError as error:
            if not (error.conflict or error.gone):
                raise
            await self._look(shelf, resource, None, name)
            raise KubeError(409, error.reason, error.message) from error

    async def _create(
        self,
        shelf: ObjectCache[Any],
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Any,
    ) -> None:
        """The name says what it is: where it is taken, the same object is there already."""
        try:
            shelf.put(
                await self._insist(lambda: self._kube.create(resource, namespace, dict(body)))
            )
        except KubeError as error:
            if not error.conflict:
                raise
            await self._look(shelf, resource, namespace, name)
            if not shelf.knows(name):
                # Nobody has that name, so it was refused by who denies with this status.
                raise

    async def _gone(
        self,
        shelf: ObjectCache[Any],
        resource: Resource,
        namespace: str | None,
        name: str,
        uid: str,
    ) -> None:
        it = {"metadata": {"namespace": namespace, "name": name, "uid": uid}}
        try:
            left = await self._insist(
                lambda: self._kube.delete(resource, namespace, name, uid, "Background")
            )
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
    async def send(self, decision: Any) -> KubeError | None:
        """Ask for one decision; KubeError where it was refused, TypeError where nobody knows it.

        A refusal that concerns nothing else of its turn is answered, not raised.
        """
        raise TypeError(f"nobody carries out a {type(decision).__name__}")

    @send.register
    async def _(self, decision: d.CreateState) -> None:
        await self._create(
            self._store.states, NODE_STATES, None, decision.name, dict(decision.body)
        )

    @send.register
    async def _(self, decision: d.DeleteState) -> None:
        await self._gone(self._store.states, NODE_STATES, None, decision.name, decision.uid)

    @send.register
    async def _(self, decision: d.Claim) -> None:
        body = {
            "metadata": {
                "resourceVersion": decision.resource_version,
                "labels": {names.LABEL_POLICY: decision.label},
            },
            "spec": {"policyRef": decision.policy_ref},
        }
        await self._guarded(self._store.states, NODE_STATES, decision.name, body)

    @send.register
    async def _(self, decision: d.SetStatus) -> None:
        shelf: ObjectCache[Any] = self._store.states
        resource = NODE_STATES
        if decision.kind == names.POLICY_KIND:
            shelf, resource = self._store.policies, POLICIES
        body = {
            "metadata": {"resourceVersion": self.planned_from(decision)},
            "status": dict(decision.status),
        }
        await self._guarded(shelf, resource, decision.name, body, "status")
        if decision.kind == names.POLICY_KIND:
            self._store.told[decision.name] = self._store.now()

    @send.register
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

    @send.register
    async def _(self, decision: d.KeepStatus) -> None:
        self._store.keep(decision.name, decision.status)

    @send.register
    async def _(self, decision: d.CreateJob) -> None:
        space = self._store.config.namespaces.agents
        await self._create(self._store.jobs, JOBS, space, decision.name, decision.body)

    @send.register
    async def _(self, decision: d.DeleteJob) -> None:
        space = self._store.config.namespaces.agents
        await self._gone(self._store.jobs, JOBS, space, decision.name, decision.uid)

    @send.register
    async def _(self, decision: d.Cordon) -> None:
        await self._node(decision, decision.owner, {"unschedulable": True})

    @send.register
    async def _(self, decision: d.Uncordon) -> None:
        await self._node(decision, None, {"unschedulable": None})

    @send.register
    async def _(self, decision: d.Unmark) -> None:
        await self._node(decision, None, {})

    async def _node(
        self,
        decision: d.Cordon | d.Uncordon | d.Unmark,
        owner: str | None,
        spec: dict[str, bool | None],
    ) -> None:
        marks = {names.CORDONED_BY: owner}
        if owner is None:
            # A node that takes pods again is not ready for an upgrade.
            marks[names.READY_FOR_UPGRADE] = None
        await self._mark(decision.node, decision.resource_version, marks, spec)

    @send.register
    async def _(self, decision: d.Announce) -> None:
        marks = {names.READY_FOR_UPGRADE: decision.operation}
        await self._mark(decision.node, decision.resource_version, marks, {})

    async def _mark(
        self, node: str, version: str, marks: dict[str, str | None], spec: dict[str, bool | None]
    ) -> None:
        meta = {"resourceVersion": version, "annotations": marks}
        await self._guarded(self._store.nodes, NODES, node, {"metadata": meta, "spec": spec})

    @send.register
    async def _(self, decision: d.TakeLease) -> None:
        shelf, space = self._store.leases, self._store.config.lease_namespace
        body, version = dict(decision.body), decision.resource_version
        try:
            if version:
                body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
                raw = await self._insist(
                    lambda: self._kube.patch(LEASES, space, decision.name, body)
                )
            else:
                raw = await self._insist(lambda: self._kube.create(LEASES, space, body))
        except KubeError as error:
            if not (error.conflict or (version and error.gone)):
                raise
            # Somebody else was first: who has it is known before anything else is done.
            await self._look(shelf, LEASES, space, decision.name)
            raise KubeError(409, error.reason, error.message) from error
        shelf.put(raw)

    @send.register
    async def _(self, decision: d.DropLease) -> None:
        space = self._store.config.lease_namespace
        await self._gone(self._store.leases, LEASES, space, decision.name, decision.uid)

    @send.register
    async def _(self, decision: d.Evict) -> KubeError | None:
        try:
            await self._kube.evict(decision.namespace, decision.name, decision.uid)
        except KubeError as error:
            if error.gone:
                return None
            # 409: it is another pod by now, as the next list shows, or a webhook; 429: a budget;
            # 403: its namespace is terminating; 500: two budgets for one pod; any other: a webhook.
            # It is the answer for this pod alone, the next ones are asked too.
            if error.status == 500 and pod_disruption_budgets.SEVERAL in error.message:
                told = await self._several(decision) or error.message
                self._store.evicted(decision.uid, told, _PERSON)
                return error
            self._store.evicted(decision.uid, _against(error), error.retry_after or 0.0)
            if error.status == 0:
                raise
            return error
        self._store.evicted(decision.uid, "")
        return None

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
        return pod_disruption_budgets.describe_budgets(labels, listed.items)

    @send.register
    async def _(self, decision: d.CreateProof) -> None:
        space = self._store.config.namespaces.proof
        await self._create(self._store.proofs, PODS, space, decision.name, decision.body)

    @send.register
    async def _(self, decision: d.DeleteProof) -> None:
        space = self._store.config.namespaces.proof
        await self._gone(self._store.proofs, PODS, space, decision.name, decision.uid)

    @send.register
    async def _(self, decision: d.Emit) -> None:
        self._recorder.say(decision)
