"""Prints what the controller costs at so many nodes: `make bench-fleet NODES=1000`.

The real controller, as a process with the operator's own account, against a real control plane;
kwok plays the kubelets (tests/bench/kwok.py). Each line is a run of its own: an `audit` of a fleet
that nobody has looked at, or an `enforce` of the same from nothing to Done, each node drained of
nothing, cordoned, written to, proved with pods and given back. docs/scale.md has what was seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from cni_upgrade.api import names
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.loop import Loop
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.recorder import Recorder
from cni_upgrade.controller.store import Store
from cni_upgrade.fleet.config import OperatorConfig, parse
from cni_upgrade.fleet.planner import plan
from cni_upgrade.fleet.workloads import agent_job
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.resources import JOBS as RESOURCE_JOBS
from cni_upgrade.kube.resources import PODS
from cni_upgrade.node.operation import Kind, Operation, Target
from tests.api.server import Server
from tests.bench import kwok
from tests.bench.answers import RUNTIME, Answers, recorded
from tests.bench.requests import Log, Request
from tests.bench.usage import Usage
from tests.cluster.control import Controllers, ControlPlane

ROOT = Path(__file__).parents[2]
SYSTEM, AGENTS, PROOF = "cni-upgrade-system", "cni-upgrade-agents", "cni-upgrade-proof"
OPERATOR = "cni-upgrade-operator"
POLICY = "bench"
POLICIES = f"/apis/{names.API_VERSION}/{names.POLICY_PLURAL}"
JOBS = f"/apis/batch/v1/namespaces/{AGENTS}/jobs"
RAISED = Controllers(qps=1000, job_syncs=50)
PACE = kwok.Pace()

Object = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One run."""

    nodes: int
    flow: str
    """`audit` or `enforce`."""
    raised: bool
    """The limits of controller-manager and scheduler are raised, see RAISED."""
    parallel: int
    """auditParallel, maxParallel and maxUnavailable alike."""
    steady: float = 30
    """Seconds for which nothing is to happen afterwards."""
    jobs: int = 300
    """Bare Jobs that are run first, to see how many a second the control plane makes."""
    heartbeat: float = 300
    """Seconds between two writes of a Node's status, as a kubelet's `nodeStatusReportFrequency`."""
    pace: kwok.Pace = PACE


@dataclass(frozen=True)
class Figures:
    """What one run has shown; seconds and MB (10^6 bytes)."""

    nodes: int
    flow: str
    limits: str
    parallel: int
    load: float
    """Load average over a minute, just before the controller was started."""
    wall: float
    ideal: float
    """The larger of nodes x pod time / parallel, and Jobs / the rate measured just before."""
    job_rate: float
    first: float
    """From the start of the process to its first write."""
    cpu: float
    peak: float
    resting: float
    """Memory after the steady time."""
    requests: dict[str, dict[str, int]]
    """By client, then `verb resource`; the controller's while it worked, the others' as well."""
    a_node: float
    """The controller's requests by node, without Events, rights and what it reads at its start."""
    reads: int
    events: int
    steady_seconds: float
    steady_writes: int
    steady_cpu: float
    passes: int
    pass_p50: float
    pass_p99: float
    """Of the planner in the controller, as upper bounds of its histogram."""
    plan_p50: float
    plan_p99: float
    """Of the planner alone over the fleet as it is at the end, here and now."""

    def row(self) -> str:
        """For people."""
        return (
            f"{self.nodes:6} {self.flow:8} {self.limits:8} {self.parallel:8} {self.load:5.1f} "
            f"{self.wall:7.1f} {self.ideal:7.1f} {self.wall / self.ideal:6.2f} "
            f"{self.job_rate:7.1f} {self.first:6.1f} {self.a_node:7.2f} {self.reads:6} "
            f"{self.events:7} {self.peak:6.0f} {self.resting:6.0f} {self.cpu:7.1f} "
            f"{self.steady_writes:6} {self.steady_cpu:7.3f} {self.pass_p50:8.3f} "
            f"{self.pass_p99:8.3f} {self.plan_p50:8.3f} {self.plan_p99:8.3f}"
        )

    HEAD = (
        "                                        load    wall   ideal  wall/    Jobs  first  "
        "writes                  peak   rest     CPU  writes   CPU/s planner in it     "
        "planner alone\n"
        " nodes flow     limits   parallel      before       s       s  ideal      /s      s "
        " a node  reads  events     MB     MB       s at rest at rest    p50 s    p99 s    p50 s"
        "    p99 s"
    )


class Fleet:
    """A control plane with the operator's manifests, and nodes that are played."""

    def __init__(self, folder: Path, plane: ControlPlane, case: Case) -> None:
        self.folder = folder
        self.plane = plane
        self.case = case
        self.api = Server(plane.kubeconfig)
        self.log = Log(plane.audit_log)
        self.config = self._install()
        kwok.add_nodes(plane.kubeconfig, case.nodes)

    def _install(self) -> OperatorConfig:
        self._kubectl("apply", "-k", str(ROOT))
        shipped = yaml.safe_load((ROOT / "manifests/config.yaml").read_text())
        config = yaml.safe_load(shipped["data"]["config.yaml"])
        config["auditParallel"] = self.case.parallel
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))
        token = self._kubectl("create", "token", "-n", SYSTEM, OPERATOR, "--duration=10h").strip()
        ours = yaml.safe_load(self.plane.kubeconfig.read_text())
        ours["users"][0]["user"] = {"token": token}
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(ours))
        for space in (AGENTS, PROOF):
            self._await(f"/api/v1/namespaces/{space}/serviceaccounts/default")
        return parse(config)

    def _await(self, path: str) -> None:
        until(lambda: self.api.request("GET", path).ok, f"{path} is there", 60)

    def _kubectl(self, *words: str) -> str:
        done = subprocess.run(
            [str(self.plane.kubectl), f"--kubeconfig={self.plane.kubeconfig}", *words],
            env={**os.environ, "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr}")
        return done.stdout

    def job_rate(self) -> float:
        """Jobs a second that the control plane carries out with so many at a time."""
        seconds = asyncio.run(self._bare())
        self.api.request("DELETE", f"{JOBS}?propagationPolicy=Background")
        pods, patience = f"/api/v1/namespaces/{AGENTS}/pods", 60 + self.case.jobs
        until(lambda: not self.api.request("GET", pods).body["items"], "their pods go", patience)
        return self.case.jobs / seconds

    def _bare(self) -> Coroutine[Any, Any, float]:
        def body(number: int) -> Object:
            operation = Operation(
                id=f"{Kind.AUDIT}-{number:020x}",
                kind=Kind.AUDIT,
                node=f"node-{number % self.case.nodes:05}",
                runtime=RUNTIME,
                target=Target(),
            )
            return agent_job(operation.id, operation, self.config.auto, self.config, cache=False)

        bodies = [body(number) for number in range(self.case.jobs)]
        return bare_jobs(self.plane.kubeconfig, bodies, self.case.parallel)

    def order(self) -> None:
        """The policy."""
        spec = {
            "nodeSelector": {"matchLabels": {kwok.LABEL: "true"}},
            "mode": "Enforce" if self.case.flow == "enforce" else "Audit",
            "rollout": {"maxUnavailable": self.case.parallel, "maxParallel": self.case.parallel},
        }
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.POLICY_KIND,
            "metadata": {"name": POLICY},
            "spec": spec,
        }
        answer = self.api.request("POST", POLICIES, body)
        if not answer.ok:
            raise RuntimeError(answer.message)

    def ended(self) -> bool:
        """Whether the policy says that all is done. Raises RuntimeError where it stalls."""
        status = self.api.request("GET", f"{POLICIES}/{POLICY}").body.get("status") or {}
        conditions = {each["type"]: each for each in status.get("conditions") or ()}
        if "Stalled" in conditions:
            raise RuntimeError(conditions["Stalled"]["message"])
        reason = (conditions.get("Ready") or {}).get("reason")
        return bool(reason == ("Enforced" if self.case.flow == "enforce" else "Audited"))

    def counts(self) -> Counter[str]:
        """Nodes by phase, as the policy says."""
        status = self.api.request("GET", f"{POLICIES}/{POLICY}").body.get("status") or {}
        return Counter((status.get("nodes") or {}).get("byPhase") or {})


class Controller:
    """The controller's process."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "controller.log"
        self._metrics, health = _free_port(), _free_port()
        words = ["--config", folder / "config.yaml", "--kubeconfig", folder / "kubeconfig"]
        words += ["--metrics-port", self._metrics, "--health-port", health]
        self.began = time.time()
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cni_upgrade.controller", *map(str, words)],
                env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def usage(self) -> Usage:
        if self.process.poll() is not None:
            raise RuntimeError(f"the controller has ended:\n{self.log.read_text()[-2000:]}")
        return Usage.of(self.process.pid)

    def passes(self) -> dict[float, float]:
        """Passes of the planner by the upper bound of their seconds, cumulated."""
        page = urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=30)
        found = re.findall(
            r'^cni_upgrade_planning_seconds_bucket\{le="([^"]+)"\} (\S+)$',
            page.read().decode(),
            re.MULTILINE,
        )
        return {float(bound): float(count) for bound, count in found}

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


async def bare_jobs(kubeconfig: Path, bodies: Sequence[Object], parallel: int) -> float:
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
        await client.create(RESOURCE_JOBS, AGENTS, body)

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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ask: Callable[[], bool], wanted: str, seconds: float, pause: float = 0.5) -> None:
    """Wait for something. Raises RuntimeError that says what did not come."""
    deadline = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{wanted}: not within {seconds:.0f} s")
        time.sleep(pause)


def quantile(buckets: dict[float, float], share: float) -> float:
    """The upper bound that so many of the passes kept."""
    total = max(buckets.values(), default=0)
    return min((b for b, n in buckets.items() if total and n >= share * total), default=0.0)


async def plan_times(kubeconfig: Path, config: OperatorConfig, times: int) -> list[float]:
    """Seconds of the pure planner over everything that is there now."""
    client = Client(await connect("bench", str(kubeconfig)))
    try:
        store = Store(config, "")
        recorder = Recorder(client)
        executor = Executor(client, store, recorder)
        await Loop(
            client, store, executor, Metrics(client, executor, recorder), lambda: False
        ).resync()
    finally:
        await client.close()
    world = store.snapshot(datetime.now(UTC))
    found = []
    for _ in range(times):
        began = time.perf_counter()
        plan(world)
        found.append(time.perf_counter() - began)
    return found


def ideal(case: Case, rate: float) -> float:
    """Seconds below which nobody could be: nodes at a time, or Jobs a second."""
    pods, jobs = case.pace.agent, 1
    if case.flow == "enforce":
        # Audits go on beside the changes: the longer of the two is what counts.
        pods, jobs = case.pace.agent + case.pace.proof, 2
    waves = -(-case.nodes // case.parallel)
    return max(waves * pods, case.nodes * jobs / rate)


def measure(case: Case, answers: Answers | None = None) -> Figures:
    """One run, on a control plane of its own."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shipped = yaml.safe_load((ROOT / "manifests/config.yaml").read_text())
        config = parse(yaml.safe_load(shipped["data"]["config.yaml"]))
        answers = answers or recorded(folder / "host", config)
        stages = kwok.stages(answers, case.pace, case.heartbeat)
        with ControlPlane.temporary(RAISED if case.raised else Controllers()) as plane:
            fleet = Fleet(folder, plane, case)
            with kwok.playing(folder, plane.kubeconfig, stages):
                return _measured(fleet)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _measured(fleet: Fleet) -> Figures:
    case = fleet.case
    _say(f"{case.nodes} nodes are there; {case.jobs} bare Jobs")
    rate = fleet.job_rate()
    fleet.order()
    fleet.log.news()
    load = os.getloadavg()[0]
    _say(f"{rate:.1f} bare Jobs/s; the controller starts, load {load:.1f}")
    controller = Controller(fleet.folder)
    try:
        best = ideal(case, rate)
        told = time.monotonic()

        def ended() -> bool:
            nonlocal told
            controller.usage()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                _say(f"  {dict(fleet.counts())}, {controller.usage()}")
            return fleet.ended()

        until(ended, f"{case.nodes} nodes", 120 + 20 * best, pause=0.2)
        wall = time.time() - controller.began
        _say(f"ended after {wall:.1f} s, ideal {best:.1f} s")
        time.sleep(5)  # the last Event follows the status that it tells of, and counts come late
        at_end = controller.usage()
        work = fleet.log.news()
        buckets = controller.passes()
        time.sleep(case.steady)
        at_rest = controller.usage()
        rest = [each for each in fleet.log.news() if each.client == "controller"]
    except RuntimeError:
        _say(controller.log.read_text()[-3000:])
        raise
    finally:
        controller.end()
    alone = asyncio.run(plan_times(fleet.plane.kubeconfig, fleet.config, 15))
    if b"Traceback" in controller.log.read_bytes():
        raise RuntimeError(f"the controller stumbled:\n{controller.log.read_text()[-3000:]}")
    ours = [each for each in work if each.client == "controller"]
    counted = [each for each in ours if not (each.apart or each.reads)]
    return Figures(
        nodes=case.nodes,
        flow=case.flow,
        limits="raised" if case.raised else "default",
        parallel=case.parallel,
        load=load,
        wall=wall,
        ideal=best,
        job_rate=rate,
        first=min(each.at for each in counted) - controller.began,
        cpu=at_end.cpu,
        peak=at_rest.peak,
        resting=at_rest.memory,
        requests=_by_client(work),
        a_node=len(counted) / case.nodes,
        reads=sum(each.reads for each in ours),
        events=sum(each.resource == "events" for each in ours),
        steady_seconds=case.steady,
        steady_writes=sum(not (each.apart or each.reads) for each in rest),
        steady_cpu=(at_rest.cpu - at_end.cpu) / case.steady if case.steady else 0.0,
        passes=round(max(buckets.values(), default=0)),
        pass_p50=quantile(buckets, 0.5),
        pass_p99=quantile(buckets, 0.99),
        plan_p50=statistics.median(alone),
        plan_p99=max(alone),
    )


def _by_client(work: Sequence[Request]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for each in work:
        refused = "" if each.code < 400 else f" {each.code}"
        found.setdefault(each.client, Counter())[f"{each.verb} {each.resource}{refused}"] += 1
    return {client: dict(sorted(counts.items())) for client, counts in sorted(found.items())}


def main() -> None:
    """The table, the requests of each run, then one line of JSON."""
    parser = argparse.ArgumentParser(prog="tests.bench.fleet", description=__doc__)
    parser.add_argument("nodes", type=int, nargs="+")
    parser.add_argument("--flow", choices=("audit", "enforce", "both"), default="both")
    parser.add_argument("--limits", choices=("default", "raised", "both"), default="raised")
    parser.add_argument("--parallel", type=int, default=100)
    parser.add_argument("--steady", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=300)
    options = parser.parse_args()
    flows = ("audit", "enforce") if options.flow == "both" else (options.flow,)
    limits = ("default", "raised") if options.limits == "both" else (options.limits,)
    figures = []
    for nodes in options.nodes:
        for limit in limits:
            for flow in flows:
                case = Case(
                    nodes,
                    flow,
                    limit == "raised",
                    min(options.parallel, nodes),
                    steady=options.steady,
                    jobs=options.jobs,
                )
                figures.append(measure(case))
                print(figures[-1].row(), flush=True)
    print(f"{os.cpu_count()} CPUs\n{Figures.HEAD}")
    for each in figures:
        print(each.row())
    for each in figures:
        print(f"\n{each.nodes} nodes, {each.flow}, {each.limits} limits: requests")
        for client, counts in each.requests.items():
            words = ", ".join(f"{what} {count}" for what, count in counts.items())
            print(f"  {client}: {words}")
    print(json.dumps({"cpus": os.cpu_count(), "runs": [asdict(each) for each in figures]}))


if __name__ == "__main__":
    main()
