"""The parts of the controller, built once for the process, and run while kopf runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import uuid

from aiohttp.web import AppRunner
from kubernetes.aio import client

from cni_upgrade.controller import config_file, emergency_stop, http_server
from cni_upgrade.controller.admission_policies import Admission
from cni_upgrade.controller.clock import Clock
from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.informers import NOTHING, Informers
from cni_upgrade.controller.leader_election import LeaderElection
from cni_upgrade.controller.leader_lease import Election, Timing
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.permissions import Permissions
from cni_upgrade.controller.reconcile_loop import ReconcileLoop
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import NODE_STATES, POLICIES, Resource
from cni_upgrade.planner.world.operator_config import OperatorConfig

log = logging.getLogger("cni_upgrade")

GOODBYE = 1.0  # seconds for the last Events to be told
AGAIN = 1.0  # seconds between two looks for kinds that are not served yet


class Controller:
    """Store, planner loop, executor, election and metrics of one replica."""

    def __init__(
        self, api: client.ApiClient, config: OperatorConfig, arguments: argparse.Namespace
    ) -> None:
        self.api, self._config, self._arguments = api, config, arguments
        self.client = Client(api)
        self.store = ClusterStore(
            config, os.environ.get("NODE_NAME", ""), Clock(self.client.now).now
        )
        self.recorder = EventRecorder(self.client, self.store.now)
        executor = Executor(self.client, self.store, self.recorder)
        self.metrics = Metrics(self.client, executor, self.recorder, lambda: self.leading.leads())
        # Not the pod's name alone: a container that was started again is another one.
        identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:12]}"
        election = Election(identity, Timing.of(arguments.lease_seconds))
        self.leading = LeaderElection(
            self.client, config.namespaces.system, election, lambda: self.loop.elected()
        )
        self.client.fence = self.leading.left
        self.loop = ReconcileLoop(
            self.client, self.store, executor, self.metrics, self.leading.leads
        )
        self.permissions = Permissions(
            self.client, self.store, self.client.doubted, self.loop.relist
        )
        self.listed_at: dict[str, float] = {}
        """By plural: when kopf last handed on an object of a list, on the monotonic clock."""
        self.ended = asyncio.Event()
        """Set when there is a reason to end, which `outcome` raises; kopf stops on it."""
        self._runner: AppRunner | None = None
        self._running: asyncio.Task[None] | None = None

    def __copy__(self) -> Controller:
        """kopf copies its memo for each object; all of them share this one."""
        return self

    async def serve(self) -> None:
        """Serve metrics and readiness. Raises PortError where a port of the host is taken."""
        http_server.check(self._arguments.health_port)
        self._runner = await http_server.serve(
            self._arguments.metrics_port, self._unready, self.metrics.page
        )

    def start(self) -> None:
        """Begin all that runs in the background."""
        self._running = asyncio.create_task(self._run(), name="controller")
        self._running.add_done_callback(lambda _: self.ended.set())

    async def kinds_served(self) -> None:
        """Wait until both kinds of ours are served.

        kopf looks once, at its start, which kinds there are: those that come later it never hears.
        """
        for kind in (POLICIES, NODE_STATES):
            while not await self._served(kind):  # noqa: ASYNC110 - the API server is asked
                await asyncio.sleep(AGAIN)

    async def _served(self, kind: Resource) -> bool:
        try:
            await self.client.list(kind, fieldSelector=NOTHING)
        except KubeError as error:
            # Whatever else is wrong, kopf asks again until it has an answer.
            return not error.gone
        return True

    async def stop(self) -> None:
        """End what `start` began."""
        if self._running is not None and not self._running.done():
            log.info("told to end")
            self._running.cancel()
            await asyncio.wait([self._running])

    async def close(self) -> None:
        """Close the listening port and the connections."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self.client.close()

    def outcome(self) -> None:
        """Raise the error of our own that ended the background, if one did."""
        running = self._running
        if running is not None and running.done() and not running.cancelled():
            running.result()

    async def _run(self) -> None:
        """Run until cancelled, or until the operator's configuration is another one."""
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self.permissions.run()),
                tasks.create_task(lead(self.permissions, self.leading, self.loop, self.recorder)),
                tasks.create_task(emergency_stop.follow(self.client, self.store, self.loop.wake)),
                tasks.create_task(Admission(self.client, self.metrics.loose).run()),
                tasks.create_task(self._informers().run()),
            ]
            await config_file.changed(self._arguments.config, self._config)
            log.info("the configuration was changed: the process ends, its next start reads it")
            for task in background:
                task.cancel()

    def _unready(self) -> str:
        return unready(self.permissions, self.leading, self.loop, self.store)

    def _informers(self) -> Informers:
        async def ready() -> None:
            await self.permissions.granted.wait()
            await self.loop.listed.wait()

        return Informers(self.client, self.store, self.loop.wake, self.loop.relist, ready)


async def lead(
    permissions: Permissions, leading: LeaderElection, loop: ReconcileLoop, recorder: EventRecorder
) -> None:
    """Run until cancelled; nothing of ours is written any more when the lease is released."""

    async def stand() -> None:
        # A replica that does not know yet whether it may end what it begins does not lead.
        await permissions.asked.wait()
        await leading.run()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stand())
            tasks.create_task(recorder.run())
            tasks.create_task(loop.run())
    finally:
        with contextlib.suppress(KubeError, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await recorder.send()
        recorder.end()
        await leading.release()


def unready(
    permissions: Permissions, leading: LeaderElection, loop: ReconcileLoop, store: ClusterStore
) -> str:
    """Return why the cluster is not seen or not acted on; empty where it is."""
    if unknown := permissions.unknown():
        return unknown
    if store.denied:
        return f"missing rights: {', '.join(store.denied)}"
    # A replica that waits for the lease is ready too: it could take over.
    return leading.waits() or loop.ready()
