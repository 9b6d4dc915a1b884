"""A rollout whose controller dies before and after each of its writes, against a real API server.

In this process the controller's parts are made anew for each life, and every life makes one write
at most: it dies as it is about to write, or with the answer on its way. What it knew is gone, what
it wrote stays. Here it is a few nodes; `make kills` plays twenty (long_kills.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import yaml

from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.loop import Loop
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.recorder import Recorder
from cni_upgrade.controller.store import Store
from cni_upgrade.fleet.config import OperatorConfig, parse
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.port import Listed, Object
from cni_upgrade.kube.resources import NODE_STATES, NODES, POLICIES, Resource
from tests.api.controllers import World, given_back
from tests.api.nodes import Fleet

MOST = 3
"""maxUnavailable and maxParallel of every rollout here."""


class DeathError(Exception):
    """The process is gone."""


@dataclass
class Fate:
    """When one life ends."""

    writes: int
    """It dies at this write, counted from 1."""
    after: bool
    """With the answer on its way, and not before the request."""


class Mortal:
    """Kube for one life. In lives that make one write, no other is on its way meanwhile."""

    def __init__(self, client: Client, fate: Fate, done: Counter[str], lone: bool) -> None:
        self._client = client
        self._fate = fate
        self._done = done
        self._places = asyncio.Semaphore(1 if lone else 10)
        self._random = Random()  # noqa: S311
        self._begun = 0
        self.dead = False

    def _alive(self) -> None:
        if self.dead:
            raise DeathError

    async def _write(self, what: str, asked: Any) -> Any:
        # Which of those that are due comes first is chance: nodes go side by side.
        await asyncio.sleep(self._random.random() * 0.01)
        async with self._places:
            try:
                self._alive()
                self._begun += 1
                last = self._begun == self._fate.writes
                if last and not self._fate.after:
                    self.dead = True
                    raise DeathError
            except DeathError:
                asked.close()
                raise
            answer = await asked
            self._done[what] += 1
            if last:
                self.dead = True
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
        made: Object = await self._write(f"create {resource.plural}", asked)
        return made

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Object, sub: str = ""
    ) -> Object:
        asked = self._client.patch(resource, namespace, name, body, sub)
        patched: Object = await self._write(f"patch {resource.plural} {sub}".strip(), asked)
        return patched

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, propagation: str
    ) -> Object:
        asked = self._client.delete(resource, namespace, name, uid, propagation)
        left: Object = await self._write(f"delete {resource.plural}", asked)
        return left

    async def evict(self, namespace: str, name: str, uid: str) -> None:
        await self._write("evict", self._client.evict(namespace, name, uid))

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
        listed = await client.list(resource)
        async for event in client.watch(resource, None, listed.resource_version, 3000):
            if event["type"] == "BOOKMARK":
                continue
            assert event["type"] in ("ADDED", "MODIFIED", "DELETED")
            take(event["object"])

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
    """A rollout, life after life, until the policy says that it is over."""

    def __init__(self, client: Client, config: OperatorConfig) -> None:
        self.client = client
        self.config = config
        self.lives = 0
        self.done: Counter[str] = Counter()
        """Writes that the API server has answered, by what they were."""

    async def over(self) -> bool:
        listed = await self.client.list(POLICIES)
        conditions = (listed.items[0].get("status") or {}).get("conditions") or []
        return any(c["type"] == "Ready" and c["reason"] == "Enforced" for c in conditions)

    async def live(self, fate: Fate, lone: bool, seconds: float) -> bool:
        """One life until it dies; False where it had nothing to write for so long."""
        self.lives += 1
        kube = Mortal(self.client, fate, self.done, lone)
        store = Store(self.config, "")
        recorder = Recorder(kube)
        executor = Executor(kube, store, recorder)
        loop = Loop(kube, store, executor, Metrics(self.client, executor, recorder), lambda: True)
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
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

    async def run(self, fates: Any, lone: bool, seconds: float) -> None:
        me = asyncio.current_task()
        self._bystanders = asyncio.all_tasks() | ({me} if me else set())
        async with asyncio.timeout(seconds):
            for fate in fates:
                if not await self.live(fate, lone, 3.0) and await self.over():
                    return


def around() -> Any:
    """Before the first write, then after it, and so on with the next."""
    while True:
        yield Fate(1, after=False)
        yield Fate(1, after=True)


def at_random(seed: int) -> Any:
    random = Random(seed)  # noqa: S311
    while True:
        yield Fate(random.randint(1, 12), after=random.random() < 0.5)


async def test_killed_before_and_after_every_write(world: World, fleet: Fleet) -> None:
    await play(world, fleet, "around", 3)


async def play(world: World, fleet: Fleet, how: str, count: int, seed: int = 0) -> None:
    """A whole rollout, killed all the way, and what must hold of it."""
    nodes = [f"node-{n:02}" for n in range(count)]
    await asyncio.to_thread(fleet.add, world.api, *nodes)
    config = parse(yaml.safe_load(world.config.read_text()))
    client = Client(await connect("test", str(world.kubeconfig)))
    began = time.monotonic()
    rollout = Rollout(client, config)
    try:
        async with watched(client) as seen:
            world.policy(rollout={"maxUnavailable": MOST, "maxParallel": MOST})
            fates = around() if how == "around" else at_random(seed)
            await rollout.run(fates, how == "around", 60 + 40 * count)
    finally:
        await client.close()
    print(
        f"\n{how}, seed {seed}: {count} nodes, {sum(rollout.done.values())} writes, "
        f"{rollout.lives} lives, {time.monotonic() - began:.0f} s; at most {seen.most_cordoned} "
        f"cordoned and {seen.most_changing} changing of {MOST}; {dict(rollout.done)}"
    )
    assert rollout.lives > count
    assert {d.version for d in fleet.disks.values()} == {"1.0.0"}
    assert [len(d.writes) for d in fleet.disks.values()] == [1] * count, "no node is done twice"
    assert Counter(seen.cordons) == dict.fromkeys(nodes, 1), "nor cordoned twice"
    assert {n: len(ids) for n, ids in seen.operations.items()} == dict.fromkeys(nodes, 1)
    applied = [name for name in fleet.agents if name.startswith("apply-")]
    assert len(applied) == len(set(applied)) == count
    assert 0 < seen.most_cordoned <= MOST
    assert 0 < seen.most_changing <= MOST
    assert given_back(world)
    for node in nodes:
        status = world.status(node)
        assert (status["phase"], [e["kind"] for e in status["history"]]) == ("Done", ["apply"])
