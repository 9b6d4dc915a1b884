"""What a proof that fails is compared with, where the change was made some time ago."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from cni_upgrade.agent.protocol.operation import FileOrder, Kind, Operation
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.operation_status import ProofStatus
from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.planner.node import operations
from cni_upgrade.planner.node.context import moved, with_operation
from cni_upgrade.planner.steps import prove
from cni_upgrade.planner.steps.apply import restored
from cni_upgrade.planner.steps.finish import restore_next
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.samples import ID, policy, report, result, view

FAILED = ProofStatus(add=False)
REF = {"name": "cure", "uid": "cure-uid"}
FILE = {"name": "10-net.conflist", "backup": "20260101T000000Z-00000000"}


def failed(last_change: dict[str, Any], *files: dict[str, Any]) -> NodeStateStatus:
    """The status after a proof of later has failed."""
    at = view("prove", policies={"cure": policy()})
    seen = {
        "baseline": {"add": True, "del": True},
        "paths": {"confDir": "/etc/cni/net.d"},
        "lastChange": {"at": "2026-01-01T11:00:00Z", "outcome": "Unproved", **last_change},
        "changed": {"policy": REF, "files": files},
    }
    status = NodeStateStatus.model_validate({**at.status.to_api(), **seen})
    return prove.failed_proof(moved(at, status), FAILED, "no network").status


def test_a_change_of_which_it_is_not_known_what_worked_before_is_left_and_said() -> None:
    """A record of before this was kept: today's baseline is what was predicted of the change."""
    status = failed({}, FILE)
    assert status.operation is not None
    ending = status.operation.ending
    assert ending is not None
    assert (ending.phase, ending.reason) == ("Failed", "ProofFailed")
    assert "not known what worked before" in ending.message
    assert FILE["backup"] in ending.message


def test_the_backup_is_the_one_of_the_change_and_not_the_first() -> None:
    """The first one holds what stood there before the policy, at another version."""
    backup = "20260102T000000Z-00000001"
    known = {"baseline": {"add": True, "del": True}, "backup": backup}
    status = failed(known, FILE)
    assert status.operation is not None
    assert (status.operation.kind, status.operation.step) == ("restore", "CordonBack")
    asked = Operation.from_json(json.loads(status.operation.input or ""))
    assert (asked.backup, asked.rollback) == (backup, True)


def test_what_goes_back_at_once_is_a_rollback() -> None:
    """Its agent lets hang again what hung before; a deleted policy's giving back does not."""
    order = Operation(ID, Kind.APPLY, "node-a", "", files=(FileOrder("x", "a" * 64, "1.0.0"),))
    at = view()
    at = moved(at, with_operation(at.status, input=json.dumps(order.to_json())))
    given = operations.restore(at, "20260102T000000Z-00000001")
    rolled = restore_next(at, "20260102T000000Z-00000001", "WorseThanBefore", "no network")
    assert rolled.status.operation is not None
    asked = json.loads(rolled.status.operation.input or "")
    assert asked == {**given.to_json(), "id": asked["id"], "rollback": True}
    assert "rollback" not in given.to_json()


def test_pods_that_hang_again_are_told() -> None:
    found = Finding("HangAgain", Severity.FAULT, "10-x", "2 pods will hang again", "restart")
    after = replace(report(SimNode("node-a", None)), findings=(found,))
    told = restored(view("restore"), result(kind=Kind.RESTORE, report=after)).status
    assert "2 pods will hang again" in told.message
