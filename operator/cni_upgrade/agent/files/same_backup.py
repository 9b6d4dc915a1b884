"""Finds the same files in other backups, where the backup that a record names is gone.

A person may have removed it, or a disk may have lost it.
"""

from collections.abc import Sequence
from dataclasses import replace

from cni_upgrade.agent.files import backup, recorded_results
from cni_upgrade.agent.files.backup import Backup, Saved
from cni_upgrade.agent.files.state import State


def find(state: State, backup_id: str, backups: Sequence[Backup]) -> tuple[Backup, ...]:
    """What the missing backup held, of each file the newest whole copy: the backups, each with
    those files alone that are to be taken from it; none where one is not sure to be the same.

    `backups`: those of its folder, the oldest first. A file that drifts by itself is saved by
    itself, so that no single one may hold all. Which files these were, and their sha256, the result
    of the change tells. Mode, owner, group and xattrs it does not: all backups of the same bytes
    must agree on them. Raises OSError.
    """
    wanted = recorded_results.replaced(state, backup_id)
    given: dict[str, Saved] = {}
    found: dict[str, Backup] = {}
    for each in reversed(backups) if wanted else ():
        for saved in each.files:
            if wanted.get(saved.name) != saved.sha256:
                continue
            if not given.setdefault(saved.name, saved).metadata.same(saved.metadata):
                return ()
            if saved.name not in found and backup.gives_back(state, each, saved):
                found[saved.name] = each
    if found.keys() != wanted.keys():
        return ()
    used = {each.id: each for each in found.values()}
    return tuple(
        replace(each, files=tuple(saved for saved in each.files if found.get(saved.name) is each))
        for each in used.values()
    )
