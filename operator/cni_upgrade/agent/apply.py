"""Apply: writes what the audit found and the controller ordered, if it still holds, and no more."""

import time
from collections.abc import Callable, Collection, Sequence

from cni_upgrade.agent import file_io, make_report, survey, write_run
from cni_upgrade.agent.files import backup, write_obstacles
from cni_upgrade.agent.files.backup import Backup, Saved
from cni_upgrade.agent.files.journal import Entry
from cni_upgrade.agent.files.metadata import Metadata
from cni_upgrade.agent.files.transaction import Removal, Step, Write
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.operation import FileOrder, Operation
from cni_upgrade.agent.protocol.result import Result
from cni_upgrade.agent.write_run import Node, Plan
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.conversion import convert
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.judgement import Action, FileReport, Judgement
from cni_upgrade.cni.rewrite import RewriteError, Rewritten, diff, rewrite
from cni_upgrade.cni.value import dataclass


def apply(operation: Operation) -> Result:
    """Carries the operation out; see `writing.run` for what it raises."""
    return write_run.run(operation, _plan)


def _plan(node: Node) -> Plan:
    """Raises OperationRefusedError for a file that is not what the audit saw (ChangedSinceAudit),
    or whose ordered version is not what the same engine says now (NotAllowed, NeedsDrain)."""
    judgement = make_report.judge(node.survey)
    if judgement.after.needs_drain:
        raise OperationRefusedError(
            "NeedsDrain",
            f"{judgement.after.why or 'sandboxes that run could not be deleted'}: "
            "drain the node first",
        )
    done = {entry.name for entry in node.already}
    planned = [
        _planned(node, judgement, order)
        for order in sorted(node.operation.files, key=lambda order: _rank(judgement, order))
        if not {order.name, order.becomes or order.name} <= done
    ]
    steps = [step for each in planned for step in each.steps]
    diffs = {each.saved.becomes or each.saved.name: each.diff for each in planned}
    earlier = _earlier(node)
    # What is written tells no more that CHECK was not asked before.
    said = tuple(each for each in judgement.findings if each.code == Code.CHECK_UNPROVED)
    held: list[tuple[Saved, bytes]] = []
    if earlier is not None:
        names = {each.saved.name for each in planned}
        diffs.update(_diffs(node, earlier, names))
        if _holds(node, earlier, [each.saved for each in planned]):
            return Plan(steps, node.already, earlier.id, _nothing, diffs=diffs, findings=said)
        held = _held(node, earlier, names)
    made = Backup.made(
        node.operation.id,
        node.host,
        time.time_ns(),
        (*(saved for saved, _ in held), *(each.saved for each in planned)),
        node.operation.policy,
    )
    contents = {saved.name: data for saved, data in held}
    contents |= {each.saved.name: each.config.data for each in planned}
    return Plan(
        steps,
        node.already,
        made.id,
        lambda: backup.create(node.state, made, contents),
        saved=sum(map(len, contents.values())),
        diffs=diffs,
        findings=said,
    )


def _nothing() -> None:
    """The backup of the killed run is whole: a folder under its own name always is."""


def _earlier(node: Node) -> Backup | None:
    """The backup that a killed run of this operation made; a file is written only after it."""
    if node.left is None:
        return None
    try:
        return backup.load(node.state, node.left.backup)
    except OperationRefusedError:
        if node.already:
            raise
        return None


def _holds(node: Node, made: Backup, planned: Sequence[Saved]) -> bool:
    """Whether it holds all that is ordered, as it is to be replaced now: mode, owner, group and
    xattrs may be others since the run was killed, or a copy damaged. If not, a new one is made."""
    held = {saved.name: saved for saved in made.files}
    whole = {order.name for order in node.operation.files} <= held.keys()
    return whole and all(
        _same(saved, held[saved.name]) and backup.gives_back(node.state, made, held[saved.name])
        for saved in planned
    )


def _held(node: Node, made: Backup, planned: Collection[str]) -> list[tuple[Saved, bytes]]:
    """What it holds of the files that the killed run had written: the new one takes that over, for
    one backup gives back all that an operation changes. Raises OperationRefusedError."""
    done = {entry.name for entry in node.already}
    return [
        (saved, backup.content(node.state, made, saved))
        for saved in made.files
        if saved.name not in planned and (saved.becomes or saved.name) in done
    ]


def _same(one: Saved, other: Saved) -> bool:
    alike = (one.sha256, one.after) == (other.sha256, other.after)
    return alike and one.metadata.same(other.metadata)


def _rank(judgement: Judgement, order: FileOrder) -> tuple[bool, int]:
    """The active files first, otherwise in the order in which libcni loads them."""
    for place, file in enumerate(judgement.files):
        if file.name == order.name:
            return not file.active, place
    return True, len(judgement.files)


def _config(node: Node, name: str) -> Config:
    config = node.survey.config(name)
    if config is None:
        raise OperationRefusedError(
            "ChangedSinceAudit", f"{name} is no longer in {node.host}: audit the node again"
        )
    if config.error is not None and config.error.code == Code.FILE_UNREADABLE:
        raise _cannot_read(node, name, config.error.message)
    return config


def _cannot_read(node: Node, name: str, reason: str) -> OperationRefusedError:
    """A link was followed when it was read; what would be replaced is the link."""
    obstacle = write_obstacles.of_file(node.folder, name)
    return obstacle or OperationRefusedError(
        "Unreadable", f"{node.host}/{name} cannot be read: {reason}; see the node's disk"
    )


@dataclass(frozen=True, slots=True)
class _Planned:
    """One file of the order: what is done for it, what is saved of it, what a person sees of it."""

    config: Config
    steps: tuple[Step, ...]
    saved: Saved
    diff: str


def _planned(node: Node, judgement: Judgement, order: FileOrder) -> _Planned:
    config = _config(node, order.name)
    found = survey.sha256(config)
    if found != order.sha256:
        raise OperationRefusedError(
            "ChangedSinceAudit",
            f"{order.name} is not what the audit saw: its sha256 is {found}, "
            f"expected {order.sha256}; audit the node again",
        )
    judged = next(file for file in judgement.files if file.name == order.name)
    if not _list_is_in_use(node, judgement, order):
        _check_allowed(judged, order)
    metadata = _metadata(node, order.name)
    if order.becomes is not None:
        return _as_list(node, order, order.becomes, config, metadata)
    data = _made(order, lambda: rewrite(config.data, config.kind, order.to, config.inline))
    after = survey.sha256_of(data)
    entry = Entry(order.name, found, after, judged.version, order.to)
    saved = Saved(order.name, found, after, order.to, metadata)
    shown = diff(config.data, data, order.name)
    return _Planned(config, (Write(entry, data, metadata),), saved, shown)


def _check_allowed(judged: FileReport, order: FileOrder) -> None:
    """Raises OperationRefusedError (NotAllowed) unless the engine says now what was ordered."""
    if (judged.action, judged.to, judged.becomes) == (Action.REWRITE, order.to, order.becomes):
        return
    wanted = f"at {order.to}" + (f" as {order.becomes}" if order.becomes else "")
    allowed = f"nothing may be written ({judged.action})"
    if judged.action is Action.REWRITE:
        allowed = f"it may be written at {judged.to}"
        allowed += f" as {judged.becomes}" if judged.becomes else " under its own name"
    raise OperationRefusedError(
        "NotAllowed",
        f"{order.name} was to be written {wanted}, but now {allowed}: "
        f"{judged.why}; audit the node again",
    )


def _list_is_in_use(node: Node, judgement: Judgement, order: FileOrder) -> bool:
    """Whether a killed run of this operation made the list, and the runtime took it at once.

    So it is with `x.json`, which sorts after `x.conflist`. What is left to do changes nothing then.
    """
    ours = any(entry.name == order.becomes for entry in node.already)
    return ours and any(file.active and file.name == order.becomes for file in judgement.files)


def _as_list(
    node: Node, order: FileOrder, name: str, config: Config, metadata: Metadata
) -> _Planned:
    """The list lands first; where it stands already, made so by an earlier run, only the rest."""
    alone = config.network in node.survey.names
    data = _made(order, lambda: convert(config.data, order.to, alone=alone))
    before, after = survey.sha256(config), survey.sha256_of(data)
    landed = Entry(name, None, after, config.version, order.to)
    gone = Entry(order.name, before, None, config.version, None)
    steps: tuple[Step, ...] = (Write(landed, data, metadata), Removal(gone, landed))
    standing = node.survey.config(name)
    if standing is not None:
        if standing.data != data:
            raise OperationRefusedError(
                "NameTaken", f"{name} stands there and is not what {order.name} would become"
            )
        steps = steps[1:]
    saved = Saved(order.name, before, after, order.to, metadata, name)
    return _Planned(config, steps, saved, diff(config.data, data, order.name, name))


def _made(order: FileOrder, make: Callable[[], Rewritten]) -> bytes:
    try:
        return make().data
    except RewriteError as error:
        raise OperationRefusedError(
            "NotAllowed", f"{order.name} cannot be written at {order.to}: {error}"
        ) from error


def _metadata(node: Node, name: str) -> Metadata:
    try:
        with file_io.opened_file(node.folder, name) as descriptor:
            return Metadata.of(descriptor)
    except (OSError, file_io.UnreadableError) as error:
        raise _cannot_read(node, name, str(error)) from error


def _diffs(node: Node, made: Backup, planned: Collection[str]) -> dict[str, str]:
    """Of the files that the killed run had written: the backup's bytes against what stands. Not of
    those of which the list has landed and the file is yet to go: there both stand."""
    names = {entry.name for entry in node.already if entry.after is not None}
    return {
        now: diff(backup.content(node.state, made, saved), _config(node, now).data, saved.name, now)
        for saved in made.files
        for now in [saved.becomes or saved.name]
        if now in names and saved.name not in planned
    }
