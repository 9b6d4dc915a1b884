"""The pure planner alone, over everything that is in a cluster at that moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.reconcile_loop import ReconcileLoop
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.planner.pass_cache import PassCache
from cni_upgrade.planner.plan import plan
from cni_upgrade.planner.world.operator_config import OperatorConfig


async def plan_times(kubeconfig: Path, config: OperatorConfig, times: int) -> list[float]:
    """Seconds of the pure planner over everything that is there now.

    As in one process: the first plan knows of nothing, those after it what it has left to them.
    """
    client = Client(await connect("bench", str(kubeconfig)))
    try:
        store = ClusterStore(config, "")
        recorder = EventRecorder(client)
        executor = Executor(client, store, recorder)
        metrics = Metrics(client, executor, recorder, lambda: False)
        await ReconcileLoop(client, store, executor, metrics, lambda: False).resync()
    finally:
        await client.close()
    world = store.snapshot(datetime.now(UTC))
    found, memory = [], PassCache()
    for _ in range(times):
        began = time.perf_counter()
        plan(world, memory)
        found.append(time.perf_counter() - began)
    return found
