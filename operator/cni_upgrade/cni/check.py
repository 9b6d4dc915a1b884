"""Knows which plugins answer CHECK, which CRI-O asks of every pod that it creates.

From 0.4.0 on the status of a new pod is a CHECK (ocicni `ocicni.go` checkNetwork), and a pod whose
status fails is not created (CRI-O `server/sandbox_network.go` networkStart). libcni asks the
plugins of the list, unless that says `disableCheck` (libcni `libcni/api.go` CheckNetworkList); whom
else is asked a plugin decides. To answer VERSION says nothing about CHECK. containerd asks it of no
pod: go-cni has a Check, which containerd 1.5 to 2.4 does not call.

Not in the tables, so unknown: multus, which asks its delegates, and libcni refuses that below
0.4.0; cilium, which began to answer in some release; aws-cni and calico-ipam, which have no
function for CHECK: with libcni below 1.2 their process then ends in a panic (`pkg/skel/skel.go`).
"""

from collections.abc import Iterator, Sequence

from cni_upgrade.cni import versions
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.runtimes import Runtime

FIRST = "0.4.0"
"""The first version that has CHECK."""

ASKS_ITS_IPAM = (
    "bridge", "dummy", "host-device", "ipvlan", "macvlan", "ptp", "tap", "vlan",
)  # fmt: skip
"""containernetworking/plugins v0.9.1 and v1.9.1, `plugins/main`: cmdCheck, with ipam.ExecCheck."""

ANSWERS = (
    "bandwidth", "dhcp", "firewall", "host-local", "loopback", "portmap", "sbr", "static", "tuning",
    "vrf",
    "calico",  # cmdDummyCheck: projectcalico/calico `cni-plugin/pkg/plugin/plugin.go`
    "flannel",  # cmdCheck: flannel-io/cni-plugin `flannel.go`, plugins v0.9.1 `meta/flannel`
)  # fmt: skip
"""containernetworking/plugins v0.9.1 and v1.9.1, `plugins/meta` and `plugins/ipam`, and two others.
They ask nobody else, neither an IPAM nor whom they delegate to."""

REFUSES = ("whereabouts",)
"""It advertises all versions, and its cmdCheck says "CNI CHECK method is not implemented"
(k8snetworkplumbingwg/whereabouts `cmd/whereabouts.go`)."""


def asked(runtime: Runtime, version: str | None) -> bool:
    """Whether the runtime asks CHECK of a pod that it creates at that version."""
    new = versions.known(version) and versions.order(str(version)) >= versions.order(FIRST)
    return runtime.asks_check and new


def refusing(chain: Sequence[Support]) -> list[str]:
    """The plugins that are asked and are known to refuse."""
    return [each for each in dict.fromkeys(_asked(chain)) if each in REFUSES]


def unproved(chain: Sequence[Support]) -> list[str]:
    """The plugins of which nothing is known; whom such a one asks is not known either."""
    known = (*ASKS_ITS_IPAM, *ANSWERS, *REFUSES)
    return [each for each in dict.fromkeys(_asked(chain)) if each not in known]


def _asked(chain: Sequence[Support]) -> Iterator[str]:
    """The plugins of the list, and the IPAM of those that ask it."""
    heads: dict[int, str] = {}
    for each in chain:
        place = each.called.place if each.called else 0
        if place not in heads:
            heads[place] = each.type
            yield each.type
        elif each.called and each.called.ipam and heads[place] in ASKS_ITS_IPAM:
            yield each.type
