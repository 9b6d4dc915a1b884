"""What a file is besides its bytes, taken from the old file and given to the new one.

Everything is given once the bytes are written, for a write takes set-ID bits and capabilities off
again, and then compared: what an agent without capabilities cannot give back (another owner or
group, `trusted.*`, a `security.*` label that is not inherited) refuses the operation while the old
file still stands.
"""

import base64
import errno
import os
import re
import stat
import sys
from collections.abc import Mapping

from cni_upgrade.agent.files import inode_flags
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.json_members import MemberError, Members, for_the_kernel
from cni_upgrade.cni.value import dataclass

_MODE = re.compile("[0-7]{1,4}")
_MOST_ID = (1 << 32) - 2  # the next one is "leave it as it is" to chown(2)
_MOST_NS = ((1 << 63) - 1) * 10**9  # seconds of 64 bits, as file systems have them
_NO_XATTRS = (errno.ENOTSUP, errno.ENOSYS)  # a file system without them


@dataclass(frozen=True, slots=True)
class Metadata:
    """Permission bits, owner, group, times in nanoseconds since 1970, extended attributes, and the
    inode's flags (chattr), of which a new file gets what can be given."""

    mode: int
    uid: int
    gid: int
    accessed: int
    modified: int
    xattrs: Mapping[str, bytes]
    flags: int = 0

    @classmethod
    def of(cls, descriptor: int) -> "Metadata":
        """Of an open file. Raises OSError."""
        entry = os.fstat(descriptor)
        return cls(
            mode=stat.S_IMODE(entry.st_mode),
            uid=entry.st_uid,
            gid=entry.st_gid,
            accessed=entry.st_atime_ns,
            modified=entry.st_mtime_ns,
            xattrs=_xattrs(descriptor),
            flags=inode_flags.chosen(descriptor),
        )

    @classmethod
    def read(cls, members: Members) -> "Metadata":
        """From a backup's manifest. Raises MemberError."""
        xattrs, mode = members.one("xattrs", Members.all_texts), members.text("mode")
        if not _MODE.fullmatch(mode):
            raise MemberError(f"{members.path('mode')}: expected octal digits, got {mode!r:.80}")
        if not all(map(for_the_kernel, xattrs)):
            raise MemberError(f"{members.path('xattrs')}: expected names of extended attributes")
        try:
            values = {name: base64.b64decode(text, validate=True) for name, text in xattrs.items()}
        except ValueError as error:
            raise MemberError(f"{members.path('xattrs')}: {error}") from error
        try:
            flags = inode_flags.parse(members.text_or_none("flags") or "")
        except ValueError as error:
            raise MemberError(f"{members.path('flags')}: {error}") from error
        return cls(
            mode=int(mode, 8),
            uid=members.within("uid", 0, _MOST_ID),
            gid=members.within("gid", 0, _MOST_ID),
            accessed=members.within("atimeNs", -_MOST_NS, _MOST_NS),
            modified=members.within("mtimeNs", -_MOST_NS, _MOST_NS),
            xattrs=values,
            flags=flags,
        )

    def to_json(self) -> dict[str, object]:
        """The members of a file in a backup's manifest; xattrs in base64, the mode in octal, flags
        by lsattr's letters and only where there are some."""
        return {
            "mode": f"{self.mode:04o}",
            "uid": self.uid,
            "gid": self.gid,
            "atimeNs": self.accessed,
            "mtimeNs": self.modified,
            "xattrs": {
                name: base64.b64encode(value).decode() for name, value in self.xattrs.items()
            },
            **({"flags": inode_flags.text(self.flags)} if self.flags else {}),
        }

    def same(self, other: "Metadata") -> bool:
        """Whether a file with one is a file with the other, whenever it was written and read."""
        mine = (self.mode, self.uid, self.gid, dict(self.xattrs))
        return mine == (other.mode, other.uid, other.gid, dict(other.xattrs))

    def give_flags(self, descriptor: int) -> None:
        """To an open file that is still empty, for some take effect on what is written then."""
        inode_flags.give(descriptor, self.flags)

    def give(self, descriptor: int, name: str) -> None:
        """To an open file whose bytes are written, all but the times.

        Raises OperationRefusedError, naming the file and what cannot be given to it, and OSError.
        """
        entry = os.fstat(descriptor)
        if (entry.st_uid, entry.st_gid) != (self.uid, self.gid):
            try:
                os.fchown(descriptor, self.uid, self.gid)
            except OSError as error:
                raise self.not_given(name, error.strerror) from error
        os.fchmod(descriptor, self.mode)
        self._give_xattrs(descriptor, name)
        self._compare(Metadata.of(descriptor), name)

    def _compare(self, given: "Metadata", name: str) -> None:
        """A kernel or a file system may say yes and do otherwise."""
        otherwise = "it was given, and is not there"
        if (given.uid, given.gid) != (self.uid, self.gid):
            raise self.not_given(name, otherwise)
        if given.mode != self.mode:
            raise self.bits_not_given(name, f"it has {given.mode:04o} afterwards")
        for attribute in sorted(self.xattrs.keys() | given.xattrs.keys()):
            if self.xattrs.get(attribute) != given.xattrs.get(attribute):
                raise self.attribute_not_given(name, attribute, otherwise)

    def _give_xattrs(self, descriptor: int, name: str) -> None:
        if sys.platform != "linux":
            return
        present = _xattrs(descriptor)
        attribute = ""
        try:
            for attribute in present.keys() - self.xattrs.keys():
                os.removexattr(descriptor, attribute)
            for attribute, value in self.xattrs.items():
                if present.get(attribute) != value:
                    os.setxattr(descriptor, attribute, value)
        except OSError as error:
            raise self.attribute_not_given(name, attribute, error.strerror) from error

    def not_given(self, name: str, reason: str | None) -> OperationRefusedError:
        """That owner and group cannot be given to the file."""
        return OperationRefusedError(
            "ForeignOwner",
            f"{name} belongs to user {self.uid} and group {self.gid}, "
            f"which cannot be given to its new version: {reason}; chown it to "
            "the user and group that this runs as",
        )

    def bits_not_given(self, name: str, reason: str) -> OperationRefusedError:
        """That the permission bits cannot be given to the file."""
        return OperationRefusedError(
            "PermissionBits",
            f"{name} has the permission bits {self.mode:04o}, which cannot be given to its new "
            f"version: {reason}; chmod it to what nothing takes away",
        )

    def attribute_not_given(
        self, name: str, attribute: str, reason: str | None
    ) -> OperationRefusedError:
        """That the extended attribute cannot be given to the file."""
        return OperationRefusedError(
            "ExtendedAttribute",
            f"{name} has the extended attribute {attribute}, which "
            f"cannot be given to its new version: {reason}; remove it (setfattr -x) "
            "if nothing needs it",
        )

    def give_times(self, descriptor: int) -> None:
        """To an open file, after all else, for that changes them. Raises OSError."""
        os.utime(descriptor, ns=(self.accessed, self.modified))


def _xattrs(descriptor: int) -> dict[str, bytes]:
    if sys.platform != "linux":
        return {}
    try:
        names = os.listxattr(descriptor)
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return {}
        raise
    return {name: os.getxattr(descriptor, name) for name in names}
