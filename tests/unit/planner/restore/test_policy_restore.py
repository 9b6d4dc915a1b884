"""A deleted policy that gives back: on which nodes it waits, which it asks about, what moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api.names import FINALIZER
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.limits.change_duration import longest
from cni_upgrade.planner.restore.policy_restore import all_leaving, asker, of, turns
from cni_upgrade.planner.world.decisions import Emit, SetFinalizers, SetStatus
from cni_upgrade.planner.world.governance import Governance
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.snapshot import Snapshot, Unjudged
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.samples import NOW, node, operation, policy, state

HELD: dict[str, Any] = {"finalizers": [FINALIZER]}
DELETED: dict[str, Any] = {"deletionTimestamp": stamp(NOW)}


def made(name: str = "cure", meta: Any = (), **spec: Any) -> CNIUpgradePolicy:
    return parse_policy(merged(policy(name, **spec).to_api(), {"metadata": dict(meta)}))


def zone(name: str) -> dict[str, Any]:
    return {"nodeSelector": {"matchLabels": {"zone": name}}}


def world(*policies: CNIUpgradePolicy, **states: Any) -> Snapshot:
    """Node-a of zone a, without a record unless one is given."""
    return Snapshot(
        now=NOW,
        config=CONFIG,
        policies={each.metadata.name: each for each in policies},
        nodes={"node-a": node(zone="a")},
        states={each.metadata.name: each for each in states.values()},
    )


@pytest.mark.parametrize(
    ("other", "asked"),
    [
        (made("other", **zone("a")), 0),
        (made("other", **zone("b")), 1),
        (made("other", mode="Audit", **zone("a")), 1),
        (made("other", DELETED, **zone("a")), 1),
    ],
)
def test_a_node_on_which_another_policy_acts_is_not_asked_about(
    other: CNIUpgradePolicy, asked: int
) -> None:
    seen = world(made(meta=HELD | DELETED, deletionPolicy="Restore"), other)
    [turn] = turns(seen, all_leaving(seen))
    [said] = turn.decisions
    assert isinstance(said, SetStatus)
    counts = said.status["restore"]
    assert (counts["nodes"], counts["waiting"]) == (asked, asked)


@pytest.mark.parametrize("others", [(), (made("other", **zone("b")),)])
def test_a_policy_that_acts_no_more_is_held_while_a_node_is_without_a_record(others: Any) -> None:
    """A record that was lost is not nothing: what the policy wrote may stand there."""
    audits = made(meta=HELD, mode="Audit", deletionPolicy="Restore")
    assert list(turns(world(audits, *others), {})) == []
    looked_at = state(verdict="Compatible")
    [turn] = turns(world(audits, *others, a=looked_at), {})
    assert turn.decisions == (SetFinalizers("cure", "", ()),)
    [turn] = turns(world(audits, made("next", **zone("a"))), {})
    assert turn.decisions == (SetFinalizers("cure", "", ()),)


def test_a_policy_that_never_acted_is_not_held_for_a_node_without_a_record() -> None:
    audits = made(mode="Audit", deletionPolicy="Restore")
    assert list(turns(world(audits), {})) == []


GOING = made(meta=HELD | DELETED, deletionPolicy="Restore")
PATIENCE = timedelta(seconds=CONFIG.restore_patience_seconds)
SECOND = timedelta(seconds=1)
CHANGED: dict[str, Any] = {"policy": {"name": "cure", "uid": "cure-uid"}}
THEIRS: dict[str, Any] = {"policy": {"name": "other", "uid": "other-uid"}}


def waiting(seen: Snapshot) -> int:
    """How many nodes keep the policy, beside those that are worked on."""
    [said] = [each for turn in turns(seen, all_leaving(seen)) for each in turn.decisions]
    assert isinstance(said, SetStatus)
    return int(said.status["restore"]["waiting"])


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        (state(changed=CHANGED), 1),
        (state(claim="cure", changed=CHANGED), 1),
        # Policy other had it, and is gone: nobody else will say what is to stand there.
        (state(claim="other", changed=CHANGED), 1),
        (state(changed={**CHANGED, "restored": "Refused"}), 0),
        (state(changed=THEIRS), 0),
        (state(verdict="Compatible"), 0),
    ],
)
def test_which_nodes_keep_it(record: CNINodeState, kept: int) -> None:
    assert waiting(world(GOING, a=record)) == kept


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        # It has the node by now: what stands there is for that one to say.
        (made("other", **zone("a")), 0),
        (made("other", **zone("b")), 1),
        (made("other", mode="Audit", **zone("a")), 1),
        (made("other", DELETED, **zone("a")), 1),
    ],
)
def test_a_claim_takes_a_node_from_it_while_it_holds(other: CNIUpgradePolicy, kept: int) -> None:
    assert waiting(world(GOING, other, a=state(claim="other", changed=CHANGED))) == kept


@pytest.mark.parametrize(
    "gone",
    [
        {},
        {"node-a": replace(node(zone="a"), deleting=True)},
        {"node-a": replace(node(zone="a"), uid="another machine")},
    ],
)
def test_a_node_that_is_gone_keeps_nothing(gone: dict[str, Node]) -> None:
    assert waiting(replace(world(GOING, a=state(changed=CHANGED)), nodes=gone)) == 0


def told_of_a_change(audited: datetime | None) -> CNINodeState:
    """The policy was deleted a second after it."""
    last = {"outcome": "Done", "at": stamp(NOW - SECOND), "policy": "cure-uid"}
    observed = {"auditKey": "k", **({"auditedAt": stamp(audited)} if audited else {})}
    return state(verdict="Compatible", lastChange=last, observed=observed)


@pytest.mark.parametrize(
    ("at", "seen", "asked"),
    [
        (node(zone="a"), None, True),
        (node(zone="a"), state(), True),
        (node(zone="a"), state(verdict="Compatible"), False),
        (node(zone="a"), state(changed=CHANGED), False),
        # It tells of a change, and not of what that has changed.
        (node(zone="a"), told_of_a_change(None), True),
        (node(zone="a"), told_of_a_change(NOW - 2 * SECOND), True),
        (node(zone="a"), told_of_a_change(NOW), True),
        (node(zone="a"), told_of_a_change(NOW + SECOND), False),
        (node(zone="b"), None, False),
        (replace(node(zone="a"), system="windows"), None, False),
        (replace(node(zone="a"), system="linux"), None, True),
        (replace(node(zone="a"), deleting=True), None, False),
        (replace(node(zone="a"), uid="another machine"), state(), False),
    ],
)
def test_who_is_looked_at_for_it(at: Node, seen: CNINodeState | None, asked: bool) -> None:
    mine = made(meta=HELD | DELETED, deletionPolicy="Restore", **zone("a"))
    found = asker(at, seen, all_leaving(world(mine)), NOW + SECOND)
    assert (found is not None) is asked


def test_a_deletion_that_is_to_come_asks_for_no_look() -> None:
    """The clock was set back: no look would ever be later, and one would follow the other."""
    mine = made(meta=HELD | DELETED, deletionPolicy="Restore", **zone("a"))
    back = NOW - timedelta(hours=1)
    seen = told_of_a_change(back - SECOND)
    assert asker(node(zone="a"), seen, all_leaving(world(mine)), back) is None


WORKING: dict[str, Any] = operation("restore")


@pytest.mark.parametrize(
    ("current", "moves"),
    [
        ({}, True),
        ({"deadline": stamp(NOW + SECOND)}, True),
        ({"deadline": stamp(NOW - PATIENCE + SECOND)}, True),
        ({"deadline": stamp(NOW - PATIENCE)}, False),
        # A step without a deadline, a cordon say.
        ({"stepSince": stamp(NOW - 2 * PATIENCE + SECOND)}, True),
        ({"stepSince": stamp(NOW - 2 * PATIENCE)}, False),
        # The clock was set back, by seconds as another replica takes over, or by a day.
        ({"stepSince": stamp(NOW + SECOND)}, True),
        ({"stepSince": stamp(NOW + 24 * PATIENCE)}, False),
        (THEIRS, False),
        ({"kind": "audit"}, False),
    ],
)
def test_what_is_under_way_moves_until_it_is_long_overdue(current: Any, moves: bool) -> None:
    working = state(changed=CHANGED, operation={**WORKING, **current})
    seen = world(GOING, a=working)
    assert all_leaving(seen)["cure-uid"].moving is moves
    silent = replace(seen, nodes={"node-a": node(ready="Unknown", zone="a")})
    assert not all_leaving(silent)["cure-uid"].moving
    assert not all_leaving(replace(seen, nodes={}))["cure-uid"].moving


@pytest.mark.parametrize(
    ("since", "hope"),
    [
        (NOW, True),
        (NOW - PATIENCE + SECOND, True),
        (NOW - PATIENCE, False),
        # By a clock of before, or one that is not the same.
        (NOW + SECOND, True),
        (NOW + 24 * PATIENCE, False),
    ],
)
def test_who_is_silent_is_hoped_for_as_long_as_who_waits(since: datetime, hope: bool) -> None:
    """A step may take hours, and a blip of its node in the last one takes nobody else's turn."""
    silent = replace(node(ready="Unknown", zone="a"), ready_since=since)
    long = {**WORKING, "stepSince": stamp(NOW - 24 * PATIENCE)}
    seen = replace(world(GOING, a=state(changed=CHANGED, operation=long)), nodes={"node-a": silent})
    found = all_leaving(seen)["cure-uid"]
    assert found.moving is hope
    assert found.lost == (frozenset() if hope else {"node-a"})


@pytest.mark.parametrize(
    ("current", "lost"),
    [
        ({}, False),
        ({"deadline": stamp(NOW - PATIENCE)}, True),
        # Whoever it is done for, the place is taken.
        (THEIRS, False),
        ({**THEIRS, "deadline": stamp(NOW - PATIENCE)}, True),
        ({"kind": "audit", "deadline": stamp(NOW - PATIENCE)}, False),
    ],
)
def test_work_that_never_ends_is_lost(current: Any, lost: bool) -> None:
    seen = world(GOING, a=state(changed=CHANGED, operation={**WORKING, **current}))
    assert all_leaving(seen)["cure-uid"].lost == ({"node-a"} if lost else set())


def test_nothing_is_hoped_of_a_node_that_is_not_ours_to_judge() -> None:
    there = {"node-b": Unjudged(node("node-b"), True), "node-c": Unjudged(node("node-c"), False)}
    assert all_leaving(replace(world(GOING), unjudged=there))["cure-uid"].lost == {"node-b"}


ENFORCES, AUDITS = made("next"), made("look", mode="Audit")


@pytest.mark.parametrize(
    ("record", "acting", "given_back"),
    [
        (state(changed=CHANGED), None, True),
        (state(changed=CHANGED), AUDITS, True),
        (state(changed=CHANGED), ENFORCES, False),
        (state(changed={**CHANGED, "restored": "GivenUp"}), None, False),
        (state(changed=THEIRS), None, False),
        (state(), None, False),
    ],
)
def test_for_whom_a_node_is_given_back(
    record: CNINodeState, acting: CNIUpgradePolicy | None, given_back: bool
) -> None:
    found = of(record, Governance(acting, (), ()), all_leaving(world(GOING, a=record)))
    assert (found is not None) is given_back


@pytest.mark.parametrize(
    ("ended", "since", "progress"),
    [
        (None, None, NOW),
        (None, NOW - PATIENCE, NOW - PATIENCE),
        (NOW - SECOND, NOW - PATIENCE, NOW - SECOND),
        (NOW - PATIENCE, NOW - SECOND, NOW - SECOND),
        # The clock was set back: what is said to come has been, and is told to be now once.
        (None, NOW + PATIENCE, NOW),
        (NOW + PATIENCE, NOW + PATIENCE, NOW),
        (NOW + PATIENCE, NOW - SECOND, NOW - SECOND),
    ],
)
def test_since_when_nothing_goes_on(
    ended: datetime | None, since: datetime | None, progress: datetime
) -> None:
    told = {"restore": {"since": stamp(since)} if since else {}}
    mine = parse_policy(merged(GOING.to_api(), {"status": told}))
    settled = {"restored": "Restored", "restoredAt": stamp(ended)} if ended else {}
    record = state(changed={**CHANGED, **settled})
    seen = world(mine, a=record)
    assert all_leaving(seen)["cure-uid"].progress == progress
    # A stop takes nobody's time.
    assert all_leaving(replace(seen, stopped="an incident"))["cure-uid"].progress == NOW


LONGEST = timedelta(seconds=longest(GOING.spec, CONFIG, drained=True))
HOURS_AGO = NOW - 2 * LONGEST


@pytest.mark.parametrize(
    ("record", "progress"),
    [
        ({"phase": "Waiting", "phaseSince": NOW - SECOND}, HOURS_AGO + LONGEST),
        ({"phase": "Pending", "phaseSince": HOURS_AGO + SECOND}, HOURS_AGO + SECOND),
        ({"phase": "Waiting", "phaseSince": HOURS_AGO - SECOND}, HOURS_AGO),
        # The clock was set back.
        ({"phase": "Waiting", "phaseSince": NOW + SECOND}, HOURS_AGO),
        ({"phase": "Waiting"}, HOURS_AGO),
        ({"phase": "Blocked", "phaseSince": NOW - SECOND}, HOURS_AGO),
        ({"phase": "Pending", "phaseSince": NOW - SECOND, "restored": "GivenUp"}, HOURS_AGO),
    ],
)
def test_work_that_was_called_off_went_on_until_then(
    record: dict[str, Any], progress: datetime
) -> None:
    """For as long as a change may take: one that is called off always is not waited for always."""
    told = {"restore": {"since": stamp(HOURS_AGO)}}
    mine = parse_policy(merged(GOING.to_api(), {"status": told}))
    known = {name: stamp(at) if name == "phaseSince" else at for name, at in record.items()}
    outcome = known.pop("restored", None)
    seen = world(mine, a=state(changed={**CHANGED, "restored": outcome}, **known))
    found = all_leaving(seen)["cure-uid"]
    assert (found.progress, found.settled) == (progress, HOURS_AGO)
    [turn] = turns(seen, all_leaving(seen))
    [said] = turn.decisions
    assert isinstance(said, SetStatus)
    # What is written is not moved on by it, so that the limit holds.
    assert said.status["restore"].get("since", stamp(HOURS_AGO)) == stamp(HOURS_AGO)


def test_to_give_a_node_up_is_nothing_that_goes_on() -> None:
    """A node that never ends would be waited for once more, whenever another one is given up."""
    told = {"restore": {"since": stamp(NOW - PATIENCE)}}
    mine = parse_policy(merged(GOING.to_api(), {"status": told}))
    record = state(changed={**CHANGED, "restored": "GivenUp", "restoredAt": stamp(NOW - SECOND)})
    assert all_leaving(world(mine, a=record))["cure-uid"].progress == NOW - PATIENCE


@pytest.mark.parametrize(
    ("current", "since", "goes_on"),
    [
        ({"deadline": stamp(NOW)}, NOW - PATIENCE, True),
        ({"deadline": stamp(NOW - PATIENCE)}, NOW - PATIENCE, False),
        ({"deadline": stamp(NOW - PATIENCE)}, NOW - PATIENCE + SECOND, True),
        # The node is another policy's by now, whose change it is.
        ({**THEIRS, "deadline": stamp(NOW)}, NOW - SECOND, False),
    ],
)
def test_a_node_that_is_worked_on_keeps_it_while_there_is_hope(
    current: Any, since: datetime, goes_on: bool
) -> None:
    mine = parse_policy(merged(GOING.to_api(), {"status": {"restore": {"since": stamp(since)}}}))
    seen = world(mine, a=state(changed=CHANGED, operation={**WORKING, **current}))
    [turn] = turns(seen, all_leaving(seen))
    [said] = turn.decisions
    assert isinstance(said, SetStatus)
    [ready] = [each for each in said.status["conditions"] if each["type"] == "Ready"]
    assert ready["reason"] == ("Restoring" if goes_on else "NotRestored")


@pytest.mark.parametrize(("restored", "goes"), [(None, False), ("Restored", True)])
def test_it_goes_once_no_node_keeps_it_and_that_is_said(restored: str | None, goes: bool) -> None:
    record = state(changed={**CHANGED, "restored": restored})
    seen = world(GOING, a=record)
    [turn] = turns(seen, all_leaving(seen))
    [said] = turn.decisions
    assert isinstance(said, SetStatus)
    mine = parse_policy(merged(GOING.to_api(), {"status": said.status}))
    seen = world(mine, a=record)
    decisions = [each for turn in turns(seen, all_leaving(seen)) for each in turn.decisions]
    assert [type(each) for each in decisions] == ([Emit, SetFinalizers] if goes else [])


@pytest.mark.parametrize(
    ("restored", "others", "kind", "reason", "told"),
    [
        ("Restored", (), "Normal", "Restored", "1 of 1 nodes have their files back"),
        ("Refused", (), "Warning", "NotRestored", "0 of 1 nodes have their files back, 1 refused"),
        # What it wrote stands there still, for the other one to say what is to.
        (
            None,
            (made("other", **zone("a")),),
            "Warning",
            "NotRestored",
            "0 of 1 nodes have their files back, 1 left as they are (another policy's by now",
        ),
    ],
)
def test_its_last_event_says_what_its_status_says(
    restored: str | None, others: Any, kind: str, reason: str, told: str
) -> None:
    record = state(claim="other", changed={**CHANGED, "restored": restored})
    seen = world(GOING, *others, a=record)
    [said] = [each for turn in turns(seen, all_leaving(seen)) for each in turn.decisions]
    assert isinstance(said, SetStatus)
    mine = parse_policy(merged(GOING.to_api(), {"status": said.status}))
    seen = world(mine, *others, a=record)
    [event, _] = [each for turn in turns(seen, all_leaving(seen)) for each in turn.decisions]
    assert isinstance(event, Emit)
    assert (event.type, event.reason) == (kind, reason)
    assert told in event.message
    [ready] = [each for each in said.status["conditions"] if each["type"] == "Ready"]
    assert ready["reason"] == reason


@pytest.mark.parametrize(("paused", "stands"), [(False, "Restoring"), (True, "Paused")])
def test_a_person_is_called_once_where_nobody_begins_after_a_failure(
    paused: bool, stands: str
) -> None:
    going = parse_policy(merged(GOING.to_api(), {"spec": {"paused": paused}}))
    records = {
        "a": state(changed={**CHANGED, "restored": "Failed", "message": "no room"}),
        "b": state("node-b", changed=CHANGED),
    }
    there = {"node-a": node(zone="a"), "node-b": node("node-b", zone="a")}
    seen = replace(world(going, **records), nodes=there)
    [turn] = turns(seen, all_leaving(seen))
    said, called = turn.decisions
    assert isinstance(said, SetStatus)
    assert isinstance(called, Emit)
    assert (called.type, called.name, called.reason) == ("Warning", "cure", "NodeFailed")
    assert "node-a" in called.message
    reasons = {each["type"]: each["reason"] for each in said.status["conditions"]}
    assert (reasons["Ready"], reasons["Stalled"]) == (stands, "NodeFailed")
    mine = parse_policy(merged(going.to_api(), {"status": said.status}))
    again = replace(world(mine, **records), nodes=there)
    assert not list(turns(again, all_leaving(again)))
