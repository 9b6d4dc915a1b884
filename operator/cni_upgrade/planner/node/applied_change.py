"""The record of what a policy changed on a node: what its deletion would have to give back."""

from __future__ import annotations

from datetime import datetime

from cni_upgrade.agent.protocol.operation import Change, Kind, Outcome, Result
from cni_upgrade.api.changed import Changed, ChangedFile
from cni_upgrade.api.operation_status import OperationStatus

RESTORED, REFUSED, FAILED, GIVEN_UP = "Restored", "Refused", "Failed", "GivenUp"
"""What became of giving back."""


def after(known: Changed | None, operation: OperationStatus, result: Result) -> Changed | None:
    """The record once an agent has answered; `known` is the one of before.

    Of each file the first backup counts, which holds it as it was before the policy: later ones
    hold what the policy itself, or somebody in between, had written.
    """
    if operation.kind == Kind.APPLY:
        return _applied(known, operation, result)
    if known is None or operation.kind != Kind.RESTORE or result.outcome is not Outcome.DONE:
        return known
    written = {change.name: change for change in result.changes}
    left = tuple(
        _put_back(file, written[file.name]) if file.name in written else file
        for file in known.files
        if file.backup != result.backup
    )
    return known.model_copy(update={"files": left})


def _put_back(file: ChangedFile, change: Change) -> ChangedFile:
    """What stands now is what an earlier change of the policy, or somebody since, had written."""
    return file.model_copy(update={"to": change.to, "sha256": change.after or ""})


def _applied(known: Changed | None, operation: OperationStatus, result: Result) -> Changed | None:
    if not result.changes or result.backup is None or operation.policy is None:
        return known
    mine = known is not None and known.policy.uid == operation.policy.uid
    files = {file.name: file for file in known.files} if mine and known else {}
    for change in result.changes:
        first = files.get(change.name)
        files[change.name] = ChangedFile(
            name=change.name,
            backup=first.backup if first else result.backup,
            from_=first.from_ if first else change.from_version or "missing",
            to=change.to,
            # A conf whose place a list took was removed: nothing of it can be changed back.
            sha256=change.after or "",
        )
    unknown = mine and known is not None and known.unknown
    return Changed(policy=operation.policy, files=tuple(files.values()), unknown=unknown)


def backups(changed: Changed) -> tuple[str, ...]:
    """The backups to put back, the newest first: what the oldest holds is what stays.

    Source of the order: a backup's id begins with its time in UTC (agent/files/backup.py, address).
    """
    return tuple(sorted({file.backup for file in changed.files}, reverse=True))


def settled(changed: Changed, outcome: str, message: str, now: datetime) -> Changed:
    """The record with what became of giving back."""
    return changed.model_copy(
        update={"restored": outcome, "restored_at": now, "message": message, "drain": False}
    )
