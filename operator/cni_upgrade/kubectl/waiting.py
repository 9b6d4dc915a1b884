"""Whether a policy has come to its end: what `kubectl cni-upgrade wait` waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cni_upgrade.api import condition


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a policy is; `ended` is its exit code once there is nothing to wait for."""

    ended: int | None
    text: str


def progress(policy: Mapping[str, Any]) -> Progress:
    """0 once Ready holds for what is wanted now, 1 once a person is needed; else it goes on."""
    meta, status = policy["metadata"], policy.get("status") or {}
    message = str(status.get("message") or "the controller has not looked at it yet")
    if status.get("observedGeneration") != meta.get("generation"):
        return Progress(None, "the controller has not seen this generation of the policy yet")
    holds = {
        each.get("type"): each
        for each in status.get("conditions") or ()
        if each.get("status") == "True"
    }
    stalled = holds.get(condition.STALLED)
    if stalled is not None:
        return Progress(1, f"{stalled.get('reason')}: {stalled.get('message') or message}")
    if condition.READY in holds and condition.RECONCILING not in holds:
        return Progress(0, message)
    return Progress(None, message)
