"""How an operation ends: what the record keeps, and in whose hands the node is meanwhile."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.agent.protocol.operation import (
    Baseline,
    Change,
    FileOrder,
    Kind,
    Operation,
    Outcome,
    ReadinessReport,
)
from cni_upgrade.api import names
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.cni.moves import MEND_FOLDERS
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.steps import finish
from cni_upgrade.planner.world.decisions import Uncordon, Unmark
from cni_upgrade.planner.world.kubernetes_objects import Node
from tests.unit.planner.api_model import stamp
from tests.unit.planner.cluster_model import LEASED
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.samples import (
    ID,
    NOW,
    lease,
    node,
    operation,
    policy,
    report,
    result,
    state,
    view,
)

OURS = replace(node(cordoned=True), annotations={names.CORDONED_BY: ID})
THEIRS = node(cordoned=True)
BACKUP = "20260101T000000Z-00000000"
ORDER = Operation(ID, Kind.APPLY, "node-a", "", files=(FileOrder("x", "a" * 64, "1.0.0"),))
MINE = {"id": ID, "kind": "apply", "outcome": "Done", "backup": BACKUP}
OTHERS = "containerd 2.2.0 to 2.3: it reads plugins from /a in place of /b"
BEFORE = {"add": True, "del": False}
EARLIER = {
    "outcome": "Unproved",
    "at": stamp(NOW - timedelta(days=1)),
    "policy": "cure-uid",
    "backup": "20250101T000000Z-00000000",
    "baseline": {"add": False},
}


def working(at: Node = OURS, current: Any = (), world: Any = (), **status: Any) -> NodeContext:
    """Node-a with a change under way that its agent has answered."""
    given = {"input": json.dumps(ORDER.to_json()), "cordoned": True, **dict(current)}
    known = {"phase": "Proving", "lastOperation": MINE, "baseline": BEFORE, **status}
    record = state(operation=operation(**given), **known)
    whole = view(policies={"cure": policy()}, **dict(world))
    whole = replace(whole, world=replace(whole.world, config=LEASED))
    return replace(whole, node=at, state=record, status=record.status)


def ended(phase: str, reason: str = "Why", kind: str = "apply", **more: Any) -> NodeStateStatus:
    """The record of a node that is given back already."""
    why = {"phase": phase, "reason": reason, "message": "what happened"}
    at = working(node(), {"kind": kind, "step": "Release", "ending": why}, **more)
    move = finish.release_step(at)
    assert not move.acts
    assert move.status.operation is None
    assert (move.status.phase, move.status.reason) == (phase, reason)
    return move.status


@pytest.mark.parametrize(
    ("at", "world", "act"),
    [
        (OURS, {}, Uncordon),
        (replace(THEIRS, annotations=OURS.annotations, cordoned_by=("kubectl",)), {}, Unmark),
        (THEIRS, {}, None),
        (node(), {}, None),
        (node(), {"leases": {"node-node-a": lease("node-maintenance")}}, None),
        (THEIRS, {"leases": {"node-node-a": lease("node-maintenance")}}, None),
    ],
)
def test_the_node_is_given_back_before_the_operation_ends(at: Node, world: Any, act: Any) -> None:
    why = {"phase": "Done", "reason": "Done", "message": "proved"}
    move = finish.release_step(working(at, {"step": "Release", "ending": why}, world))
    assert [type(each) for each in move.acts] == ([act] if act else [])
    assert (move.status.operation is None) is (act is None)


def test_our_cordon_stays_while_somebody_else_has_the_lease() -> None:
    """Who drains a node that is cordoned already leaves it at that."""
    why = {"phase": "Done", "reason": "Done", "message": "proved"}
    world = {"leases": {"node-node-a": lease("node-maintenance")}}
    move = finish.release_step(working(OURS, {"step": "Release", "ending": why}, world))
    assert not move.acts
    assert move.status.operation is not None
    assert move.status.reason == "LeaseHeld"
    assert "node-maintenance" in move.status.message


@pytest.mark.parametrize(
    ("phase", "reason", "outcome"),
    [
        ("Done", "Done", "Done"),
        ("RolledBack", "WorseThanBefore", "RolledBack"),
        ("Failed", "StillBroken", "Failed"),
        ("Blocked", "ProofInconclusive", "Unproved"),
        ("Blocked", "DrainBlocked", None),
        ("Waiting", "CalledOff", None),
        ("Pending", "Restored", None),
    ],
)
def test_how_the_last_change_has_ended(phase: str, reason: str, outcome: str | None) -> None:
    last = ended(phase, reason, lastChange={**EARLIER, "outcome": "Done"}).last_change
    assert last is not None
    if outcome is None:
        assert (last.outcome, last.at) == ("Done", NOW - timedelta(days=1))
        return
    assert (last.outcome, last.at, last.policy) == (outcome, NOW, "cure-uid")
    kept = outcome in ("Failed", "Unproved")
    assert last.backup == (BACKUP if kept else None)
    assert (last.baseline is not None) is kept


def test_what_was_not_written_is_not_to_be_proved() -> None:
    """No pod could be had before the change: its agent was never sent."""
    earlier = {**MINE, "id": "apply-1123456789abcdef0123"}
    assert ended("Blocked", "ProofInconclusive", lastOperation=earlier).last_change is None
    assert ended("Blocked", "ProofInconclusive", lastOperation=None).last_change is None


@pytest.mark.parametrize(
    ("phase", "reason"), [("Blocked", "ProofInconclusive"), ("Failed", "StillBroken")]
)
def test_a_proof_of_later_keeps_what_it_is_compared_with(phase: str, reason: str) -> None:
    """The look since has put today's in the usual places."""
    last = ended(phase, reason, kind="prove", lastChange=EARLIER).last_change
    assert last is not None
    assert last.outcome == ("Failed" if phase == "Failed" else "Unproved")
    assert (last.at, last.backup) == (NOW, EARLIER["backup"])
    assert last.baseline is not None
    assert last.baseline.add is False


@pytest.mark.parametrize(
    ("phase", "reason"), [("Blocked", "ProofInconclusive"), ("Failed", "StillBroken")]
)
def test_a_change_over_one_that_was_never_proved_keeps_what_worked_before_both(
    phase: str, reason: str
) -> None:
    last = ended(phase, reason, lastChange=EARLIER).last_change
    assert last is not None
    assert last.outcome == ("Failed" if phase == "Failed" else "Unproved")
    assert (last.at, last.backup) == (NOW, EARLIER["backup"])
    assert last.baseline is not None
    assert last.baseline.add is False


def test_of_a_change_whose_agents_are_lost_no_backup_is_known() -> None:
    """The last answer is of the change before it, as of the first leg of two."""
    earlier = {**MINE, "id": "apply-1123456789abcdef0123"}
    last = ended("Failed", "AgentLost", lastOperation=earlier).last_change
    assert last is not None
    assert last.backup is None
    back = ended("Failed", "AgentLost", "restore", lastOperation=earlier).last_change
    assert back is not None
    assert back.backup == BACKUP


@pytest.mark.parametrize(
    ("phase", "reason", "again"),
    [
        ("Blocked", "DrainBlocked", True),
        ("Blocked", "DrainNotEnough", False),
        ("Waiting", "CalledOff", False),
        ("Failed", "AgentLost", False),
    ],
)
def test_what_is_blocked_is_tried_again_later_each_time(
    phase: str, reason: str, again: bool
) -> None:
    status = ended(phase, reason, attempts=1)
    assert status.attempts == (2 if again else 1)
    pause = timedelta(seconds=2 * LEASED.retry_seconds)
    assert status.next_attempt_at == (NOW + pause if again else None)


@pytest.mark.parametrize(("phase", "taken"), [("Done", True), ("Failed", False)])
def test_that_it_became_ready_by_the_change_asks_for_no_look(phase: str, taken: bool) -> None:
    seen = {"auditKey": "k", "readySince": stamp(NOW - timedelta(days=1))}
    since = NOW - timedelta(minutes=1)
    why = {"phase": phase, "reason": "Why"}
    at = working(replace(node(), ready_since=since), {"ending": why}, observed=seen)
    observed = finish.release_step(at).status.observed
    assert observed is not None
    assert (observed.ready_since == since) is taken


@pytest.mark.parametrize(
    ("at", "cordoned", "step"),
    [
        (OURS, True, "Restore"),
        # Somebody cordoned it anew after us: it takes no pods.
        (THEIRS, True, "Restore"),
        (THEIRS, False, "CordonBack"),
        (node(), True, "CordonBack"),
        (node(), False, "CordonBack"),
    ],
)
def test_nothing_is_put_back_on_a_node_that_takes_pods(at: Node, cordoned: bool, step: str) -> None:
    proof = {"oldPod": "proof-old-x"}
    there = working(at, {"cordoned": cordoned, "proof": proof}, attempts=2, serial=7)
    status = finish.restore_next(there, BACKUP, "WorseThanBefore", "no network").status
    current = status.operation
    assert current is not None
    assert (current.step, current.kind, current.cordoned) == (step, "restore", cordoned)
    assert (current.deadline is not None) is (step == "Restore")
    assert (current.proof, status.attempts, status.serial) == (there.operation.proof, 0, 8)
    assert current.ending is not None
    assert (current.ending.phase, current.ending.reason) == ("RolledBack", "WorseThanBefore")


def looked(add: bool) -> Any:
    return replace(report(SimNode("node-a", "1.0.0")), baseline=Baseline(add, add))


@pytest.mark.parametrize(
    ("step", "known", "works"),
    [
        # What worked before we came is what the proof is compared with.
        ("Apply", BEFORE, (True, False)),
        ("Restore", BEFORE, (True, False)),
        ("Apply", None, (False, False)),
        ("GiveBack", BEFORE, (False, False)),
    ],
)
def test_what_worked_before_stays_until_the_change_is_over(
    step: str, known: Any, works: tuple[bool, bool]
) -> None:
    at = working(current={"step": step}, baseline=known)
    found = finish.noted(at, result(report=looked(False)), "Done", "m").baseline
    assert found is not None
    assert (found.add, found.delete) == works


def change(name: str, to: str | None, after: str | None = "b" * 64) -> Change:
    return Change(name=name, from_version="0.4.0", to=to, before="a" * 64, after=after, diff="")


def test_history_tells_of_the_file_that_took_the_place_of_another() -> None:
    said = result(changes=(change("10-net.conf", None, None), change("10-net.conflist", "1.0.0")))
    [entry] = finish.noted(working(), said, "Done", "m").history
    assert (entry.from_, entry.to) == ("0.4.0", "1.0.0")
    [entry] = finish.noted(
        working(), result(changes=(change("x", None, None),)), "Done", ""
    ).history
    assert (entry.from_, entry.to) == ("0.4.0", "missing")


def test_history_keeps_the_last_ten() -> None:
    old = [{"at": stamp(NOW), "kind": "apply", "outcome": str(n)} for n in range(10)]
    kept = finish.noted(working(history=old), result(), "Done", "m").history
    assert [each.outcome for each in kept] == [*map(str, range(1, 10)), "Done"]
    kept = finish.remarked(working(history=old), "drain", "GivenUp", "m").history
    assert [each.outcome for each in kept] == [*map(str, range(1, 10)), "GivenUp"]


@pytest.mark.parametrize(
    ("kind", "outcome", "mended"),
    [
        ("apply", Outcome.DONE, True),
        ("apply", Outcome.REFUSED, False),
        ("restore", Outcome.DONE, False),
    ],
)
def test_drift_is_mended_by_a_change_that_is_made(
    kind: str, outcome: Outcome, mended: bool
) -> None:
    drift = {"sha256": "c" * 64, "spent": True, "fought": "c" * 64}
    at = working(current={"kind": kind}, drift=drift)
    found = finish.noted(at, result(outcome), "m", "m").drift
    assert found is not None
    assert found.spent is not mended


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"existingDel": False, "why": "2 pods hang"}, "proved; 2 pods hang"),
        ({"existingDel": False}, "proved"),
        ({"existingDel": True, "why": "2 pods hang"}, "proved"),
        ({"why": "2 pods hang"}, "proved"),
        (None, "proved"),
    ],
)
def test_done_says_which_pods_cannot_be_deleted(after: Any, said: str) -> None:
    status = finish.done(working(after=after, attempts=3), "proved").status
    assert status.operation is not None
    assert status.operation.ending is not None
    assert (status.operation.ending.phase, status.operation.ending.message) == ("Done", said)
    assert status.attempts == 0


@pytest.mark.parametrize(
    ("before", "said", "ready", "why"),
    [
        (True, True, True, ""),
        (True, False, False, "F1"),
        (None, True, None, OTHERS),
        (False, True, None, OTHERS),  # what failed is cured, and the rest is as little known
        (None, False, False, f"F1; {OTHERS}"),
        (None, None, None, f"F1; {OTHERS}"),
    ],
)
def test_folders_of_a_later_runtime_that_an_operation_does_not_see(
    before: bool | None, said: bool | None, ready: bool | None, why: str
) -> None:
    others = {} if before else {"otherFolders": OTHERS}
    wanted = "containerd>=2.0"
    at = working(readiness=[{"runtime": wanted, "ready": before, "why": "then", **others}])
    answer = ReadinessReport(wanted, said, "" if said else "F1")
    made = replace(report(SimNode("node-a", "1.0.0")), readiness=(answer,))
    (found,) = finish.noted(at, result(report=made), "Done", "").readiness
    assert (found.ready, found.why) == (ready, why)
    assert found.other_folders == (None if before else OTHERS)


def test_a_move_of_folders_that_an_operation_does_not_see_stays_told() -> None:
    """The folders are as they were; what the change has cured is told no more."""
    of_folders = {"code": "RuntimeMove", "message": f"under {OTHERS}", "action": MEND_FOLDERS}
    cured = {"code": "RuntimeMove", "message": "under containerd 2.0: F1", "action": "mend it"}
    at = working(findings=[of_folders, cured])
    for answer in (report(SimNode("node-a", "1.0.0")), None):
        noted = finish.noted(at, result(report=answer), "Done", "")
        moves = [each.message for each in noted.findings if each.code == "RuntimeMove"]
        kept = [f"under {OTHERS}", *([] if answer else ["under containerd 2.0: F1"])]
        assert moves == kept
