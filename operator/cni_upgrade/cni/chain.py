"""Names the binaries that run for a plugin, and the version at which each one is called.

libcni gives each plugin of a list the list's version, which a key of the plugin's own may hide from
it (`version_keys`); a plugin gives its IPAM what it got itself.
Whom a plugin delegates to is called as that plugin sees fit:
- flannel sets its own version if it has one, and leaves the delegate's otherwise (flannel
  cni-plugin `flannel_linux.go` doCmdAdd). Its delegate is bridge with host-local unless it says so;
- multus gives each of `delegates` to libcni as it stands, a plugin or a whole list, so that the
  delegate's own version counts, a missing one too (multus-cni `pkg/multus/multus.go` confAdd,
  conflistAdd). With `clusterNetwork` they count for nothing, and what it names is elsewhere, as is
  each of `defaultNetworks`, which every pod outside of the system namespaces joins as well
  (`pkg/types/conf.go` LoadNetConf, `pkg/k8sclient/k8sclient.go` GetDefaultNetworks,
  getNetDelegate). It looks for their plugins in its `binDir` first, then where the runtime does
  (`pkg/multus/multus.go` confAdd; the default is `pkg/types/conf.go` GetDefaultNetConf's);
- others may do either.
Both keep what they have called, and delete with that (`kept`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Literal

from cni_upgrade.cni import addresses, check_traits, golang, version_keys
from cni_upgrade.cni.document import Node
from cni_upgrade.cni.value import dataclass

How = Literal["list", "own", "list or own", "either"]

MULTUS = ("multus", "multus-shim")
_BIN_DIR = "/opt/cni/bin"


@dataclass(frozen=True, slots=True)
class Called:
    """One binary, and at which version it runs when the config has another."""

    binary: str
    how: How = "list"
    own: tuple[str, ...] = ()
    """The versions that may count beside or instead of the config's; "" is none."""
    place: int = 0
    """Which plugin of the list it runs for."""
    ipam: bool = False
    key: str = ""
    """The key of the plugin's own that tells the version in place of the list's; empty if none."""
    folder: str = ""
    """Where multus looks for it, before the runtime's folders; empty if it is the runtime's."""
    file: str = ""
    """With `key`: the file of the network's folder where it stands, which no rewrite touches."""
    traits: tuple[str, ...] = field(default=(), compare=False)
    """Of a plugin of the list: what of its config decides whether its CHECK passes."""
    keeper: str = ""
    """Who keeps the config of its ADD and has it delete with that; empty where nobody does."""
    gives: str = ""
    """What it gives a pod that a result below 0.3.0 has no room for (`addresses`)."""

    @property
    def path(self) -> str:
        """Where it stands if it does so in that folder."""
        return f"{self.folder}/{self.binary}" if self.folder else self.binary

    def at(self, version: str | None) -> tuple[str, ...]:
        """At which version it may be called when that is the config's; several: not known."""
        given = version or ""
        match self.how:
            case "list":
                return (given,)
            case "own":
                return self.own
            case "list or own":
                return (given,) if given else self.own
            case "either":
                return tuple(dict.fromkeys((given, *self.own)))


@dataclass(frozen=True, slots=True)
class Versionless:
    """A network with no version that multus has its own libcni add and delete.

    On DEL multus gives a list its own version, if it has one, and of each plugin hands on no more
    than every plugin has (`pkg/multus/multus.go` CmdDel: it marshals a NetConfList).
    """

    multus: str
    name: str
    is_list: bool


def chain(plugins: list[Node], files: Mapping[int, str] | None = None) -> tuple[Called, ...]:
    """Each call of a binary once, in the order in which they first come.

    `files` names those of the network's folder, by the places of the plugins that stand in them.
    """
    placed = (
        (plugin, _from_list(plugin, place, (files or {}).get(place, "")))
        for place, plugin in enumerate(plugins)
    )
    calls = (call for plugin, by in placed for call in _calls(plugin, by))
    return tuple(_with_traits(dict.fromkeys(calls), plugins))


def _with_traits(calls: Iterable[Called], plugins: list[Node]) -> Iterator[Called]:
    """The same calls; the first of each place, which is the plugin of the list, with its traits.

    A delegate may be given an IPAM by its caller, and a later plugin uses the addresses of the
    first: neither counts as REFUSED.
    """
    seen: set[int] = set()
    for call in calls:
        head = call.place not in seen
        seen.add(call.place)
        if call.gives == addresses.REFUSED and (call.place or not head):
            call = replace(call, gives="")
        yield replace(call, traits=check_traits.traits(plugins, call.place)) if head else call


def _from_list(plugin: Node, place: int, file: str) -> Called:
    """How libcni calls a plugin of a list."""
    hidden = version_keys.told_by(plugin)
    if hidden is None:
        return Called("", place=place)
    own = (str(hidden.value.scalar),)
    return Called("", "own", own, place, key=hidden.key, file=file)


def binaries(calls: Iterable[Called]) -> tuple[str, ...]:
    """Each binary once."""
    return tuple(dict.fromkeys(call.binary for call in calls))


def alone(
    calls: Iterable[Called], version: str | None, folder: str, multus: str
) -> Iterator[Called]:
    """The calls of a config that multus calls at that version, and looks for there first."""
    by = Called("", "own", folder=folder, keeper=multus)
    for call in calls:
        own = call.at(version)
        yield replace(by, binary=call.binary, ipam=call.ipam, own=own, gives=call.gives)


def elsewhere(plugins: list[Node]) -> tuple[str, ...]:
    """What is run beside these binaries and stands in no config here: multus' cluster network.

    A path as it is written, or a name; empty where the daemon behind multus-shim decides.
    """
    found: list[str] = []
    for plugin in _multus(plugins):
        if cluster := last_string(plugin, "clusternetwork"):
            found.append(cluster)
        elif not any(_each(plugin, "delegates")):
            found.append("")
    return tuple(found)


def defaults(plugins: list[Node]) -> tuple[str, ...]:
    """What multus adds pods to beside its cluster network; as it is written, too."""
    return tuple(
        network
        for plugin in _multus(plugins)
        if last_string(plugin, "clusternetwork")
        for network in _strings(plugin, "defaultnetworks")
    )


def delegate_dir(plugins: list[Node]) -> str:
    """Where multus looks first for whom it runs; empty where it is none of the plugins."""
    return next((_bin_dir(plugin) for plugin in _multus(plugins)), "")


def _bin_dir(multus: Node) -> str:
    return f"/{(last_string(multus, 'bindir') or _BIN_DIR).strip('/')}"


def versionless(plugins: list[Node]) -> tuple[Versionless, ...]:
    """Those of multus' `delegates` that carry no version."""
    return tuple(
        Versionless(last_string(plugin, "type"), kind or last_string(each, "name"), not kind)
        for plugin in _multus(plugins)
        if not last_string(plugin, "clusternetwork")
        for each in _each(plugin, "delegates")
        if each.kind == "object" and not last_string(each, "cniversion")
        if (kind := last_string(each, "type")) or any(golang.fields(each, "plugins"))
    )


def _multus(plugins: list[Node]) -> Iterator[Node]:
    for plugin in plugins:
        if plugin.kind == "object" and last_string(plugin, "type") in MULTUS:
            yield plugin


def _strings(node: Node, key: str) -> tuple[str, ...]:
    """The strings of the last array of that (folded) key."""
    arrays = [value for value in golang.fields(node, key) if value.kind == "array"]
    return tuple(
        str(item.scalar) for item in (arrays[-1].items if arrays else ()) if item.kind == "string"
    )


def _calls(node: Node, by: Called) -> Iterator[Called]:
    """The binary of one plugin that is called like `by`, its IPAM, and whom it delegates to."""
    if node.kind != "object":
        return
    kind = last_string(node, "type")
    ipam = ""
    for value in golang.fields(node, "ipam"):
        for named in golang.fields(value, "type"):
            ipam = str(named.scalar) if named.kind == "string" else ipam
    if kind:
        yield replace(by, binary=kind, gives=addresses.of_plugin(kind, ipam))
    if kind == "flannel":
        yield from _of_flannel(node, by, ipam)
        return
    if ipam:
        yield replace(by, binary=ipam, ipam=True, gives=addresses.of_ipam(node, ipam))
    if kind in MULTUS:
        if not last_string(node, "clusternetwork"):
            given = Called("", "own", place=by.place, folder=_bin_dir(node), keeper=kind)
            for item in _each(node, "delegates"):
                yield from _delegate(item, given)
        return
    for key in ("delegate", "delegates"):
        for item in _each(node, key):
            how: How = "own" if by.how == "own" else "either"
            yield from _delegate(item, replace(by, how=how))


def _of_flannel(node: Node, by: Called, ipam: str) -> Iterator[Called]:
    """Whom flannel delegates to, and the IPAM that it gives to that, be it named or not."""
    delegates = [value for value in golang.fields(node, "delegate") if value.kind == "object"]
    own = next((last_string(value, "cniversion") for value in reversed(delegates)), "")
    given = replace(_like_flannel(by, own), keeper=by.keeper or "flannel")
    if ipam:
        yield replace(given, binary=ipam, ipam=True)
    if not any(last_string(value, "type") for value in delegates):
        yield replace(given, binary="bridge")
    for value in delegates:  # flannel puts the IPAM in, with one subnet of each family
        yield from (replace(call, gives="") for call in _calls(value, given))
    yield replace(given, binary="host-local", ipam=True)


def _like_flannel(by: Called, own: str) -> Called:
    """How flannel's delegate is called where flannel is called like `by`."""
    if by.how == "own":
        return replace(by, own=tuple(dict.fromkeys(version or own for version in by.own)))
    return replace(by, how="list or own" if by.how == "list" else "either", own=(*by.own, own))


def _delegate(node: Node, by: Called) -> Iterator[Called]:
    """A delegate is one plugin's config, or a whole list with a version for all its plugins."""
    if node.kind != "object":
        return
    yield from _calls(node, replace(by, own=(*by.own, last_string(node, "cniversion"))))
    members = {member.key: member.value for member in node.members}
    version, others = members.get("cniVersion"), members.get("cniVersions")
    said = [str(version.scalar) if version and version.kind == "string" else ""]
    said += [str(item.scalar) for item in (others.items if others else ()) if item.kind == "string"]
    whole = replace(by, own=(*by.own, *said))
    for value in golang.fields(node, "plugins"):
        for item in value.items:
            yield from _calls(item, whole)


def _each(node: Node, key: str) -> Iterator[Node]:
    for value in golang.fields(node, key):
        yield from value.items if value.kind == "array" else (value,)


def last_string(node: Node, key: str) -> str:
    """The last string of that (folded) key, empty if there is none."""
    strings = [str(value.scalar) for value in golang.fields(node, key) if value.kind == "string"]
    return strings[-1] if strings else ""
