"""Makes a list of a single-plugin config: the same network with the same plugin, in other words.

libcni itself makes such a list of every `.conf` that it loads (`libcni/conf.go` ConfListFromConf):
name and cniVersion are the list's, all else is the plugin's. So is it here, with each member's text
as it stood, `prevResult` and whatever nobody knows included. A single-plugin config at 1.0.0 or
later is outside the specification; the list is what it asks for.
"""

import re

from cni_upgrade.cni import config, golang, patch, versions
from cni_upgrade.cni.document import Document, Member, parse, to_bytes
from cni_upgrade.cni.notes import names_a_network
from cni_upgrade.cni.patch import Operation, RewriteError
from cni_upgrade.cni.rewrite import KEY, RELEASES, Rewritten
from cni_upgrade.cni.splice import spliced, without

_ALONE = "loadOnlyInlinedPlugins"
_NEIGHBOUR = {"neighbour.conf": b'{"type": "neighbour"}'}


def convert(data: bytes, to: str, *, alone: bool = False) -> Rewritten:
    """The list that stands for a single-plugin config, at that version, under every libcni.

    `alone`: something stands in the folder under the network's name, whose files libcni from 1.3.0
    on would append to a list, but never to a single plugin; the list then says that it is whole
    (`loadOnlyInlinedPlugins`).

    Raises RewriteError for what libcni does not load, or would not load as the same network with
    the same plugin: no name to give to the list, or a member `plugins` beside the type.
    """
    if not versions.known(to):
        raise RewriteError(f"{to!r} is no released CNI version")
    before = {release: config.read("config.conf", data, release) for release in RELEASES}
    for reading in before.values():
        if reading.error is not None and not reading.mendable:
            raise RewriteError(f"{reading.error.code}: {reading.error.message}")
    network = before[config.NEWEST_LIBCNI].network or ""
    if not names_a_network(network):
        raise RewriteError("a list needs a name, and the network has none that libcni takes")
    document = parse(data)
    if any(member.key == "plugins" for member in document.root.members):
        raise RewriteError("it has a type and a member plugins: what it means is not certain")
    new = to_bytes(_text(document, network, to, alone=alone))
    operations = _operations(document, network, to, alone=alone)
    patch.prove(document, new, operations)
    for release, reading in before.items():
        found = config.read("config.conflist", new, release, _NEIGHBOUR if alone else None)
        if (found.error, found.version, found.network) != (None, to, network) or (
            found.plugins,
            found.mains,
        ) != (reading.plugins, reading.mains):
            raise RewriteError(f"libcni {release} would not read the list as the same network")
    return Rewritten(new, operations)


def _of_the_list(document: Document) -> list[Member]:
    """The members that libcni takes for name and cniVersion, in whatever case they are."""
    return [
        member
        for member in document.root.members
        if golang.fold(member.key) in ("name", "cniversion")
    ]


def _text(document: Document, network: str, to: str, *, alone: bool) -> str:
    text, root = document.text, document.root
    first = root.members[0]
    colon = text[first.key_end : first.value.start]
    if "\n" in colon or "\r" in colon:
        colon = ": "
    heads = [f'"{KEY}"{colon}"{to}"', f'"name"{colon}"{network}"']
    heads += [f'"{_ALONE}"{colon}true'] if alone else []
    bare = spliced(text, list(without(root, _of_the_list(document))))
    plugin = bare[root.start : len(bare) - (len(text) - root.end)]
    gap = text[root.start + 1 : first.start]
    if "\n" in gap:
        made = _lines(heads, plugin, colon, gap, text[: root.start])
    else:
        comma = ", " if colon.endswith(" ") else ","
        made = "{" + gap + comma.join([*heads, f'"plugins"{colon}[{plugin}]']) + gap + "}"
    return text[: root.start] + made + text[root.end :]


def _lines(heads: list[str], plugin: str, colon: str, gap: str, before: str) -> str:
    """One member a line, the plugin's own lines moved in by as much as its place asks for."""
    end = "\r\n" if gap.rpartition("\n")[0].endswith("\r") else "\n"
    outer = before.rpartition("\n")[2]
    outer = outer if outer.isspace() else ""
    unit = gap.rpartition("\n")[2].removeprefix(outer) or "  "
    moved = re.sub(r"\n(?=[^\r\n])", f"\n{unit * 2}", plugin)
    inner = f"{end}{outer}{unit}"
    members = [*heads, f'"plugins"{colon}[{inner}{unit}{moved}{inner}]']
    return "{" + inner + f",{inner}".join(members) + f"{end}{outer}}}"


def _operations(document: Document, network: str, to: str, *, alone: bool) -> list[Operation]:
    """Every member of the plugin is moved, never written anew: not every reader of a patch keeps
    the spelling of its numbers."""
    effective = {member.key: member.value for member in document.root.members}
    own = {member.key for member in _of_the_list(document)}
    operations: list[Operation] = [
        *patch.tests("", {key: effective[key] for key in ("name", KEY) if key in effective}),
        {"op": "add", "path": "/plugins", "value": [{}]},
    ]
    for key in effective:
        path = f"/{patch.pointer(key)}"
        if key not in own:
            operations.append({"op": "move", "from": path, "path": f"/plugins/0{path}"})
        elif key not in ("name", KEY):
            operations.append({"op": "remove", "path": path})
    operations.append({"op": "add", "path": "/name", "value": network})
    operations.append({"op": "add", "path": f"/{KEY}", "value": to})
    if alone:
        operations.append({"op": "add", "path": f"/{_ALONE}", "value": True})
    return operations
