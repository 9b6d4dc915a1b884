"""What happens to a cluster while a rollout is under way: one random mishap at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.world.phases import FAILED, Step
from tests.unit.planner.cluster_model import AGENTS, APPS, Cluster
from tests.unit.planner.courses import ZONE
from tests.unit.planner.invariants import EDITED
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.played_rollout import Chaos, Rollout
from tests.unit.planner.scenarios import crio, f1, f2, healthy, lowered_node, old, phases

_EDITS: tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...] = (
    (("status", "phase"), (*Phase, "Pondering", None)),
    (("status", "reason"), ("Unplannable", "Done", "edited")),
    (("status", "operation"), (None,)),
    (("status", "operation", "step"), (*Step, "a step of tomorrow")),
    (("status", "operation", "deadline"), (None, "9999-12-31T23:59:59Z", "2026-01-01T00:00:00Z")),
    (("status", "operation", "input"), (None, "{}", "not JSON")),
    (("status", "operation", "ending"), (None,)),
    (("status", "operation", "cordoned"), (True, False)),
    (("status", "operation", "proof"), (None,)),
    (("status", "observed"), (None,)),
    (("status", "files"), ([],)),
    (("status", "paths"), (None,)),
    (("status", "changed"), (None,)),
    (("status", "lastChange"), (None,)),
    (("status", "lastOperation"), (None,)),
    (("status", "baseline"), (None,)),
    (("status", "attempts"), (0, 7)),
    (("status", "serial"), (0, 99)),
    (("status", "nextAttemptAt"), (None, "9999-12-31T23:59:59Z")),
    (("status", "verdict"), (None, "edited")),
    (("spec", "policyRef"), (None, {"name": "nobody", "uid": "nobody"})),
    (("spec", "nodeUID"), ("nobody",)),
    (("metadata", "labels"), (None, {names.LABEL_POLICY: "nobody"})),
)
"""What a person may write into a record, by the path to it."""

BY_HAND = (
    "is uncordoned by hand",
    "is cordoned anew by somebody",
    "has its cordon taken over",
    "loses our mark",
    "sees failed nodes lose their records",
    "loses its record",
    "has its record edited by hand",
    "is given back to its pods",
)
"""What people do to a cordon or a record of ours: some rules do not hold for that node after it."""

RARE = (
    "is without the controller for hours",
    "is off for hours, as the whole cluster is",
    "sees the clock set",
)
"""What takes hours each."""

AGENT_FAULTS = ("killed", "killed-after-write", "hangs", "pull", "garbled")


def some_node(random: Random, name: str) -> SimNode:
    """A node of any kind; now and then one that takes a change badly."""
    drained = old(name, drain_for=frozenset({"1.0.0", "1.1.0"}))
    managed = old(name, managed_by="flannel: ConfigMap kube-flannel-cfg")
    bad = old(name, surprise={"1.0.0": (random.random() < 0.5, False)})
    lowered = lowered_node(name)
    made = (
        f1(name),
        f2(name),
        crio(name),
        healthy(name),
        old(name),
        drained,
        managed,
        bad,
        lowered,
        old(name, doubt="CHECK of x"),
    )
    return random.choice(made)


def some_policy(random: Random) -> dict[str, Any]:
    """A spec of any kind."""
    return {
        "mode": "Enforce" if random.random() < 0.9 else "Audit",
        "nodeSelector": {} if random.random() < 0.7 else {"matchLabels": {"zone": "a"}},
        "rollout": some_rollout(random),
        "target": {
            "cni": {
                "version": random.choice(["0.4.0", "1.0.0", "1.0.0", "1.1.0"]),
                "selection": random.choice(["HighestCompatible", "HighestCompatible", "Exact"]),
            }
        },
        "managedFiles": random.choice(["Skip", "Override"]),
        "drain": {"policy": random.choice(["IfRequired", "Always", "Never"]), "deadline": "2m"},
        "verify": {
            "proof": random.random() < 0.8,
            "deadline": "1m",
            "soak": random.choice([None, None, "30s"]),
        },
        "drift": {"maxReverts": random.choice([0, 1, 3]), "within": "24h"},
        "deletionPolicy": random.choice(["Retain", "Restore"]),
        "onFailure": random.choice(["Rollback", "Stop"]),
    }


def some_rollout(random: Random) -> dict[str, Any]:
    """An order, limits and hours of any kind. None takes back what a policy said before."""
    by_label = {"by": "Label", "label": {"key": "zone", "values": ["b", "a"]}, "selectors": None}
    selectors = [{"matchLabels": {"zone": random.choice("abz")}}, {}]
    canaries: tuple[dict[str, Any], ...] = (
        {"nodes": random.choice([1, 2, "50%"]), "nodeSelector": None},
        {"nodes": None, "nodeSelector": {"matchLabels": {"zone": random.choice("aabz")}}},
    )
    zone = random.choice(["UTC", "Europe/Berlin"])
    # A change takes 7 to 22 minutes by its deadlines, and the clock starts at noon.
    window = {"schedule": "*/30 * * * *", "duration": random.choice(["8m", "14m", "18m", "22m"])}
    soak = {"soak": random.choice(["20s", "2m"])}
    return {
        "maxUnavailable": random.choice([1, 2, "50%", "100%"]),
        "maxParallel": random.choice([1, 2, 10]),
        "canary": {**random.choice(canaries), **soak} if random.random() < 0.4 else None,
        "order": random.choice(
            [
                {"by": "Name", "label": None, "selectors": None},
                {"by": "Zone", "label": None, "selectors": None},
                by_label,
                {"by": "Selectors", "label": None, "selectors": selectors},
            ]
        ),
        "maxFailures": random.choice([1, 1, 2, "50%", "100%"]),
        "countFailures": random.choice(["Total", "Consecutive"]),
        "windows": [{**window, "timeZone": zone}] if random.random() < 0.4 else None,
        "cordoned": random.choice(["Wait", "Skip"]),
    }


def some_labels(random: Random) -> dict[str, str]:
    """Where a node stands."""
    zone = random.choice(["z1", "z2", ""])
    return {"zone": random.choice("ab"), **({ZONE: zone} if zone else {})}


class Mishaps:
    """Does one thing to the cluster at a time; every one can happen in any real cluster."""

    def __init__(self, rollout: Rollout, random: Random) -> None:
        self._rollout = rollout
        self._cluster: Cluster = rollout.cluster
        self._random = random
        self._made = 0
        self._all: Mapping[str, Callable[[str], None]] = {
            "goes silent": lambda n: self._cluster.set_ready(n, "Unknown"),
            "is not ready": lambda n: self._cluster.set_ready(n, "False"),
            "is ready": lambda n: self._cluster.set_ready(n, "True"),
            "is ready again": lambda n: self._cluster.set_ready(n, "True"),
            "reboots": lambda n: self._cluster.reboot(n, f"boot-{random.random()}"),
            "is cordoned by somebody": self._cluster.cordon,
            "is given back by somebody": self._foreign_uncordon,
            "is uncordoned by hand": self._uncordon,
            "is cordoned anew by somebody": self._cordon_anew,
            "has its cordon taken over": self._take_over,
            "loses our mark": self._unmark,
            "vanishes": self._vanish,
            "is replaced": self._replace,
            "sees failed nodes vanish": lambda n: self._failed(self._vanish),
            "sees failed nodes replaced": lambda n: self._failed(self._replace),
            "sees failed nodes lose their records": lambda n: self._failed(self._lose_record),
            "sees failed nodes relabelled": lambda n: self._failed(self._relabel),
            "gets a sister": self._join,
            "loses its file to an edit": self._edit,
            "has its file put back": self._put_back,
            "is leased by somebody": self._lease,
            "is relabelled": self._relabel,
            "has trouble with agents": self._fault,
            "loses its jobs": self._lose_jobs,
            "loses an agent": self._lose_agent,
            "loses its record": self._lose_record,
            "has its record edited by hand": self._edit_record,
            "is to be tried again": self._retry,
            "is to be tried again with all others": self._retry_all,
            "loses its retry": self._lose_retry,
            "sees its policy paused": self._pause,
            "sees its policy resumed": self._resume,
            "sees its policy only audit for a while": self._audit_and_back,
            "sees its policy changed": self._change,
            "sees one word of its policy changed": self._change_a_word,
            "sees its policy deleted": self._delete_policy,
            "sees another policy": lambda n: self._cluster.apply_policy(
                "other", some_policy(random)
            ),
            "sees a budget": lambda n: self._cluster.budgets.add(f"web-{n}-0"),
            "sees a quota": self._quota,
            "sees Jobs refused": self._refuse_jobs,
            "sees everything stopped": lambda n: self._stop("a trial"),
            "sees everything go on": lambda n: self._stop(""),
            "sees everything go on again": lambda n: self._stop(""),
            "sees proof pods kept": self._keep_proofs,
            "has pods that nobody may list": self._unlist,
            "is given back to its pods": self._give_back,
            "has another runtime": self._runtime,
            "has another kubelet": lambda n: self._cluster.upgrade(
                n, kubelet=random.choice(["v1.34.4", "v1.35.0"])
            ),
            "is full": self._cluster.full.add,
            "has room": self._cluster.full.discard,
            "has no place for another pod": self._fill,
            "is without the controller for long": self._downtime,
            "is without the controller for hours": self._hours,
            "is off for hours, as the whole cluster is": self._power_cut,
            "sees the clock set": self._set_clock,
            "has events that no watch brings": self._lose_events,
            "sees its controller lose the lease": self._lose_the_lease,
        }

    def one(self, spared: Callable[[str], bool] = lambda _: False, *, rare: bool = True) -> str:
        """Something happens to some node; by hand only to one that is not spared.

        What it was; nothing where it is rare and not to be.
        """
        if not self._cluster.disks:
            self._join("")
            return "gets a sister"
        node = self._random.choice(sorted(self._cluster.disks))
        what = self._random.choice(sorted(self._all))
        if (what in BY_HAND and spared(node)) or (what in RARE and not rare):
            return ""
        self._rollout.say(f"== {node} {what}")
        self._rollout.logbook.quiet.clear()
        self._all[what](node)
        return what

    def mend(self, name: str) -> None:
        """What is in the way on one node goes."""
        cluster, disk = self._cluster, self._cluster.disks[name]
        cluster.set_ready(name, "True")
        self._foreign_uncordon(name)
        cluster.drop_lease(name, "maintenance")
        disk.faults, disk.surprise = [], {}
        cluster.unlisted.pop(name, None)
        cluster.full.discard(name)
        cluster.room.pop(name, None)

    def lift_refusals(self) -> None:
        """The API server takes everything again."""
        cluster = self._cluster
        cluster.quota = cluster.jobs_refused = cluster.proofs_kept = cluster.stopped = ""

    def calm(self) -> None:
        """Everybody goes home: nothing is in the way any more, and the policies want one thing."""
        self._rollout.say("== all is calm")
        self._rollout.logbook.quiet.clear()
        cluster = self._cluster
        for name in cluster.disks:
            self.mend(name)
        for pod in list(cluster.api.all("Pod")):
            owners = [owner["kind"] for owner in pod["metadata"].get("ownerReferences", ())]
            if set(owners) & {"DaemonSet", "Node"}:
                # As a node says on which they stay: they are kept off it while it is changed.
                cluster.api.remove("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
        cluster.budgets.clear()
        self.lift_refusals()
        if cluster.api.find("CNIUpgradePolicy", "cure"):
            self._resume("")
            cluster.apply_policy("cure", {"paused": False})
        if cluster.api.find("CNIUpgradePolicy", "other"):
            cluster.api.delete("CNIUpgradePolicy", "other")
        self._rollout.until(lambda: not self._leaving(), 4 * 3600)
        canary = {"nodes": 1, "nodeSelector": None, "soak": "1m"}
        # Closed for twenty minutes of each hour, and long enough for a drain by its deadlines.
        hours = {"schedule": "30 * * * *", "duration": "40m", "timeZone": "UTC"}
        cluster.apply_policy(
            "cure",
            {
                "mode": "Enforce",
                "nodeSelector": {"matchLabels": None},
                "paused": False,
                "rollout": {
                    "canary": canary if self._random.random() < 1 / 3 else None,
                    "windows": [hours] if self._random.random() < 1 / 3 else None,
                },
                "drain": {"policy": "IfRequired", "deadline": "10m"},
                "managedFiles": "Override",
                "target": {"cni": {"version": "1.0.0", "selection": "HighestCompatible"}},
            },
            {names.PAUSED: None},
        )

    def _leaving(self) -> bool:
        """Whether a policy is deleted and not gone: it must go in the end."""
        policies = self._cluster.api.all("CNIUpgradePolicy")
        return any("deletionTimestamp" in policy["metadata"] for policy in policies)

    def _foreign_uncordon(self, node: str) -> None:
        if node in self._cluster.foreign_cordons:
            self._cluster.uncordon(node)

    def _stop(self, why: str) -> None:
        self._cluster.stopped = why

    def _uncordon(self, node: str) -> None:
        self._rollout.ledger.meddled.add(node)
        self._cluster.uncordon(node)

    def _cordon_anew(self, node: str) -> None:
        """Uncordoned and cordoned by hand: from then on the cordon is theirs."""
        self._rollout.ledger.meddled.add(node)
        self._cluster.uncordon(node)
        self._cluster.cordon(node)

    def _take_over(self, node: str) -> None:
        """Another program applies the cordon that is there: the API server notes it as an owner."""
        self._rollout.ledger.meddled.add(node)
        self._cluster.share_cordon(node)

    def _unmark(self, node: str) -> None:
        self._rollout.ledger.meddled.add(node)
        self._cluster.annotate("Node", node, names.CORDONED_BY, None)

    def _vanish(self, node: str) -> None:
        self._rollout.ledger.meddled.discard(node)
        self._rollout.ledger.done.pop(node, None)
        self._cluster.remove_node(node)

    def _replace(self, node: str) -> None:
        self._vanish(node)
        # An agent of the old machine's that reaches the new one is possible, and harmless.
        self._rollout.ledger.meddled.add(node)
        self._cluster.add_node(some_node(self._random, node), labels=some_labels(self._random))

    def _failed(self, what: Callable[[str], None]) -> None:
        """What people do to nodes that failed, rather than ask for another try."""
        for node in sorted(self._cluster.disks):
            if self._rollout.phase(node) in FAILED:
                what(node)

    def _join(self, _: str) -> None:
        self._made += 1
        disk = some_node(self._random, f"node-new-{self._made}")
        self._cluster.add_node(disk, labels=some_labels(self._random))

    def _edit(self, node: str) -> None:
        disk = self._cluster.disks[node]
        disk.edit(self._random.choice([None, "0.3.1", disk.version]))

    def _lease(self, node: str) -> None:
        if self._rollout.config.lease_namespace:
            self._cluster.take_lease(node, "maintenance", self._random.choice([30, 600]))

    def _put_back(self, node: str) -> None:
        self._cluster.disks[node].put_back("0.3.1")

    def _relabel(self, node: str) -> None:
        zone = self._random.choice(["a", "b"])
        self._cluster.api.patch("Node", node, {"metadata": {"labels": {"zone": zone}}})

    def _fault(self, node: str) -> None:
        self._cluster.disks[node].faults.append(self._random.choice(AGENT_FAULTS))

    def _jobs(self, node: str) -> list[str]:
        return [
            job["metadata"]["name"]
            for job in self._cluster.api.all("Job")
            if job["metadata"]["annotations"][names.LABEL_NODE] == node
        ]

    def _lose_jobs(self, node: str) -> None:
        for name in self._jobs(node):
            self._cluster.api.delete("Job", name, namespace=AGENTS)

    def _lose_agent(self, node: str) -> None:
        for pod in self._cluster.pods_on(node, AGENTS):
            self._cluster.api.remove("Pod", pod["metadata"]["name"], AGENTS)

    def _lose_record(self, node: str) -> None:
        if self._cluster.state(node):
            self._rollout.ledger.meddled.add(node)
            self._cluster.api.delete("CNINodeState", node)

    def _edit_record(self, node: str) -> None:
        """Somebody edits the record: takes a member out, or writes another value into it."""
        if self._cluster.state(node) is None:
            return
        self._rollout.ledger.meddled.add(node)
        path, values = self._random.choice(_EDITS)
        if "operation" in path[:-1] and not self._cluster.status(node).get("operation"):
            return
        patch: Any = self._random.choice(values)
        for name in reversed(path):
            patch = {name: patch}
        sub = "status" if path[0] == "status" else ""
        self._rollout.say(f"== (the edit: {patch})")
        self._cluster.api.patch("CNINodeState", node, patch, sub=sub)
        self._cluster.annotate("CNINodeState", node, EDITED, "")

    def _retry(self, node: str) -> None:
        if self._cluster.state(node):
            value = str(self._random.random())
            self._cluster.annotate("CNINodeState", node, names.RETRY, value)

    def _retry_all(self, _: str) -> None:
        if self._cluster.api.find("CNIUpgradePolicy", "cure"):
            value = str(self._random.random())
            self._cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, value)

    def _lose_retry(self, node: str) -> None:
        """Of the policy or of the record: a GitOps tool prunes what it does not know."""
        kind, name = self._random.choice([("CNIUpgradePolicy", "cure"), ("CNINodeState", node)])
        if self._cluster.api.find(kind, name):
            self._cluster.annotate(kind, name, names.RETRY, None)

    def _pause(self, _: str) -> None:
        if self._cluster.api.find("CNIUpgradePolicy", "cure"):
            self._cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "")

    def _resume(self, _: str) -> None:
        if self._cluster.api.find("CNIUpgradePolicy", "cure"):
            self._cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)

    def _audit_and_back(self, _: str) -> None:
        """As people stop a rollout to look: nothing is forgiven for it. Machines go meanwhile."""
        if self._cluster.api.find("CNIUpgradePolicy", "cure"):
            self._cluster.apply_policy("cure", {"mode": "Audit"})
            for _pass in range(self._random.choice([1, 20, 60])):
                self._rollout.step()
            if self._random.random() < 0.5:
                self._failed(self._vanish)
                self._rollout.step()
            self._cluster.apply_policy("cure", {"mode": "Enforce"})

    def _change(self, _: str) -> None:
        self._cluster.apply_policy("cure", some_policy(self._random))

    def _change_a_word(self, _: str) -> None:
        spec = some_policy(self._random)
        word = self._random.choice(sorted(spec))
        if self._cluster.api.find("CNIUpgradePolicy", "cure"):
            self._cluster.apply_policy("cure", {word: spec[word]})

    def _delete_policy(self, _: str) -> None:
        if self._cluster.api.find("CNIUpgradePolicy", "cure"):
            self._cluster.api.delete("CNIUpgradePolicy", "cure")

    def _fill(self, name: str) -> None:
        self._cluster.room[name] = len(self._cluster.pods_on(name, APPS))

    def _quota(self, _: str) -> None:
        self._cluster.quota = "" if self._cluster.quota else "exceeded quota: pods"

    def _refuse_jobs(self, _: str) -> None:
        self._cluster.jobs_refused = "" if self._cluster.jobs_refused else "exceeded quota: jobs"

    def _keep_proofs(self, _: str) -> None:
        self._cluster.proofs_kept = "" if self._cluster.proofs_kept else "a webhook says no"

    def _unlist(self, node: str) -> None:
        if self._cluster.unlisted.pop(node, None) is None:
            self._cluster.unlisted[node] = "timeout"

    def _give_back(self, node: str) -> None:
        """Somebody takes our cordon off, and our mark with it."""
        self._uncordon(node)
        self._unmark(node)

    def _runtime(self, node: str) -> None:
        name, _, _ = self._cluster.disks[node].runtime.partition("://")
        versions = {"cri-o": ["1.23.0", "1.30.0"]}.get(name, ["1.6.20", "1.7.0", "2.0.0"])
        self._cluster.upgrade(node, runtime=f"{name}://{self._random.choice(versions)}")

    def _downtime(self, _: str) -> None:
        for _second in range(self._random.choice([10, 200, 1000])):
            self._cluster.tick()

    def _hours(self, _: str) -> None:
        for _minute in range(60 * self._random.choice([1, 3, 12])):
            self._cluster.tick(60)

    def _power_cut(self, _: str) -> None:
        """Everything is off; a controller is back before the kubelets, and nodes look as before."""
        nodes = [disk for disk in self._cluster.disks.values() if not disk.silent]
        for disk in nodes:
            disk.silent = True
        self._hours("")
        self._rollout.restart()
        on = self._cluster.now + timedelta(seconds=self._random.choice([1, 10, 40]))
        while self._cluster.now < on:
            self._rollout.step()
        for disk in nodes:
            disk.silent = False

    def _set_clock(self, _: str) -> None:
        """The API server's clock is set, and the controller that goes on is another process: one
        that lives on follows slowly (controller/clock.py)."""
        hours = self._random.choice([-12, -2, -1, 1, 2, 12])
        self._rollout.say(f"== (by {hours} h)")
        self._rollout.set_clock(hours)

    def _lose_events(self, node: str) -> None:
        """A watch brings nothing of the node, its Jobs and their pods until the next whole list."""
        until = self._cluster.now + timedelta(seconds=self._random.choice([20, 120, 300]))
        pods = [pod["metadata"]["name"] for pod in self._cluster.pods_on(node, AGENTS)]
        keys = [("Node", "", node), *(("Job", AGENTS, name) for name in self._jobs(node))]
        for key in [*keys, *(("Pod", AGENTS, name) for name in pods)]:
            self._rollout.controller.deaf[key] = until

    def _lose_the_lease(self, _: str) -> None:
        self._rollout.lose_the_lease(self._random.choice([0, 0, 1, 3]))


def end_well(r: Rollout, patience: int = 5 * 3600) -> None:
    """Once nothing is in the way and a person asks again, every node is cured and given back."""
    r.chaos = Chaos()
    for attempt in range(3):
        # Files that were edited after they were done are found by another look only.
        r.say("== a person asks for another look")
        r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, str(attempt))
        r.settle(patience=20)
        late = r.cluster.now + timedelta(seconds=patience)
        while "Waiting" in phases(r).values() and r.cluster.now < late:
            r.step()  # For a window, or for the canary to have soaked.
        r.settle(patience=20)
        if set(phases(r).values()) <= {"Done", "Compatible"}:
            break
    for name, disk in r.cluster.disks.items():
        assert r.phase(name) in ("Done", "Compatible"), f"{name}: {r.cluster.status(name)}"
        expected = "0.4.0" if disk.most == "0.4.0" else "1.0.0"
        assert disk.version == expected, f"{name} is left at {disk.version}"
