"""A change that failed is one to be proved, where another look finds what was written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.api.history import LastChange
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.planner.node.pending_proof import before, perhaps_written, reopened, unproved
from cni_upgrade.planner.steps.finish import gave_back
from tests.unit.planner.api_model import stamp
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.samples import ID, NOW, policy, report, state, view

OURS, THEIRS = "a" * 64, "b" * 64
FILE = {"name": "10-net.conflist", "backup": "b", "sha256": OURS}


@pytest.mark.parametrize(
    ("files", "found", "outcome", "now"),
    [
        ([FILE], OURS, "Failed", "Unproved"),
        ([FILE], THEIRS, "Failed", "Failed"),
        # A file that was removed, or is not there any more: of two, one says nothing.
        ([FILE, {**FILE, "name": "20-more.conf"}], OURS, "Failed", "Failed"),
        ([FILE, {**FILE, "name": "10-net.conf", "sha256": ""}], OURS, "Failed", "Unproved"),
        # Nothing is written that could be proved.
        ([], OURS, "Failed", "Failed"),
        ([{**FILE, "sha256": ""}], OURS, "Failed", "Failed"),
        ([FILE], OURS, "RolledBack", "RolledBack"),
        ([FILE], OURS, "Done", "Done"),
    ],
)
def test_it_is_to_be_proved_where_it_stands(
    files: list[dict[str, Any]], found: str, outcome: str, now: str
) -> None:
    status = state(
        lastChange={"outcome": outcome, "at": stamp(NOW)},
        changed={"policy": {"name": "cure", "uid": "cure-uid"}, "files": files},
    ).status
    whole = report(SimNode("node-a", "1.0.0"))
    seen = replace(whole, files=tuple(replace(file, sha256=found) for file in whole.files))
    last = reopened(status, seen).last_change
    assert last is not None
    assert last.outcome == now


@pytest.mark.parametrize(
    ("more", "spec", "expected"),
    [
        ({}, {}, True),
        ({}, {"verify": {"proof": False}}, False),
        ({}, {"mode": "Audit"}, False),
        # It may be gone by now, and have been applied again.
        ({"policy": "other-uid"}, {}, True),
        ({"outcome": "Done"}, {}, False),
    ],
)
def test_it_is_unproved_for_a_policy_that_wants_a_proof(
    more: dict[str, Any], spec: dict[str, Any], expected: bool
) -> None:
    last = {"outcome": "Unproved", "at": stamp(NOW), "policy": "cure-uid", **more}
    assert unproved(state(lastChange=last).status, policy(**spec)) is expected


EARLIER = {
    "outcome": "Unproved",
    "at": stamp(NOW),
    "policy": "cure-uid",
    "baseline": {"add": True, "del": True},
    "backup": "20250101T000000Z-00000000",
}
CHANGED = {"policy": {"name": "cure", "uid": "cure-uid"}, "files": [FILE]}
ANSWER = {"kind": "apply", "outcome": "Done", "backup": "20260101T000000Z-00000000"}


def perhaps(kind: str, **status: Any) -> LastChange | None:
    """The change of a node whose operation of that kind nobody can bring to its end."""
    at = view(kind)
    known = {"baseline": {"add": False, "del": True}, **status}
    whole = NodeStateStatus.model_validate({**at.status.to_api(), **known})
    return perhaps_written(replace(at, status=whole)).last_change


def test_a_proof_of_later_writes_nothing_so_its_change_stays_as_it_was_known() -> None:
    """What worked before it, and the backup of then, are known nowhere else."""
    assert perhaps("prove", lastChange=EARLIER) == LastChange.model_validate(EARLIER)
    unknown = perhaps("prove")
    assert unknown is not None
    assert (unknown.outcome, unknown.baseline, unknown.backup) == ("Unproved", None, None)


@pytest.mark.parametrize(
    ("kind", "answered", "add", "backup"),
    [
        ("apply", ID, False, ANSWER["backup"]),
        ("apply", "apply-before", False, None),
        ("restore", ID, None, None),
    ],
)
def test_of_a_change_the_backup_is_kept_that_its_own_agent_has_made(
    kind: str, answered: str, add: bool | None, backup: str | None
) -> None:
    proved = {**EARLIER, "outcome": "Done"}
    known = perhaps(kind, lastChange=proved, lastOperation={**ANSWER, "id": answered})
    assert known is not None
    assert (known.baseline.add if known.baseline else None, known.backup) == (add, backup)
    nobody = perhaps(kind)
    assert nobody is not None
    assert nobody.backup is None


@pytest.mark.parametrize(
    ("kind", "more", "written"),
    [
        ("apply", {}, False),
        ("apply", {"lastOperation": {**ANSWER, "id": ID}}, None),
        ("apply", {"lastOperation": {**ANSWER, "id": "apply-before"}}, False),
        # What one before it wrote stands, or this one's does.
        ("apply", {"lastChange": EARLIER}, None),
        ("apply", {"lastChange": {**EARLIER, "written": False}}, False),
        ("apply", {"lastChange": {**EARLIER, "outcome": "Done"}}, False),
        ("apply", {"lastChange": {**EARLIER, "policy": "other-uid"}}, None),
        ("restore", {"lastChange": EARLIER}, None),
        ("restore", {"lastChange": {**EARLIER, "outcome": "Done"}}, False),
        # A change that has failed and stands; one that has failed and wrote nothing.
        ("apply", {"lastChange": {**EARLIER, "outcome": "Failed"}, "changed": CHANGED}, None),
        ("apply", {"lastChange": {**EARLIER, "outcome": "Failed"}}, False),
        ("apply", {"lastChange": {**EARLIER, "outcome": "RolledBack"}, "changed": CHANGED}, False),
    ],
)
def test_it_is_said_where_no_agent_has_said_that_it_wrote(
    kind: str, more: dict[str, Any], written: bool | None
) -> None:
    known = perhaps(kind, **more)
    assert known is not None
    assert (known.outcome, known.written) == ("Unproved", written)


MINE, FIRST = str(ANSWER["backup"]), str(EARLIER["backup"])


@pytest.mark.parametrize(
    ("earlier", "first", "works", "backup"),
    [
        ({}, FIRST, True, FIRST),
        # It is not known whether it was written: then this one's backup is all there is.
        ({"backup": None}, MINE, True, MINE),
        # What worked before it is not known, or was somebody else's, or it was proved.
        ({"baseline": None}, FIRST, False, MINE),
        ({"policy": "other-uid"}, FIRST, False, MINE),
        ({"outcome": "Done"}, FIRST, False, MINE),
        # This one has written another file, which the earlier backup does not hold.
        ({}, MINE, False, MINE),
    ],
)
def test_a_change_over_one_that_was_never_proved_is_judged_by_what_worked_before_both(
    earlier: dict[str, Any], first: str, works: bool, backup: str
) -> None:
    at = view()
    known = {
        "baseline": {"add": False, "del": True},
        "lastChange": {**EARLIER, **earlier},
        "lastOperation": {**ANSWER, "id": ID},
        "changed": {
            "policy": {"name": "cure", "uid": "cure-uid"},
            "files": [{**FILE, "backup": FIRST}, {**FILE, "name": "20-more.conf", "backup": first}],
        },
    }
    whole = NodeStateStatus.model_validate({**at.status.to_api(), **known})
    found, goes_back = before(replace(at, status=whole))
    assert found is not None
    assert (found.add, goes_back) == (works, backup)


def test_a_look_has_written_nothing() -> None:
    assert perhaps("audit") is None


@pytest.mark.parametrize(
    ("outcome", "last", "stays"),
    [
        ("Restored", EARLIER, False),
        ("Restored", {**EARLIER, "outcome": "Done"}, True),
        ("Refused", EARLIER, True),
        ("Failed", EARLIER, True),
    ],
)
def test_what_was_given_back_is_not_to_be_proved_any_more(
    outcome: str, last: Any, stays: bool
) -> None:
    """Else the next policy would hold its other nodes for it."""
    at = view("restore")
    changed = {"policy": {"name": "cure", "uid": "cure-uid"}, "files": [FILE]}
    known = {**at.status.to_api(), "changed": changed, "lastChange": last}
    move = gave_back(
        replace(at, status=NodeStateStatus.model_validate(known)), outcome, "what became of it"
    )
    assert (move.status.last_change is not None) is stays
