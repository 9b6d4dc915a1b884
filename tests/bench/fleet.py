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
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from cni_upgrade.api import names
from cni_upgrade.fleet.config import OperatorConfig, parse
from tests.api import kubectl
from tests.api.server import Server
from tests.api.spaces import AGENTS, PROOF, SYSTEM
from tests.api.waiting import eventually
from tests.bench import kwok
from tests.bench.answers import Answers, recorded
from tests.bench.bare import Bare, Place, bare
from tests.bench.controller import Controller, quantile
from tests.bench.figures import Case, Figures, table
from tests.bench.planning import plan_times
from tests.bench.requests import Log, Request
from tests.bench.usage import Cores
from tests.cluster.control import Controllers, ControlPlane

ROOT = Path(__file__).parents[2]
OPERATOR = "cni-upgrade-operator"
POLICY = "bench"
POLICIES = f"/apis/{names.API_VERSION}/{names.POLICY_PLURAL}"
RAISED = Controllers(qps=1000, job_syncs=50)

Object = dict[str, Any]


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
        eventually(lambda: self.api.request("GET", path).ok, f"{path} is there", 60)

    def _kubectl(self, *words: str) -> str:
        done = kubectl.run(self.plane, self.folder, *words)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr}")
        return done.stdout

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


def ideal(case: Case, bare: Bare) -> float:
    """Seconds below which nobody could be: nodes at a time, or what is made in a second."""
    waves = -(-case.nodes // case.parallel)
    if case.flow == "audit":
        return max(waves * case.pace.agent, case.nodes / bare.jobs)
    # Audits go on beside the changes: the longer of the two is what counts.
    seconds = case.pace.agent + case.pace.proof
    return max(waves * seconds, case.nodes * (2 / bare.jobs + 2 / bare.pods))


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
                _await_kubelets(fleet)
                return _measured(fleet, answers)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _await_kubelets(fleet: Fleet) -> None:
    """kwok lists the pods of each new node once: not beside what is measured."""
    lists = 0

    def looked() -> bool:
        nonlocal lists
        news = fleet.log.news()
        lists += sum((e.client, e.verb, e.resource) == ("kwok", "list", "pods") for e in news)
        return lists >= fleet.case.nodes

    eventually(looked, "kwok knows its nodes", 60 + fleet.case.nodes / 10, pause=0.5)
    _say(f"kwok plays {fleet.case.nodes} nodes")


def _bare(fleet: Fleet, answers: Answers) -> Bare:
    place = Place(fleet.api, fleet.plane.kubeconfig, fleet.config)
    found = bare(place, fleet.case, answers)
    _say(f"bare: {found.jobs:.1f} Jobs/s, {found.audits:.1f} audits/s, {found.pods:.1f} pods/s")
    return found


def _measured(fleet: Fleet, answers: Answers) -> Figures:
    case = fleet.case
    first = _bare(fleet, answers)
    fleet.order()
    fleet.log.news()
    load = os.getloadavg()[0]
    _say(f"the controller starts, load {load:.1f}")
    before = Cores.now()
    controller = Controller(fleet.folder)
    try:
        told = time.monotonic()

        def ended() -> bool:
            nonlocal told
            controller.usage()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                _say(f"  {dict(fleet.counts())}, {controller.usage()}")
            return fleet.ended()

        patience = 120 + 20 * ideal(case, first)
        eventually(ended, f"{case.nodes} nodes", patience, pause=0.2)
        wall, idle = time.time() - controller.began, Cores.now().idle_since(before)
        _say(f"ended after {wall:.1f} s")
        time.sleep(5)  # the last Event follows the status that it tells of, and counts come late
        at_end = controller.usage()
        work = fleet.log.news()
        buckets = controller.passes()
        time.sleep(case.steady)
        at_rest = controller.usage()
        rest = [each for each in fleet.log.news() if each.client == "controller"]
    except (AssertionError, RuntimeError):
        _say(controller.log.read_text()[-3000:])
        raise
    finally:
        controller.end()
    alone = asyncio.run(plan_times(fleet.plane.kubeconfig, fleet.config, 15))
    # Once more: a control plane gets slower by what it keeps, and the run was in between.
    last = _bare(fleet, answers)
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
        ideal=(ideal(case, first) + ideal(case, last)) / 2,
        job_rates=(first.jobs, last.jobs),
        audit_rates=(first.audits, last.audits),
        pod_rates=(first.pods, last.pods),
        idle=idle,
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
    parser.add_argument("--jobs", type=int, help="bare Jobs; as many as nodes, if not given")
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
                    jobs=options.jobs or nodes,
                )
                figures.append(measure(case))
                print(table(figures[-1:]), flush=True)
    print(f"{os.cpu_count()} CPUs\n{table(figures)}")
    for each in figures:
        print(f"\n{each.nodes} nodes, {each.flow}, {each.limits} limits: requests")
        for client, counts in each.requests.items():
            words = ", ".join(f"{what} {count}" for what, count in counts.items())
            print(f"  {client}: {words}")
    print(json.dumps({"cpus": os.cpu_count(), "runs": [asdict(each) for each in figures]}))


if __name__ == "__main__":
    main()
