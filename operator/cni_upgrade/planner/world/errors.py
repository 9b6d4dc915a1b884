"""What goes wrong over one record or one policy stays with it: no other waits for its mending."""

from __future__ import annotations

from functools import partial

from cni_upgrade.api.condition import READY, STALLED, Condition, keep_times
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.policy_status import PolicyStatus
from cni_upgrade.planner.world.phases import UNPLANNABLE
from cni_upgrade.planner.world.snapshot import Snapshot

NONSENSE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What code raises over values that make no sense to it, or over a mistake of its own."""


def why(error: Exception) -> str:
    """The error in words, for a status."""
    return f"{type(error).__name__}: {error}"


def unplannable(policy: CNIUpgradePolicy, world: Snapshot, error: Exception) -> PolicyStatus:
    """The status of a policy that cannot be gone on with: the reason, and the counts of before."""
    text = (
        f"this policy cannot be acted on, and no node begins for it: {why(error)}; its status and "
        "the records of its nodes may have been edited by hand"
    )

    condition = partial(
        Condition,
        observed_generation=policy.metadata.generation,
        last_transition_time=world.now,
        reason=UNPLANNABLE,
        message=text,
    )
    found = (condition(type=READY, status="False"), condition(type=STALLED, status="True"))
    return policy.status.model_copy(
        update={
            "observed_generation": policy.metadata.generation,
            "conditions": keep_times(policy.status.conditions, found),
            "message": text,
        }
    )
