"""Reads off a plugin's config what decides whether its CHECK passes.

CHECK compares the pod with the config of its ADD and with the result of the whole list, so that the
plugins beside one count as well. `check_table` says what follows from each trait.
"""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from cni_upgrade.cni import golang
from cni_upgrade.cni.document import Node

_STATED = ("host-local", "static")
"""IPAM plugins whose addresses and routes stand in the config."""

_VETH = ("bridge", "ptp", "calico")
_OTHER_LINK = ("dummy", "host-device", "ipvlan", "macvlan", "tap", "vlan")

_AS_THE_KERNEL_SAYS = re.compile(r"-?(?:0|[1-9][0-9]*)|[a-z_]+")
"""A number or a word; of others it is not known how the kernel spells them."""


class Trait(StrEnum):
    """What of a config counts; `about` completes "where ..."."""

    about: str

    def __new__(cls, value: str, about: str) -> "Trait":
        member = str.__new__(cls, value)
        member._value_ = value
        member.about = about
        return member

    READ = "read", "the plugin's config is known"
    NO_IPAM = "no-ipam", "`ipam` is missing or empty"
    DUAL = "dual", "the pod gets an IPv4 and an IPv6 address"
    FAMILIES_UNKNOWN = (
        "families-unknown",
        "the config does not tell of which families addresses are",
    )
    ROUTE_WITHOUT_GATEWAY = (
        "route-without-gateway",
        "`ipam.routes` has a route that is not the default one and names no `gw`",
    )
    SBR_AFTER = "sbr-after", "`sbr` comes later in the list"
    VRF_AFTER = "vrf-after", "`vrf` comes later in the list"
    RATES = "rates", "the config itself names a rate or a burst"
    VETH = "veth", "the pod's link is one end of a veth pair"
    OTHER_LINK = "other-link", "the pod's link is no veth"
    PORT_MAPPINGS = "port-mappings", "the capability `portMappings` is on"
    NFTABLES = "nftables", "`backend` is `nftables`"
    FIREWALLD = "firewalld", "`backend` is `firewalld`"
    IFNAME = "ifname", "the name of a sysctl holds IFNAME"
    SYSCTL_SPACES = "sysctl-spaces", "the value of a sysctl holds spaces"
    SYSCTL_SPELLING = (
        "sysctl-spelling",
        "the value of a sysctl is neither a plain number nor a word",
    )


def traits(plugins: Sequence[Node], place: int) -> tuple[str, ...]:
    """The traits of one plugin of a list, sorted."""
    plugin = plugins[place]
    if plugin.kind != "object":
        return ()
    found = {Trait.READ, *_ipam(plugin), *_own(plugin)}
    found |= {after for each in plugins[place + 1 :] if (after := _AFTER.get(_text(each, "type")))}
    found |= {each for each in (_link(plugins[0]), _families(plugins[0])) if each is not None}
    return tuple(sorted(found))


_AFTER = {"sbr": Trait.SBR_AFTER, "vrf": Trait.VRF_AFTER}


def _ipam(plugin: Node) -> Iterator[Trait]:
    ipam = _last(plugin, "ipam", "object")
    kind = _text(ipam, "type") if ipam else ""
    if not kind:
        yield Trait.NO_IPAM
    routes = _last(ipam, "routes", "array") if ipam else None
    if any(_without_gateway(each) for each in (routes.items if routes else ())):
        yield Trait.ROUTE_WITHOUT_GATEWAY


def _families(main: Node) -> Trait | None:
    """Of which families the addresses are that the first plugin has its IPAM give; None: of one."""
    ipam = _last(main, "ipam", "object")
    if ipam is None or _text(ipam, "type") not in _STATED:
        return Trait.FAMILIES_UNKNOWN
    texts = {
        ":" in str(member.value.scalar)
        for value in ipam.walk()
        for member in value.members
        if golang.fold(member.key) in ("subnet", "address")
    }
    if not texts:
        return Trait.FAMILIES_UNKNOWN
    return Trait.DUAL if len(texts) > 1 else None


def _without_gateway(route: Node) -> bool:
    default = _text(route, "dst") in ("0.0.0.0/0", "::/0")
    return route.kind == "object" and not default and not _text(route, "gw")


def _own(plugin: Node) -> Iterator[Trait]:
    """What stands in the plugin's own members."""
    rates = ("ingressrate", "ingressburst", "egressrate", "egressburst")
    if any(_last(plugin, each, "number") for each in rates):
        yield Trait.RATES
    if _port_mappings(plugin):
        yield Trait.PORT_MAPPINGS
    match _text(plugin, "backend"):
        case "nftables":
            yield Trait.NFTABLES
        case "firewalld":
            yield Trait.FIREWALLD
    sysctls = _last(plugin, "sysctl", "object")
    for each in sysctls.members if sysctls else ():
        if "IFNAME" in each.key:
            yield Trait.IFNAME
        value = str(each.value.scalar)
        if " " in value:
            yield Trait.SYSCTL_SPACES
        elif not _AS_THE_KERNEL_SAYS.fullmatch(value):
            yield Trait.SYSCTL_SPELLING


def _port_mappings(plugin: Node) -> bool:
    capabilities = _last(plugin, "capabilities", "object")
    asked = _last(capabilities, "portmappings", "bool") if capabilities else None
    given = _last(plugin, "runtimeconfig", "object")
    stated = _last(given, "portmappings", "array") if given else None
    return bool(asked and asked.scalar) or bool(stated and stated.items)


def _link(main: Node) -> Trait | None:
    """Which link the pod has of the first plugin; None where that is not known."""
    kind = _text(main, "type")
    if kind == "flannel":
        delegate = _last(main, "delegate", "object")
        kind = (_text(delegate, "type") if delegate else "") or "bridge"
    if kind in _VETH:
        return Trait.VETH
    return Trait.OTHER_LINK if kind in _OTHER_LINK else None


def _last(node: Node, key: str, kind: str) -> Node | None:
    """The last value of that (folded) key, if it is of that kind: Go's decoder keeps that one."""
    found = [each for each in golang.fields(node, key) if each.kind != "null"]
    return found[-1] if found and found[-1].kind == kind else None


def _text(node: Node, key: str) -> str:
    found = _last(node, key, "string")
    return str(found.scalar) if found else ""
