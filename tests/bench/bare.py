"""Jobs and pods that nobody decides on: how many a second the control plane itself carries out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cni_upgrade.agent.protocol.operation import Kind, Operation, Target
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.resources import JOBS, NODE_STATES, PODS, Resource
from cni_upgrade.planner.node.manifests import agent_job, proof_pod
from cni_upgrade.planner.world.operator_config import OperatorConfig
from tests.api.spaces import AGENTS, PROOF
from tests.api.waiting import eventually
from tests.bench.answers import RUNTIME, Answers
from tests.bench.cluster import Cluster
from tests.bench.figures import Case
from tests.bench.records import is_bare, record, status

Object = dict[str, Any]

_OURS = "bench.cniupgrade.dev/bare"
"""A label of the pods: those of the run itself are beside them."""


class Bare(NamedTuple):
    """What the control plane carries out in a second, by itself and with so many at a time."""

    jobs: float
    """Jobs."""
    audits: float
    """The three requests that an audit cannot do without: record, Job, status of the record."""
    pods: float
    """Proof pods that get their network, are deleted, and go; 0 where the flow has none."""


@dataclass(frozen=True)
class Place:
    """Where it is measured."""

    cluster: Cluster
    name: Callable[[int], str]
    """Of a node, by its number."""
    config: OperatorConfig

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig


def bare(place: Place, case: Case, answers: Answers) -> Bare:
    """Measured here and now, and all Jobs, pods and records of it taken away again.

    Before it whatever Jobs are there: kwok, which plays the kubelets, gets slower with every pod
    that is left, and with 7,500 of them its watch breaks again and again.
    """
    # At its default limits the controller-manager takes away about 20 pods a second.
    patience = 300 + 0.3 * case.nodes
    _clear(place, patience)
    jobs = _job_rate(place, case)
    _clear(place, patience)
    audits = _audit_rate(place, case, answers)
    _clear(place, patience)
    return Bare(jobs, audits, _pod_rate(place, case) if case.flow == "enforce" else 0.0)


def _clear(place: Place, patience: float) -> None:
    asyncio.run(_take_away(place.kubeconfig))

    async def pods(client: Client) -> Sequence[Object]:
        return (await anext(client.pages(PODS, AGENTS))).items

    eventually(lambda: not place.cluster.ask(pods), "pods go", patience, pause=1)


def _job_rate(place: Place, case: Case) -> float:
    async def make(client: Client, body: Object) -> None:
        await client.create(JOBS, AGENTS, body)

    bodies = [_body(number, place, case) for number in range(case.jobs)]
    return _rate(place.kubeconfig, _Work(AGENTS, make, _ended), bodies, case.parallel)


def _audit_rate(place: Place, case: Case, answers: Answers) -> float:
    bodies = [_body(number, place, case) for number in range(case.jobs)]
    records = {body["metadata"]["name"]: record(number) for number, body in enumerate(bodies)}
    found = {"status": status(answers)}
    answered = {name: asyncio.Event() for name in records}

    async def make(client: Client, body: Object) -> None:
        name = body["metadata"]["name"]
        made = await client.create(NODE_STATES, None, records[name])
        await client.create(JOBS, AGENTS, body)
        await answered[name].wait()
        await client.patch(NODE_STATES, None, made["metadata"]["name"], found, "status")

    def over(event: Object) -> bool:
        if over := _ended(event):
            answered[event["object"]["metadata"]["labels"]["job-name"]].set()
        return over

    return _rate(place.kubeconfig, _Work(AGENTS, make, over), bodies, case.parallel)


def _pod_rate(place: Place, case: Case) -> float:
    bodies = [
        proof_pod(f"bare-{number}", f"bare-{number}", _node(number, place, case), place.config)
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

    return _rate(place.kubeconfig, _Work(PROOF, make, gone), bodies, case.parallel)


def _body(number: int, place: Place, case: Case) -> Object:
    operation = Operation(
        id=f"{Kind.AUDIT}-{number:020x}",
        kind=Kind.AUDIT,
        node=_node(number, place, case),
        runtime=RUNTIME,
        target=Target(),
    )
    job = agent_job(operation.id, operation, place.config.auto, place.config, cache=False)
    job["spec"]["template"]["metadata"]["labels"][_OURS] = ""
    return job


async def _take_away(kubeconfig: Path) -> None:
    """All Jobs of agents, and our records.

    One by one: for a whole collection of thousands the API server takes minutes to answer.
    """
    client, places = Client(await connect("bench", str(kubeconfig))), asyncio.Semaphore(20)

    async def take(resource: Resource, namespace: str | None, it: Object) -> None:
        async with places:
            name, uid = it["metadata"]["name"], it["metadata"]["uid"]
            await client.delete(resource, namespace, name, uid, "Background")

    try:
        for resource, namespace in ((JOBS, AGENTS), (NODE_STATES, None)):
            listed = await client.list(resource, namespace)
            ours = [it for it in listed.items if resource is JOBS or is_bare(it)]
            await asyncio.gather(*(take(resource, namespace, it) for it in ours))
    finally:
        await client.close()


def _node(number: int, place: Place, case: Case) -> str:
    return place.name(number % case.nodes)


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
