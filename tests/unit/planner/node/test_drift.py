"""Drift, one audit at a time: what counts as such, and what the record says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.agent.protocol.operation import Action, Report
from cni_upgrade.api.changed import Changed, ChangedFile
from cni_upgrade.api.drift import DriftStatus
from cni_upgrade.api.names import RETRY
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.api.policy_ref import PolicyRef
from cni_upgrade.planner.node import drift
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world.retry_annotation import digest
from tests.unit.planner import samples
from tests.unit.planner.api_model import merged
from tests.unit.planner.node_model import SimNode

OURS = "a" * 64
POLICY = samples.policy(drift={"maxReverts": 1, "within": "1h"})
DAILY = samples.policy(drift={"maxReverts": 3, "within": "24h"})


def seen(
    known: DriftStatus | None = None, restored: str | None = None, to: str | None = "1.0.0"
) -> NodeContext:
    """A node on which 10-net.conflist was written, at 1.0.0 unless said otherwise."""
    ref = PolicyRef(name="cure", uid="cure-uid")
    file = ChangedFile(name="10-net.conflist", backup="b", to=to, sha256=OURS)
    changed = Changed(policy=ref, files=(file,), restored=restored)
    view = samples.view("audit")
    update = {"changed": changed, "drift": known}
    return replace(view, status=view.status.model_copy(update=update))


def report(sha256: str, action: Action = Action.REWRITE, **more: Any) -> Report:
    whole = samples.report(SimNode("node-a", "0.4.0"))
    [file] = whole.files
    return replace(whole, files=(replace(file, sha256=sha256, action=action, **more),))


def test_what_is_as_written_is_no_drift() -> None:
    assert drift.judged(seen(), POLICY, report(OURS, Action.NONE)) == (None, None)


def test_what_is_to_be_rewritten_for_another_target_is_no_drift() -> None:
    assert drift.judged(seen(), POLICY, report(OURS)) == (None, None)


@pytest.mark.parametrize("action", [Action.NONE, Action.REFUSE, Action.MANAGED])
def test_what_is_not_ours_to_write_is_no_drift(action: Action) -> None:
    assert drift.judged(seen(), POLICY, report("b" * 64, action)) == (None, None)


def test_what_a_deleted_policy_has_given_back_is_no_drift() -> None:
    assert drift.judged(seen(restored="Restored"), POLICY, report("b" * 64)) == (None, None)


@pytest.mark.parametrize("restored", ["Restored", "Refused", "GivenUp"])
def test_what_was_fought_over_goes_with_the_policy_that_wrote_it(restored: str) -> None:
    """The next policy's first change there is no mend, and finds no budget spent."""
    spent = DriftStatus(found=(samples.NOW,), sha256="b" * 64, spent=True, fought="b" * 64)
    assert drift.judged(seen(spent, restored), POLICY, report("b" * 64)) == (None, None)


def test_it_names_who_writes_as_far_as_is_known() -> None:
    other = report(
        "b" * 64,
        managed_by="flannel: ConfigMap kube-flannel-cfg",
        owner="0:0",
        modified="2026-01-01T11:00:00Z",
    )
    known, entry = drift.judged(seen(), POLICY, other)
    assert known is not None
    assert entry is not None
    for text in ("flannel: ConfigMap kube-flannel-cfg", "0:0", "2026-01-01T11:00:00Z"):
        assert text in known.writer
        assert text in entry.message
    assert (entry.kind, entry.outcome, entry.from_) == ("drift", "Found", "1.0.0")


def test_what_a_rollback_gave_back_may_have_no_version() -> None:
    """Somebody had taken it out before the change that was put back."""
    _, entry = drift.judged(seen(to=None), POLICY, report("b" * 64))
    assert entry is not None
    assert entry.from_ == "missing"
    assert "was written at no version and is at 0.4.0" in entry.message


def test_the_same_drift_is_found_once() -> None:
    known, _ = drift.judged(seen(), POLICY, report("b" * 64))
    again, entry = drift.judged(seen(known), POLICY, report("b" * 64))
    assert (again, entry) == (known, None)


def test_what_was_not_mended_cannot_have_been_changed_back() -> None:
    """A policy that is paused mends nothing: its budget is not spent by edits in the meantime."""
    known, told = None, []
    for number, content in enumerate("bcdee"):
        view = seen(known)
        later = replace(view.world, now=samples.NOW + number * timedelta(hours=4))
        other = report(content * 64, owner=f"{number}:0")
        known, entry = drift.judged(replace(view, world=later), DAILY, other)
        told += [entry] if entry else []
    assert known is not None
    assert (known.found, known.spent, known.fought) == ((samples.NOW,), False, None)
    assert (known.sha256, len(told)) == ("e" * 64, 1)
    assert "file of 3:0" in known.writer


def test_the_budget_is_spent_by_one_more_than_it_allows() -> None:
    first, _ = drift.judged(seen(), POLICY, report("b" * 64))
    assert first is not None
    assert not first.spent
    second, entry = drift.judged(seen(drift.mended(first)), POLICY, report("b" * 64))
    assert second is not None
    assert entry is not None
    assert (second.spent, second.fought, entry.outcome) == (True, "b" * 64, drift.SPENT)
    assert "1 within 1h" in drift.left(second, POLICY)


def test_something_else_has_its_chance_as_far_as_the_budget_goes() -> None:
    """As many within the time as it allows are borne, one more is not."""
    for times, spent in ((1, False), (2, True)):
        found = (samples.NOW,) * times
        fought = DriftStatus(found=found, sha256="b" * 64, spent=True, fought="c", retry="/")
        known, _ = drift.judged(seen(fought), POLICY, report("b" * 64))
        assert known is not None
        assert known.spent is spent


def test_as_written_again_ends_it() -> None:
    spent = DriftStatus(found=(samples.NOW,), sha256="b" * 64, spent=True, fought="b" * 64)
    known, _ = drift.judged(seen(spent), POLICY, report(OURS, Action.NONE))
    assert known is not None
    assert (known.spent, known.sha256, known.fought) == (False, None, None)


MINUTE = timedelta(minutes=1)
LOST = DriftStatus(
    found=(samples.NOW,) * 2, sha256="b" * 64, spent=True, fought="b" * 64, retry="/"
)
"""Node-a once nothing more is written there."""


def test_without_a_policy_nothing_is_judged() -> None:
    assert drift.judged(seen(), None, report("b" * 64)) == (None, None)
    assert drift.judged(seen(LOST), None, report("c" * 64)) == (LOST, None)


def test_only_what_is_seen_to_be_as_written_ends_it() -> None:
    """Not a file that is gone, nor one with other content that needs no change."""
    gone = replace(report(OURS), files=())
    for found in (gone, report("c" * 64, Action.NONE), report("b" * 64, Action.REFUSE)):
        assert drift.judged(seen(LOST), POLICY, found) == (LOST, None)


def test_what_was_fought_over_stays_theirs() -> None:
    """The budget of its time has long been free again."""
    old = LOST.model_copy(update={"found": (samples.NOW - timedelta(days=1),) * 2})
    assert drift.judged(seen(old), POLICY, report("b" * 64)) == (old, None)


@pytest.mark.parametrize(("ago", "spent"), [(timedelta(hours=1), False), (59 * MINUTE, True)])
def test_what_was_found_counts_for_as_long_as_the_policy_says(ago: timedelta, spent: bool) -> None:
    before = DriftStatus(found=(samples.NOW - ago,), retry="/")
    known, _ = drift.judged(seen(before), POLICY, report("b" * 64))
    assert known is not None
    assert known.spent is spent
    assert known.found == (samples.NOW - ago, samples.NOW)
    # The same of what stands there instead of what was fought over.
    twice = LOST.model_copy(update={"found": (samples.NOW - ago, samples.NOW), "fought": "c" * 64})
    known, _ = drift.judged(seen(twice), POLICY, report("b" * 64))
    assert known is not None
    assert known.spent is spent


def test_a_budget_that_is_lowered_keeps_nobody_from_mending_what_was_found_before() -> None:
    found = DriftStatus(found=(samples.NOW, samples.NOW), sha256="b" * 64, retry="/")
    assert drift.judged(seen(found), POLICY, report("b" * 64)) == (found, None)


@pytest.mark.parametrize(
    ("limit", "spent"),
    [
        ({"maxReverts": 1, "within": "1h"}, True),
        ({"maxReverts": 2, "within": "1h"}, False),
        ({"maxReverts": 2, "within": "24h"}, False),
        ({"maxReverts": 1, "within": "20m"}, False),
        ({"maxReverts": 0, "within": "20m"}, True),
    ],
)
def test_a_budget_that_is_raised_is_not_spent_any_more(limit: dict[str, Any], spent: bool) -> None:
    """Whenever it is, and whatever stands there: what was found counts as of the last find."""
    last = samples.NOW - timedelta(days=1)
    old = LOST.model_copy(update={"found": (last - 30 * MINUTE, last)})
    raised = samples.policy(drift=limit)
    known, entry = drift.judged(seen(old), raised, report("b" * 64))
    assert known is not None
    assert (known.spent, known.fought) == ((True, "b" * 64) if spent else (False, None))
    assert (known.found, entry) == (old.found, None)
    # Also where the file is not there to be judged: else a look would be due again and again.
    gone, _ = drift.judged(seen(old), raised, replace(report(OURS), files=()))
    assert gone is not None
    assert gone.spent is spent
    assert drift.freed(old, raised) is not spent


def test_what_was_fought_over_first_is_remembered_while_it_is_spent() -> None:
    known, _ = drift.judged(seen(LOST), POLICY, report("c" * 64))
    assert known is not None
    assert (known.sha256, known.spent, known.fought) == ("c" * 64, True, "b" * 64)
    old = LOST.model_copy(update={"found": ()})
    known, _ = drift.judged(seen(old), POLICY, report("c" * 64))
    assert known is not None
    assert (known.spent, known.fought) == (False, None)


def test_a_person_who_asks_again_begins_the_budget_anew() -> None:
    asked = merged(POLICY.to_api(), {"metadata": {"annotations": {RETRY: "1"}}})
    known, entry = drift.judged(seen(LOST), parse_policy(asked), report("b" * 64))
    assert known is not None
    assert entry is None
    assert (known.spent, known.found, known.fought) == (False, (), None)
    assert (known.retry, known.file, known.sha256) == (
        f"{digest('1')}/",
        "10-net.conflist",
        "b" * 64,
    )
    # One more is found as the first one is.
    after, _ = drift.judged(seen(drift.mended(known)), parse_policy(asked), report("b" * 64))
    assert after is not None
    assert not after.spent
