"""What a record does not know of a change, it learns from the backups on the node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.agent.protocol.operation import Kind, Standing, StandingFile
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.node.record_recovery import not_there, remade
from cni_upgrade.planner.steps.audit import audited
from tests.unit.planner.api_model import stamp
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.samples import NOW, operation, policy, report, result, state, view

NAME, HEARD, UNHEARD, THEIRS = "10-net.conflist", "a" * 64, "b" * 64, "c" * 64
FIRST, NEWEST = "20250101T000000Z-00000000", "20260101T000000Z-00000000"
KNOWN: dict[str, Any] = {
    "policy": {"name": "cure", "uid": "cure-uid"},
    "files": [{"name": NAME, "backup": FIRST, "from": "0.4.0", "to": "1.0.0", "sha256": HEARD}],
}
DONE = {"outcome": "Done", "at": stamp(NOW), "policy": "cure-uid"}
PERHAPS = {**DONE, "outcome": "Unproved", "written": False, "baseline": {"add": True, "del": True}}


def looked(found: str, written: str | None, **status: Any) -> NodeContext:
    """Node-a after a look that finds those bytes, and whose agent tells that it wrote these."""
    at = view("audit", policies={"cure": policy()})
    known = state(**{"baseline": {"add": True, "del": False}, **status})
    whole = report(SimNode("node-a", "1.1.0"))
    file = StandingFile(NAME, FIRST, "0.4.0", "1.1.0", written or "", NEWEST)
    told = Standing("cure-uid", (file,)) if written else None
    files = tuple(replace(each, sha256=found) for each in whole.files)
    seen = replace(whole, files=files, standing=told)
    return remade(replace(at, state=known, status=known.status), seen, policy())


@pytest.mark.parametrize(
    ("found", "written", "outcome"),
    [
        (UNHEARD, UNHEARD, "Unproved"),
        (HEARD, HEARD, "Done"),
        # Somebody has changed it since: that is theirs, and drift.
        (THEIRS, UNHEARD, "Done"),
        (HEARD, UNHEARD, "Done"),
        (UNHEARD, None, "Done"),
    ],
)
def test_what_an_agent_wrote_whose_answer_was_lost_is_to_be_proved(
    found: str, written: str | None, outcome: str
) -> None:
    status = looked(found, written, changed=KNOWN, lastChange=DONE).status
    last, changed = status.last_change, status.changed
    assert last is not None
    assert last.outcome == outcome
    assert changed is not None
    [file] = changed.files
    assert file.backup == FIRST, "what stood there before the policy"
    if outcome == "Unproved":
        assert (file.to, file.sha256) == ("1.1.0", UNHEARD)
        assert last.backup == NEWEST, "what was proved last"
        assert last.baseline is not None
        assert last.baseline.delete is False, "what worked before it"
    else:
        assert file.sha256 == HEARD


@pytest.mark.parametrize(
    ("last", "outcome", "backup", "works"),
    [
        (PERHAPS, "Unproved", NEWEST, True),
        ({**PERHAPS, "backup": "of before both"}, "Unproved", "of before both", True),
        # A person has yet to ask for another try.
        ({**PERHAPS, "outcome": "Failed"}, "Failed", NEWEST, True),
        (None, "Unproved", NEWEST, False),
    ],
)
def test_what_is_known_of_such_a_change_stays(
    last: Any, outcome: str, backup: str, works: bool
) -> None:
    kept = looked(UNHEARD, UNHEARD, changed=KNOWN, lastChange=last).status.last_change
    assert kept is not None
    assert (kept.outcome, kept.backup, kept.written) == (outcome, backup, None)
    assert kept.baseline is not None
    assert kept.baseline.delete is works


@pytest.mark.parametrize(
    ("changed", "last", "stays"),
    [
        (None, PERHAPS, False),
        # That it was written an agent has said; or what it may have changed was changed before.
        (None, {**PERHAPS, "written": None}, True),
        (KNOWN, PERHAPS, True),
        (None, DONE, True),
    ],
)
def test_where_nothing_was_written_nothing_is_to_be_proved(
    changed: Any, last: Any, stays: bool
) -> None:
    status = looked(HEARD, None, changed=changed, lastChange=last).status
    assert (status.last_change is not None) is stays


def test_of_a_record_that_was_lost_nobody_knows_what_worked_before() -> None:
    last = looked(UNHEARD, UNHEARD).status.last_change
    assert last is not None
    assert (last.outcome, last.baseline, last.backup) == ("Unproved", None, NEWEST)
    assert (
        looked(UNHEARD, UNHEARD, lastChange=DONE).status.last_change
        == state(lastChange=DONE).status.last_change
    )


def test_of_the_first_change_whose_answer_was_lost_it_is_known_what_worked_before() -> None:
    status = looked(UNHEARD, UNHEARD, verdict="Rewrite").status
    last, changed = status.last_change, status.changed
    assert last is not None
    assert (last.outcome, last.baseline, last.backup) == ("Unproved", status.baseline, NEWEST)
    assert changed is not None
    assert changed.files[0].sha256 == UNHEARD


UNPROVED = {**PERHAPS, "written": None}
MORE = {**KNOWN["files"][0], "name": "20-more.conf"}


@pytest.mark.parametrize(
    ("found", "files", "told", "last", "stays"),
    [
        # Nothing was written: each file stands as it was recorded, or all was given back before.
        (HEARD, KNOWN["files"], HEARD, PERHAPS, False),
        (HEARD, KNOWN["files"], None, PERHAPS, False),
        (THEIRS, [], None, PERHAPS, False),
        # It stands, and is not proved.
        (HEARD, KNOWN["files"], HEARD, UNPROVED, True),
        # Somebody has overwritten it; of two files, not the other one.
        (THEIRS, KNOWN["files"], HEARD, UNPROVED, False),
        (THEIRS, KNOWN["files"], HEARD, PERHAPS, False),
        (HEARD, [*KNOWN["files"], MORE], HEARD, UNPROVED, True),
        (HEARD, [*KNOWN["files"], MORE], HEARD, PERHAPS, True),
        # An agent wrote it whose answer was lost; or nobody can read what one has written.
        (UNHEARD, KNOWN["files"], UNHEARD, UNPROVED, True),
        (UNHEARD, KNOWN["files"], UNHEARD, PERHAPS, True),
        (HEARD, KNOWN["files"], "", PERHAPS, True),
        (THEIRS, KNOWN["files"], "", UNPROVED, True),
        # The folder shows nothing; no file is known that could have been overwritten.
        (None, KNOWN["files"], None, UNPROVED, True),
        (THEIRS, [], None, UNPROVED, True),
        (THEIRS, KNOWN["files"], HEARD, {**DONE, "outcome": "Failed"}, True),
    ],
)
def test_what_is_not_there_is_not_to_be_proved(
    found: str | None, files: Any, told: str | None, last: Any, stays: bool
) -> None:
    status = state(changed={**KNOWN, "files": files}, lastChange=last).status
    whole = report(SimNode("node-a", "1.1.0"))
    file = StandingFile(NAME, FIRST, "0.4.0", "1.1.0", told or "", NEWEST)
    standing = Standing("cure-uid", (file,)) if told else Standing(None) if told == "" else None
    shown = tuple(replace(each, sha256=found) for each in whole.files) if found else ()
    seen = replace(whole, files=shown, standing=standing)
    assert (not_there(status, seen).last_change is not None) is stays


def test_of_a_record_that_does_not_know_what_was_changed_nothing_is_concluded() -> None:
    status = state(changed={**KNOWN, "unknown": True}, lastChange=UNPROVED).status
    seen = report(SimNode("node-a", "1.1.0"))
    assert not_there(status, seen) == status
    assert not_there(state(lastChange=UNPROVED).status, seen).last_change is not None


@pytest.mark.parametrize("cut", [False, True])
def test_of_a_report_that_was_cut_nothing_is_concluded(cut: bool) -> None:
    """Of a digest that was cut nobody can say that it is another one."""
    at = view("audit", policies={"cure": policy()})
    known = {**at.status.to_api(), "changed": KNOWN, "lastChange": UNPROVED}
    whole = report(SimNode("node-a", "0.4.0"))
    seen = replace(whole, files=tuple(replace(each, sha256=HEARD[:40]) for each in whole.files))
    answer = result(kind=Kind.AUDIT, report=seen, truncated=cut)
    status = audited(replace(at, status=NodeStateStatus.model_validate(known)), answer).status
    assert (status.last_change is not None) is cut


@pytest.mark.parametrize(
    ("mode", "asked", "whose"),
    [
        ("Audit", True, "cure"),
        # It may have written itself.
        ("Enforce", True, "look"),
        ("Audit", False, None),
    ],
)
def test_what_cannot_be_read_is_of_the_policy_that_may_have_written_it(
    mode: str, asked: bool, whose: str | None
) -> None:
    """The look was another policy's: the one that is deleted was not there yet, or not alone."""
    other, gone = policy("look", mode=mode), policy(deletionPolicy="Restore")
    by = {"name": "look", "uid": "look-uid"}
    at = view("audit", policies={"cure": gone, "look": other})
    known = state(operation=operation("audit", policy=by), observed=at.status.observed)
    seen = replace(report(SimNode("node-a", "1.0.0")), standing=Standing(None))
    at = replace(at, state=known, status=known.status, asker=gone if asked else None)
    changed = audited(at, result(kind=Kind.AUDIT, report=seen)).status.changed
    assert (changed.policy.name if changed else None) == whose
    assert changed is None or changed.unknown
