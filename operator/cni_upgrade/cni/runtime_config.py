"""Reads what a runtime's own configuration says of CNI: the one place where it is no guess.

What a file that is read does not say is the default of that runtime, never a usual folder of some
other installation. Values only: decoded documents in the order in which the runtime loads them.
Sources, tried with `containerd config dump` and `crio config` (tests/judge/test_runtime_config.py):
- containerd 1.x `services/server/config/config.go` LoadConfig and mergeConfig: a later file
  replaces the whole table of a plugin, and the version of the merged document decides its key.
- containerd 2.x `cmd/containerd/server/config/config.go`: each file is migrated by its own version,
  then merged member by member. `bin_dirs` came with 2.1; `bin_dir` of version 3 ended with 2.2.
  The import of /etc/containerd/conf.d that 2.2 and later show by default is not followed (2.4.2).
- containerd `pkg/cri/server/service_linux.go` initPlatform (2.x: `internal/cri/server`): since 1.6
  a runtime handler may have a folder of its own.
- `use_internal_loopback` came with 2.0 (`internal/cri/config/config.go`).
- containerd `pkg/cri/config/config_unix.go` (2.x: `internal/cri/config`) DefaultConfig.
- CRI-O `pkg/config/config.go` UpdateFromDropInFile and Validate: member by member, `plugin_dir`
  stands after `plugin_dirs` (which Validate alone sees to: `crio config` does not show it); the
  defaults are those of `pkg/config/config_unix.go`.
- The name of a plugin or handler is no field's, and is exact.
"""

from collections.abc import Sequence

from cni_upgrade.cni import toml_members
from cni_upgrade.cni.numbers import wholes
from cni_upgrade.cni.toml_members import Document, RuntimeConfigError, Spelling
from cni_upgrade.cni.value import dataclass

Loaded = Sequence[tuple[str, Document]]
"""Files and what they hold, the first one first."""

_V1 = "cri"
_V2 = "io.containerd.grpc.v1.cri"
_V3 = "io.containerd.cri.v1.runtime"
_LOOPBACK = "use_internal_loopback"
_MEMBERS = ("conf_dir", "bin_dir", "bin_dirs", "max_conf_num", "conf_template", _LOOPBACK)
_OF_CRIO = ("network_dir", "plugin_dirs", "plugin_dir", "cni_default_network")
SINCE = ((1, 5), (2, 0), (2, 1), (2, 2))
"""The releases since which containerd has read its files in another way, but for its handlers."""
_TURNS = ((1, 4), (1, 7), *SINCE[1:])
"""A release of each of these ways."""

DEFAULT_CONF_DIR = "/etc/cni/net.d"
DEFAULT_BIN_DIRS = ("/opt/cni/bin",)
"""Of containerd and CRI-O alike, in every release of cni/runtimes.py."""


@dataclass(frozen=True, slots=True)
class Stated:
    """The folders that the runtime reads, and what else was said, by which files."""

    runtime: str
    """containerd or cri-o."""
    conf_dir: str
    bin_dirs: tuple[str, ...]
    defaults: tuple[str, ...] = ()
    """What no file says: `configs`, `plugins`; that folder is the runtime's default."""
    max_conf_num: int | None = None
    default_network: str | None = None
    conf_template: str | None = None
    internal_loopback: bool = False
    """containerd brings up the loopback itself, and runs no plugin for it."""
    handlers: tuple[tuple[str, str], ...] = ()
    """Runtime handlers whose pods get their network from another folder, and that folder."""
    files: tuple[str, ...] = ()
    """Those that say something of CNI; the first that was read where none does."""

    @property
    def source(self) -> str:
        """How the folders are known."""
        files = f"runtime config {', '.join(self.files)}"
        if not self.defaults:
            return files
        return f"{files}; {' and '.join(self.defaults)}: {self.runtime}'s default"


def _spelling(version: tuple[int, int] | None) -> Spelling:
    """containerd 1.5 came with go-toml, 2.0 with the second generation of it."""
    capitals = version is not None and (1, 5) <= version < (2, 0)
    return toml_members.in_capitals if capitals else toml_members.in_any_case


def imports(path: str, document: Document, version: tuple[int, int] | None) -> tuple[str, ...]:
    """The `imports` of one containerd file, as they are spelled. Raises RuntimeConfigError."""
    value = toml_members.member(path, document, "imports", _spelling(version), [])
    if version is None and value != document.get("imports", []):
        raise RuntimeConfigError(f"{path}: imports: expected it in small letters")
    return toml_members.texts(path, "imports", value)


def release(version: str) -> tuple[int, int] | None:
    """The first two numbers of a runtime's version; None when it does not start with them."""
    numbers = wholes(version.removeprefix("v").split(".")[:2])
    return (numbers[0], numbers[1]) if numbers and len(numbers) == 2 else None


def containerd(loaded: Loaded, version: tuple[int, int] | None) -> Stated | None:
    """What containerd of that release takes from its files; None where its CRI part is off.

    Raises RuntimeConfigError; also where the release is not known and it depends on it.
    """
    if version is not None:
        return _containerd(loaded, version, loopback=version >= (2, 0))
    turns = _TURNS[2:] if _version(*loaded[0], toml_members.in_any_case) > 2 else _TURNS
    # A member that not all of them have says nothing of the folders, in which they may agree.
    loopback = turns[0] >= (2, 0)
    first, *rest = (_containerd(loaded, each, loopback=loopback) for each in turns)
    if any(each != first for each in rest):
        raise RuntimeConfigError(
            f"{loaded[0][0]}: what it says of CNI depends on the release of containerd, which is "
            "not known"
        )
    return first


def _containerd(loaded: Loaded, version: tuple[int, int], *, loopback: bool) -> Stated | None:
    """`loopback` is whether `use_internal_loopback` is looked at."""
    spelling = _spelling(version)
    for path, document in loaded:
        named = toml_members.member(path, document, "disabled_plugins", spelling, [])
        disabled = toml_members.texts(path, "disabled_plugins", named)
        if {_V1, _V2, _V3} & set(disabled):
            return None
    read = _first_generation if version < (2, 0) else _second_generation
    parts = read(loaded, spelling)
    merged: dict[str, tuple[str, object]] = {}
    for path, table in _cni(parts, version):
        merged.update({name: (path, table[name]) for name in _MEMBERS if name in table})
    if version < (2, 1):
        merged.pop("bin_dirs", None)  # a member that these releases do not have
    else:
        merged.pop("bin_dir", None)
    if not loopback:
        merged.pop(_LOOPBACK, None)
    bin_dirs: tuple[str, ...] = ()
    if "bin_dirs" in merged:
        bin_dirs = toml_members.folders(*merged["bin_dirs"], "bin_dirs")
    elif "bin_dir" in merged:
        bin_dirs = (toml_members.folder(*merged["bin_dir"], "bin_dir"),)
    conf_dir = (
        toml_members.folder(*merged["conf_dir"], "conf_dir") if "conf_dir" in merged else None
    )
    template = (
        toml_members.text(*merged["conf_template"], "conf_template")
        if "conf_template" in merged
        else None
    )
    most = (
        toml_members.number(*merged["max_conf_num"], "max_conf_num")
        if "max_conf_num" in merged
        else None
    )
    return Stated(
        "containerd",
        conf_dir or DEFAULT_CONF_DIR,
        bin_dirs or DEFAULT_BIN_DIRS,
        _unsaid(conf_dir, bin_dirs),
        max_conf_num=most,
        conf_template=template,
        internal_loopback=_LOOPBACK in merged and toml_members.flag(*merged[_LOOPBACK], _LOOPBACK),
        handlers=_handlers(parts, version, conf_dir or DEFAULT_CONF_DIR),
        files=tuple(dict.fromkeys(path for path, _ in merged.values())) or (loaded[0][0],),
    )


def crio(loaded: Loaded) -> Stated:
    """What CRI-O takes from its files, one of which is there. Raises RuntimeConfigError."""
    merged: dict[str, tuple[str, object]] = {}
    for path, document in loaded:
        network = toml_members.table(
            path, "crio.network", document, toml_members.in_any_case, "crio", "network"
        )
        merged.update(
            {name: (path, value) for name, value in toml_members.members(path, network, _OF_CRIO)}
        )
    bin_dirs: tuple[str, ...] = ()
    used: list[str] = []
    if "plugin_dirs" in merged:
        bin_dirs = toml_members.folders(*merged["plugin_dirs"], "plugin_dirs")
        used.append("plugin_dirs")
    if "plugin_dir" in merged and (
        folder := toml_members.text(*merged["plugin_dir"], "plugin_dir")
    ):
        bin_dirs = (*(bin_dirs or DEFAULT_BIN_DIRS), folder)
        used.append("plugin_dir")
    conf_dir = network_name = None
    if "network_dir" in merged:
        conf_dir = toml_members.folder(*merged["network_dir"], "network_dir")
        used.append("network_dir")
    if "cni_default_network" in merged:
        network_name = toml_members.text(*merged["cni_default_network"], "cni_default_network")
        used.append("cni_default_network")
    return Stated(
        "cri-o",
        conf_dir or DEFAULT_CONF_DIR,
        bin_dirs or DEFAULT_BIN_DIRS,
        _unsaid(conf_dir, bin_dirs),
        default_network=network_name,
        files=tuple(dict.fromkeys(merged[name][0] for name in used)) or (loaded[0][0],),
    )


def _unsaid(conf_dir: str | None, bin_dirs: tuple[str, ...]) -> tuple[str, ...]:
    return (*(() if conf_dir else ("configs",)), *(() if bin_dirs else ("plugins",)))


_Part = tuple[str, str, Document]
"""A file, the key of its CRI part, and that part."""


def _first_generation(loaded: Loaded, spelling: Spelling) -> list[_Part]:
    version = 1
    for path, document in loaded:
        version = _version(path, document, spelling) or version
    if version > 2:
        raise RuntimeConfigError(
            f"{loaded[0][0]}: version: expected 1 or 2, which containerd 1.x reads, got {version}"
        )
    key = _V1 if version == 1 else _V2
    parts = [_parts(path, document, (key,), spelling) for path, document in loaded]
    return [part for each in parts for part in each][-1:]


def _second_generation(loaded: Loaded, spelling: Spelling) -> list[_Part]:
    parts: list[_Part] = []
    for path, document in loaded:
        stated = _version(path, document, spelling)
        keys = (_V1, _V2, _V3) if stated < 2 else (_V2, _V3) if stated == 2 else (_V3,)
        parts += _parts(path, document, keys, spelling)
    return parts


def _parts(path: str, document: Document, keys: Sequence[str], spelling: Spelling) -> list[_Part]:
    plugins = toml_members.table(path, "plugins", document, spelling, "plugins")
    found = [key for key in keys if key in plugins]
    return [
        (path, key, toml_members.table(path, f'plugins."{key}"', plugins, toml_members.exact, key))
        for key in found
    ]


def _cni(parts: Sequence[_Part], version: tuple[int, int]) -> list[tuple[str, Document]]:
    """What each part says of CNI; no two of one file may."""
    tables: list[tuple[str, Document]] = []
    told: dict[str, str] = {}
    for path, key, part in parts:
        table = toml_members.table(path, f'plugins."{key}".cni', part, _spelling(version), "cni")
        if not table:
            continue
        if path in told:
            raise RuntimeConfigError(
                f'{path}: CNI stands in plugins."{told[path]}" and in plugins."{key}": keep one'
            )
        told[path] = key
        known = dict(toml_members.members(path, table, _MEMBERS, _spelling(version)))
        if version >= (2, 1) and "bin_dir" in known and "bin_dir" not in table:
            # Its move into `bin_dirs` is none of a field: it is done by the exact name.
            if version < (2, 2):
                raise RuntimeConfigError(f"{path}: bin_dir: expected it in small letters")
            del known["bin_dir"]
        if version >= (2, 0) and len(parts) > 1 and ("cni" not in part or known.keys() - table):
            # Files are merged by the exact names, and only then is any spelling taken.
            raise RuntimeConfigError(f"{path}: cni: expected it and its members in small letters")
        tables.append((path, _modern(known, key, version)))
    return tables


def _handlers(
    parts: Sequence[_Part], version: tuple[int, int], conf_dir: str
) -> tuple[tuple[str, str], ...]:
    """Those with a folder other than `conf_dir`, by name."""
    if version < (1, 6):
        return ()
    folders: dict[str, str] = {}
    for path, key, part in parts:
        shown = f'plugins."{key}".containerd.runtimes'
        spelling = _spelling(version)
        runtimes = toml_members.table(path, shown, part, spelling, "containerd", "runtimes")
        for name in runtimes:
            own = toml_members.table(path, f'{shown}."{name}"', runtimes, toml_members.exact, name)
            named = toml_members.member(path, own, "cni_conf_dir", spelling, "")
            if folder := toml_members.text(path, named, "cni_conf_dir"):
                folders[name] = folder
    usual = conf_dir.rstrip("/")
    return tuple(sorted(each for each in folders.items() if each[1].rstrip("/") != usual))


def _modern(table: Document, key: str, version: tuple[int, int]) -> Document:
    """`bin_dir` as releases from 2.1 on take it: moved into `bin_dirs`, or not read.

    Of a version 3 file an empty one is none: 2.1 itself writes it so, beside `bin_dirs`.
    """
    if "bin_dir" not in table or version < (2, 1):
        return table
    rest = {name: value for name, value in table.items() if name != "bin_dir"}
    if key != _V3 or (version < (2, 2) and table["bin_dir"] != ""):
        return {**rest, "bin_dirs": [table["bin_dir"]]}
    return rest


def _version(path: str, document: Document, spelling: Spelling) -> int:
    value = toml_members.member(path, document, "version", spelling, 0)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise RuntimeConfigError(f"{path}: version: expected a whole number")
    return value
