"""Gives a file the name of another one so that what had the name can still be looked at.

rename(2) throws away whatever has the name in that instant, also a file that another program has
put there since we looked. renameat2(2) can exchange the two names, or refuse one that is taken;
both are one step of the kernel, so that the name leads at every instant to one file or the other.
Where a kernel, a file system or a seccomp profile has neither, `exchange` says so.

An exchange shows in inotify as a move of both names, so containerd's watcher reloads on it as on
a plain rename (IN_MOVED_FROM is fsnotify's Rename, which `cni_conf_syncer.go` does not pass over).
"""

import errno
import os
import sys

_NOREPLACE, _EXCHANGE = 1, 2  # include/uapi/linux/fs.h
_NOT_HERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
"""EPERM is a seccomp profile's, or the rename's own: then a plain one ends with it as well."""


def exchange(folder: int, one: str, other: str) -> bool:
    """Exchanges what two names of a folder lead to; False where that cannot be done here.

    Raises OSError, FileNotFoundError for a name that is not there.
    """
    return _renamed(folder, one, other, _EXCHANGE)


def give(folder: int, source: str, name: str) -> None:
    """A plain rename that replaces nothing, where the kernel can see to that.

    Raises OSError, FileExistsError where the name is taken.
    """
    if not _renamed(folder, source, name, _NOREPLACE):
        os.rename(source, name, src_dir_fd=folder, dst_dir_fd=folder)


def _renamed(folder: int, source: str, name: str, flags: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        import ctypes  # 5 ms of an agent's start, and only who writes needs it

        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError):  # musl before 1.2.6 has no renameat2
        return False
    names = os.fsencode(source), os.fsencode(name)
    while call(folder, names[0], folder, names[1], ctypes.c_uint(flags)) != 0:
        number = ctypes.get_errno()
        if number in _NOT_HERE:
            return False
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), source, None, name)
    return True
