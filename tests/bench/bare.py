"""Jobs and pods that nobody decides on: how many a second the control plane itself carries out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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

_OURS = "bench.cniupgrade.dev/bare"
"""A label of the pods: those of the run itself are beside them."""


class Bare(NamedTuple):
    """What the control plane carries out by itself."""

    jobs: float
    """Jobs a second, with so many at a time."""
    pods: float
    """Proof pods a second that get their network, are deleted, and go; 0 where there are none."""


def bare(api: Server, kubeconfig: Path, config: OperatorConfig, case: Case) -> Bare:
    """Measured here and now, and taken away again."""
    jobs = _job_rate(api, kubeconfig, config, case)
    return Bare(jobs, _pod_rate(kubeconfig, config, case) if case.flow == "enforce" else 0.0)


def _job_rate(api: Server, kubeconfig: Path, config: OperatorConfig, case: Case) -> float:
    bodies = [_body(number, config, case) for number in range(case.jobs)]

    async def make(client: Client, body: Object) -> None:
        await client.create(JOBS, AGENTS, body)

    rate = _rate(kubeconfig, _Work(AGENTS, make, _ended), bodies, case.parallel)
    asyncio.run(_take_away(kubeconfig, [body["metadata"]["name"] for body in bodies]))
    patience = 60 + case.jobs
    eventually(
        lambda: not api.request("GET", f"{pods(AGENTS)}?labelSelector={_OURS}").body["items"],
        "their pods go",
        patience,
        pause=1,
    )
    return rate


def _pod_rate(kubeconfig: Path, config: OperatorConfig, case: Case) -> float:
    bodies = [
        proof_pod(f"bare-{number}", f"bare-{number}", _node(number, case), config)
        for number in range(case.jobs)
    ]
    for body in bodies:
        body["metadata"]["labels"][_OURS] = ""
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
    job = agent_job(operation.id, operation, config.auto, config, cache=False)
    job["spec"]["template"]["metadata"]["labels"][_OURS] = ""
    return job


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
            listed = await client.list(PODS, work.namespace, labelSelector=_OURS)
            for pod in listed.items:
                note({"type": "ADDED", "object": pod})
            events = client.watch(
                PODS, work.namespace, listed.resource_version, 3600, labelSelector=_OURS
            )
            async for event in events:
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
