"""The flags of an inode as chattr(1) sets them: read, given to a new file, told by letters."""

import errno
import fcntl
import struct
from collections.abc import Iterator

_GET, _SET = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, SETFLAGS on 64-bit Linux (uapi/linux/fs.h)
_NONE_HERE = (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)

IMMUTABLE = 0x10
APPEND_ONLY = 0x20
LETTERS = {
    0x1: "s",
    0x2: "u",
    0x4: "c",
    0x8: "S",
    0x40: "d",
    0x80: "A",
    0x400: "m",
    0x4000: "j",
    0x8000: "t",
    0x100000: "V",
    0x800000: "C",
    0x2000000: "x",
    0x20000000: "P",
}
"""Those that people or programs set on a file, by lsattr's letter. Of the others a file system has
its own (extents, encryption by folder, inline data), and the two above forbid any change."""


def of(descriptor: int) -> int:
    """All flags; 0 on a file system that has none. Raises OSError."""
    try:
        return int(struct.unpack_from("=I", fcntl.ioctl(descriptor, _GET, bytes(8)))[0])
    except OSError as error:
        if error.errno in _NONE_HERE:
            return 0
        raise


def chosen(descriptor: int) -> int:
    """Those that were set on purpose. Raises OSError."""
    return of(descriptor) & sum(LETTERS)


def give(descriptor: int, flags: int) -> None:
    """As many of them as this file system and this user can: the rest shows in `of` afterwards."""
    if not flags:
        return
    for some in (flags, *_each(flags)):
        try:
            now = of(descriptor)
            if some & ~now:
                fcntl.ioctl(descriptor, _SET, struct.pack("=Q", now | some))
        except OSError:
            continue
        if not flags & ~(now | some):
            return


def text(flags: int) -> str:
    """Their letters, in lsattr's spelling."""
    return "".join(LETTERS[flag] for flag in _each(flags) if flag in LETTERS)


def parse(letters: str) -> int:
    """The flags of some letters. Raises ValueError for another letter."""
    by_letter = {letter: flag for flag, letter in LETTERS.items()}
    if not set(letters) <= by_letter.keys():
        raise ValueError(f"expected letters of {''.join(by_letter)}, got {letters!r:.40}")
    return sum(by_letter[letter] for letter in set(letters))


def _each(flags: int) -> Iterator[int]:
    return (1 << place for place in range(32) if flags >> place & 1)
