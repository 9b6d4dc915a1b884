"""Drift: somebody else has changed what we wrote. Mended within a budget, then left to them."""

from __future__ import annotations

from datetime import timedelta

from cni_upgrade.agent.protocol.operation import Action, FileReport, Report
from cni_upgrade.api import duration, names
from cni_upgrade.api.changed import ChangedFile
from cni_upgrade.api.drift import DriftStatus
from cni_upgrade.api.history import HistoryEntry
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world import retry_annotation

SPENT = "DriftBudgetSpent"
KIND = "drift"


def judged(
    view: NodeContext, policy: CNIUpgradePolicy | None, report: Report
) -> tuple[DriftStatus | None, HistoryEntry | None]:
    """What an audit says of drift, and a line of history where it was not known yet."""
    known, changed = view.status.drift, view.status.changed
    if changed is not None and changed.restored is not None:
        return None, None  # The policy that wrote it is gone, and what it fought over with it.
    if known is not None and policy is not None and freed(known, policy):
        known = known.model_copy(update={"spent": False, "fought": None})
    written = _written(view)
    hit = next((pair for pair in _pairs(written, report) if _drifted(*pair)), None)
    if hit is None or policy is None:
        if known is not None and _as_written(written, report):
            return mended(known), None
        return known, None
    mine, file = hit
    known = known or DriftStatus()
    asked = retry_annotation.of_node(policy, view.state, known.retry)
    if known.spent and asked != known.retry:
        # A person asks for another try: that one is theirs, and the budget begins anew.
        again = DriftStatus(file=file.name, sha256=file.sha256, retry=asked, writer=_writer(file))
        return again, None
    limit, within = policy.spec.drift, _within(policy)
    if file.sha256 == known.sha256:
        # Found before, and not mended since. What was fought over stays theirs; what stands there
        # instead of it has its chance once the window allows.
        other = known.spent and file.sha256 != known.fought
        recent = sum(view.now - at < within for at in known.found)
        spent = recent > limit.max_reverts if other else known.spent
        return known.model_copy(update={"spent": spent}), None
    if known.sha256 is not None and not known.spent:
        # What was not mended cannot have been changed back: edits during a pause are one find.
        update = {"file": file.name, "sha256": file.sha256, "writer": _writer(file)}
        return known.model_copy(update=update), None
    found = (*known.found, view.now)
    spent = sum(view.now - at < within for at in found) > limit.max_reverts
    now = DriftStatus(
        found=found,
        file=file.name,
        sha256=file.sha256,
        spent=spent,
        fought=(known.fought or file.sha256) if spent else None,
        retry=asked,
        writer=_writer(file),
    )
    return now, _entry(view, mine, file, now)


def mended(known: DriftStatus | None) -> DriftStatus | None:
    """The record once the file is again what was written."""
    if known is None:
        return None
    return known.model_copy(update={"sha256": None, "spent": False, "fought": None})


def freed(known: DriftStatus, policy: CNIUpgradePolicy) -> bool:
    """Whether a budget that was spent would not have been by what `spec.drift` says today.

    Judged as of the last find: time alone gives back nothing of what was fought over.
    """
    if not (known.spent and known.found):
        return False
    last, within = known.found[-1], _within(policy)
    return sum(last - at < within for at in known.found) <= policy.spec.drift.max_reverts


def left(known: DriftStatus, policy: CNIUpgradePolicy | None) -> str:
    """What a person reads of a node that is not mended any more."""
    count = len(known.found)
    often = f"{count} times, last at {known.found[-1]:%Y-%m-%dT%H:%M:%SZ}" if count else "again"
    limit = policy.spec.drift if policy else None
    told = f" (spec.drift: {limit.max_reverts} within {limit.within})" if limit else ""
    return (
        f"{known.file} was written and changed back {often}, by {known.writer}; nothing more is "
        f"written{told}: mend the source of that file, then annotate the node state or the policy "
        f"with a new value of {names.RETRY}"
    )


def _within(policy: CNIUpgradePolicy) -> timedelta:
    return timedelta(seconds=duration.seconds(policy.spec.drift.within))


def _written(view: NodeContext) -> dict[str, ChangedFile]:
    changed = view.status.changed
    if changed is None:
        return {}
    return {file.name: file for file in changed.files if file.sha256}


def _pairs(written: dict[str, ChangedFile], report: Report) -> list[tuple[ChangedFile, FileReport]]:
    return [(written[f.name], f) for f in report.files if f.name in written]


def _drifted(mine: ChangedFile, file: FileReport) -> bool:
    """Changed, and to be written again. Where what we wrote is to be rewritten, nobody drifted."""
    return file.sha256 != mine.sha256 and file.action is Action.REWRITE


def _as_written(written: dict[str, ChangedFile], report: Report) -> bool:
    pairs = _pairs(written, report)
    return bool(pairs) and all(mine.sha256 == file.sha256 for mine, file in pairs)


def _writer(file: FileReport) -> str:
    who = file.managed_by or "a program that is not known"
    traces = [f"file of {file.owner}"] if file.owner else []
    traces += [f"changed at {file.modified}"] if file.modified else []
    return f"{who} ({', '.join(traces)})" if traces else who


def _entry(
    view: NodeContext, mine: ChangedFile, file: FileReport, now: DriftStatus
) -> HistoryEntry:
    return HistoryEntry(
        at=view.now,
        kind=KIND,
        operation=view.operation.id,
        outcome=SPENT if now.spent else "Found",
        from_=mine.to or "missing",
        to=file.version or "missing",
        message=f"{file.name} was written at {mine.to or 'no version'} and is at "
        f"{file.version or 'no version'}, by {now.writer}",
    )
