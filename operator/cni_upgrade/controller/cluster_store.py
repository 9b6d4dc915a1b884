"""What we know of the cluster: a shelf for each kind, and the notes that live in memory only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.parse import parse_node_state, parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.controller.clock import utc_now
from cni_upgrade.controller.object_cache import ObjectCache, Raw
from cni_upgrade.controller.pods_by_job import PodsByJob
from cni_upgrade.controller.warnings import Warnings
from cni_upgrade.planner.limits.max_unavailable import changing
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.node.node_lease import HELD
from cni_upgrade.planner.world.kubernetes_objects import Job, Lease, Namespace, Node, Pod
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.phases import Step
from cni_upgrade.planner.world.snapshot import (
    ConfigMap,
    Eviction,
    Snapshot,
    Unjudged,
    Unread,
    Unwritten,
)

T = TypeVar("T")

_FORGET = timedelta(hours=1)
"""How long an eviction's answer is of any use."""


def _name(raw: Raw) -> str:
    # One string for a node, its record and all that is kept of them: the planner looks them up by
    # the thousand, and need not read the same name twice to see that it is.
    return sys.intern(raw["metadata"]["name"])


def _for_node(item: Job | Pod) -> str:
    return item.for_node


def _stirs(state: CNINodeState) -> bool:
    """Whether something is under way on a node, or somebody else's Lease is waited for."""
    return state.status.operation is not None or state.status.reason == HELD


class ClusterStore:
    """Everything the planner is shown, and the side notes that live in memory only."""

    def __init__(
        self, config: OperatorConfig, own_node: str, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.config = config
        self.now = now
        self.own_node = own_node
        self.nodes: ObjectCache[Node] = ObjectCache(Node.of, _name, cordon.ours)
        self.policies: ObjectCache[CNIUpgradePolicy] = ObjectCache(parse_policy, _name)
        self.states: ObjectCache[CNINodeState] = ObjectCache(parse_node_state, _name, _stirs)
        self.jobs: ObjectCache[Job] = ObjectCache(Job.of, _name)
        self.agents: ObjectCache[Pod] = ObjectCache(Pod.of, _name)
        self._by_job = PodsByJob(self.agents)
        self.proofs: ObjectCache[Pod] = ObjectCache(Pod.of, _name)
        self.leases: ObjectCache[Lease] = ObjectCache(Lease.of, _name)
        self.rooms: ObjectCache[Namespace] = ObjectCache(Namespace.of, _name)
        self._unwritten: dict[str, tuple[str, Unwritten]] = {}
        """By node: the version that a status goes on from, and what stands in it."""
        self.warnings = Warnings()
        self.node_pods: dict[str, tuple[Pod, ...]] = {}
        self.unlisted: dict[str, str] = {}
        """By node: why its pods are not in `node_pods`, where they were to be."""
        self.evictions: dict[str, Eviction] = {}
        self.errors: dict[str, str] = {}
        self.told: dict[str, datetime] = {}
        """When the status of a policy was last written from here, by its name."""
        self.configmaps: dict[str, ConfigMap] = {}
        """Of network add-ons, by `namespace/name`."""
        self.denied: tuple[str, ...] = ()

    @property
    def stopped(self) -> str:
        """Why everything is stopped, by the agents' namespace; empty while it is not."""
        room = self.rooms.items.get(self.config.namespaces.agents)
        return room.stopped if room else ""

    def keep(self, name: str, status: NodeStateStatus) -> None:
        """Go on from a status that is to be written later; whoever writes first wins."""
        state = self.states.items.get(name)
        if state is None:
            return
        version = state.metadata.resource_version
        known = self._unwritten.get(name)
        behind = known[1] if known and known[0] == version else None
        if behind is None:
            behind = Unwritten(state.status, self.now())
        if status == behind.recorded:
            self._unwritten.pop(name, None)
        else:
            self._unwritten[name] = (version, behind)
        self.states.take(name, state.model_copy(update={"status": status}))

    def unwritten(self) -> dict[str, Unwritten]:
        """What is behind what the planner goes on from; a newer version of a record ends it."""
        items = self.states.items
        self._unwritten = {
            name: (version, behind)
            for name, (version, behind) in self._unwritten.items()
            if name in items and items[name].metadata.resource_version == version
        }
        return {name: behind for name, (_, behind) in self._unwritten.items()}

    def evicted(self, pod: str, blocked_by: str, wait: float = 0.0) -> None:
        """Note the answer of the eviction API for a pod (by uid); `wait`: its Retry-After."""
        self.evictions[pod] = Eviction(self.now(), blocked_by, timedelta(seconds=wait))

    def forget(self, now: datetime) -> None:
        """Drop notes about pods that are long gone."""
        known = {pod.uid for shelf in (self.agents, self.proofs) for pod in shelf.items.values()}
        known |= {job.uid for job in self.jobs.items.values()}
        self.warnings.forget(known)
        self.told = {name: at for name, at in self.told.items() if name in self.policies.items}
        self.evictions = {
            uid: answer for uid, answer in self.evictions.items() if now - answer.at < _FORGET
        }

    def unanswered(self) -> list[str]:
        """Jobs under way that have ended, though no pod that we know of has: a watch lags."""
        asked = {
            state.status.operation.job
            for state in self.states.stirring.values()
            if state.status.operation is not None
        }
        over = [
            job.name
            for name in asked
            if name is not None
            and (job := self.jobs.items.get(name)) is not None
            and (job.complete or job.failed)
        ]
        pods = self._by_job.read()
        return sorted(name for name in over if not any(pod.ended for pod in pods.get(name, ())))

    def snapshot(self, now: datetime, looking_since: datetime | None = None) -> Snapshot:
        """The cluster as it is known, as one value."""
        hands_off = self._hands_off()

        def ours(items: Mapping[str, T], node: Callable[[T], str]) -> dict[str, T]:
            # Nearly always all of them, and a copy is a tenth of a look at each.
            if not hands_off:
                return dict(items)
            return {key: each for key, each in items.items() if node(each) not in hands_off}

        room = self.rooms.items.get(self.config.namespaces.agents)
        return Snapshot(
            now=now,
            config=self.config,
            policies=dict(self.policies.items),
            unread={k: Unread.of(error) for k, error in self.policies.unreadable.items()},
            nodes=ours(self.nodes.items, lambda node: node.name),
            unjudged={
                name: Unjudged(self.nodes.items[name], self._changing(name), self._problem(name))
                for name in sorted(hands_off & self.nodes.items.keys())
            },
            states=ours(self.states.items, lambda state: state.metadata.name),
            unwritten=self.unwritten(),
            jobs=ours(self.jobs.items, _for_node),
            agents=ours(self._by_job.read(), lambda pods: pods[0].for_node),
            proofs=ours(self.proofs.items, _for_node),
            warnings=self.warnings.believed(self._node_of),
            pods=dict(self.node_pods),
            unlisted=dict(self.unlisted),
            evictions=dict(self.evictions),
            leases=dict(self.leases.items),
            own_node=self.own_node,
            denied=self.denied,
            errors=dict(self.errors),
            stopped=self.stopped,
            stopped_since=room.since if room else None,
            told=dict(self.told),
            configmaps=dict(self.configmaps),
            looking_since=looking_since,
        )

    def _hands_off(self) -> frozenset[str]:
        """Nodes whose record, or whose policy, a newer controller has written: not ours to judge.

        The planner would take them for nodes without a record, or give them back.
        """
        owned = set[str]()
        if newer := self.policies.unreadable:
            owned = {
                name
                for name, state in self.states.items.items()
                for ref in (
                    state.spec.policy_ref,
                    state.status.operation.policy if state.status.operation else None,
                )
                if ref is not None and ref.name in newer
            }
        return frozenset(self.states.unreadable.keys() | owned)

    def _node_of(self, uid: str, name: str) -> str:
        """The node on which a pod of ours is; empty for one that is not known."""
        there = (shelf.items.get(name) for shelf in (self.agents, self.proofs))
        return next((pod.node for pod in there if pod is not None and pod.uid == uid), "")

    def _problem(self, name: str) -> str:
        error = self.states.unreadable.get(name)
        return error.text if error else ""

    def _changing(self, name: str) -> bool:
        """Whether a record says that its node is being changed, as far as it can be read."""
        error = self.states.unreadable.get(name)
        if error is None:
            return changing(self.states.items.get(name))
        status = error.obj.get("status")
        operation = status.get("operation") if isinstance(status, Mapping) else None
        return isinstance(operation, Mapping) and operation.get("kind") != "audit"


def at_steps(states: Iterable[CNINodeState], *steps: Step) -> set[str]:
    """Names of the nodes whose operation is at one of these steps."""
    return {
        state.metadata.name
        for state in states
        if state.status.operation is not None and state.status.operation.step in steps
    }
