"""The record that an audit leaves behind, made once: what bare audits write for each node."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cni_upgrade.agent.protocol import termination_message
from cni_upgrade.api import names
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.node.audit_result import observed, seen
from cni_upgrade.planner.status.node_conditions import conditions
from cni_upgrade.planner.world.kubernetes_objects import Node
from tests.bench import kwok
from tests.bench.answers import Answers

Object = dict[str, Any]

_PREFIX = "bare-"


def record(number: int) -> Object:
    """As the controller begins it; of no Node, so that its own is not in the way."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.NODE_STATE_KIND,
        "metadata": {"name": f"{_PREFIX}{number:05}", "labels": {names.LABEL_POLICY: "bench"}},
        "spec": {"nodeUID": f"{number:032x}"},
    }


def is_bare(it: Object) -> bool:
    """Whether this is one of ours, and none of the controller's."""
    return bool(it["metadata"]["name"].startswith(_PREFIX))


def status(answers: Answers) -> Object:
    """What an audit has found, as the controller writes it down."""
    raw = kwok.node(0)
    raw["metadata"] |= {"uid": f"{0:032x}", "resourceVersion": "1"}
    result = termination_message.decode(answers.audit)
    if result.report is None:
        raise RuntimeError("the recorded audit has no report")
    now = datetime.now(UTC)
    before = NodeStateStatus(
        observed_generation=1,
        phase=Phase.WAITING,
        phase_since=now,
        reason="WaitingForEnforce",
        message="policy bench only audits; spec.mode: Enforce applies; planned: a new version",
        observed=observed(Node.of(raw), 20 * "a", 20 * "b", "/", now, False),
        policies=("bench",),
        serial=1,
    )
    found = seen(before, result.report)
    said = conditions(found, (), 1, now)
    return found.model_copy(update={"conditions": said}).to_api()
