"""Makes config folders: likely ones, odd ones, and text that is nearly JSON."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

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
NUMBERS = ("0", "1", "-0", "1.50E3", "1e999", "-1e400", "1e308", "1e-999", "9" * 400, "1.0")
STRINGS = ("", "x", "true", "TRUE", "False", "a\ud800b", "\U0001f600", "\uf8ff", "\uf8fe", "</>&")
BROKEN = {"\uf8ff": b"\xff", "\uf8fe": b"\xe2\x82"}
"""Characters that stand for bytes that are not UTF-8."""


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


def _often(usual: SearchStrategy[Any], odd: SearchStrategy[Any], of: int) -> SearchStrategy[Any]:
    """The odd one once in so many."""
    return st.integers(1, of).flatmap(lambda roll: odd if roll == of else usual)


def _objects(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    keys = st.sampled_from(("a", "A", "type", "b", "\uf8ff"))
    return st.lists(st.tuples(keys, inner), max_size=3).map(lambda pairs: Object(tuple(pairs)))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS).map(Number), st.sampled_from(STRINGS)
)
ANYTHING: SearchStrategy[Any] = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    _objects(SCALARS),
    st.lists(_objects(SCALARS), max_size=2),
)


def _texts(values: tuple[str, ...], of: int = 12) -> SearchStrategy[Any]:
    return _often(st.sampled_from(values), ANYTHING, of)


VALUES: dict[str, SearchStrategy[Any]] = {
    "cniVersion": _texts(VERSIONS),
    "cniVersions": _often(st.lists(_texts(VERSIONS, 30), max_size=4), ANYTHING, 10),
    "name": _texts(NETWORKS, 25),
    "type": _texts(TYPES[:-1], 25),
    "disableCheck": _often(st.sampled_from((True, False, "true", "False")), ANYTHING, 6),
    "disableGC": _often(st.sampled_from((True, False, "TRUE")), ANYTHING, 6),
    "loadOnlyInlinedPlugins": _often(st.sampled_from((True, False, "true")), ANYTHING, 6),
    "capabilities": _often(
        st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=2).map(
            lambda pairs: Object(tuple(pairs))
        ),
        ANYTHING,
        6,
    ),
    "ipam": _often(
        st.lists(
            st.tuples(st.sampled_from(("type", "type", "Type", "ranges")), _texts(TYPES, 9)),
            max_size=2,
        ).map(lambda pairs: Object(tuple(pairs))),
        ANYTHING,
        9,
    ),
    "dns": _often(
        st.lists(
            st.tuples(
                st.sampled_from(("domain", "Search", "nameservers", "options")),
                st.one_of(st.just("x"), st.just(["x"]), ANYTHING),
            ),
            max_size=2,
        ).map(lambda pairs: Object(tuple(pairs))),
        ANYTHING,
        6,
    ),
    "prevResult": ANYTHING,
    "cni.dev/valid-attachments": st.one_of(
        ANYTHING, st.just([Object((("containerID", "x"), ("ifname", None)))])
    ),
    "extra": ANYTHING,
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


@st.composite
def _member(draw: DrawFn, keys: tuple[str, ...], odd: int = 9) -> tuple[str, Any]:
    key = draw(st.sampled_from(keys))
    value = draw(VALUES[key])
    if key in SPELLINGS and draw(st.integers(1, odd)) == odd:
        key = draw(st.sampled_from(SPELLINGS[key]))
    return key, value


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


@st.composite
def _object(draw: DrawFn, firsts: tuple[str, ...], keys: tuple[str, ...], most: int) -> Object:
    """Mostly the members that make it whole, a few others, in any order."""
    members = [(key, draw(VALUES[key])) for key in firsts if draw(st.integers(1, 12)) != 12]
    members += draw(st.lists(_member(keys), max_size=most))
    if draw(st.booleans()):
        members = draw(st.permutations(members))
    return Object(tuple(members))


_PLUGIN = _often(_object(("type",), _PLUGIN_KEYS, 2), ANYTHING, 20)
VALUES["plugins"] = _often(st.lists(_PLUGIN, min_size=1, max_size=3), ANYTHING, 20)


@st.composite
def content(draw: DrawFn, name: str) -> bytes:
    """What a file of that name may hold."""
    as_list = name.endswith(".conflist") ^ (draw(st.integers(1, 20)) == 20)
    if as_list:
        value = draw(_object(("cniVersion", "name", "plugins"), _LIST_KEYS, 3))
    else:
        value = draw(_object(("cniVersion", "type", "name"), _CONF_KEYS, 4))
    if draw(st.integers(1, 40)) == 40:
        value = draw(ANYTHING)
    text = render(value, draw(st.integers(0, 2)))
    return _damaged(draw, text)


def _damaged(draw: DrawFn, text: str) -> bytes:
    """Now and then text that is not JSON any more, or is in spite of everything."""
    roll = 60 - draw(st.integers(0, 60))
    place = draw(st.integers(0, len(text))) if roll < 5 else 0
    if roll == 0:
        text = text[:place] + text[place + 1 :]
    elif roll == 1:
        piece = draw(
            st.sampled_from((",", "}", "]", " ", "\x00", "\uf8ff", "// c\n", "\t", "__MTU__"))
        )
        text = text[:place] + piece + text[place:]
    elif roll == 2:
        text = text[:place]
    elif roll == 3:
        text = draw(st.sampled_from(("\ufeff", " \n", "\x0b", "\u00a0", ""))) + text
    elif roll == 4:
        text += draw(st.sampled_from(("\n\n", "\x00", "{}", ",", "\u2028", "\t ")))
    return to_bytes(text)


@dataclass(frozen=True)
class Folder:
    """Files by name, and the files of folders within by the folder's name."""

    files: dict[str, bytes]
    inlined: dict[str, dict[str, bytes]]


@st.composite
def folders(draw: DrawFn) -> Folder:
    """One to three files; now and then a folder named as a network."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    files = {name: draw(content(name)) for name in names}
    inlined: dict[str, dict[str, bytes]] = {}
    if draw(st.integers(1, 6)) == 6:
        names = draw(
            st.lists(st.sampled_from(("p.conf", "q.conf", "r.json", "a.conf")), max_size=2)
        )
        inlined[draw(st.sampled_from(("net", "cbr0")))] = {
            name: draw(content(name)) for name in names
        }
    return Folder(files, inlined)
