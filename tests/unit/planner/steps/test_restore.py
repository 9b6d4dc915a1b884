"""A node that a deleted policy changed: when it begins, when it is given up, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.agent.protocol.operation import (
    Baseline,
    Kind,
    Operation,
    OperationError,
    Outcome,
    Paths,
    Report,
    Result,
)
from cni_upgrade.agent.protocol.termination_message import encode
from cni_upgrade.api import names
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.limits.change_duration import longest
from cni_upgrade.planner.node.context import Move, NodeContext
from cni_upgrade.planner.node.restore_request import RestoreRequest
from cni_upgrade.planner.steps import restore
from cni_upgrade.planner.world.decisions import Cordon, CreateJob, DeleteJob
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from tests.unit.planner import samples
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.cluster_model import LEASED
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.samples import (
    NOW,
    UNSCHEDULED,
    agent,
    job,
    lease,
    node,
    pod,
    policy,
    report,
    state,
    view,
)

PATIENCE, LATER = timedelta(hours=1), NOW + timedelta(hours=6)
ID = "restore-0123456789abcdef0123"
FIRST, SECOND = "20260101T000000Z-00000000", "20260102T000000Z-00000001"
FILE = {"name": "10-net.conflist", "backup": FIRST, "to": "1.0.0", "sha256": "a" * 64}
PATHS = Paths(("/etc/cni/net.d",), ("/opt/cni/bin",))
PAUSED = {names.PAUSED: ""}
OURS = replace(node(cordoned=True), annotations={names.CORDONED_BY: ID})
THEIRS = node(cordoned=True)
WORKS: dict[str, Any] = {"verdict": "Compatible", "after": {"existingDel": True}}


def made(annotations: Any = (), **spec: Any) -> CNIUpgradePolicy:
    meta = {"deletionTimestamp": stamp(NOW), "annotations": dict(annotations)}
    return parse_policy(merged(policy(**spec).to_api(), {"metadata": meta}))


def leaving(
    deleted: CNIUpgradePolicy,
    *,
    others: tuple[Node, ...] = (),
    busy: tuple[str, ...] = (),
    lost: Collection[str] = (),
    opens: tuple[datetime | None, datetime | None] = (NOW, NOW),
    patient: bool = True,
    **more: Any,
) -> RestoreRequest:
    """`opens`: for who is drained, and for who is not; `busy` are nodes that are worked on, `lost`
    those of them for which there is no hope."""
    idle = timedelta(0) if patient else PATIENCE
    known = {
        "policy": deleted,
        "places": samples.budget(deleted, (node(), *others), working=busy),
        "patience": PATIENCE,
        "settled": NOW,
        "progress": NOW,
        "moving": False,
        "lost": frozenset(lost),
        "failed": "",
        "opens": dict(zip((True, False), opens, strict=True)),
        "working": bool(busy),
        "idle": {True: idle, False: idle},
    }
    return RestoreRequest(**{**known, **more})


def at_rest(at: Node, changed: Any = (), world: Any = (), **status: Any) -> NodeContext:
    """A node that the policy has changed."""
    ref = {"name": "cure", "uid": "cure-uid"}
    seen = {"paths": {"confDir": "/etc/cni/net.d"}, **status}
    known = {"policy": ref, "files": [FILE], **dict(changed)}
    record = state(**{"phase": "Done", "reason": "Done", "changed": known, **seen})
    whole = view(**dict(world))
    whole = replace(whole, world=replace(whole.world, config=LEASED))
    return replace(whole, node=at, state=record, status=record.status)


HELD = {"leases": {"node-node-a": lease("node-maintenance")}}
DRAIN = {"drain": True}
EMPTY: dict[str, Any] = {"files": []}
NEVER = {"policy": "Never"}
ALWAYS = {"policy": "Always"}
DOWN = node("node-b", ready="False")
SOON = NOW + timedelta(minutes=1)
TAKEN = {"phase": "Waiting", "reason": "CordonTaken", "nextAttemptAt": stamp(SOON)}


@pytest.mark.parametrize(
    ("at", "deleted", "reason"),
    [
        (at_rest(node()), leaving(made()), "Cordon"),
        (at_rest(node(ready="False")), leaving(made()), "Cordon"),
        (at_rest(node(ready="Unknown")), leaving(made()), "NodeSilent"),
        (at_rest(THEIRS), leaving(made()), "CordonedByOther"),
        (at_rest(node(), world=HELD), leaving(made()), "LeaseHeld"),
        (at_rest(node(), world={"stopped": "an incident"}), leaving(made()), "Stopped"),
        (at_rest(node()), leaving(made(PAUSED)), "Paused"),
        (at_rest(node()), leaving(made(), failed="node-z"), "RestoreStopped"),
        (at_rest(node()), leaving(made(), opens=(NOW, LATER)), "WaitingForWindow"),
        (at_rest(node()), leaving(made(), opens=(LATER, NOW)), "Cordon"),
        (at_rest(node(), DRAIN), leaving(made(), opens=(LATER, NOW)), "WaitingForWindow"),
        (
            at_rest(node()),
            leaving(made(drain={"policy": "Always"}), opens=(None, NOW)),
            "WaitingForWindow",
        ),
        # Not drained by its policy's word, so the shorter window is enough.
        (at_rest(node(), DRAIN), leaving(made(drain=NEVER), opens=(LATER, NOW)), "Cordon"),
        (at_rest(node()), leaving(made(), busy=("node-b",)), "WaitingForSlot"),
        (at_rest(node()), leaving(made(), others=(DOWN,)), "WaitingForSlot"),
        (at_rest(node(), **TAKEN), leaving(made()), "CordonTaken"),
        (at_rest(node(), **{**TAKEN, "nextAttemptAt": stamp(NOW)}), leaving(made()), "Cordon"),
        # A pause of before the policy was deleted is for another look.
        (at_rest(node(), nextAttemptAt=stamp(SOON)), leaving(made()), "Cordon"),
    ],
)
def test_what_it_waits_for(at: NodeContext, deleted: RestoreRequest, reason: str) -> None:
    status = restore.next_move(at, deleted).status
    begun = reason == "Cordon"
    assert (status.phase, status.reason) == ("RollingBack" if begun else "Waiting", reason)
    assert (status.operation is not None) is begun


SILENT, BOTH = node(ready="Unknown"), ("node-b", "node-c")


@pytest.mark.parametrize(
    ("at", "deleted", "given_up"),
    [
        (at_rest(SILENT), leaving(made(), patient=False), True),
        (at_rest(SILENT), leaving(made()), False),
        # A node is worked on, and who is ill meanwhile is not given up for that.
        (at_rest(SILENT), leaving(made(), patient=False, moving=True), False),
        # What was long in the way of who is drained was not in the way of this one.
        (
            at_rest(SILENT),
            leaving(made(), idle={True: PATIENCE, False: timedelta(0)}),
            False,
        ),
        (
            at_rest(SILENT, DRAIN),
            leaving(made(), idle={True: PATIENCE, False: timedelta(0)}),
            True,
        ),
        # The switch, a window and our own work take nobody's time.
        (at_rest(SILENT, world={"stopped": "x"}), leaving(made(), patient=False), False),
        (at_rest(SILENT), leaving(made(), patient=False, opens=(None, LATER)), False),
        (at_rest(node()), leaving(made(), patient=False, opens=(None, LATER)), False),
        (at_rest(node()), leaving(made(), patient=False, busy=("node-b",)), False),
        (at_rest(SILENT), leaving(made(), patient=False, busy=("node-b",)), True),
        # What cannot be expected to end gives no place back.
        (at_rest(node()), leaving(made(), patient=False, busy=BOTH, lost={"node-b"}), False),
        (at_rest(node()), leaving(made(), patient=False, busy=("node-b",), lost={"node-b"}), True),
        # No window is ever open; or none helps, for no other one begins.
        (at_rest(node()), leaving(made(), patient=False, opens=(NOW, None)), True),
        (
            at_rest(node()),
            leaving(made(), patient=False, failed="node-z", opens=(None, LATER)),
            True,
        ),
        # A node that is down and that nobody mends has the place.
        (at_rest(node()), leaving(made(), patient=False, others=(DOWN,)), True),
        # Somebody takes our cordon off again and again.
        (at_rest(node(), **TAKEN), leaving(made(), patient=False), True),
        (at_rest(node(), **TAKEN), leaving(made()), False),
        # It has its turn, however late.
        (at_rest(node()), leaving(made(), patient=False), False),
    ],
)
def test_when_it_is_given_up(at: NodeContext, deleted: RestoreRequest, given_up: bool) -> None:
    status = restore.next_move(at, deleted).status
    assert status.changed is not None
    assert (status.changed.restored == "GivenUp") is given_up
    assert (status.phase == "Pending") is given_up


@pytest.mark.parametrize(
    ("at", "outcome"),
    [
        (at_rest(node(), {"unknown": True}), "Refused"),
        (at_rest(node(), {"files": [], "unknown": True}), "Refused"),
        (at_rest(node(), {"files": []}), "Restored"),
        (at_rest(node(), paths={}), "Refused"),
    ],
)
def test_what_ends_without_having_begun(at: NodeContext, outcome: str) -> None:
    status = restore.next_move(at, leaving(made())).status
    assert status.operation is None
    assert status.changed is not None
    assert status.changed.restored == outcome


@pytest.mark.parametrize(
    ("at", "deleted"),
    [
        (at_rest(SILENT, EMPTY), leaving(made())),
        (at_rest(THEIRS, EMPTY), leaving(made())),
        (at_rest(node(), EMPTY, HELD), leaving(made())),
        (at_rest(node(), EMPTY, {"stopped": "an incident"}), leaving(made())),
        (at_rest(node(), EMPTY), leaving(made(PAUSED))),
        (at_rest(node(), EMPTY), leaving(made(), failed="node-z")),
        (at_rest(node(), EMPTY), leaving(made(), opens=(LATER, LATER))),
        (at_rest(node(), EMPTY), leaving(made(), busy=("node-b",))),
        # It keeps nothing, however long nothing went on.
        (at_rest(THEIRS, EMPTY), leaving(made(), patient=False)),
    ],
)
def test_where_nothing_of_it_stands_nothing_is_waited_for(
    at: NodeContext, deleted: RestoreRequest
) -> None:
    """A first change was rolled back, say: no node is touched for that."""
    move = restore.next_move(at, deleted)
    assert move.acts == ()
    assert (move.status.phase, move.status.reason) == ("Pending", "Restored")
    assert move.status.operation is None
    assert move.status.changed is not None
    assert move.status.changed.restored == "Restored"
    assert "nothing that it wrote stands there" in move.status.message


def test_what_is_not_known_is_not_called_nothing() -> None:
    unknown = at_rest(THEIRS, {**EMPTY, "unknown": True})
    assert restore.next_move(unknown, leaving(made())).status.phase == "Waiting"


def at_work(
    step: str = "GiveBack",
    at: Node = OURS,
    *,
    changed: Any = (),
    agents: int = 1,
    deleted: RestoreRequest | None = None,
    cordoned: bool = True,
    world: Any = (),
    operation: Any = (),
    **status: Any,
) -> NodeContext:
    """The same node while it is given back, with its agent of that number."""
    given = Operation(ID, Kind.RESTORE, "node-a", "", paths=PATHS, backup=FIRST)
    current = {
        "id": ID,
        "kind": "restore",
        "job": ID if agents == 1 else f"{ID}-{agents}",
        "step": step,
        "policy": {"name": "cure", "uid": "cure-uid"},
        "cordoned": cordoned,
        "startedAt": stamp(NOW),
        "input": json.dumps(given.to_json()),
        **dict(operation),
    }
    deleted = deleted or leaving(made())
    seen = {"policies": {"cure": deleted.policy}, **dict(world)}
    resting = at_rest(at, changed, seen, **status)
    known = {**resting.status.to_api(), "phase": "RollingBack", "operation": current}
    record = state(**known)
    return replace(resting, state=record, status=record.status, leaving=deleted)


def ending(move: Move) -> tuple[str, str]:
    """The step that follows, and what becomes of the change."""
    operation, changed = move.status.operation, move.status.changed
    assert operation is not None
    assert changed is not None
    return operation.step, changed.restored or ""


CALLED_OFF: list[tuple[NodeContext, str]] = [
    (at_work(), ""),
    (replace(at_work(), leaving=None), "the policy was let go, or another one has the node"),
    (at_work(world={"stopped": "an incident"}), "everything is stopped: an incident"),
    (at_work(deleted=leaving(made(PAUSED))), "policy cure is paused"),
    (at_work(world=HELD), "node-maintenance has the Lease"),
    (at_work(at=THEIRS), "somebody else has cordoned the node meanwhile"),
    (at_work(at=replace(OURS, ready="Unknown")), "the node's Ready is Unknown"),
    (at_work("Drain", changed=DRAIN, **WORKS), ""),
    (at_work("Drain", deleted=leaving(made(drain=ALWAYS)), **WORKS), ""),
    (
        at_work("Drain", changed=DRAIN, deleted=leaving(made(drain=NEVER)), **WORKS),
        "spec.drain.policy does not ask for a drain any more",
    ),
]


@pytest.mark.parametrize(("at", "why"), CALLED_OFF)
def test_what_calls_it_off_before_anything_is_written(at: NodeContext, why: str) -> None:
    move = restore.called_off(at)
    assert (move is None) is (why == "")
    assert move is None or why in move.status.message


def test_a_cordon_that_is_taken_off_ends_a_drain_with_a_pause_and_is_put_on_again_later() -> None:
    for attempts, seconds in ((0, 60), (1, 120), (20, 3600)):
        move = restore.called_off(at_work("Drain", node(), attempts=attempts))
        assert move is not None
        assert ending(move) == ("Release", "")
        assert move.status.attempts == attempts + 1
        assert move.status.next_attempt_at == NOW + timedelta(seconds=seconds)
    # Its pods are gone for it already, and the agent only waits to be sent.
    assert restore.called_off(at_work("GiveBack", node())) is None
    assert cordons(restore.give_back(at_work("GiveBack", node())))


def cordons(move: Move) -> bool:
    return any(isinstance(act, Cordon) for act in move.acts)


@pytest.mark.parametrize(
    ("late", "used", "off"),
    [(0, 0, False), (100, 100, False), (300, 300, False), (300, 0, True)],
)
def test_an_agent_is_taken_back_only_where_it_would_end_after_its_window(
    late: int, used: int, off: bool
) -> None:
    """`late`: seconds after the last moment to begin; `used`: those of them that it has had."""
    windows = [{"schedule": "0 0 * * *", "duration": "2h"}]
    deleted = made(rollout={"windows": windows}, verify={"deadline": "2m"})
    at = at_work(deleted=leaving(deleted))
    most = timedelta(seconds=longest(deleted.spec, at.world.config, drained=False))
    agent_has = at.world.config.apply_deadline_seconds + GRACE_SECONDS
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    now = midnight + timedelta(hours=2, seconds=late) - most
    deadline = {"deadline": stamp(now + timedelta(seconds=agent_has - used))}
    at = at_work(deleted=leaving(deleted), operation=deadline)
    at = replace(at, world=replace(at.world, now=now))
    assert (restore.called_off(at) is not None) is off


FOLLOWS = {
    "id": "restore-1123456789abcdef0123",
    "kind": "restore",
    "outcome": "Done",
    "finishedAt": stamp(NOW),
}


@pytest.mark.parametrize(
    ("more", "called_off"),
    [
        ({}, True),
        ({"agents": 2}, False),
        # Of two backups one is back already.
        ({"lastOperation": FOLLOWS}, False),
        ({"lastOperation": {**FOLLOWS, "finishedAt": stamp(NOW - PATIENCE)}}, True),
        ({"lastOperation": {**FOLLOWS, "kind": "apply"}}, True),
    ],
)
def test_once_something_is_put_back_nothing_calls_it_off(more: Any, called_off: bool) -> None:
    halted = leaving(made(PAUSED))
    unsent = restore.give_back(at_work(deleted=halted, **more))
    assert (ending(unsent)[0] == "Release") is called_off
    assert any(isinstance(act, CreateJob) for act in unsent.acts) is not called_off
    there = at_work(deleted=halted, **more)
    name = there.job
    waits = pod("agent", **UNSCHEDULED)
    seen = {"jobs": {name: job(name=name)}, "agents": {name: [waits]}}
    move = restore.give_back(at_work(deleted=halted, world=seen, **more))
    assert any(isinstance(act, DeleteJob) for act in move.acts) is called_off
    wanted = restore.give_back(at_work(world=seen, **more))
    assert not wanted.acts


@pytest.mark.parametrize(
    ("agents", "end"), [(1, ("GiveBack", "")), (2, ("GiveBack", "")), (3, ("Release", "Failed"))]
)
def test_an_agent_that_is_lost_is_sent_again_so_often(agents: int, end: tuple[str, str]) -> None:
    name = ID if agents == 1 else f"{ID}-{agents}"
    seen = {"jobs": {name: job(name=name)}, "agents": {name: [agent("", code=137)]}}
    assert ending(restore.give_back(at_work(agents=agents, world=seen))) == end


@pytest.mark.parametrize(
    ("spec", "more", "step"),
    [
        ({}, WORKS, "GiveBack"),
        ({}, {**WORKS, "changed": DRAIN}, "Drain"),
        ({"drain": {"policy": "Always"}}, WORKS, "Drain"),
        ({"drain": NEVER}, {**WORKS, "changed": DRAIN}, "GiveBack"),
        # Where deleting pods is broken today it would hang.
        (
            {"drain": {"policy": "Always"}},
            {"verdict": "Compatible", "after": {"existingDel": False}},
            "GiveBack",
        ),
        ({}, {"verdict": "Rewrite", "baseline": {"del": False}, "changed": DRAIN}, "GiveBack"),
        ({}, {"verdict": "Rewrite", "baseline": {"del": True}, "changed": DRAIN}, "Drain"),
        # What worked before the change says nothing of today, nor what a rewrite would do.
        ({}, {**WORKS, "baseline": {"del": False}, "changed": DRAIN}, "Drain"),
        (
            {},
            {
                "verdict": "Rewrite",
                "baseline": {"del": True},
                "after": {"existingDel": False},
                "changed": DRAIN,
            },
            "Drain",
        ),
        ({}, {"verdict": "Compatible", "changed": DRAIN}, "Drain"),
    ],
)
def test_pods_go_first_where_it_is_needed_and_works(spec: Any, more: Any, step: str) -> None:
    move = restore.cordon(at_work("Cordon", deleted=leaving(made(**spec)), **more))
    assert ending(move)[0] == step
    assert move.status.operation is not None
    assert move.status.operation.cordoned


def test_only_our_cordon_is_gone_on_with() -> None:
    [act] = [a for a in restore.cordon(at_work("Cordon", node())).acts if isinstance(a, Cordon)]
    assert act.node == "node-a"
    assert ending(restore.cordon(at_work("Cordon", THEIRS)))[0] == "Release"


def answered(result: Result, **more: Any) -> Move:
    """The move once the agent has said this."""
    said = agent(
        encode(replace(result, id=ID, kind=Kind.RESTORE, backup=result.backup or FIRST)).decode()
    )
    seen = {"jobs": {ID: job(name=ID)}, "agents": {ID: [said]}}
    return restore.give_back(at_work(world=seen, **more))


DRAINED = {"drained": True}


def refused(code: str) -> Result:
    return Result(ID, Kind.RESTORE, "node-a", Outcome.REFUSED, OperationError(code, "why"))


@pytest.mark.parametrize(
    ("code", "spec", "more", "outcome", "drained"),
    [
        ("Unsafe", {}, {}, "", True),
        ("Unsafe", {}, {"changed": DRAIN, "operation": DRAINED}, "Refused", False),
        # It was to be drained, and was not: that was not to be then, and may be now.
        ("Unsafe", {}, {"changed": DRAIN}, "", True),
        ("Unsafe", {"drain": NEVER}, {}, "Refused", False),
        ("Unsafe", {"drain": NEVER}, {"changed": DRAIN}, "Refused", False),
        ("Unsafe", {"drain": ALWAYS}, {"operation": DRAINED}, "Refused", False),
        # A drain would hang, so there is none.
        ("Unsafe", {}, {"after": {"existingDel": False}}, "Refused", False),
        ("ChangedSinceBackup", {}, {}, "Refused", False),
    ],
)
def test_what_the_agent_refuses_is_tried_once_more_where_a_drain_may_help(
    code: str, spec: Any, more: Any, outcome: str, drained: bool
) -> None:
    move = answered(refused(code), deleted=leaving(made(**spec)), **{**WORKS, **more})
    assert ending(move) == ("Release", outcome)
    assert move.status.changed is not None
    assert move.status.changed.drain is drained


def test_it_is_known_to_the_agents_answer_that_the_node_was_drained() -> None:
    drained = at_work("Drain", changed=DRAIN, world={"pods": {"node-a": []}}, **WORKS)
    operation = restore.drain(drained).status.operation
    assert operation is not None
    assert (operation.step, operation.drained) == ("GiveBack", True)


def looked(add: bool | None, delete: bool | None) -> Report:
    return replace(report(SimNode("node-a", "0.4.0")), baseline=Baseline(add, delete))


@pytest.mark.parametrize(
    ("seen", "spec", "step", "said"),
    [
        (looked(True, True), {}, "ProveAdd", ""),
        (looked(None, None), {}, "ProveAdd", ""),
        (looked(False, True), {}, "Release", "not proved: pods cannot be added or deleted"),
        (looked(True, False), {}, "Release", "not proved: pods cannot be added or deleted"),
        (
            looked(True, True),
            {"verify": {"proof": False}},
            "Release",
            "back; not proved: spec.verify.proof",
        ),
        (None, {}, "Release", "not proved: the agent could not look at the node afterwards"),
    ],
)
def test_it_is_proved_where_it_is_said_to_work(
    seen: Report | None, spec: Any, step: str, said: str
) -> None:
    done = Result(ID, Kind.RESTORE, "node-a", Outcome.DONE, report=seen)
    move = answered(done, deleted=leaving(made(**spec)))
    assert ending(move) == (step, "Restored" if said else "")
    assert said in move.status.message


def test_what_was_changed_at_different_times_is_put_back_in_turn() -> None:
    """On with the same cordon, which is not taken for somebody else's in between."""
    two = [FILE, {**FILE, "name": "20-more.conf", "backup": SECOND}]
    newest = Result(ID, Kind.RESTORE, "node-a", Outcome.DONE, backup=SECOND)
    move = answered(newest, changed={"files": two})
    assert ending(move) == ("GiveBack", "")
    assert move.status.operation is not None
    assert move.status.operation.cordoned
    assert Operation.from_json(json.loads(move.status.operation.input or "")).backup == FIRST


def test_a_restore_that_fails_is_a_failure() -> None:
    failed = Result(ID, Kind.RESTORE, "node-a", Outcome.FAILED, OperationError("Io", "no disk"))
    assert ending(answered(failed)) == ("Release", "Failed")
