"""Each reason that the operator shows is in the catalogue that `cni-upgrade explain` reads."""

from collections.abc import Iterator, Mapping
from typing import Any

from cni_upgrade.agent.protocol.errors import ABOUT
from cni_upgrade.api.node_reasons import NODE_REASONS
from cni_upgrade.api.policy_reasons import POLICY_REASONS
from cni_upgrade.cni.findings import Code
from cni_upgrade.planner.world.decisions import Decision, Emit, KeepStatus, SetStatus

KNOWN = frozenset({*NODE_REASONS, *POLICY_REASONS, *ABOUT, *map(str, Code)})


def check_reasons(decision: Decision) -> None:
    """Fails with the words of a decision that the catalogue lacks."""
    unknown = {word for word in _shown(decision) if word} - KNOWN
    assert not unknown, f"api/node_reasons.py and api/policy_reasons.py lack {sorted(unknown)}"


def _shown(decision: Decision) -> Iterator[str]:
    if isinstance(decision, Emit):
        yield decision.reason
    elif isinstance(decision, SetStatus):
        yield from _of_status(decision.status)
    elif isinstance(decision, KeepStatus):
        yield from _of_status(decision.status.to_api())


def _of_status(status: Mapping[str, Any]) -> Iterator[str]:
    yield status.get("reason", "")
    for condition in status.get("conditions", ()):
        yield condition["reason"]
