"""A rollout whose controller dies before and after each of its writes, against a real API server.

Nodes are drained before the change or after it, one in three is made worse by it and put back, and
in the end the policy is deleted and gives back what it changed. The controller's parts are made
anew for each life, in this process, and each write ends two of them: the first that is about to
write it dies before, the next that is dies with the answer on its way, whatever other nodes wrote
in between. What it knew is gone, what it wrote stays. The same write is not deadly a third time: a
proof pod is added and deleted again by each life that finds none, as long as no life lives to
record what it showed. Here it is a few nodes; `make kills` plays twenty (long_kills.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import TOO_MANY_REQUESTS
from random import Random
from typing import Any

import yaml

from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.reconcile_loop import ReconcileLoop
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.interface import KubeError, Listed, Object
from cni_upgrade.kube.resources import NODE_STATES, NODES, POLICIES, Resource
from cni_upgrade.planner.world.operator_config import OperatorConfig, parse
from tests.api.controllers import POLICIES as POLICY_PATH
from tests.api.controllers import World, given_back
from tests.api.nodes import Fleet

MOST = 3
"""maxUnavailable and maxParallel of every rollout here."""

STUCK = 120
"""Seconds without a write after which a rollout is given up: an idle one waits for a proof, 15 s at
most; what a busy machine needs for all of it says nothing."""


IDLE = 3.0
"""Seconds of a life after which it is asked whether there is anything left to do."""

Over = Callable[[], Awaitable[bool]]


class DeathError(Exception):
    """The process is gone."""


@dataclass
class Fate:
    """When one life ends."""

    writes: int
    """It dies at this write, counted from 1."""
    after: bool | None
    """With the answer on its way, and not before the request; None: before one that no life has
    died before, after one that none has died after, and at no other."""


Death = tuple[str, bool]
"""The write around which a life has ended, and whether after it."""

_VERSION = re.compile(r'"resourceVersion": "\d+"')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ID = re.compile(r"-[0-9a-f]{20}\b")


def same(what: str, *about: object) -> str:
    """A write, alike in each life that makes it: times and resourceVersions are a life's own, and
    so is the id of an operation that no record has yet."""
    lifes_own = [_VERSION, _TIME]
    if what.startswith(f"patch {NODE_STATES.plural}"):
        lifes_own.append(_ID)
    text = json.dumps((what, about), sort_keys=True)
    for each in lifes_own:
        text = each.sub("", text)
    return text


@dataclass
class Past:
    """What all lives so far have done."""

    done: Counter[str] = field(default_factory=Counter)
    """Writes that the API server has answered, by what they were."""
    landed: set[str] = field(default_factory=set)
    """The same, each by itself."""
    deaths: set[Death] = field(default_factory=set)


class Mortal:
    """Kube for one life. In lives that are to make one write, no other is on its way meanwhile."""

    def __init__(self, client: Client, fate: Fate, past: Past, lone: bool) -> None:
        self._client = client
        self._fate = fate
        self._past = past
        self._places = asyncio.Semaphore(1 if lone else 10)
        self._random = Random()  # noqa: S311
        self._begun = 0
        self.dead = False

    def _alive(self) -> None:
        if self.dead:
            raise DeathError

    def _death(self, write: str) -> Death | None:
        """How this life may end around a write; None where it is not deadly any more."""
        if self._fate.after is not None:
            return write, self._fate.after
        deaths = ((write, False), (write, True))
        return next((death for death in deaths if death not in self._past.deaths), None)

    def _die(self, death: Death) -> None:
        self._past.deaths.add(death)
        self.dead = True

    async def _write(self, what: str, asked: Any, *about: object) -> Any:
        write = same(what, *about)
        # Which of those that are due comes first is chance: nodes go side by side.
        await asyncio.sleep(self._random.random() * 0.01)
        async with self._places:
            death = None
            try:
                self._alive()
                if death := self._death(write):
                    self._begun += 1
                    if self._begun != self._fate.writes:
                        death = None
                if death and not death[1]:
                    self._die(death)
                    raise DeathError
            except DeathError:
                asked.close()
                raise
            try:
                answer = await asked
            except KubeError:
                if death:  # it was refused: the next one is the one to die after
                    self._begun -= 1
                raise
            self._past.done[what] += 1
            self._past.landed.add(write)
            if death:
                self._die(death)
            self._alive()
            return answer

    async def list(self, resource: Resource, namespace: str | None = None, **query: str) -> Listed:
        self._alive()
        return await self._client.list(resource, namespace, **query)

    async def pages(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> AsyncIterator[Listed]:
        self._alive()
        async for page in self._client.pages(resource, namespace, **query):
            yield page

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        version: str,
        seconds: int,
        **query: str,
    ) -> AsyncIterator[Object]:
        self._alive()
        async for event in self._client.watch(resource, namespace, version, seconds, **query):
            yield event

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self._alive()
        return await self._client.get(resource, namespace, name)

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        asked = self._client.create(resource, namespace, body)
        about: Object = body.get("involvedObject") or body["metadata"]
        key = about.get("name"), body.get("reason")
        made: Object = await self._write(f"create {resource.plural}", asked, key)
        return made

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Object, sub: str = ""
    ) -> Object:
        asked = self._client.patch(resource, namespace, name, body, sub)
        what = f"patch {resource.plural} {sub}".strip()
        patched: Object = await self._write(what, asked, name, body)
        return patched

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, propagation: str
    ) -> Object:
        asked = self._client.delete(resource, namespace, name, uid, propagation)
        left: Object = await self._write(f"delete {resource.plural}", asked, name)
        return left

    async def evict(self, namespace: str, name: str, uid: str) -> None:
        await self._write("evict", self._client.evict(namespace, name, uid), name)

    async def allowed(
        self, verb: str, resource: Resource, namespace: str | None, sub: str = "", name: str = ""
    ) -> bool:
        return True


@dataclass
class Seen:
    """Every version of every node and record, in the order of the API server."""

    cordoned: set[str] = field(default_factory=set)
    changing: set[str] = field(default_factory=set)
    most_cordoned: int = 0
    most_changing: int = 0
    cordons: Counter[str] = field(default_factory=Counter)
    """How often each node was cordoned."""
    operations: dict[str, set[str]] = field(default_factory=dict)
    """By node: the ids of the changes that were begun."""

    def node(self, raw: Object) -> None:
        name = raw["metadata"]["name"]
        before = name in self.cordoned
        (self.cordoned.add if raw["spec"].get("unschedulable") else self.cordoned.discard)(name)
        if name in self.cordoned and not before:
            self.cordons[name] += 1
        self.most_cordoned = max(self.most_cordoned, len(self.cordoned))

    def state(self, raw: Object) -> None:
        name = raw["metadata"]["name"]
        operation = (raw.get("status") or {}).get("operation") or {}
        changes = operation.get("kind", "audit") != "audit"
        (self.changing.add if changes else self.changing.discard)(name)
        if changes:
            self.operations.setdefault(name, set()).add(operation["id"])
        self.most_changing = max(self.most_changing, len(self.changing))


@asynccontextmanager
async def watched(client: Client) -> AsyncIterator[Seen]:
    """What happens from now on; when the block ends, all of it was seen."""
    seen = Seen()

    async def follow(resource: Resource, take: Any) -> None:
        version = (await client.list(resource)).resource_version
        while True:
            try:
                async for event in client.watch(resource, None, version, 3000):
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] == "BOOKMARK":
                        continue
                    assert event["type"] in ("ADDED", "MODIFIED", "DELETED")
                    take(event["object"])
                return
            except KubeError as error:
                # A kind that was installed a moment ago is not watched yet ("storage is
                # (re)initializing"); from that version on nothing is missed.
                if error.status != TOO_MANY_REQUESTS:
                    raise
                await asyncio.sleep(0.2)

    tasks = [
        asyncio.create_task(follow(NODES, seen.node)),
        asyncio.create_task(follow(NODE_STATES, seen.state)),
    ]
    await asyncio.sleep(0.5)
    try:
        yield seen
        await asyncio.sleep(0.5)
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


class Rollout:
    """A rollout, life after life, until it is over."""

    def __init__(self, client: Client, config: OperatorConfig) -> None:
        self.client = client
        self.config = config
        self.lives = 0
        self.past = Past()

    async def live(self, fate: Fate, lone: bool, over: Over) -> bool:
        """One life until it dies; False where it has nothing to write and the rollout is over."""
        self.lives += 1
        kube = Mortal(self.client, fate, self.past, lone)
        store = ClusterStore(self.config, "")
        recorder = EventRecorder(kube)
        executor = Executor(kube, store, recorder)
        metrics = Metrics(self.client, executor, recorder, lambda: True)
        loop = ReconcileLoop(kube, store, executor, metrics, lambda: True)
        looked = time.monotonic()
        try:
            while time.monotonic() < looked + IDLE or not await over():
                if time.monotonic() > looked + IDLE:
                    looked = time.monotonic()
                await loop.resync()
                await loop.once()
                await recorder.send()
                await asyncio.sleep(0.05)
        except DeathError:
            # What was on its way when it died arrives.
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - self._bystanders
        await asyncio.gather(*others, return_exceptions=True)
        return kube.dead

    async def run(self, fates: Any, lone: bool, over: Over) -> None:
        """Until it is over. TimeoutError where it is stuck."""
        me = asyncio.current_task()
        self._bystanders = asyncio.all_tasks() | ({me} if me else set())
        clock = asyncio.get_running_loop()
        async with asyncio.timeout(STUCK) as limit:
            for fate in fates:
                if not await self.live(fate, lone, over):
                    return
                limit.reschedule(clock.time() + STUCK)


def around() -> Any:
    """Before each write, and after it."""
    while True:
        yield Fate(1, after=None)


def at_random(seed: int) -> Any:
    random = Random(seed)  # noqa: S311
    while True:
        yield Fate(random.randint(1, 12), after=random.random() < 0.5)


async def test_killed_before_and_after_every_write(world: World, fleet: Fleet) -> None:
    await play(world, fleet, "around", 3)


def kind(number: int) -> dict[str, Any]:
    """Deleting pods works only after the change; or before it too; or only before it."""
    kinds: list[dict[str, Any]] = [
        {"version": None},
        {"version": "0.4.0"},
        {"version": "0.4.0", "surprise": {"1.0.0": (True, False)}},
    ]
    return kinds[number % len(kinds)]


async def play(world: World, fleet: Fleet, how: str, count: int, seed: int = 0) -> None:
    """A whole rollout and the way back, killed all the way, and what must hold of it."""
    nodes = {f"node-{n:02}": kind(n) for n in range(count)}
    worse = {node for node, made in nodes.items() if "surprise" in made}
    good = nodes.keys() - worse
    for node, made in nodes.items():
        await asyncio.to_thread(fleet.add, world.api, node, **made)
    await run_pods(world, fleet, [f"{n}-{node}" for node in nodes for n in ("one", "two")])
    config = parse(yaml.safe_load(world.config.read_text()))
    client = Client(await connect("test", str(world.kubeconfig)))
    began = time.monotonic()
    rollout = Rollout(client, config)
    fates, lone = around() if how == "around" else at_random(seed), how == "around"

    async def rests() -> bool:
        listed = await client.list(NODE_STATES)
        found = [state.get("status") or {} for state in listed.items]
        ended = [s for s in found if s.get("phase") in ("Done", "RolledBack")]
        return len(ended) == count and not any(s.get("operation") for s in ended)

    async def gone() -> bool:
        return not (await client.list(POLICIES)).items

    try:
        async with watched(client) as seen:
            world.policy(
                rollout={"maxUnavailable": MOST, "maxParallel": MOST, "maxFailures": "100%"},
                drain={"policy": "Always"},
                verify={"deadline": "15s"},
                deletionPolicy="Restore",
            )
            await rollout.run(fates, lone, rests)
            check_rollout(world, fleet, seen, nodes)
            assert rollout.past.done["evict"] == 2 * count, "each pod was to be asked once"
            assert not fleet.workloads, "and to leave"
            there = {node: list(fleet.disks[node].writes) for node in nodes}

            await run_pods(world, fleet, [f"new-{node}" for node in nodes])
            world.api.request("DELETE", f"{POLICY_PATH}/cure")
            await rollout.run(fates, lone, gone)
    finally:
        await client.close()
    print(
        f"\n{how}, seed {seed}: {count} nodes, {sum(rollout.past.done.values())} writes, "
        f"{rollout.lives} lives, {time.monotonic() - began:.0f} s; at most {seen.most_cordoned} "
        f"cordoned and {seen.most_changing} changing of {MOST}; {dict(rollout.past.done)}"
    )
    assert rollout.lives > count
    if lone:
        sides = {(write, after) for write in rollout.past.landed for after in (False, True)}
        assert sides <= rollout.past.deaths, "each write was to be cut off on both sides"
    for node, made in nodes.items():
        disk = fleet.disks[node]
        back = [] if node in worse else [f"1.0.0 -> {made['version'] or 'missing'} by restore"]
        assert disk.version == made["version"]
        assert disk.writes == there[node] + back, f"{node} was to be given back once"
        assert world.status(node)["changed"]["restored"] == "Restored"
    assert seen.cordons == Counter({node: 1 + (node in good) for node in nodes})
    assert {node: len(ids) for node, ids in seen.operations.items()} == dict.fromkeys(nodes, 2)
    assert rollout.past.done["evict"] == 2 * count + len(good), (
        "nobody leaves a node that stays as it is"
    )
    assert 0 < seen.most_cordoned <= MOST
    assert 0 < seen.most_changing <= MOST
    assert given_back(world)


async def run_pods(world: World, fleet: Fleet, names: list[str]) -> None:
    """Workloads, each on the node that its name ends with."""
    for name in names:
        await asyncio.to_thread(fleet.run_pod, world.api, name, name.partition("-")[2])


def check_rollout(world: World, fleet: Fleet, seen: Seen, nodes: dict[str, dict[str, Any]]) -> None:
    """What must hold once every node has ended well or was put back."""
    for node, made in nodes.items():
        old, status = made["version"] or "missing", world.status(node)
        writes, kinds, phase = [f"{old} -> 1.0.0 by apply"], ["apply"], "Done"
        if "surprise" in made:
            writes.append(f"1.0.0 -> {old} by restore")
            kinds.append("restore")
            phase = "RolledBack"
        assert fleet.disks[node].writes == writes, f"{node} was to be done once"
        assert (status["phase"], [e["kind"] for e in status["history"]]) == (phase, kinds)
        assert len(seen.operations[node]) == len(kinds)
    assert seen.cordons == Counter(dict.fromkeys(nodes, 1)), "nor cordoned twice"
    applied = [name for name in fleet.agents if name.startswith("apply-")]
    assert len(applied) == len(set(applied)) == len(nodes)
    assert given_back(world)
