"""The frame that apply and restore share: locked, settled, surveyed, written, proved, recorded.

What they differ in is the plan: which bytes are to stand under which name. From the first byte
written to the end of the process no SIGTERM is heard (stop.py); a SIGKILL leaves a journal.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.node import (
    backup,
    files,
    journal,
    report,
    results,
    state,
    stop,
    survey,
    transaction,
    unfinished,
)
from cni_upgrade.node.errors import OperationFailedError, OperationRefusedError
from cni_upgrade.node.journal import Entry, Journal
from cni_upgrade.node.operation import Operation
from cni_upgrade.node.result import OperationError, Outcome, Result
from cni_upgrade.node.state import State
from cni_upgrade.node.survey import Survey
from cni_upgrade.node.transaction import Step


@dataclass(frozen=True, slots=True)
class Node:
    """All that a plan is made from. `folder` is the open config folder, `host` its name there.

    `left` is the journal of a killed run of this operation, `already` the files it had written.
    """

    operation: Operation
    state: State
    survey: Survey
    host: str
    folder: int
    left: Journal | None
    already: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written; `save` makes the backup `backup` durable, of `saved` bytes."""

    steps: Sequence[Step]
    already: tuple[Entry, ...]
    backup: str
    save: Callable[[], None]
    saved: int = 0
    diffs: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    """What the change brings about, beside what the report sees afterwards."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every file of the operation, those that an earlier run wrote included."""
        return (*self.already, *(step.entry for step in self.steps))


def run(operation: Operation, plan: Callable[[Node], Plan]) -> Result:
    """Carries an apply or a restore out, or gives the result of its earlier run.

    `plan` raises OperationRefusedError for what must not be done. Raises StoppedError when asked
    to end before anything is written; every other end is a result.
    """
    try:
        with state.locked(operation) as place:
            with stop.held():
                left = unfinished.settle(place, operation)
                earlier = results.find(place, operation.id)
                if left is not None or earlier is not None:
                    stop.finish()  # this very operation may have written already
            if earlier is not None:
                return earlier
            return _run(operation, place, left, plan)
    except OperationRefusedError as error:
        # Not kept: the state folder is not to be had, or what stands there is not settled.
        return refused(operation, error, survey.survey(operation))
    except OSError as error:
        return refused(operation, _said(error), survey.survey(operation))


def refused(operation: Operation, error: OperationRefusedError, seen: Survey) -> Result:
    """The result of an operation that touched nothing."""
    return Result(
        id=operation.id,
        kind=operation.kind,
        node=operation.node,
        outcome=Outcome.REFUSED,
        error=OperationError(error.code, str(error)),
        report=report.make(seen, report.judge(seen)),
    )


def _said(error: OSError) -> OperationRefusedError:
    return OperationRefusedError(
        "InputOutput",
        f"{error.filename or 'a file of the agent'}: {error.strerror}; see the "
        "node's disk and its log",
    )


def _run(
    operation: Operation, place: State, left: Journal | None, plan: Callable[[Node], Plan]
) -> Result:
    seen = survey.survey(operation)
    if seen.folders.conf_dir is None:
        return refused(
            operation,
            OperationRefusedError(
                "NoConfig", "there is no config folder to write in: see the findings"
            ),
            seen,
        )
    host, real = seen.folders.conf_dir
    already = journal.written(left, real) if left is not None and left.folder == host else ()
    with files.opened_folder(real) as folder:
        node = Node(operation, place, seen, host, folder, left, already)
        try:
            made = plan(node)
            transaction.check(folder, host, place, made.steps, made.saved)
        except OperationRefusedError as error:
            with stop.held():
                return _recorded(place, _stopped_short(node, error))
        stop.finish()
        return _recorded(place, _carried_out(node, made))


def _stopped_short(node: Node, error: OperationRefusedError) -> Result:
    """Refused - unless a killed run of this operation has already written some of the files."""
    result = refused(node.operation, error, node.survey)
    if not node.already or node.left is None:
        return result
    return replace(
        result,
        outcome=Outcome.FAILED,
        backup=node.left.backup,
        changes=tuple(entry.change() for entry in node.already),
    )


def _carried_out(node: Node, plan: Plan) -> Result:
    operation = node.operation
    under_way = Journal(
        operation.id, operation.kind, operation.node, node.host, plan.backup, plan.entries
    )
    outcome, error = Outcome.DONE, None
    written = list(plan.already)
    try:
        if plan.steps:
            transaction.commit(node.state, under_way, node.folder, plan.steps, plan.save, written)
    except OperationRefusedError as refusal:
        if not plan.already:
            return refused(operation, refusal, survey.again(node.survey))
        outcome, error = Outcome.FAILED, OperationError(refusal.code, str(refusal))
    except OperationFailedError as failure:
        outcome, error = Outcome.FAILED, OperationError(failure.code, str(failure))
    seen = survey.again(node.survey)
    unproved = _unproved(seen, written)
    if error is None and unproved:
        outcome, error = (
            Outcome.FAILED,
            OperationError(
                "NotProved",
                f"{', '.join(unproved)}: what was written does not stand there; another "
                "program wrote over it at once, or it cannot be read back: see the findings",
            ),
        )
    made = report.make(seen, report.judge(seen))
    made = replace(made, findings=(*plan.findings, *made.findings, *_pruned(node, plan)))
    return Result(
        id=operation.id,
        kind=operation.kind,
        node=operation.node,
        outcome=outcome,
        error=error,
        report=made,
        changes=tuple(entry.change(plan.diffs.get(entry.name, "")) for entry in written),
        backup=plan.backup,
    )


def _unproved(seen: Survey, entries: Sequence[Entry]) -> list[str]:
    found = {config.name: survey.sha256(config) for config in seen.configs}
    return [entry.name for entry in entries if found.get(entry.name) != entry.after]


def _pruned(node: Node, plan: Plan) -> Iterator[Finding]:
    try:
        backup.prune(node.state, node.operation.keep, {plan.backup})
    except OSError as error:
        yield Finding(
            "BackupsNotPruned",
            Severity.WARNING,
            node.state.host,
            f"old backups could not be removed: {error}",
            "see why, before the disk fills up",
        )


def _recorded(place: State, result: Result) -> Result:
    """The result, durable before anybody hears of it; the journal has then done its work.

    It has as well where nothing was written: a rerun comes to the same end by itself.
    """
    try:
        results.record(place, result)
    except OSError as error:
        if result.changes:
            return replace(
                result,
                outcome=Outcome.FAILED,
                error=OperationError(
                    "ResultNotRecorded",
                    f"the files are written, but {place.host} could not keep the "
                    f"result: {error.strerror}; the next operation on this node settles it",
                ),
            )
    with contextlib.suppress(OSError):  # the next run ends it, and gives the result on record
        journal.end(place)
    return result
