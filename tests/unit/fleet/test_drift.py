"""Drift, one audit at a time: what counts as such, and what the record says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.api.changed import Changed, ChangedFile
from cni_upgrade.api.drift import DriftStatus
from cni_upgrade.api.policy_ref import PolicyRef
from cni_upgrade.fleet import drift
from cni_upgrade.fleet.view import View
from cni_upgrade.node.operation import Action, Report
from tests.unit.fleet import samples
from tests.unit.fleet.node_model import SimNode

OURS = "a" * 64
POLICY = samples.policy(drift={"maxReverts": 1, "within": "1h"})


def seen(known: DriftStatus | None = None, restored: str | None = None) -> View:
    """A node on which 10-net.conflist was written at 1.0.0."""
    ref = PolicyRef(name="cure", uid="cure-uid")
    file = ChangedFile(name="10-net.conflist", backup="b", to="1.0.0", sha256=OURS)
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


def test_the_same_drift_is_found_once() -> None:
    known, _ = drift.judged(seen(), POLICY, report("b" * 64))
    again, entry = drift.judged(seen(known), POLICY, report("b" * 64))
    assert (again, entry) == (known, None)


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
