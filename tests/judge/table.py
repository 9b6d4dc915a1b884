"""Files made by hand, each for one quirk of libcni, with what each release makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OLD = ("0.8.1", "1.0.1", "1.1.2")
NEW = ("1.2.3", "1.3.0")
ALL = (*OLD, *NEW)


@dataclass(frozen=True)
class Row:
    """One file, and how the releases that load it read it."""

    title: str
    name: str
    data: bytes
    loaded_by: tuple[str, ...] = ALL
    version: str = "1.0.0"
    version_by: Mapping[str, str] = field(default_factory=dict)
    network: str = "net"
    chain: tuple[str, ...] = ("bridge",)
    told: str | None = None
    """What a plugin reads as its version, where that is not the list's."""
    inline: Mapping[str, bytes] = field(default_factory=dict)


def _list(title: str, text: str, **others: object) -> Row:
    return Row(title, "10-a.conflist", text.encode("utf-8", "surrogateescape"), **others)  # type: ignore[arg-type]


def _conf(title: str, text: str, **others: object) -> Row:
    return Row(title, "10-a.conf", text.encode("utf-8", "surrogateescape"), **others)  # type: ignore[arg-type]


PLUGINS = '"plugins": [{"type": "bridge"}]'
HEAD = '"cniVersion": "1.0.0", "name": "net"'

ROWS: tuple[Row, ...] = (
    _list("a plain list", f"{{{HEAD}, {PLUGINS}}}"),
    _conf("a plain single plugin", f'{{{HEAD}, "type": "bridge"}}'),
    Row("a single plugin in .json", "a.json", f'{{{HEAD}, "type": "bridge"}}'.encode()),
    Row("a list in .json", "a.json", f"{{{HEAD}, {PLUGINS}}}".encode(), loaded_by=()),
    _conf("a list in .conf", f"{{{HEAD}, {PLUGINS}}}", loaded_by=()),
    _list("a single plugin in .conflist", f'{{{HEAD}, "type": "bridge"}}', loaded_by=()),
    # The version.
    _list("no version in a list", f'{{"name": "net", {PLUGINS}}}', version=""),
    _conf("no version in a .conf", '{"name": "net", "type": "bridge"}', version=""),
    _list("an empty version", f'{{"cniVersion": "", "name": "net", {PLUGINS}}}', version=""),
    _list("null in a list", f'{{"cniVersion": null, "name": "net", {PLUGINS}}}', loaded_by=()),
    _conf("null in a .conf", '{"cniVersion": null, "name": "net", "type": "bridge"}', version=""),
    _list("a number in a list", f'{{"cniVersion": 1.0, "name": "net", {PLUGINS}}}', loaded_by=()),
    _conf("a number in a .conf", '{"cniVersion": 1.0, "name": "net", "type": "b"}', loaded_by=()),
    _list("true in a list", f'{{"cniVersion": true, "name": "net", {PLUGINS}}}', loaded_by=()),
    _list("a list in a list", f'{{"cniVersion": ["1.0.0"], "name": "net", {PLUGINS}}}',
          loaded_by=()),
    _conf("an object in a .conf", '{"cniVersion": {}, "name": "net", "type": "b"}', loaded_by=()),
    _conf("a number under another spelling", f'{{{HEAD}, "type": "b", "CNIVersion": 1}}',
          loaded_by=()),
    _list("a number in a plugin", f'{{{HEAD}, "plugins": [{{"type": "b", "cniVersion": 1}}]}}',
          loaded_by=()),
    _list("a number in a list without plugins", '{"cniVersion": 1, "name": "net"}', loaded_by=()),
    _list("null in a list without a name", f'{{"cniVersion": null, {PLUGINS}}}', loaded_by=()),
    _list("two numbers", f'{{"cniVersion": "1.0", "name": "net", {PLUGINS}}}', version="1.0"),
    _list("a v", f'{{"cniVersion": "v1.0.0", "name": "net", {PLUGINS}}}', version="v1.0.0"),
    _list(
        "a plugin's own version is overwritten",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "cniVersion": "0.1.0"}}]}}',
    ),
    _list(
        "unless it is spelled so that it sorts after cniVersion",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "cniversion": "0.1.0"}}]}}',
        told="0.1.0",
    ),
    _list(
        "and not when it sorts before",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "CNIVersion": "0.1.0"}}]}}',
    ),
    _list(
        "a long s sorts after, too",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "cniVer\u017fion": "0.1.0"}}]}}',
        told="0.1.0",
    ),
    _list(
        "null there leaves what came before",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "cniversion": "0.1.0", '
        '"cniver\u017fion": null}]}',
        told="0.1.0",
    ),
    _conf(
        "a .conf tells libcni the last one as they stand, and the plugin the last of the sorted",
        '{"cniversion": "0.4.0", "name": "net", "cniVersion": "1.0.0", "type": "bridge"}',
        told="0.4.0",
    ),
    _list(
        "a key in the folder's files",
        f"{{{HEAD}}}",
        inline={"a.conf": b'{"cniversion": "0.4.0", "type": "ptp"}'},
        loaded_by=("1.3.0",),
        chain=("ptp",),
        told="0.4.0",
    ),
    # Keys.
    _list(
        "list keys are exact",
        f'{{"CNIVersion": "0.4.0", {HEAD}, {PLUGINS}, "Cniversion": "0.3.1"}}',
    ),
    _list("a list's Name is no name", f'{{"Name": "net", {PLUGINS}}}', loaded_by=()),
    _list("the last duplicate counts", f'{{"cniVersion": "0.4.0", {HEAD}, {PLUGINS}}}'),
    _conf("conf keys fold, last one wins", f'{{{HEAD}, "type": "bridge", "CNIVERSION": "0.4.0"}}',
          version="0.4.0"),
    _conf("a long s folds", f'{{{HEAD}, "type": "bridge", "cniVer\u017fion": "0.4.0"}}',
          version="0.4.0"),
    _conf("null does not undo", f'{{{HEAD}, "type": "bridge", "cniVersion": null}}'),
    _conf(
        "a type that null undoes once the keys are sorted",
        f'{{{HEAD}, "type": "bridge", "type": null}}',
        loaded_by=(),
    ),
    _conf(
        "sorted keys choose another type",
        f'{{{HEAD}, "type": "bridge", "TYPE": "ptp"}}',
        chain=("bridge",),
    ),
    _conf(
        "an escaped key is that key",
        '{"\\u0063niVersion": "1.0.0", "name": "net", "type": "bridge"}',
    ),
    # cniVersions.
    _list(
        "cniVersions beats cniVersion from 1.2 on",
        f'{{"cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.0.0"], "name": "net", {PLUGINS}}}',
        version="1.0.0",
        version_by=dict.fromkeys(OLD, "0.4.0"),
    ),
    _list(
        "entries above the own maximum are skipped",
        f'{{"cniVersions": ["0.3.1", "1.9.0"], "name": "net", {PLUGINS}}}',
        version="0.3.1",
        version_by=dict.fromkeys(OLD, ""),
    ),
    _list(
        "only such entries: cniVersion stays even if it is above",
        f'{{"cniVersion": "3.0.0", "cniVersions": ["1.9.0"], "name": "net", {PLUGINS}}}',
        version="3.0.0",
    ),
    _list(
        "the first of equals counts",
        f'{{"cniVersion": "1.0", "cniVersions": ["1.0.0", "01.0.0"], "name": "net", {PLUGINS}}}',
        version="1.0.0",
        version_by=dict.fromkeys(OLD, "1.0"),
    ),
    _list(
        "an entry that is no version",
        f'{{{HEAD}, "cniVersions": ["latest"], {PLUGINS}}}',
        loaded_by=OLD,
    ),
    _list("an entry that is no string", f'{{{HEAD}, "cniVersions": [1], {PLUGINS}}}',
          loaded_by=OLD),
    _list("cniVersions that is no array", f'{{{HEAD}, "cniVersions": "1.0.0", {PLUGINS}}}',
          loaded_by=OLD),
    _list("cniVersions null", f'{{{HEAD}, "cniVersions": null, {PLUGINS}}}', loaded_by=OLD),
    _list("an empty cniVersions", f'{{{HEAD}, "cniVersions": [], {PLUGINS}}}'),
    _list(
        "an empty entry counts as 0.1.0",
        f'{{"cniVersions": [""], "name": "net", {PLUGINS}}}',
        version="",
    ),
    _list(
        "a bad cniVersion counts only beside cniVersions",
        f'{{"cniVersion": "v1.0.0", "cniVersions": [], "name": "net", {PLUGINS}}}',
        version="v1.0.0",
        loaded_by=OLD,
    ),
    _conf(
        "a .conf has no cniVersions",
        f'{{{HEAD}, "cniVersions": ["1.1.0"], "type": "bridge"}}',
    ),
    # Flags.
    _list("disableCheck", f'{{{HEAD}, "disableCheck": true, {PLUGINS}}}'),
    _list("disableCheck as text", f'{{{HEAD}, "disableCheck": "True", {PLUGINS}}}',
          loaded_by=NEW),
    _list("disableCheck as other text", f'{{{HEAD}, "disableCheck": "yes", {PLUGINS}}}',
          loaded_by=()),
    _list("disableGC as a number", f'{{{HEAD}, "disableGC": 1, {PLUGINS}}}', loaded_by=OLD),
    _list("a bad loadOnlyInlinedPlugins", f'{{{HEAD}, "loadOnlyInlinedPlugins": 1, {PLUGINS}}}',
          loaded_by=(*OLD, "1.2.3")),
    # The folder that is named as the network.
    _list(
        "no plugins but a folder",
        f"{{{HEAD}}}",
        inline={"a.conf": b'{"type": "ptp"}', "b.json": b"no"},
        loaded_by=("1.3.0",),
        chain=("ptp",),
    ),
    _list(
        "no plugins and inlined only",
        f'{{{HEAD}, "loadOnlyInlinedPlugins": true}}',
        inline={"a.conf": b'{"type": "ptp"}'},
        loaded_by=(),
    ),
    _list(
        "a bad file in the folder",
        f"{{{HEAD}, {PLUGINS}}}",
        inline={"a.conf": b"{}"},
        loaded_by=(*OLD, "1.2.3"),
    ),
    _list(
        "a bad file in the folder, inlined only",
        f'{{{HEAD}, "loadOnlyInlinedPlugins": true, {PLUGINS}}}',
        inline={"a.conf": b"{}"},
    ),
    _list("no plugins and no folder", f"{{{HEAD}}}", loaded_by=()),
    # Plugins.
    _list("empty plugins", f'{{{HEAD}, "plugins": []}}', loaded_by=()),
    _list("plugins is an object", f'{{{HEAD}, "plugins": {{}}}}', loaded_by=()),
    _list("plugins is null", f'{{{HEAD}, "plugins": null}}', loaded_by=()),
    _list("a plugin is null: libcni up to 1.0.1 panics", f'{{{HEAD}, "plugins": [null]}}',
          loaded_by=()),
    _conf("a .conf that is null: libcni up to 1.0.1 panics", "null", loaded_by=()),
    _list("a list that is null", "null", loaded_by=()),
    _list("a plugin without type", f'{{{HEAD}, "plugins": [{{}}]}}', loaded_by=()),
    _list("a plugin's Type folds", f'{{{HEAD}, "plugins": [{{"Type": "bridge"}}]}}'),
    _list(
        "ipam counts for the chain",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "ipam": {{"type": "host-local"}}}}]}}',
        chain=("bridge", "host-local"),
    ),
    _list(
        "two spellings of ipam merge in sorted order",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "ipam": {{}}, "IPAM": {{"type": "dhcp"}}}}]}}',
        chain=("bridge", "dhcp"),
    ),
    _list(
        "an empty type of ipam undoes an earlier one",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "ipam": {{"type": "dhcp", "type": ""}}}}]}}',
    ),
    _list(
        "also one of another spelling of ipam",
        f'{{{HEAD}, "plugins": [{{"type": "bridge", "ipam": {{"type": ""}}, '
        '"IPAM": {"type": "dhcp"}}]}',
    ),
    _list("ipam is text", f'{{{HEAD}, "plugins": [{{"type": "bridge", "ipam": "x"}}]}}',
          loaded_by=()),
    _list("a capability is text",
          f'{{{HEAD}, "plugins": [{{"type": "bridge", "capabilities": {{"a": "true"}}}}]}}',
          loaded_by=()),
    _list("a capability is null",
          f'{{{HEAD}, "plugins": [{{"type": "bridge", "capabilities": {{"a": null}}}}]}}'),
    _list("dns.search is text",
          f'{{{HEAD}, "plugins": [{{"type": "bridge", "dns": {{"search": "x"}}}}]}}',
          loaded_by=()),
    _list("valid-attachments of a wrong shape",
          f'{{{HEAD}, "plugins": [{{"type": "bridge", "cni.dev/valid-attachments": 1}}]}}',
          loaded_by=OLD),
    # The name.
    _list("no name", f'{{"cniVersion": "1.0.0", {PLUGINS}}}', loaded_by=()),
    _list("an empty name is loaded", f'{{"cniVersion": "1.0.0", "name": "", {PLUGINS}}}',
          network=""),
    _list("a name that is null", f'{{"cniVersion": "1.0.0", "name": null, {PLUGINS}}}',
          loaded_by=()),
    _conf("a .conf without name is loaded", '{"cniVersion": "1.0.0", "type": "bridge"}',
          network=""),
    # The text.
    _list("an empty file", "", loaded_by=()),
    _list("only space", " \n", loaded_by=()),
    _list("a byte order mark", f"\ufeff{{{HEAD}, {PLUGINS}}}", loaded_by=()),
    _list("a trailing comma", f"{{{HEAD}, {PLUGINS},}}", loaded_by=()),
    _list("a comment", f"{{{HEAD}, {PLUGINS}}} // net", loaded_by=()),
    _list("two documents", f"{{{HEAD}, {PLUGINS}}} {{}}", loaded_by=()),
    _list("a template", f'{{{HEAD}, "plugins": [{{"type": "bridge", "mtu": __CNI_MTU__}}]}}',
          loaded_by=()),
    _list("a template in text", f'{{{HEAD}, "plugins": [{{"type": "bridge", "x": "__A__"}}]}}'),
    _list("a number that overflows, anywhere", f'{{{HEAD}, {PLUGINS}, "x": [1e999]}}',
          loaded_by=()),
    _conf("a number that overflows in a .conf", f'{{{HEAD}, "type": "bridge", "x": -1e999}}',
          loaded_by=()),
    _list("a number that underflows", f'{{{HEAD}, {PLUGINS}, "x": 1e-999}}'),
    _list("bytes that are not UTF-8, in text", f'{{{HEAD}, {PLUGINS}, "x": "\udcff"}}'),
    _list("bytes that are not UTF-8, outside", f"{{{HEAD}, {PLUGINS}\udcff}}", loaded_by=()),
    _list("such bytes in the name", f'{{"cniVersion": "1.0.0", "name": "n\udcff", {PLUGINS}}}',
          network="n\ufffd"),
    _list("a lone surrogate", f'{{{HEAD}, {PLUGINS}, "x": "\\ud800"}}'),
    _list("a control character in text", f'{{{HEAD}, {PLUGINS}, "x": "\t"}}', loaded_by=()),
    _list("lines that end in CR LF", f"{{\r\n{HEAD},\r\n{PLUGINS}\r\n}}\r\n"),
    _list("99 levels of nesting", f'{{{HEAD}, {PLUGINS}, "x": {"[" * 99}{"]" * 99}}}'),
)  # fmt: skip
