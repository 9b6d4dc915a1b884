"""The frame that apply and restore share: locked, settled, surveyed, written, proved, recorded.

What they differ in is the plan: which bytes are to stand under which name. From the first byte
written to the end of the process no SIGTERM is heard (signals.py); a SIGKILL leaves a journal.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace

from cni_upgrade.agent import applied_changes, file_io, make_report, signals, survey
from cni_upgrade.agent.discovery import host_paths
from cni_upgrade.agent.files import (
    backup,
    backup_pruning,
    inode_flags,
    journal,
    killed_run,
    recorded_results,
    state,
    transaction,
)
from cni_upgrade.agent.files.journal import Entry, Journal
from cni_upgrade.agent.files.state import State
from cni_upgrade.agent.files.transaction import Step
from cni_upgrade.agent.protocol.errors import OperationFailedError, OperationRefusedError
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.agent.protocol.result import OperationError, Outcome, Result
from cni_upgrade.agent.survey import Survey
from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.cni.value import dataclass


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
    replaced_by: Mapping[str, str] = field(default_factory=dict)
    """See `Result.replaced_by`."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every file of the operation, those that an earlier run wrote included."""
        return journal.merged((*self.already, *(step.entry for step in self.steps)))


def run(operation: Operation, plan: Callable[[Node], Plan]) -> Result:
    """Carries an apply or a restore out, or gives the result of its earlier run.

    `plan` raises OperationRefusedError for what must not be done. Raises StoppedError when asked
    to end before anything is written; every other end is a result.
    """
    try:
        with state.locked(operation) as place:
            with signals.held():
                try:
                    left = killed_run.settle(place, operation)
                    earlier = recorded_results.find(place, operation.id)
                except OSError as error:
                    return _unsettled(operation, place, error)
                if left is not None or earlier is not None:
                    signals.finish()  # this very operation may have written already
            if earlier is not None:
                return earlier
            return _run(operation, place, left, plan)
    except OperationRefusedError as error:
        # Not kept: the state folder is not to be had, or what stands there is not settled.
        return refused(operation, error, survey.survey(operation))


def refused(operation: Operation, error: OperationRefusedError, seen: Survey) -> Result:
    """The result of an operation that touched nothing."""
    return Result(
        id=operation.id,
        kind=operation.kind,
        node=operation.node,
        outcome=Outcome.REFUSED,
        error=OperationError(error.code, str(error)),
        report=make_report.make(seen, make_report.judge(seen)),
    )


def _said(error: OSError) -> OperationRefusedError:
    return OperationRefusedError(
        "InputOutput",
        f"{error.filename or 'a file of the agent'}: {error.strerror}; see the "
        "node's disk and its log",
    )


def _unsettled(operation: Operation, place: State, error: OSError) -> Result:
    """Not kept either, so that a journal stays. If it is of this operation, that may have written;
    one that cannot be read tells of none."""
    try:
        left = journal.load(place)
    except (OSError, ValueError):
        left = None
    mine = left if left is not None and left.id == operation.id else None
    return _stopped_short(operation, place, survey.survey(operation), mine, None, _said(error))


def _run(
    operation: Operation, place: State, left: Journal | None, plan: Callable[[Node], Plan]
) -> Result:
    seen = survey.survey(operation)
    already: tuple[Entry, ...] | None = None
    with contextlib.ExitStack() as opened:
        try:
            already = _already(operation, left)
            host, real = _folder(seen, left if already else None)
            folder = opened.enter_context(file_io.opened_folder(real))
            node = Node(operation, place, seen, host, folder, left, already)
            made = plan(node)
            transaction.check(folder, host, place, made.steps, made.saved)
        except (OperationRefusedError, OSError) as error:
            with signals.held():
                said = _said(error) if isinstance(error, OSError) else error
                return _recorded(place, _stopped_short(operation, place, seen, left, already, said))
        signals.finish()
        return _recorded(place, _carried_out(node, made))


def _already(operation: Operation, left: Journal | None) -> tuple[Entry, ...]:
    """What a killed run of this operation has written. Raises OSError where that cannot be told."""
    if left is None:
        return ()
    return journal.written(left, host_paths.resolve(operation.root, left.folder))


def _folder(seen: Survey, wrote: Journal | None) -> tuple[str, str]:
    """The config folder's name on the host, and where it is for us; `wrote` is the journal of a
    killed run that has written something. Raises OperationRefusedError (NoConfig, OtherFolder)."""
    if seen.folders.conf_dir is None:
        raise OperationRefusedError(
            "NoConfig", "there is no config folder to write in: see the findings"
        )
    host, real = seen.folders.conf_dir
    if wrote is not None and wrote.folder != host:
        raise OperationRefusedError(
            "OtherFolder",
            f"a killed run of this operation wrote in {wrote.folder}, and the config folder is "
            f"{host} now: see which one the runtime reads",
        )
    return host, real


def _stopped_short(
    operation: Operation,
    place: State,
    seen: Survey,
    left: Journal | None,
    already: tuple[Entry, ...] | None,
    error: OperationRefusedError,
) -> Result:
    """Refused - unless a killed run of this operation has already written some of the files.

    `already` None: that cannot be told.
    """
    if left is None or already == ():
        return refused(operation, error, seen)
    backed_up = all(backup.is_there(place, each) for each in left.backups)
    if already is None:
        error = OperationRefusedError(
            error.code,
            f"{error}; a run of this operation was killed, and what it has written is not known: "
            f"{journal.kept_in(left, backed_up=backed_up)}",
        )
    return replace(
        refused(operation, error, seen),
        outcome=Outcome.FAILED,
        backup=left.backup if already or backed_up else None,
        replaced_by=left.replaced_by,
        changes=tuple(entry.change() for entry in already or ()),
    )


def _carried_out(node: Node, plan: Plan) -> Result:
    operation = node.operation
    under_way = Journal(
        operation.id,
        operation.kind,
        operation.node,
        node.host,
        plan.backup,
        plan.entries,
        plan.replaced_by,
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
    made = make_report.make(seen, make_report.judge(seen))
    kept = _backup(node, plan, written)
    pruned = _pruned(node, {kept, plan.backup})
    lost = _flags_lost(node.folder, plan.steps, written)
    made = replace(made, findings=(*plan.findings, *made.findings, *lost, *pruned))
    return Result(
        id=operation.id,
        kind=operation.kind,
        node=operation.node,
        outcome=outcome,
        error=error,
        report=made,
        changes=tuple(
            entry.change(plan.diffs.get(entry.name, "")) for entry in journal.merged(written)
        ),
        backup=kept,
        replaced_by=plan.replaced_by,
    )


def _backup(node: Node, plan: Plan, written: Sequence[Entry]) -> str:
    """The one that is sure to hold what was replaced: where this run goes on with a killed one and
    has written nothing itself, a new one may not have been made."""
    if node.left is not None and node.already and len(written) == len(plan.already):
        return node.left.backup
    return plan.backup


def _flags_lost(
    folder: int, steps: Sequence[Step], written: Collection[Entry]
) -> Iterator[Finding]:
    """What the new files have not of the old ones' inode flags."""
    for step in steps:
        if not isinstance(step, transaction.Write) or step.entry not in written:
            continue
        try:
            with file_io.opened_file(folder, step.entry.name) as descriptor:
                lost = step.metadata.flags & ~inode_flags.of(descriptor)
        except (OSError, file_io.UnreadableError):
            continue  # that it cannot be read is said already
        if lost:
            letters = inode_flags.text(lost)
            yield Finding(
                "FlagsNotKept",
                Severity.WARNING,
                step.entry.name,
                f"the old file had the inode flags {letters} (lsattr), which could not be given to "
                "the new one",
                f"`chattr +{letters}` it, if something needs them",
            )


def _unproved(seen: Survey, entries: Sequence[Entry]) -> list[str]:
    found = {config.name: survey.sha256(config) for config in seen.configs}
    return [entry.name for entry in entries if found.get(entry.name) != entry.after]


def _pruned(node: Node, needed: Collection[str]) -> Iterator[Finding]:
    try:
        needed = {*needed, *applied_changes.relied_on(node.state)}
        backup_pruning.prune(node.state, node.operation.keep, needed)
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
        recorded_results.record(place, result)
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
        if result.outcome is Outcome.FAILED:
            return result  # what is written is not known, and the journal still tells whose it is
    with contextlib.suppress(OSError):  # the next run ends it, and gives the result on record
        journal.end(place)
    return result
