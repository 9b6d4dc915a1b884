"""What stands in the way of writing a file, found before anything is written.

A rename replaces a name. Whatever the old file was besides its bytes - a link to elsewhere, one of
several names, somebody else's - would be lost by that, so such files are refused, by name.
"""

import os
import stat
from functools import cache

from cni_upgrade.agent import file_io
from cni_upgrade.agent.files import inode_flags
from cni_upgrade.agent.files.metadata import Metadata
from cni_upgrade.agent.protocol.errors import OperationRefusedError

RESERVE = 1 << 20
"""Bytes that must be free beside what is written, for journal, result and the node itself."""

_INODES = 32
_CHOWN, _FSETID, _SYS_ADMIN, _SETFCAP = 0, 4, 21, 31  # include/uapi/linux/capability.h
_BY_POLICY = ("security.selinux", "security.SMACK64", "security.apparmor")


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
            f"{name} belongs to user {entry.st_uid}, and this runs as user {os.geteuid()}: "
            "what is somebody else's is not changed; chown it, or run as its owner",
        )
    try:
        with file_io.opened_file(folder, name) as descriptor:
            flagged = _flagged(descriptor)
            mounted = _mount(descriptor) != _mount(folder)
    except (OSError, file_io.UnreadableError) as error:
        return OperationRefusedError("Unreadable", f"{name} cannot be read: {error}")
    if flagged:
        return OperationRefusedError(
            "Immutable",
            f"{name} is immutable or append-only (lsattr): somebody does not want it "
            "changed; `chattr -i -a` it if it may be",
        )
    if mounted:
        return OperationRefusedError(
            "MountPoint",
            f"{name} is mounted from elsewhere (findmnt), and no rename replaces a mount point: "
            "write what is mounted there at its source, or unmount it",
        )
    return None


def of_metadata(folder: int, name: str, metadata: Metadata) -> OperationRefusedError | None:
    """Why a new file in the folder could not be given it; None when nothing shows: what a security
    module lets pass, such as SELinux, only the attempt tells. Raises OSError."""
    groups = {os.getegid(), *os.getgroups()}
    if not _capable(_CHOWN):
        place = os.fstat(folder)
        given = groups | ({place.st_gid} if place.st_mode & stat.S_ISGID else set())
        if metadata.uid != os.geteuid() or metadata.gid not in given:
            return metadata.not_given(name, "not permitted")
    if metadata.mode & stat.S_ISGID and metadata.gid not in groups and not _capable(_FSETID):
        return metadata.bits_not_given(name, "its group is none of this user's")
    for attribute in metadata.xattrs:
        needed = _SETFCAP if attribute == "security.capability" else _SYS_ADMIN
        if (
            attribute.startswith(("security.", "trusted."))
            and not attribute.startswith(_BY_POLICY)
            and not _capable(needed)
        ):
            return metadata.attribute_not_given(name, attribute, "not permitted")
    return None


def _capable(number: int) -> bool:
    """Whether this process has the capability; where the kernel does not say, root has all."""
    return bool(_capabilities() >> number & 1)


@cache
def _capabilities() -> int:
    """Those of this process, which gives none away and gets none."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123
            words = next(line for line in status if line.startswith(b"CapEff:")).split()
        return int(words[1], 16)
    except (OSError, StopIteration, ValueError, IndexError):
        return -1 if os.geteuid() == 0 else 0


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


def of_size(name: str, size: int) -> OperationRefusedError | None:
    """Why `size` bytes must not be written under the name: we could not read them again, neither
    to prove them nor to put back what was there. None when they may be."""
    if size <= file_io.CONFIG_LIMIT:
        return None
    return OperationRefusedError(
        "TooLarge",
        f"{name} would be written with {size} bytes, and nothing larger than "
        f"{file_io.CONFIG_LIMIT} is read as a config: "
        "make it smaller, or write its version by hand",
    )


def of_leftover(folder: int, name: str) -> OperationRefusedError | None:
    """Why what stands under a name that the journal of a killed run tells of is not ours to remove;
    None when it is, or nothing stands there. Raises OSError."""
    try:
        entry = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
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
    return of_flags(folder, host)


def of_flags(folder: int, host: str) -> OperationRefusedError | None:
    """Why no name in the folder can be given to another file; None when nothing shows. It tells an
    audit as well, which has the folder read-only. Raises OSError."""
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
    return bool(inode_flags.of(descriptor) & (inode_flags.IMMUTABLE | inode_flags.APPEND_ONLY))


def _mount(descriptor: int) -> str:
    """The id of the mount that it was opened by (proc(5)); empty where the kernel does not say."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as told:  # noqa: PTH123 - see file_io.py
            return next((line for line in told if line.startswith("mnt_id:")), "")
    except OSError:
        return ""
