"""Tells from the backups of a node whether a file is ours, and what was made of it."""

from collections.abc import Sequence

from cni_upgrade.agent.files import backup
from cni_upgrade.agent.files.backup import Backup
from cni_upgrade.agent.files.state import State


def known(state: State, backups: Sequence[Backup], folder: str, name: str, sha256: str) -> bool:
    """Whether the content of the file is one that we wrote, or that a backup can give back.

    What was saved counts only as long as its copy is whole: else what stands is the last one.
    """
    found = [
        (each, saved)
        for each in backups
        if each.folder == folder
        for saved in each.files
        if (name, sha256) in saved.contents
    ]
    return any((name, sha256) == saved.contents[1] for _, saved in found) or any(
        backup.gives_back(state, each, saved) for each, saved in found
    )


def successors(backups: Sequence[Backup], folder: str, name: str) -> list[str]:
    """The names of the lists that have taken the file's place, as far as the backups tell."""
    found = (
        saved.becomes
        for each in backups
        if each.folder == folder
        for saved in each.files
        if saved.name == name and saved.becomes is not None
    )
    return list(dict.fromkeys(found))


def descent(backups: Sequence[Backup], folder: str, name: str) -> set[tuple[str, str]]:
    """(name, sha256) of each list that was made of the file, and of what was made of it since.

    `backups`: the oldest first. A list that somebody else put beside the file is none of these.
    """
    found: set[tuple[str, str]] = set()
    for each in backups:
        for saved in each.files if each.folder == folder else ():
            was, then = saved.contents
            if was in found or (saved.name == name and saved.becomes is not None):
                found.add(then)
    return found
