"""Restore: puts back what a backup holds, unless that would strand sandboxes that run now.

A rollback may let those hang that were added with what comes back, as they did before the change:
it is ordered because pods cannot come or go at all, and it says how many hang again.

The same bytes, mode, owner, group, xattrs and times; a file that differs in its times alone is
left. A file is put back only over what we wrote, or saved and still have: what somebody else has
written since is theirs. Where a list took its place, the file lands first and the list goes after
it.
"""

from collections.abc import Collection
from dataclasses import replace

from cni_upgrade.agent import file_io, make_report, survey, write_run
from cni_upgrade.agent.discovery import host_paths, runtime_config
from cni_upgrade.agent.files import backup, backup_history, same_backup
from cni_upgrade.agent.files.backup import Backup, Saved
from cni_upgrade.agent.files.journal import Entry
from cni_upgrade.agent.files.metadata import Metadata
from cni_upgrade.agent.files.transaction import Removal, Step, Write
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.agent.protocol.paths import BY_HAND_CONFIGS
from cni_upgrade.agent.protocol.result import Result
from cni_upgrade.agent.write_run import Node, Plan
from cni_upgrade.cni import compat, config, folder, health, runtimes, succession, versions
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import UNKNOWN, Sandbox
from cni_upgrade.cni.findings import Finding, Severity, shown
from cni_upgrade.cni.node import Node as EngineNode
from cni_upgrade.cni.value import dataclass


def restore(operation: Operation) -> Result:
    """Carries the operation out; see `writing.run` for what it raises."""
    return write_run.run(operation, _plan)


def _plan(node: Node) -> Plan:
    """Raises OperationRefusedError: BackupMissing, BackupDamaged, OtherFolder, a file that somebody
    else changed or removed (ChangedSinceBackup), or sandboxes that would be stranded (Unsafe)."""
    from cni_upgrade.cni.rewrite import diff  # jsonpatch: audits need none

    asked = str(node.operation.backup)
    backups = [_as_named_here(node, each) for each in backup.everything(node.state)]
    parts = _parts(node, asked, backups)
    if (made := parts[0]).folder != node.host:
        copies = f"{node.state.host}/{backup.FOLDER}/{made.id}/files"
        raise OperationRefusedError(
            "OtherFolder",
            f"backup {made.id} is of {made.folder}, and the config folder is {node.host}: copy the "
            f"files from {copies} by hand if they are wanted there; to put them back where they "
            f"stood, name that folder to cni-upgrade ({BY_HAND_CONFIGS})",
        )
    active = {file.name for file in make_report.judge(node.survey).files if file.active}
    steps: list[Step] = []
    diffs: dict[str, str] = {}
    instead = [each for each in parts if each.id != asked]
    said = [_replaced(node, asked, each) for each in instead]
    said += _unread(node)
    every = [(part, saved) for part in parts for saved in part.files]
    kept = {saved.name for _, saved in every}
    every.sort(key=lambda each: active.isdisjoint((each[1].name, each[1].becomes)))
    for part, saved in every:
        data = backup.content(node.state, part, saved)
        standing = _standing(node, part, backups, saved, kept)
        current = standing.used(active)
        back = config.read(saved.name, data, inline=current.inline)
        old = standing.file
        before = survey.sha256(old) if old else None
        given = saved.metadata if before == saved.sha256 else None
        entry = Entry(saved.name, before, saved.sha256, current.version, back.version, given)
        if (current.name, survey.sha256(current)) != (saved.name, saved.sha256):
            said += _check_sandboxes(node, current, back)
        if entry.before != entry.after or not _same_metadata(node, saved):
            _check_place(node, standing, back)
            steps.append(Write(entry, data, saved.metadata, keep_times=True))
            diffs[saved.name] = diff(current.data, data, current.name, saved.name)
        if standing.list is not None:
            gone = standing.list
            steps.append(
                Removal(Entry(gone.name, survey.sha256(gone), None, gone.version, None), entry)
            )
    # What was asked for is what the controller's record drops.
    return Plan(
        steps,
        node.already,
        asked,
        _nothing,
        diffs=diffs,
        findings=tuple(said),
        replaced_by={saved.name: part.id for part in instead for saved in part.files},
    )


def _parts(node: Node, asked: str, backups: list[Backup]) -> tuple[Backup, ...]:
    """The backup that was asked for; where it is gone, those that stand in for it, each with what
    comes from it. Raises OperationRefusedError (BackupMissing, BackupDamaged)."""
    try:
        return (_as_named_here(node, backup.load(node.state, asked)),)
    except OperationRefusedError:
        parts: tuple[Backup, ...] = ()
        if not backup.is_there(node.state, asked):
            here = [each for each in backups if each.folder == node.host]
            parts = same_backup.find(node.state, asked, here)
        if not parts:
            raise
        return parts


def _as_named_here(node: Node, made: Backup) -> Backup:
    """The backup, its folder under the name that it has here if it is the one that is written to.

    A snap's folder has its revision in the name and `current` leads to it; by either it was named.
    A refresh copies it to that of the next revision, with which what was saved then goes on.
    """
    root = node.operation.root
    names = (made.folder, host_paths.whatever_revision(made.folder))
    same = any(host_paths.same(root, each, node.host) for each in names)
    return replace(made, folder=node.host) if same else made


def _unread(node: Node) -> list[Finding]:
    """That a person has named a folder which the runtime does not read, by its configuration."""
    operation = node.operation
    if BY_HAND_CONFIGS not in operation.paths.by_hand:
        return []
    stated = runtime_config.read(operation.root, operation.runtime).stated
    read = (stated.conf_dir, *(each for _, each in stated.handlers)) if stated else (node.host,)
    if any(host_paths.same(operation.root, each, node.host) for each in read):
        return []
    return [
        Finding(
            "OtherFolder",
            Severity.WARNING,
            node.host,
            f"by its configuration the runtime reads {shown(read[0], 200)}, and what was put back "
            f"stands in {node.host}: for the runtime nothing has changed",
            f"copy the files to {shown(read[0], 200)} if they are meant for the runtime",
        )
    ]


def _replaced(node: Node, asked: str, made: Backup) -> Finding:
    return Finding(
        "BackupReplaced",
        Severity.INFO,
        f"{node.state.host}/{backup.FOLDER}/{made.id}",
        f"backup {asked} is no longer there whole; {made.id} was put back instead, which holds the "
        f"same bytes of {', '.join(saved.name for saved in made.files)}",
        "nothing, unless somebody has removed the other by hand: mode, owner, group and extended "
        "attributes are those of this one",
    )


def _same_metadata(node: Node, saved: Saved) -> bool:
    """Whether the file that stands has the mode, owner, group and xattrs of the one that was saved.

    What cannot be seen, or is a link, is not the same: what stands in the way has a name later.
    """
    try:
        with file_io.opened_file(node.folder, saved.name) as descriptor:
            return saved.metadata.same(Metadata.of(descriptor))
    except (OSError, file_io.UnreadableError):
        return False


def _nothing() -> None:
    """What is written over is what a rewrite of the backup's own bytes made: it can be again."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What stands now of a file that was saved: the file, or the list in its place, or both.

    Both: a conversion, or the restore of what it took away, was killed between its two steps.
    """

    file: Config | None
    list: Config | None

    def used(self, active: Collection[str]) -> Config:
        """The one that the runtime uses; the file itself if it uses neither."""
        both = [each for each in (self.file, self.list) if each is not None]
        return next((each for each in both if each.name in active), both[0])


def _standing(
    node: Node, made: Backup, backups: list[Backup], saved: Saved, kept: Collection[str]
) -> _Standing:
    """`kept`: names of all that comes back. Raises OperationRefusedError (ChangedSinceBackup) for
    what others wrote or removed."""
    file = node.survey.config(saved.name)
    lists = _lists(node, backups, saved, kept, alone=file is None)
    copy = f"{node.state.host}/{backup.FOLDER}/{made.id}/files/{saved.name}"
    if file is None and not lists:
        raise OperationRefusedError(
            "ChangedSinceBackup",
            f"{saved.name} was removed from {node.host} since: nothing is "
            f"brought back to life; if it is wanted, copy {copy} by hand",
        )
    for each in (file, *lists):
        if each is not None and not backup_history.known(
            node.state, backups, made.folder, each.name, survey.sha256(each)
        ):
            raise OperationRefusedError(
                "ChangedSinceBackup",
                f"{each.name} was changed by somebody else since: it is neither what was written "
                "nor what a whole backup holds, so what stands there may be the only copy; if the "
                f"old one is wanted, copy {copy} by hand",
            )
    return _Standing(file, lists[0] if lists else None)


def _lists(
    node: Node, backups: list[Backup], saved: Saved, kept: Collection[str], *, alone: bool
) -> list[Config]:
    """The lists that stand in the file's place, whichever backup tells of them.

    Not `alone`: beside the file. Then another backup's counts only if its bytes are of our making:
    somebody may have put a list of that name there since. What is `kept` comes back itself.
    """
    names = backup_history.successors(backups, node.host, saved.name)
    ours = backup_history.descent(backups, node.host, saved.name)
    return [
        each
        for each in map(node.survey.config, names)
        if each is not None
        and each.name not in kept
        and (alone or each.name == saved.becomes or (each.name, survey.sha256(each)) in ours)
    ]


def _check_place(node: Node, standing: _Standing, back: Config) -> None:
    """Raises OperationRefusedError (Unsafe) where the runtime would load another network, or this
    one twice, while the list makes room for the file.

    A file that libcni never loaded comes back as it was, with all that this means."""
    if standing.file is not None or standing.list is None or back.error is not None:
        return
    runtime = runtimes.lookup(node.operation.runtime, node.operation.libcni)
    facts = node.survey.facts()

    def under(each: Config) -> Config:
        return each.under(runtime.libcni) if runtime.libcni else each

    reason = succession.obstacle(
        lambda configs: folder.in_use(configs, runtime, facts).files,
        [under(each) for each in facts.configs],
        under(standing.list),
        under(back),
    )
    if reason is not None:
        raise OperationRefusedError(
            "Unsafe",
            f"{back.name} cannot come back in place of {standing.list.name}: {reason}; take away "
            "what stands in the way, then restore",
        )


def _check_sandboxes(node: Node, current: Config, old: Config) -> list[Finding]:
    """Raises OperationRefusedError (Unsafe) when a sandbox that can be deleted now could not be.

    Of a rollback: for those that were added at the version that comes back, a finding instead.
    One whose version is not known is taken for each that it may have: what it cannot be deleted
    with today does not get worse.
    """
    runtime = runtimes.lookup(node.operation.runtime, node.operation.libcni)
    running = [
        sandbox
        for sandbox in node.survey.sandboxes
        if sandbox.may_be_on(current.network) and _deleted_with_the_file(sandbox, runtime)
    ]
    libcni = runtime.libcni
    now, then = (each.under(libcni) if libcni else each for each in (current, old))
    hang: list[Finding] = []
    for version in sorted({sandbox.version or "" for sandbox in running}):
        alike = [sandbox for sandbox in running if (sandbox.version or "") == version]
        returning = old.error is None and (version or None) == old.version
        added = f"{compat.told(alike)} added {compat.added_at(alike)}"
        for taken in (None, *versions.KNOWN) if version == UNKNOWN else (version or None,):
            taken_for = [replace(sandbox, version=taken) for sandbox in alike]
            before, after = (_deletion(node, each, taken_for) for each in (now, then))
            if after.works is True or before.works is False:
                continue
            if returning and after.works is None:
                continue  # they were added with what comes back, and nothing speaks against it
            reason = after.why or f"it is not known what {runtime.label} does with them"
            if returning and node.operation.rollback:
                hang.append(_hang_again(old, added, reason))
                continue
            raise OperationRefusedError(
                "Unsafe",
                f"{old.name} at {old.version or 'no version'} would strand {added}: {reason}; "
                "drain the node, then restore",
            )
    return hang


def _deleted_with_the_file(sandbox: Sandbox, runtime: runtimes.Runtime) -> bool:
    """Whether it matters to the sandbox what stands in the folder.

    CRI-O deletes with the config that it cached at ADD, and with the file only where the cache has
    none that it can load (ocicni `ocicni.go` loadNetworkFromCache).
    """
    return runtime.deletes_with != "cached" or sandbox.calls is None


def _hang_again(old: Config, added: str, reason: str) -> Finding:
    return Finding(
        "HangAgain",
        Severity.FAULT,
        old.name,
        f"{added} will hang again when they are deleted, as before the change: {reason}",
        "write a version at which they can be deleted, or restart the node",
    )


def _deletion(node: Node, config: Config, running: list[Sandbox]) -> health.Outcome:
    """What becomes of sandboxes as far as they are deleted with the file."""
    if config.error is not None:
        return health.Outcome(None) if config.unjudged else health.Outcome(False, (config.error,))
    runtime = runtimes.lookup(node.operation.runtime, node.operation.libcni)
    if runtime.deletes_with == "cached":
        runtime = replace(runtime, deletes_with="current")
    seen = EngineNode.of(config, runtime, node.survey.facts(), running)
    return health.delete_by_file(config, config.version, seen)
