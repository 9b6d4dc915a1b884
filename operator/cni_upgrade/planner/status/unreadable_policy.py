"""A policy that cannot be read says so itself: silence would look like work that is to come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.api.base import clip
from cni_upgrade.api.condition import READY, STALLED
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.decisions import Emit, SetStatus
from cni_upgrade.planner.world.snapshot import Snapshot, Unread

NOT_UNDERSTOOD = "NotUnderstood"

_TEXT = clip(1024)


def turns(world: Snapshot) -> Iterator[Batch]:
    """The word on every policy that nobody has answered for as it is now.

    One that was answered for was read by a newer controller: its word is not overwritten. One that
    is being deleted is told as well: where it carries our finalizer, that is why it stays.
    """
    for name, policy in sorted(world.unread.items()):
        if policy.observed_generation == policy.generation:
            continue
        text = str(_TEXT(f"not understood, and so not acted on: {policy.problem}"))
        status = {
            "observedGeneration": policy.generation,
            "message": text,
            "conditions": [
                _condition(world, policy, READY, "False", text),
                _condition(world, policy, STALLED, "True", text),
            ],
        }
        yield Batch(
            f"policy {name}",
            (
                SetStatus(names.POLICY_KIND, name, status),
                Emit(names.POLICY_KIND, name, policy.uid, "Warning", NOT_UNDERSTOOD, text),
            ),
        )


def _condition(
    world: Snapshot, policy: Unread, kind: str, holds: str, message: str
) -> dict[str, Any]:
    return {
        "type": kind,
        "status": holds,
        "observedGeneration": policy.generation,
        "lastTransitionTime": world.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": NOT_UNDERSTOOD,
        "message": message,
    }
