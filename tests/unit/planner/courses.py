"""Rollouts over several nodes that a person can follow: canaries, waves, windows, failures.

As in scenarios.py, each function plays one and says what must come of it; their transcripts stand
in `golden/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from cni_upgrade.api import names
from tests.unit.planner.api_model import Raw
from tests.unit.planner.cluster_model import PROOF
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import (
    ENFORCE,
    f1,
    healthy,
    message,
    of,
    old,
    phases,
    ready,
    reason,
)

ZONE = "topology.kubernetes.io/zone"
BAD = {"1.0.0": (True, False)}
"""A node on which deleting pods does not work after the change either."""


WORSE = {"1.0.0": (False, True)}
"""A node to which no pod can be added any more after the change."""


def enforce(rollout: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"mode": "Enforce", "rollout": dict(rollout), **more}


def labelled(*nodes: tuple[SimNode, Mapping[str, str]]) -> Rollout:
    """A cluster whose nodes joined a minute after each other, in this order."""
    r = Rollout()
    for disk, labels in nodes:
        r.cluster.add_node(disk, labels=labels)
        r.cluster.tick(60)
    return r


def rolling(r: Rollout, policy: str = "cure") -> Raw:
    """The policy's status.rollout."""
    found: Raw = r.cluster.policy(policy)["status"]["rollout"]
    return found


def conditions(r: Rollout, policy: str = "cure") -> set[str]:
    return {c["type"] for c in r.cluster.policy(policy)["status"]["conditions"]}


def began(r: Rollout) -> list[str]:
    """Nodes in the order in which they were cordoned by us."""
    return [line.split()[1].rstrip(":") for line in r.lines if line.endswith(": Cordon")]


def all_done(r: Rollout) -> None:
    """Play on until every node is done, and quiet."""
    r.until(lambda: set(phases(r).values()) <= {"Done", "Compatible"})
    r.settle()


def canary_passes() -> Rollout:
    """One node goes first and soaks for five minutes; then the others, two at a time."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abcd"))
    canary = {"nodes": 1, "soak": "5m"}
    r.cluster.apply_policy("cure", enforce({"canary": canary, "maxUnavailable": 2}))
    r.until(lambda: r.phase("node-a") == "Done")
    r.play(60)
    assert set(list(phases(r).values())[1:]) == {"Waiting"}
    assert reason(r, "node-b") == "WaitingForCanary"
    assert rolling(r)["wave"] == "canary"
    until = rolling(r)["waitsFor"].removeprefix("soak of the canary until ")
    assert until.startswith("2026-01-01T12:0")
    all_done(r)
    first = next(line for line in r.lines if line.endswith("node-b: Cordon"))
    assert first.split()[0] >= "0:09:15", "five minutes after the canary was done"
    assert ready(r, "cure") == "Enforced"
    return r


def canary_fails() -> Rollout:
    """A canary that fails stops the rollout whatever the failure budget, until a person asks."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abc"))
    r.cluster.disks["node-a"].surprise = BAD
    canary = {"nodes": 1, "soak": "5m"}
    r.cluster.apply_policy("cure", enforce({"canary": canary, "maxFailures": "100%"}))
    r.settle()
    assert phases(r) == {"node-a": "Failed", "node-b": "Waiting", "node-c": "Waiting"}
    assert ready(r, "cure") == "CanaryFailed"
    assert "Stalled" in conditions(r)
    assert "node-a" in rolling(r)["waitsFor"]
    r.play(3600)
    assert began(r) == ["node-a"]
    r.say("== the plugin is mended, policy cure is annotated with cniupgrade.dev/retry")
    r.cluster.disks["node-a"].surprise = {}
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "1")
    all_done(r)
    return r


def canary_that_matches_nothing() -> Rollout:
    """A canary that no node is never passes: it is said, and nothing begins."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "ab"))
    canary = {"nodeSelector": {"matchLabels": {"canary": "yes"}}, "soak": "1m"}
    r.cluster.apply_policy("cure", enforce({"canary": canary}))
    r.play(1800)
    assert ready(r, "cure") == "CanaryEmpty"
    assert "Stalled" in conditions(r)
    assert began(r) == []
    r.say("== node-b is labelled")
    r.cluster.api.patch("Node", "node-b", {"metadata": {"labels": {"canary": "yes"}}})
    all_done(r)
    assert began(r) == ["node-b", "node-a"]
    return r


def canary_that_vanishes() -> Rollout:
    """The machine goes while it soaks: another node is canary, and soaks from the beginning."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abc"))
    r.cluster.apply_policy("cure", enforce({"canary": {"nodes": 1, "soak": "5m"}}))
    r.until(lambda: r.phase("node-a") == "Done")
    r.play(120)
    r.say("== node-a vanishes")
    r.cluster.remove_node("node-a")
    r.until(lambda: r.phase("node-b") == "Done")
    r.play(240)
    assert phases(r) == {"node-b": "Done", "node-c": "Waiting"}
    all_done(r)
    return r


def canary_that_is_down_while_it_soaks() -> Rollout:
    """Not Ready is not well: the soak begins anew once the canary is back."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "ab"))
    r.cluster.apply_policy("cure", enforce({"canary": {"nodes": 1, "soak": "5m"}}))
    r.until(lambda: r.phase("node-a") == "Done")
    r.play(200)
    r.say("== node-a is not ready")
    r.cluster.set_ready("node-a", "False")
    r.play(200)
    assert "node-a not Ready" in rolling(r)["waitsFor"]
    r.say("== node-a is ready")
    r.cluster.set_ready("node-a", "True")
    r.play(240)
    assert phases(r)["node-b"] == "Waiting"
    all_done(r)
    return r


def canary_that_is_down_while_nobody_looks() -> Rollout:
    """The controller was away meanwhile: the soak begins anew all the same."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "ab"))
    r.cluster.apply_policy("cure", enforce({"canary": {"nodes": 1, "soak": "5m"}}))
    r.until(lambda: r.phase("node-a") == "Done")
    r.play(60)
    r.say("== the controller is away, and node-a is not ready")
    r.dead = True
    r.cluster.set_ready("node-a", "False")
    r.play(300)
    r.say("== node-a is ready, and the controller is back")
    r.cluster.set_ready("node-a", "True")
    r.dead = False
    r.play(40)
    assert phases(r)["node-b"] == "Waiting"
    r.play(200)
    assert phases(r)["node-b"] == "Waiting"
    all_done(r)
    return r


def canary_whose_machine_dies() -> Rollout:
    """It was done and is silent while it soaks: named, for a person once it stays away."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "ab"))
    rollout = {"canary": {"nodes": 1, "soak": "5m"}, "maxUnavailable": 2}
    r.cluster.apply_policy("cure", enforce(rollout))
    r.until(lambda: r.phase("node-a") == "Done")
    r.play(200)
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(300)
    assert ready(r, "cure") == "RolloutBlocked"
    assert "Stalled" not in conditions(r), "it may reboot"
    waits = "0 of 1 canaries are well: node-a silent (Ready is Unknown)"
    assert waits in rolling(r)["waitsFor"]
    r.play(400)
    assert "Stalled" in conditions(r)
    assert waits in r.cluster.policy("cure")["status"]["message"]
    assert began(r) == ["node-a"]
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    r.play(240)
    assert phases(r)["node-b"] == "Waiting"
    all_done(r)
    return r


def window_closes_mid_rollout() -> Rollout:
    """What cannot end in the window does not begin; what has begun is finished; then the next."""
    r = labelled(*((old(f"node-{x}"), {}) for x in "abc"))
    # The first agent of each hangs until its Job's deadline: a node takes six minutes.
    for disk in r.cluster.disks.values():
        disk.faults = ["none", "hangs"]
    windows = [{"schedule": "0 */2 * * *", "duration": "30m"}]
    verify = {"deadline": "1m"}
    r.cluster.apply_policy("cure", enforce({"windows": windows}, verify=verify))
    r.until(lambda: r.phase("node-b") == "Done")
    r.play(600)
    # 6 + 5 + 6 minutes, by the deadlines, would end at 12:32.
    assert phases(r) == {"node-a": "Done", "node-b": "Done", "node-c": "Waiting"}
    assert reason(r, "node-c") == "WaitingForWindow"
    assert ready(r, "cure") == "WaitingForWindow"
    assert rolling(r)["nextWindow"] == "2026-01-01T14:00:00Z"
    assert "Stalled" not in conditions(r)
    all_done(r)
    last = next(line for line in r.lines if line.endswith("node-c: Cordon"))
    assert last.startswith("2:00:"), last
    return r


def away_until_the_window_is_closed(r: Rollout) -> None:
    """No controller for 90 minutes of a window of one hour: what was begun is called off."""
    r.say("== no controller for 90 minutes")
    r.dead = True
    r.logbook.quiet.clear()
    r.play(5400)
    r.say("== it is back")
    r.restart()
    r.dead = False
    r.play(300)
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Waiting"}, "WaitingForWindow")


def window_closed_while_the_controller_was_away() -> Rollout:
    """A cordon is all that was done: called off, and nothing is drained or written by day."""
    r = labelled((old("node-a"), {}))
    windows = [{"schedule": "0 */2 * * *", "duration": "1h"}]
    spec = enforce({"windows": windows}, drain={"policy": "Always"})
    r.cluster.apply_policy("cure", spec)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    away_until_the_window_is_closed(r)
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    assert not any("Evict" in line for line in r.lines)
    r.until(lambda: r.phase("node-a") == "Done", 7200)
    assert any(line.startswith("2:00:") and "Evict" in line for line in r.lines)
    return r


def restore_whose_window_closed_meanwhile() -> Rollout:
    """A deleted policy that has cordoned its node and was away since waits for the next window."""
    r = labelled((old("node-a"), {}))
    windows = [{"schedule": "0 */2 * * *", "duration": "1h"}]
    spec = enforce({"windows": windows}, drain={"policy": "Always"})
    r.cluster.apply_policy("cure", {**spec, "deletionPolicy": "Restore"})
    r.settle()
    before = len(r.lines)
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.until(lambda: r.step_of("node-a") != "")
    away_until_the_window_is_closed(r)
    assert not any("Evict" in line for line in r.lines[before:])
    r.until(lambda: r.cluster.api.find("CNIUpgradePolicy", "cure") is None, 7200)
    assert r.cluster.disks["node-a"].version == "0.4.0"
    return r


def window_that_is_too_short() -> Rollout:
    """No window will ever do: a person is told what is needed, and audits go on."""
    r = labelled((f1(), {}))
    windows = [{"schedule": "*/30 * * * *", "duration": "10m", "timeZone": "Europe/Berlin"}]
    r.cluster.apply_policy("cure", enforce({"windows": windows}))
    r.play(3600)
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Waiting"}, "WaitingForWindow")
    assert ready(r, "cure") == "WindowTooShort"
    assert "may take 22m" in rolling(r)["waitsFor"]
    r.say("== the window is an hour long")
    windows = [{"schedule": "*/30 * * * *", "duration": "1h"}]
    r.cluster.apply_policy("cure", enforce({"windows": windows}))
    all_done(r)
    return r


def window_that_is_none() -> Rollout:
    """A time zone that does not exist is named, with the field."""
    r = labelled((f1(), {}))
    windows = [{"schedule": "0 12 * * *", "duration": "2h", "timeZone": "Europe/Atlantis"}]
    r.cluster.apply_policy("cure", enforce({"windows": windows}))
    r.settle()
    assert ready(r, "cure") == "WindowsInvalid"
    assert "spec.rollout.windows[0].timeZone: 'Europe/Atlantis'" in rolling(r)["waitsFor"]
    return r


def failure_budget_reached() -> Rollout:
    """Two failures are borne, the third stops the rollout; retry of the policy gives them back."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abcde"))
    for name in ("node-a", "node-c", "node-d"):
        r.cluster.disks[name].surprise = BAD
    r.cluster.apply_policy("cure", enforce({"maxFailures": 3}))
    r.settle()
    assert phases(r) == {
        "node-a": "Failed",
        "node-b": "Done",
        "node-c": "Failed",
        "node-d": "Failed",
        "node-e": "Waiting",
    }
    assert reason(r, "node-e") == "RolloutStopped"
    assert ready(r, "cure") == "NodeFailed"
    assert (rolling(r)["failures"], rolling(r)["maxFailures"]) == (3, 3)
    r.say("== node-a is given back")
    r.cluster.disks["node-a"].surprise = {}
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert phases(r)["node-e"] == "Done"
    assert ready(r, "cure") == "NodeFailed", "two nodes still need a person"
    r.say("== all are given back")
    r.cluster.disks["node-c"].surprise = r.cluster.disks["node-d"].surprise = {}
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "1")
    all_done(r)
    return r


def failures_in_a_row() -> Rollout:
    """Consecutive: a node that succeeds between them lets the rollout go on."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abcdef"))
    for name in ("node-a", "node-c", "node-d"):
        r.cluster.disks[name].surprise = BAD
    counting = {"maxFailures": 2, "countFailures": "Consecutive"}
    r.cluster.apply_policy("cure", enforce(counting))
    r.settle()
    assert began(r) == ["node-a", "node-b", "node-c", "node-d"]
    assert phases(r)["node-e"] == "Waiting"
    assert rolling(r)["failures"] == 2
    assert "node-c, node-d" in rolling(r)["waitsFor"]
    return r


def label_order() -> Rollout:
    """dev, then test, then what has no such label; the oldest first, a node at a time."""
    r = labelled(
        (f1("node-a"), {}),
        (f1("node-b"), {"env": "test"}),
        (f1("node-c"), {"env": "dev"}),
        (f1("node-d"), {"env": "dev"}),
    )
    order = {"by": "Label", "label": {"key": "env", "values": ["dev", "test"]}}
    r.cluster.apply_policy("cure", enforce({"order": order}))
    r.until(lambda: r.phase("node-c") == "Applying")
    assert reason(r, "node-d") == "WaitingForSlot"
    assert reason(r, "node-b") == "WaitingForWave"
    assert "env=test (2 of 3)" in message(r, "node-b")
    assert (rolling(r)["wave"], rolling(r)["number"], rolling(r)["of"]) == ("env=dev", 1, 3)
    r.settle()
    assert began(r) == ["node-c", "node-d", "node-b", "node-a"]
    return r


def selector_order() -> Rollout:
    """A node belongs to the first selector that takes it."""
    r = labelled(
        (f1("node-a"), {"tier": "front"}),
        (f1("node-b"), {"tier": "back", "spare": ""}),
        (f1("node-c"), {"tier": "back"}),
    )
    selectors = [
        {"matchExpressions": [{"key": "spare", "operator": "Exists"}]},
        {"matchLabels": {"tier": "back"}},
    ]
    r.cluster.apply_policy("cure", enforce({"order": {"by": "Selectors", "selectors": selectors}}))
    r.settle()
    assert began(r) == ["node-b", "node-c", "node-a"]
    return r


def zone_after_zone() -> Rollout:
    """The oldest node of the first zone begins; one that joins a zone that is over begins at once.

    A node of the first zone that is silent is not waited for, and follows when it is back.
    """
    r = labelled(
        (f1("node-a"), {ZONE: "z2"}),
        (f1("node-b"), {ZONE: "z1"}),
        (f1("node-c"), {}),
        (f1("node-d"), {ZONE: "z1"}),
        (f1("node-e"), {ZONE: "z1"}),
    )
    r.cluster.set_ready("node-e", "Unknown")
    r.cluster.apply_policy("cure", enforce({"order": {"by": "Zone"}, "maxUnavailable": 2}))
    r.until(lambda: r.phase("node-a") == "Applying")
    assert rolling(r)["wave"] == "zone z2"
    r.say("== node-f joins zone z1, node-e is back")
    r.cluster.add_node(f1("node-f"), labels={ZONE: "z1"})
    r.cluster.set_ready("node-e", "True")
    r.settle()
    assert began(r)[:3] == ["node-b", "node-d", "node-a"]
    assert set(began(r)[3:]) == {"node-c", "node-e", "node-f"}
    return r


def foreign_cordon_is_skipped() -> Rollout:
    """Skip: the next wave does not wait for a node that somebody has cordoned; it follows."""
    r = labelled((f1("node-a"), {ZONE: "z1"}), (f1("node-b"), {ZONE: "z2"}))
    r.cluster.cordon("node-a")
    rollout = {"order": {"by": "Zone"}, "cordoned": "Skip", "maxUnavailable": 2}
    r.cluster.apply_policy("cure", enforce(rollout))
    r.settle()
    assert phases(r) == {"node-a": "Waiting", "node-b": "Done"}
    assert "passed over" in message(r, "node-a")
    r.say("== they uncordon node-a")
    r.cluster.uncordon("node-a")
    all_done(r)
    return r


def foreign_cordon_is_waited_for() -> Rollout:
    """Wait: the next wave waits for it, and the policy names it."""
    r = labelled((f1("node-a"), {ZONE: "z1"}), (f1("node-b"), {ZONE: "z2"}))
    r.cluster.cordon("node-a")
    rollout = {"order": {"by": "Zone"}, "maxUnavailable": 2}
    r.cluster.apply_policy("cure", enforce(rollout))
    r.settle()
    assert phases(r) == {"node-a": "Waiting", "node-b": "Waiting"}
    assert reason(r, "node-b") == "WaitingForWave"
    waits = "1 of 1 nodes of zone z1 are not finished: node-a cordoned by somebody else"
    assert waits in rolling(r)["waitsFor"]
    r.play(300)
    assert ready(r, "cure") == "RolloutBlocked"
    assert "Stalled" not in conditions(r), "they may be at work on it"
    r.play(400)
    assert "Stalled" in conditions(r)
    assert waits in r.cluster.policy("cure")["status"]["message"]
    r.say("== they uncordon node-a")
    r.cluster.uncordon("node-a")
    all_done(r)
    return r


def not_linux_in_the_first_zone() -> Rollout:
    """A node of another system is no canary that is waited for, and holds no wave."""
    r = labelled(
        (healthy("node-w"), {ZONE: "z1"}),
        (f1("node-a"), {ZONE: "z1"}),
        (f1("node-b"), {ZONE: "z2"}),
    )
    r.cluster.set_system("node-w", "windows")
    canary = {"nodes": 3, "soak": "1m"}
    r.cluster.apply_policy("cure", enforce({"order": {"by": "Zone"}, "canary": canary}))
    r.until(lambda: phases(r) == {"node-a": "Done", "node-b": "Done", "node-w": "Blocked"})
    r.play(120)
    assert rolling(r)["canary"]["passedAt"]
    r.say("== node-c joins")
    r.cluster.add_node(f1("node-c"), labels={ZONE: "z2"})
    r.until(lambda: r.phase("node-c") == "Done")
    r.settle()
    return r


def budget_taken_by_a_node_that_nobody_mends() -> Rollout:
    """A node that is down and cannot be cured has all of maxUnavailable: said, with its name."""
    r = labelled((f1("node-a"), {}), (f1("node-b"), {}))
    r.cluster.disks["node-a"].no_config = True
    r.cluster.set_ready("node-a", "False")
    r.cluster.apply_policy("cure", enforce({}))
    r.play(300)
    assert phases(r) == {"node-a": "Blocked", "node-b": "Waiting"}
    assert ready(r, "cure") == "RolloutBlocked"
    assert "node-a (not Ready, Blocked: NoConfig)" in r.cluster.policy("cure")["status"]["message"]
    assert "Stalled" not in conditions(r), "a node may be away for a while"
    r.play(600)
    assert "Stalled" in conditions(r)
    r.say("== node-a is given a config, and is ready")
    r.cluster.disks["node-a"].no_config = False
    r.cluster.set_ready("node-a", "True")
    all_done(r)
    return r


def down_nodes_are_cured_first() -> Rollout:
    """The node that is itself down is the one that may be changed while the budget is used up."""
    r = labelled((f1("node-a"), {}), (f1("node-b"), {}))
    r.cluster.set_ready("node-b", "False")
    r.cluster.apply_policy("cure", enforce({}))
    r.until(lambda: r.phase("node-b") == "Done")
    assert phases(r) == {"node-a": "Waiting", "node-b": "Done"}
    r.say("== node-b is ready")
    r.cluster.set_ready("node-b", "True")
    all_done(r)
    assert began(r) == ["node-b", "node-a"]
    return r


def another_target_begins_anew() -> Rollout:
    """What was passed for one target says nothing of another: canary and waves once more."""
    r = labelled((old("node-a"), {}), (old("node-b"), {}))
    for disk in r.cluster.disks.values():
        disk.most = "1.1.0"
    canary = {"nodes": 1, "soak": "2m"}
    r.cluster.apply_policy("cure", enforce({"canary": canary}))
    all_done(r)
    passed = rolling(r)["canary"]["passedAt"]
    r.say("== target: 1.1.0")
    target = {"cni": {"version": "1.1.0"}}
    r.cluster.apply_policy("cure", enforce({"canary": canary}, target=target))
    r.until(lambda: r.phase("node-a") == "Done" and r.cluster.disks["node-a"].version == "1.1.0")
    r.play(60)
    assert phases(r)["node-b"] == "Waiting"
    all_done(r)
    assert rolling(r)["canary"]["passedAt"] > passed
    return r


def lost_look_for_another_target() -> Rollout:
    """A node that was well is not known to be well for another target, so its wave waits for it."""
    r = labelled(
        (old("node-a", most="1.1.0"), {ZONE: "z1"}), (old("node-b", most="1.1.0"), {ZONE: "z2"})
    )
    order = {"order": {"by": "Zone"}}
    r.cluster.apply_policy("cure", enforce(order))
    all_done(r)
    r.say("== target: 1.1.0; the agent that looks at node-a is killed")
    r.cluster.disks["node-a"].faults = ["killed"]
    r.cluster.apply_policy("cure", enforce(order, target={"cni": {"version": "1.1.0"}}))
    r.until(lambda: reason(r, "node-a") == "AuditLost")
    r.play(30)
    assert (reason(r, "node-a"), reason(r, "node-b")) == ("AuditLost", "WaitingForWave")
    assert rolling(r)["waitsFor"] == "1 of 1 nodes of zone z1 are not finished"
    all_done(r)
    assert began(r) == ["node-a", "node-b"] * 2
    return r


def looked_at_while_it_soaks() -> Rollout:
    """A look from time to time does not begin the soak of a day anew."""
    r = labelled((f1("node-a"), {}), (f1("node-b"), {}))
    r.cluster.apply_policy("cure", enforce({"canary": {"nodes": 1, "soak": "8h"}}))
    r.until(lambda: r.phase("node-a") == "Done")
    done = r.cluster.now
    r.until(lambda: r.phase("node-b") == "Done", seconds=9 * 3600)
    assert r.cluster.now - done < timedelta(hours=8, minutes=5)
    assert sum("CreateJob audit" in line and "node-a" in line for line in r.lines) >= 2
    return r


def limits_of_both_policies_hold() -> Rollout:
    """A node that two policies select has to have a place with both, whichever of them has it."""
    r = labelled(
        (f1("node-a"), {"zone": "a"}),
        (f1("node-b"), {"zone": "a"}),
        (f1("node-c"), {"zone": "b"}),
        (healthy("node-d"), {"zone": "b"}),
    )
    r.cluster.apply_policy("one", {**enforce({}), "nodeSelector": {"matchLabels": {"zone": "a"}}})
    r.cluster.tick(1)
    r.cluster.apply_policy("two", enforce({}))
    r.until(lambda: r.phase("node-c") == "Proving")
    assert phases(r)["node-b"] == "Waiting"
    assert "node-c (spec.rollout.maxUnavailable of policy two)" in rolling(r, "one")["waitsFor"]
    r.say("== node-d is not ready")
    r.cluster.set_ready("node-d", "False")
    r.play(700)
    assert phases(r)["node-b"] == "Waiting"
    assert ready(r, "one") == "RolloutBlocked"
    told = r.cluster.policy("one")["status"]["message"]
    assert "of policy two), and nobody works on node-d" in told
    r.say("== node-d is ready")
    r.cluster.set_ready("node-d", "True")
    all_done(r)
    assert began(r) == ["node-a", "node-c", "node-b"]
    return r


def one_that_is_not_proved_holds_the_others() -> Rollout:
    """A quota comes up as the first node is written: no other one begins before that is proved."""
    zones = {"node-a": "1", "node-b": "1", "node-c": "2"}
    r = labelled(*((old(name), {ZONE: zone}) for name, zone in zones.items()))
    r.cluster.apply_policy("cure", enforce({"order": {"by": "Zone"}}))
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== a quota keeps proof pods away")
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: r.phase("node-a") == "Blocked")
    r.play(60)
    assert phases(r) == {"node-a": "Blocked", "node-b": "Waiting", "node-c": "Waiting"}
    assert (reason(r, "node-b"), reason(r, "node-c")) == ("WaitingForProof", "WaitingForProof")
    assert ready(r, "cure") == "WaitingForProof"
    assert "node-a" in rolling(r)["waitsFor"]
    assert "exceeded quota" in r.cluster.policy("cure")["status"]["message"]
    r.until(lambda: "Stalled" in conditions(r))
    assert began(r) == ["node-a"]
    r.say("== the quota is raised, node-a is annotated with cniupgrade.dev/retry")
    r.cluster.quota = ""
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    all_done(r)
    assert began(r) == ["node-a", "node-b", "node-c"]
    return r


def a_failed_node_counts_when_it_is_gone() -> Rollout:
    """A node that failed is taken away, its record is deleted: nobody has asked to go on."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abcd"))
    r.cluster.disks["node-a"].surprise = BAD
    r.cluster.disks["node-b"].surprise = BAD
    r.cluster.apply_policy("cure", enforce({"maxFailures": 2}))
    r.settle()
    assert phases(r)["node-c"] == "Waiting"
    r.say("== node-a is taken away, and somebody deletes the record of node-b")
    r.cluster.remove_node("node-a")
    r.cluster.api.delete("CNINodeState", "node-b")
    r.play(3600)
    assert began(r) == ["node-a", "node-b"]
    assert ready(r, "cure") == "NodeFailed"
    assert "node-a (its record is gone), node-b (its record is gone)" in rolling(r)["waitsFor"]
    assert rolling(r)["failures"] == 2
    r.say("== the plugin is mended, policy cure is annotated with cniupgrade.dev/retry")
    r.cluster.disks["node-b"].surprise = {}
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "1")
    all_done(r)
    assert rolling(r).get("failed", []) == []
    return r


def a_failed_canary_counts_when_it_is_relabelled() -> Rollout:
    """The canary fails and is relabelled: no other one takes its place, and none passes for it."""
    r = labelled((f1("node-a"), {"pool": "x"}), *((f1(f"node-{x}"), {"pool": "x"}) for x in "bc"))
    r.cluster.disks["node-a"].surprise = BAD
    spec = enforce({"canary": {"nodes": 1, "soak": "1m"}, "maxFailures": "100%"})
    r.cluster.apply_policy("cure", {**spec, "nodeSelector": {"matchLabels": {"pool": "x"}}})
    r.settle()
    assert ready(r, "cure") == "CanaryFailed"
    r.say("== node-a is relabelled")
    r.cluster.api.patch("Node", "node-a", {"metadata": {"labels": {"pool": "y"}}})
    r.play(3600)
    assert began(r) == ["node-a"]
    assert ready(r, "cure") == "CanaryFailed"
    r.say("== it is labelled as before, the plugin is mended, its record is annotated")
    r.cluster.api.patch("Node", "node-a", {"metadata": {"labels": {"pool": "x"}}})
    r.play(60)
    assert began(r) == ["node-a"]
    r.cluster.disks["node-a"].surprise = {}
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    all_done(r)
    return r


def a_failed_node_counts_after_an_audit() -> Rollout:
    """A node that failed is taken away, and the policy audits for a while: nothing is forgiven,
    neither what failed before nor what was begun before and fails under Audit."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abcd"))
    for name in ("node-a", "node-b"):
        r.cluster.disks[name].surprise = BAD
    r.cluster.apply_policy("cure", enforce({"maxFailures": 2}))
    r.until(lambda: r.phase("node-a") == "Failed")
    r.until(lambda: r.step_of("node-b") == "ProveOld")
    r.say("== policy cure only audits")
    r.cluster.apply_policy("cure", {"mode": "Audit"})
    r.until(lambda: r.phase("node-b") == "Failed")
    r.play(60)
    assert [each["node"] for each in rolling(r)["failed"]] == ["node-a", "node-b"]
    r.say("== node-a and node-b are taken away, then policy cure enforces again")
    r.cluster.remove_node("node-a")
    r.cluster.remove_node("node-b")
    r.play(60)
    assert ready(r, "cure") == "Audited"
    assert "waitsFor" not in {name for name, value in rolling(r).items() if value}
    r.cluster.apply_policy("cure", {"mode": "Enforce"})
    r.play(900)
    assert began(r) == ["node-a", "node-b"]
    assert ready(r, "cure") == "NodeFailed"
    assert "node-a (its record is gone), node-b (its record is gone)" in rolling(r)["waitsFor"]
    r.say("== under Audit policy cure is annotated with cniupgrade.dev/retry: that forgives")
    r.cluster.apply_policy("cure", {"mode": "Audit"}, {names.RETRY: "1"})
    r.play(60)
    assert rolling(r).get("failed", []) == []
    r.cluster.apply_policy("cure", {"mode": "Enforce"})
    all_done(r)
    return r


def canary_before_an_audit() -> Rollout:
    """A canary that has passed has passed, also after the policy has audited for a while; one that
    soaks begins its soak anew, for nobody has watched it."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abc"))
    r.cluster.apply_policy("cure", enforce({"canary": {"nodes": 1, "soak": "5m"}}))
    r.until(lambda: r.phase("node-a") == "Done")
    r.play(200)

    def audits_for(seconds: int) -> None:
        r.say("== policy cure only audits")
        r.cluster.apply_policy("cure", {"mode": "Audit"})
        r.play(seconds)
        assert ready(r, "cure") == "Audited"
        r.say("== policy cure enforces again")
        r.cluster.apply_policy("cure", {"mode": "Enforce"})

    audits_for(600)
    r.play(200)
    assert phases(r)["node-b"] == "Waiting"
    r.until(lambda: r.phase("node-b") == "Done")
    passed = rolling(r)["canary"]["passedAt"]
    audits_for(60)
    r.play(20)
    assert phases(r)["node-c"] != "Waiting"
    assert rolling(r)["canary"]["passedAt"] == passed
    all_done(r)
    return r


def proved_whatever_its_wave() -> Rollout:
    """A failed node of the second wave is tried again: the first one waits for its proof."""
    r = labelled((f1("node-a"), {"tier": "front"}), (f1("node-b"), {"tier": "back"}))
    r.cluster.disks["node-a"].surprise = {"1.0.0": (True, False)}
    r.cluster.apply_policy("cure", enforce({}))
    r.until(lambda: r.phase("node-a") == "Failed")
    r.say("== the plugin is mended, node-a is tried again, and its wave is the second one")
    r.cluster.disks["node-a"].surprise = {}
    selectors = [{"matchLabels": {"tier": "back"}}]
    order = {"by": "Selectors", "selectors": selectors}
    r.cluster.apply_policy("cure", enforce({"order": order, "maxUnavailable": 2}))
    r.cluster.cordon("node-b")
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.play(60)
    assert phases(r) == {"node-a": "Done", "node-b": "Waiting"}
    r.cluster.uncordon("node-b")
    all_done(r)
    return r


def retried_before_it_failed() -> Rollout:
    """Another node was asked for while this one was proved: its failure is not forgiven for that,
    as little as when the annotation is taken away."""
    r = labelled((f1("node-a"), {}), (old("node-b", surprise=WORSE), {}), (old("node-c"), {}))
    r.cluster.apply_policy("cure", enforce({}))
    r.until(lambda: r.step_of("node-b") == "ProveAdd")
    r.say("== policy cure is annotated with cniupgrade.dev/retry")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "1")
    r.settle()
    assert phases(r) == {"node-a": "Compatible", "node-b": "RolledBack", "node-c": "Waiting"}
    assert ready(r, "cure") == "NodeFailed"
    r.say("== the annotation is taken away, as a GitOps tool does")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, None)
    r.play(3600)
    assert len(r.cluster.disks["node-b"].writes) == 2, "there and back"
    assert phases(r)["node-c"] == "Waiting"
    r.say("== the plugin is mended, policy cure is annotated with another value")
    r.cluster.disks["node-b"].surprise = {}
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "2")
    all_done(r)
    return r


def canary_retried_before_it_failed() -> Rollout:
    """The same of a canary."""
    r = labelled((old("node-a", surprise=WORSE), {}), (old("node-b"), {}))
    r.cluster.apply_policy("cure", enforce({"canary": {"nodes": 1, "soak": "5m"}}))
    r.until(lambda: r.step_of("node-a") == "ProveAdd")
    r.say("== policy cure is annotated with cniupgrade.dev/retry")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "1")
    r.settle()
    assert phases(r) == {"node-a": "RolledBack", "node-b": "Waiting"}
    assert ready(r, "cure") == "CanaryFailed"
    assert len(r.cluster.disks["node-a"].writes) == 2, "there and back"
    return r


def a_failed_node_counts_when_the_retry_is_gone() -> Rollout:
    """What is gone counts on when the annotation of long ago is taken away."""
    r = labelled((f1("node-a"), {}), (f1("node-b"), {}))
    r.cluster.disks["node-a"].surprise = BAD
    r.cluster.apply_policy("cure", enforce({}), {names.RETRY: "1"})
    r.settle()
    r.say("== node-a is taken away, and so is the annotation cniupgrade.dev/retry")
    r.cluster.remove_node("node-a")
    r.play(60)
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, None)
    r.play(3600)
    assert began(r) == ["node-a"]
    assert "node-a (its record is gone)" in rolling(r)["waitsFor"]
    return r


def another_order_means_other_waves() -> Rollout:
    """The second wave is split while it waits: "selector 2" is now another one, and waits."""
    prod = [{"env": "prod", "half": "1"}, {"env": "prod", "half": "2"}]
    r = labelled(
        (old("node-a"), {"env": "dev"}), (old("node-b"), prod[0]), (old("node-c"), prod[1])
    )

    def waves(*labels: Mapping[str, str]) -> dict[str, Any]:
        selectors = [{"matchLabels": dict(each)} for each in labels]
        return enforce({"maxUnavailable": 3, "order": {"by": "Selectors", "selectors": selectors}})

    r.cluster.apply_policy("cure", waves({"env": "dev"}, {"env": "prod"}))
    for name in ("node-b", "node-c"):
        r.cluster.cordon(name)
    r.until(lambda: r.phase("node-a") == "Done" and rolling(r)["wave"] == "selector 2")
    r.play(30)
    r.say("== the second wave is split in two, and both nodes are given back")
    r.cluster.apply_policy("cure", waves({"half": "1"}, {"half": "2"}))
    for name in ("node-b", "node-c"):
        r.cluster.uncordon(name)
    r.until(lambda: r.phase("node-b") == "Proving")
    assert reason(r, "node-c") == "WaitingForWave"
    all_done(r)
    return r


def unproved_at_another_target() -> Rollout:
    """Two nodes are written and not proved, then another target with a canary is wanted: it goes
    first, and they are not written anew before it has soaked."""
    r = labelled(
        (old("node-a", most="1.1.0"), {}),
        (old("node-b", most="1.1.0"), {}),
        (old("node-c", most="1.1.0"), {"canary": "yes"}),
    )
    r.cluster.apply_policy("cure", enforce({"maxUnavailable": 2}))
    r.until(lambda: {r.step_of(n) for n in ("node-a", "node-b")} == {"Apply"})
    r.say("== a quota keeps proof pods away")
    r.cluster.quota = "exceeded quota: pods"
    for pod in r.cluster.pods_on("node-a", PROOF) + r.cluster.pods_on("node-b", PROOF):
        r.cluster.api.remove("Pod", pod["metadata"]["name"], PROOF)
    r.until(lambda: {r.phase(n) for n in ("node-a", "node-b")} == {"Blocked"})
    r.play(30)
    assert reason(r, "node-c") == "WaitingForProof"
    r.say("== the quota is raised, and the target is 1.1.0, with node-c as canary")
    r.cluster.quota = ""
    canary = {"nodeSelector": {"matchLabels": {"canary": "yes"}}, "soak": "5m"}
    target = {"cni": {"version": "1.1.0"}}
    rollout = {"maxUnavailable": 2, "canary": canary}
    r.cluster.apply_policy("cure", enforce(rollout, target=target))
    r.until(lambda: r.phase("node-c") == "Done")
    assert {reason(r, n) for n in ("node-a", "node-b")} == {"WaitingForCanary"}
    all_done(r)
    assert {disk.version for disk in r.cluster.disks.values()} == {"1.1.0"}
    return r


def machine_that_dies_in_its_change() -> Rollout:
    """It has the only place and does not come back: said at once, and a person is called."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "ab"))
    r.cluster.apply_policy("cure", enforce({}))
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(300)
    assert ready(r, "cure") == "RolloutBlocked"
    assert "node-a silent (Ready is Unknown)" in r.cluster.policy("cure")["status"]["message"]
    assert "Stalled" not in conditions(r), "it may reboot"
    r.play(600)
    assert "Stalled" in conditions(r)
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    all_done(r)
    return r


def machine_that_dies_while_others_go_on() -> Rollout:
    """There is room for another one: the rollout goes on, and at its end it is said."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abc"))
    r.cluster.apply_policy("cure", enforce({"maxUnavailable": 2}))
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.until(lambda: r.phase("node-b") == "Proving")
    assert ready(r, "cure") == "RollingOut"
    r.until(lambda: r.phase("node-c") == "Done")
    r.play(900)
    assert ready(r, "cure") == "RolloutBlocked"
    assert "Stalled" in conditions(r)
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    all_done(r)
    return r


def images_that_no_node_pulls() -> Rollout:
    """Audits bring no answer, on one node of two, then on both: named, for a person, tried on."""
    r = of(f1("node-a"), healthy("node-b"))
    r.cluster.disks["node-a"].faults = ["pull"] * 50
    r.cluster.apply_policy("cure", ENFORCE)
    r.cluster.apply_policy("look", {"mode": "Audit"})
    r.play(300)
    assert (ready(r, "cure"), ready(r, "look")) == ("RollingOut", "Auditing"), "it may pass"
    r.play(3000)
    for name in ("cure", "look"):
        status = r.cluster.policy(name)["status"]
        assert ready(r, name) == "AuditsFailing"
        assert "Stalled" in conditions(r, name)
        assert "Reconciling" not in conditions(r, name)
        assert "no audit of node-a brings an answer" in status["message"]
        assert "ImagePullBackOff" in status["message"]
        [failure] = status["failures"]
        assert (failure["node"], failure["phase"]) == ("node-a", "Pending")
        assert failure["reason"] == "AuditLost"
    r.until(lambda: r.phase("node-a") == "Auditing", 7200)
    assert ready(r, "cure") == "AuditsFailing", "the next look is no news"
    r.say("== the image is there, policy cure is paused")
    r.cluster.apply_policy("cure", {"paused": True})
    r.cluster.disks["node-a"].faults = []
    r.until(lambda: r.phase("node-a") == "Waiting")
    r.play(2)
    assert ready(r, "look") == "Audited"
    r.say("== policy look is deleted, policy cure goes on")
    r.cluster.api.delete("CNIUpgradePolicy", "look")
    r.cluster.apply_policy("cure", {"paused": False})
    all_done(r)
    assert ready(r, "cure") == "Enforced"
    assert not r.cluster.policy("cure")["status"].get("failures")
    return r


def look_that_is_tried_on_beside_a_window_too_short() -> Rollout:
    """Who may change something is told why it does not begin; a retry makes the look news again."""
    r = of(f1("node-a"), f1("node-b"))
    windows = [{"schedule": "*/30 * * * *", "duration": "10m"}]
    r.cluster.disks["node-b"].faults = ["pull"] * 50
    r.cluster.apply_policy("cure", enforce({"windows": windows}))
    r.play(1200)
    assert reason(r, "node-a") == "WaitingForWindow"
    assert ready(r, "cure") == "WindowTooShort", "not hidden by the audit that is tried on"
    assert "no audit of node-b brings an answer" in r.cluster.policy("cure")["status"]["message"]
    r.say("== node-b is annotated with cniupgrade.dev/retry")
    r.cluster.annotate("CNINodeState", "node-b", names.RETRY, "1")
    r.play(3)
    assert ready(r, "cure") == "RollingOut", "one more look was asked for"
    assert not r.cluster.policy("cure")["status"].get("failures")
    return r


def canary_that_answers_no_audit() -> Rollout:
    """Named as what is in the way; a person is called, and it goes on when audits work."""
    r = labelled((f1("node-a"), {"canary": "yes"}), (f1("node-b"), {}))
    r.cluster.disks["node-a"].faults = ["pull"] * 50
    canary = {"nodeSelector": {"matchLabels": {"canary": "yes"}}, "soak": "1m"}
    r.cluster.apply_policy("cure", enforce({"canary": canary}))
    r.play(3600)
    assert ready(r, "cure") == "RolloutBlocked"
    assert "Stalled" in conditions(r)
    assert "node-a not audited (AuditLost)" in rolling(r)["waitsFor"]
    assert "ImagePullBackOff" in r.cluster.policy("cure")["status"]["message"]
    assert began(r) == []
    r.say("== the image is there")
    r.cluster.disks["node-a"].faults = []
    all_done(r)
    return r


def backup_that_no_agent_is_let_in_to_put_back() -> Rollout:
    """A quota keeps the Job out for hours: the policy says so, not only who has the place."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "ab"))
    r.cluster.disks["node-a"].surprise = WORSE
    r.cluster.apply_policy("cure", enforce({}))
    r.until(lambda: r.phase("node-a") == "Proving")
    r.cluster.jobs_refused = "exceeded quota: jobs"
    r.play(600)
    assert r.phase("node-a") == "RollingBack"
    for told in (rolling(r)["waitsFor"], r.cluster.policy("cure")["status"]["message"]):
        assert "1 of at most 1 nodes are unavailable: node-a" in told
        assert "node-a: the agent is being sent; the last try was refused: exceeded quota" in told
    r.say("== the quota is raised")
    r.cluster.jobs_refused = ""
    r.settle()
    assert phases(r) == {"node-a": "RolledBack", "node-b": "Waiting"}
    assert "quota" not in rolling(r)["waitsFor"]
    return r


def place_held_by_a_node_that_is_not_selected_any_more() -> Rollout:
    """It is taken out of the selector and its machine dies in the midst of its change: named."""
    r = labelled(*((old(f"node-{x}"), {"pool": "a"}) for x in "ab"))
    selector = {"matchLabels": {"pool": "a"}}
    r.cluster.apply_policy("cure", enforce({"maxParallel": 1}, nodeSelector=selector))
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== node-a goes silent, and leaves the pool")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(5)
    r.cluster.api.patch("Node", "node-a", {"metadata": {"labels": {"pool": "z"}}})
    r.play(300)
    assert ready(r, "cure") == "RolloutBlocked"
    r.play(400)
    assert "Stalled" in conditions(r)
    told = r.cluster.policy("cure")["status"]["message"]
    assert "1 of at most 1 nodes are worked on: node-a (spec.rollout.maxParallel)" in told
    assert "node-a silent (Ready is Unknown) in the midst of a change" in told
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    r.until(lambda: r.phase("node-b") == "Done")
    r.play(5)
    assert ready(r, "cure") == "Enforced"
    return r


def machine_that_dies_in_its_change_and_leaves_the_selector() -> Rollout:
    """All that the policy still selects is good, then nothing is selected: no word of success."""
    r = labelled(*((old(f"node-{x}"), {"pool": "a"}) for x in "ab"))
    selector = {"matchLabels": {"pool": "a"}}
    both = {"maxUnavailable": 2, "maxParallel": 2}
    r.cluster.apply_policy("cure", enforce(both, nodeSelector=selector))
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== node-a goes silent, and leaves the pool")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(5)
    r.cluster.api.patch("Node", "node-a", {"metadata": {"labels": {"pool": "z"}}})
    r.play(300)
    told = "node-a silent (Ready is Unknown) in the midst of a change"
    assert ready(r, "cure") == "RolloutBlocked"
    assert "Stalled" not in conditions(r), "it may reboot"
    r.say("== node-b leaves the pool too")
    r.cluster.api.patch("Node", "node-b", {"metadata": {"labels": {"pool": "z"}}})
    r.play(600)
    assert ready(r, "cure") == "RolloutBlocked"
    assert "Stalled" in conditions(r)
    assert told in r.cluster.policy("cure")["status"]["message"]
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    r.play(2)
    assert ready(r, "cure") == "Ending"
    assert "begun on node-a" in r.cluster.policy("cure")["status"]["message"]
    r.play(60)
    assert ready(r, "cure") == "NoNodeMatches"
    assert not r.cluster.node("node-a")["spec"].get("unschedulable")
    return r


def place_held_by_a_node_of_another_policy() -> Rollout:
    """Its machine dies in the midst of a change: both policies name it, and call a person."""
    r = labelled(
        (old("node-a"), {"pool": "a"}), (old("node-b"), {}), (old("node-c"), {"pool": "a"})
    )
    selector = {"matchLabels": {"pool": "a"}}
    first = {"maxUnavailable": 1}
    r.cluster.apply_policy("first", enforce(first, nodeSelector=selector))
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(5)
    r.cluster.apply_policy("second", enforce({"maxUnavailable": 1}))
    r.cluster.apply_policy("third", enforce({}, nodeSelector=selector))
    r.play(800)
    for policy in ("first", "second"):
        assert ready(r, policy) == "RolloutBlocked"
        assert "Stalled" in conditions(r, policy)
        told = r.cluster.policy(policy)["status"]["message"]
        assert "node-a silent (Ready is Unknown) in the midst of a change" in told
    assert ready(r, "third") == "ClaimedByOther", "what others do there is no work of its own"
    assert "Stalled" in conditions(r, "third")
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    all_done(r)
    assert (ready(r, "first"), ready(r, "second")) == ("Enforced", "ClaimedByOther")
    return r


def canary_that_is_not_proved() -> Rollout:
    """A quota keeps the proof's pods out after the write: no canary that cannot be changed."""
    r = labelled(*((old(f"node-{x}"), {}) for x in "ab"))
    r.cluster.apply_policy("cure", enforce({"canary": {"nodes": 1, "soak": "1m"}}))
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== a quota lets no pod in")
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: r.phase("node-a") == "Blocked")
    r.play(2)
    assert ready(r, "cure") == "WaitingForProof"
    assert "Stalled" not in conditions(r), "it is tried again at once"
    assert "exceeded quota" in rolling(r)["waitsFor"]
    r.say("== the quota is raised")
    r.cluster.quota = ""
    all_done(r)
    return r


def canary_whose_drain_is_blocked() -> Rollout:
    """Tried again at growing distances: named with what is in the way, for a person in the end."""
    r = labelled(*((old(f"node-{x}"), {}) for x in "ab"))
    drain = {"policy": "Always", "deadline": "1m"}
    r.cluster.apply_policy("cure", enforce({"canary": {"nodes": 1, "soak": "1m"}}, drain=drain))
    r.cluster.budgets.add("web-node-a-0")
    r.until(lambda: r.phase("node-a") == "Blocked")
    r.play(3)
    assert ready(r, "cure") == "RolloutBlocked"
    assert "Stalled" not in conditions(r)
    waits = "0 of 1 canaries are well: node-a to be tried again (DrainBlocked: not drained in time"
    assert waits in rolling(r)["waitsFor"]
    r.until(lambda: "Stalled" in conditions(r))
    assert ready(r, "cure") == "RolloutBlocked"
    r.say("== the budget is lifted")
    r.cluster.budgets.clear()
    all_done(r)
    return r


def restore_that_has_no_place() -> Rollout:
    """The policy is deleted while a machine that needs nothing is down: it says who has the place,
    and so does the node that keeps what was written."""
    r = labelled((old("node-a"), {}), (healthy("node-b"), {}))
    r.cluster.apply_policy("cure", enforce({"maxUnavailable": 1}, deletionPolicy="Restore"))
    r.settle()
    r.say("== node-b is not ready, policy cure is deleted")
    r.cluster.set_ready("node-b", "False")
    r.play(5)
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.play(60)
    assert reason(r, "node-a") == "WaitingForSlot"
    place = "1 of at most 1 nodes are unavailable: node-b (spec.rollout.maxUnavailable)"
    assert place in r.cluster.policy("cure")["status"]["message"]
    r.until(lambda: r.cluster.api.find("CNIUpgradePolicy", "cure") is None, 4000)
    assert place in r.cluster.status("node-a")["changed"]["message"]
    assert r.cluster.disks["node-a"].version == "1.0.0"
    return r


def machine_that_dies_in_its_change_before_an_audit() -> Rollout:
    """The policy only audits by then: it is not there, and a person is called all the same."""
    r = labelled(*((old(f"node-{x}"), {}) for x in "ab"))
    r.cluster.apply_policy("cure", enforce({}))
    r.until(lambda: r.phase("node-a") == "Proving")
    r.say("== policy cure only audits")
    r.cluster.apply_policy("cure", {"mode": "Audit"})
    r.play(2)
    assert ready(r, "cure") == "Ending"
    r.say("== node-a goes silent")
    r.cluster.set_ready("node-a", "Unknown")
    r.play(120)
    assert ready(r, "cure") == "RolloutBlocked"
    assert "Stalled" not in conditions(r), "it may reboot"
    r.play(900)
    assert "Stalled" in conditions(r)
    r.say("== node-a is back")
    r.cluster.set_ready("node-a", "True")
    r.until(lambda: ready(r, "cure") == "Audited")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Waiting"}
    return r


def machine_that_dies_while_nothing_begins() -> Rollout:
    """A pause, another node's failure and a stop of everything do not hide it."""
    r = labelled(*((f1(f"node-{x}"), {}) for x in "abc"))
    r.cluster.disks["node-a"].surprise = BAD
    r.cluster.apply_policy("cure", enforce({"maxUnavailable": 2}))
    r.until(lambda: r.phase("node-b") == "Proving")
    r.say("== node-b goes silent")
    r.cluster.set_ready("node-b", "Unknown")
    r.play(300)

    def told(reason: str) -> None:
        assert ready(r, "cure") == reason
        assert "node-b silent (Ready is Unknown)" in r.cluster.policy("cure")["status"]["message"]
        assert "Reconciling" not in conditions(r)

    told("NodeFailed")
    r.say("== everything is stopped")
    r.cluster.stopped = "a trial"
    r.play(60)
    told("Stopped")
    r.cluster.stopped = ""
    r.say("== the plugin is mended, policy cure is paused and annotated with cniupgrade.dev/retry")
    r.cluster.disks["node-a"].surprise = {}
    r.cluster.apply_policy("cure", {"paused": True}, {names.RETRY: "1"})
    r.play(60)
    told("Paused")
    r.say("== node-b is back, and the policy resumed")
    r.cluster.set_ready("node-b", "True")
    r.cluster.apply_policy("cure", {"paused": False})
    all_done(r)
    return r


def _doubted(name: str, doubt: str) -> SimNode:
    return old(name, doubt=doubt)


def first_of_those_not_known() -> Rollout:
    """Of nodes of which the same is not known one is proved first; others begin meanwhile."""
    r = labelled(
        (_doubted("node-a", "CHECK of x"), {}),
        (_doubted("node-b", "CHECK of x"), {}),
        (_doubted("node-c", "CHECK of x"), {}),
        (_doubted("node-d", "CHECK of y"), {}),
        (old("node-e"), {}),
    )
    r.cluster.apply_policy("cure", enforce({"maxUnavailable": 5, "maxParallel": 5}))
    r.until(lambda: r.phase("node-e") == "Proving")
    assert {n: p for n, p in phases(r).items() if p == "Waiting"}.keys() == {"node-b", "node-c"}
    assert reason(r, "node-b") == "WaitingForProof"
    assert "waits until node-a is proved" in message(r, "node-b")
    assert r.cluster.disks["node-b"].writes == []
    all_done(r)
    return r


def first_of_those_not_known_fails() -> Rollout:
    """Its proof fails: none of its like is written, however many may fail, until it is mended."""
    r = labelled(*((_doubted(f"node-{x}", "CHECK of x"), {}) for x in "abc"))
    r.cluster.disks["node-a"].surprise = WORSE
    spec = {"maxUnavailable": 5, "maxParallel": 5, "maxFailures": "100%"}
    r.cluster.apply_policy("cure", enforce(spec))
    r.settle()
    assert phases(r)["node-a"] == "RolledBack"
    r.play(3600)
    assert began(r) == ["node-a"]
    assert "waits until node-a is proved" in message(r, "node-b")
    r.say("== the plugin is mended, node-a's record is annotated")
    r.cluster.disks["node-a"].surprise = {}
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    all_done(r)
    return r


COURSES: tuple[Callable[[], Rollout], ...] = (
    canary_passes,
    first_of_those_not_known,
    first_of_those_not_known_fails,
    canary_fails,
    canary_that_matches_nothing,
    canary_that_vanishes,
    canary_that_is_down_while_it_soaks,
    canary_that_is_down_while_nobody_looks,
    canary_whose_machine_dies,
    window_closed_while_the_controller_was_away,
    restore_whose_window_closed_meanwhile,
    window_closes_mid_rollout,
    window_that_is_too_short,
    window_that_is_none,
    failure_budget_reached,
    failures_in_a_row,
    label_order,
    selector_order,
    zone_after_zone,
    foreign_cordon_is_skipped,
    foreign_cordon_is_waited_for,
    not_linux_in_the_first_zone,
    budget_taken_by_a_node_that_nobody_mends,
    down_nodes_are_cured_first,
    another_target_begins_anew,
    lost_look_for_another_target,
    looked_at_while_it_soaks,
    limits_of_both_policies_hold,
    one_that_is_not_proved_holds_the_others,
    a_failed_node_counts_when_it_is_gone,
    a_failed_canary_counts_when_it_is_relabelled,
    a_failed_node_counts_after_an_audit,
    canary_before_an_audit,
    proved_whatever_its_wave,
    retried_before_it_failed,
    canary_retried_before_it_failed,
    a_failed_node_counts_when_the_retry_is_gone,
    another_order_means_other_waves,
    unproved_at_another_target,
    machine_that_dies_in_its_change,
    machine_that_dies_while_others_go_on,
    machine_that_dies_in_its_change_before_an_audit,
    machine_that_dies_while_nothing_begins,
    images_that_no_node_pulls,
    look_that_is_tried_on_beside_a_window_too_short,
    canary_that_answers_no_audit,
    backup_that_no_agent_is_let_in_to_put_back,
    place_held_by_a_node_that_is_not_selected_any_more,
    machine_that_dies_in_its_change_and_leaves_the_selector,
    place_held_by_a_node_of_another_policy,
    canary_that_is_not_proved,
    canary_whose_drain_is_blocked,
    restore_that_has_no_place,
)
