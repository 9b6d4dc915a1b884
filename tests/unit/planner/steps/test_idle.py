"""A node at rest: one that nobody governs any more, and one that is not proved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.counts import Share
from cni_upgrade.planner.node.audit_result import asked_key, audit_key
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.steps import idle
from cni_upgrade.planner.world.governance import Governance
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.samples import NOW, member, node, policy, state, view


def resting(asks: CNIUpgradePolicy, ready: str = "True", **status: Any) -> NodeContext:
    """Node-a, which that policy governs, at rest after a look that answers what it asks today."""
    name = asks.metadata.name
    seen = {"auditKey": audit_key(node(), state(), asks, CONFIG), "auditedAt": stamp(NOW)}
    claim = name if asks.spec.mode == "Enforce" else None
    known = state(claim=claim, **{"observed": seen, **status})
    label = known.metadata.model_copy(update={"labels": {"cniupgrade.dev/policy": name}})
    return replace(
        view(ready=ready, policies={name: asks}),
        state=known.model_copy(update={"metadata": label}),
        status=known.status,
        governance=Governance(asks, (), ()),
    )


def test_no_change_begins_for_a_deleted_policy_that_had_to_look() -> None:
    """Its audit ends in the very pass in which the node would have its turn."""
    at, gone = view(), policy()
    seen = {
        "phase": "Waiting",
        "reason": "ChangeNeeded",
        "verdict": "Rewrite",
        "message": "10-net.conflist: 0.4.0 -> 1.0.0",
        "observed": {
            "auditKey": audit_key(at.node, at.state, gone, CONFIG),
            "auditedAt": "2026-01-01T12:00:00Z",
        },
    }
    status = NodeStateStatus.model_validate(seen)
    move = idle.next_move(replace(at, status=status, asker=gone))
    assert move.status == status
    assert move.acts == ()


EARLIER, LATER = stamp(NOW - timedelta(hours=1)), stamp(NOW + timedelta(minutes=1))
WELL: dict[str, Any] = {"phase": "Compatible", "reason": "Compatible", "verdict": "Compatible"}
UNPROVED = {"outcome": "Unproved", "at": stamp(NOW), "policy": "cure-uid"}


@pytest.mark.parametrize(
    ("outcome", "mode", "ready", "may_audit", "phase", "reason"),
    [
        ("Unproved", "Enforce", "True", True, "Auditing", "Audit"),
        # It is not called well while there is no place for its look, or nothing can be sent there.
        ("Unproved", "Enforce", "True", False, "Pending", "WaitingForAuditSlot"),
        ("Unproved", "Enforce", "Unknown", True, "Pending", "NodeSilent"),
        ("Unproved", "Audit", "True", True, "Compatible", "Compatible"),
        ("Done", "Enforce", "True", True, "Compatible", "Compatible"),
    ],
)
def test_a_node_that_is_called_well_and_is_not_proved_is_looked_at(
    outcome: str, mode: str, ready: str, may_audit: bool, phase: str, reason: str
) -> None:
    last = {**UNPROVED, "outcome": outcome}
    at = resting(policy(mode=mode), ready=ready, lastChange=last, **WELL)
    after = idle.next_move(replace(at, may_audit=may_audit)).status
    assert (after.phase, after.reason) == (phase, reason)


@pytest.mark.parametrize(
    ("outcome", "seen", "open_"),
    [("Unproved", True, True), ("Done", True, False), ("Done", False, True)],
)
def test_a_rollout_is_not_over_while_such_a_node_is_to_be_looked_at(
    outcome: str, seen: bool, open_: bool
) -> None:
    one = member(seen=seen, lastChange={**UNPROVED, "outcome": outcome}, **WELL)
    assert (one.stale, one.open) == (open_, open_)


@pytest.mark.parametrize(
    ("outcome", "mode", "counts"),
    [("Unproved", "Enforce", True), ("Unproved", "Audit", False), ("Done", "Enforce", False)],
)
def test_such_a_node_counts_as_one_that_is_to_be_looked_at(
    outcome: str, mode: str, counts: bool
) -> None:
    asks = policy(mode=mode)
    made = state(
        observed={"auditKey": audit_key(node(), state(), asks, CONFIG)},
        lastChange={**UNPROVED, "outcome": outcome},
        **WELL,
    )
    share = Share.of(node(), made, Governance(asks, (), ()), asks, CONFIG)
    assert share.unseen is counts


def test_a_deleted_policy_has_nothing_proved_any_more() -> None:
    """Each look would find the node Compatible, and lead to the next one."""
    asks = policy()
    gone = asks.metadata.model_copy(update={"deletion_timestamp": NOW})
    asks = asks.model_copy(update={"metadata": gone})
    at = view()
    seen = {"auditKey": audit_key(at.node, at.state, asks, CONFIG), "auditedAt": stamp(NOW)}
    changed = {"policy": {"name": "cure", "uid": "cure-uid"}}
    known = state(observed=seen, lastChange=UNPROVED, changed=changed, **WELL)
    move = idle.next_move(replace(at, state=known, status=known.status, asker=asks))
    assert move.status.phase == "Compatible"


@pytest.mark.parametrize(
    ("mode", "more", "phase"),
    [
        ("Audit", {}, "Auditing"),
        # What stands there is for that one to say: another look would lead to another try.
        ("Enforce", {}, "Failed"),
        ("Audit", {"lastChange": {**UNPROVED, "outcome": "Failed", "at": EARLIER}}, "Failed"),
        ("Audit", {"changed": {"policy": {"name": "cure", "uid": "cure-uid"}}}, "Failed"),
        # The pause after a look that brought no answer holds for it too.
        ("Audit", {"phase": "Pending", "nextAttemptAt": LATER}, "Pending"),
        # The one after it is in its own name too, and so is the first of a record made anew.
        ("Audit", {"phase": "Pending", "nextAttemptAt": EARLIER}, "Auditing"),
        ("Audit", {"phase": "Pending", "observed": None, "verdict": None}, "Auditing"),
    ],
)
def test_a_deleted_policy_has_a_node_looked_at_that_an_audit_policy_has_too(
    mode: str, more: dict[str, Any], phase: str
) -> None:
    other = policy("look", mode=mode)
    gone = parse_policy(merged(policy().to_api(), {"metadata": {"deletionTimestamp": EARLIER}}))
    seen = {
        "auditKey": audit_key(node(), state(), other, CONFIG),
        "askedKey": asked_key(other),
        "auditedAt": stamp(NOW - timedelta(minutes=1)),
        "retry": "/",
    }
    failed = {"phase": "Failed", "reason": "AgentLost", "verdict": "Rewrite", "observed": seen}
    last = {"lastChange": {**UNPROVED, "outcome": "Failed"}}
    at = resting(other, **{**failed, **last, **more})
    both = replace(at.world, policies={"cure": gone, "look": other})
    move = idle.next_move(replace(at, world=both, asker=gone))
    assert move.status.phase == phase
    ordered = move.status.operation.policy if move.status.operation else None
    # In its own name: by the other one nobody would ask what it had changed.
    assert (ordered.name if ordered else None) == ("cure" if phase == "Auditing" else None)


@pytest.mark.parametrize(
    ("meanwhile", "reason"), [(None, "NoPolicy"), (policy(paths="nowhere"), "PathsNotAllowed")]
)
def test_no_pause_of_before_is_waited_for_by_who_has_a_node_anew(
    meanwhile: CNIUpgradePolicy | None, reason: str
) -> None:
    """For up to an hour the record would say that nobody has it."""
    blocked: dict[str, Any] = {"phase": "Blocked", "attempts": 6, "nextAttemptAt": LATER}
    at = resting(policy(), **blocked)
    away = replace(at, governance=Governance(meanwhile, (), ()))
    if meanwhile is None:
        away = replace(away, state=state(**blocked))  # without its claim
    rests = idle.next_move(away).status
    assert (rests.phase, rests.reason, rests.next_attempt_at) == ("Pending", reason, None)
    assert idle.next_move(replace(at, status=rests)).status.phase == "Auditing"


DUE = {"phase": "Waiting", "reason": "Paused", "verdict": "Compatible"}


@pytest.mark.parametrize(
    ("spec", "more", "phase", "reason"),
    [
        ({"verify": {"proof": False}}, {}, "Auditing", "Audit"),
        # Also where it is to wait all the same: it waits for nothing.
        ({"verify": {"proof": False}, "paused": True}, {}, "Auditing", "Audit"),
        ({"mode": "Audit"}, {}, "Auditing", "Audit"),
        ({"paused": True}, {}, "Waiting", "Paused"),
        ({}, {}, "Proving", "ProveAdd"),
        # It waits for another change, which is as due as it was.
        (
            {"verify": {"proof": False}, "paused": True},
            {"verdict": "Rewrite"},
            "Waiting",
            "Paused",
        ),
        (
            {"verify": {"proof": False}, "paused": True},
            {"lastChange": {**UNPROVED, "outcome": "Done"}},
            "Waiting",
            "Paused",
        ),
    ],
)
def test_a_node_that_waits_for_a_proof_that_nobody_wants_is_looked_at(
    spec: dict[str, Any], more: dict[str, Any], phase: str, reason: str
) -> None:
    at = resting(policy(**spec), **{**DUE, "lastChange": UNPROVED, **more})
    after = idle.next_move(at).status
    assert (after.phase, after.reason) == (phase, reason)
