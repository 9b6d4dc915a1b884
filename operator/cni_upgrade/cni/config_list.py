"""Decodes either form of config into the list of plugins that libcni runs, or says why it does not.

Sources: libcni `libcni/conf.go` (ConfFromBytes, ConfListFromConf, ConfListFromBytes,
NetworkConfFromFile) of the releases 0.8.1 to 1.3.0. What differs between them is asked by the
release's number.
"""

from collections.abc import Mapping
from typing import NamedTuple

from cni_upgrade.cni import golang, versions
from cni_upgrade.cni.document import Node
from cni_upgrade.cni.findings import Code, shown
from cni_upgrade.cni.inline import Inline, inline_plugins
from cni_upgrade.cni.not_loaded import BadVersionError, NotLoadedError


class ConfigList(NamedTuple):
    """What libcni holds of a file that it has loaded (`libcni/api.go` NetworkConfigList)."""

    network: str
    version: str
    """The effective version, empty where there is none."""
    versions: tuple[str, ...]
    plugins: list[Node]
    files: Mapping[int, str]
    """The places of the plugins that come from the folder beside the file, and their files."""
    check_disabled: bool


def from_conf(root: Node, libcni: tuple[int, int, int]) -> ConfigList:
    """ConfFromBytes, then ConfListFromConf, which sorts the keys and decodes once more."""
    conf = _plugin_conf(root, libcni)
    if not conf.type:
        if any(member.key == "plugins" for member in root.members):
            raise NotLoadedError(Code.LIST_IN_CONF, "missing 'type': this is a list of plugins")
        raise NotLoadedError(Code.MISSING_TYPE, "missing 'type'")
    golang.check_numbers(root)
    plugin = golang.remarshalled(root)
    if not golang.plugin_conf(plugin, libcni).type:
        raise NotLoadedError(Code.MISSING_TYPE, "missing 'type' once the keys are sorted")
    return ConfigList(conf.name, conf.cni_version, (), [plugin], {}, check_disabled=False)


def from_list(root: Node, libcni: tuple[int, int, int], inline: Inline) -> ConfigList:
    """ConfListFromBytes; from libcni 1.3.0 on with the plugins of the folder beside it."""
    members = golang.as_map(root)
    network = _text(members, "name")
    if network is None:
        raise NotLoadedError(Code.MISSING_NAME, "no name")
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
    files: dict[int, str] = {}
    if libcni >= (1, 3, 0) and not inlined_only:
        for file, plugin in inline_plugins(inline, libcni):
            files[len(plugins)] = f"{network}/{file}"
            plugins.append(plugin)
    if not plugins:
        raise NotLoadedError(Code.MISSING_PLUGINS, "no plugin configs found")
    return ConfigList(network, version, tuple(others or ()), plugins, files, disabled)


def _plugin_conf(node: Node, libcni: tuple[int, int, int]) -> golang.PluginConf:
    """ConfFromBytes up to libcni 1.0.1 sets its pointer to nil on `null`, and reads through it.

    So `"plugins": [null]`, or a `.conf` that holds just `null`, ends the runtime's process.
    """
    if node.kind == "null" and libcni < (1, 1, 0):
        raise NotLoadedError(Code.CRASHES, "null stands where a plugin belongs: libcni panics")
    return golang.plugin_conf(node, libcni)


def _text(members: Mapping[str, Node], key: str) -> str | None:
    node = members.get(key)
    if node is None:
        return None
    if node.kind != "string":
        what = f"{key} is not a string but {golang.named(node)}"
        if key == "cniVersion":
            raise BadVersionError(what)
        raise NotLoadedError(Code.INVALID, what)
    return str(node.scalar)


def _version_list(members: Mapping[str, Node], libcni: tuple[int, int, int]) -> list[str] | None:
    node = members.get("cniVersions")
    if node is None:
        return None
    strings = [str(item.scalar) for item in node.items if item.kind == "string"]
    if libcni >= (1, 2, 0) and (node.kind != "array" or len(strings) != len(node.items)):
        raise BadVersionError("cniVersions is not an array of strings")
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
            raise BadVersionError(f"cniVersions: {shown(str(error))}") from None
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
    raise NotLoadedError(Code.INVALID, f"invalid {key}: {golang.named(node)}")


def _plugins(
    members: Mapping[str, Node], libcni: tuple[int, int, int], inlined_only: bool
) -> list[Node]:
    node = members.get("plugins")
    if node is None:
        if libcni >= (1, 3, 0) and not inlined_only:
            return []
        raise NotLoadedError(Code.MISSING_PLUGINS, "no 'plugins' key")
    if node.kind != "array":
        raise NotLoadedError(Code.MISSING_PLUGINS, f"'plugins' is {golang.named(node)}")
    if not node.items:
        raise NotLoadedError(Code.MISSING_PLUGINS, "no plugins in list")
    plugins = [golang.remarshalled(item) for item in node.items]
    for place, plugin in enumerate(plugins):
        if not _plugin_conf(plugin, libcni).type:
            raise NotLoadedError(Code.MISSING_TYPE, f"plugin {place}: missing 'type'")
    return plugins
