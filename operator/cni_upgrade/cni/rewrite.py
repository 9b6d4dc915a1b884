"""Changes the version of a config and nothing else, so that a person can read the difference.

The change is decided as an RFC 6902 patch and carried out on the text, by the spans that
`document` records. jsonpatch then judges the edit: the new text must mean what the patch makes of
the old one, and libcni's reading of it must be the wanted version with the chain unchanged.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from cni_upgrade.cni import config, golang, patch, version_keys, versions
from cni_upgrade.cni.document import Document, DocumentError, Member, Node, parse, to_bytes
from cni_upgrade.cni.inline import Inline
from cni_upgrade.cni.patch import Operation, RewriteError
from cni_upgrade.cni.splice import Splice, spliced, without
from cni_upgrade.cni.value import dataclass

__all__ = ["RELEASES", "RewriteError", "Rewritten", "diff", "rewrite"]

KEY = "cniVersion"

RELEASES = ("0.8.1", "1.2.3", config.NEWEST_LIBCNI)
"""One release of libcni for each way in which files are read."""

_NAMELESS = ("before", "after")
_AROUND = 3  # lines that a hunk shows around what differs, as diff -u does
_COMPARED = 1_000_000  # old lines times new ones
_ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\"}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The new bytes, and the patch that they came from."""

    data: bytes
    patch: list[Operation]


def rewrite(data: bytes, kind: str, to: str, inline: Inline | None = None) -> Rewritten:
    """Give the config that version, so that it holds under every release of libcni.

    In a list `cniVersions` goes, for libcni 1.2 and later prefer it, and so do the keys of plugins
    that would override the list's version. In a single-plugin config every spelling that libcni
    takes for `cniVersion` becomes one key. A version of a kind that libcni does not load (`null`
    in a list, a number) is replaced like any other.

    Raises RewriteError when the bytes are not a config that libcni loads (or would load if it had
    another version), when the version is not a released one, and when the result would not be
    read as wanted.
    """
    if not versions.known(to):
        raise RewriteError(f"{to!r} is no released CNI version")
    if kind not in ("conf", "conflist"):
        raise RewriteError(f"a file of kind {kind!r} is no CNI config")
    before = _readings(data, kind, inline)
    loaded = [
        release for release, reading in before.items() if reading.error is None or reading.mendable
    ]
    if not loaded:
        error = before[config.NEWEST_LIBCNI].error
        raise RewriteError(f"{error.code}: {error.message}" if error else "not a config")
    document = parse(data)
    if kind == "conflist":
        operations, splices = _edit_list(document, to)
    else:
        operations, splices = _edit_conf(document, to)
    new = _carried_out(document, operations, splices)
    after = _readings(new, kind, inline)
    for release in loaded:
        new_reading = after[release]
        if new_reading.error or new_reading.version != to:
            raise RewriteError(f"libcni {release} would not read the result as {to}")
        if new_reading.plugins != before[release].plugins:
            raise RewriteError(f"libcni {release} would read another chain from the result")
    return Rewritten(new, operations)


def pin(data: bytes, to: str) -> Rewritten:
    """Give settings from which a program makes a config one `cniVersion`.

    Every spelling that a Go program takes for `cniVersion` becomes one key; nothing else of the
    document is understood here. Raises RewriteError when it is no JSON object, or the version no
    released one.
    """
    if not versions.known(to):
        raise RewriteError(f"{to!r} is no released CNI version")
    try:
        document = parse(data)
    except DocumentError as error:
        raise RewriteError(str(error)) from error
    if document.root.kind != "object":
        raise RewriteError(f"it is not an object but {golang.named(document.root)}")
    operations, splices = _edit_conf(document, to)
    return Rewritten(_carried_out(document, operations, splices), operations)


def _carried_out(
    document: Document, operations: list[Operation], splices: Sequence[Splice]
) -> bytes:
    new = to_bytes(spliced(document.text, splices))
    patch.prove(document, new, operations)
    return new


def _readings(data: bytes, kind: str, inline: Inline | None) -> dict[str, config.Config]:
    return {release: config.read(f"config.{kind}", data, release, inline) for release in RELEASES}


def diff(old: bytes, new: bytes, name: str = "", new_name: str = "") -> str:
    """A unified diff; bytes that are no UTF-8 become U+FFFD.

    With another `new_name` the file is moved too, as `git apply` and GNU patch take it.
    """
    if old == new:
        return ""
    new_name = new_name or name
    before, after = (_quoted(f"a/{name}"), _quoted(f"b/{new_name}")) if name else _NAMELESS
    lines = _unified(_lines(old), _lines(new), before, after)
    moved = [
        f"diff --git {before} {after}\n",
        f"rename from {_quoted(name)}\n",
        f"rename to {_quoted(new_name)}\n",
    ]
    return "".join(moved if new_name != name else []) + "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _unified(old: list[str], new: list[str], before: str, after: str) -> Iterator[str]:
    """As difflib has it, which takes the square of the lines where many are alike: of a file of
    1 MiB, minutes. So it is given the part that differs alone, and none that is larger than
    `_COMPARED`: of such a one all lines go and all come. It is not given the lines around that
    part: it may match them otherwise, and patch takes a hunk that shows fewer lines before what
    differs than after it for one at the start of the file.
    """
    first = _alike(zip(old, new, strict=False))
    last = _alike(zip(reversed(old[first:]), reversed(new[first:]), strict=False))
    gone, come = len(old) - first - last, len(new) - first - last
    yield f"--- {before}\n"
    yield f"+++ {after}\n"
    groups = [[("replace", 0, gone, 0, come)]]
    if gone * come <= _COMPARED:
        matcher = difflib.SequenceMatcher(
            None, old[first : first + gone], new[first : first + come]
        )
        groups = list(matcher.get_grouped_opcodes(_AROUND))
    groups = [
        [(tag, a + first, b + first, c + first, d + first) for tag, a, b, c, d in group]
        for group in groups
    ]
    if groups:  # else the bytes differ in what is no UTF-8 alone
        start, shown = max(first - _AROUND, 0), min(last, _AROUND)
        a, b = first + gone, first + come
        groups[0].insert(0, ("equal", start, first, start, first))
        groups[-1].append(("equal", a, a + shown, b, b + shown))
    for group in groups:
        (_, a, _, c, _), (_, _, b, _, d) = group[0], group[-1]
        yield f"@@ -{_range(a, b)} +{_range(c, d)} @@\n"
        for tag, a, b, c, d in group:
            yield from (f" {line}" for line in old[a:b] if tag == "equal")
            yield from (f"-{line}" for line in old[a:b] if tag != "equal")
            yield from (f"+{line}" for line in new[c:d] if tag != "equal")


def _alike(pairs: Iterable[tuple[str, str]]) -> int:
    """How many of them are pairs of the same, up to the first that is not."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _range(start: int, stop: int) -> str:
    """Lines as the head of a hunk counts them; none are named by the line before."""
    count = stop - start
    return f"{start + 1}" if count == 1 else f"{start + (count > 0)},{count}"


def _lines(data: bytes) -> list[str]:
    pieces = data.decode("utf-8", "replace").split("\n")
    return [f"{piece}\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _quoted(path: str) -> str:
    """A path as git writes it in a patch: one with a line break would be another header."""
    if path.isprintable() and not set(path) & {'"', "\\"}:
        return path
    shown = "".join(
        _ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}")
        for byte in path.encode("utf-8", "surrogateescape")
    )
    return f'"{shown}"'


def _edit_list(document: Document, to: str) -> tuple[list[Operation], list[Splice]]:
    root = document.root
    own = [member for member in root.members if member.key == KEY]
    gone = [member for member in root.members if member.key == "cniVersions"]
    operations, splices = _set_version(document, own, to)
    operations += patch.removals("", {member.key: member.value for member in gone})
    splices += without(root, [*own[:-1], *gone])
    plugins = [member.value for member in root.members if member.key == "plugins"]
    for place, plugin in enumerate(plugins[-1].items if plugins else ()):
        hidden = version_keys.overriding(plugin)
        operations += patch.removals(f"/plugins/{place}", {each.key: each.value for each in hidden})
        splices += without(plugin, hidden)
    return operations, splices


def _edit_conf(document: Document, to: str) -> tuple[list[Operation], list[Splice]]:
    root = document.root
    spelled = [member for member in root.members if golang.fold(member.key) == KEY.lower()]
    exact = [member for member in spelled if member.key == KEY]
    kept = exact[-1] if exact else None
    operations, splices = _set_version(document, exact, to)
    others = [member for member in spelled if member is not kept]
    operations += patch.removals("", {each.key: each.value for each in others if each.key != KEY})
    splices += without(root, others)
    return operations, splices


def _set_version(
    document: Document, present: Sequence[Member], to: str
) -> tuple[list[Operation], list[Splice]]:
    """Replace the value of the member that counts, the last one, or add a first member."""
    root = document.root
    if not present:
        guards = {member.key: member.value for member in root.members if member.key == "name"}
        operations: list[Operation] = [
            *patch.tests("", guards),
            {"op": "add", "path": f"/{KEY}", "value": to},
        ]
        return operations, [_first_member(document.text, root, to)]
    value = present[-1].value
    if value.kind == "string" and value.scalar == to:
        return [], []
    operations = [
        *patch.tests("", {KEY: value}),
        {"op": "replace", "path": f"/{KEY}", "value": to},
    ]
    return operations, [Splice(value.start, value.end, f'"{to}"')]


def _first_member(text: str, root: Node, to: str) -> Splice:
    """The new member before all others, in the file's own manner."""
    if not root.members:
        return Splice(root.start + 1, root.start + 1, f'"{KEY}": "{to}"')
    first = root.members[0]
    colon = text[first.key_end : first.value.start]
    if "\n" in colon or "\r" in colon:
        colon = ": "
    return Splice(first.start, first.start, f'"{KEY}"{colon}"{to}",{_gap(text, root, colon)}')


def _gap(text: str, root: Node, colon: str) -> str:
    """What stands between the comma and the next key, as elsewhere in this object."""
    first = root.members[0]
    before = text[root.start + 1 : first.start]
    newline = max(before.rfind("\n"), before.rfind("\r"))
    if newline >= 0:
        if before[newline - 1 : newline + 1] == "\r\n":
            newline -= 1
        return before[newline:]
    if len(root.members) > 1:
        second = root.members[1]
        between = text[text.index(",", first.value.end) + 1 : second.start]
        if "\n" not in between and "\r" not in between:
            return between
    return " " if colon.endswith(" ") else ""
