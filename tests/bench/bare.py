"""Jobs and pods that nobody decides on: how many a second the control plane itself carries out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cni_upgrade.fleet.config import OperatorConfig
from cni_upgrade.fleet.workloads import agent_job, proof_pod
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.resources import JOBS, PODS
from cni_upgrade.node.operation import Kind, Operation, Target
from tests.api.server import Server
from tests.api.spaces import AGENTS, PROOF, pods
from tests.api.waiting import eventually
from tests.bench.answers import RUNTIME
from tests.bench.figures import Case

Object = dict[str, Any]


def job_rate(api: Server, kubeconfig: Path, config: OperatorConfig, case: Case) -> float:
    """Jobs a second that the control plane carries out with so many at a time."""
    bodies = [_body(number, config, case) for number in range(case.jobs)]

    async def make(client: Client, body: Object) -> None:
        await client.create(JOBS, AGENTS, body)

    rate = _rate(kubeconfig, _Work(AGENTS, make, _ended), bodies, case.parallel)
    asyncio.run(_take_away(kubeconfig, [body["metadata"]["name"] for body in bodies]))
    patience = 60 + case.jobs
    eventually(
        lambda: not api.request("GET", pods(AGENTS)).body["items"],
        "their pods go",
        patience,
        pause=0.5,
    )
    return rate


def pod_rate(kubeconfig: Path, config: OperatorConfig, case: Case) -> float:
    """Proof pods a second that get their network, are deleted, and go."""
    bodies = [
        proof_pod(f"bare-{number}", f"bare-{number}", _node(number, case), config)
        for number in range(case.jobs)
    ]
    addressed = dict[str, asyncio.Event]()

    async def make(client: Client, body: Object) -> None:
        name = body["metadata"]["name"]
        addressed[name] = asyncio.Event()
        made = await client.create(PODS, PROOF, body)
        await addressed[name].wait()
        await client.delete(PODS, PROOF, name, made["metadata"]["uid"], "Background")

    def gone(event: Object) -> bool:
        pod = event["object"]
        if pod["status"].get("podIP") and (known := addressed.get(pod["metadata"]["name"])):
            known.set()
        return bool(event["type"] == "DELETED")

    return _rate(kubeconfig, _Work(PROOF, make, gone), bodies, case.parallel)


def _body(number: int, config: OperatorConfig, case: Case) -> Object:
    operation = Operation(
        id=f"{Kind.AUDIT}-{number:020x}",
        kind=Kind.AUDIT,
        node=_node(number, case),
        runtime=RUNTIME,
        target=Target(),
    )
    return agent_job(operation.id, operation, config.auto, config, cache=False)


async def _take_away(kubeconfig: Path, jobs: Sequence[str]) -> None:
    """One by one: for a whole collection of thousands the API server takes minutes to answer."""
    client, places = Client(await connect("bench", str(kubeconfig))), asyncio.Semaphore(20)

    async def take(name: str) -> None:
        async with places:
            job = await client.get(JOBS, AGENTS, name)
            await client.delete(JOBS, AGENTS, name, job["metadata"]["uid"], "Background")

    try:
        await asyncio.gather(*map(take, jobs))
    finally:
        await client.close()


def _node(number: int, case: Case) -> str:
    return f"node-{number % case.nodes:05}"


def _ended(event: Object) -> bool:
    return event["object"]["status"].get("phase") in ("Succeeded", "Failed")


@dataclass(frozen=True)
class _Work:
    """What is done for each of many bodies, and how it is seen to be over."""

    namespace: str
    make: Callable[[Client, Object], Coroutine[None, None, None]]
    over: Callable[[Object], bool]
    """Asked about each event of a pod in the namespace."""


def _rate(kubeconfig: Path, work: _Work, bodies: Sequence[Object], parallel: int) -> float:
    """How many are over in a second, each begun as soon as one before it is over."""
    return len(bodies) / asyncio.run(_carry_out(kubeconfig, work, bodies, parallel))


async def _carry_out(
    kubeconfig: Path, work: _Work, bodies: Sequence[Object], parallel: int
) -> float:
    """Seconds for these bodies; what the controller does beside them is not there.

    Raises TimeoutError where that takes a second each.
    """
    client = Client(await connect("bench", str(kubeconfig)))
    began = time.monotonic()
    free, heard = asyncio.Semaphore(parallel), set[str]()

    def note(event: Object) -> None:
        name = event["object"]["metadata"]["name"]
        if work.over(event) and name not in heard:
            heard.add(name)
            free.release()

    async def listen() -> None:
        while len(heard) < len(bodies):
            # An API server ends the watch of who is slow to read, without a word.
            listed = await client.list(PODS, work.namespace)
            for pod in listed.items:
                note({"type": "ADDED", "object": pod})
            async for event in client.watch(PODS, work.namespace, listed.resource_version, 3600):
                if event["type"] != "BOOKMARK":
                    note(event)
                if len(heard) == len(bodies):
                    break

    try:
        async with asyncio.timeout(60 + len(bodies)), asyncio.TaskGroup() as group:
            listening = group.create_task(listen())
            for body in bodies:
                await free.acquire()
                group.create_task(work.make(client, body))
            await listening
            return time.monotonic() - began
    finally:
        await client.close()
