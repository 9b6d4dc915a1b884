"""Files, opened without following links, read to a bound, and written so that they stay.

Everything that writes goes through a folder's descriptor: a path that is exchanged under us then
leads nowhere else. Durable means the content is fsynced before the name is given, and the folder
after it: a power cut leaves the old file or the new one.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CONFIG_LIMIT = 1 << 20
"""Bytes that are read of a file; CNI configs and cache entries are a few kilobytes."""


class UnreadableError(Exception):
    """A file is no plain file, or is larger than anything that it could be."""


def close(descriptor: int) -> None:
    """Gives back a descriptor through which nothing unsynced was written: a failure loses nothing,
    and must not make what is done look undone."""
    with suppress(OSError):
        os.close(descriptor)


@contextmanager
def opened_folder(path: str, *, follow: bool = True) -> Iterator[int]:
    """The folder's descriptor, closed at the end. Raises OSError.

    Without `follow` the last part must be no link (ENOTDIR): the kernel would leave the root by it.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        close(descriptor)


@contextmanager
def opened_file(folder: int, name: str) -> Iterator[int]:
    """A plain file's descriptor for reading; a FIFO does not block, a link is not followed.

    Raises OSError (ELOOP for a link) and UnreadableError for anything but a plain file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnreadableError("it is no plain file")
        yield descriptor
    finally:
        close(descriptor)


def read_all(descriptor: int, limit: int = CONFIG_LIMIT) -> bytes:
    """Everything from a plain file. Raises UnreadableError above `limit` bytes, and OSError."""
    if os.fstat(descriptor).st_size > limit:
        raise UnreadableError(f"it is larger than {limit} bytes")
    chunks: list[bytes] = []
    left = limit + 1
    while left:
        chunk = os.read(descriptor, left)
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    if not left:
        raise UnreadableError(f"it is larger than {limit} bytes")
    return b"".join(chunks)


def read_file(folder: int, name: str, limit: int = CONFIG_LIMIT) -> bytes:
    """The bytes of a plain file. Raises OSError and UnreadableError."""
    with opened_file(folder, name) as descriptor:
        return read_all(descriptor, limit)


def names(folder: int) -> list[str]:
    """The names in a folder, sorted by their bytes. Raises OSError."""
    return sorted(os.listdir(folder), key=os.fsencode)


def write_all(descriptor: int, data: bytes) -> None:
    """All bytes, however many writes that takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_new(folder: int, name: str, data: bytes, mode: int = 0o600) -> None:
    """A file that must not exist yet, with content and mode, fsynced; its name is not yet durable.

    Raises OSError; what was begun is then removed.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, mode, dir_fd=folder)
    try:
        try:
            os.fchmod(descriptor, mode)
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise


def ready_name(name: str) -> str:
    """The name under which a config is made ready: beside it, and none that libcni loads."""
    return f"{name}.cnitmp"


def replace_file(folder: int, name: str, data: bytes, mode: int = 0o600) -> None:
    """A file of our own, atomically and durably.

    Raises OSError; then the old content stands, or the new one, which a power cut may take away.
    """
    temporary = f".{name}.tmp"
    remove_if_there(folder, temporary)
    write_new(folder, temporary, data, mode)
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def remove_if_there(folder: int, name: str) -> None:
    """Raises OSError for anything but the file's absence."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def make_folder(path: str, mode: int = 0o700) -> None:
    """The folder and those above it, each durable in its parent. Raises OSError.

    One that is there is made durable too: a run that made it may have been killed before it was.
    """
    parent = os.path.dirname(path)  # noqa: PTH120 - pathlib costs the agent 8 ms of its start
    if not os.path.isdir(path):  # noqa: PTH112
        make_folder(parent)
        os.makedirs(path, mode, exist_ok=True)  # noqa: PTH103
    with opened_folder(parent) as descriptor:
        os.fsync(descriptor)
