"""Makes config folders out of any bytes: likely ones, odd ones, and text that is nearly JSON.

Each decision takes the next byte, and none left is the plainest way. So hypothesis draws one string
for a whole folder instead of hundreds of values (ten times as fast, and it shrinks to plain ones),
and a fuzzer that only knows bytes reaches deep into likely configs.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Maker = Callable[["Choices"], Any]

NAMES = (
    "10-a.conflist",
    "10-b.conf",
    ".00-x.conflist",
    "20-c.json",
    "05-d.conflist",
    "99-e.conf",
    ".conf",
    "10-a.conflist.bak",
    "30-f.CONF",
    "x.conflist.cnitmp",
    "conf",
    "\u00e9.conf",
    "10-a..conflist",
)
NETWORKS = ("net", "cbr0", "", "with space", "\u00fcnet", "-net", "a.b_c-d")
VERSIONS = (
    *(("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0") * 3),
    *("1.2.0", "2.0.0", "1.0", "1", "v1.0.0", "01.0.0", "+1.0.0", "-1.0.0", "1.0.0.0", "1..0"),
    *("1.0.x", "0.4", "1_0.0.0"),
    *("", " 1.0.0", "\u0663.0.0", "99999999999999999999.0.0"),
)
TYPES = ("bridge", "ptp", "portmap", "host-local", "firewall", "cal\u017fico", "")
NUMBERS = (
    *(("0", "1", "-0", "1.50E3", "1e308", "1e-999", "1.0") * 3),
    *("1e999", "-1e400", "9" * 400),
)
STRINGS = ("", "x", "true", "TRUE", "False", "a\ud800b", "\U0001f600", "\uf8ff", "\uf8fe", "</>&")
BROKEN = {"\uf8ff": b"\xff", "\uf8fe": b"\xe2\x82"}
"""Characters that stand for bytes that are not UTF-8."""


class Choices:
    """Decides by the next bytes of a string; when they are used up, always for the first way."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)

    def number(self, below: int) -> int:
        """0 to below - 1."""
        value = next(self._bytes, 0)
        if below > 256:
            value = value << 8 | next(self._bytes, 0)
        return value % below

    def pick(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[self.number(len(options))]

    def once_in(self, of: int) -> bool:
        """Now and then."""
        return self.number(of) == of - 1

    def several(self, make: Callable[["Choices"], T], most: int, least: int = 0) -> list[T]:
        """A list of what is made."""
        return [make(self) for _ in range(least + self.number(most - least + 1))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All of them in some order."""
        left = list(items)
        return [left.pop(self.number(len(left))) for _ in items]


@dataclass(frozen=True)
class Number:
    """A number by its spelling."""

    text: str


@dataclass(frozen=True)
class Object:
    """An object by its members in order; keys can occur twice."""

    members: tuple[tuple[str, Any], ...]


def render(value: Any, style: int = 0, depth: int = 0) -> str:
    """JSON text, compact or indented, with characters escaped or not."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, Object):
        return _bracket(
            "{",
            "}",
            [
                f"{_string(k, style)}{_colon(style)}{render(v, style, depth + 1)}"
                for k, v in value.members
            ],
            style,
            depth,
        )
    if isinstance(value, list):
        return _bracket("[", "]", [render(v, style, depth + 1) for v in value], style, depth)
    if isinstance(value, str):
        return _string(value, style)
    return json.dumps(value)


def _bracket(opening: str, closing: str, parts: list[str], style: int, depth: int) -> str:
    if not parts:
        return opening + closing
    if style == 0:
        return opening + ",".join(parts) + closing
    end = "\r\n" if style == 2 else "\n"
    inner = end + "  " * (depth + 1)
    return opening + inner + ("," + inner).join(parts) + end + "  " * depth + closing


def _colon(style: int) -> str:
    return ":" if style == 0 else ": "


def _string(text: str, style: int) -> str:
    if any(broken in text for broken in BROKEN) or style == 2:
        return json.dumps(text, ensure_ascii=False)
    return json.dumps(text)


def to_bytes(text: str) -> bytes:
    """The text as bytes, broken ones included; a lone surrogate is escaped."""
    text = "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)
    data = text.encode()
    for character, broken in BROKEN.items():
        data = data.replace(character.encode(), broken)
    return data


def _of(*options: Any) -> Maker:
    return lambda choices: choices.pick(options)


def _often(usual: Maker, odd: Maker, of: int) -> Maker:
    """The odd one once in so many."""
    return lambda choices: (odd if choices.once_in(of) else usual)(choices)


def _any(*makers: Maker) -> Maker:
    return lambda choices: choices.pick(makers)(choices)


def _list(inner: Maker, most: int, least: int = 0) -> Maker:
    return lambda choices: choices.several(inner, most, least)


def _pairs(keys: Sequence[str], inner: Maker, most: int) -> Maker:
    """An object of so many members."""
    return lambda choices: Object(
        tuple(choices.several(lambda each: (each.pick(keys), inner(each)), most))
    )


def _number(choices: Choices) -> Number:
    return Number(choices.pick(NUMBERS))


_SCALAR = _any(_of(None), _of(False, True), _number, _of(*STRINGS))
_OBJECT = _pairs(("a", "A", "type", "b", "\uf8ff"), _SCALAR, 3)
_ANYTHING = _any(_SCALAR, _list(_SCALAR, 2), _OBJECT, _list(_OBJECT, 2))


def _texts(values: tuple[str, ...], of: int = 24) -> Maker:
    return _often(_of(*values), _ANYTHING, of)


_TYPE = _texts(TYPES, 18)
VALUES: dict[str, Maker] = {
    "cniVersion": _texts(VERSIONS),
    "cniVersions": _often(_list(_texts(VERSIONS, 30), 4), _ANYTHING, 16),
    "name": _texts(NETWORKS, 40),
    "type": _texts(TYPES[:-1], 40),
    "disableCheck": _often(_of(True, False, "true", "False"), _ANYTHING, 12),
    "disableGC": _often(_of(True, False, "TRUE"), _ANYTHING, 12),
    "loadOnlyInlinedPlugins": _often(_of(True, False, "true"), _ANYTHING, 12),
    "capabilities": _often(_pairs("ab", _of(False, True), 2), _ANYTHING, 12),
    "ipam": _often(_pairs(("type", "type", "Type", "ranges"), _TYPE, 2), _ANYTHING, 14),
    "dns": _often(
        _pairs(
            ("domain", "Search", "nameservers", "options"),
            _any(_of("x"), _of(["x"]), _ANYTHING),
            2,
        ),
        _ANYTHING,
        12,
    ),
    "prevResult": _any(_OBJECT, _ANYTHING),
    "cni.dev/valid-attachments": _often(
        _of([Object((("containerID", "x"), ("ifname", None)))]), _ANYTHING, 3
    ),
    "extra": _ANYTHING,
}
SPELLINGS: dict[str, tuple[str, ...]] = {
    "cniVersion": ("CNIVersion", "cniversion", "cniVer\u017fion", "CniVersion", "cniVersion "),
    "name": ("Name", "NAME"),
    "type": ("Type", "TYPE", "typ\u00e9"),
    "ipam": ("IPAM", "Ipam"),
    "dns": ("DNS",),
    "capabilities": ("Capabilitie\u017f",),
    "cniVersions": ("cniversions",),
    "prevResult": ("prevresult",),
}
_PLUGIN_KEYS = ("ipam", "ipam", "capabilities", "dns", "prevResult", "extra", "cniVersion", "name")
_CONF_KEYS = (
    *_PLUGIN_KEYS,
    *("cniVersion", "cniVersion", "name", "type", "cniVersions"),
    *("cni.dev/valid-attachments", "disableCheck"),
)
_LIST_KEYS = (
    *("cniVersion", "cniVersion", "cniVersions", "cniVersions", "cniVersions", "name"),
    *("disableCheck", "disableGC", "loadOnlyInlinedPlugins", "extra"),
)


def _member(keys: Sequence[str]) -> Callable[[Choices], tuple[str, Any]]:
    def make(choices: Choices) -> tuple[str, Any]:
        key = choices.pick(keys)
        value = VALUES[key](choices)
        if key in SPELLINGS and choices.once_in(9):
            key = choices.pick(SPELLINGS[key])
        return key, value

    return make


def _whole(firsts: Sequence[str], keys: Sequence[str], most: int) -> Maker:
    """Mostly the members that make it whole, a few others, in any order."""
    member = _member(keys)

    def make(choices: Choices) -> Object:
        members = [(key, VALUES[key](choices)) for key in firsts if not choices.once_in(16)]
        members += choices.several(member, most)
        if choices.once_in(2):
            members = choices.shuffled(members)
        return Object(tuple(members))

    return make


_PLUGIN = _often(_whole(("type",), _PLUGIN_KEYS, 2), _ANYTHING, 40)
VALUES["plugins"] = _often(_list(_PLUGIN, 3, 1), _ANYTHING, 30)
_CONFLIST = _whole(("cniVersion", "name", "plugins"), _LIST_KEYS, 3)
_CONF = _whole(("cniVersion", "type", "name"), _CONF_KEYS, 4)


def content(choices: Choices, name: str) -> bytes:
    """What a file of that name may hold."""
    as_list = name.endswith(".conflist") ^ choices.once_in(30)
    value = (_CONFLIST if as_list else _CONF)(choices)
    if choices.once_in(40):
        value = _ANYTHING(choices)
    return _damaged(choices, render(value, choices.number(3)))


def _damaged(choices: Choices, text: str) -> bytes:
    """Now and then text that is not JSON any more, or is in spite of everything."""
    roll = 60 - choices.number(61)
    place = choices.number(len(text) + 1) if roll < 5 else 0
    if roll == 0:
        text = text[:place] + text[place + 1 :]
    elif roll == 1:
        piece = choices.pick((",", "}", "]", " ", "\x00", "\uf8ff", "// c\n", "\t", "__MTU__"))
        text = text[:place] + piece + text[place:]
    elif roll == 2:
        text = text[:place]
    elif roll == 3:
        text = choices.pick(("\ufeff", " \n", "\x0b", "\u00a0", "")) + text
    elif roll == 4:
        text += choices.pick(("\n\n", "\x00", "{}", ",", "\u2028", "\t "))
    return to_bytes(text)


@dataclass(frozen=True)
class Folder:
    """Files by name, and the files of folders within by the folder's name."""

    files: dict[str, bytes]
    inlined: dict[str, dict[str, bytes]]


BYTES = 256
"""Enough for nearly every folder to be decided to its end."""


def folder(data: bytes) -> Folder:
    """One to three files; now and then a folder named as a network."""
    choices = Choices(data)
    names = choices.several(lambda each: each.pick(NAMES), 3, 1)
    files = {name: content(choices, name) for name in dict.fromkeys(names)}
    inlined: dict[str, dict[str, bytes]] = {}
    if choices.once_in(6):
        names = choices.several(lambda each: each.pick(("p.conf", "q.conf", "r.json", "a.conf")), 2)
        inlined[choices.pick(("net", "cbr0"))] = {name: content(choices, name) for name in names}
    return Folder(files, inlined)
