"""What we know of the cluster: fed by watches, by our own writes, and healed by whole lists.

A watch may have a gap, and kopf never tells of an object that was deleted in one, so every few
minutes a list replaces what is known. An older version of an object never replaces a newer one.

But for one case: a cluster whose etcd was restored from a backup goes on from older versions, and
what we know never happened there. A list is as new as the moment at which it was asked for, so one
that is older than what we knew at that moment, or holds what is, says so, and is believed.
"""

from __future__ import annotations

import logging
import math
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.parse import (
    UnreadableResourceError,
    parse_node_state,
    parse_policy,
    unforeseen,
)
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.controller.clock import utc_now
from cni_upgrade.fleet import cordon
from cni_upgrade.fleet.budget import changing
from cni_upgrade.fleet.config import OperatorConfig
from cni_upgrade.fleet.containing import NONSENSE
from cni_upgrade.fleet.node_lease import HELD
from cni_upgrade.fleet.objects import Job, Lease, Namespace, Node, Pod
from cni_upgrade.fleet.phases import Step
from cni_upgrade.fleet.snapshot import ConfigMap, Eviction, Snapshot, Unjudged, Unread, Unwritten
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


@dataclass(frozen=True, slots=True)
class Known:
    """What was known when a list was asked for."""

    versions: Mapping[str, tuple[str, int]]
    """By key: uid and version of what was there."""
    gone: Mapping[str, float]
    """By the uid of what was deleted: the version of that, where it is known."""

    def later_than(self, key: str, raw: Raw) -> bool:
        """Whether an object of such a list is older than what was known of it before."""
        meta = raw["metadata"]
        version = _version(meta.get("resourceVersion", ""))
        known = self.versions.get(key)
        return (known is not None and version < known[1]) or version <= self.gone.get(
            meta["uid"], -1
        )


class Shelf(Generic[T]):
    """The objects of one kind by a key, each in its newest known version."""

    def __init__(
        self,
        read: Callable[[Raw], T],
        key: Callable[[Raw], str],
        stirs: Callable[[T], bool] = lambda _: False,
    ) -> None:
        """`stirs` picks those that are looked at often, where the others are thousands."""
        self._read = read
        self._key = key
        self._stirs = stirs
        self._versions: dict[str, tuple[str, int]] = {}
        self._gone: dict[str, float] = {}
        """By the uid of what was deleted: the version of that, where it is known."""
        self.as_of = ""
        """The resourceVersion of the newest list, and of what was heard after it."""
        self.items: dict[str, T] = {}
        self.stirring: dict[str, T] = {}
        self._followers: list[set[str]] = []
        self.unreadable: dict[str, UnreadableResourceError] = {}
        """Objects that are there and make no sense to us: written by a newer controller, or past an
        API server that does not know all our rules."""

    def put(self, raw: Raw) -> bool:
        """Take an object in; False where that is no news to the planner.

        It is news where it is newer than what is known, and differs in what is kept of it.
        """
        meta = raw["metadata"]
        key, uid = self._key(raw), meta["uid"]
        version = _version(meta.get("resourceVersion", ""))
        known = self._versions.get(key)
        # Of another uid too: the last words about an object whose name has a new owner come late.
        if version <= self._gone.get(uid, -1) or (known is not None and known[1] >= version):
            return False
        self._gone.pop(uid, None)
        self._versions[key] = (uid, version)
        before = self.items.get(key)
        try:
            item = self._read(raw)
        except (UnreadableResourceError, *NONSENSE) as error:
            # One that got out would end the watch, and with it the process.
            named = error if isinstance(error, UnreadableResourceError) else unforeseen(raw, error)
            log.error("%s", named)
            self._lose(key)
            self.unreadable[key] = named
            return True
        self.unreadable.pop(key, None)
        self.take(key, item)
        return before is None or before != item

    def take(self, key: str, item: T) -> None:
        """Go on from this one, until another version comes in."""
        self.items[key] = item
        if self._stirs(item):
            self.stirring[key] = item
        else:
            self.stirring.pop(key, None)
        self._tell(key)

    def follow(self) -> set[str]:
        """Keys of what has changed or gone since the caller has last emptied the set."""
        self._followers.append(made := set(self.items))
        return made

    def drop(self, raw: Raw) -> bool:
        """Forget an object that was deleted, unless its name already belongs to another one."""
        key, uid = self._key(raw), raw["metadata"]["uid"]
        # A list that was made before the deletion may still be on its way. It is no deletion where
        # an object only lost the label that we look for: that may be put back.
        at = _version(raw["metadata"].get("resourceVersion", ""))
        known = self._versions.get(key)
        if known is not None and known[0] == uid and 0 < at < known[1]:
            return False
        self._gone[uid] = at or math.inf
        if known is None or known[0] != uid:
            return False
        self._forget(key)
        return True

    @property
    def newest(self) -> int:
        """The newest version that is known: no list that is asked for from now on is older."""
        return max([_version(self.as_of), *(version for _, version in self._versions.values())])

    async def replace_by(self, pages: AsyncIterator[Listed]) -> None:
        """Heal from a whole list: what is not in it is gone, unless it is newer than the list.

        Page by page: what one brings is trimmed before the next one comes. The list is not to be
        asked for before it is read here.
        """
        healing = _Healing(self)
        async for page in pages:
            healing.take(page)
        healing.end()

    async def replace(self, listed: Awaitable[Listed]) -> None:
        """The same for a list that comes in one."""
        healing = _Healing(self)
        healing.take(await listed)
        healing.end()

    async def replace_one(self, key: str, listed: Awaitable[Listed]) -> None:
        """The same for a list that is asked for one object alone."""
        known_before = self.known()
        found = await listed
        as_of = _version(found.resource_version)
        if (key in known_before.versions and as_of < known_before.versions[key][1]) or any(
            known_before.later_than(key, raw) for raw in found.items
        ):
            self.restored(known_before)
        known = self._versions.get(key)
        if known is not None and not found.items and known[1] <= as_of:
            self._forget(key)
        for raw in found.items:
            self.put(raw)

    def known(self) -> Known:
        """What is known at this moment."""
        return Known(dict(self._versions), dict(self._gone))

    def restored(self, known: Known) -> None:
        """What was known is of another past: whatever the API server holds of it now is news."""
        log.warning("the API server has gone back in time: what it holds is taken as new")
        self._gone = {k: at for k, at in self._gone.items() if known.gone.get(k) != at}
        for key, (uid, version) in known.versions.items():
            if self._versions.get(key) == (uid, version):
                self._versions[key] = (uid, -1)

    def knows(self, key: str) -> bool:
        """Whether an object stands under that key, be it one that cannot be read."""
        return key in self._versions

    def key_of(self, raw: Raw) -> str:
        """The key under which an object stands."""
        return self._key(raw)

    def keep_only(self, keys: Container[str], uids: Container[str], version: str) -> None:
        """Forget what is in no list of that version, unless it is newer."""
        as_of = _version(version)
        for key in [k for k, (_, v) in self._versions.items() if k not in keys and v <= as_of]:
            self._forget(key)
        self._gone = {uid: at for uid, at in self._gone.items() if uid in uids}
        self.as_of = version

    def _forget(self, key: str) -> None:
        del self._versions[key]
        self._lose(key)
        self.unreadable.pop(key, None)

    def _lose(self, key: str) -> None:
        self.items.pop(key, None)
        self.stirring.pop(key, None)
        self._tell(key)

    def _tell(self, key: str) -> None:
        for each in self._followers:
            each.add(key)


class _Healing:
    """A whole list that is being read."""

    def __init__(self, shelf: Shelf[Any]) -> None:
        self._shelf = shelf
        self._keys: set[str] = set()
        self._uids: set[str] = set()
        self._version = ""
        self._before = shelf.known()
        self._newest = shelf.newest
        self._restored = False

    def take(self, page: Listed) -> None:
        if not self._version and _version(page.resource_version) < self._newest:
            self._restore()
        for raw in page.items:
            key = self._shelf.key_of(raw)
            if self._before.later_than(key, raw):
                self._restore()
            self._keys.add(key)
            self._uids.add(raw["metadata"]["uid"])
            self._shelf.put(raw)
        self._version = page.resource_version

    def _restore(self) -> None:
        if not self._restored:
            self._restored = True
            self._shelf.restored(self._before)

    def end(self) -> None:
        self._shelf.keep_only(self._keys, self._uids, self._version)


def _name(raw: Raw) -> str:
    # One string for a node, its record and all that is kept of them: the planner looks them up by
    # the thousand, and need not read the same name twice to see that it is.
    return sys.intern(raw["metadata"]["name"])


def _for_node(item: Job | Pod) -> str:
    return item.for_node


def _stirs(state: CNINodeState) -> bool:
    """Whether something is under way on a node, or somebody else's Lease is waited for."""
    return state.status.operation is not None or state.status.reason == HELD


class Store:
    """Everything the planner is shown, and the side notes that live in memory only."""

    def __init__(
        self, config: OperatorConfig, own_node: str, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.config = config
        self.now = now
        self.own_node = own_node
        self.nodes: Shelf[Node] = Shelf(Node.of, _name, cordon.ours)
        self.policies: Shelf[CNIUpgradePolicy] = Shelf(parse_policy, _name)
        self.states: Shelf[CNINodeState] = Shelf(parse_node_state, _name, _stirs)
        self.jobs: Shelf[Job] = Shelf(Job.of, _name)
        self.agents: Shelf[Pod] = Shelf(Pod.of, _name)
        self.proofs: Shelf[Pod] = Shelf(Pod.of, _name)
        self.leases: Shelf[Lease] = Shelf(Lease.of, _name)
        self.rooms: Shelf[Namespace] = Shelf(Namespace.of, _name)
        self._unwritten: dict[str, tuple[str, Unwritten]] = {}
        """By node: the version that a status goes on from, and what stands in it."""
        self.warnings: dict[str, tuple[int, str]] = {}
        """By the uid of a pod or Job: version and text of the newest Warning about it."""
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

    def heard(self, event: Raw) -> bool:
        """A Kubernetes Event about an agent's Job or a pod of ours; True for a new warning."""
        about = event.get("involvedObject") or {}
        if event.get("type") != "Warning" or about.get("kind") not in ("Pod", "Job"):
            return False
        uid, version = about.get("uid", ""), _version(event["metadata"]["resourceVersion"])
        known = self.warnings.get(uid)
        # After a gap of the watch they come in no order.
        if known is not None and known[0] >= version:
            return False
        text = f"{event.get('reason', '')}: {event.get('message', '')}"
        self.warnings[uid] = (version, " ".join(text.split())[:1000])
        return True

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
        self.warnings = {uid: said for uid, said in self.warnings.items() if uid in known}
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
        if not over:
            return []
        ended = {pod.job for pod in self.agents.items.values() if pod.ended}
        return sorted(name for name in over if name not in ended)

    def snapshot(self, now: datetime, looking_since: datetime | None = None) -> Snapshot:
        """The cluster as it is known, as one value."""
        hands_off = self._hands_off()

        def ours(items: Mapping[str, T], node: Callable[[T], str]) -> dict[str, T]:
            # Nearly always all of them, and a copy is a tenth of a look at each.
            if not hands_off:
                return dict(items)
            return {key: each for key, each in items.items() if node(each) not in hands_off}

        agents: dict[str, list[Pod]] = defaultdict(list)
        for pod in ours(self.agents.items, _for_node).values():
            agents[pod.job].append(pod)
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
            agents=agents,
            proofs=ours(self.proofs.items, _for_node),
            warnings={uid: text for uid, (_, text) in self.warnings.items()},
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
