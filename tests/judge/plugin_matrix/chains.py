"""The chains of plugins that are lived, as data: a line or two for each.

A plugin's entry is a dict as it stands in the list; MAIN in an `ipam` is host-local or what the
chain says, with the addresses of the config. `{n}` in a string is a number of the config's own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, Any]

PLAIN: Mapping[str, object] = {}
HOST_PORT = {
    "portMappings": [{"hostPort": 18080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]
}
THREE_PORTS = {
    "portMappings": [
        {"hostPort": 18080 + n, "containerPort": 80 + n, "protocol": "tcp", "hostIP": ""}
        for n in range(3)
    ]
}
NO_ADDRESS = "the result holds no address"
_NO_BURST = (1 << 32) - 1
BANDWIDTH = {
    "bandwidth": {
        "ingressRate": 10_000_000,
        "ingressBurst": _NO_BURST,
        "egressRate": 10_000_000,
        "egressBurst": _NO_BURST,
    }
}
PODS: Mapping[str, Mapping[str, object]] = {
    "no annotation": PLAIN,
    "hostPort": HOST_PORT,
    "three hostPorts": THREE_PORTS,
    "bandwidth": BANDWIDTH,
}
"""What a runtime hands on of a pod: containerd's and CRI-O's burst is the largest there is."""

V4, V6, DUAL, TWICE = "IPv4", "IPv6", "both", "two ranges"
ADDRESSES = (V4, V6, DUAL, TWICE)
"""Two ranges: two addresses of one family."""

HOST_LOCAL = "host-local"
STATIC = "static"
FLANNEL = "flannel"
EMPTY = "empty"
NONE = "none"


@dataclass(frozen=True, eq=False)
class Chain:
    """What stands in the list, and in which variants it is lived."""

    title: str
    plugins: tuple[Entry, ...]
    ipam: str = HOST_LOCAL
    """Of the first plugin: host-local, static, flannel's own, an empty one, or none at all."""
    addresses: tuple[str, ...] = (V4,)
    pods: tuple[str, ...] = ("no annotation",)
    full: bool = False
    """With every version and every libcni, for its first addresses; others with some."""
    disable_check: bool = False
    routes: tuple[Entry, ...] | None = None
    """Of the IPAM; without it the default route of each family."""
    prepare: tuple[str, ...] = ()
    """A command in the node's namespace before each pod; one ip command a string."""
    never: str = ""
    """Part of the error with which ADD fails whatever the version is, of some releases or of all.
    The engine judges versions, and does not say so: these are counted apart."""
    only: tuple[str, ...] = ()
    """Releases by name, where the chain is about a plugin of these."""

    def binaries(self) -> set[str]:
        """Every binary that must be there for the chain to be lived."""
        found = {str(entry["type"]) for entry in _all(self.plugins)}
        if self.ipam in (HOST_LOCAL, STATIC):
            found.add(self.ipam)
        return found


def _all(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Every plugin of a list, and those that multus delegates to."""
    for entry in entries:
        if "type" in entry:
            yield entry
        yield from _all((*entry.get("delegates", ()), *entry.get("plugins", ())))


BRIDGE = {"type": "bridge", "bridge": "br{n}", "isGateway": True}
NO_GATEWAY = {**BRIDGE, "isGateway": False}
PTP = {"type": "ptp"}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
LIMITS = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
FIREWALL = {"type": "firewall"}
SBR = {"type": "sbr"}
TUNING = {"type": "tuning", "sysctl": {"net.ipv4.conf.all.rp_filter": "0"}}
BY_NAME = {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.rp_filter": "0"}}
MASQUERADING = {**BRIDGE, "ipMasq": True, "hairpinMode": True, "mtu": 1450}
PORTS = ("no annotation", "hostPort")
RATES = ("no annotation", "bandwidth")
DEVICE = (
    "link del hd{n}",
    "link add hd{n} type veth peer name hp{n}",
)

FLANNEL_BRIDGE = {
    "type": "flannel",
    "subnetFile": "{data}.env",
    "dataDir": "{data}-flannel",
    "delegate": {"bridge": "br{n}", "hairpinMode": True, "isDefaultGateway": True},
}


def _multus(*delegates: Entry) -> Entry:
    own = {"binDir": "{bin}", "cniDir": "{data}-multus"}
    return {"type": "multus", **own, "delegates": delegates}


_IN_BRIDGE = {**BRIDGE, "name": "net{n}"}
_FLANNELS = ("0.9.1",)
"""Not 0.8.7: its flannel has host-local keep the addresses in the machine's own folder."""
_MULTUS = ("multus 4.2.2",)

CHAINS = (
    Chain("bridge", (BRIDGE,), addresses=(V4, V6, DUAL), full=True),
    Chain("bridge that is no gateway", (NO_GATEWAY,), addresses=(V4, TWICE)),
    Chain("bridge, portmap", (BRIDGE, PORTMAP), addresses=(V4, V6, DUAL), pods=PORTS, full=True),
    Chain("bridge that is no gateway, portmap",
          (NO_GATEWAY, PORTMAP), addresses=(TWICE,), pods=PORTS),
    Chain("bridge, portmap, firewall",
          (BRIDGE, PORTMAP, FIREWALL), addresses=(V4, DUAL), pods=PORTS),
    Chain("bridge, firewall", (BRIDGE, FIREWALL), addresses=(V4, V6)),
    Chain("bridge, portmap, firewall, tuning",
          (MASQUERADING, PORTMAP, FIREWALL, TUNING), pods=PORTS),
    Chain("bridge, bandwidth", (BRIDGE, LIMITS), addresses=(V4, DUAL), pods=RATES),
    Chain("bridge, portmap, bandwidth", (BRIDGE, PORTMAP, LIMITS), pods=(*PORTS, "bandwidth")),
    Chain("bridge, bandwidth with disableCheck", (BRIDGE, LIMITS), pods=RATES, disable_check=True),
    Chain("bridge, bandwidth with rates",
          (BRIDGE, {"type": "bandwidth", "ingressRate": 10**6, "ingressBurst": 10**6})),
    Chain("bridge, tuning", (BRIDGE, TUNING)),
    Chain("bridge, tuning of IFNAME", (BRIDGE, BY_NAME)),
    Chain("bridge, tuning with spaces",
          (BRIDGE, {"type": "tuning", "sysctl": {"net.ipv4.ip_local_port_range": "1024 65000"}})),
    Chain("bridge, tuning of mtu and mac",
          (BRIDGE, {"type": "tuning", "mtu": 1400, "mac": "c2:b0:57:49:47:f1", "promisc": True})),
    Chain("bridge, sbr", (BRIDGE, SBR), addresses=(V4, DUAL)),
    Chain("bridge, sbr without routes", (BRIDGE, SBR), routes=()),
    Chain("bridge, portmap, sbr", (BRIDGE, PORTMAP, SBR)),
    Chain("ptp", (PTP,), addresses=ADDRESSES, full=True),
    Chain("ptp with ipMasq, portmap", ({**PTP, "ipMasq": True, "mtu": 1460}, PORTMAP),
          addresses=(V4, V6, DUAL), pods=PORTS),
    Chain("ptp, sbr", (PTP, SBR)),
    Chain("ptp, bandwidth", (PTP, LIMITS), pods=RATES),
    Chain("ptp, tuning of IFNAME", (PTP, BY_NAME)),
    Chain("bridge with static", (NO_GATEWAY,), ipam=STATIC, addresses=ADDRESSES),
    Chain("ptp with static", (PTP,), ipam=STATIC, addresses=(V4, TWICE)),
    Chain("bridge without ipam", (NO_GATEWAY,), ipam=NONE, never=NO_ADDRESS),
    Chain("bridge with empty ipam", (NO_GATEWAY,), ipam=EMPTY, never=NO_ADDRESS),
    Chain("bridge without ipam, portmap", (NO_GATEWAY, PORTMAP), ipam=NONE, never=NO_ADDRESS),
    Chain("bridge without ipam, tuning", (NO_GATEWAY, TUNING), ipam=NONE, never=NO_ADDRESS),
    Chain("bridge with ipMasq", (MASQUERADING,), addresses=(V4, DUAL)),
    Chain("bridge as default gateway", ({**BRIDGE, "isDefaultGateway": True, "promiscMode": True},),
          routes=()),
    Chain("bridge with a route of no gw", (BRIDGE,), routes=({"dst": "192.168.0.0/16"},)),
    Chain("ptp with a route of no gw", (PTP,), routes=({"dst": "192.168.0.0/16"},)),
    Chain("bridge with a route of a gw", (BRIDGE,),
          routes=({"dst": "0.0.0.0/0"}, {"dst": "192.168.0.0/16", "gw": "10.{h}.{l}.9"})),
    Chain("bridge with macspoofchk", ({**BRIDGE, "macspoofchk": True},)),
    Chain("bridge, portmap of nftables", (BRIDGE, {**PORTMAP, "backend": "nftables"}),
          addresses=(V4, DUAL), pods=(*PORTS, "three hostPorts")),
    Chain("bridge, portmap without snat", (BRIDGE, {**PORTMAP, "snat": False}), pods=PORTS),
    Chain("bridge, portmap with a mark", (BRIDGE, {**PORTMAP, "markMasqBit": 5}), pods=PORTS),
    Chain("host-device", ({"type": "host-device", "device": "hd{n}"},), prepare=DEVICE),
    Chain("host-device without ipam", ({"type": "host-device", "device": "hd{n}"},),
          ipam=NONE, never=NO_ADDRESS, prepare=DEVICE),
    Chain("tap", ({"type": "tap", "multiQueue": True},)),
    Chain("flannel", (FLANNEL_BRIDGE,), ipam=FLANNEL, only=_FLANNELS),
    Chain("flannel, portmap", (FLANNEL_BRIDGE, PORTMAP), ipam=FLANNEL, pods=PORTS, only=_FLANNELS),
    Chain("multus, bridge at 0.3.1",
          (_multus({**_IN_BRIDGE, "cniVersion": "0.3.1"}),), only=_MULTUS),
    Chain("multus, bridge at 1.0.0",
          (_multus({**_IN_BRIDGE, "cniVersion": "1.0.0"}),), only=_MULTUS),
    Chain("multus, bridge at no version", (_multus(_IN_BRIDGE),), only=_MULTUS),
    Chain("multus, a list at 0.4.0",
          (_multus({"name": "net{n}", "cniVersion": "0.4.0", "plugins": (BRIDGE, TUNING)}),),
          only=_MULTUS),
    Chain("bridge, loopback", (BRIDGE, {"type": "loopback"})),
)  # fmt: skip
