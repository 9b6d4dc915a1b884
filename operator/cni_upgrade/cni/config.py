"""Reads one config file as libcni reads it, so that the verdict is about what really runs.

Sources: libcni `libcni/conf.go` (ConfFromBytes, ConfListFromConf, ConfListFromBytes,
NetworkConfFromFile) of the releases 0.8.1 to 1.3.0; go-cni `opts.go` loadFromConfDir and ocicni
`ocicni.go` loadNetworks, which both read a `.conf` or `.json` as one plugin and turn it into a
list. What differs between releases of libcni is asked by the release's number.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from cni_upgrade.cni import chain, golang, notes, version_keys, versions
from cni_upgrade.cni.document import (
    Document,
    DocumentError,
    Node,
    TooDeepError,
    parse,
    to_bytes,
)
from cni_upgrade.cni.findings import Code, Finding, Severity, shown

Kind = Literal["conf", "conflist", "other"]

Inline = Mapping[str, bytes | str]
"""The `.conf` files of the folder that is named as the network; a string says why one cannot be
read, under the name "" why the folder cannot: an `Unread` where that may hold of us alone."""


class Unread(str):
    """Why we did not read what libcni may well read: our limits, our rights, what is mounted."""

    __slots__ = ()


NEWEST_LIBCNI = "1.3.0"
"""The newest release that this module was held against; assumed where none is given."""


@dataclass(frozen=True, slots=True)
class Config:
    """One file as one release of libcni reads it; `error` is set when it would not be loaded.

    Where the error is BAD_VERSION the other members are those of the file without any version: all
    that keeps libcni from loading it is what a rewrite replaces.
    """

    name: str
    kind: Kind
    network: str | None = None
    version: str | None = None
    """The effective version: what the plugins are told. None when missing or empty."""
    versions: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    """Every binary of the chain in order, IPAM and delegates included."""
    calls: tuple[chain.Called, ...] = ()
    """Of the same binaries, at which version each is called; more than one for some."""
    pinned: tuple[chain.Called, ...] = ()
    """The same calls once a rewrite has removed what hides the version from a plugin."""
    elsewhere: tuple[str, ...] = ()
    """Networks that run with this one and stand in no text of it (`chain.elsewhere`)."""
    mains: tuple[str, ...] = ()
    """The binaries that libcni itself starts, one for each plugin of the list."""
    check_disabled: bool = False
    error: Finding | None = None
    unjudged: bool = False
    """With `error`: it is we who did not read it whole, and libcni may load it all the same."""
    notes: tuple[Finding, ...] = ()
    """What is worth saying of a file that is loaded."""
    data: bytes = field(default=b"", repr=False)
    inline: Inline = field(default_factory=dict, repr=False)

    @property
    def mendable(self) -> bool:
        """Whether it is not loaded, and would be if only it had another cniVersion."""
        return self.error is not None and self.error.code == Code.BAD_VERSION

    def rewritten(self) -> "Config":
        """The same file with its plugins called as they are after a rewrite."""
        return replace(self, calls=self.pinned)

    def under(self, libcni: str) -> "Config":
        """The same file as that release of libcni reads it."""
        if self.error is not None and self.error.code == Code.FILE_UNREADABLE:
            return self  # there are no bytes, which is not the same as an empty file
        return read(self.name, self.data, libcni, self.inline)


class _NotLoadedError(Exception):
    """libcni would return an error for this file."""

    def __init__(self, code: Code, message: str, unjudged: bool = False) -> None:
        self.code = code
        self.unjudged = unjudged
        super().__init__(message)


class _BadVersionError(_NotLoadedError):
    """libcni would return an error because of the list's cniVersion or cniVersions."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.BAD_VERSION, message)


def kind_of(name: str) -> Kind:
    """What the name makes of a file: only the extension counts, exactly as spelled."""
    dot = name.rfind(".")
    extension = name[dot:] if dot >= 0 else ""
    if extension == ".conflist":
        return "conflist"
    return "conf" if extension in (".conf", ".json") else "other"


def read(name: str, data: bytes, libcni: str | None = None, inline: Inline | None = None) -> Config:
    """Read a file's bytes as the given release of libcni does (the newest one by default).

    `inline` holds the `.conf` files of the folder that is named as the network, beside the file:
    libcni from 1.3.0 on appends them to a list's chain.
    """
    kind = kind_of(name)
    release = _release(libcni or NEWEST_LIBCNI)
    inline = inline or {}
    try:
        document = parse(data)
    except TooDeepError as error:
        return _refused(name, kind, data, inline, Code.TOO_DEEP, str(error), unjudged=True)
    except DocumentError as error:
        code = Code.TEMPLATE_NOT_RENDERED if notes.template_marks(data) else Code.UNPARSABLE
        return _refused(name, kind, data, inline, code, str(error))
    reader = _read_list if kind == "conflist" else _read_conf
    try:
        return reader(name, kind, document, release, inline)
    except (golang.VersionError, _BadVersionError) as error:
        reason = str(error)
    except golang.DecodeError as error:
        return _refused(name, kind, data, inline, Code.INVALID, str(error))
    except _NotLoadedError as error:
        return _refused(name, kind, data, inline, error.code, str(error), unjudged=error.unjudged)
    try:
        rest = reader(name, kind, version_keys.versionless(document, kind), release, inline)
    except (golang.DecodeError, _NotLoadedError) as error:
        reason = f"{reason}; and with another cniVersion: {error}"
        return _refused(name, kind, data, inline, Code.INVALID, reason)
    action = "write a released version as a string; a rewrite does"
    finding = Finding(Code.BAD_VERSION, Severity.FAULT, name, reason, action)
    return replace(rest, version=None, versions=(), error=finding, data=data)


def beside(name: str, data: bytes) -> str | None:
    """The folder, beside the file, whose `.conf` files libcni 1.3 adds to a list: its network.

    None where it adds none. A list may have no plugins but those.
    """
    if kind_of(name) != "conflist":
        return None
    network = read(name, data).network
    if network is None:
        network = read(name, data, inline={"x.conf": b'{"type": "x"}'}).network
    return network


def _release(libcni: str) -> tuple[int, int, int]:
    major, minor, patch = libcni.split(".")
    return int(major), int(minor), int(patch)


def _refused(
    name: str,
    kind: Kind,
    data: bytes,
    inline: Inline,
    code: Code,
    message: str,
    *,
    unjudged: bool = False,
) -> Config:
    actions = {
        Code.TEMPLATE_NOT_RENDERED: "find out why the program that renders this file did not",
        Code.TOO_DEEP: "look at the file: no CNI config needs such nesting",
        Code.CRASHES: "remove the file at once, or the runtime does not start again",
        Code.LIST_IN_CONF: "rename the file to .conflist",
    }
    action = actions.get(code, "mend the file, or remove it if nothing needs it")
    finding = Finding(code, Severity.FAULT, name, message, action)
    return Config(name, kind, error=finding, unjudged=unjudged, data=data, inline=inline)


def _read_conf(
    name: str,
    kind: Kind,
    document: Document,
    libcni: tuple[int, int, int],
    inline: Inline,
) -> Config:
    """ConfFromBytes, then ConfListFromConf, which sorts the keys and decodes once more."""
    root = document.root
    conf = _plugin_conf(root, libcni)
    if not conf.type:
        if any(member.key == "plugins" for member in root.members):
            raise _NotLoadedError(Code.LIST_IN_CONF, "missing 'type': this is a list of plugins")
        raise _NotLoadedError(Code.MISSING_TYPE, "missing 'type'")
    golang.check_numbers(root)
    plugin = golang.remarshalled(root)
    main = golang.plugin_conf(plugin, libcni).type
    if not main:
        raise _NotLoadedError(Code.MISSING_TYPE, "missing 'type' once the keys are sorted")
    data = to_bytes(document.text)
    calls = chain.chain([plugin])
    return Config(
        name,
        kind,
        network=conf.name,
        version=conf.cni_version or None,
        plugins=chain.binaries(calls),
        calls=calls,
        pinned=chain.chain([version_keys.bare(plugin)]),
        elsewhere=chain.elsewhere([plugin]),
        mains=(main,),
        notes=notes.notes(
            name,
            data,
            conf.name,
            version_keys.deciding(document, kind),
            [conf.name, conf.cni_version, *_said(calls)],
        ),
        data=data,
        inline=inline,
    )


def _plugin_conf(node: Node, libcni: tuple[int, int, int]) -> golang.PluginConf:
    """ConfFromBytes up to libcni 1.0.1 sets its pointer to nil on `null`, and reads through it.

    So `"plugins": [null]`, or a `.conf` that holds just `null`, ends the runtime's process.
    """
    if node.kind == "null" and libcni < (1, 1, 0):
        raise _NotLoadedError(Code.CRASHES, "null stands where a plugin belongs: libcni panics")
    return golang.plugin_conf(node, libcni)


def _read_list(
    name: str,
    kind: Kind,
    document: Document,
    libcni: tuple[int, int, int],
    inline: Inline,
) -> Config:
    """ConfListFromBytes; from libcni 1.3.0 on with the plugins of the folder beside it."""
    members = golang.as_map(document.root)
    network = _text(members, "name")
    if network is None:
        raise _NotLoadedError(Code.MISSING_NAME, "no name")
    version = _text(members, "cniVersion") or ""
    others = _version_list(members, libcni)
    if others is not None and libcni >= (1, 2, 0):
        version = _effective(version, others)
    disabled = _flag(members, "disableCheck", libcni)
    inlined_only = False
    if libcni >= (1, 2, 0):
        _flag(members, "disableGC", libcni)
    if libcni >= (1, 3, 0):
        inlined_only = _flag(members, "loadOnlyInlinedPlugins", libcni)
    plugins = _plugins(members, libcni, inlined_only)
    own = len(plugins)
    files: dict[int, str] = {}
    if libcni >= (1, 3, 0) and not inlined_only:
        for file, plugin in _inline_plugins(inline, libcni):
            files[len(plugins)] = f"{network}/{file}"
            plugins.append(plugin)
    if not plugins:
        raise _NotLoadedError(Code.MISSING_PLUGINS, "no plugin configs found")
    data = to_bytes(document.text)
    keys = version_keys.deciding(document, kind)
    calls = chain.chain(plugins, files)
    pinned = [*map(version_keys.bare, plugins[:own]), *plugins[own:]]
    return Config(
        name,
        kind,
        network=network,
        version=version or None,
        versions=tuple(others or ()),
        plugins=chain.binaries(calls),
        calls=calls,
        pinned=chain.chain(pinned, files),
        elsewhere=chain.elsewhere(plugins),
        mains=tuple(dict.fromkeys(chain.last_string(plugin, "type") for plugin in plugins)),
        check_disabled=disabled,
        notes=(
            *notes.notes(
                name, data, network, keys, [network, version, *(others or ()), *_said(calls)]
            ),
            *notes.inlined(name, calls),
        ),
        data=data,
        inline=inline,
    )


def _said(calls: Iterable[chain.Called]) -> Iterator[str]:
    """Who is called, and at which versions of their own."""
    for call in calls:
        yield from (call.binary, *call.own)


def _text(members: Mapping[str, Node], key: str) -> str | None:
    node = members.get(key)
    if node is None:
        return None
    if node.kind != "string":
        what = f"{key} is not a string but {golang.named(node)}"
        if key == "cniVersion":
            raise _BadVersionError(what)
        raise _NotLoadedError(Code.INVALID, what)
    return str(node.scalar)


def _version_list(members: Mapping[str, Node], libcni: tuple[int, int, int]) -> list[str] | None:
    node = members.get("cniVersions")
    if node is None:
        return None
    strings = [str(item.scalar) for item in node.items if item.kind == "string"]
    if libcni >= (1, 2, 0) and (node.kind != "array" or len(strings) != len(node.items)):
        raise _BadVersionError("cniVersions is not an array of strings")
    return strings


def _effective(version: str, others: list[str]) -> str:
    """The highest entry that libcni 1.2 and 1.3 (specification 1.1.0) can speak.

    Of two spellings of one number ("1.0" and "1.0.0") the first counts, `cniVersion` standing
    after the others: the comparison calls each less than the other, and Go's insertion sort then
    puts the later one in front (`slices.SortFunc`, up to twelve entries).
    """
    candidates: list[tuple[tuple[int, int, int], str]] = []
    own = versions.libcni_order(versions.KNOWN[-1])
    for spelling in [*others, *([version] if version else [])]:
        try:
            order = versions.libcni_order(spelling or versions.IMPLIED)
        except ValueError as error:
            raise _BadVersionError(f"cniVersions: {shown(str(error))}") from None
        if order <= own:
            candidates.append((order, spelling))
    if not candidates:
        return version
    return max(candidates, key=lambda pair: pair[0])[1]


def _flag(members: Mapping[str, Node], key: str, libcni: tuple[int, int, int]) -> bool:
    node = members.get(key)
    if node is None:
        return False
    if node.kind == "bool":
        return bool(node.scalar)
    if libcni >= (1, 2, 0) and node.kind == "string":
        lowered = str(node.scalar).lower()
        if lowered in ("true", "false"):
            return lowered == "true"
    raise _NotLoadedError(Code.INVALID, f"invalid {key}: {golang.named(node)}")


def _plugins(
    members: Mapping[str, Node], libcni: tuple[int, int, int], inlined_only: bool
) -> list[Node]:
    node = members.get("plugins")
    if node is None:
        if libcni >= (1, 3, 0) and not inlined_only:
            return []
        raise _NotLoadedError(Code.MISSING_PLUGINS, "no 'plugins' key")
    if node.kind != "array":
        raise _NotLoadedError(Code.MISSING_PLUGINS, f"'plugins' is {golang.named(node)}")
    if not node.items:
        raise _NotLoadedError(Code.MISSING_PLUGINS, "no plugins in list")
    plugins = [golang.remarshalled(item) for item in node.items]
    for place, plugin in enumerate(plugins):
        if not _plugin_conf(plugin, libcni).type:
            raise _NotLoadedError(Code.MISSING_TYPE, f"plugin {place}: missing 'type'")
    return plugins


def _inline_plugins(inline: Inline, libcni: tuple[int, int, int]) -> list[tuple[str, Node]]:
    """NetworkPluginConfsFromFiles: each file decoded once as it stands, in the order of names."""
    plugins: list[tuple[str, Node]] = []
    if reason := inline.get(""):
        why = f"the folder of its name: {reason!s}"
        raise _NotLoadedError(Code.INLINE_FOLDER, why, isinstance(reason, Unread))
    for name in sorted(inline, key=lambda each: each.encode("utf-8", "surrogateescape")):
        if not name.endswith(".conf"):
            continue
        data = inline[name]
        if isinstance(data, str):
            why = f"inlined {shown(name)}: {data}"
            raise _NotLoadedError(Code.INLINE_FOLDER, why, isinstance(data, Unread))
        try:
            node = parse(data).root
            if not golang.plugin_conf(node, libcni).type:
                raise _NotLoadedError(Code.MISSING_TYPE, f"inlined {shown(name)}: missing 'type'")
        except (DocumentError, golang.DecodeError) as error:
            why, deep = f"inlined {shown(name)}: {error}", isinstance(error, TooDeepError)
            raise _NotLoadedError(Code.INLINE_FOLDER, why, deep) from None
        plugins.append((name, node))
    return plugins
