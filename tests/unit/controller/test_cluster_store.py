"""The store: what the planner is shown and what is kept from it, and notes in memory only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api.policy_status import PolicyStatus
from cni_upgrade.controller.cluster_store import ClusterStore, at_steps
from cni_upgrade.kube.interface import Listed, Object
from cni_upgrade.planner.plan import plan
from cni_upgrade.planner.world.decisions import Emit, SetStatus
from cni_upgrade.planner.world.node_affinity import only_on
from cni_upgrade.planner.world.phases import Step
from tests.unit.controller.test_object_cache import came, raw
from tests.unit.planner.cluster_model import AGENTS, CONFIG

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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
    }
    said = [{"type": condition, "status": "True"} for condition in conditions]
    spec = {"template": {"spec": {"affinity": only_on(node)}}}
    return {"metadata": meta, "spec": spec, "status": {"conditions": said}}


def store() -> ClusterStore:
    made = ClusterStore(CONFIG, "")
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


def unread_policy(**status: Any) -> ClusterStore:
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
    assert made.warnings.hear(event(7, "newer"))
    assert not made.warnings.hear(event(5, "older"))
    assert not made.warnings.hear(event(9, "fine", of="Normal"))
    assert not made.warnings.hear(event(9, "a node", kind="Node"))
    assert made.snapshot(NOW).warnings == {"pod-uid": "Failed: newer"}


def test_a_pod_is_believed_of_its_own_node_and_of_the_control_plane_alone() -> None:
    made = store()
    made.agents.put(agent(4, "pod", {"waiting": {}}, node="node-a"))

    def said(version: int, text: str, host: str = "") -> str | None:
        about = {"kind": "Pod", "uid": "pod-x", "name": "pod-x"}
        made.warnings.hear(
            {**event(version, text), "source": {"host": host}, "involvedObject": about}
        )
        return made.snapshot(NOW).warnings.get("pod-x")

    assert said(5, "a lie", "node-b") is None
    assert said(6, "no room") == "Failed: no room"
    assert said(7, "no network", "node-a") == "Failed: no network"
    # What another node says later does not push that aside either.
    assert said(8, "another lie", "node-b") == "Failed: no network"
    assert said(9, "evicted") == "Failed: evicted"


def test_a_kubelet_that_invents_pods_fills_no_memory() -> None:
    made = store()
    about = {"kind": "Pod", "name": "x"}
    for number in range(20_500):
        made.warnings.hear(
            {**event(number + 1, "x"), "involvedObject": {**about, "uid": f"invented-{number}"}}
        )
    kept = made.snapshot(NOW).warnings
    assert len(kept) == 20_000
    assert "invented-20499" in kept


def test_notes_about_what_is_gone_are_forgotten() -> None:
    made = store()
    made.warnings.hear(event(7, "x"))
    made.evicted("pod-uid", "a budget")
    made.forget(datetime.now(UTC))
    assert made.snapshot(NOW).warnings == {}
    assert list(made.evictions) == ["pod-uid"]
    made.forget(datetime.now(UTC) + timedelta(hours=2))
    assert made.evictions == {}


def agent(version: int, job: str, state: Object, node: str = "") -> Object:
    owners = [{"apiVersion": "batch/v1", "kind": "Job", "name": job, "controller": True}]
    meta = {"name": f"{job}-x", "namespace": AGENTS, "uid": f"{job}-x", "ownerReferences": owners}
    status = {"containerStatuses": [{"state": state}]}
    about = {**meta, "resourceVersion": str(version)}
    return {"metadata": about, "spec": {"nodeName": node}, "status": status}


def test_a_job_that_ended_before_its_pod_was_heard_is_asked_for() -> None:
    made = store()
    operation = {"id": "audit-0", "kind": "audit", "step": "Job", "job": "audit-0"}
    made.states.put(state("node-a", operation=operation))
    made.jobs.put(audit_job("audit-0", "node-a", "Complete"))
    made.jobs.put(audit_job("audit-of-yesterday", "node-b", "Complete"))
    made.agents.put(agent(4, "audit-0", {"running": {}}))
    assert made.unanswered() == ["audit-0"]
    made.agents.put(agent(5, "audit-0", {"terminated": {"exitCode": 0}}))
    assert made.unanswered() == []
    assert [pod.uid for pod in made.snapshot(NOW).agents["audit-0"]] == ["audit-0-x"]
    assert at_steps(made.states.items.values(), Step.JOB) == {"node-a"}
    assert at_steps(made.states.items.values(), Step.DRAIN) == set()
