"""Members of a JSON object, read strictly: a wrong type is an error that names its place.

Operations cross a version boundary (controller and agent are upgraded apart), so unknown members
are passed over; a member of the wrong type is never converted, because a guess here ends in a
write on somebody's node.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from cni_upgrade.cni import versions

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BACKUP = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")
_CODE = re.compile(r"[A-Za-z][0-9A-Za-z]{0,63}")
_OWNER = re.compile(r"[0-9]{1,20}:[0-9]{1,20}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_MOST = 2**53 - 1
"""The largest number that every reader of JSON takes for the same."""
_LONGEST_UID = 128

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


class MemberError(ValueError):
    """A JSON document is not what docs/reference/agent-protocol.md says.

    The text names the member and what was expected.
    """


def kind_of(value: object) -> str:
    """What a decoded JSON value is, in JSON's own words, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def for_the_kernel(text: str) -> bool:
    """Whether a system call takes it as a name: JSON can spell strings that Python refuses there,
    with NUL or half a surrogate pair (which stands for a byte of a name, or for nothing)."""
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


class Members:
    """One JSON object under reading. `where` is its path from the document's root, "" for the root.

    Every getter raises MemberError with the member's path when it is absent (and has no default)
    or is of another type.
    """

    __slots__ = ("_object", "_where")

    def __init__(self, value: object, where: str = "") -> None:
        if not isinstance(value, dict):
            raise MemberError(f"{where or 'document'}: expected an object, got {kind_of(value)}")
        self._object: dict[str, object] = value
        self._where = where

    def path(self, name: str) -> str:
        """The member's path from the root, as messages show it: `report.files[0].name`."""
        return f"{self._where}.{name}" if self._where else name

    def wrong(self, name: str, expected: str) -> MemberError:
        """The error for a member that is not what was expected."""
        got = kind_of(self._object[name]) if name in self._object else "nothing"
        return MemberError(f"{self.path(name)}: expected {expected}, got {got}")

    def text(self, name: str, default: str | None = None) -> str:
        """A string; `default` stands in for an absent member only."""
        value = self._object.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A string; absent and null are both None."""
        value = self._object.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(name, "a string or null")

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number (booleans are not)."""
        value = self._object.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "a whole number")
        return value

    def within(self, name: str, least: int, most: int) -> int:
        """A whole number of that range, as what the kernel is given must be."""
        value = self.integer(name)
        if not least <= value <= most:
            raise MemberError(f"{self.path(name)}: expected {least} to {most}, got {value}")
        return value

    def count(self, name: str) -> int:
        """How many there are: a number that no reader of JSON rounds."""
        return self.within(name, 0, _MOST)

    def count_or_none(self, name: str) -> int | None:
        """How many there are; absent and null are both None."""
        return None if self._object.get(name) is None else self.count(name)

    def _spelled(self, name: str, pattern: re.Pattern[str], expected: str) -> str:
        value = self.text(name)
        if not pattern.fullmatch(value):
            raise MemberError(f"{self.path(name)}: expected {expected}, got {value!r:.80}")
        return value

    def sha256(self, name: str) -> str:
        """A digest in hex."""
        return self._spelled(name, _SHA256, "64 hex digits")

    def sha256_or_none(self, name: str) -> str | None:
        """A digest in hex; absent and null are both None."""
        return None if self._object.get(name) is None else self.sha256(name)

    def backup(self, name: str) -> str:
        """The id of a backup, which can only name a folder directly under the backups."""
        expected = "the id of a backup such as 20261123T225404Z-3f2a9c1b"
        return self._spelled(name, _BACKUP, expected)

    def backup_or_none(self, name: str) -> str | None:
        """The id of a backup; absent and null are both None."""
        return None if self._object.get(name) is None else self.backup(name)

    def code(self, name: str) -> str:
        """A word to count by, which becomes the reason of a status."""
        return self._spelled(name, _CODE, "a word of at most 64 letters and digits")

    def owner_or_none(self, name: str) -> str | None:
        """`uid:gid`; absent and null are both None."""
        if self._object.get(name) is None:
            return None
        return self._spelled(name, _OWNER, "owner and group as numbers")

    def time_or_none(self, name: str) -> str | None:
        """A time in UTC that a calendar has; absent and null are both None."""
        if self._object.get(name) is None:
            return None
        value = self._spelled(name, _TIME, "a time such as 2026-01-02T03:04:05Z")
        from datetime import datetime

        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise MemberError(f"{self.path(name)}: expected a time, got {value!r}") from error
        return value

    def version(self, name: str) -> str:
        """A released CNI version, exactly as it is spelled."""
        value = self.text(name)
        if not versions.known(value):
            known = ", ".join(versions.KNOWN)
            raise MemberError(f"{self.path(name)}: expected one of {known}, got {value!r:.80}")
        return value

    def version_or_none(self, name: str) -> str | None:
        """A released CNI version; absent and null are both None."""
        return None if self._object.get(name) is None else self.version(name)

    def uid_or_none(self, name: str) -> str | None:
        """The UID of an object; absent and null are both None."""
        value = self.text_or_none(name)
        if value is not None and len(value) > _LONGEST_UID:
            raise MemberError(
                f"{self.path(name)}: expected at most {_LONGEST_UID} characters, got {len(value)}"
            )
        return value

    def folder(self, name: str) -> str:
        """An absolute path that does not climb."""
        return self._folder(name, self.text(name))

    def folder_or_none(self, name: str) -> str | None:
        """An absolute path that does not climb; absent and null are both None."""
        value = self.text_or_none(name)
        return None if value is None else self._folder(name, value)

    def folders(self, name: str) -> tuple[str, ...]:
        """A list of absolute paths that do not climb; an absent member is the empty list."""
        return tuple(self._folder(name, path) for path in self.texts(name))

    def _folder(self, name: str, path: str) -> str:
        if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
            raise MemberError(
                f"{self.path(name)}: expected an absolute path without `..`, got {path!r:.200}"
            )
        return path

    def file_name(self, name: str) -> str:
        """The name of a file in a folder: nothing that leads out of it or that no file can have."""
        value = self.text(name)
        if not for_the_kernel(value) or "/" in value or value in ("", ".", ".."):
            raise MemberError(
                f"{self.path(name)}: expected the name of a file in a folder, got {value!r:.200}"
            )
        return value

    def integer_or_none(self, name: str) -> int | None:
        """A whole number; absent and null are both None."""
        return None if self._object.get(name) is None else self.integer(name)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """A boolean."""
        value = self._object.get(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def flag_or_none(self, name: str) -> bool | None:
        """A boolean; absent and null are both None."""
        value = self._object.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self.wrong(name, "true, false or null")

    def choice(self, name: str, choices: type[E], default: E | None = None) -> E:
        """A member of the enumeration, by its exact value."""
        value = self._object.get(name, default)
        if isinstance(value, str):
            for choice in choices:
                if choice == value:
                    return choice
        known = ", ".join(choices)
        shown = f" {value!r:.80}" if isinstance(value, str) else ""
        raise MemberError(f"{self.wrong(name, f'one of {known}')}{shown}")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; an absent member is the empty list."""
        value = self._object.get(name, [])
        if not isinstance(value, list):
            raise self.wrong(name, "a list of strings")
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise MemberError(
                    f"{self.path(name)}[{index}]: expected a string, got {kind_of(item)}"
                )
        return tuple(value)

    def counts(self, name: str) -> dict[str, int]:
        """An object whose members say how many; an absent member is the empty object."""
        inner = Members(self._object.get(name, {}), self.path(name))
        return {key: inner.count(key) for key in inner._object}

    def all_texts(self) -> dict[str, str]:
        """Every member of this object, each of which must be a string."""
        return {name: self.text(name) for name in self._object}

    def all_backups(self) -> dict[str, str]:
        """Every member of this object, each of which must be the id of a backup."""
        return {name: self.backup(name) for name in self._object}

    def all_lists(self) -> dict[str, tuple[str, ...]]:
        """Every member of this object, each of which must be a list of strings."""
        return {name: self.texts(name) for name in self._object}

    def one(self, name: str, read: Callable[["Members"], T]) -> T:
        """An object, read by `read`."""
        if name not in self._object:
            raise self.wrong(name, "an object")
        return read(Members(self._object[name], self.path(name)))

    def one_or_none(self, name: str, read: Callable[["Members"], T]) -> T | None:
        """An object, read by `read`; absent and null are both None."""
        return None if self._object.get(name) is None else self.one(name, read)

    def many(self, name: str, read: Callable[["Members"], T]) -> tuple[T, ...]:
        """A list of objects, each read by `read`; an absent member is the empty list."""
        value = self._object.get(name, [])
        if not isinstance(value, list):
            raise self.wrong(name, "a list of objects")
        return tuple(
            read(Members(item, f"{self.path(name)}[{index}]")) for index, item in enumerate(value)
        )
