"""Restore: puts back what a backup holds, unless that would strand the sandboxes that run now.

The same bytes, mode, owner, group, xattrs and times. A file is put back only over what we wrote
or saved ourselves: what somebody else has written since is theirs.
"""

from cni_upgrade.cni import compat, config, health, runtimes
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Sandbox, Support
from cni_upgrade.node import backup, report, sandboxes, survey, writing
from cni_upgrade.node.backup import Backup, Saved
from cni_upgrade.node.errors import OperationRefusedError
from cni_upgrade.node.journal import Entry
from cni_upgrade.node.operation import Operation, Result
from cni_upgrade.node.transaction import Write
from cni_upgrade.node.writing import Node, Plan


def restore(operation: Operation) -> Result:
    """Carries the operation out; see `writing.run` for what it raises."""
    return writing.run(operation, _plan)


def _plan(node: Node) -> Plan:
    """Raises OperationRefusedError: BackupMissing, BackupDamaged, OtherFolder, a file that somebody
    else changed or removed (ChangedSinceBackup), or sandboxes that would be stranded (Unsafe)."""
    from cni_upgrade.cni.rewrite import diff  # jsonpatch: audits need none

    made = backup.load(node.state, str(node.operation.backup))
    if made.folder != node.host:
        raise OperationRefusedError(
            "OtherFolder",
            f"backup {made.id} is of {made.folder}, and the config folder is "
            f"{node.host}: name that folder, or copy the files by hand",
        )
    backups = backup.everything(node.state)
    done = {entry.name: entry for entry in node.already}
    active = {file.name: file.active for file in report.judge(node.survey).files}
    writes: list[Write] = []
    diffs: dict[str, str] = {}
    for saved in sorted(made.files, key=lambda each: not active.get(each.name)):
        data = backup.content(node.state, made, saved)
        current = _current(node, made, backups, saved)
        if saved.name in done or survey.sha256(current) == saved.sha256:
            continue
        old = config.read(saved.name, data, inline=current.inline)
        _check_sandboxes(node, current, old)
        entry = Entry(
            saved.name, survey.sha256(current), saved.sha256, current.version, old.version
        )
        writes.append(Write(entry, data, saved.metadata, keep_times=True))
        diffs[saved.name] = diff(current.data, data, saved.name)
    return Plan(writes, node.already, made.id, _nothing, diffs=diffs)


def _nothing() -> None:
    """What is written over is what a rewrite of the backup's own bytes made: it can be again."""


def _current(node: Node, made: Backup, backups: list[Backup], saved: Saved) -> Config:
    current = node.survey.config(saved.name)
    copy = f"{node.state.host}/{backup.FOLDER}/{made.id}/files/{saved.name}"
    if current is None:
        raise OperationRefusedError(
            "ChangedSinceBackup",
            f"{saved.name} was removed from {node.host} since: nothing is "
            f"brought back to life; if it is wanted, copy {copy} by hand",
        )
    if survey.sha256(current) not in backup.known(backups, made.folder, saved.name):
        raise OperationRefusedError(
            "ChangedSinceBackup",
            f"{saved.name} was changed by somebody else since: it is neither "
            f"what was saved nor what was written; if the old one is wanted, copy {copy} by hand",
        )
    return current


def _check_sandboxes(node: Node, current: Config, old: Config) -> None:
    """Raises OperationRefusedError (Unsafe) when a sandbox that can be deleted now could not be.

    Those that were added at the version that comes back are as they were before the apply.
    """
    runtime = runtimes.lookup(node.operation.runtime)
    newer = [
        sandbox
        for sandbox in node.survey.sandboxes
        if (runtime.deletes_with == "cached" or sandbox.may_be_on(current.network))
        and (old.error is not None or (sandbox.version or None) != old.version)
    ]
    libcni = runtime.libcni
    now, then = (each.under(libcni) if libcni else each for each in (current, old))
    for version in sorted({sandbox.version or "" for sandbox in newer}):
        alike = [sandbox for sandbox in newer if (sandbox.version or "") == version]
        before, after = _deletion(node, now, alike), _deletion(node, then, alike)
        lost = before.works is False and version != sandboxes.UNKNOWN
        if after.works is not True and not lost:
            reason = after.why or f"it is not known what {runtime.label} does with them"
            raise OperationRefusedError(
                "Unsafe",
                f"{old.name} at {old.version or 'no version'} would strand "
                f"{compat.pods(len(alike))} added at {version or 'no version'}: {reason}; "
                "drain the node, then restore",
            )


def _deletion(node: Node, config: Config, running: list[Sandbox]) -> health.Outcome:
    runtime = runtimes.lookup(node.operation.runtime)
    if config.error is not None and runtime.deletes_with != "cached":
        return health.Outcome(False, (config.error,))
    supports = node.survey.supports
    chain = [supports.get(binary) or Support(binary) for binary in config.plugins]
    loopback = supports.get(survey.LOOPBACK) if runtime.loopback_at else None
    return health.delete_existing(
        config, config.version, health.Node(runtime, chain, loopback, running)
    )
