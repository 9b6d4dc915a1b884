"""The store: what is old never replaces what is new, and what is gone does not come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api.policy_status import PolicyStatus
from cni_upgrade.controller.store import Shelf, Store, at_steps
from cni_upgrade.fleet.decisions import Emit, SetStatus
from cni_upgrade.fleet.objects import Node
from cni_upgrade.fleet.phases import Step
from cni_upgrade.fleet.planner import plan
from cni_upgrade.kube.port import Listed, Object
from tests.unit.fleet.cluster_model import AGENTS, CONFIG

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def raw(version: int, name: str = "node-a", uid: str = "1") -> Object:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": str(version)}}


async def came(listed: Listed) -> Listed:
    """A list that was asked for when it was taken in."""
    return listed


def shelf() -> Shelf[Node]:
    return Shelf(Node.of, lambda node: str(node["metadata"]["name"]))


def test_only_what_is_newer_is_news() -> None:
    nodes = shelf()
    assert nodes.put(raw(5))
    assert not nodes.put(raw(5))
    assert not nodes.put(raw(4))
    assert not nodes.put(raw(6)), "nothing that is kept of it has changed"
    assert nodes.items["node-a"].resource_version == "6"
    assert nodes.put(raw(7) | {"spec": {"unschedulable": True}})
    assert not nodes.put(raw(6)), "it is older"
    assert nodes.items["node-a"].unschedulable


def test_late_words_about_a_former_owner_of_a_name_are_no_news() -> None:
    nodes = shelf()
    nodes.put(raw(9, uid="2"))
    assert not nodes.put(raw(7, uid="1"))
    assert not nodes.drop(raw(8, uid="1"))
    assert nodes.items["node-a"].uid == "2"
    assert nodes.drop(raw(10, uid="2"))
    assert nodes.items == {}


async def test_a_list_from_before_a_deletion_brings_nothing_back() -> None:
    nodes = shelf()
    nodes.put(raw(5))

    async def slow() -> Listed:
        nodes.drop(raw(6))
        return Listed([raw(5)], "5")

    await nodes.replace(slow())
    assert nodes.items == {}
    await nodes.replace(came(Listed([], "6")))
    await nodes.replace(came(Listed([raw(7, uid="2")], "7")))
    assert nodes.items["node-a"].uid == "2"


async def test_a_whole_list_takes_out_what_it_lacks_unless_that_is_newer() -> None:
    nodes = shelf()
    nodes.put(raw(5, "old"))

    async def slow() -> Listed:
        nodes.put(raw(9, "own-write"))
        return Listed([raw(6, "listed")], "7")

    await nodes.replace(slow())
    assert sorted(nodes.items) == ["listed", "own-write"]


async def test_a_list_that_is_older_than_what_was_known_before_it_comes_from_a_restored_etcd() -> (
    None
):
    """Nothing that we have seen since the backup ever happened there."""
    nodes = shelf()
    await nodes.replace(came(Listed([raw(5), raw(6, "b"), raw(7, "c")], "90")))
    nodes.put(raw(91) | {"spec": {"unschedulable": True}})
    nodes.put(raw(92, "new", uid="9"))
    nodes.drop(raw(93, "b"))
    await nodes.replace(came(Listed([raw(5), raw(6, "b"), raw(7, "c")], "20")))
    assert sorted(nodes.items) == ["b", "c", "node-a"]
    assert not nodes.items["node-a"].unschedulable
    assert nodes.as_of == "20"
    assert nodes.put(raw(21) | {"spec": {"unschedulable": True}}), "and it goes on from there"
    await nodes.replace(came(Listed([raw(21), raw(6, "b"), raw(7, "c")], "22")))
    assert sorted(nodes.items) == ["b", "c", "node-a"]


async def test_a_restored_etcd_that_has_overtaken_what_was_known_shows_in_what_it_holds() -> None:
    nodes = shelf()
    nodes.put(raw(30))
    nodes.put(raw(31, "back"))
    nodes.drop(raw(32, "back"))
    nodes.put(raw(33, "new", uid="9"))
    await nodes.replace(came(Listed([raw(5), raw(6, "b")], "90")))
    assert sorted(nodes.items) == ["b", "node-a"]
    assert nodes.items["node-a"].resource_version == "5"
    nodes.drop(raw(91, "b", uid="7"))
    nodes.put(raw(92, "c", uid="3"))
    nodes.drop({"metadata": {"name": "c", "uid": "3"}})
    await nodes.replace(came(Listed([raw(8, "c", uid="3")], "95")))
    assert sorted(nodes.items) == ["c"], "what we had deleted is there again"
    nodes.put(raw(99, "c", uid="3"))
    await nodes.replace_one("c", came(Listed([raw(8, "c", uid="3")], "200")))
    assert nodes.items["c"].resource_version == "8"


async def test_what_was_heard_while_a_list_was_on_its_way_makes_it_no_older() -> None:
    nodes = shelf()
    await nodes.replace(came(Listed([raw(5)], "7")))

    async def slow() -> Listed:
        nodes.put(raw(9) | {"spec": {"unschedulable": True}})
        nodes.put(raw(10, "own-write"))
        nodes.drop(raw(11, "deleted"))
        return Listed([raw(5), raw(6, "deleted")], "8")

    await nodes.replace(slow())
    assert sorted(nodes.items) == ["node-a", "own-write"]
    assert nodes.items["node-a"].unschedulable


async def test_of_a_restored_etcd_the_first_page_tells_before_its_news_is_taken_in() -> None:
    nodes = shelf()
    await nodes.replace(came(Listed([raw(50), raw(51, "gone")], "90")))

    async def pages() -> AsyncIterator[Listed]:
        yield Listed([raw(5)], "20")
        nodes.put(raw(21) | {"spec": {"unschedulable": True}})
        yield Listed([raw(6, "b")], "20")

    await nodes.replace_by(pages())
    assert sorted(nodes.items) == ["b", "node-a"]
    assert nodes.items["node-a"].unschedulable


async def test_one_object_of_a_restored_etcd_is_taken_as_it_is() -> None:
    nodes = shelf()
    nodes.put(raw(91))
    nodes.put(raw(92, "b"))
    await nodes.replace_one("node-a", came(Listed([raw(5)], "20")))
    await nodes.replace_one("b", came(Listed([], "20")))
    assert {name: each.resource_version for name, each in nodes.items.items()} == {"node-a": "5"}


async def test_an_object_that_gets_its_label_back_is_there_again() -> None:
    """A watch by label says that it was deleted, of the version that took the label away."""
    nodes = shelf()
    nodes.put(raw(5))
    assert nodes.drop(raw(6))
    assert not nodes.put(raw(5)), "a list from before that"
    assert nodes.put(raw(7))
    assert not nodes.drop(raw(6)), "late words"
    assert list(nodes.items) == ["node-a"]
    nodes.drop({"metadata": {"name": "node-a", "uid": "1"}})
    assert not nodes.put(raw(8)), "deleted by us, in a version that was not told"


async def test_who_follows_hears_of_all_that_changes_and_goes_and_of_nothing_else() -> None:
    nodes = shelf()
    nodes.put(raw(5, "there"))
    one, other = nodes.follow(), nodes.follow()
    assert one == other == {"there"}, "what is there is new to who begins"
    one.clear()
    nodes.put(raw(4, "there"))
    assert one == set(), "it is old"
    nodes.put(raw(6, "come"))
    nodes.take("there", nodes.items["there"])
    assert one == {"there", "come"}
    one.clear()
    nodes.drop(raw(7, "come"))
    await nodes.replace(came(Listed([], "8")))
    assert one == {"there", "come"}
    assert other == {"there", "come"}


async def test_a_list_of_one_says_nothing_about_others() -> None:
    nodes = shelf()
    nodes.put(raw(5, "a"))
    nodes.put(raw(6, "b"))
    nodes.put(raw(6, "c"))

    async def slow() -> Listed:
        nodes.put(raw(9, "c"))
        return Listed([], "8")

    await nodes.replace_one("a", came(Listed([], "8")))
    await nodes.replace_one("b", came(Listed([raw(7, "b")], "8")))
    await nodes.replace_one("c", slow())
    known = {name: node.resource_version for name, node in nodes.items.items()}
    assert known == {"b": "7", "c": "9"}


def state(name: str, version: int = 1, policy: str = "", **status: Any) -> Object:
    ref = {"policyRef": {"name": policy, "uid": f"{policy}-uid"}} if policy else {}
    return {
        "metadata": {"name": name, "uid": f"{name}-state", "resourceVersion": str(version)},
        "spec": {"nodeUID": f"{name}-uid", **ref},
        "status": status,
    }


def policy(name: str, mode: str = "Enforce") -> Object:
    meta = {"name": name, "uid": f"{name}-uid", "resourceVersion": "1", "generation": 1}
    return {"metadata": meta, "spec": {"nodeSelector": {}, "mode": mode}}


def audit_job(name: str, node: str, *conditions: str) -> Object:
    meta = {
        "name": name,
        "uid": f"{name}-uid",
        "resourceVersion": "3",
        "annotations": {"cniupgrade.dev/node": node},
    }
    said = [{"type": condition, "status": "True"} for condition in conditions]
    return {"metadata": meta, "status": {"conditions": said}}


def store() -> Store:
    made = Store(CONFIG, "")
    for name in ("node-a", "node-b"):
        made.nodes.put(raw(1, name, uid=f"{name}-uid"))
    return made


def test_a_record_of_a_newer_writer_leaves_its_node_alone() -> None:
    made = store()
    made.policies.put(policy("cure"))
    made.states.put(state("node-a", history=[{"at": "no time"}]))
    made.jobs.put(audit_job("audit-0", "node-a"))
    assert list(made.states.unreadable) == ["node-a"]
    subjects = [turn.subject for turn in plan(made.snapshot(NOW))]
    assert "node-a" not in subjects
    assert "leftover audit-0" not in subjects, "its Job belongs to a record that cannot be read"
    assert "node-b" in subjects
    assert made.snapshot(NOW).unjudged["node-a"].node.name == "node-a"
    assert made.states.put(state("node-a", version=2))
    assert made.states.unreadable == {}
    assert "node-a" in made.snapshot(NOW).states
    assert made.snapshot(NOW).unjudged == {}


@pytest.mark.parametrize(
    ("operation", "working"),
    [({"kind": "apply"}, True), ({"kind": "audit"}, False), ("?", False), (None, False)],
)
def test_who_is_being_changed_is_known_of_a_record_that_is_not_understood(
    operation: object, working: bool
) -> None:
    made = store()
    made.states.put(state("node-a", history=[{"at": "no time"}], operation=operation))
    assert made.snapshot(NOW).unjudged["node-a"].working == working


def test_a_record_whose_node_is_gone_is_nobody_to_leave_alone() -> None:
    made = store()
    made.states.put(state("node-z", history=[{"at": "no time"}]))
    assert made.snapshot(NOW).unjudged == {}


def test_a_policy_of_a_newer_writer_does_not_look_deleted() -> None:
    made = store()
    made.policies.put(policy("newer", mode="Rehearse"))
    made.states.put(state("node-a", policy="newer"))
    assert list(made.policies.unreadable) == ["newer"]
    assert list(made.snapshot(NOW).nodes) == ["node-b"]
    assert [turn.subject for turn in plan(made.snapshot(NOW))] == ["policy newer"]


def unread_policy(**status: Any) -> Store:
    made = store()
    raw = policy("typo", mode="Enforce")
    requirement = {"key": "zone", "operator": "NotIn", "values": []}
    raw["spec"]["nodeSelector"] = {"matchExpressions": [requirement]}
    made.policies.put({**raw, "status": {"observedGeneration": -1, **status}})
    return made


def test_a_policy_that_cannot_be_read_says_so_itself() -> None:
    """An API server before 1.25 drops the CRD's CEL rules: this policy is stored there."""
    [turn] = plan(unread_policy().snapshot(NOW))
    status, event = turn.decisions
    assert isinstance(status, SetStatus)
    text = (
        "not understood, and so not acted on: spec.nodeSelector.matchExpressions[0]: "
        "values: at least one is needed for the operators In and NotIn"
    )
    read = PolicyStatus.model_validate(status.status)
    assert read.message == text
    assert [(c.type, c.status, c.reason, c.message) for c in read.conditions] == [
        ("Ready", "False", "NotUnderstood", text),
        ("Stalled", "True", "NotUnderstood", text),
    ]
    assert event == Emit("CNIUpgradePolicy", "typo", "typo-uid", "Warning", "NotUnderstood", text)


def test_a_policy_that_somebody_has_answered_for_is_left_alone() -> None:
    """Two controllers of different releases do not answer each other for ever."""
    assert plan(unread_policy(observedGeneration=1).snapshot(NOW)) == ()
    made = unread_policy()
    made.denied = ("list nodes",)
    assert [turn.subject for turn in plan(made.snapshot(NOW))] == ["policy typo"]


def test_a_record_that_makes_no_sense_stops_its_own_node_only() -> None:
    made = store()
    made.policies.put(policy("cure"))
    wrong = {"id": "apply-0", "kind": "apply", "step": "Release", "input": "{", "job": "apply-0"}
    made.states.put(state("node-a", operation=wrong))
    turns = {turn.subject: turn.decisions for turn in plan(made.snapshot(NOW))}
    assert "cannot be acted on" in str(turns["node-a"])
    assert "node-b" in turns


async def test_what_is_kept_goes_on_from_the_record_until_somebody_writes_that() -> None:
    made = store()
    made.states.put(state("node-a", phase="Waiting"))
    recorded = made.snapshot(NOW).states["node-a"].status
    applying = recorded.model_copy(update={"phase": "Applying"})
    made.keep("node-a", applying)
    first = made.snapshot(NOW)
    assert first.states["node-a"].status == applying
    assert first.unwritten["node-a"].recorded == recorded
    made.keep("node-a", applying.model_copy(update={"message": "on"}))
    second = made.snapshot(NOW)
    assert second.states["node-a"].status.message == "on"
    assert second.unwritten["node-a"] == first.unwritten["node-a"], "since the first of it"
    await made.states.replace(came(Listed([state("node-a", phase="Waiting")], "5")))
    assert made.snapshot(NOW).states["node-a"].status.message == "on", "the list is no newer"
    made.states.put(state("node-a", version=9, phase="Failed"))
    third = made.snapshot(NOW)
    assert third.states["node-a"].status.phase == "Failed"
    assert third.unwritten == {}


def test_what_is_kept_of_a_record_that_is_gone_or_is_what_it_was_is_nothing() -> None:
    made = store()
    made.states.put(state("node-a", phase="Waiting"))
    recorded = made.snapshot(NOW).states["node-a"].status
    made.keep("node-a", recorded.model_copy(update={"message": "on"}))
    made.keep("node-a", recorded)
    assert made.snapshot(NOW).unwritten == {}
    made.keep("node-b", recorded)
    assert "node-b" not in made.snapshot(NOW).states


def event(version: int, text: str, kind: str = "Pod", of: str = "Warning") -> Object:
    return {
        "metadata": {
            "name": f"e-{version}",
            "uid": f"e-{version}",
            "resourceVersion": str(version),
        },
        "type": of,
        "reason": "Failed",
        "message": text,
        "involvedObject": {"kind": kind, "uid": "pod-uid"},
    }


def test_the_newest_warning_is_kept_in_whatever_order_they_come() -> None:
    made = store()
    assert made.heard(event(7, "newer"))
    assert not made.heard(event(5, "older"))
    assert not made.heard(event(9, "fine", of="Normal"))
    assert not made.heard(event(9, "a node", kind="Node"))
    assert made.snapshot(NOW).warnings == {"pod-uid": "Failed: newer"}


def test_notes_about_what_is_gone_are_forgotten() -> None:
    made = store()
    made.heard(event(7, "x"))
    made.evicted("pod-uid", "a budget")
    made.forget(datetime.now(UTC))
    assert made.warnings == {}
    assert list(made.evictions) == ["pod-uid"]
    made.forget(datetime.now(UTC) + timedelta(hours=2))
    assert made.evictions == {}


def agent(version: int, job: str, state: Object, label: str = "job-name") -> Object:
    labels = {label: job}
    meta = {"name": f"{job}-x", "namespace": AGENTS, "uid": f"{job}-x", "labels": labels}
    status = {"containerStatuses": [{"state": state}]}
    return {"metadata": {**meta, "resourceVersion": str(version)}, "status": status}


@pytest.mark.parametrize("label", ["job-name", "batch.kubernetes.io/job-name"])
def test_a_job_that_ended_before_its_pod_was_heard_is_asked_for(label: str) -> None:
    """Kubernetes before 1.27 writes the first label alone."""
    made = store()
    operation = {"id": "audit-0", "kind": "audit", "step": "Job", "job": "audit-0"}
    made.states.put(state("node-a", operation=operation))
    made.jobs.put(audit_job("audit-0", "node-a", "Complete"))
    made.jobs.put(audit_job("audit-of-yesterday", "node-b", "Complete"))
    made.agents.put(agent(4, "audit-0", {"running": {}}, label))
    assert made.unanswered() == ["audit-0"]
    made.agents.put(agent(5, "audit-0", {"terminated": {"exitCode": 0}}, label))
    assert made.unanswered() == []
    assert [pod.uid for pod in made.snapshot(NOW).agents["audit-0"]] == ["audit-0-x"]
    assert at_steps(made.states.items.values(), Step.JOB) == {"node-a"}
    assert at_steps(made.states.items.values(), Step.DRAIN) == set()
