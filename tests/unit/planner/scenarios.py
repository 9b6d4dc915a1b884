"""Rollouts that a person can follow: each function plays one and says what must come of it.

Their transcripts stand in `golden/`, one file each.
"""

from __future__ import annotations

from collections.abc import Callable

from cni_upgrade.api import names
from cni_upgrade.planner.node.node_lease import HOLDER
from tests.unit.planner.api_model import Raw, stamp
from tests.unit.planner.cluster_model import AGENTS, LEASED, LEASES, PROOF, START
from tests.unit.planner.invariants import check_given_back
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.played_rollout import Rollout

ENFORCE = {"mode": "Enforce"}


def f1(name: str = "node-a") -> SimNode:
    """No version: pods are added, none can be deleted (containerd 1.6.2)."""
    return SimNode(name, None, "containerd://1.6.2")


def f2(name: str = "node-b") -> SimNode:
    """A version above what a plugin takes: ADD and DEL fail."""
    return SimNode(name, "1.0.0", "containerd://1.6.20", most="0.4.0")


def crio(name: str = "node-c") -> SimNode:
    """No version: no pod is added, and CRI-O deletes those of before with what it cached."""
    return SimNode(name, None, "cri-o://1.23.0", add_without_version=False, cached_del=True)


def healthy(name: str = "node-d") -> SimNode:
    """At the target."""
    return SimNode(name, "1.0.0", "containerd://2.0.0")


def old(name: str, **more: object) -> SimNode:
    """An older version that works: to be raised, nothing is broken before."""
    node = SimNode(name, "0.4.0", "containerd://1.7.0")
    for key, value in more.items():
        setattr(node, key, value)
    return node


def of(*disks: SimNode, pods: int = 1) -> Rollout:
    """A cluster of those nodes, with the operator in it."""
    rollout = Rollout()
    for disk in disks:
        rollout.cluster.add_node(disk, pods=pods)
    return rollout


def version(rollout: Rollout, node: str) -> str | None:
    return rollout.cluster.disks[node].version


def phases(rollout: Rollout) -> dict[str, str]:
    return {name: rollout.phase(name) for name in sorted(rollout.cluster.disks)}


def reason(rollout: Rollout, node: str) -> str:
    return str(rollout.cluster.status(node).get("reason"))


def message(rollout: Rollout, node: str) -> str:
    return str(rollout.cluster.status(node).get("message"))


def ready(rollout: Rollout, policy: str) -> str:
    """The reason of the policy's Ready."""
    conditions = rollout.cluster.policy(policy)["status"]["conditions"]
    return str(next(c["reason"] for c in conditions if c["type"] == "Ready"))


def mixed_cluster_cured() -> Rollout:
    """The demo: two faults, one of them twice, and a healthy node."""
    r = of(f1(), f2(), crio(), healthy())
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {
        "node-a": "Done",
        "node-b": "Done",
        "node-c": "Done",
        "node-d": "Compatible",
    }
    assert [version(r, n) for n in phases(r)] == ["1.0.0", "0.4.0", "1.0.0", "1.0.0"]
    assert "cannot be deleted afterwards" in message(r, "node-c")
    assert ready(r, "cure") == "Enforced"
    return r


def audit_then_enforce() -> Rollout:
    """Audit shows what would be done and does nothing; Enforce goes on without another audit."""
    r = of(f1(), healthy())
    r.cluster.apply_policy("cure", {"mode": "Audit"})
    r.settle()
    assert phases(r) == {"node-a": "Waiting", "node-d": "Compatible"}
    assert reason(r, "node-a") == "WaitingForEnforce"
    assert not r.cluster.disks["node-a"].writes
    assert ready(r, "cure") == "Audited"
    r.say("== mode: Enforce")
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-d": "Compatible"}
    return r


def paused_before_the_write() -> Rollout:
    """Nothing was written yet: the node is given back at once, and goes on when resumed."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== paused by annotation")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Waiting"}, "Paused")
    assert version(r, "node-a") is None
    r.say("== resumed")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def paused_after_the_write() -> Rollout:
    """The node that was written to is finished, the next one does not begin."""
    r = of(f1("node-a"), f1("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== paused by field")
    r.cluster.apply_policy("cure", {**ENFORCE, "paused": True})
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Waiting"}
    assert ready(r, "cure") == "Paused"
    return r


def stopped_before_the_write() -> Rollout:
    """All at once: nodes that were not written to are given back, and no audit is sent either."""
    r = of(f1("node-a"), f1("node-b"), f1("node-c"))
    r.cluster.apply_policy("cure", {**ENFORCE, "rollout": {"maxUnavailable": 2, "maxParallel": 2}})
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== everything is stopped")
    r.cluster.stopped = "the images are wrong"
    r.cluster.add_node(healthy("node-d"))
    r.play(120)
    waiting = dict.fromkeys(("node-a", "node-b", "node-c"), "Waiting")
    assert phases(r) == {**waiting, "node-d": "Pending"}
    assert {reason(r, f"node-{n}") for n in "abcd"} == {"Stopped"}
    assert "the images are wrong (kubectl annotate " in message(r, "node-a")
    assert ready(r, "cure") == "Stopped"
    assert version(r, "node-a") is None
    r.say("== goes on")
    r.cluster.stopped = ""
    r.settle()
    assert phases(r) == {**dict.fromkeys(waiting, "Done"), "node-d": "Compatible"}
    return r


def stopped_after_the_write() -> Rollout:
    """A node that is worse after the write is put back, though everything is stopped."""
    bad = old("node-a", surprise={"1.0.0": (False, True)})
    r = of(bad, old("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== everything is stopped")
    r.cluster.stopped = "pods do not start"
    r.settle()
    assert phases(r) == {"node-a": "RolledBack", "node-b": "Waiting"}
    return r


def stopped_as_the_agent_is_sent() -> Rollout:
    """Its record says Apply, the agent is not there: it is not sent, and the node given back."""
    r = of(f1("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    dies_before(r, "CreateJob")
    r.say("== everything is stopped")
    r.cluster.stopped = "a trial"
    r.dead = False
    r.play(120)
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Pending"}, None)
    r.say("== goes on")
    r.cluster.stopped = ""
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def called_off_with_a_pod_that_cannot_go() -> Rollout:
    """The pod from before the change hangs where deleting is broken: said, and gone once cured."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.until(lambda: r.cluster.pods_on("node-a", PROOF) != [])
    r.say("== paused by annotation")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    r.dead = False
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Waiting"}, "Paused")
    [left] = r.cluster.status("node-a")["leftovers"]
    assert "proof-old" in left
    r.say("== resumed")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.status("node-a")["leftovers"] == []
    assert list(r.cluster.pods_on("node-a", PROOF)) == []
    return r


def not_linux() -> Rollout:
    """A node of another system is blocked without a look, and stops nobody."""
    r = of(f1("node-a"), healthy("node-w"))
    r.cluster.set_system("node-w", "windows")
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-w": "Blocked"}
    assert reason(r, "node-w") == "NotLinux"
    assert "audit-#2" not in r.transcript, "no agent is sent there"
    summary = r.cluster.policy("cure")["status"]["summary"]
    assert (summary["blocked"], summary["failed"]) == (1, 0)
    r.say("== the policy selects Linux nodes")
    r.cluster.apply_policy("cure", {"nodeSelector": {"matchLabels": {"zone": "a"}}})
    r.cluster.api.patch("Node", "node-w", {"metadata": {"labels": {"zone": "w"}}})
    r.play(60)
    assert ready(r, "cure") == "Enforced"
    return r


def budget_blocks_a_drain() -> Rollout:
    """A disruption budget holds a pod until the deadline: blocked, given back, tried later."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})))
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"deadline": "2m"}})
    r.cluster.budgets.add("web-node-a-0")
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert reason(r, "node-a") == "DrainBlocked"
    assert "disruption budget web" in message(r, "node-a")
    assert not r.cluster.disks["node-a"].writes
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    r.say("== the budget allows it")
    r.cluster.budgets.clear()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def budget_never_gives_way() -> Rollout:
    """Blocked again and again: the node is left in peace for longer each time."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})))
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"deadline": "1m"}})
    r.cluster.budgets.add("web-node-a-0")
    r.play(4 * 3600)
    drains = sum(line.endswith("node-a: Cordon") for line in r.lines)
    assert 5 <= drains <= 10, f"{drains} drains in four hours"
    return r


def come_back(r: Rollout, node: str, *names_: str) -> None:
    """Pods of a node that went are there again: nothing else takes them."""
    r.say(f"== {', '.join(names_)} come back")
    for name in names_:
        r.cluster.add_pod(node, name)


def evicted(r: Rollout, since: int = 0) -> set[str]:
    """Names of the pods that were asked to leave, from that line of the transcript on."""
    return {line.split("Evict ")[1] for line in r.lines[since:] if ": Evict " in line}


def budget_holds_one_of_three() -> Rollout:
    """A retry asks the pod that held the last drain; the others go once that one does."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})), pods=3)
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"deadline": "1m"}})
    kept, *others = (f"web-node-a-{number}" for number in range(3))
    r.cluster.budgets.add(kept)
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert evicted(r) == {kept, *others}
    for again in range(2):
        seen = len(r.lines)
        if not again:
            come_back(r, "node-a", *others)
        r.until(lambda: r.step_of("node-a") == "Drain")
        if again:
            r.say("-- another controller takes over")
            r.restart()
        r.until(lambda: r.phase("node-a") == "Blocked")
        assert evicted(r, seen) == {kept}
        assert "2 more are left alone" in message(r, "node-a")
    seen = len(r.lines)
    r.say("== the budget allows it")
    r.cluster.budgets.clear()
    r.until(lambda: r.phase("node-a") == "Done")
    r.settle()
    asked = [line.split("Evict ")[1] for line in r.lines[seen:] if ": Evict " in line]
    assert asked == [kept, *others], "the one that held it is to go first"
    assert r.cluster.status("node-a")["drainHeldBy"] == []
    return r


def drain_called_off_while_a_budget_holds() -> Rollout:
    """Resumed after a pause, too, the pod that held the drain is asked before the others."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})), pods=2)
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"deadline": "1m"}})
    kept, other = "web-node-a-0", "web-node-a-1"
    r.cluster.budgets.add(kept)
    r.until(lambda: r.step_of("node-a") == "Drain")
    r.play(20)
    r.say("== paused by annotation")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    r.settle()
    come_back(r, "node-a", other)
    seen = len(r.lines)
    r.say("== resumed")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert evicted(r, seen) == {kept}
    return r


def agent_killed_once() -> Rollout:
    """The first agent is killed before it writes; the second one does the same work."""
    r = of(f1())
    r.cluster.disks["node-a"].faults = ["none", "killed"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.disks["node-a"].writes == ["missing -> 1.0.0 by apply"]
    return r


def agent_killed_after_the_write() -> Rollout:
    """It wrote and was killed: the second agent finds that on the node and gives the answer."""
    r = of(f1())
    r.cluster.disks["node-a"].faults = ["none", "killed-after-write"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.disks["node-a"].writes == ["missing -> 1.0.0 by apply"]
    return r


def agent_killed_thrice() -> Rollout:
    """Three agents without an answer: failed, given back, and no other node begins."""
    r = of(f1("node-a"), f1("node-b"))
    r.cluster.disks["node-a"].faults = ["none", "killed", "killed", "killed"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Failed", "node-b": "Waiting"}
    assert reason(r, "node-a") == "AgentLost"
    assert reason(r, "node-b") == "RolloutStopped"
    assert ready(r, "cure") == "NodeFailed"
    return r


def worse_is_rolled_back() -> Rollout:
    """ADD worked before and does not after: the backup goes back, the rollout stops."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}), old("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "RolledBack", "node-b": "Waiting"}
    assert version(r, "node-a") == "0.4.0"
    assert reason(r, "node-a") == "WorseThanBefore"
    return r


def worse_to_delete_is_rolled_back() -> Rollout:
    """DEL worked before and does not after: the pod from before shows it, the backup goes back."""
    r = of(old("node-a", surprise={"1.0.0": (True, False)}))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    assert version(r, "node-a") == "0.4.0"
    return r


def worse_is_left_where_the_policy_says_so() -> Rollout:
    """onFailure: Stop leaves it as it is, for a person to look at."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    r.cluster.apply_policy("cure", {**ENFORCE, "onFailure": "Stop"})
    r.settle()
    assert phases(r) == {"node-a": "Failed"}
    assert version(r, "node-a") == "1.0.0"
    return r


def as_broken_as_before() -> Rollout:
    """DEL did not work before and does not after: failed, nothing is restored for nothing."""
    node = f1()
    node.surprise = {"1.0.0": (True, False)}
    r = of(node)
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Failed"}
    assert (reason(r, "node-a"), version(r, "node-a")) == ("StillBroken", "1.0.0")
    return r


def changed_since_audit() -> Rollout:
    """Somebody writes the file between audit and apply: refused, looked at again, then done."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== somebody edits the file")
    r.cluster.disks["node-a"].edit(None)
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert reason(r, "node-a") == "ChangedSinceAudit"
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def looked_at_when_it_is_ready_again() -> Rollout:
    """Whatever was done to the node while it was down: its plugins, say, without a reboot."""
    r = of(healthy("node-a"), healthy("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.cluster.set_ready("node-a", "False")
    r.settle()
    r.say("== node-a is ready again, with older plugins")
    r.cluster.disks["node-a"].most = "0.4.0"
    r.cluster.set_ready("node-a", "True")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Compatible"}
    assert version(r, "node-a") == "0.4.0"
    assert (r.cluster.now - START).total_seconds() < 3600, "the routine look came only later"
    return r


def policy_deleted_before_the_write() -> Rollout:
    """The node is given back untouched."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== the policy is deleted")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.play(60)
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Pending"}, None)
    assert reason(r, "node-a") == "NoPolicy"
    assert r.cluster.state("node-a")["spec"].get("policyRef") is None  # type: ignore[index]
    r.say("== another one is made")
    r.cluster.apply_policy("again", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def policy_deleted_after_the_write() -> Rollout:
    """What was written is proved first, then the node is given back."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== the policy is deleted")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.play(120)
    assert any("Done" in line for line in r.lines)
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Pending"}, "1.0.0")
    return r


def policy_deleted_after_the_write_ends_as_it_ordered() -> Rollout:
    """How it wanted its nodes worked on holds without it: left as it is, not put back."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    verify = {"deadline": "30s"}
    r.cluster.apply_policy("cure", {**ENFORCE, "onFailure": "Stop", "verify": verify})
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== the policy is deleted")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.play(90)
    assert any("Proving -> Failed (WorseThanBefore)" in line for line in r.lines)
    assert version(r, "node-a") == "1.0.0"
    return r


def two_enforce_policies() -> Rollout:
    """The first claim wins and holds; both say so; when it goes the other one takes over."""
    r = of(f1("node-a"), healthy("node-d"))
    r.cluster.apply_policy("first", ENFORCE)
    r.settle()
    r.say("== a second policy for the same nodes")
    r.cluster.apply_policy("second", {**ENFORCE, "target": {"cni": {"version": "0.4.0"}}})
    r.settle()
    assert ready(r, "second") == "ClaimedByOther"
    since = "by policy first (since 2026-01-01T12:00:0"
    assert since in r.cluster.policy("second")["status"]["message"]
    assert version(r, "node-a") == "1.0.0"
    r.say("== the first one is deleted")
    r.cluster.api.delete("CNIUpgradePolicy", "first")
    r.settle()
    assert ready(r, "second") == "Enforced"
    return r


RESTORE = {**ENFORCE, "deletionPolicy": "Restore"}


def changed(*disks: SimNode, **spec: object) -> Rollout:
    """A cluster whose nodes a policy has changed that will give them back."""
    r = of(*disks)
    r.cluster.apply_policy("cure", {**RESTORE, **spec})
    r.settle()
    assert ready(r, "cure") == "Enforced"
    return r


def delete(r: Rollout, policy: str = "cure") -> None:
    """As `kubectl delete --wait=false`."""
    r.say(f"== policy {policy} is deleted")
    r.cluster.api.delete("CNIUpgradePolicy", policy)


def until_gone(r: Rollout, seconds: int, policy: str = "cure") -> None:
    """Play until the policy is gone, and a little longer."""
    r.until(lambda: r.cluster.api.find("CNIUpgradePolicy", policy) is None, seconds)
    r.play(30)
    check_given_back(r.cluster)


def outcome(r: Rollout, node: str) -> str:
    """What became of giving a node back."""
    return str((r.cluster.status(node).get("changed") or {}).get("restored"))


def restored_on_deletion() -> Rollout:
    """Deleted with Restore: one node after the other has its files back, then the policy goes."""
    r = changed(old("node-a"), old("node-b"), f1("node-c"), healthy("node-d"))
    assert [version(r, n) for n in phases(r)] == ["1.0.0"] * 4
    delete(r)
    until_gone(r, 300)
    assert [version(r, n) for n in phases(r)] == ["0.4.0", "0.4.0", None, "1.0.0"]
    assert [outcome(r, n) for n in phases(r)] == ["Restored"] * 3 + ["None"]
    assert "not proved" in message(r, "node-c"), "what is back there is its fault"
    return r


def retained_on_deletion() -> Rollout:
    """Deleted with Retain, the default: the files stay, and no finalizer holds the policy."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    delete(r)
    assert r.cluster.api.find("CNIUpgradePolicy", "cure") is None
    r.play(60)
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Pending"}, "1.0.0")
    return r


def restore_drains_first() -> Rollout:
    """Pods that were added since could not be deleted with the file of before: they go first."""
    r = changed(f1("node-a"))
    r.cluster.add_pod("node-a", "since")
    delete(r)
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Restored", None)
    assert r.cluster.pods_on("node-a", "default") == []
    return r


def restore_refused() -> Rollout:
    """The same where no drain is allowed, and where somebody else wrote: named, and let go."""
    r = changed(f1("node-a"), old("node-b"), old("node-c"), drain={"policy": "Never"})
    r.cluster.add_pod("node-a", "since")
    r.cluster.disks["node-b"].edit("1.0.0")
    delete(r)
    until_gone(r, 300)
    assert [outcome(r, n) for n in phases(r)] == ["Refused", "Refused", "Restored"]
    assert [version(r, n) for n in phases(r)] == ["1.0.0", "1.0.0", "0.4.0"]
    assert "Unsafe" in message(r, "node-a")
    assert "ChangedSinceBackup" in message(r, "node-b")
    return r


def restore_may_not_drain_any_more() -> Rollout:
    """A budget holds the drain, and a person forbids it: no pod goes, it is refused, and let go."""
    r = changed(f1("node-a"))
    r.cluster.add_pod("node-a", "since")
    r.cluster.budgets |= {"since", "web-node-a-0"}
    delete(r)
    r.until(lambda: r.step_of("node-a") == "Drain")
    r.play(60)
    r.say("== drain: Never")
    r.cluster.apply_policy("cure", {"drain": {"policy": "Never"}})
    r.play(10)
    r.say("== the budget allows it")
    r.cluster.budgets.clear()
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Refused", "1.0.0")
    assert "Unsafe" in message(r, "node-a")
    assert "since" in [pod["metadata"]["name"] for pod in r.cluster.pods_on("node-a", "default")]
    return r


def restore_drains_once() -> Rollout:
    """A DaemonSet's pod stays and is in the way all the same: its node is not drained again."""
    r = changed(f1("node-a"))
    r.cluster.apply_policy("cure", {"drain": {"policy": "Always"}})
    r.settle()
    r.cluster.add_pod("node-a", "logs-x", owner="DaemonSet")
    delete(r)
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Refused", "1.0.0")
    assert "the node was drained" in message(r, "node-a")
    assert sum("CreateJob restore" in line for line in r.lines) == 1
    return r


def restore_that_does_not_work() -> Rollout:
    """A pod shows that the file of before does not work: no other one begins, all is let go."""
    r = changed(old("node-a"), old("node-b"))
    r.cluster.disks["node-a"].surprise = {"0.4.0": (False, False)}
    delete(r)
    r.until(lambda: outcome(r, "node-a") == "Failed")
    r.play(120)
    assert reason(r, "node-b") == "RestoreStopped"
    assert ready(r, "cure") == "Restoring"
    until_gone(r, 3700)
    assert [outcome(r, n) for n in phases(r)] == ["Failed", "GivenUp"]
    assert version(r, "node-b") == "1.0.0"
    return r


def restore_of_a_silent_node() -> Rollout:
    """A node that does not answer does not hold the policy for ever."""
    r = changed(old("node-a"), old("node-b"), rollout={"maxUnavailable": 2})
    r.cluster.set_ready("node-a", "Unknown")
    delete(r)
    r.play(600)
    assert (reason(r, "node-a"), outcome(r, "node-b")) == ("NodeSilent", "Restored")
    assert "given up at" in r.cluster.policy("cure")["status"]["message"]
    until_gone(r, 3700)
    assert outcome(r, "node-a") == "GivenUp"
    return r


def silent_while_it_is_given_back() -> Rollout:
    """The kubelet goes silent with the agent there: the policy goes, the node is finished later."""
    r = changed(old("node-a"))
    delete(r)
    r.until(lambda: r.step_of("node-a") == "GiveBack")
    r.cluster.tick()
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.until(lambda: r.cluster.api.find("CNIUpgradePolicy", "cure") is None, 5000)
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    r.play(120)
    check_given_back(r.cluster)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Restored", "0.4.0")
    return r


def silent_with_the_only_place() -> Rollout:
    """The machine that is given back dies: who waits for its place is given up, as told."""
    r = changed(old("node-a"), old("node-b"))
    delete(r)
    r.until(lambda: r.step_of("node-a") == "GiveBack")
    r.cluster.tick()
    r.say("== node-a goes silent, for good")
    r.cluster.set_ready("node-a", "Unknown")
    since = r.cluster.now
    r.play(30)
    told = "nothing moves: node-a silent (Ready is Unknown) in the midst of a change"
    assert (ready(r, "cure"), told in told_of(r)) == ("RolloutBlocked", True)
    assert "[Stalled]" not in r.transcript
    r.play(600)
    assert (ready(r, "cure"), told in told_of(r)) == ("RolloutBlocked", True)
    assert "RolloutBlocked -> RolloutBlocked [Stalled]" in r.transcript
    r.until(lambda: outcome(r, "node-b") == "GivenUp", 8000)
    assert 3600 <= (r.cluster.now - since).total_seconds() < 3630
    r.until(lambda: r.cluster.api.find("CNIUpgradePolicy", "cure") is None, 30)
    return r


def silent_for_a_moment_after_hours() -> Rollout:
    """A soak is longer than the patience: a blip in it takes nobody else's turn."""
    r = changed(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", {"verify": {"soak": "2h"}})
    r.settle()
    delete(r)
    r.until(lambda: r.step_of("node-a") == "Soak")
    r.play(5000)
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(60)
    assert outcome(r, "node-b") == "None"
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    until_gone(r, 5 * 3600)
    assert [outcome(r, n) for n in phases(r)] == ["Restored"] * 2
    return r


def restore_bears_a_blip_in_a_long_drain() -> Rollout:
    """A budget holds the drain longer than the patience: a blip in it gives up neither node."""
    r = changed(old("node-a"), old("node-b"))
    drain = {"policy": "Always", "deadline": "3h"}
    r.cluster.apply_policy("cure", {"drain": drain, "rollout": {"maxUnavailable": 2}})
    r.settle()
    r.cluster.budgets.add("web-node-a-0")
    r.cluster.cordon("node-b")
    delete(r)
    r.until(lambda: r.step_of("node-a") == "Drain")
    r.play(5000)
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(60)
    assert (reason(r, "node-a"), outcome(r, "node-a")) == ("NodeSilent", "None")
    assert (reason(r, "node-b"), outcome(r, "node-b")) == ("CordonedByOther", "None")
    assert "given up at" in told_of(r)
    r.say("== node-a is back, and the budget allows it")
    r.cluster.set_ready("node-a", "True")
    r.cluster.budgets.clear()
    r.cluster.uncordon("node-b")
    until_gone(r, 1800)
    assert [outcome(r, n) for n in phases(r)] == ["Restored"] * 2
    return r


def called_off_again_and_again() -> Rollout:
    """A node that goes silent in each of its drains does not hold the policy for ever."""
    r = changed(old("node-a"))
    r.cluster.apply_policy("cure", {"drain": {"policy": "Always", "deadline": "30m"}})
    r.settle()
    r.cluster.budgets.add("web-node-a-0")
    delete(r)
    since = r.cluster.now
    while outcome(r, "node-a") == "None":
        r.cluster.set_ready("node-a", "True")
        r.play(600)
        r.cluster.set_ready("node-a", "Unknown")
        r.play(60)
    # What a change may take by its deadlines, and the patience.
    assert 3600 < (r.cluster.now - since).total_seconds() < 3 * 3600
    until_gone(r, 60)
    assert outcome(r, "node-a") == "GivenUp"
    return r


def restore_waits_for_its_window() -> Rollout:
    """Nothing begins outside the policy's windows, and nobody is given up for that."""
    r = changed(old("node-a"), old("node-b"))
    # The simulated clock begins at 12:00 UTC.
    window = {"schedule": "0 22 * * *", "duration": "2h"}
    r.cluster.apply_policy("cure", {"rollout": {"windows": [window]}})
    r.settle()
    delete(r)
    r.play(2 * 3600)
    assert reason(r, "node-a") == "WaitingForWindow"
    assert "opens 2026-01-01T22:00:00Z" in r.cluster.policy("cure")["status"]["message"]
    until_gone(r, 9 * 3600)
    assert [outcome(r, n) for n in phases(r)] == ["Restored", "Restored"]
    assert r.cluster.now.hour == 22
    return r


def told_of(r: Rollout, policy: str = "cure") -> str:
    """What the policy's status says."""
    return str(r.cluster.policy(policy)["status"]["message"])


def restore_is_held_by_a_pause() -> Rollout:
    """The policy says that it is paused, gives nobody up for that, and goes on when resumed."""
    r = changed(old("node-a"), old("node-b"))
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "")
    delete(r)
    r.play(2 * 3600)
    assert (reason(r, "node-a"), ready(r, "cure")) == ("Paused", "Paused")
    assert "it is paused, and nobody is given up for that" in told_of(r)
    assert "cniupgrade.dev/let-go" in told_of(r)
    r.say("== resumed")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)
    until_gone(r, 300)
    assert [outcome(r, n) for n in phases(r)] == ["Restored", "Restored"]
    return r


def restore_is_paused_in_the_middle() -> Rollout:
    """What was written is finished, the others wait; a person who does not go on lets it go."""
    r = changed(old("node-a"), old("node-b"))
    delete(r)
    r.until(lambda: r.step_of("node-a") == "ProveAdd")
    r.say("== paused")
    r.cluster.apply_policy("cure", {"paused": True})
    r.play(2 * 3600)
    assert [outcome(r, n) for n in phases(r)] == ["Restored", "None"]
    assert (reason(r, "node-b"), ready(r, "cure")) == ("Paused", "Paused")
    r.say("== let go")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.LET_GO, "")
    until_gone(r, 60)
    assert [version(r, n) for n in phases(r)] == ["0.4.0", "1.0.0"]
    return r


def restore_that_has_failed_waits_for_no_window() -> Rollout:
    """The other nodes can begin in no window any more: they are given up by the clock, as told."""
    window = {"schedule": "0 22 * * *", "duration": "45m"}
    r = changed(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", {"rollout": {"windows": [window]}})
    r.settle()
    r.cluster.disks["node-a"].surprise = {"0.4.0": (False, False)}
    delete(r)
    r.until(lambda: outcome(r, "node-a") == "Failed", 11 * 3600)
    r.play(120)
    assert reason(r, "node-b") == "RestoreStopped"
    assert "given up at 2026-01-01T23:" in told_of(r)
    until_gone(r, 3700)
    assert outcome(r, "node-b") == "GivenUp"
    return r


def restore_in_windows_that_are_too_short() -> Rollout:
    """They were shortened after the change: said, with how long one would have to be."""
    r = changed(old("node-a"))
    window = {"schedule": "0 22 * * *", "duration": "5m"}
    r.cluster.apply_policy("cure", {"rollout": {"windows": [window]}})
    r.settle()
    delete(r)
    r.play(600)
    assert reason(r, "node-a") == "WaitingForWindow"
    assert "no maintenance window is long enough: a change may take 22m" in told_of(r)
    assert "given up at" in told_of(r)
    until_gone(r, 3700)
    assert outcome(r, "node-a") == "GivenUp"
    return r


def restore_goes_on_after_a_long_stop() -> Rollout:
    """The switch holds everything for hours; then all nodes have their turn."""
    r = changed(old("node-a"), old("node-b"), old("node-c"))
    r.say("== everything is stopped")
    r.cluster.stopped = "an incident"
    delete(r)
    r.play(2 * 3600)
    assert (reason(r, "node-a"), ready(r, "cure")) == ("Stopped", "Stopped")
    told = r.cluster.policy("cure")["status"]["message"]
    assert "everything is stopped: an incident" in told
    assert "given up" not in told
    r.say("== it goes on")
    r.cluster.stopped = ""
    until_gone(r, 300)
    assert [outcome(r, n) for n in phases(r)] == ["Restored"] * 3
    return r


def restore_bears_a_cordon_after_a_long_stop() -> Rollout:
    """What is in the way in the first instant after a stop has not been in the way for hours."""
    r = changed(old("node-a"))
    r.say("== everything is stopped")
    r.cluster.stopped = "an incident"
    delete(r)
    r.play(2 * 3600)
    r.say("== it goes on, with node-a cordoned by somebody else")
    r.cluster.cordon("node-a")
    r.cluster.stopped = ""
    r.play(1800)
    assert (reason(r, "node-a"), outcome(r, "node-a")) == ("CordonedByOther", "None")
    r.say("== they uncordon it")
    r.cluster.uncordon("node-a")
    until_gone(r, 300)
    assert outcome(r, "node-a") == "Restored"
    return r


def rolled_back_and_deleted_outside_of_its_window() -> Rollout:
    """Nothing that it wrote stands there: no window is waited for, nor somebody else's cordon."""
    r = of(old("node-a", surprise={"1.0.0": (False, False)}))
    r.cluster.apply_policy("cure", RESTORE)
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "RolledBack"}, "0.4.0")
    r.say("== a window in the night; somebody else cordons node-a")
    night = {"windows": [{"schedule": "0 3 * * *", "duration": "2h"}]}
    r.cluster.apply_policy("cure", {**RESTORE, "rollout": night})
    r.cluster.cordon("node-a")
    r.play(60)
    writes = list(r.cluster.disks["node-a"].writes)
    delete(r)
    until_gone(r, 60)
    assert outcome(r, "node-a") == "Restored"
    assert "nothing that it wrote stands there" in message(r, "node-a")
    assert r.cluster.disks["node-a"].writes == writes
    return r


def restored_though_the_records_were_deleted() -> Rollout:
    """What was changed is found again by the backups, before the policy goes or as it goes."""
    r = changed(old("node-a"), f1("node-b"), healthy("node-c"))
    r.say("== the record of node-a is deleted")
    r.cluster.api.delete("CNINodeState", "node-a")
    r.settle()
    assert (phases(r)["node-a"], outcome(r, "node-a")) == ("Done", "None")
    assert r.cluster.disks["node-a"].writes == ["0.4.0 -> 1.0.0 by apply"]
    r.say("== all records are deleted")
    for name in phases(r):
        r.cluster.api.delete("CNINodeState", name)
    delete(r)
    r.until(lambda: outcome(r, "node-a") == "Restored")
    assert "of 2 nodes have their files back" in r.cluster.policy("cure")["status"]["message"]
    until_gone(r, 300)
    assert [version(r, n) for n in phases(r)] == ["0.4.0", None, "1.0.0"]
    return r


def restored_though_the_records_were_edited() -> Rollout:
    """They say that a change ended and not what it changed, which the nodes are asked for."""
    r = changed(old("node-a"), old("node-b"))
    r.say("== the records are edited: nothing was changed")
    r.cluster.api.patch("CNINodeState", "node-a", {"status": {"changed": None}}, sub="status")
    r.cluster.api.patch("CNINodeState", "node-b", {"status": {"changed": None}}, sub="status")
    delete(r)
    until_gone(r, 300)
    assert [outcome(r, n) for n in phases(r)] == ["Restored"] * 2
    assert [version(r, n) for n in phases(r)] == ["0.4.0"] * 2
    return r


def agents_lost(*audits: str) -> Rollout:
    """A node whose agents wrote for a policy that gives back, and could not say so; those policies
    audit it too."""
    r = of(old("node-a"))
    r.cluster.disks["node-a"].faults = ["none", *3 * ["killed-after-write"]]
    for name in audits:
        r.cluster.apply_policy(name, {"mode": "Audit"})
    r.cluster.apply_policy("cure", RESTORE)
    r.settle()
    assert (reason(r, "node-a"), version(r, "node-a")) == ("AgentLost", "1.0.0")
    return r


def restored_though_its_agents_were_lost() -> Rollout:
    """Each wrote and was killed before it could say so; then the policy is deleted."""
    r = agents_lost()
    delete(r)
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Restored", "0.4.0")
    return r


def restored_though_nothing_stood_before_its_agents_were_lost() -> Rollout:
    """A change was rolled back; the next try wrote, and no agent of it could say so."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    r.cluster.apply_policy("cure", RESTORE)
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "RolledBack"}, "0.4.0")
    r.say("== node-a is annotated with cniupgrade.dev/retry, and agents are killed as they write")
    r.cluster.disks["node-a"].faults = ["none", *3 * ["killed-after-write"]]
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert (reason(r, "node-a"), version(r, "node-a")) == ("AgentLost", "1.0.0")
    delete(r)
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Restored", "0.4.0")
    return r


def restored_though_an_audit_policy_has_the_node_too() -> Rollout:
    """That one asks for no other look at a failed node; the policy that is deleted needs one."""
    r = agents_lost("look")
    delete(r)
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Restored", "0.4.0")
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Waiting"}, "WaitingForEnforce")
    return r


def refused_though_an_audit_policy_has_the_node_too() -> Rollout:
    """The look that a deleted policy needs is its own: what cannot be known is not Restored."""
    r = agents_lost("look")
    r.say("== no backup on node-a can be read")
    r.cluster.disks["node-a"].unreadable = True
    delete(r)
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Refused", "1.0.0")
    return r


def refused_though_an_audit_policy_looks_at_a_record_made_anew() -> Rollout:
    """The first look at it is the deleted policy's too, and so is what cannot be known."""
    r = of(old("node-a"))
    r.cluster.apply_policy("look", {"mode": "Audit"})
    r.cluster.apply_policy("cure", RESTORE)
    r.settle()
    r.say("== no backup on node-a can be read, and its record is deleted")
    r.cluster.disks["node-a"].unreadable = True
    r.cluster.api.delete("CNINodeState", "node-a")
    delete(r)
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Refused", "1.0.0")
    return r


def given_up_where_nobody_knows_what_was_changed() -> Rollout:
    """Without a record, and silent: named as not given back, and not held for ever."""
    r = changed(old("node-a"), old("node-b"), rollout={"maxUnavailable": 2})
    r.say("== node-a goes silent, and its record is deleted")
    r.cluster.set_ready("node-a", "Unknown")
    r.cluster.api.delete("CNINodeState", "node-a")
    delete(r)
    r.play(600)
    seen = r.cluster.policy("cure")["status"]
    assert "1 of 2 nodes have their files back" in seen["message"]
    while r.cluster.api.find("CNIUpgradePolicy", "cure"):
        seen = r.cluster.policy("cure")["status"]
        r.step()
    assert (seen["restore"]["givenUp"], seen["conditions"][0]["reason"]) == (1, "NotRestored")
    assert "node-a" in seen["message"]
    return r


def refused_where_the_backups_cannot_be_read() -> Rollout:
    """Its record is lost and the node cannot tell what was changed: that is not nothing."""
    r = changed(old("node-a"))
    r.cluster.disks["node-a"].unreadable = True
    r.say("== the record of node-a is deleted")
    r.cluster.api.delete("CNINodeState", "node-a")
    r.settle()
    delete(r)
    until_gone(r, 300)
    assert outcome(r, "node-a") == "Refused"
    return r


def restore_bears_a_blip_before_its_window() -> Rollout:
    """A node is silent for a moment, hours after the deletion and hours before the window opens."""
    r = changed(old("node-a"))
    window = {"schedule": "0 0 * * *", "duration": "2h"}
    r.cluster.apply_policy("cure", {"rollout": {"windows": [window]}})
    r.settle()
    delete(r)
    r.play(4 * 3600)
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(30)
    assert (reason(r, "node-a"), outcome(r, "node-a")) == ("NodeSilent", "None")
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    until_gone(r, 9 * 3600)
    assert (outcome(r, "node-a"), r.cluster.now.hour) == ("Restored", 0)
    return r


def restore_gives_up_in_the_end_with_short_windows() -> Rollout:
    """Each window is shorter than the patience with a silent node; three of them are not."""
    window = {"schedule": "0 22 * * *", "duration": "45m"}
    r = changed(old("node-a"))
    r.cluster.apply_policy("cure", {"rollout": {"windows": [window]}})
    r.settle()
    r.cluster.set_ready("node-a", "Unknown")
    delete(r)
    r.play(12 * 3600)
    assert outcome(r, "node-a") == "None"
    until_gone(r, 6 * 24 * 3600)
    assert outcome(r, "node-a") == "GivenUp"
    return r


def restore_let_go() -> Rollout:
    """A person ends it: the node under way is finished, the others keep what they have."""
    r = changed(old("node-a"), old("node-b"))
    delete(r)
    r.until(lambda: r.step_of("node-a") == "ProveAdd")
    r.say("== let go")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.LET_GO, "")
    until_gone(r, 60)
    assert [version(r, n) for n in phases(r)] == ["0.4.0", "1.0.0"]
    return r


def restore_of_a_node_that_goes() -> Rollout:
    """A node that is removed, with its record, is nobody's business any more."""
    r = changed(old("node-a"), old("node-b"))
    r.cluster.set_ready("node-a", "Unknown")
    r.cluster.set_ready("node-b", "Unknown")
    delete(r)
    r.play(60)
    r.say("== both machines are removed")
    r.cluster.remove_node("node-a")
    r.cluster.remove_node("node-b")
    until_gone(r, 60)
    return r


def taken_over_while_leaving() -> Rollout:
    """Another Enforce policy has the node by then: what stands there is for that one to say."""
    r = changed(old("node-a"))
    r.cluster.apply_policy("next", ENFORCE)
    delete(r)
    until_gone(r, 60)
    r.settle()
    assert version(r, "node-a") == "1.0.0"
    assert ready(r, "next") == "Enforced"
    return r


def deleted_in_the_middle_with_restore() -> Rollout:
    """What was written is proved and finished, then given back; the next node never begins."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", RESTORE)
    r.until(lambda: r.phase("node-a") == "Proving")
    delete(r)
    until_gone(r, 300)
    written = ["0.4.0 -> 1.0.0 by apply", "1.0.0 -> 0.4.0 by restore"]
    assert r.cluster.disks["node-a"].writes == written
    assert r.cluster.disks["node-b"].writes == []
    return r


def target_raised_twice_then_restored() -> Rollout:
    """Of two backups the first one counts: it holds what stood there before the policy."""
    r = changed(old("node-a", version="0.3.1"), target={"cni": {"version": "0.4.0"}})
    r.say("== target: 1.0.0")
    r.cluster.apply_policy("cure", {"target": {"cni": {"version": "1.0.0"}}})
    r.settle()
    delete(r)
    until_gone(r, 300)
    assert r.cluster.disks["node-a"].writes == [
        "0.3.1 -> 0.4.0 by apply",
        "0.4.0 -> 1.0.0 by apply",
        "1.0.0 -> 0.3.1 by restore",
    ]
    return r


def node_replaced() -> Rollout:
    """Another machine joins under the name while the agent is on its way: all begins anew."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== the machine is replaced")
    r.cluster.remove_node("node-a")
    r.cluster.add_node(f1())
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def foreign_cordon() -> Rollout:
    """Somebody else has the node: waited for, never undone."""
    r = of(f1())
    r.cluster.cordon("node-a")
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert reason(r, "node-a") == "CordonedByOther"
    r.say("== they uncordon it")
    r.cluster.uncordon("node-a")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def silent_mid_apply() -> Rollout:
    """The kubelet goes silent while the agent is there: no verdict until it is back."""
    r = of(f1("node-a"), f1("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(1800)
    assert phases(r)["node-b"] == "Waiting"
    assert "may still" in message(r, "node-a")
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    return r


def dies_before(r: Rollout, decision: str) -> None:
    """Play until the controller dies before that decision; it stays dead."""
    r.crash_on = decision
    r.until(lambda: r.dead)


def foreign_cordon_in_between() -> Rollout:
    """Somebody cordons the node between our decision and our cordon: theirs stays."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    dies_before(r, "Cordon")
    r.say("== somebody cordons node-a")
    r.cluster.cordon("node-a")
    r.dead = False
    r.settle()
    assert reason(r, "node-a") == "CordonedByOther"
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    return r


def silent_before_the_audit_is_sent() -> Rollout:
    """The Job is decided and not sent when the node goes silent: it waits."""
    r = of(healthy())
    r.cluster.apply_policy("cure", ENFORCE)
    dies_before(r, "CreateJob")
    r.say("== node-d goes silent")
    r.cluster.set_ready("node-d", "Unknown")
    r.dead = False
    r.play(60)
    assert "no Job is sent" in message(r, "node-d")
    r.say("== node-d is back")
    r.cluster.set_ready("node-d", "True")
    r.settle()
    assert phases(r) == {"node-d": "Compatible"}
    return r


def audit_of_a_node_that_is_dead() -> Rollout:
    """The others are looked at; it is named, for a person once it stays away."""
    r = of(f1(), healthy())
    r.cluster.set_ready("node-d", "Unknown")
    r.cluster.apply_policy("look", {"mode": "Audit"})
    r.play(300)
    assert phases(r) == {"node-a": "Waiting", "node-d": "Pending"}
    assert ready(r, "look") == "RolloutBlocked"
    assert "node-d silent (Ready is Unknown)" in r.cluster.policy("look")["status"]["message"]
    r.play(400)
    assert "RolloutBlocked -> RolloutBlocked [Stalled]" in r.transcript
    r.say("== node-d is back")
    r.cluster.set_ready("node-d", "True")
    r.settle()
    assert phases(r) == {"node-a": "Waiting", "node-d": "Compatible"}
    assert ready(r, "look") == "Audited"
    r.say("== node-d goes silent, and the target is another one")
    r.cluster.set_ready("node-d", "Unknown")
    r.cluster.apply_policy("look", {"mode": "Audit", "target": {"cni": {"version": "1.1.0"}}})
    r.play(120)
    assert phases(r) == {"node-a": "Waiting", "node-d": "Compatible"}
    assert ready(r, "look") == "RolloutBlocked"
    r.say("== node-d is back")
    r.cluster.set_ready("node-d", "True")
    r.settle()
    assert ready(r, "look") == "Audited"
    return r


def silent_before_the_agent_is_sent() -> Rollout:
    """The same where it is to write: it waits, however long, and nothing counts as tried."""
    r = of(f2())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-b") == "Applying")
    dies_before(r, "CreateJob")
    r.say("== node-b goes silent")
    r.cluster.set_ready("node-b", "Unknown")
    r.dead = False
    r.play(3600)
    assert "no Job is sent" in message(r, "node-b")
    r.say("== node-b is back")
    r.cluster.set_ready("node-b", "True")
    r.settle()
    assert phases(r) == {"node-b": "Done"}
    assert "CreateJob apply-#2\n" in r.transcript, "the first attempt is the only one"
    return r


def away_for_the_whole_proof() -> Rollout:
    """The controller is away past the proof's deadline: a pod that it never deleted is no proof."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    dies_before(r, "DeleteProof")
    r.say("== the controller is away for an hour")
    r.play(3600)
    r.dead = False
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def away_for_half_a_day() -> Rollout:
    """The agent that wrote looked at the node too: it is done, and not looked at again at once."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    dies_before(r, "DeleteProof")
    r.say("== the controller is away for 12 hours")
    r.play(12 * 3600)
    r.dead = False
    r.until(lambda: r.step_of("node-a") == "Release")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def set_clock(r: Rollout, hours: int) -> None:
    """The API server's clock is set, and another process goes on, which knows no other time."""
    r.say(f"== the clock is set by {hours:+} h, and the controller begins anew")
    r.set_clock(hours)


def clock_set_back_in_a_proof() -> Rollout:
    """A step takes no longer than it may, though its deadline is hours ahead by now."""
    r = of(old("node-a", surprise={"1.0.0": (True, False)}))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "ProveOld")
    set_clock(r, -2)
    since = r.cluster.now
    r.until(lambda: r.phase("node-a") == "RolledBack")
    assert (r.cluster.now - since).total_seconds() < 300
    return r


def clock_set_back_in_a_pause() -> Rollout:
    """No pause between two tries is longer than an hour: one that ends later is over."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})))
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"deadline": "2m"}})
    r.cluster.budgets.add("web-node-a-0")
    r.until(lambda: r.phase("node-a") == "Blocked")
    r.cluster.budgets.clear()
    set_clock(r, -12)
    since = r.cluster.now
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert (r.cluster.now - since).total_seconds() < 300
    return r


def clock_set_back_while_a_canary_soaks() -> Rollout:
    """The soak begins anew, by the clock of now."""
    r = of(old("node-a"), old("node-b"))
    canary = {"nodes": 1, "soak": "10m"}
    r.cluster.apply_policy("cure", {**ENFORCE, "rollout": {"canary": canary}})
    r.until(lambda: r.phase("node-a") == "Done")
    r.play(60)
    set_clock(r, -12)
    since = r.cluster.now
    r.until(lambda: r.phase("node-b") == "Done")
    assert 600 <= (r.cluster.now - since).total_seconds() < 700
    return r


def clock_set_back_while_a_policy_leaves() -> Rollout:
    """A node was given back by a clock that was ahead: the patience counts from now, not then."""
    r = changed(old("node-a"), old("node-b"), rollout={"maxUnavailable": 2})
    r.cluster.set_ready("node-b", "Unknown")
    delete(r)
    r.until(lambda: outcome(r, "node-a") == "Restored")
    r.play(60)
    set_clock(r, -12)
    until_gone(r, 3700)
    assert outcome(r, "node-b") == "GivenUp"
    return r


def right_after(r: Rollout, decision: str) -> None:
    """Play until that decision was carried out, before anybody had time to do anything about it."""
    while not any(f": {decision}" in line for line in r.lines):
        r.cluster.tick()
        r.once()


def silent_mid_proof() -> Rollout:
    """Silence is no evidence: the proof goes on when the kubelet is back."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    right_after(r, "DeleteProof")
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(1800)
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def exact_target_that_needs_a_drain() -> Rollout:
    """Pods that run now could not be deleted at the target: they go first."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})))
    cni = {"version": "1.0.0", "selection": "Exact"}
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": cni}})
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.pods_on("node-a", "default") == []
    return r


EXACT = {"cni": {"version": "1.0.0", "selection": "Exact"}}


def lowered_node(name: str = "node-b", **more: object) -> SimNode:
    """F2, with pods that could not be deleted at the target, and can at a lower version."""
    node = SimNode(name, "1.1.0", "containerd://1.6.20", drain_for=frozenset({"1.0.0"}))
    for key, value in more.items():
        setattr(node, key, value)
    return node


def lowered_drained_raised() -> Rollout:
    """Deleting is broken, so a drain would hang: lowered and proved first, then drained, raised.

    The node is cordoned once, and given back once; the pods that hung count as freed.
    """
    r = of(lowered_node(), pods=2)
    r.cluster.add_pod("node-b", "web-new", fresh=True)
    r.play(60)
    r.cluster.apply_policy("cure", {**ENFORCE, "target": EXACT})
    r.settle()
    assert phases(r) == {"node-b": "Done"}
    node = r.cluster.disks["node-b"]
    assert node.writes == ["1.1.0 -> 0.4.0 by apply", "0.4.0 -> 1.0.0 by apply"]
    assert [line.split()[-1] for line in r.lines if line.endswith("ordon")] == [
        "Cordon",
        "Uncordon",
    ]
    text = r.transcript
    first, second = text.index("CreateJob apply"), text.rindex("CreateJob apply")
    assert first < text.index("proved: a fresh pod") < text.index("Evict") < second
    assert second < text.index("Done (Done): proved")
    assert r.cluster.pods_on("node-b", "default") == []
    assert r.cluster.policy("cure")["status"]["summary"]["freed"] == 1
    return r


def raised_to_what_is_worse() -> Rollout:
    """The target breaks what the lower version has mended: back to that, and not to the fault."""
    r = of(lowered_node(surprise={"1.0.0": (False, False)}))
    r.cluster.apply_policy("cure", {**ENFORCE, "target": EXACT})
    r.settle()
    assert phases(r) == {"node-b": "RolledBack"}
    assert version(r, "node-b") == "0.4.0"
    return r


def lowered_and_kept_from_the_drain() -> Rollout:
    """A budget holds the drain: the node keeps the lower version, works, and is tried again."""
    r = of(lowered_node())
    r.cluster.budgets.add("web-node-b-0")
    drain = {"deadline": "2m"}
    r.cluster.apply_policy("cure", {**ENFORCE, "target": EXACT, "drain": drain})
    r.until(lambda: r.phase("node-b") == "Blocked")
    assert (reason(r, "node-b"), version(r, "node-b")) == ("DrainBlocked", "0.4.0")
    assert not r.cluster.node("node-b")["spec"].get("unschedulable")
    r.say("== the budget allows it")
    r.cluster.budgets.clear()
    r.settle()
    assert (phases(r), version(r, "node-b")) == ({"node-b": "Done"}, "1.0.0")
    return r


def lowered_after_it_was_not_proved() -> Rollout:
    """Perhaps written, not proved; then lowered, proved, kept from the drain: others go on."""
    r = of(lowered_node("node-b"), old("node-z"))
    r.cluster.budgets.add("web-node-b-0")
    drain = {"deadline": "2m"}
    r.cluster.apply_policy("cure", {**ENFORCE, "target": EXACT, "drain": drain})
    r.until(lambda: r.step_of("node-b") == "Cordon")
    r.say("== no Job is let in")
    r.cluster.jobs_refused = "exceeded quota: count/jobs.batch"
    r.until(lambda: r.phase("node-b") == "Blocked")
    r.say("== Jobs are let in")
    r.cluster.jobs_refused = ""
    r.play(1200)
    assert version(r, "node-b") == "0.4.0"
    assert phases(r)["node-z"] == "Done"
    r.say("== the budget allows it")
    r.cluster.budgets.clear()
    r.until(lambda: r.phase("node-b") == "Done")
    r.settle()
    assert version(r, "node-b") == "1.0.0"
    return r


def lowered_between_two_failures() -> Rollout:
    """In a row: a node that was lowered and is kept from the rest has not succeeded."""
    bad = {"1.0.0": (True, False)}
    r = of(old("node-a", surprise=bad), lowered_node(), old("node-c", surprise=bad), old("node-d"))
    drain, rollout = {"policy": "Never"}, {"maxFailures": 2, "countFailures": "Consecutive"}
    spec = {**ENFORCE, "target": EXACT, "drain": drain, "rollout": rollout}
    r.cluster.apply_policy("cure", spec)
    r.settle()
    assert phases(r) == {
        "node-a": "RolledBack",
        "node-b": "Blocked",
        "node-c": "RolledBack",
        "node-d": "Waiting",
    }
    assert version(r, "node-b") == "0.4.0"
    assert r.cluster.policy("cure")["status"]["rollout"]["failures"] == 2
    return r


def lowered_and_called_off() -> Rollout:
    """Paused between the legs: the first one is proved and given back, the second one waits.

    Resumed, that begins with the drain, for pods can be deleted since the first one.
    """
    r = of(lowered_node())
    r.cluster.apply_policy("cure", {**ENFORCE, "target": EXACT})
    r.until(lambda: r.step_of("node-b") == "ProveAdd")
    r.say("== paused by annotation")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    r.settle()
    assert (phases(r), reason(r, "node-b")) == ({"node-b": "Waiting"}, "Paused")
    assert version(r, "node-b") == "0.4.0"
    r.say("== resumed")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)
    r.until(lambda: r.phase("node-b") != "Waiting")
    assert r.phase("node-b") == "Draining"
    r.settle()
    assert (phases(r), version(r, "node-b")) == ({"node-b": "Done"}, "1.0.0")
    return r


def drain_that_is_not_enough() -> Rollout:
    """A DaemonSet's pod stays, and could not be deleted at the target: drained once, then told."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})))
    r.cluster.add_pod("node-a", "logs-x", owner="DaemonSet")
    cni = {"version": "1.0.0", "selection": "Exact"}
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": cni}})
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Blocked"}, "0.4.0")
    found = r.cluster.status("node-a")["findings"]
    assert [(f["code"], "default/logs-x" in f["message"]) for f in found] == [
        ("DrainNotEnough", True)
    ]
    r.say("== other pods come; a day goes by")
    r.cluster.add_pod("node-a", "web-new")
    r.play(24 * 3600)
    assert reason(r, "node-a") == "DrainNotEnough"
    assert len(r.cluster.pods_on("node-a", "default")) == 2
    r.say("== the DaemonSet keeps off the node, and a person asks again")
    r.cluster.api.remove("Pod", "logs-x", "default")
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    return r


def left_behind_by_a_daemonset() -> Rollout:
    """A pod whose DaemonSet is gone is nobody's to bring back; one that has ended goes unasked."""
    r = of(old("node-a"))
    r.cluster.add_pod("node-a", "logs-x", owner="DaemonSet")
    r.cluster.add_pod("node-a", "net-x", owner="DaemonSet")
    r.cluster.add_pod("node-a", "done", owner="", empty_dir=True, ended=True)
    r.cluster.orphans.add("logs-x")
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.settle()
    assert reason(r, "node-a") == "DrainBlocked"
    assert "default/logs-x is of a DaemonSet that is gone" in message(r, "node-a")
    assert "net-x" not in message(r, "node-a")
    assert "Evict" not in r.transcript
    r.say("== drain.force, and a person asks again")
    r.cluster.apply_policy("cure", {"drain": {"force": True}})
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    left = [pod["metadata"]["name"] for pod in r.cluster.pods_on("node-a", "default")]
    assert left == ["net-x"]
    return r


def drain_forbidden() -> Rollout:
    """drain: Never blocks such a node with words; allowing it is enough."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})))
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Never"}})
    r.settle()
    assert reason(r, "node-a") == "DrainForbidden"
    r.say("== drain: IfRequired")
    r.cluster.apply_policy("cure", {"drain": {"policy": "IfRequired"}})
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def exact_target_out_of_reach() -> Rollout:
    """Exact: a node that cannot take it is blocked and untouched, with the plugin named."""
    r = of(f2())
    cni = {"version": "1.0.0", "selection": "Exact"}
    node = r.cluster.disks["node-b"]
    node.version = "0.3.1"
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": cni}})
    r.play(600)
    assert phases(r) == {"node-b": "Blocked"}
    assert "takes 0.4.0 at most" in message(r, "node-b")
    assert ready(r, "cure") == "NodesBlocked"
    return r


def drain_always_where_delete_is_broken() -> Rollout:
    """An eviction would hang: written first, then drained, then proved."""
    r = of(f1(), pods=2)
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    text = r.transcript
    assert text.index("CreateJob apply") < text.index("Evict")
    return r


def unknown_paths() -> Rollout:
    """A preset that the operator does not know: said, nothing is looked at; mended, it goes on."""
    r = of(healthy())
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.say("== paths: k3z")
    r.cluster.apply_policy("cure", {**ENFORCE, "paths": "k3z"})
    r.play(60)
    assert (phases(r), reason(r, "node-d")) == ({"node-d": "Pending"}, "PathsNotAllowed")
    assert ready(r, "cure") == "PathsNotAllowed"
    r.say("== paths: auto")
    r.cluster.apply_policy("cure", {**ENFORCE, "paths": "auto"})
    r.settle()
    assert phases(r) == {"node-d": "Compatible"}
    return r


def unknown_paths_of_another_policy() -> Rollout:
    """The older one has the node and may not look; the younger one says so until that is mended."""
    r = of(healthy())
    r.cluster.apply_policy("first", {"mode": "Audit", "paths": "k3z"})
    r.play(60)
    r.say("== a second policy for the same node")
    r.cluster.apply_policy("second", {"mode": "Audit"})
    r.play(60)
    assert (phases(r), reason(r, "node-d")) == ({"node-d": "Pending"}, "PathsNotAllowed")
    assert ready(r, "second") == "NodesBlocked"
    r.say("== both enforce")
    r.cluster.apply_policy("first", {**ENFORCE, "paths": "k3z"})
    r.play(60)
    r.cluster.apply_policy("second", ENFORCE)
    r.play(60)
    assert ready(r, "second") == "ClaimedByOther"
    r.say("== paths of the first one: auto")
    r.cluster.apply_policy("first", {**ENFORCE, "paths": "auto"})
    r.settle()
    assert (phases(r), ready(r, "first")) == ({"node-d": "Compatible"}, "Enforced")
    return r


def no_node_matches() -> Rollout:
    """A selector that takes no node is never success."""
    r = of(healthy())
    r.cluster.apply_policy("cure", {**ENFORCE, "nodeSelector": {"matchLabels": {"zone": "z"}}})
    r.play(60)
    assert ready(r, "cure") == "NoNodeMatches"
    assert r.cluster.state("node-d") is None
    return r


def missing_right() -> Rollout:
    """One right is missing: the policy names it and nothing else happens, until it is given."""
    r = of(f1())
    r.controller.denied = ("create jobs.batch in cni-upgrade-agents",)
    r.cluster.apply_policy("cure", ENFORCE)
    r.play(60)
    assert ready(r, "cure") == "PermissionDenied"
    assert r.cluster.state("node-a") is None
    r.say("== the right is given")
    r.controller.denied = ()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def deleted_while_a_right_is_missing() -> Rollout:
    """Nothing can be given back: the policy says so, and a person can let it go all the same."""
    r = changed(old("node-a"))
    r.controller.denied = ("create jobs.batch in cni-upgrade-agents",)
    delete(r)
    r.play(60)
    assert ready(r, "cure") == "PermissionDenied"
    r.say("== let go")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.LET_GO, "")
    until_gone(r, 60)
    assert version(r, "node-a") == "1.0.0"
    return r


def record_deleted_mid_apply() -> Rollout:
    """The node state is deleted while the agent writes: then all is made anew and proved."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.cluster.tick()
    r.say("== the node state is deleted")
    r.ledger.meddled.add("node-a")
    r.cluster.api.delete("CNINodeState", "node-a")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert version(r, "node-a") == "1.0.0"
    return r


def record_deleted_while_the_agent_hangs() -> Rollout:
    """The node state is deleted and its agent goes on: the cordon stays until it has ended."""
    r = of(f1())
    r.cluster.disks["node-a"].faults = ["none", "hangs"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.play(5)
    r.say("== the node state is deleted")
    r.ledger.meddled.add("node-a")
    r.cluster.api.delete("CNINodeState", "node-a")
    r.play(120)
    assert reason(r, "node-a") == "AgentStillRuns"
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def record_deleted_before_the_agent_is_there() -> Rollout:
    """The node state is deleted while the Job has no pod on the node: the Job is taken back."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.until(lambda: r.cluster.pods_on("node-a", PROOF) != [])
    r.say("== node-a is full")
    r.cluster.full.add("node-a")
    r.play(30)
    assert "not scheduled yet" in message(r, "node-a")
    r.say("== the node state is deleted")
    r.ledger.meddled.add("node-a")
    r.cluster.api.delete("CNINodeState", "node-a")
    r.play(30)
    r.say("== node-a has room")
    r.cluster.full.clear()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.disks["node-a"].writes == ["missing -> 1.0.0 by apply"]
    assert "DeleteJob apply" in r.transcript
    return r


def record_and_policy_deleted_mid_apply() -> Rollout:
    """Nobody governs the node any more, but its cordon is still given back."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== node state and policy are deleted")
    r.ledger.meddled.add("node-a")
    r.cluster.api.delete("CNINodeState", "node-a")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.play(600)
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    assert names.CORDONED_BY not in r.cluster.node("node-a")["metadata"]["annotations"]
    return r


def retried_after_failed() -> Rollout:
    """A person looks, mends, and asks for another try of one node; the others follow."""
    r = of(f1("node-a"), f1("node-b"))
    r.cluster.disks["node-a"].surprise = {"1.0.0": (True, False)}
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Failed", "node-b": "Waiting"}
    r.say("== node-a reboots: nobody has asked for another try")
    r.cluster.reboot("node-a", "boot-2")
    r.settle()
    assert phases(r) == {"node-a": "Failed", "node-b": "Waiting"}
    r.say("== the plugin is mended, node-a is annotated with cniupgrade.dev/retry")
    r.cluster.disks["node-a"].surprise = {}
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    assert r.cluster.disks["node-a"].writes == ["missing -> 1.0.0 by apply"]
    return r


def retried_and_still_worse() -> Rollout:
    """It was left as it is, and is as broken as it was: failed again, and not called compatible."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    r.cluster.apply_policy("cure", {**ENFORCE, "onFailure": "Stop"})
    r.settle()
    r.say("== node-a is annotated with cniupgrade.dev/retry")
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Failed"}, "WorseThanBefore")
    r.say("== onFailure: Rollback, and once more")
    r.cluster.apply_policy("cure", {**ENFORCE, "onFailure": "Rollback"})
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "2")
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "RolledBack"}, "0.4.0")
    return r


def proof_without_a_place() -> Rollout:
    """A quota keeps proof pods away: nothing is rolled back, nothing counts as failed.

    The node is given back, and proved with growing pauses, without being written again.
    """
    r = of(f2())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-b") == "Apply")
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: r.phase("node-b") == "Blocked")
    assert reason(r, "node-b") == "ProofInconclusive"
    assert version(r, "node-b") == "0.4.0"
    assert not r.cluster.node("node-b")["spec"].get("unschedulable")
    r.play(3600)
    assert ready(r, "cure") != "NodeFailed"
    r.say("== the quota is raised")
    r.cluster.quota = ""
    r.until(lambda: set(phases(r).values()) == {"Done"})
    r.settle()
    assert r.cluster.disks["node-b"].writes == ["1.0.0 -> 0.4.0 by apply"]
    assert "CreateProof proof-new" in r.transcript.partition("== the quota")[2]
    return r


def no_pod_can_prove_anything() -> Rollout:
    """Pods to show what works cannot be had from the start: no file is written, and it is said."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.quota = "exceeded quota: pods"
    r.cluster.apply_policy("cure", ENFORCE)
    r.play(1800)
    assert all(not disk.writes for disk in r.cluster.disks.values())
    assert set(phases(r).values()) == {"Blocked"}
    assert all(reason(r, name) == "ProofInconclusive" for name in phases(r))
    assert "exceeded quota" in message(r, "node-b")
    assert ready(r, "cure") == "NodesBlocked"
    r.say("== the quota is raised")
    r.cluster.quota = ""
    r.until(lambda: set(phases(r).values()) == {"Done"})
    r.settle()
    return r


def no_pod_can_prove_anything_so_nothing_is_drained() -> Rollout:
    """Under a quota on the proofs no pod is evicted, however often the nodes are tried again.

    On node-b pods of now could not be deleted at the target: its own comes and goes before.
    """
    r = of(old("node-a"), old("node-b", drain_for=frozenset({"1.0.0"})))
    r.cluster.quota = "exceeded quota: pods"
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.play(4 * 3600)
    assert "Evict" not in r.transcript
    assert all(not disk.writes for disk in r.cluster.disks.values())
    assert all(reason(r, name) == "ProofInconclusive" for name in phases(r))
    assert "exceeded quota" in message(r, "node-b")
    r.say("== the quota is raised, a person asks again")
    r.cluster.quota = ""
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "1")
    r.until(lambda: set(phases(r).values()) == {"Done"})
    r.settle()
    for node in ("node-a", "node-b"):
        assert sum(f"{node}: Evict" in line for line in r.lines) == 1
    return r


def drained_to_have_room() -> Rollout:
    """The node is full but for its agent: pods go first, then one shows what works."""
    r = of(old("node-a"), pods=2)
    r.cluster.room["node-a"] = 2
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.status("node-a")["history"][-1]["outcome"] == "Done"
    assert "one from before the change was deleted" in message(r, "node-a")
    return r


def drained_and_no_room_all_the_same() -> Rollout:
    """What fills the node stays: it is drained once, and not again by itself."""
    r = of(old("node-a"), pods=2)
    r.cluster.add_pod("node-a", "logs-x", owner="DaemonSet")
    r.cluster.room["node-a"] = 1
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Blocked"}, "DrainNotEnough")
    assert "Too many pods" in message(r, "node-a")
    assert not r.cluster.disks["node-a"].writes
    r.say("== other pods come; a day goes by")
    r.cluster.add_pod("node-a", "web-new")
    r.play(24 * 3600)
    assert "Evict web-new" not in r.transcript
    r.say("== it has room, and a person asks again")
    r.cluster.room.clear()
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    return r


def drained_and_refused() -> Rollout:
    """What only the attempt shows, a full disk: drained once, and not again by itself."""
    r = of(old("node-a", refuses="NoSpace"))
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Blocked"}, "DrainNotEnough")
    assert "NoSpace" in message(r, "node-a")
    r.say("== other pods come; a day goes by")
    r.cluster.add_pod("node-a", "web-new")
    r.play(24 * 3600)
    assert "Evict web-new" not in r.transcript
    r.say("== the disk has room, and a person asks again")
    r.cluster.disks["node-a"].refuses = ""
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    return r


def drained_and_no_agent_started() -> Rollout:
    """The agent that is to write does not start: tried once more, and then not again by itself."""
    r = of(old("node-a"))
    r.cluster.disks["node-a"].faults = ["none", "pull", "none", "pull"]
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert reason(r, "node-a") == "AgentNotStarted"
    r.cluster.add_pod("node-a", "web-new")
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Blocked"}, "DrainNotEnough")
    assert "no such image" in message(r, "node-a")
    assert not r.cluster.disks["node-a"].writes
    r.say("== a person asks again")
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    return r


def a_pod_that_does_not_go_keeps_the_drain_away() -> Rollout:
    """Deleting was said to work and does not: seen on a pod of ours, so nobody else's is evicted.

    One such pod is enough: no other one is added while it hangs.
    """
    r = of(old("node-a", drain_for=frozenset({"1.0.0"}), surprise={"0.4.0": (True, False)}))
    cni = {"version": "1.0.0", "selection": "Exact"}
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": cni}})
    r.play(4 * 3600)
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Blocked"}, "DrainBlocked")
    assert "Evict" not in r.transcript
    assert len(r.cluster.pods_on("node-a", PROOF)) == 1
    r.say("== deleting works")
    r.cluster.disks["node-a"].surprise.clear()
    r.until(lambda: phases(r) == {"node-a": "Done"})
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    return r


def unproved(disk: SimNode, **spec: object) -> Rollout:
    """As the node is written somebody clears the pods of the proof away, and a quota keeps others
    out until the node is given back, written, unproved."""
    r = of(disk)
    r.cluster.apply_policy("cure", {**ENFORCE, **spec})
    r.until(lambda: r.step_of(disk.name) == "Apply")
    for pod in r.cluster.pods_on(disk.name, PROOF):
        r.cluster.api.remove("Pod", pod["metadata"]["name"], PROOF)
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: reason(r, disk.name) == "ProofInconclusive")
    r.say("== the quota is raised")
    r.cluster.quota = ""
    return r


def worse_at_a_later_proof() -> Rollout:
    """It could not be proved at once, and is worse than before: cordoned again, and put back."""
    r = unproved(old("node-a", surprise={"1.0.0": (False, True)}))
    r.until(lambda: r.phase("node-a") in ("RolledBack", "Failed"))
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "RolledBack"}, "0.4.0")
    assert reason(r, "node-a") == "WorseThanBefore"
    assert r.cluster.status("node-a")["baseline"]["add"] is True
    assert r.cluster.status("node-a")["changed"]["files"] == []
    return r


def worse_to_delete_at_a_later_proof() -> Rollout:
    """The same where pods cannot be deleted any more, after two proofs that showed nothing."""
    r = unproved(old("node-a", surprise={"1.0.0": (True, False)}))
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: r.phase("node-a") == "Proving")
    r.until(lambda: reason(r, "node-a") == "ProofInconclusive")
    r.cluster.quota = ""
    r.until(lambda: r.phase("node-a") in ("RolledBack", "Failed"))
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "RolledBack"}, "0.4.0")
    return r


def worse_at_a_later_proof_is_left_where_the_policy_says_so() -> Rollout:
    """onFailure: Stop leaves it as it is."""
    r = unproved(old("node-a", surprise={"1.0.0": (False, True)}), onFailure="Stop")
    r.until(lambda: r.phase("node-a") in ("RolledBack", "Failed"))
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Failed"}, "1.0.0")
    assert reason(r, "node-a") == "WorseThanBefore"
    return r


def as_broken_at_a_later_proof() -> Rollout:
    """F2 before, and another fault after: as broken as before, nothing is restored for nothing."""
    node = f2()
    node.surprise = {"0.4.0": (False, False)}
    r = unproved(node)
    r.until(lambda: r.phase("node-b") in ("RolledBack", "Failed"))
    r.settle()
    assert (phases(r), version(r, "node-b")) == ({"node-b": "Failed"}, "0.4.0")
    assert reason(r, "node-b") == "StillBroken"
    return r


def cordoned_by_another_at_a_later_proof() -> Rollout:
    """Somebody has cordoned the node when the proof fails: it is put back once they are done."""
    r = unproved(old("node-a", surprise={"1.0.0": (False, True)}))
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== somebody cordons node-a")
    r.cluster.cordon("node-a")
    r.until(lambda: r.step_of("node-a") == "CordonBack")
    r.play(1800)
    assert (r.phase("node-a"), version(r, "node-a")) == ("RollingBack", "1.0.0")
    r.say("== they uncordon it")
    r.cluster.uncordon("node-a")
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "RolledBack"}, "0.4.0")
    return r


def worse_after_a_second_change_that_was_not_proved() -> Rollout:
    """What the first change has broken is no fault of before: back to what worked before both."""
    worse = {"1.0.0": (False, True), "1.1.0": (False, True)}
    r = of(old("node-a", most="1.1.0", surprise=worse))
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": {"version": "1.0.0"}}})
    r.until(lambda: r.step_of("node-a") == "ProveOld")
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: reason(r, "node-a") == "ProofInconclusive")
    r.say("== the quota is raised, and the target too")
    r.cluster.quota = ""
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": {"version": "1.1.0"}}})
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "RolledBack"}, "0.4.0")
    assert reason(r, "node-a") == "WorseThanBefore"
    assert r.cluster.status("node-a")["changed"]["files"] == []
    return r


def audit_without_an_image() -> Rollout:
    """The agent's image cannot be pulled: tried again at growing distances, with the reason."""
    r = of(f1())
    r.cluster.disks["node-a"].faults = ["pull", "pull"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def retried_after_a_lost_audit() -> Rollout:
    """A person has mended the registry and does not wait for the pause to be over."""
    r = of(f1())
    r.cluster.disks["node-a"].faults = ["pull", "pull", "pull"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.cluster.status("node-a").get("attempts") == 2)
    r.until(lambda: r.phase("node-a") == "Pending")
    assert "is tried again in 120 s" in message(r, "node-a")
    r.say("== the image is there; node-a is annotated with cniupgrade.dev/retry")
    r.cluster.disks["node-a"].faults = []
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.until(lambda: r.phase("node-a") == "Auditing", seconds=10)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def apply_without_an_image() -> Rollout:
    """No agent ever ran: no failure, given back and tried again; the other node has its turn."""
    r = of(f1("node-a"), f1("node-b"))
    r.cluster.disks["node-a"].faults = ["none", "pull"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert reason(r, "node-a") == "AgentNotStarted"
    assert "no such image" in message(r, "node-a")
    assert not r.cluster.disks["node-a"].writes
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    assert not any("NodeFailed" in line for line in r.lines)
    return r


def apply_that_is_refused() -> Rollout:
    """The API server takes no Job: no failure, given back and tried again; the rollout goes on."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== no Job is let in")
    r.cluster.jobs_refused = "exceeded quota: count/jobs.batch"
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert reason(r, "node-a") == "AgentNotStarted"
    assert "exceeded quota: count/jobs.batch" in message(r, "node-a")
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    r.play(1800)
    # Nothing was: but a Job that is gone before anybody has seen it may have.
    assert "node-a is proved, where a change may be written" in message(r, "node-b")
    assert not any("NodeFailed" in line for line in r.lines)
    r.say("== Jobs are let in")
    r.cluster.jobs_refused = ""
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    assert not any("RolloutStopped" in line or "sent again" in line for line in r.lines)
    return r


def job_deleted_before_the_next_is_refused() -> Rollout:
    """An agent wrote, its Job was deleted and no other is let in: what it wrote is proved later."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== the agent writes while the controller is away, then its Job is deleted")
    r.dead = True
    r.play(5)
    for job in r.cluster.api.all("Job"):
        r.cluster.api.remove("Job", job["metadata"]["name"], AGENTS)
    for pod in r.cluster.pods_on("node-a", AGENTS):
        r.cluster.api.remove("Pod", pod["metadata"]["name"], AGENTS)
    r.say("== no Job is let in")
    r.cluster.jobs_refused = "exceeded quota: count/jobs.batch"
    r.dead = False
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert reason(r, "node-a") == "AgentNotStarted"
    r.play(600)
    assert reason(r, "node-b") == "WaitingForProof"
    r.say("== Jobs are let in")
    r.cluster.jobs_refused = ""
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    assert "Auditing -> Proving" in r.transcript
    assert len(r.cluster.disks["node-a"].writes) == 1
    return r


def restore_that_is_refused() -> Rollout:
    """The node is worse and no Job is let in: it stays cordoned, and is put back once one is."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "ProveAdd")
    r.say("== no Job is let in")
    r.cluster.jobs_refused = "failed calling webhook: no endpoints available"
    r.until(lambda: r.step_of("node-a") == "Restore")
    for _ in range(4):
        r.play(450)
        r.say("== another controller takes over, which has heard of no refusal")
        r.restart()
    r.play(60)
    assert r.step_of("node-a") == "Restore"
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    assert "no endpoints available" in r.status("node-a")["message"]
    r.say("== Jobs are let in")
    r.cluster.jobs_refused = ""
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "RolledBack"}, "WorseThanBefore")
    assert version(r, "node-a") == "0.4.0"
    assert not any("sent again" in line for line in r.lines)
    return r


def agent_starts_as_it_is_taken_back() -> Rollout:
    """The image comes at the last moment: what the agent did counts, nothing is done twice."""
    r = of(f1())
    r.cluster.disks["node-a"].faults = ["none", "pull"]
    r.cluster.apply_policy("cure", ENFORCE)
    dies_before(r, "DeleteJob")
    r.say("== the image is there")
    r.cluster.pull("node-a")
    r.play(5)
    r.dead = False
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.disks["node-a"].writes == ["missing -> 1.0.0 by apply"]
    return r


def _waits_for_its_image(fault: int) -> Rollout:
    """The first change's agent, or that audit's, has no image, and so no container yet."""
    r = of(f1("node-a"), old("node-b"))
    r.cluster.disks["node-a"].faults = ["none"] * fault + ["pull"]
    r.cluster.apply_policy("cure", ENFORCE)
    job = "apply-" if fault else "audit-"
    r.until(lambda: any(p["metadata"]["name"].startswith(job) for p in _agents(r)), 60)
    r.play(5)
    return r


def _agents(r: Rollout) -> list[Raw]:
    """Those on node-a that have not ended."""
    pods = r.cluster.pods_on("node-a", "cni-upgrade-agents")
    return [pod for pod in pods if pod["status"]["phase"] != "Succeeded"]


def stopped_before_the_agent_starts() -> Rollout:
    """Its Job is taken back while its image is pulled; nothing is written when that is there."""
    r = _waits_for_its_image(1)
    r.say("== everything is stopped")
    r.cluster.stopped = "the images are wrong"
    r.play(15)
    r.say("== the image is there")
    r.cluster.pull("node-a")
    r.play(60)
    assert (phases(r)["node-a"], reason(r, "node-a")) == ("Waiting", "Stopped")
    assert (version(r, "node-a"), _agents(r)) == (None, [])
    r.say("== it goes on")
    r.cluster.stopped = ""
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    return r


def paused_before_the_agent_starts() -> Rollout:
    """The same where the policy is paused; other policies go on."""
    r = _waits_for_its_image(1)
    r.say("== the policy is paused")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "")
    r.play(15)
    r.cluster.pull("node-a")
    r.settle()
    assert (phases(r)["node-a"], reason(r, "node-a")) == ("Waiting", "Paused")
    assert version(r, "node-a") is None
    return r


def stopped_before_an_audit_starts() -> Rollout:
    """An agent that only looks executes the node's plugins: it is taken back as well."""
    r = _waits_for_its_image(0)
    r.say("== everything is stopped")
    r.cluster.stopped = "a plugin hangs"
    r.play(15)
    assert (phases(r)["node-a"], _agents(r)) == ("Pending", [])
    r.say("== it goes on")
    r.cluster.stopped = ""
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    return r


def stopped_before_the_backup_is_put_back() -> Rollout:
    """The agent that gives a deleted policy's node back does not start: given back later."""
    r = changed(old("node-a"))
    r.cluster.disks["node-a"].faults = ["pull"]
    delete(r)
    r.until(lambda: bool(_agents(r)) and r.step_of("node-a") == "GiveBack", 60)
    r.play(5)
    r.say("== everything is stopped")
    r.cluster.stopped = "a trial"
    r.play(60)
    assert (reason(r, "node-a"), version(r, "node-a")) == ("Stopped", "1.0.0")
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    r.say("== it goes on")
    r.cluster.stopped = ""
    until_gone(r, 300)
    assert (outcome(r, "node-a"), version(r, "node-a")) == ("Restored", "0.4.0")
    return r


def uncordoned_by_hand() -> Rollout:
    """Somebody uncordons the node in the middle: it is cordoned again before a file is written."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== somebody uncordons node-a")
    r.cluster.uncordon("node-a")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def cordoned_by_another_after_a_hand() -> Rollout:
    """Uncordoned by hand, it is cordoned again at once: no later cordon can look like ours."""
    r = of(f1())
    r.cluster.apply_policy("cure", {**ENFORCE, "verify": {"soak": "5m"}})
    r.until(lambda: r.step_of("node-a") == "Soak")
    r.say("== somebody uncordons node-a")
    r.cluster.uncordon("node-a")
    r.step()
    assert r.cluster.node("node-a")["spec"]["unschedulable"], "cordoned again in one pass"
    r.say("== somebody cordons it: kubectl says that it is already")
    r.cluster.cordon("node-a")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def mark_taken_off_our_cordon() -> Rollout:
    """Somebody takes our annotation off; the cordon is ours all the same, and given back."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== somebody takes our mark off")
    r.ledger.meddled.add("node-a")
    r.cluster.annotate("Node", "node-a", names.CORDONED_BY, None)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    return r


def cordoned_anew_beneath_our_mark() -> Rollout:
    """Before the write it is called off, and their cordon stays; our mark does not."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== somebody uncordons the node and cordons it again")
    r.cluster.uncordon("node-a")
    r.cluster.cordon("node-a")
    r.play(120)
    assert reason(r, "node-a") == "CordonedByOther"
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    assert names.CORDONED_BY not in r.cluster.node("node-a")["metadata"]["annotations"]
    r.say("== they uncordon it")
    r.cluster.uncordon("node-a")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def cordoned_anew_after_the_write() -> Rollout:
    """The change is brought to its end, put back where it is worse, and their cordon stays."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "ProveAdd")
    r.say("== somebody uncordons the node and cordons it again")
    r.ledger.meddled.add("node-a")
    r.cluster.uncordon("node-a")
    r.cluster.cordon("node-a")
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    return r


def target_changed_while_looking() -> Rollout:
    """The answer to the old question is not taken for one to the new question."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": {"version": "0.4.0"}}})
    right_after(r, "CreateJob audit")
    r.say("== target: 1.0.0")
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": {"version": "1.0.0"}}})
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    return r


def managed_elsewhere() -> Rollout:
    """Another program writes the file: left to it, named."""
    r = of(old("node-a", managed_by="flannel: ConfigMap kube-flannel-cfg"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "ManagedElsewhere"}
    assert "kube-flannel-cfg" in message(r, "node-a")
    return r


def hung_pods_are_freed() -> Rollout:
    """Pods hang in deletion on one node and in creation on another; the change frees them."""
    r = of(f1(), f2())
    r.cluster.api.delete("Pod", "web-node-a-0", namespace="default")
    r.cluster.add_pod("node-b", "web-new", fresh=True)
    r.play(90)
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    for node, pod in (("node-a", "default/web-node-a-0"), ("node-b", "default/web-new")):
        assert r.cluster.status(node)["hung"] == {"before": [pod], "after": []}
        assert message(r, node).endswith("; 1 of 1 pods that hung were freed")
    assert r.cluster.policy("cure")["status"]["summary"]["freed"] == 2
    return r


def a_pod_that_hangs_on() -> Rollout:
    """CRI-O deletes pods of before with what it cached: no use to wait, and it is said."""
    r = of(crio("node-a"))
    r.cluster.api.delete("Pod", "web-node-a-0", namespace="default")
    r.play(90)
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    hung = {"before": ["default/web-node-a-0"], "after": ["default/web-node-a-0"]}
    assert (r.phase("node-a"), r.cluster.status("node-a")["hung"]) == ("Done", hung)
    assert "1 hang on: default/web-node-a-0" in message(r, "node-a")
    assert r.cluster.policy("cure")["status"]["summary"]["freed"] == 0
    return r


def a_pod_that_hangs_for_a_reason_of_its_own() -> Rollout:
    """Not every pod that hangs is ours to free: the wait has an end."""
    r = of(f1())
    r.cluster.api.delete("Pod", "web-node-a-0", namespace="default")
    r.cluster.held.add("web-node-a-0")
    r.play(90)
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Free")
    since = r.cluster.now
    r.settle()
    assert (r.cluster.now - since).total_seconds() >= 120
    assert (r.phase("node-a"), ready(r, "cure")) == ("Done", "Enforced")
    assert "1 hang on: default/web-node-a-0" in message(r, "node-a")
    return r


def soaked() -> Rollout:
    """A proved node is kept for five minutes and proved once more."""
    r = of(f1())
    r.cluster.apply_policy("cure", {**ENFORCE, "verify": {"soak": "5m"}})
    r.until(lambda: r.step_of("node-a") == "Soak")
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    since = r.cluster.now
    r.settle()
    assert r.phase("node-a") == "Done"
    assert (r.cluster.now - since).total_seconds() >= 300
    assert "once more after 5m" in message(r, "node-a")
    return r


def put_back_while_it_soaks() -> Rollout:
    """A writer that nobody knew of puts its file back: the second proof shows it."""
    r = of(f2())
    r.cluster.apply_policy("cure", {**ENFORCE, "verify": {"soak": "5m"}})
    r.until(lambda: r.step_of("node-b") == "Soak")
    r.say("== somebody writes the old file")
    r.cluster.disks["node-b"].edit("1.0.0")
    r.settle()
    assert (r.phase("node-b"), reason(r, "node-b")) == ("Failed", "StillBroken")
    return r


def look_again(r: Rollout) -> None:
    """Play until every node was looked at again, and a little longer."""
    r.play(r.controller.config.reaudit_seconds + 60)


def until_mended_or_left(r: Rollout) -> None:
    r.until(lambda: version(r, "node-a") == "1.0.0" or reason(r, "node-a") == "DriftBudgetSpent")
    r.play(60)


def drift_is_mended_then_left() -> Rollout:
    """Changed back three times in a day: mended. The fourth time it is the other program's."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    for _ in range(4):
        r.say("== somebody puts the old file back")
        r.cluster.disks["node-a"].put_back("0.4.0")
        until_mended_or_left(r)
    assert phases(r) == {"node-a": "ManagedElsewhere"}
    assert "not known" in message(r, "node-a")
    assert ready(r, "cure") == "NodesBlocked"
    assert len(r.cluster.disks["node-a"].writes) == 4, "the change and three mends"
    look_again(r)
    assert len(r.cluster.disks["node-a"].writes) == 4
    r.say("== a person has mended the source, and asks again")
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    kinds = [entry["kind"] for entry in r.cluster.status("node-a")["history"]]
    assert kinds.count("drift") == 4
    return r


def drift_ends_by_itself() -> Rollout:
    """The other program writes what we wrote at last: the node is good again without a person."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", {**ENFORCE, "drift": {"maxReverts": 0}})
    r.settle()
    written = r.cluster.disks["node-a"].edits
    r.say("== somebody puts the old file back")
    r.cluster.disks["node-a"].put_back("0.4.0")
    r.until(lambda: reason(r, "node-a") == "DriftBudgetSpent")
    r.say("== the source is mended: the file is what was written")
    r.cluster.disks["node-a"].version, r.cluster.disks["node-a"].edits = "1.0.0", written
    look_again(r)
    assert phases(r) == {"node-a": "Compatible"}
    assert not r.cluster.status("node-a")["drift"]["spent"]
    return r


def drift_retry_taken_away() -> Rollout:
    """A budget that is spent is not renewed by an annotation that goes away."""
    r = of(old("node-a"))
    spec = {**ENFORCE, "drift": {"maxReverts": 1, "within": "24h"}}
    r.cluster.apply_policy("cure", spec, {names.RETRY: "1"})
    r.settle()
    for number in range(2):
        r.say("== it is changed back, and the node reboots")
        r.cluster.disks["node-a"].put_back("0.4.0")
        r.cluster.reboot("node-a", f"boot-{2 + number}")
        r.play(60)
        r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "ManagedElsewhere"}, "DriftBudgetSpent")
    r.say("== the annotation cniupgrade.dev/retry is taken away")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, None)
    r.play(3600)
    assert reason(r, "node-a") == "DriftBudgetSpent"
    assert len(r.cluster.disks["node-a"].writes) == 2
    return r


def drift_to_something_else() -> Rollout:
    """Another content has its chance once the time of the budget is over."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", {**ENFORCE, "drift": {"maxReverts": 1, "within": "24h"}})
    r.settle()
    for _ in range(2):
        r.say("== somebody puts the old file back")
        r.cluster.disks["node-a"].put_back("0.4.0")
        until_mended_or_left(r)
    assert reason(r, "node-a") == "DriftBudgetSpent"
    r.say("== somebody writes another file")
    r.cluster.disks["node-a"].edit("0.3.1")
    look_again(r)
    assert reason(r, "node-a") == "DriftBudgetSpent"
    r.play(25 * 3600)
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Compatible"}, "1.0.0")
    return r


def drift_budget_raised() -> Rollout:
    """A budget that is spent and then raised: looked at again at once, and mended."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", {**ENFORCE, "drift": {"maxReverts": 0, "within": "24h"}})
    r.settle()
    r.say("== somebody puts the old file back")
    r.cluster.disks["node-a"].put_back("0.4.0")
    r.until(lambda: reason(r, "node-a") == "DriftBudgetSpent")
    r.settle()
    r.say("== spec.drift.maxReverts: 2")
    r.cluster.apply_policy("cure", {"drift": {"maxReverts": 2}})
    r.until(lambda: r.phase("node-a") == "Done", seconds=300)
    for _ in range(2):
        r.say("== somebody puts the old file back")
        r.cluster.disks["node-a"].put_back("0.4.0")
        until_mended_or_left(r)
    assert reason(r, "node-a") == "DriftBudgetSpent"
    assert "back 3 times" in message(r, "node-a")
    return r


def drift_while_nothing_is_mended() -> Rollout:
    """Edited again and again during a pause: one find, for nobody has changed a mend back."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.say("== paused by annotation")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    for content in ("0.4.0", "0.3.1", "0.3.0", "0.4.0"):
        r.say("== somebody writes another file")
        r.cluster.disks["node-a"].edit(content)
        look_again(r)
        assert (r.phase("node-a"), reason(r, "node-a")) == ("Waiting", "Paused")
    assert len(r.cluster.status("node-a")["drift"]["found"]) == 1
    r.say("== resumed")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    return r


def leased(*disks: SimNode) -> Rollout:
    """A cluster whose operator is told of the namespace of Leases."""
    r = Rollout(config=LEASED)
    for disk in disks:
        r.cluster.add_node(disk)
    return r


def holder(r: Rollout, node: str) -> str:
    """Who has the Lease on a node; empty for nobody."""
    lease = r.cluster.api.find("Lease", f"node-{node}", LEASES)
    return str(lease["spec"]["holderIdentity"]) if lease else ""


def lease_taken_and_given_back() -> Rollout:
    """Before the cordon, renewed while a drain takes long, and given back after the node."""
    r = leased(old("node-a", drain_for=frozenset({"1.0.0"})))
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"deadline": "15m"}})
    r.cluster.budgets.add("web-node-a-0")
    r.until(lambda: r.phase("node-a") == "Draining")
    r.play(700)
    r.say("== the budget allows it")
    r.cluster.budgets.clear()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    text = r.transcript
    order = ["TakeLease", ": Cordon", "RenewLease", ": Uncordon", "DropLease"]
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    return r


def lease_of_somebody_else() -> Rollout:
    """It is waited for, named, and never stolen; given back, the node has its turn."""
    r = leased(old("node-a"), old("node-b"))
    r.cluster.take_lease("node-a", "node-maintenance", 3600)
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-b") == "Done")
    r.play(120)
    assert reason(r, "node-a") == "LeaseHeld"
    assert "node-maintenance has the Lease medik8s-leases/node-node-a" in message(r, "node-a")
    assert ready(r, "cure") == "RolloutBlocked"
    assert "node-a leased by somebody else" in r.cluster.policy("cure")["status"]["message"]
    r.play(700)
    assert "RolloutBlocked [Stalled]" in r.transcript
    r.say("== they give it back")
    r.cluster.drop_lease("node-a", "node-maintenance")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    return r


def lease_that_expires() -> Rollout:
    """Nobody gives it back: once it has expired it is taken over."""
    r = leased(old("node-a"))
    r.cluster.take_lease("node-a", "node-maintenance", 600)
    r.cluster.apply_policy("cure", ENFORCE)
    r.play(500)
    assert reason(r, "node-a") == "LeaseHeld"
    r.play(200)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def lease_taken_in_between() -> Rollout:
    """Somebody takes the Lease between our decision and our cordon: the node is theirs."""
    r = leased(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    dies_before(r, "TakeLease")
    r.say("== somebody takes it")
    r.cluster.take_lease("node-a", "node-maintenance", 600)
    r.dead = False
    r.play(60)
    assert reason(r, "node-a") == "LeaseHeld"
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    r.play(700)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def lease_of_a_dead_controller() -> Rollout:
    """The next one goes on with the Lease of its predecessor."""
    r = leased(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    dies_before(r, "CreateProof")
    r.say("== the controller is away for an hour")
    r.play(3600)
    r.dead = False
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def lease_lost_in_a_drain() -> Rollout:
    """Nothing was written yet: no pod more is evicted, and no cordon is undone in their hands."""
    r = leased(old("node-a", drain_for=frozenset({"1.0.0"})))
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"deadline": "3h"}})
    r.cluster.budgets.add("web-node-a-0")
    r.until(lambda: "Evict" in r.transcript)
    r.say("== the controller is away for an hour, and the Lease expires")
    r.dead = True
    r.play(3600)
    r.say("== somebody takes the Lease, and finds the node cordoned")
    r.cluster.take_lease("node-a", "node-maintenance", 1200)
    r.cluster.cordon("node-a")
    r.cluster.budgets.clear()
    r.dead = False
    r.play(600)
    assert len(r.cluster.pods_on("node-a", "default")) == 1
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    r.say("== they give it back")
    r.cluster.drop_lease("node-a", "node-maintenance")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def lease_lost_to_somebody_else() -> Rollout:
    """It expired while no controller was there: the change is finished, theirs is not taken."""
    r = leased(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    dies_before(r, "DeleteProof")
    r.say("== the controller is away for an hour")
    r.play(3600)
    r.say("== somebody takes the Lease")
    r.cluster.take_lease("node-a", "node-maintenance", 7200)
    r.dead = False
    r.until(lambda: r.step_of("node-a") == "Release", 600)
    r.play(60)
    lease = r.cluster.api.get("Lease", "node-node-a", LEASES)
    assert lease["spec"]["holderIdentity"] == "node-maintenance"
    assert r.cluster.node("node-a")["spec"]["unschedulable"], "they rely on that cordon"
    r.say("== they give it back")
    r.cluster.drop_lease("node-a", "node-maintenance")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def lease_kept_when_the_record_is_lost() -> Rollout:
    """The node state is deleted while the agent runs: the Lease stays ours, and is renewed."""
    r = leased(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.cluster.tick()
    r.say("== the node goes silent, and its node state is deleted")
    r.cluster.set_ready("node-a", "Unknown")
    r.ledger.meddled.add("node-a")
    r.cluster.api.delete("CNINodeState", "node-a")
    for _ in range(3):
        r.step()
        assert holder(r, "node-a") == HOLDER
    r.play(1800)
    assert reason(r, "node-a") == "AgentStillRuns"
    assert holder(r, "node-a") == HOLDER
    r.say("== the node is back")
    r.cluster.set_ready("node-a", "True")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    text = r.transcript
    order = ["AgentStillRuns", "RenewLease", ": Uncordon", "DropLease"]
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    return r


def lease_lost_with_the_record() -> Rollout:
    """The record is lost, the Lease expires and is taken: the cordon is theirs to rely on."""
    r = leased(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== the controller is away for an hour, and the node state is deleted")
    r.dead = True
    r.play(3600)
    r.ledger.meddled.add("node-a")
    r.cluster.api.delete("CNINodeState", "node-a")
    r.say("== somebody takes the Lease, and finds the node cordoned")
    r.cluster.take_lease("node-a", "node-maintenance", 1200)
    r.dead = False
    r.play(600)
    assert reason(r, "node-a") == "LeaseHeld"
    assert r.cluster.node("node-a")["spec"]["unschedulable"], "they rely on that cordon"
    r.say("== they give it back")
    r.cluster.drop_lease("node-a", "node-maintenance")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def lease_of_a_node_that_nobody_governs() -> Rollout:
    """Record and policy are gone: the Lease outlasts the agent, the cordon their Lease."""
    r = leased(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.cluster.tick()
    r.say("== the node goes silent, its node state and its policy are deleted")
    r.cluster.set_ready("node-a", "Unknown")
    r.ledger.meddled.add("node-a")
    r.cluster.api.delete("CNINodeState", "node-a")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.play(1800)
    assert holder(r, "node-a") == HOLDER
    assert "RenewLease" in r.transcript
    r.say("== the controller is away for an hour, the node is back, somebody takes the Lease")
    r.dead = True
    r.cluster.set_ready("node-a", "True")
    r.play(3600)
    r.cluster.take_lease("node-a", "node-maintenance", 1200)
    r.dead = False
    r.play(600)
    assert r.cluster.node("node-a")["spec"]["unschedulable"], "they rely on that cordon"
    r.say("== they give it back")
    r.cluster.drop_lease("node-a", "node-maintenance")
    r.play(60)
    check_given_back(r.cluster)
    return r


def cordon_and_mark_taken_off_in_a_drain() -> Rollout:
    """Nothing is evicted from a node that takes pods: called off, told, and tried again later."""
    r = of(old("node-a"), pods=2)
    r.cluster.held.add("web-node-a-1")
    drain = {"policy": "Always", "deadline": "15m"}
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": drain})
    r.until(lambda: r.step_of("node-a") == "Drain")
    r.play(5)
    r.say("== somebody uncordons the node and takes our mark off it")
    r.cluster.uncordon("node-a")
    r.cluster.annotate("Node", "node-a", names.CORDONED_BY, None)
    before = len(r.lines)
    r.until(lambda: r.phase("node-a") == "Blocked")
    assert reason(r, "node-a") == "CordonTaken"
    assert not any("Evict" in line for line in r.lines[before:])
    r.cluster.held.clear()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def deleted_node_that_a_finalizer_holds() -> Rollout:
    """Its drain ends with that, its cordon stays; and who waits for it says so, for a person."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.budgets.add("web-node-a-0")
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always", "deadline": "15m"}})
    r.until(lambda: r.step_of("node-a") == "Drain")
    r.say("== node-a is deleted, and a finalizer holds it")
    meta = {"finalizers": ["karpenter.sh/termination"], "deletionTimestamp": stamp(r.cluster.now)}
    r.cluster.api.patch("Node", "node-a", {"metadata": meta})
    r.play(1200)
    assert (reason(r, "node-a"), r.step_of("node-a")) == ("NodeDeleted", "")
    assert r.cluster.node("node-a")["spec"]["unschedulable"]
    assert ready(r, "cure") == "RolloutBlocked"
    assert "node-a (being deleted)" in r.cluster.policy("cure")["status"]["message"]
    r.say("== it is gone")
    r.cluster.remove_node("node-a")
    r.settle()
    assert phases(r) == {"node-b": "Done"}
    return r


def deleted_nodes_that_nobody_waits_for() -> Rollout:
    """Deleted before its turn, or before its look, and held by a finalizer: named, and no more."""
    r = of(old("node-a"), old("node-b"))

    def remove(name: str) -> None:
        r.say(f"== {name} is deleted, and a finalizer holds it")
        meta = {"finalizers": ["karpenter.sh/termination"]}
        gone = {"metadata": {**meta, "deletionTimestamp": stamp(r.cluster.now)}}
        r.cluster.api.patch("Node", name, gone)

    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-b") == "Waiting")
    remove("node-b")
    r.settle()
    assert (phases(r), ready(r, "cure")) == ({"node-a": "Done", "node-b": "Waiting"}, "Enforced")
    r.cluster.add_node(old("node-c"))
    remove("node-c")
    r.play(60)
    assert (r.phase("node-c"), ready(r, "cure")) == ("Pending", "Enforced")
    text = r.cluster.policy("cure")["status"]["message"]
    assert text.endswith("being deleted: node-b, node-c")
    remove("node-a")
    r.say("== another target")
    target = {"cni": {"version": "0.3.1", "selection": "Exact"}}
    r.cluster.apply_policy("cure", {**ENFORCE, "target": target})
    r.play(60)
    assert ready(r, "cure") == "NoNodeMatches"
    return r


def cordon_and_mark_taken_off_in_a_restore() -> Rollout:
    """The same while a deleted policy gives back: each time with a pause."""
    r = changed(old("node-a"), drain={"policy": "Always", "deadline": "15m"})
    r.cluster.add_pod("node-a", "stays")
    r.cluster.held.add("stays")
    before = len(r.lines)
    delete(r)
    for _ in range(3):
        r.until(lambda: r.step_of("node-a") == "Drain")
        r.say("== somebody uncordons the node and takes our mark off it")
        r.cluster.uncordon("node-a")
        r.cluster.annotate("Node", "node-a", names.CORDONED_BY, None)
        r.play(30)
        assert reason(r, "node-a") == "CordonTaken"
    assert sum(line.endswith("node-a: Cordon") for line in r.lines[before:]) == 3
    r.cluster.held.clear()
    until_gone(r, 300)
    assert outcome(r, "node-a") == "Restored"
    return r


def restored_after_the_cluster_was_off() -> Rollout:
    """Off for a night while a deleted policy gives back: nobody is given up for that."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", {**ENFORCE, "deletionPolicy": "Restore"})
    r.settle()
    r.say("== the policy is deleted")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.until(lambda: r.step_of("node-a") != "")
    r.say("== the whole cluster is off for 8 hours")
    r.dead = True
    for name in r.cluster.disks:
        r.cluster.set_ready(name, "Unknown")
    r.play(8 * 3600)
    r.say("== it is on again, the kubelets answer after a minute")
    r.restart()
    r.dead = False
    r.play(60)
    for name in r.cluster.disks:
        r.cluster.set_ready(name, "True")
    r.until(lambda: r.cluster.api.find("CNIUpgradePolicy", "cure") is None)
    check_given_back(r.cluster)
    assert [version(r, n) for n in r.cluster.disks] == ["0.4.0", "0.4.0"]
    assert "GivenUp" not in r.transcript
    return r


def restored_after_the_controller_was_away() -> Rollout:
    """Only time in which a controller looks makes it give up who has no turn."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", {**ENFORCE, "deletionPolicy": "Restore"})
    r.settle()
    r.cluster.cordon("node-b")
    r.say("== somebody has node-b; the policy is deleted; the controller is away for 2 hours")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.play(3)
    r.dead = True
    r.play(7200)
    r.say("== it is back")
    r.restart()
    r.dead = False
    r.play(60)
    r.say("== node-b is given back by them")
    r.cluster.uncordon("node-b")
    r.until(lambda: r.cluster.api.find("CNIUpgradePolicy", "cure") is None)
    check_given_back(r.cluster)
    assert [version(r, n) for n in r.cluster.disks] == ["0.4.0", "0.4.0"]
    return r


def power_cut_in_a_proof() -> Rollout:
    """The controller is back before the kubelet: the proof has its time again, and is good."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.cluster.held.add(r.status("node-a")["operation"]["proof"]["oldPod"])
    r.until(lambda: r.step_of("node-a") == "ProveOld")
    r.play(20)
    r.say("== the whole cluster is off for half an hour; its nodes are Ready by what is stored")
    r.cluster.disks["node-a"].silent = True
    r.dead = True
    r.play(1800)
    r.say("== it is on again, the kubelet works after 40 s")
    r.restart()
    r.dead = False
    r.play(40)
    r.cluster.held.clear()
    r.cluster.disks["node-a"].silent = False
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "Done"}, "1.0.0")
    return r


def proof_pods_may_not_be_deleted() -> Rollout:
    """A webhook keeps the pods of the proof: the node is given back, and it is said to whom."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== a webhook refuses the deletion of proof pods")
    r.cluster.proofs_kept = "admission webhook pods.protect denied the request"
    r.until(lambda: r.phase("node-a") == "Blocked", 1800)
    assert reason(r, "node-a") == "ProofInconclusive"
    assert "could not be deleted: admission webhook" in message(r, "node-a")
    r.play(60)
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    assert len(r.cluster.disks["node-a"].writes) == 1, "nothing was put back for it"
    assert (ready(r, "cure"), r.phase("node-b")) == ("WaitingForProof", "Waiting")
    r.say("== the webhook is gone")
    r.cluster.proofs_kept = ""
    r.until(lambda: set(phases(r).values()) == {"Done"})
    r.settle()
    return r


def proof_pod_from_before_may_not_be_deleted() -> Rollout:
    """The same before the change: nothing is written, and the node is given back."""
    r = of(old("node-a", drain_for=frozenset({"1.0.0"})))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.say("== a webhook refuses the deletion of proof pods")
    r.cluster.proofs_kept = "a webhook says no"
    r.until(lambda: r.phase("node-a") == "Blocked", 600)
    assert reason(r, "node-a") == "ProofInconclusive"
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    assert not r.cluster.disks["node-a"].writes
    return r


def pods_that_may_not_be_listed() -> Rollout:
    """Nobody knows what hangs before the change: the node is not kept cordoned for that."""
    r = of(f1())
    r.cluster.unlisted["node-a"] = "timeout"
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-a") == "Blocked", 600)
    assert (reason(r, "node-a"), r.cluster.disks["node-a"].writes) == ("PodsNotListed", [])
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    r.say("== they may be listed")
    r.cluster.unlisted.clear()
    r.until(lambda: r.phase("node-a") == "Done")
    r.settle()
    return r


def pods_that_may_not_be_listed_afterwards() -> Rollout:
    """Nor for what is freed by it: those that hung are not said to be free."""
    r = of(f1(), pods=2)
    r.cluster.held.add("web-node-a-0")
    r.cluster.api.delete("Pod", "web-node-a-0", namespace="default")
    r.play(60)
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Free")
    r.say("== the node's pods may not be listed")
    r.cluster.unlisted["node-a"] = "timeout"
    r.until(lambda: r.phase("node-a") == "Done", 600)
    assert "whether the 1 pods that hung are free is not known" in message(r, "node-a")
    hung = r.cluster.status("node-a")["hung"]
    assert hung["before"] == hung["after"] == ["default/web-node-a-0"]
    r.cluster.unlisted.clear()
    r.cluster.held.clear()
    r.settle()
    return r


def deadline_edited_away_in_a_drain() -> Rollout:
    """Somebody takes the deadline out of the record: the step has its time from then on."""
    r = of(old("node-a"), pods=2)
    r.cluster.budgets.add("web-node-a-0")
    drain = {"policy": "Always", "deadline": "5m"}
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": drain})
    r.until(lambda: r.step_of("node-a") == "Drain")
    r.say("== operation.deadline is taken out of the record")
    r.ledger.meddled.add("node-a")
    edit = {"status": {"operation": {"deadline": None}}}
    r.cluster.api.patch("CNINodeState", "node-a", edit, sub="status")
    r.restart()
    r.until(lambda: reason(r, "node-a") == "DrainBlocked", 600)
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    return r


def cordon_and_mark_taken_off_in_a_later_drain() -> Rollout:
    """The file is written, and the node takes pods again: none is evicted; then it is proved."""
    r = of(f1(), pods=2)
    r.cluster.budgets.add("web-node-a-0")
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.until(lambda: r.step_of("node-a") == "DrainAfter")
    r.play(20)
    r.say("== somebody takes our cordon off, and our mark")
    r.ledger.meddled.add("node-a")
    r.cluster.uncordon("node-a")
    r.cluster.annotate("Node", "node-a", names.CORDONED_BY, None)
    r.cluster.budgets.clear()
    r.until(lambda: r.phase("node-a") == "Done")
    assert [e["outcome"] for e in r.cluster.status("node-a")["history"]] == ["Done", "GivenUp"]
    r.settle()
    return r


def cordon_and_mark_taken_off_before_the_way_back() -> Rollout:
    """The Job that puts the backup back is refused meanwhile: the node is cordoned again first."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "ProveAdd")
    r.cluster.jobs_refused = "no endpoints"
    r.until(lambda: r.step_of("node-a") == "Restore")
    r.say("== somebody takes our cordon off, and our mark, while the Job is refused")
    r.cluster.uncordon("node-a")
    r.cluster.annotate("Node", "node-a", names.CORDONED_BY, None)
    r.play(30)
    r.say("== the Job is let in")
    r.cluster.jobs_refused = ""
    r.settle()
    assert (phases(r), version(r, "node-a")) == ({"node-a": "RolledBack"}, "0.4.0")
    return r


def drain_not_wanted_any_more() -> Rollout:
    """drain.policy becomes Never while a budget holds the drain: no other pod goes."""
    r = of(old("node-a"), pods=2)
    r.cluster.budgets |= {"web-node-a-0", "web-node-a-1"}
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.until(lambda: r.step_of("node-a") == "Drain")
    r.play(10)
    r.say("== drain.policy: Never, and the budget gives way")
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Never"}})
    r.cluster.budgets.clear()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert len(r.cluster.pods_on("node-a", "default")) == 2
    return r


def later_drain_not_wanted_any_more() -> Rollout:
    """The same of a drain after the change."""
    r = of(f1(), pods=2)
    r.cluster.budgets |= {"web-node-a-0", "web-node-a-1"}
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Always"}})
    r.until(lambda: r.step_of("node-a") == "DrainAfter")
    r.play(10)
    r.say("== drain.policy: Never, and the budget gives way")
    r.cluster.apply_policy("cure", {**ENFORCE, "drain": {"policy": "Never"}})
    r.cluster.budgets.clear()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert len(r.cluster.pods_on("node-a", "default")) == 2
    return r


def runtime_changed_at_rest() -> Rollout:
    """Another runtime, then another kubelet: each node is looked at again, and nothing else."""
    r = of(old("node-a"), healthy())
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.say("== another runtime on node-a, another kubelet on node-d")
    r.cluster.upgrade("node-a", runtime="containerd://2.0.0")
    r.cluster.upgrade("node-d", kubelet="v1.35.0")
    before = len(r.lines)
    r.settle()
    looked = [line.split()[1] for line in r.lines[before:] if "CreateJob audit" in line]
    assert looked == ["node-a:", "node-d:"]
    assert phases(r) == {"node-a": "Compatible", "node-d": "Compatible"}
    assert r.cluster.status("node-a")["observed"]["runtimeVersion"] == "containerd://2.0.0"
    assert r.cluster.status("node-d")["observed"]["kubeletVersion"] == "v1.35.0"
    return r


def runtime_changed_before_the_write() -> Rollout:
    """While its Job is refused the runtime becomes another one: looked at again, then sent."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.cluster.jobs_refused = "exceeded quota: jobs"
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== another runtime on node-a, while its Job is refused")
    r.cluster.upgrade("node-a", runtime="containerd://2.0.0")
    r.play(20)
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    r.say("== Jobs are let in")
    r.cluster.jobs_refused = ""
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.status("node-a")["observed"]["runtimeVersion"] == "containerd://2.0.0"
    return r


def runtime_changed_before_the_agent_starts() -> Rollout:
    """The agent waits for its image, and the runtime is another one: it is taken back."""
    r = of(old("node-a"))
    r.cluster.disks["node-a"].faults = ["none", "pull"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: "ImagePullBackOff" in message(r, "node-a"))
    r.say("== another runtime on node-a")
    r.cluster.upgrade("node-a", runtime="containerd://2.0.0")
    r.until(lambda: r.phase("node-a") == "Auditing", 60)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.status("node-a")["observed"]["runtimeVersion"] == "containerd://2.0.0"
    return r


def kubelet_changed_in_a_proof() -> Rollout:
    """What is written is brought to its end, and then looked at once more."""
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "ProveAdd")
    r.say("== another kubelet on node-a")
    r.cluster.upgrade("node-a", kubelet="v1.35.0")
    r.settle()
    assert phases(r) == {"node-a": "Compatible"}
    assert len(r.cluster.disks["node-a"].writes) == 1
    assert r.cluster.status("node-a")["observed"]["kubeletVersion"] == "v1.35.0"
    return r


SCENARIOS: tuple[Callable[[], Rollout], ...] = (
    mixed_cluster_cured,
    cordon_and_mark_taken_off_in_a_drain,
    cordon_and_mark_taken_off_in_a_restore,
    deleted_node_that_a_finalizer_holds,
    deleted_nodes_that_nobody_waits_for,
    restored_after_the_cluster_was_off,
    restored_after_the_controller_was_away,
    power_cut_in_a_proof,
    audit_then_enforce,
    paused_before_the_write,
    paused_after_the_write,
    stopped_before_the_write,
    stopped_after_the_write,
    stopped_as_the_agent_is_sent,
    called_off_with_a_pod_that_cannot_go,
    not_linux,
    budget_blocks_a_drain,
    budget_never_gives_way,
    budget_holds_one_of_three,
    drain_called_off_while_a_budget_holds,
    agent_killed_once,
    agent_killed_after_the_write,
    agent_killed_thrice,
    worse_is_rolled_back,
    worse_to_delete_is_rolled_back,
    worse_is_left_where_the_policy_says_so,
    as_broken_as_before,
    changed_since_audit,
    looked_at_when_it_is_ready_again,
    policy_deleted_before_the_write,
    policy_deleted_after_the_write,
    policy_deleted_after_the_write_ends_as_it_ordered,
    retained_on_deletion,
    restored_on_deletion,
    restore_drains_first,
    restore_refused,
    restore_may_not_drain_any_more,
    restore_drains_once,
    restore_that_does_not_work,
    restore_of_a_silent_node,
    silent_while_it_is_given_back,
    silent_with_the_only_place,
    silent_for_a_moment_after_hours,
    restore_bears_a_blip_in_a_long_drain,
    called_off_again_and_again,
    restore_waits_for_its_window,
    restore_is_held_by_a_pause,
    restore_is_paused_in_the_middle,
    restore_that_has_failed_waits_for_no_window,
    restore_in_windows_that_are_too_short,
    restore_goes_on_after_a_long_stop,
    restore_bears_a_cordon_after_a_long_stop,
    rolled_back_and_deleted_outside_of_its_window,
    restored_though_the_records_were_deleted,
    restored_though_the_records_were_edited,
    restored_though_its_agents_were_lost,
    restored_though_nothing_stood_before_its_agents_were_lost,
    restored_though_an_audit_policy_has_the_node_too,
    refused_though_an_audit_policy_has_the_node_too,
    refused_though_an_audit_policy_looks_at_a_record_made_anew,
    given_up_where_nobody_knows_what_was_changed,
    refused_where_the_backups_cannot_be_read,
    restore_bears_a_blip_before_its_window,
    restore_gives_up_in_the_end_with_short_windows,
    restore_let_go,
    restore_of_a_node_that_goes,
    taken_over_while_leaving,
    deleted_in_the_middle_with_restore,
    target_raised_twice_then_restored,
    two_enforce_policies,
    node_replaced,
    foreign_cordon,
    silent_mid_apply,
    foreign_cordon_in_between,
    silent_before_the_audit_is_sent,
    audit_of_a_node_that_is_dead,
    silent_before_the_agent_is_sent,
    away_for_the_whole_proof,
    away_for_half_a_day,
    clock_set_back_in_a_proof,
    clock_set_back_in_a_pause,
    clock_set_back_while_a_canary_soaks,
    clock_set_back_while_a_policy_leaves,
    silent_mid_proof,
    exact_target_that_needs_a_drain,
    lowered_drained_raised,
    raised_to_what_is_worse,
    lowered_and_kept_from_the_drain,
    lowered_after_it_was_not_proved,
    lowered_between_two_failures,
    lowered_and_called_off,
    drain_that_is_not_enough,
    left_behind_by_a_daemonset,
    drain_forbidden,
    exact_target_out_of_reach,
    drain_always_where_delete_is_broken,
    unknown_paths,
    unknown_paths_of_another_policy,
    no_node_matches,
    missing_right,
    deleted_while_a_right_is_missing,
    record_deleted_mid_apply,
    record_deleted_while_the_agent_hangs,
    record_deleted_before_the_agent_is_there,
    record_and_policy_deleted_mid_apply,
    retried_after_failed,
    retried_and_still_worse,
    proof_without_a_place,
    no_pod_can_prove_anything,
    no_pod_can_prove_anything_so_nothing_is_drained,
    drained_to_have_room,
    drained_and_no_room_all_the_same,
    drained_and_refused,
    drained_and_no_agent_started,
    a_pod_that_does_not_go_keeps_the_drain_away,
    worse_at_a_later_proof,
    worse_to_delete_at_a_later_proof,
    worse_at_a_later_proof_is_left_where_the_policy_says_so,
    as_broken_at_a_later_proof,
    cordoned_by_another_at_a_later_proof,
    worse_after_a_second_change_that_was_not_proved,
    audit_without_an_image,
    apply_without_an_image,
    apply_that_is_refused,
    job_deleted_before_the_next_is_refused,
    restore_that_is_refused,
    agent_starts_as_it_is_taken_back,
    stopped_before_the_agent_starts,
    paused_before_the_agent_starts,
    stopped_before_an_audit_starts,
    stopped_before_the_backup_is_put_back,
    retried_after_a_lost_audit,
    uncordoned_by_hand,
    cordoned_by_another_after_a_hand,
    mark_taken_off_our_cordon,
    cordoned_anew_beneath_our_mark,
    cordoned_anew_after_the_write,
    target_changed_while_looking,
    managed_elsewhere,
    hung_pods_are_freed,
    a_pod_that_hangs_on,
    a_pod_that_hangs_for_a_reason_of_its_own,
    soaked,
    put_back_while_it_soaks,
    drift_is_mended_then_left,
    drift_ends_by_itself,
    drift_retry_taken_away,
    drift_to_something_else,
    drift_budget_raised,
    drift_while_nothing_is_mended,
    lease_taken_and_given_back,
    lease_of_somebody_else,
    lease_that_expires,
    lease_taken_in_between,
    lease_of_a_dead_controller,
    lease_lost_in_a_drain,
    lease_lost_to_somebody_else,
    lease_kept_when_the_record_is_lost,
    lease_lost_with_the_record,
    lease_of_a_node_that_nobody_governs,
    proof_pods_may_not_be_deleted,
    proof_pod_from_before_may_not_be_deleted,
    pods_that_may_not_be_listed,
    pods_that_may_not_be_listed_afterwards,
    deadline_edited_away_in_a_drain,
    cordon_and_mark_taken_off_in_a_later_drain,
    cordon_and_mark_taken_off_before_the_way_back,
    drain_not_wanted_any_more,
    later_drain_not_wanted_any_more,
    runtime_changed_at_rest,
    runtime_changed_before_the_write,
    runtime_changed_before_the_agent_starts,
    kubelet_changed_in_a_proof,
)
