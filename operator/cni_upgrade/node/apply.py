"""Apply: writes what the audit found and the controller ordered, if it still holds, and no more."""

import time

from cni_upgrade.cni.config import Config
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.verdict import Judgement
from cni_upgrade.node import backup, files, obstacles, report, survey, writing
from cni_upgrade.node.backup import Backup, Saved
from cni_upgrade.node.errors import OperationRefusedError
from cni_upgrade.node.journal import Entry
from cni_upgrade.node.metadata import Metadata
from cni_upgrade.node.operation import FileOrder, Operation, Result
from cni_upgrade.node.transaction import Write
from cni_upgrade.node.writing import Node, Plan


def apply(operation: Operation) -> Result:
    """Carries the operation out; see `writing.run` for what it raises."""
    return writing.run(operation, _plan)


def _plan(node: Node) -> Plan:
    """Raises OperationRefusedError for a file that is not what the audit saw (ChangedSinceAudit),
    or whose ordered version is not what the same engine says now (NotAllowed, NeedsDrain)."""
    judgement = report.judge(node.survey)
    if judgement.after.needs_drain:
        raise OperationRefusedError(
            "NeedsDrain",
            f"{judgement.after.why or 'sandboxes that run could not be deleted'}: "
            "drain the node first",
        )
    done = {entry.name: entry for entry in node.already}
    orders = sorted(node.operation.files, key=lambda order: _rank(judgement, order))
    planned = [_write(node, judgement, order) for order in orders if order.name not in done]
    writes = [write for write, _ in planned]
    diffs = {write.entry.name: diff for write, diff in planned}
    existing = _existing(node)
    if existing is not None:
        diffs.update(_diffs(node, existing))
        return Plan(writes, node.already, existing.id, _nothing, diffs=diffs)
    created = time.time_ns()
    made = Backup(
        backup.new_id(node.operation.id, created),
        node.operation.id,
        node.host,
        created,
        tuple(
            Saved(
                write.entry.name,
                write.entry.before,
                write.entry.after,
                str(write.entry.to),
                write.metadata,
            )
            for write in writes
        ),
    )
    contents = {write.entry.name: _config(node, write.entry.name).data for write in writes}
    return Plan(
        writes,
        node.already,
        made.id,
        lambda: backup.create(node.state, made, contents),
        saved=sum(map(len, contents.values())),
        diffs=diffs,
    )


def _nothing() -> None:
    """The backup of the killed run is whole: a folder under its own name always is."""


def _existing(node: Node) -> Backup | None:
    """The backup that a killed run of this operation made; a file is written only after it."""
    if node.left is None:
        return None
    try:
        made = backup.load(node.state, node.left.backup)
    except OperationRefusedError:
        if node.already:
            raise
        return None
    ordered = {order.name for order in node.operation.files}
    return made if ordered <= {saved.name for saved in made.files} else None


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
    obstacle = obstacles.of_file(node.folder, name)
    return obstacle or OperationRefusedError(
        "Unreadable", f"{node.host}/{name} cannot be read: {reason}; see the node's disk"
    )


def _write(node: Node, judgement: Judgement, order: FileOrder) -> tuple[Write, str]:
    from cni_upgrade.cni.rewrite import RewriteError, diff, rewrite  # jsonpatch: audits need none

    config = _config(node, order.name)
    found = survey.sha256(config)
    if found != order.sha256:
        raise OperationRefusedError(
            "ChangedSinceAudit",
            f"{order.name} is not what the audit saw: its sha256 is {found}, "
            f"expected {order.sha256}; audit the node again",
        )
    judged = next(file for file in judgement.files if file.name == order.name)
    if judged.action != "Rewrite" or judged.to != order.to:
        allowed = (
            f"it may be written at {judged.to}"
            if judged.action == "Rewrite"
            else (f"nothing may be written ({judged.action})")
        )
        raise OperationRefusedError(
            "NotAllowed",
            f"{order.name} was to be written at {order.to}, but now {allowed}: "
            f"{judged.why}; audit the node again",
        )
    try:
        made = rewrite(config.data, config.kind, order.to, config.inline)
    except RewriteError as error:
        raise OperationRefusedError(
            "NotAllowed", f"{order.name} cannot be written at {order.to}: {error}"
        ) from error
    metadata = _metadata(node, order.name)
    entry = Entry(order.name, found, survey.sha256_of(made.data), judged.version, order.to)
    return Write(entry, made.data, metadata), diff(config.data, made.data, order.name)


def _metadata(node: Node, name: str) -> Metadata:
    try:
        with files.opened_file(node.folder, name) as descriptor:
            return Metadata.of(descriptor)
    except (OSError, files.UnreadableError) as error:
        raise _cannot_read(node, name, str(error)) from error


def _diffs(node: Node, made: Backup) -> dict[str, str]:
    """Of the files that the killed run had written: the backup's bytes against what stands."""
    from cni_upgrade.cni.rewrite import diff

    names = {entry.name for entry in node.already}
    return {
        saved.name: diff(
            backup.content(node.state, made, saved), _config(node, saved.name).data, saved.name
        )
        for saved in made.files
        if saved.name in names
    }
