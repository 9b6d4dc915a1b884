"""What stands in the way of writing a file, found before anything is written.

A rename replaces a name. Whatever the old file was besides its bytes - a link to elsewhere, one of
several names, somebody else's - would be lost by that, so such files are refused, by name.
"""

import errno
import fcntl
import os
import stat
import struct

from cni_upgrade.node import files
from cni_upgrade.node.errors import OperationRefusedError

RESERVE = 1 << 20
"""Bytes that must be free beside what is written, for journal, result and the node itself."""

_INODES = 32
_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS on 64-bit Linux (include/uapi/linux/fs.h)
_IMMUTABLE = 0x10
_APPEND_ONLY = 0x20
_NO_FLAGS = (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


def of_file(folder: int, name: str) -> OperationRefusedError | None:
    """Why the file must not be replaced; None when it may be. Raises nothing."""
    try:
        entry = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        return OperationRefusedError("Unreadable", f"{name} cannot be reached: {error.strerror}")
    if stat.S_ISLNK(entry.st_mode):
        return OperationRefusedError(
            "SymbolicLink",
            f"{name} is a symbolic link: replacing it would leave its target "
            "as it is; write the target at its source, or put a plain file in its place",
        )
    if not stat.S_ISREG(entry.st_mode):
        return OperationRefusedError("NoPlainFile", f"{name} is no plain file: remove it")
    if entry.st_nlink > 1:
        return OperationRefusedError(
            "HardLink",
            f"{name} has {entry.st_nlink} names (hard links): the others would keep "
            "the old content; find them with `find -inum`, and make this one a file of its own",
        )
    if entry.st_uid != os.geteuid():
        return OperationRefusedError(
            "ForeignOwner",
            f"{name} belongs to user {entry.st_uid}, and this runs as user "
            f"{os.geteuid()}: the owner could not be given back; chown it, or run as its owner",
        )
    try:
        with files.opened_file(folder, name) as descriptor:
            flagged = _flagged(descriptor)
    except (OSError, files.UnreadableError) as error:
        return OperationRefusedError("Unreadable", f"{name} cannot be read: {error}")
    if flagged:
        return OperationRefusedError(
            "Immutable",
            f"{name} is immutable or append-only (lsattr): somebody does not want it "
            "changed; `chattr -i -a` it if it may be",
        )
    return None


def of_new(folder: int, name: str) -> OperationRefusedError | None:
    """Why no file of that name can be made; None when nothing stands there. Raises nothing."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return OperationRefusedError("Unreadable", f"{name} cannot be reached: {error.strerror}")
    return OperationRefusedError(
        "NameTaken", f"{name} stands there already: move it away if nothing needs it"
    )


def of_leftover(folder: int, name: str) -> OperationRefusedError | None:
    """Why what stands under a name of our own is not ours to remove; None when it is, or nothing
    stands there. Raises nothing."""
    try:
        entry = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return OperationRefusedError("Unreadable", f"{name} cannot be reached: {error.strerror}")
    if stat.S_ISREG(entry.st_mode) and entry.st_uid == os.geteuid():
        return None
    return OperationRefusedError(
        "NameTaken", f"{name} stands in the config folder and is not ours: remove it"
    )


def of_folder(folder: int, host: str) -> OperationRefusedError | None:
    """Why no file in the folder can be replaced; None when nothing shows. Raises OSError."""
    if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
        return OperationRefusedError(
            "ReadOnly",
            f"{host} is on a read-only file system: remount it, or change the image "
            "that it comes from",
        )
    if _flagged(folder):
        return OperationRefusedError(
            "Immutable",
            f"{host} is immutable or append-only (lsattr): `chattr -i -a` it if its "
            "files may be changed",
        )
    return None


def of_space(folder: int, host: str, size: int) -> OperationRefusedError | None:
    """Why `size` bytes must not be written where `folder` is; None when they fit with a reserve."""
    space = os.fstatvfs(folder)
    free = space.f_bavail * space.f_frsize
    if free < size + RESERVE:
        return OperationRefusedError(
            "NoSpace",
            f"{host} has {free} bytes free; {size} and a reserve of {RESERVE} are "
            "needed: make room",
        )
    if space.f_files and space.f_favail < _INODES:
        return OperationRefusedError(
            "NoSpace", f"{host} has {space.f_favail} inodes free; {_INODES} are needed: make room"
        )
    return None


def _flagged(descriptor: int) -> bool:
    try:
        answer = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError as error:
        if error.errno in _NO_FLAGS:
            return False  # a file system that has no such flags
        raise
    return bool(struct.unpack_from("=I", answer)[0] & (_IMMUTABLE | _APPEND_ONLY))
