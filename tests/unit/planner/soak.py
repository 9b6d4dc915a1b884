"""A day of a fleet in which everything goes wrong at once, and what must be true when it ends.

The rules of invariants.py and course_rules.py are asked after every decision, as in any rollout.
Controllers are killed every few minutes. Users, machines and add-ons never stop, so that there is
always something to change. Most of what breaks is mended some minutes later, as in a fleet that
somebody runs; otherwise no node would be left to be worked on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from cni_upgrade.api import names
from tests.unit.planner.cluster_model import AGENTS, APPS, LEASED, PROOF
from tests.unit.planner.mishaps import Mishaps, end_well, some_labels, some_node, some_policy
from tests.unit.planner.played_rollout import Chaos, Rollout

LONGEST_JOB = 2 * 3600
"""Seconds within which a Job is over and its time to live (`jobTtlSeconds`) too."""


class Soak:
    """A fleet, and what happens to it."""

    def __init__(
        self, seed: int, nodes: int, pace: int, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._random = Random(seed)  # noqa: S311
        self._size, self._tell = nodes, tell
        self.rollout = Rollout(random=self._random, own_node="node-1", config=LEASED)
        self.rollout.pace, self.rollout.doubt = pace, max(1, nodes // 4)
        self._chaos = Chaos(crash=0.002, refused=0.02, lost=0.02, stale=0.2)
        self._mishaps = Mishaps(self.rollout, self._random)
        self._joined = 0
        self.happened: Counter[str] = Counter()
        self._fill()
        self.rollout.cluster.apply_policy("cure", self._policy())

    # -- the day --

    def day(self, hours: float, every: int = 20) -> None:
        """Play so many hours, a mishap each so many seconds; hours without us come on top."""
        self.rollout.chaos = self._chaos
        played, told, due = 0.0, 0.0, dict.fromkeys(("mishap", "kill", "repair", "work"), 0.0)
        spans = {"mishap": every, "kill": 200, "repair": 120, "work": 900}
        deeds = {
            "mishap": self._mishap,
            "kill": self._kill,
            "repair": self._repair,
            "work": self._new_work,
        }
        while played < hours * 3600:
            before = self.rollout.cluster.now
            self.rollout.step()
            played += (self.rollout.cluster.now - before).total_seconds()
            for name in [name for name, at in due.items() if at <= played]:
                due[name] = played + self._random.uniform(0.5, 1.5) * spans[name]
                deeds[name]()
            if played - told >= 3600:
                told = played
                self._tell(f"{played / 3600:.0f} h played: {self.summary()}")

    def _mishap(self) -> None:
        rare = self._random.random() < 0.01
        name = self._mishaps.one(self._spared, rare=rare)
        self.happened[name] += bool(name)

    def _spared(self, node: str) -> bool:
        """Two thirds of the nodes are touched by hand by no person: all rules hold for these."""
        return sum(node.encode()) % 3 != 0

    def _kill(self) -> None:
        """The controller dies around a decision that it has not thought of yet."""
        self.rollout.crash_at = self.rollout.count + self._random.randrange(20)
        self.rollout.crash_before = self._random.random() < 0.5
        self.happened["the controller is killed"] += 1

    def _repair(self) -> None:
        """Somebody looks after the fleet: a part of what is broken is mended."""
        cluster, chance = self.rollout.cluster, self._random
        self.rollout.logbook.quiet.clear()
        for name in sorted(cluster.disks):
            if chance.random() < 0.3:
                self._mishaps.mend(name)
        for pod in sorted(cluster.budgets):
            if chance.random() < 0.3:
                cluster.budgets.discard(pod)
        if chance.random() < 0.5:
            self._mishaps.lift_refusals()
        self._fill()

    def _new_work(self) -> None:
        """A person asks for something else, or again; add-ons write their files back; pods come."""
        cluster, chance = self.rollout.cluster, self._random
        self.rollout.logbook.quiet.clear()
        self.rollout.say("== more is asked")
        for name, disk in sorted(cluster.disks.items()):
            if chance.random() < 0.1:
                disk.put_back(chance.choice(["0.3.1", "0.4.0"]))
            elif chance.random() < 0.05:
                disk.edit(chance.choice([None, "0.4.0", disk.version]))
            if len(cluster.pods_on(name, APPS)) < 2 and not cluster.node(name)["spec"]:
                self._joined += 1
                cluster.add_pod(name, f"web-{name}-{self._joined}", fresh=True)
        if cluster.api.find("CNIUpgradePolicy", "cure") is None or chance.random() < 0.3:
            cluster.apply_policy("cure", self._policy())
        cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, str(chance.random()))

    def _policy(self) -> dict[str, Any]:
        """Any policy, with limits that let a fleet go on."""
        spec, chance = some_policy(self._random), self._random
        limits = {
            "maxUnavailable": chance.choice([2, "10%", "30%"]),
            "maxParallel": chance.choice([2, 10, 30]),
            "maxFailures": chance.choice([1, "20%", "100%", "100%"]),
        }
        return {**spec, "rollout": {**spec["rollout"], **limits}}

    def _fill(self) -> None:
        """Machines come in place of those that are gone."""
        while len(self.rollout.cluster.disks) < self._size:
            self._joined += 1
            disk = some_node(self._random, f"node-{self._joined}")
            labels = some_labels(self._random)
            pods = self._random.randint(0, 2)
            self.rollout.cluster.add_node(disk, pods=pods, labels=labels)
            for owner in ("DaemonSet", "Node"):
                if self._random.random() < 0.2:
                    self.rollout.cluster.add_pod(
                        disk.name, f"{owner.lower()}-{disk.name}", owner=owner
                    )

    # -- its end --

    def end(self) -> None:
        """Faults cease; every node is cured, and nothing of ours is left in the cluster."""
        r = self.rollout
        r.chaos, r.crash_at, r.doubt = Chaos(), None, 1_000
        self._mishaps.calm()
        limits = {"maxUnavailable": "30%", "maxParallel": 50, "maxFailures": "100%"}
        r.cluster.apply_policy("cure", {"rollout": limits})
        end_well(r)
        r.play(LONGEST_JOB)
        check_rest(r)

    def summary(self) -> str:
        """What has happened so far, in a line."""
        r = self.rollout
        writes = sum(len(disk.writes) for disk in r.cluster.disks.values())
        mishaps = self.happened.total() - self.happened["the controller is killed"]
        phases = Counter(r.phase(name) for name in r.cluster.disks)
        told = ", ".join(f"{number} {phase}" for phase, number in sorted(phases.items()))
        return (
            f"{r.count} decisions, {self.happened['the controller is killed']} kills, "
            f"{mishaps} mishaps, {writes} writes on the machines of now; {told}"
        )


def check_rest(r: Rollout) -> None:
    """At rest: no Job, no pod of ours, no cordon, and each record says what is on the disk."""
    cluster = r.cluster
    jobs = [job["metadata"]["name"] for job in cluster.api.all("Job")]
    assert not jobs, f"Jobs are left: {jobs}"
    spaces = (AGENTS, PROOF)
    pods = [p["metadata"] for p in cluster.api.all("Pod") if p["metadata"]["namespace"] in spaces]
    assert not pods, f"pods are left: {[pod['name'] for pod in pods]}"
    for node in cluster.api.all("Node"):
        assert not node["spec"].get("unschedulable"), f"{node['metadata']['name']} is cordoned"
    states = {state["metadata"]["name"]: state for state in cluster.states()}
    odd = sorted(states.keys() ^ cluster.disks.keys())
    assert not odd, f"{odd}: a record has no node, or a node no record"
    for name, disk in cluster.disks.items():
        state = states[name]
        status = state["status"]
        assert state["spec"]["nodeUID"] == cluster.node(name)["metadata"]["uid"], f"{name}: the UID"
        assert not status.get("operation"), f"{name} is worked on: {status['operation']}"
        assert not status.get("leftovers"), f"{name}: {status['leftovers']}"
        [file] = status["files"]
        told = file["sha256"], file.get("version")
        assert told == (disk.sha256, disk.version), f"{name}: {told} is recorded"
