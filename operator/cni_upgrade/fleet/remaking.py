"""A record that was lost is made anew from what the backups on the node tell.

Deleted by hand, or with its custom resource, it is no longer there to say what a policy has changed
and whether that was proved. The agent of every audit says what stands (node/standing.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cni_upgrade.api.changed import Changed, ChangedFile
from cni_upgrade.api.history import LastChange
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.fleet.phases import UNPROVED
from cni_upgrade.fleet.view import View, moved
from cni_upgrade.node.operation import Report, Standing


def looked_at(status: NodeStateStatus, policy: CNIUpgradePolicy, now: datetime) -> bool:
    """Whether this record knows of every change: an audit has answered since it was made.

    Where it tells of a change and not of what that has changed, since then, and since the policy
    was deleted: agents may have been lost before they could say what they wrote, and a record that
    somebody has edited may say anything.
    """
    if status.changed is not None or status.verdict is None:
        return status.changed is not None
    last, seen = status.last_change, status.observed
    if last is None:
        return True
    # What is to come was before the clock was set back: no look would ever be later.
    known = (at for at in (last.at, policy.metadata.deletion_timestamp) if at and at <= now)
    at = seen.audited_at if seen is not None else None
    return at is not None and all(at > each for each in known)


def remade(view: View, report: Report, asker: CNIUpgradePolicy | None) -> View:
    """With what the node tells of a change of which the record says nothing."""
    known, told = view.status.changed, report.standing
    if known is not None and not known.unknown:
        return view
    if told is None:
        return view if known is None else _with(view, {"changed": None})
    policy = _whose(view, told, asker)
    if policy is None:
        return view
    files = tuple(
        ChangedFile(
            name=file.name,
            backup=file.backup,
            from_=file.from_version or "missing",
            to=file.to,
            sha256=file.sha256,
        )
        for file in told.files
    )
    update: dict[str, Any] = {
        "changed": Changed(policy=view.ref(policy), files=files, unknown=told.policy is None)
    }
    if files and view.status.last_change is None:
        # Nobody knows whether it was proved, so it is to be.
        update["last_change"] = LastChange(
            outcome=UNPROVED, at=view.now, policy=policy.metadata.uid
        )
    return _with(view, update)


def _whose(view: View, told: Standing, asker: CNIUpgradePolicy | None) -> CNIUpgradePolicy | None:
    """The policy that wrote it, while it exists; where that cannot be read, the one that may."""
    if told.policy is None:
        return asker if asker is not None and asker.spec.mode == Mode.ENFORCE else None
    return view.world.policy_by(told.policy)


def _with(view: View, update: dict[str, Any]) -> View:
    return moved(view, view.status.model_copy(update=update))
