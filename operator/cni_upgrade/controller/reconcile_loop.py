"""The planner loop: news or a tick, one snapshot, one plan, carried out; then again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from cni_upgrade.controller.cluster_store import ClusterStore, at_steps
from cni_upgrade.controller.config_sources import Sources
from cni_upgrade.controller.daemonsets import DaemonSets
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.informers import PROOFS_ONLY, kinds
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.observation_gap import ObservationGap
from cni_upgrade.controller.parallel_reads import Reads
from cni_upgrade.kube.interface import Kube, KubeError, tried
from cni_upgrade.kube.resources import LEASES, NAMESPACES, PODS, POLICIES
from cni_upgrade.planner.node.node_lease import HELD
from cni_upgrade.planner.node.proof_pods import hangs
from cni_upgrade.planner.node.stuck_pods import wants_pods
from cni_upgrade.planner.pass_cache import PassCache
from cni_upgrade.planner.plan import plan
from cni_upgrade.planner.status.policy_status import COUNTED
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.errors import NONSENSE, why
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.phases import EMPTYING, PROVING
from cni_upgrade.planner.world.snapshot import Snapshot

log = logging.getLogger(__name__)

LEAST_PAUSE, MOST_PAUSE = 0.05, 1.0
"""Seconds after the first news of many: events come in bursts, one pass answers them all."""
PAUSES_TO_PASSES = 3.0
"""Between two passes lies so many times what deciding cost last: a quarter of a core goes into it,
and more only where the longest pause is too short for that."""
BUSY_TICK = 2.0  # seconds: while a node is worked on, deadlines and drains are looked at
IDLE_TICK = 30.0  # seconds
RESYNC, MOST_RESYNC = 300.0, 600.0
"""Seconds between two whole lists: the least of it, where they take little, and the most."""
RESYNCS_TO_LISTS = 50.0
"""Between them lies so many times what they took last: no pass is made meanwhile, and in a fleet of
5,000 nodes at work they took 12 s on two slow cores."""
PROOFS_AGAIN = 10.0  # seconds between two lists of proof pods that nothing is held against yet
STALE = 120.0  # seconds without any progress: the loop hangs, liveness says so


def resync_after(took: float) -> float:
    """Seconds to the next whole lists after some that took so many."""
    return min(max(RESYNC, RESYNCS_TO_LISTS * took), MOST_RESYNC)


def pause(cost: float, ago: float, heard: float) -> float:
    """Seconds to wait for more news after a pass that took so many seconds of CPU to decide, and
    has done so so many seconds ago: what it wrote since then took its time as well. `heard`: the
    first news came so many seconds ago."""
    return max(min(PAUSES_TO_PASSES * cost, MOST_PAUSE) - ago, LEAST_PAUSE - heard, 0.0)


class ReconcileLoop:
    """Decides and acts, over and over; killed anywhere, the next process goes on."""

    def __init__(
        self,
        kube: Kube,
        store: ClusterStore,
        executor: Executor,
        metrics: Metrics,
        leads: Callable[[], bool],
    ) -> None:
        """`leads`: whether this replica is the one that plans and writes."""
        self._reads = Reads(kube, self._read)
        self._leads = leads
        self._store = store
        self._executor = executor
        self._metrics = metrics
        self._sources = Sources(self._reads, store)
        self._daemonsets = DaemonSets(self._reads)
        self._memory = PassCache()
        self._attention = ObservationGap()
        self._news = asyncio.Event()
        self._heard = 0.0
        """When the first of it came, on the monotonic clock."""
        self._failures = 0
        self._wrong = ""
        # On the monotonic clock: a node whose time is set right is no hung controller.
        self._beat = time.monotonic()
        self._passed: float | None = None
        self._due = 0.0
        self._proofs_due = 0.0
        self._cost = self._decided = 0.0
        """Seconds of CPU that deciding took last, and when that was, on the monotonic clock."""
        self._outdated = False
        """The lease was won or lost since the last whole lists were begun."""
        self.listed = asyncio.Event()
        """Set while the store was healed by whole lists since the last trouble."""

    def moved(self) -> None:
        """A request of ours is over, or is to be sent again. An API server that is slow, busy or
        away is no reason to begin a new process, which would ask it for everything again.
        """
        self._beat = time.monotonic()

    def _read(self) -> None:
        """The API server has shown something: it may be slow, and we are not away."""
        self._attention.hears(self._store.now())

    def wake(self) -> None:
        """There is news: plan soon."""
        if not self._news.is_set():
            self._heard = time.monotonic()
        self._news.set()

    def relist(self) -> None:
        """What is known may be old: list everything before the next plan."""
        self.listed.clear()
        self.wake()

    def elected(self) -> None:
        """The lease was won, lost, or both: another replica may have written meanwhile, and what
        was read and planned before that is not acted on."""
        self._outdated = True
        self._executor.drop()
        self.relist()

    def ready(self) -> str:
        """Empty while the cluster is seen and acted on, else what is wrong."""
        if self._wrong:
            return f"the last pass ended in an error of our own, the log has it: {self._wrong}"
        if self._passed is None:
            return "the cluster has not been listed yet"
        idle = time.monotonic() - self._passed
        return "" if idle < STALE else f"no pass was finished for {idle:.0f} s"

    def alive(self) -> str:
        """Empty while the loop turns, if only against an API server that is away."""
        idle = time.monotonic() - self._beat
        return "" if idle < STALE else f"the loop has not moved for {idle:.0f} s"

    async def run(self) -> None:
        """Until cancelled. What goes wrong in a pass is logged and tried again.

        A mistake of our own too: a process that ends over it begins again with the same cluster,
        and ends again, while cordons stay and nothing that is under way comes to its end.
        """
        tried.set(self.moved)
        while True:
            self._news.clear()
            self._attention.starts()
            try:
                if not self.listed.is_set() or time.monotonic() >= self._due:
                    await self.resync()
                await self.once()
                self._failures, self._wrong = 0, ""
            except KubeError as error:
                self._failures += 1
                log.warning("the pass was given up: %s", error)
                if error.unreachable:
                    # Watches are interrupted too: what was deleted meanwhile is not told.
                    self.listed.clear()
            except Exception as error:
                self._failures += 1
                self._wrong = f"{type(error).__name__}: {error}"
                self._metrics.failed()
                log.exception("the pass was given up over an error of our own")
            self.moved()
            try:
                async with asyncio.timeout(self.tick()):
                    await self._news.wait()
            except TimeoutError:
                continue
            # One that was given up is not tried again sooner for having been slow.
            now = time.monotonic()
            ago = 0.0 if self._failures else now - self._decided
            await asyncio.sleep(pause(self._cost, ago, now - self._heard))

    def tick(self) -> float:
        """Seconds until the next pass where there is no news."""
        if self._failures:
            return min(BUSY_TICK * 2.0 ** min(self._failures - 1, 10), IDLE_TICK)
        states = self._store.states.stirring.values()
        now = self._store.now()
        # Counts that were put off would otherwise be old until there is news.
        late = any(now - at <= COUNTED for at in self._store.told.values())
        busy = self._leads() and (late or any(s.status.operation for s in states))
        return BUSY_TICK if busy else IDLE_TICK

    async def resync(self) -> None:
        """Heal the store from whole lists, and with it what passes remember."""
        store, self._memory, began = self._store, PassCache(), time.monotonic()
        self._outdated = False
        if store.denied:
            # Policies are where the missing rights are said; of the rest, nothing is done.
            await self._list_told()
            return
        await store.policies.replace(self._reads.list(POLICIES))
        # First: whether anything may begin is known before what could.
        room = f"metadata.name={store.config.namespaces.agents}"
        await store.rooms.replace(self._reads.list(NAMESPACES, fieldSelector=room))
        for kind in kinds(store):
            if self._outdated:
                return
            await kind.replace(self._reads)
        await self._list_leases()
        if self._outdated:
            return
        now = time.monotonic()
        self._due = now + resync_after(now - began)
        self.listed.set()
        store.forget(store.now())

    async def once(self) -> None:
        """One pass: look where it matters, plan, carry out. A replica that waits only looks."""
        if not self._leads():
            self._metrics.follow(len(self._store.denied))
            self._passed = time.monotonic()
            return
        if not self._store.denied:
            await self._list_pods()
            if self._leases_matter():
                await self._list_leases()
            await self._sources.look(time.monotonic())
            await self._list_answers()
        # What is late by now is looked at first, so it is the now of the plan as well.
        now = self._store.now()
        if not self._store.denied:
            await self._list_proofs(now)
        if self._outdated:
            return
        began = time.thread_time()
        world = self._store.snapshot(now, self._attention.begins(now))
        self._cost = time.thread_time() - began
        # In a thread: whatever policies ask for, the lease is renewed and probes are answered.
        turns = await asyncio.to_thread(self._decide, world)
        if self._outdated:
            return
        done = await self._executor.carry_out(turns, world)
        unreadable = [*self._store.policies.unreadable, *self._store.states.unreadable]
        self._metrics.observe(world, len(unreadable))
        if self._executor.silent:
            raise KubeError(0, "NoAnswer", "the API server does not answer")
        self._attention.ends(self._store.now())
        self._passed = time.monotonic()
        if turns and done:
            # What was written may allow more, and our own writes bring no news.
            self.wake()

    def _decide(self, world: Snapshot) -> tuple[Batch, ...]:
        began = time.thread_time()
        try:
            with self._metrics.planning():
                return plan(world, self._memory)
        finally:
            self._cost += time.thread_time() - began
            self._decided = time.monotonic()

    async def _list_told(self) -> None:
        """The policies, or those known already where listing them is what is refused."""
        try:
            await self._store.policies.replace(self._reads.list(POLICIES))
        except KubeError as error:
            if error.status != 403:
                raise

    def _leases_matter(self) -> bool:
        """Whether a node waits for a Lease to be given back, or may have to: one that has nothing
        of ours but the cordon, which somebody who drains it now may go by, has no record of that.
        """
        store, at_work = self._store, self._store.states.stirring
        return bool(store.config.lease_namespace) and (
            any(each.status.reason == HELD for each in at_work.values())
            or any(name not in at_work for name in store.nodes.stirring)
        )

    async def _list_leases(self) -> None:
        """They are not watched: ours are known, and others' matter while a node waits for one."""
        if space := self._store.config.lease_namespace:
            await self._store.leases.replace(self._reads.list(LEASES, space))

    async def _list_pods(self) -> None:
        """Pods are not watched cluster-wide: only those of a few nodes are of interest."""
        states = self._store.states.stirring
        drained = at_steps(states.values(), *EMPTYING)
        wanted = sorted(name for name, s in states.items() if wants_pods(s))
        pods: dict[str, tuple[Pod, ...]] = {}
        unlisted: dict[str, str] = {}

        async def one(name: str) -> None:
            try:
                pods[name] = await self._pods_of(name)
            except KubeError as error:
                if error.status == 0:
                    raise
                unlisted[name] = error.message
            except NONSENSE as error:
                unlisted[name] = why(error)

        try:
            async with asyncio.TaskGroup() as tasks:
                for name in wanted:
                    tasks.create_task(one(name))
        except* KubeError as group:
            raise group.exceptions[0] from None
        for name in [each for each in wanted if each in drained and each in pods]:
            # One after the other: an answer about a DaemonSet is good for all nodes.
            pods[name] = await self._daemonsets.judged(pods[name], time.monotonic())
        for name in unlisted.keys() - self._store.unlisted.keys():
            log.warning("%s: its pods could not be listed: %s", name, unlisted[name])
        self._store.node_pods, self._store.unlisted = pods, unlisted

    async def _pods_of(self, node: str) -> tuple[Pod, ...]:
        listed = await self._reads.list(PODS, fieldSelector=f"spec.nodeName={node}")
        return tuple(Pod.of(raw) for raw in listed.items)

    async def _list_proofs(self, now: datetime) -> None:
        """Proof pods are looked at, and not only heard of, before anything is held against one.

        A watch that lags or has lost a deletion would make a pod that went look like one that
        hangs. That is judged when its time is over; until then a list now and then will do, for
        a watch that is dead.
        """
        store = self._store
        proving = [
            operation
            for state in store.states.stirring.values()
            if (operation := state.status.operation) is not None and operation.step in PROVING
        ]
        if not proving:
            return
        late = any(each.deadline is not None and now >= each.deadline for each in proving)
        late = late or any(hangs(pod, now) for pod in store.proofs.items.values())
        if late or time.monotonic() >= self._proofs_due:
            space = store.config.namespaces.proof
            await store.proofs.replace(self._reads.list(PODS, space, labelSelector=PROOFS_ONLY))
            self._proofs_due = time.monotonic() + PROOFS_AGAIN

    async def _list_answers(self) -> None:
        """The pods of Jobs that have ended, where no answer was heard: it may only look lost."""
        store = self._store
        for job in store.unanswered():
            # Not batch.kubernetes.io/job-name, which control planes before 1.27 do not write.
            selector = f"job-name={job}"
            space = store.config.namespaces.agents
            listed = await self._reads.list(PODS, space, labelSelector=selector)
            for raw in listed.items:
                store.agents.put(raw)
