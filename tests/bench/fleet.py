"""Prints what the controller costs at so many nodes: `make bench-fleet NODES=1000`.

The real controller, as a process with the operator's own account, against a real control plane;
kwok plays the kubelets (tests/bench/kwok.py). Each line is a run of its own: an `audit` of a fleet
that nobody has looked at, or an `enforce` of the same from nothing to Done, each node drained of
nothing, cordoned, written to, proved with pods and given back. docs/dev/scale.md has what was seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.resources import LEASES, NODES, POLICIES
from cni_upgrade.planner.world.operator_config import OperatorConfig
from tests import operator_config
from tests.api.waiting import eventually
from tests.bench import kwok
from tests.bench.answers import Answers, recorded
from tests.bench.bare import Bare, Place, bare
from tests.bench.cluster import NODE_LEASES, Cluster
from tests.bench.controller import Controller, quantile
from tests.bench.figures import Case, Figures, table
from tests.bench.foreign import RefusedError, found
from tests.bench.installation import Installation
from tests.bench.interrupts import Interrupts
from tests.bench.planning import plan_times
from tests.bench.requests import Log, Request
from tests.bench.say import say
from tests.bench.scrapes import METRIC, Scrapes
from tests.bench.target import RAISED, Target, own
from tests.bench.usage import Cores
from tests.bench.visit import LeftError, visit

POLICY = "bench"
DEFAULT = "default"
NOT_KNOWN = (
    "?: not known of a cluster that is somebody's, nor is the CPU of its control plane.\n"
    f"Requests are those that the controller counts itself ({METRIC}): none of kopf or of others."
)

Object = dict[str, Any]


class Fleet:
    """A cluster with the operator in it, and nodes that are played."""

    def __init__(self, folder: Path, cluster: Cluster, target: Target, case: Case) -> None:
        self.folder = folder
        self.cluster = cluster
        self.target = target
        self.case = case
        self.log = Log(target.audit_log) if target.audit_log else None
        self.config = self._install()

        async def add(client: Client, node: Object) -> None:
            await client.create(NODES, None, node)

        cluster.each(add, map(target.node, range(case.nodes)))

    def _install(self) -> OperatorConfig:
        installation = Installation(self.cluster)
        installation.complete()
        return installation.configure(self.folder, self.case.parallel)

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

        async def make(client: Client) -> Object:
            return await client.create(POLICIES, None, body)

        self.cluster.ask(make)

    def ended(self) -> bool:
        """Whether the policy says that all is done. Raises RuntimeError where it stalls."""
        conditions = {each["type"]: each for each in self._status().get("conditions") or ()}
        if "Stalled" in conditions:
            raise RuntimeError(conditions["Stalled"]["message"])
        reason = (conditions.get("Ready") or {}).get("reason")
        return bool(reason == ("Enforced" if self.case.flow == "enforce" else "Audited"))

    def counts(self) -> Counter[str]:
        """Nodes by phase, as the policy says."""
        return Counter((self._status().get("nodes") or {}).get("byPhase") or {})

    def _status(self) -> Object:
        async def get(client: Client) -> Object:
            return (await client.get(POLICIES, None, POLICY)).get("status") or {}

        return self.cluster.ask(get)


def ideal(case: Case, bare: Bare) -> float:
    """Seconds below which nobody could be: nodes at a time, or what is made in a second."""
    waves = -(-case.nodes // case.parallel)
    if case.flow == "audit":
        return max(waves * case.pace.agent, case.nodes / bare.jobs)
    # Audits go on beside the changes: the longer of the two is what counts.
    seconds = case.pace.agent + case.pace.proof
    return max(waves * seconds, case.nodes * (2 / bare.jobs + 2 / bare.pods))


def measure(case: Case, kubeconfig: Path | None = None) -> Figures:
    """One run, on a control plane of its own or in the cluster of a kubeconfig.

    Raises RefusedError where that cluster is not to be written to, LeftError where it is not left
    as it was found.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        answers = recorded(folder / "host", operator_config.shipped())
        stages = kwok.stages(answers, case.pace, case.heartbeat)
        given = None if kubeconfig is None else nullcontext(found(kubeconfig, folder))
        place = given or own(case.qps, apart=case.apart)
        with (
            place as target,
            closing(Cluster(target.kubeconfig, folder)) as cluster,
            # To the end: it also ends the pods that are taken away.
            kwok.playing(folder, target.kubeconfig, stages, target.lease_seconds),
            visit(cluster) if target.given else nullcontext(),
        ):
            fleet = Fleet(folder, cluster, target, case)
            _await_kubelets(fleet)
            return _measured(fleet, answers)


def _await_kubelets(fleet: Fleet) -> None:
    """kwok lists the pods of each new node once: not beside what is measured."""
    lists = 0

    def looked(log: Log) -> bool:
        nonlocal lists
        news = log.news()
        lists += sum((e.client, e.verb, e.resource) == ("kwok", "list", "pods") for e in news)
        return lists >= fleet.case.nodes

    def leased() -> bool:
        # The list follows the Lease at once.
        leases = fleet.cluster.named(LEASES, NODE_LEASES, fleet.target.prefix)
        return len(leases) == fleet.case.nodes

    log = fleet.log
    known = leased if log is None else lambda: looked(log)
    eventually(known, "kwok knows its nodes", 60 + fleet.case.nodes / 10, pause=0.5)
    say(f"kwok plays {fleet.case.nodes} nodes")


def _bare(fleet: Fleet, answers: Answers) -> Bare:
    place = Place(fleet.cluster, fleet.target.name, fleet.config)
    found = bare(place, fleet.case, answers)
    say(f"bare: {found.jobs:.1f} Jobs/s, {found.audits:.1f} audits/s, {found.pods:.1f} pods/s")
    return found


def _measured(fleet: Fleet, answers: Answers) -> Figures:
    case = fleet.case
    first = _bare(fleet, answers)
    fleet.order()
    if fleet.log:
        fleet.log.news()
    load = os.getloadavg()[0]
    say(f"the controller starts, load {load:.1f}")
    cores = fleet.target.cores
    before = Cores.now(cores)
    controller = Controller(fleet.folder)
    counts = fleet.log or Scrapes(controller.page)
    try:
        told = time.monotonic()

        def ended() -> bool:
            nonlocal told
            controller.usage()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                say(f"  {dict(fleet.counts())}, {controller.usage()}")
            return fleet.ended()

        patience = 120 + 20 * ideal(case, first)
        eventually(ended, f"{case.nodes} nodes", patience, pause=0.2)
        wall, idle = time.time() - controller.began, Cores.now(cores).idle_since(before)
        say(f"ended after {wall:.1f} s")
        time.sleep(5)  # the last Event follows the status that it tells of, and counts come late
        at_end = controller.usage()
        work = counts.news()
        buckets = controller.passes()
        time.sleep(case.steady)
        at_rest = controller.usage()
        rest = [each for each in counts.news() if each.client == "controller"]
    except (AssertionError, RuntimeError):
        say(controller.log.read_text()[-3000:])
        raise
    finally:
        controller.end()
    alone = asyncio.run(plan_times(fleet.cluster.kubeconfig, fleet.config, 15))
    # Once more: a control plane gets slower by what it keeps, and the run was in between.
    last = _bare(fleet, answers)
    if b"Traceback" in controller.log.read_bytes():
        raise RuntimeError(f"the controller stumbled:\n{controller.log.read_text()[-3000:]}")
    ours = [each for each in work if each.client == "controller"]
    counted = [each for each in ours if not (each.apart or each.reads)]
    times = [each.at for each in counted if each.at is not None]
    return Figures(
        nodes=case.nodes,
        flow=case.flow,
        limits=fleet.target.limits,
        parallel=case.parallel,
        load=load,
        wall=wall,
        ideal=(ideal(case, first) + ideal(case, last)) / 2,
        job_rates=(first.jobs, last.jobs),
        audit_rates=(first.audits, last.audits),
        pod_rates=(first.pods, last.pods),
        idle=None if fleet.target.given else idle,
        first=min(times) - controller.began if times else None,
        counted="audit log" if fleet.log else "own metric",
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


def _carried_out(case: Case, kubeconfig: Path | None) -> Figures:
    """The same for a person, who is told in lines why it did not come to an end."""
    try:
        with Interrupts() as interrupts:
            interrupts.hear()
            return measure(case, kubeconfig)
    except RefusedError as error:
        lines, code = [f"refused: {each}" for each in error.lines], 1
    except LeftError as error:
        before = error.__context__
        if before and not isinstance(before, KeyboardInterrupt):
            say(f"{type(before).__name__}: {before}")
        by_hand = f"sh manifests/uninstall.sh && kubectl delete nodes -l {kwok.LABEL}"
        lines = [f"left in the cluster: {each}" for each in error.lines]
        lines, code = [*lines, f"take it away with {by_hand}"], 1
    except KeyboardInterrupt:
        lines, code = ["interrupted"], 130
    print("\n".join(lines), file=sys.stderr)
    raise SystemExit(code)


def _limits(word: str) -> int | str:
    """Of `--limits`. Raises ArgumentTypeError."""
    if word == DEFAULT:
        return word
    with suppress(ValueError):
        if (qps := RAISED if word == "raised" else int(word)) > 0:
            return qps
    raise argparse.ArgumentTypeError(
        f"{word}: expected {DEFAULT}, raised, or a number of requests a second above 0"
    )


def main() -> None:
    """The table, the requests of each run, then one line of JSON."""
    parser = argparse.ArgumentParser(prog="tests.bench.fleet", description=__doc__)
    parser.add_argument("nodes", type=int, nargs="+")
    parser.add_argument("--flow", choices=("audit", "enforce", "both"), default="both")
    parser.add_argument(
        "--limits",
        type=_limits,
        metavar="default|raised|N",
        help=f"requests/s of controller-manager and scheduler; raised, if not given: {RAISED}",
    )
    parser.add_argument("--parallel", type=int, default=100)
    parser.add_argument("--steady", type=float, default=30)
    parser.add_argument("--jobs", type=int, help="bare Jobs; as many as nodes, if not given")
    parser.add_argument(
        "--apart",
        action="store_true",
        help="the control plane has half of the cores to itself, as on machines of its own",
    )
    parser.add_argument("--kubeconfig", type=Path, help="measure in this cluster")
    options = parser.parse_args()
    if options.kubeconfig and options.apart:
        parser.error("--apart: the control plane of --kubeconfig is where it is")
    if options.kubeconfig and options.limits:
        parser.error("--limits: those of the cluster of --kubeconfig are what they are")
    flows = ("audit", "enforce") if options.flow == "both" else (options.flow,)
    figures = []
    for nodes in options.nodes:
        for flow in flows:
            case = Case(
                nodes,
                flow,
                None if options.limits == DEFAULT else options.limits or RAISED,
                min(options.parallel, nodes),
                steady=options.steady,
                jobs=options.jobs or nodes,
                apart=options.apart,
            )
            figures.append(_carried_out(case, options.kubeconfig))
            print(table(figures[-1:]), flush=True)
    print(f"{os.cpu_count()} CPUs\n{table(figures)}")
    if options.kubeconfig:
        print(NOT_KNOWN)
    for each in figures:
        print(f"\n{each.nodes} nodes, {each.flow}, {each.limits} limits: requests")
        for client, counts in each.requests.items():
            words = ", ".join(f"{what} {count}" for what, count in counts.items())
            print(f"  {client}: {words}")
    print(json.dumps({"cpus": os.cpu_count(), "runs": [asdict(each) for each in figures]}))


if __name__ == "__main__":
    main()
