"""What of the backups goes, so that they do not fill the node's disk: never the only good copy.

One goes under a hidden name before anything of it does: of what can be seen nothing is missing, and
a killed prune is gone on with by the next.
"""

import os
from collections.abc import Collection, Sequence

from cni_upgrade.agent import file_io
from cni_upgrade.agent.files import backup
from cni_upgrade.agent.files.backup import Backup
from cni_upgrade.agent.files.state import State


def prune(state: State, keep: int, needed: Collection[str]) -> None:
    """Removes the oldest until `keep` whole ones are left, and what a killed run left unfinished.

    Never the newest, nor one in `needed` (what records name: see `standing.relied_on`), nor one
    that holds what no other gives back, bytes, mode, owner, group and xattrs. One with a damaged
    copy is no copy: it is not counted and relied on for nothing, and as its other copies may be
    good it stays. Raises OSError.
    """
    read = backup.everything(state)
    backups = [each for each in read if _whole(state, each)]
    surplus = len(backups) - keep
    for made in backups[:-1]:
        if surplus <= 0:
            break
        others = [other for other in backups if other is not made]
        if made.id not in needed and not _holds_only_copy(made, others):
            _hide(state, made.id)
            backups = others
            surplus -= 1
    stuck: OSError | None = None
    for name in backup.names(state):
        if name.startswith(backup.HIDDEN):
            try:
                backup.remove(f"{state.path}/{backup.FOLDER}/{name}")
            except OSError as error:
                # What somebody has laid into one is no reason to keep the others.
                stuck = stuck or error
    if stuck is not None:
        raise stuck


def _holds_only_copy(made: Backup, others: Sequence[Backup]) -> bool:
    """Whether a file of it can be had from no other backup.

    What a rewrite wrote is in no backup until it is saved itself: it counts for nothing here.
    """
    held = [saved for other in others if other.folder == made.folder for saved in other.files]
    return not all(any(mine.same(saved) for saved in held) for mine in made.files)


def _whole(state: State, made: Backup) -> bool:
    return all(backup.gives_back(state, made, saved) for saved in made.files)


def _hide(state: State, backup_id: str) -> None:
    """Takes the backup from those that can be seen, whole and durably. Raises OSError."""
    with file_io.opened_folder(f"{state.path}/{backup.FOLDER}", follow=False) as descriptor:
        hidden = f"{backup.HIDDEN}{backup_id}"
        os.rename(backup_id, hidden, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        os.fsync(descriptor)
