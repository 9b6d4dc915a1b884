"""A change that failed is one to be proved, where another look finds what was written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.fleet.unproved import reopened, unproved
from tests.unit.fleet.api_model import stamp
from tests.unit.fleet.node_model import SimNode
from tests.unit.fleet.samples import NOW, policy, report, state

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
        ({"policy": "other-uid"}, {}, False),
        ({"outcome": "Done"}, {}, False),
    ],
)
def test_it_is_unproved_for_the_policy_that_wants_a_proof(
    more: dict[str, Any], spec: dict[str, Any], expected: bool
) -> None:
    last = {"outcome": "Unproved", "at": stamp(NOW), "policy": "cure-uid", **more}
    assert unproved(state(lastChange=last).status, policy(**spec)) is expected
