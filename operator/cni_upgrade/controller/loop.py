"""The planner loop: news or a tick, one snapshot, one plan, carried out; then again."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.store import Store, draining
from cni_upgrade.fleet.objects import Pod
from cni_upgrade.fleet.planner import plan
from cni_upgrade.kube.port import Kube, KubeError
from cni_upgrade.kube.resources import JOBS, NODE_STATES, NODES, PODS, POLICIES

log = logging.getLogger(__name__)

DEBOUNCE = 0.3  # seconds: events come in bursts, one pass answers them all
BUSY_TICK = 2.0  # seconds: while a node is worked on, deadlines and drains are looked at
IDLE_TICK = 30.0  # seconds
RESYNC = timedelta(minutes=5)
STALE = 120.0  # seconds without a finished pass: the loop hangs, liveness says so


class Loop:
    """Decides and acts, over and over; killed anywhere, the next process goes on."""

    def __init__(self, kube: Kube, store: Store, executor: Executor, metrics: Metrics) -> None:
        self._kube = kube
        self._store = store
        self._executor = executor
        self._metrics = metrics
        self._news = asyncio.Event()
        self._listed: datetime | None = None
        self._passed: datetime | None = None

    def wake(self) -> None:
        """There is news: plan soon."""
        self._news.set()

    @property
    def ready(self) -> bool:
        """The cluster was listed and a pass was finished."""
        return self._passed is not None

    def alive(self, now: datetime) -> str:
        """Empty while the loop turns, else what is wrong."""
        if self._passed is None:
            return ""
        idle = (now - self._passed).total_seconds()
        return "" if idle < STALE else f"no pass was finished for {idle:.0f} s"

    async def run(self) -> None:
        """Until cancelled. What the API server refuses is logged and tried again."""
        while True:
            self._news.clear()
            now = datetime.now(UTC)
            try:
                if self._listed is None or now - self._listed >= RESYNC:
                    await self.resync()
                await self.once()
            except KubeError as error:
                log.warning("the pass was given up: %s", error)
            busy = any(s.status.operation for s in self._store.states.items.values())
            tick = BUSY_TICK if busy else IDLE_TICK
            try:
                async with asyncio.timeout(tick):
                    await self._news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(DEBOUNCE)

    async def resync(self) -> None:
        """Heal the store from whole lists."""
        spaces = self._store.config.namespaces
        if self._store.denied:
            return
        self._store.nodes.replace(await self._kube.list(NODES))
        self._store.policies.replace(await self._kube.list(POLICIES))
        self._store.states.replace(await self._kube.list(NODE_STATES))
        self._store.jobs.replace(await self._kube.list(JOBS, spaces.agents))
        self._store.agents.replace(await self._kube.list(PODS, spaces.agents))
        self._store.proofs.replace(await self._kube.list(PODS, spaces.proof))
        self._listed = datetime.now(UTC)
        self._store.forget(self._listed)

    async def once(self) -> None:
        """One pass: list what drains, plan, carry out."""
        await self._list_draining()
        now = datetime.now(UTC)
        world = self._store.snapshot(now)
        with self._metrics.planning():
            turns = plan(world)
        done = await self._executor.carry_out(turns)
        self._metrics.observe(world)
        self._passed = datetime.now(UTC)
        if turns and done:
            # What was written may allow more, and our own writes bring no news.
            self.wake()

    async def _list_draining(self) -> None:
        """Pods are not watched cluster-wide: only a draining node's are of interest."""
        wanted = draining(self._store.states.items.values())
        pods: dict[str, tuple[Pod, ...]] = {}
        for name in sorted(wanted):
            listed = await self._kube.list(PODS, fieldSelector=f"spec.nodeName={name}")
            pods[name] = tuple(Pod.of(raw) for raw in listed.items)
        self._store.node_pods = pods
