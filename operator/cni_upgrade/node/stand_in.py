"""A backup that is gone may have its like, and a record that names it is still given back.

Earlier releases pruned a backup as soon as later ones held the same files, also where the record of
what a policy changed names that very one.
"""

from dataclasses import replace

from cni_upgrade.node import backup, results
from cni_upgrade.node.backup import Backup, Saved
from cni_upgrade.node.state import State


def find(state: State, backup_id: str, folder: str) -> Backup | None:
    """The newest whole backup of that folder of the host that holds what the missing one held, and
    of that no more; None where none is sure to. Raises OSError.

    Which files these were, and their sha256, the result of the change tells. Mode, owner, group and
    xattrs it does not: all backups of the same bytes must agree on them.
    """
    wanted = results.replaced(state, backup_id)
    found: Backup | None = None
    given: dict[str, Saved] = {}
    for each in reversed(backup.everything(state)) if wanted else ():
        if each.folder != folder:
            continue
        held = tuple(saved for saved in each.files if wanted.get(saved.name) == saved.sha256)
        if not all(given.setdefault(one.name, one).metadata.same(one.metadata) for one in held):
            return None
        whole = all(backup.gives_back(state, each, saved) for saved in held)
        if found is None and len(held) == len(wanted) and whole:
            found = replace(each, files=held)
    return found
