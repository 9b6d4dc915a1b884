"""Remembers where each value stands in a JSON text, so that an edit touches nothing else.

The grammar is the one that Go's `encoding/json` scans (scanner.go), since Go programs read these
files: RFC 8259, a byte order mark is an error, bytes that are not UTF-8 stand for U+FFFD inside
strings (decode.go unquote) and are an error elsewhere. Duplicate keys are kept, in order.
"""

import re
from collections.abc import Iterator
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import Literal

from cni_upgrade.cni.value import dataclass

MAX_DEPTH = 100
"""Levels of nesting that are read. Go reads 10,000 and real configs have fewer than ten; what
copies and compares documents here recurses, and must not exhaust the stack of the agent."""

Kind = Literal["object", "array", "string", "number", "bool", "null"]

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LITERALS: dict[str, tuple[str, Kind, bool | None]] = {
    "t": ("true", "bool", True),
    "f": ("false", "bool", False),
    "n": ("null", "null", None),
}


class DocumentError(ValueError):
    """The bytes are not JSON; says where and why."""

    def __init__(self, why: str, text: str, place: int) -> None:
        self.why = why
        self.line = text.count("\n", 0, place) + 1
        self.column = place - text.rfind("\n", 0, place)
        super().__init__(f"{why} at line {self.line}, column {self.column}")


class TooDeepError(DocumentError):
    """The document nests deeper than MAX_DEPTH."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number by its spelling: 1.50E3 is not 1500 to a person who reads a diff."""

    spelling: str


Plain = None | bool | str | Number | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the span text[start:end] where it stands."""

    kind: Kind
    start: int
    end: int
    scalar: str | bool | None = None
    members: tuple["Member", ...] = ()
    items: tuple["Node", ...] = ()

    def plain(self) -> Plain:
        """The effective value: of duplicate keys the last one, in the place of the first."""
        if self.kind == "object":
            return {member.key: member.value.plain() for member in self.members}
        if self.kind == "array":
            return [item.plain() for item in self.items]
        if self.kind == "number":
            return Number(str(self.scalar))
        return self.scalar

    def walk(self) -> Iterator["Node"]:
        """This value and every value within."""
        yield self
        for member in self.members:
            yield from member.value.walk()
        for item in self.items:
            yield from item.walk()


@dataclass(frozen=True, slots=True)
class Member:
    """A key of an object, the span of its token, and its value."""

    key: str
    start: int
    key_end: int
    value: Node


@dataclass(frozen=True, slots=True)
class Document:
    """The whole text with its root value."""

    text: str
    root: Node


def to_text(data: bytes) -> str:
    """Text in which each byte that is not UTF-8 keeps a place of its own (and can go back)."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The inverse of to_text."""
    return text.encode("utf-8", "surrogateescape")


def parse(data: bytes) -> Document:
    """Read a whole document; DocumentError when Go's encoding/json would refuse the text."""
    text = to_text(data)
    if text.startswith("\ufeff"):
        raise DocumentError("a byte order mark stands before the JSON", text, 0)
    place = _skip(text, 0)
    if place == len(text):
        raise DocumentError("the file is empty", text, place)
    root = _value(text, place, 0)
    end = _skip(text, root.end)
    if end != len(text):
        raise DocumentError("something follows the end of the JSON", text, end)
    return Document(text, root)


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _value(text: str, place: int, depth: int) -> Node:
    first = text[place : place + 1]
    if first == "{":
        return _object(text, place, depth + 1)
    if first == "[":
        return _array(text, place, depth + 1)
    if first == '"':
        value, end = _string(text, place)
        return Node("string", place, end, value)
    if first in _LITERALS and first:
        word, kind, scalar = _LITERALS[first]
        if text.startswith(word, place):
            return Node(kind, place, place + len(word), scalar)
        raise DocumentError(f"expected {word}", text, place)
    number = _NUMBER.match(text, place)
    if number is None or number.end() == place:
        raise DocumentError(_unexpected(first), text, place)
    return Node("number", place, number.end(), number.group())


def _unexpected(found: str) -> str:
    if not found:
        return "the JSON ends too early"
    if found in "/#":
        return "JSON has no comments, but one starts"
    return f"expected a value, found {found!r}"


def _string(text: str, place: int) -> tuple[str, int]:
    try:
        value, end = scanstring(text, place + 1, True)
    except JSONDecodeError as error:
        raise DocumentError(f"a string is broken ({error.msg})", text, error.pos) from None
    if not value.isascii():
        value = _SURROGATE.sub("\ufffd", value)
    return value, end


def _deeper(text: str, place: int, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise TooDeepError(f"nested deeper than {MAX_DEPTH} levels", text, place)


def _object(text: str, start: int, depth: int) -> Node:
    _deeper(text, start, depth)
    members: list[Member] = []
    place = _skip(text, start + 1)
    if text.startswith("}", place):
        return Node("object", start, place + 1)
    while True:
        if not text.startswith('"', place):
            trailing = text.startswith("}", place)
            raise DocumentError(
                "a comma stands before the closing brace" if trailing else "expected a key",
                text,
                place,
            )
        key_start = place
        key, key_end = _string(text, place)
        place = _skip(text, key_end)
        if not text.startswith(":", place):
            raise DocumentError(f"expected a colon after key {key[:40]!r}", text, place)
        value = _value(text, _skip(text, place + 1), depth)
        members.append(Member(key, key_start, key_end, value))
        place = _skip(text, value.end)
        if text.startswith("}", place):
            return Node("object", start, place + 1, members=tuple(members))
        if not text.startswith(",", place):
            raise DocumentError("expected a comma or a closing brace", text, place)
        place = _skip(text, place + 1)


def _array(text: str, start: int, depth: int) -> Node:
    _deeper(text, start, depth)
    items: list[Node] = []
    place = _skip(text, start + 1)
    if text.startswith("]", place):
        return Node("array", start, place + 1)
    while True:
        if text.startswith("]", place):
            raise DocumentError("a comma stands before the closing bracket", text, place)
        item = _value(text, place, depth)
        items.append(item)
        place = _skip(text, item.end)
        if text.startswith("]", place):
            return Node("array", start, place + 1, items=tuple(items))
        if not text.startswith(",", place):
            raise DocumentError("expected a comma or a closing bracket", text, place)
        place = _skip(text, place + 1)
