"""A node at rest that nobody governs any more."""

from __future__ import annotations

from dataclasses import replace

from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.fleet import rest
from cni_upgrade.fleet.settle import audit_key
from tests.unit.fleet.cluster_model import CONFIG
from tests.unit.fleet.samples import policy, view


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
    move = rest.next_move(replace(at, status=status, asker=gone))
    assert move.status == status
    assert move.acts == ()
