"""What we know of the cluster: fed by watches, by our own writes, and healed by whole lists.

kopf never tells of an object that was deleted in a gap of the watch, so every few minutes a list
replaces what is known. An older version of an object never replaces a newer one.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.parse import UnreadableResourceError, parse_node_state, parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.config import OperatorConfig
from cni_upgrade.fleet.objects import Job, Node, Pod
from cni_upgrade.fleet.snapshot import Eviction, Snapshot
from cni_upgrade.kube.port import Listed

log = logging.getLogger(__name__)

Raw = Mapping[str, Any]
T = TypeVar("T")

_FORGET = timedelta(hours=1)
"""How long an eviction's answer is of any use."""


def _version(text: str) -> int:
    """resourceVersion as a number. Source: KEP-5504, comparable since Kubernetes 1.35, in etcd
    always; what is no number counts as the oldest."""
    return int(text) if text.isdigit() else 0


class Shelf(Generic[T]):
    """The objects of one kind by a key, each in its newest known version."""

    def __init__(self, read: Callable[[Raw], T], key: Callable[[Raw], str]) -> None:
        self._read = read
        self._key = key
        self._versions: dict[str, tuple[str, int]] = {}
        self.items: dict[str, T] = {}

    def put(self, raw: Raw) -> bool:
        """Take an object in; False where it is not newer than what is known."""
        meta = raw["metadata"]
        key, uid = self._key(raw), meta["uid"]
        version = _version(meta.get("resourceVersion", ""))
        known = self._versions.get(key)
        if known is not None and known[0] == uid and known[1] >= version:
            return False
        try:
            item = self._read(raw)
        except UnreadableResourceError as error:
            # Written by a newer controller, or past our CRD: said, and left alone.
            log.error("%s", error)
            self._versions.pop(key, None)
            self.items.pop(key, None)
            return False
        self._versions[key] = (uid, version)
        self.items[key] = item
        return True

    def drop(self, raw: Raw) -> bool:
        """Forget an object that was deleted, unless its name already belongs to another one."""
        key = self._key(raw)
        known = self._versions.get(key)
        if known is None or known[0] != raw["metadata"]["uid"]:
            return False
        del self._versions[key], self.items[key]
        return True

    def replace(self, listed: Listed) -> None:
        """Heal from a whole list: what is not in it is gone, unless it is newer than the list."""
        as_of = _version(listed.resource_version)
        there = {self._key(raw) for raw in listed.items}
        for key in [k for k, (_, v) in self._versions.items() if k not in there and v <= as_of]:
            del self._versions[key], self.items[key]
        for raw in listed.items:
            self.put(raw)


def _name(raw: Raw) -> str:
    return str(raw["metadata"]["name"])


def _key(raw: Raw) -> str:
    return f"{raw['metadata'].get('namespace', '')}/{raw['metadata']['name']}"


class Store:
    """Everything the planner is shown, and the side notes that live in memory only."""

    def __init__(self, config: OperatorConfig, own_node: str) -> None:
        self.config = config
        self.own_node = own_node
        self.nodes: Shelf[Node] = Shelf(Node.of, _name)
        self.policies: Shelf[CNIUpgradePolicy] = Shelf(parse_policy, _name)
        self.states: Shelf[CNINodeState] = Shelf(parse_node_state, _name)
        self.jobs: Shelf[Job] = Shelf(Job.of, _name)
        self.agents: Shelf[Pod] = Shelf(Pod.of, _name)
        self.proofs: Shelf[Pod] = Shelf(Pod.of, _name)
        self.warnings: dict[str, str] = {}
        self.node_pods: dict[str, tuple[Pod, ...]] = {}
        self.evictions: dict[str, Eviction] = {}
        self.errors: dict[str, str] = {}
        self.denied: tuple[str, ...] = ()

    def heard(self, event: Raw) -> None:
        """A Kubernetes Event about an agent's Job or a pod of ours: the newest warning is kept."""
        about = event.get("involvedObject") or {}
        if event.get("type") == "Warning" and about.get("kind") in ("Pod", "Job"):
            text = f"{event.get('reason', '')}: {event.get('message', '')}"
            self.warnings[about.get("uid", "")] = " ".join(text.split())[:1000]

    def evicted(self, pod: str, blocked_by: str) -> None:
        """Note the answer of the eviction API for a pod (by uid)."""
        self.evictions[pod] = Eviction(at=datetime.now(UTC), blocked_by=blocked_by)

    def forget(self, now: datetime) -> None:
        """Drop notes about pods that are long gone."""
        known = {pod.uid for shelf in (self.agents, self.proofs) for pod in shelf.items.values()}
        known |= {job.uid for job in self.jobs.items.values()}
        self.warnings = {uid: text for uid, text in self.warnings.items() if uid in known}
        self.evictions = {
            uid: answer for uid, answer in self.evictions.items() if now - answer.at < _FORGET
        }

    def snapshot(self, now: datetime) -> Snapshot:
        """The cluster as it is known, as one value."""
        agents: dict[str, list[Pod]] = defaultdict(list)
        for pod in self.agents.items.values():
            agents[pod.labels.get("batch.kubernetes.io/job-name", "")].append(pod)
        return Snapshot(
            now=now,
            config=self.config,
            policies=dict(self.policies.items),
            nodes=dict(self.nodes.items),
            states=dict(self.states.items),
            jobs=dict(self.jobs.items),
            agents=agents,
            proofs=dict(self.proofs.items),
            warnings=dict(self.warnings),
            pods=dict(self.node_pods),
            evictions=dict(self.evictions),
            own_node=self.own_node,
            denied=self.denied,
            errors=dict(self.errors),
        )


def draining(states: Iterable[CNINodeState]) -> set[str]:
    """Names of the nodes whose pods the planner needs to see."""
    return {
        state.metadata.name
        for state in states
        if state.status.operation is not None
        and state.status.operation.step in ("Drain", "DrainAfter")
    }
