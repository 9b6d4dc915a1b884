"""The controller around the planner, in memory: its view of the cluster, and the executor.

`carry` does what controller/writes.py does with each decision, `View` what
controller/cluster_store.py keeps: so a crash is a new view, and a stale pass is one without a
refresh.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import singledispatchmethod
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.parse import parse_node_state, parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.controller.cluster_store import at_steps
from cni_upgrade.controller.observation_gap import ObservationGap
from cni_upgrade.planner.node.stuck_pods import wants_pods
from cni_upgrade.planner.world import decisions as d
from cni_upgrade.planner.world.kubernetes_objects import Job, Lease, Node, Pod
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.phases import Step
from cni_upgrade.planner.world.snapshot import Eviction, Snapshot, Unwritten
from tests.unit.planner.api_model import ApiError, Key, Raw
from tests.unit.planner.cluster_model import AGENTS, CONFIG, PROOF, Cluster

KINDS = ("Lease", "Node", "CNIUpgradePolicy", "CNINodeState", "Job", "Pod")
_READ: Mapping[str, Callable[[Any], Any]] = {
    "Lease": Lease.of,
    "Node": Node.of,
    "CNIUpgradePolicy": parse_policy,
    "CNINodeState": parse_node_state,
    "Job": Job.of,
    "Pod": Pod.of,
}


def first_sent(job: str) -> bool:
    """Whether a Job begins an operation; what manifests/admission.yaml refuses while stopped."""
    return re.fullmatch(r"(audit|apply)-[0-9a-f]{20}", job) is not None


class Controller:
    """One life of the controller process; a crash is a new one."""

    def __init__(
        self, cluster: Cluster, config: OperatorConfig = CONFIG, own_node: str = ""
    ) -> None:
        self._cluster = cluster
        self.config = config
        self.own_node = own_node
        self.denied: tuple[str, ...] = ()
        self._seen: dict[tuple[str, str, str], tuple[str, Any]] = {}
        self._evictions: dict[str, Eviction] = {}
        self._planned: dict[tuple[str, str], str] = {}
        self._unwritten: dict[str, tuple[str, Unwritten]] = {}
        self._attention = ObservationGap()
        self.errors: dict[str, str] = {}
        self.deaf: dict[Key, datetime] = {}
        """Objects of which the watches have lost events, and until when: the next whole list."""
        self.refresh()

    def refresh(self, kinds: tuple[str, ...] = KINDS) -> None:
        """Let the watches bring what is new; what is not named stays as old as it is."""
        if kinds == KINDS:
            self._stopped = self._cluster.stopped
        objects = self._cluster.api.objects
        self.deaf = {key: until for key, until in self.deaf.items() if until > self._cluster.now}
        for key in [k for k in self._seen if k[0] in kinds and k not in objects]:
            if key not in self.deaf:
                del self._seen[key]
        for key, raw in objects.items():
            if key[0] in kinds and key not in self.deaf:
                self._put(key, raw)

    def _put(self, key: tuple[str, str, str], raw: Raw) -> None:
        version = raw["metadata"]["resourceVersion"]
        known = self._seen.get(key)
        if known is None or known[0] != version:
            self._seen[key] = (version, _READ[key[0]](raw))

    def _all(self, kind: str, namespace: str = "") -> dict[str, Any]:
        keys = sorted(key for key in self._seen if key[0] == kind and key[1] == namespace)
        return {key[2]: self._seen[key][1] for key in keys}

    def snapshot(self) -> Snapshot:
        """As Store.snapshot; the pods of some nodes are listed anew, as Loop.once does."""
        states: dict[str, CNINodeState] = self._all("CNINodeState")
        policies: dict[str, CNIUpgradePolicy] = self._all("CNIUpgradePolicy")
        agents: dict[str, list[Pod]] = defaultdict(list)
        for pod in self._all("Pod", AGENTS).values():
            agents[pod.job].append(pod)
        unwritten = {
            name: behind
            for name, (version, behind) in self._unwritten.items()
            if name in states and self._seen["CNINodeState", "", name][0] == version
        }
        drained = at_steps(states.values(), Step.DRAIN, Step.DRAIN_AFTER)
        pods = {
            name: self._pods_of(name, name in drained)
            for name, state in states.items()
            if wants_pods(state) and name not in self._cluster.unlisted
        }
        self._planned = {
            (kind, name): item.metadata.resource_version
            for kind, items in (("CNIUpgradePolicy", policies), ("CNINodeState", states))
            for name, item in items.items()
        }
        return Snapshot(
            now=self._cluster.now,
            config=self.config,
            policies=policies,
            nodes=self._all("Node"),
            states=states,
            unwritten=unwritten,
            jobs=self._all("Job", AGENTS),
            agents=dict(agents),
            proofs=self._all("Pod", PROOF),
            warnings=dict(self._cluster.warnings),
            pods=pods,
            unlisted=dict(self._cluster.unlisted),
            evictions=dict(self._evictions),
            leases=self._all("Lease", self.config.lease_namespace),
            own_node=self.own_node,
            denied=self.denied,
            errors=dict(self.errors),
            stopped=self._stopped,
            looking_since=self._attention.begins(self._cluster.now),
        )

    def _pods_of(self, node: str, judged: bool) -> tuple[Pod, ...]:
        raws = self._cluster.api.all("Pod")
        listed = [Pod.of(raw) for raw in raws if raw["spec"].get("nodeName") == node]
        return tuple(
            replace(pod, orphaned=pod.name in self._cluster.orphans)
            if judged and not pod.judged
            else pod
            for pod in listed
        )

    def carry(self, decision: d.Decision) -> None:
        """Carry one decision out. Raises ApiError where its turn ends."""
        self._do(decision)

    def _own(self, kind: str, raw: Raw) -> None:
        """Our own writes are known at once."""
        meta = raw["metadata"]
        self._put((kind, meta.get("namespace", ""), meta["name"]), raw)

    @singledispatchmethod
    def _do(self, decision: Any) -> None:
        raise TypeError(f"nobody carries out a {type(decision).__name__}")

    @_do.register
    def _(self, decision: d.CreateState) -> None:
        self._create("CNINodeState", decision.body)

    @_do.register
    def _(self, decision: d.DeleteState) -> None:
        self._delete("CNINodeState", decision.name, decision.uid)

    @_do.register
    def _(self, decision: d.Claim) -> None:
        body = {
            "metadata": {
                "resourceVersion": decision.resource_version,
                "labels": {names.LABEL_POLICY: decision.label},
            },
            "spec": {"policyRef": decision.policy_ref},
        }
        self._patch("CNINodeState", decision.name, body)

    @_do.register
    def _(self, decision: d.SetStatus) -> None:
        # Of the view that the plan was made from, not of what a write since then has answered.
        version = self._planned[decision.kind, decision.name]
        body = {"metadata": {"resourceVersion": version}, "status": decision.status}
        self._patch(decision.kind, decision.name, body, sub="status")

    def _patch(self, kind: str, name: str, body: Raw, sub: str = "") -> None:
        """A patch that carries a version: what is there now is known afterwards in any case."""
        try:
            self._own(kind, self._cluster.api.patch(kind, name, body, sub=sub))
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            self._look(kind, name)
            raise ApiError(409, error.message) from error

    def _look(self, kind: str, name: str, namespace: str = "") -> None:
        found = self._cluster.api.find(kind, name, namespace)
        if found is None:
            self._seen.pop((kind, namespace, name), None)
        else:
            self._put((kind, namespace, name), found)

    @_do.register
    def _(self, decision: d.SetFinalizers) -> None:
        meta = {
            "resourceVersion": decision.resource_version,
            "finalizers": list(decision.finalizers),
        }
        name = decision.policy
        self._own(
            "CNIUpgradePolicy",
            self._cluster.api.patch("CNIUpgradePolicy", name, {"metadata": meta}),
        )
        if self._cluster.api.find("CNIUpgradePolicy", name) is None:
            del self._seen["CNIUpgradePolicy", "", name]

    @_do.register
    def _(self, decision: d.KeepStatus) -> None:
        key = ("CNINodeState", "", decision.name)
        if key not in self._seen:
            return
        version, state = self._seen[key]
        known = self._unwritten.get(decision.name)
        if known is None or known[0] != version:
            known = (version, Unwritten(state.status, self._cluster.now))
        self._unwritten[decision.name] = known
        if decision.status == known[1].recorded:
            del self._unwritten[decision.name]
        self._seen[key] = (version, state.model_copy(update={"status": decision.status}))

    def status(self, node: str) -> Raw:
        """How far the controller is with a node, written or not."""
        found = self._seen.get(("CNINodeState", "", node))
        return found[1].status.to_api() if found else {}

    @_do.register
    def _(self, decision: d.CreateJob) -> None:
        if self._cluster.stopped and first_sent(decision.name):
            raise ApiError(403, f"everything is stopped: {self._cluster.stopped}")
        if self._cluster.jobs_refused:
            raise ApiError(403, self._cluster.jobs_refused)
        self._create("Job", decision.body)

    @_do.register
    def _(self, decision: d.CreateProof) -> None:
        if self._cluster.quota:
            raise ApiError(403, self._cluster.quota)
        self._create("Pod", decision.body)

    @_do.register
    def _(self, decision: d.DeleteJob) -> None:
        self._delete("Job", decision.name, decision.uid, AGENTS)

    @_do.register
    def _(self, decision: d.DeleteProof) -> None:
        if self._cluster.proofs_kept:
            raise ApiError(403, self._cluster.proofs_kept)
        self._delete("Pod", decision.name, decision.uid, PROOF)

    @_do.register
    def _(self, decision: d.Cordon) -> None:
        self._node(decision, decision.owner, {"unschedulable": True})

    @_do.register
    def _(self, decision: d.Uncordon) -> None:
        self._node(decision, None, {"unschedulable": None})

    @_do.register
    def _(self, decision: d.Unmark) -> None:
        self._node(decision, None, {})

    def _node(
        self, decision: d.Cordon | d.Uncordon | d.Unmark, owner: str | None, spec: Raw
    ) -> None:
        marks = {names.CORDONED_BY: owner}
        if owner is None:
            marks[names.READY_FOR_UPGRADE] = None
        meta = {"resourceVersion": decision.resource_version, "annotations": marks}
        self._patch("Node", decision.node, {"metadata": meta, "spec": spec})

    @_do.register
    def _(self, decision: d.Announce) -> None:
        marks = {names.READY_FOR_UPGRADE: decision.operation}
        meta = {"resourceVersion": decision.resource_version, "annotations": marks}
        self._patch("Node", decision.node, {"metadata": meta})

    @_do.register
    def _(self, decision: d.TakeLease) -> None:
        api, body, space = self._cluster.api, dict(decision.body), self.config.lease_namespace
        try:
            if version := decision.resource_version:
                body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
                raw = api.patch("Lease", decision.name, body, namespace=space)
            else:
                raw = api.create("Lease", body)
        except ApiError as error:
            self.refresh(("Lease",))
            raise ApiError(409, error.message) from error
        self._own("Lease", raw)

    @_do.register
    def _(self, decision: d.DropLease) -> None:
        self._delete("Lease", decision.name, decision.uid, self.config.lease_namespace)

    @_do.register
    def _(self, decision: d.Evict) -> None:
        why = ""
        try:
            self._cluster.evict(decision.namespace, decision.name, decision.uid)
        except ApiError as error:
            if error.status in (404, 409):
                return
            why = error.message
        self._evictions[decision.uid] = Eviction(self._cluster.now, why)

    @_do.register
    def _(self, decision: d.Emit) -> None:
        """Events are a courtesy; the transcript shows them."""

    def _create(self, kind: str, body: Mapping[str, Any]) -> None:
        try:
            self._own(kind, self._cluster.api.create(kind, body))
        except ApiError as error:
            if error.status != 409:
                raise
            meta = body["metadata"]
            self._look(kind, meta["name"], meta.get("namespace", ""))

    def _delete(self, kind: str, name: str, uid: str, namespace: str = "") -> None:
        try:
            self._cluster.api.delete(kind, name, uid, namespace)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
