"""Reads one config file as libcni reads it, so that the verdict is about what really runs.

Sources: go-cni `opts.go` loadFromConfDir and ocicni `ocicni.go` loadNetworks, which both read a
`.conf` or `.json` as one plugin and turn it into a list. `config_list` has what libcni itself does.
"""

from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import Literal

from cni_upgrade.cni import chain, config_list, golang, notes, version_keys
from cni_upgrade.cni.document import Document, DocumentError, TooDeepError, parse, to_bytes
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.inline import Inline
from cni_upgrade.cni.not_loaded import BadVersionError, NotLoadedError
from cni_upgrade.cni.value import dataclass

Kind = Literal["conf", "conflist", "other"]

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
    defaults: tuple[str, ...] = ()
    """Those that multus adds pods to beside its cluster network (`chain.defaults`)."""
    delegate_dir: str = ""
    """Where multus, if it is one of the plugins, looks first for whom it runs."""
    versionless: tuple[chain.Versionless, ...] = ()
    """Networks of its text that multus adds and deletes with no version."""
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
    try:
        return _loaded(name, kind, document, release, inline)
    except (golang.VersionError, BadVersionError) as error:
        reason = str(error)
    except golang.DecodeError as error:
        return _refused(name, kind, data, inline, Code.INVALID, str(error))
    except NotLoadedError as error:
        return _refused(name, kind, data, inline, error.code, str(error), unjudged=error.unjudged)
    try:
        rest = _loaded(name, kind, version_keys.versionless(document, kind), release, inline)
    except (golang.DecodeError, NotLoadedError) as error:
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


def _loaded(
    name: str,
    kind: Kind,
    document: Document,
    libcni: tuple[int, int, int],
    inline: Inline,
) -> Config:
    """The file that libcni loads. Raises NotLoadedError and DecodeError where it would not."""
    if kind == "conflist":
        listed = config_list.from_list(document.root, libcni, inline)
    else:
        listed = config_list.from_conf(document.root, libcni)
    data = to_bytes(document.text)
    keys = version_keys.deciding(document, kind)
    calls = chain.chain(listed.plugins, listed.files)
    pinned = [
        plugin if place in listed.files else version_keys.bare(plugin)
        for place, plugin in enumerate(listed.plugins)
    ]
    said = [listed.network, listed.version, *listed.versions, *_said(calls)]
    return Config(
        name,
        kind,
        network=listed.network,
        version=listed.version or None,
        versions=listed.versions,
        plugins=chain.binaries(calls),
        calls=calls,
        pinned=chain.chain(pinned, listed.files),
        elsewhere=chain.elsewhere(listed.plugins),
        defaults=chain.defaults(listed.plugins),
        delegate_dir=chain.delegate_dir(listed.plugins),
        versionless=chain.versionless(listed.plugins),
        mains=tuple(dict.fromkeys(chain.last_string(each, "type") for each in listed.plugins)),
        check_disabled=listed.check_disabled,
        notes=(
            *notes.notes(name, data, listed.network, keys, said),
            *notes.inlined(name, calls),
        ),
        data=data,
        inline=inline,
    )


def _said(calls: Iterable[chain.Called]) -> Iterator[str]:
    """Who is called, and at which versions of their own."""
    for call in calls:
        yield from (call.binary, *call.own)
