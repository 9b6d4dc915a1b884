"""How GitOps tools judge an object's health, so that our statuses can be judged in tests.

Follows sigs.k8s.io/cli-utils, pkg/kstatus/status (generic.go, and Ready as core.go reads it).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Health(StrEnum):
    """What a tool waits for, or stops at."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    TERMINATING = "Terminating"


def health(obj: Mapping[str, Any]) -> Health:
    """The health of one object."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Health.TERMINATING
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata["generation"]:
        return Health.IN_PROGRESS
    conditions = [(c["type"], c["status"]) for c in status.get("conditions") or ()]
    for condition in conditions:  # the first of the two that is there decides
        if condition == ("Reconciling", "True"):
            return Health.IN_PROGRESS
        if condition == ("Stalled", "True"):
            return Health.FAILED
    if ("Ready", "False") in conditions or ("Ready", "Unknown") in conditions:
        return Health.IN_PROGRESS
    return Health.CURRENT
