"""Holds what is known of each plugin's CHECK: whether it passes for a pod that ADD has just made.

That a plugin has a CHECK says nothing about whether it passes. A row holds for the releases between
its `first` and `last`; the first row that fits counts, and where none fits nothing is known. Every
release between two that were tested alike was read: its cmdCheck is that of one of the two.
"""

from enum import StrEnum

from cni_upgrade.cni.check_traits import Trait
from cni_upgrade.cni.numbers import wholes
from cni_upgrade.cni.value import dataclass

Release = tuple[int, int, int]

TESTED_FIRST: Release = (0, 8, 0)
TESTED_LAST: Release = (1, 10, 0)
"""The releases of containernetworking/plugins that the rows are about; others are not known. The
rows of 0.8.0 to 0.8.6 and of 1.10.0 were read: their cmdChecks are those of the next ones run."""

SPOKEN: tuple[tuple[str, Release, Release | None], ...] = (
    ("0.3.1", (0, 6, 0), (0, 7, 5)),
    ("0.4.0", (0, 8, 0), (0, 9, 1)),
    ("1.0.0", (1, 0, 0), (1, 5, 1)),
    ("1.1.0", (1, 6, 0), None),
)
"""By the highest version that a binary says it supports, the releases that it may be of."""


REPLACES_IFNAME: Release = (1, 1, 0)
"""The first tuning that puts the interface's name for IFNAME in the name of a sysctl."""


class Result(StrEnum):
    """What CHECK answers to the runtime."""

    PASSES = "passes"
    FAILS = "fails"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Row:
    """One plugin, in some releases, with a config of some kind."""

    plugin: str
    result: Result
    why: str
    """Completes "CHECK of the plugin ..."; empty where it passes."""
    when: tuple[Trait, ...] = ()
    """All of these hold of the config."""
    first: Release | None = None
    last: Release | None = None
    """None: no bound. Without either the row holds for each release, whatever its number."""
    tested: bool = False
    """Run with real plugins (tests/judge); else its source was read and it was not run."""
    source: str = ""


def release(text: str) -> Release | None:
    """The release of containernetworking/plugins that the text spells; None if it is none."""
    numbers = wholes(text.split("."))
    return (numbers[0], numbers[1], numbers[2]) if numbers and len(numbers) == 3 else None


def spelled(number: Release) -> str:
    """A release as people write it."""
    return ".".join(map(str, number))


def _passes(plugin: str, *when: Trait, first: Release = TESTED_FIRST, tested: bool = True) -> Row:
    source = f"plugins {plugin}: cmdCheck"
    return Row(plugin, Result.PASSES, "", when, first, TESTED_LAST, tested, source)


def _fails(
    plugin: str,
    why: str,
    *when: Trait,
    first: Release = TESTED_FIRST,
    last: Release = TESTED_LAST,
    tested: bool = True,
    source: str = "",
) -> Row:
    return Row(
        plugin,
        Result.FAILS,
        why,
        when,
        first,
        last,
        tested,
        source or f"plugins {plugin}: cmdCheck",
    )


def _unknown(plugin: str, why: str, *when: Trait, source: str = "") -> Row:
    return Row(plugin, Result.NOT_KNOWN, why, when, source=source)


_ROUTES = "plugins pkg/ip/utils_linux.go ValidateExpectedInterfaceIPs, ValidateExpectedRoute"


def _main(plugin: str, *, first: Release = TESTED_FIRST, tested: bool = True) -> tuple[Row, ...]:
    """The rows of a plugin that looks for the pod's routes in its main table."""
    moved = "does not find the pod's routes, which {} has moved to a table of its own"
    bare = "looks for a route without a gateway, and the pod's has one"
    in_table = plugin in ("bridge", "ptp")
    return (
        _fails(plugin, moved.format("sbr"), Trait.SBR_AFTER, tested=in_table, source=_ROUTES),
        _fails(plugin, moved.format("vrf"), Trait.VRF_AFTER, tested=False, source=_ROUTES),
        _fails(
            plugin,
            bare,
            Trait.ROUTE_WITHOUT_GATEWAY,
            last=(1, 2, 0),
            tested=in_table,
            source=_ROUTES,
        ),
        _passes(plugin, first=first, tested=tested),
    )


ROWS: tuple[Row, ...] = (
    _fails(
        "bridge",
        "asks an IPAM plugin though the config names none",
        Trait.NO_IPAM,
        last=(1, 9, 1),
    ),
    _passes("bridge", Trait.NO_IPAM, first=(1, 10, 0), tested=False),
    *_main("bridge"),
    *_main("ptp"),
    *_main("host-device"),
    *_main("tap", first=(1, 3, 0)),
    *_main("macvlan", tested=False),
    *_main("ipvlan", tested=False),
    *_main("vlan", tested=False),
    _fails(
        "dummy",
        "does not find the pod's routes, which sbr has moved to a table of its own",
        Trait.SBR_AFTER,
        tested=False,
        source=_ROUTES,
    ),
    _passes("dummy", first=(1, 2, 0), tested=False),
    _passes("host-local"),
    _passes("static"),
    _unknown(
        "dhcp",
        "asks its daemon for a lease once more, and what the daemon answers is not known",
        source="plugins dhcp: cmdCheck",
    ),
    _fails(
        "bandwidth",
        "finds no veth behind the pod's link",
        Trait.OTHER_LINK,
        tested=False,
        source="plugins bandwidth: getHostInterface",
    ),
    _passes("bandwidth", Trait.VETH, Trait.RATES),
    _fails(
        "bandwidth",
        "crashes for a pod without a bandwidth annotation",
        last=(1, 9, 0),
        source="plugins bandwidth, mended in 1.9.1",
    ),
    _passes("bandwidth", Trait.VETH, first=(1, 9, 1)),
    _unknown(
        "bandwidth",
        "wants a veth behind the pod's link, and which link that is is not known",
        source="plugins bandwidth: getHostInterface",
    ),
    _fails(
        "portmap",
        "looks for the rules of one family in the other too: it fails for a pod with a hostPort",
        Trait.PORT_MAPPINGS,
        first=(1, 1, 0),
        last=(1, 2, 0),
        source="plugins portmap: checkPorts",
    ),
    _fails(
        "portmap",
        "looks for the rules of one family in the other too: it fails for a pod with a hostPort",
        Trait.PORT_MAPPINGS,
        Trait.DUAL,
        last=(1, 0, 1),
        source="plugins portmap: checkPorts",
    ),
    Row(
        "portmap",
        Result.NOT_KNOWN,
        "fails for a pod with a hostPort and addresses of both families, and whether it has those "
        "is not known",
        (Trait.PORT_MAPPINGS, Trait.FAMILIES_UNKNOWN),
        TESTED_FIRST,
        (1, 0, 1),
        True,
        "plugins portmap: checkPorts",
    ),
    _fails(
        "portmap",
        "counts the wrong number of nftables rules for a pod with an IPv6 address and a hostPort, "
        "or with three hostPorts",
        Trait.PORT_MAPPINGS,
        Trait.NFTABLES,
        first=(1, 6, 0),
        last=(1, 8, 0),
        tested=False,
        source="plugins portmap: portmap_nftables.go checkPorts",
    ),
    _passes("portmap", Trait.READ),
    _unknown(
        "firewall",
        "asks firewalld, with which it was not run",
        Trait.FIREWALLD,
        source="plugins firewall: firewalld.go Check",
    ),
    _passes("firewall"),
    _fails(
        "tuning",
        "does not put the interface for IFNAME in the name of a sysctl",
        Trait.IFNAME,
        last=(1, 2, 0),
    ),
    _fails(
        "tuning",
        "compares a value with spaces, which the kernel spells with tabs",
        Trait.SYSCTL_SPACES,
    ),
    _unknown(
        "tuning",
        "compares the value of a sysctl with the kernel's spelling, which may be another one",
        Trait.SYSCTL_SPELLING,
        source="plugins tuning: cmdCheck",
    ),
    _passes("tuning", Trait.READ),
    _passes("sbr"),
    _passes("vrf", first=(0, 9, 0), tested=False),
    _passes("loopback"),
    Row("calico", Result.PASSES, "", source="projectcalico/calico plugin.go cmdDummyCheck"),
    Row("flannel", Result.PASSES, "", source="flannel-io/cni-plugin flannel.go cmdCheck"),
    Row(
        "whereabouts",
        Result.FAILS,
        "says that it is not implemented",
        source="k8snetworkplumbingwg/whereabouts cmd/whereabouts.go cmdCheck",
    ),
    _unknown(
        "multus",
        "asks its delegates, and libcni refuses that below 0.4.0",
        source="k8snetworkplumbingwg/multus-cni pkg/multus/multus.go",
    ),
    _unknown(
        "cilium-cni",
        "came with some release of cilium, and which one this is is not known",
        source="cilium/cilium plugins/cilium-cni",
    ),
    _unknown(
        "aws-cni",
        "has no function: the process ends in a panic with libcni below 1.2",
        source="libcni pkg/skel/skel.go",
    ),
    _unknown(
        "calico-ipam",
        "has no function: the process ends in a panic with libcni below 1.2",
        source="libcni pkg/skel/skel.go",
    ),
)
"""The first row that fits decides. `docs/reference/checks.md` is made of them (`make checks`)."""
