"""Jobs that nobody decides on: how many a second the control plane itself carries out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cni_upgrade.fleet.config import OperatorConfig
from cni_upgrade.fleet.workloads import agent_job
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.resources import JOBS, PODS
from cni_upgrade.node.operation import Kind, Operation, Target
from tests.api.server import Server
from tests.api.spaces import AGENTS, pods
from tests.api.waiting import eventually
from tests.bench.answers import RUNTIME
from tests.bench.figures import Case

_JOBS = f"/apis/batch/v1/namespaces/{AGENTS}/jobs"

Object = dict[str, Any]


def job_rate(api: Server, kubeconfig: Path, config: OperatorConfig, case: Case) -> float:
    """Jobs a second that the control plane carries out with so many at a time."""
    bodies = [_body(number, config, case) for number in range(case.jobs)]
    seconds = asyncio.run(_carry_out(kubeconfig, bodies, case.parallel))
    api.request("DELETE", f"{_JOBS}?propagationPolicy=Background")
    patience = 60 + case.jobs
    eventually(
        lambda: not api.request("GET", pods(AGENTS)).body["items"],
        "their pods go",
        patience,
        pause=0.5,
    )
    return case.jobs / seconds


def _body(number: int, config: OperatorConfig, case: Case) -> Object:
    operation = Operation(
        id=f"{Kind.AUDIT}-{number:020x}",
        kind=Kind.AUDIT,
        node=f"node-{number % case.nodes:05}",
        runtime=RUNTIME,
        target=Target(),
    )
    return agent_job(operation.id, operation, config.auto, config, cache=False)


async def _carry_out(kubeconfig: Path, bodies: Sequence[Object], parallel: int) -> float:
    """Seconds for these Jobs, each begun as soon as the pod of one before it has ended.

    What the controller does beside them is not there: the API server is asked for a Job, and it
    is heard when its pod has ended. Raises TimeoutError where that takes a second a Job.
    """
    client = Client(await connect("bench", str(kubeconfig)))
    began = time.monotonic()
    free, heard = asyncio.Semaphore(parallel), set[str]()

    def note(pod: Object) -> None:
        name = pod["metadata"]["name"]
        if pod["status"].get("phase") in ("Succeeded", "Failed") and name not in heard:
            heard.add(name)
            free.release()

    async def listen() -> None:
        while len(heard) < len(bodies):
            # An API server ends the watch of who is slow to read, without a word.
            listed = await client.list(PODS, AGENTS)
            for pod in listed.items:
                note(pod)
            async for event in client.watch(PODS, AGENTS, listed.resource_version, 3600):
                if event["type"] != "BOOKMARK":
                    note(event["object"])
                if len(heard) == len(bodies):
                    break

    async def make(body: Object) -> None:
        await client.create(JOBS, AGENTS, body)

    try:
        async with asyncio.timeout(60 + len(bodies)), asyncio.TaskGroup() as group:
            listening = group.create_task(listen())
            for body in bodies:
                await free.acquire()
                group.create_task(make(body))
            await listening
            return time.monotonic() - began
    finally:
        await client.close()
