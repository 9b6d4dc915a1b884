"""Looks at what an exchange of names took out, and puts it back where it is not what was saved.

A program that writes the same file by rename may do so between our last look and our exchange. Its
file then has the name under which ours was made ready, and would be lost with it.
"""

import errno
import hashlib
import os

from cni_upgrade.agent import file_io
from cni_upgrade.agent.files import renames
from cni_upgrade.agent.files.journal import Entry
from cni_upgrade.agent.protocol.errors import OperationRefusedError

_MOST = 100
"""Exchanges until a file has its name back: each one more is another program's rename meanwhile."""

_Identity = tuple[int, int, int]


def settle(folder: int, entry: Entry, *, torn: bool = False) -> bool:
    """Removes what has the ready name; False where another program's file has its own name again.

    `torn`: it may be half of ours, for the run that made it was killed. Raises OSError, and
    OperationRefusedError where other programs do not cease to write.
    """
    ready = file_io.ready_name(entry.name)
    try:
        out = _read(folder, ready)
    except FileNotFoundError:
        return True
    if out is not None and _sha256(out) == entry.before:
        file_io.remove_if_there(folder, ready)
        return True
    try:
        placed = _identity(folder, entry.name)
        stands = _read(folder, entry.name)
    except FileNotFoundError:
        placed, stands = (0, 0, 0), None
    ours = stands is not None and _sha256(stands) == entry.after
    if not ours or (torn and _begins(stands, out)):
        file_io.remove_if_there(folder, ready)  # ours was not used; or what took its place is newer
        return ours
    _put_back(folder, ready, entry.name, placed)
    return False


def _put_back(folder: int, ready: str, name: str, placed: _Identity) -> None:
    """Each exchange takes out what was placed, or else what another program has put there since:
    then that one is newer, and is to have the name."""
    for _ in range(_MOST):
        newer = _identity(folder, ready)
        try:
            if not renames.exchange(folder, ready, name):  # it went just now
                os.rename(ready, name, src_dir_fd=folder, dst_dir_fd=folder)
                return
        except FileNotFoundError:  # the other program has removed its file
            file_io.remove_if_there(folder, ready)
            return
        if _identity(folder, ready) == placed:
            file_io.remove_if_there(folder, ready)
            return
        placed = newer
    raise OperationRefusedError(
        "ChangedMeanwhile",
        f"{name} is written by another program again and again; {ready} holds one of its files: "
        "compare the two, and remove that one",
    )


def _identity(folder: int, name: str) -> _Identity:
    """A rename keeps them, and a write into the file does not."""
    entry = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return entry.st_ino, entry.st_size, entry.st_mtime_ns


def _read(folder: int, name: str) -> bytes | None:
    """None for what is no plain file, or larger than any config: neither is ours."""
    try:
        return file_io.read_file(folder, name)
    except file_io.UnreadableError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        raise


def _begins(whole: bytes | None, part: bytes | None) -> bool:
    return whole is not None and part is not None and whole.startswith(part)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
