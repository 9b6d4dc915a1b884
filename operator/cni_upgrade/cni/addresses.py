"""Tells from a plugin's config whether a pod gets no address, or several of one family.

A result below 0.3.0 has room for one address of each family, no more and no less:
- host-local and static refuse to give more (containernetworking/plugins v0.9.1 and v1.9.1
  `plugins/ipam/host-local/backend/allocator/config.go`, `plugins/ipam/static/main.go`
  LoadIPAMConfig), host-local at DEL as well. whereabouts has the same lines (read:
  k8snetworkplumbingwg/whereabouts `pkg/config/config.go` and cmdDelFunc);
- a plugin without IPAM cannot write its result (containernetworking/cni `pkg/types/020` and
  `pkg/types/100`, "cannot convert: no valid IP addresses").
A missing version counts as one below. So it was with each of libcni 0.8.1 to 1.3.0.
"""

from collections.abc import Iterator

from cni_upgrade.cni import golang
from cni_upgrade.cni.document import Node

SEVERAL = "several addresses of one family"
NONE = "no address"
REFUSED = "no address, which it refuses"

_LISTED = {"host-local": "ranges", "static": "addresses", "whereabouts": "addresses"}
"""By IPAM plugin: the member that lists what a pod gets an address of, each."""

_AT_DEL = ("host-local", "whereabouts")
"""Those that read the list at DEL too, and refuse."""

_WITHOUT_IPAM = ("bridge", "host-device", "macvlan", "tap")
"""Plugins that run with no IPAM (`plugins/main` of containernetworking/plugins); only bridge was
run."""

_NEED_IPAM = ("ptp", "vlan", "dummy", "ipvlan")
"""Plugins that run an IPAM plugin at ADD, named or not; only ptp was run."""

_NEED_IPAM_AT_DEL = ("ptp", "vlan", "dummy")


def of_plugin(kind: str, ipam: str) -> str:
    """What a plugin that is first in its list gives by itself; empty where it has an IPAM.

    NONE where it can do without, REFUSED where it cannot.
    """
    if ipam:
        return ""
    if kind in _NEED_IPAM:
        return REFUSED
    return NONE if kind in _WITHOUT_IPAM else ""


def of_ipam(plugin: Node, kind: str) -> str:
    """What the IPAM of a plugin gives: SEVERAL of one family, else nothing worth saying."""
    families: list[bool] = []
    for ipam in golang.fields(plugin, "ipam"):
        families = ["." in each for each in _listed(ipam, kind)]
    return SEVERAL if len(families) > len(set(families)) else ""


def refused_at_del(kind: str) -> bool:
    """Whether an IPAM plugin that is to give several refuses DEL as well."""
    return kind in _AT_DEL


def refuses_del(kind: str) -> bool:
    """Whether a plugin that needs an IPAM and has none fails DEL as well."""
    return kind in _NEED_IPAM_AT_DEL


def _listed(ipam: Node, kind: str) -> Iterator[str]:
    """One address, or subnet, for each that a pod gets."""
    if kind == "host-local":
        yield from _first(ipam, "rangestart", "subnet")
    for several in golang.fields(ipam, _LISTED.get(kind, "")):
        for item in several.items:
            if kind != "host-local":
                yield from _first(item, "address")
            elif item.items:  # a set of ranges gives one address, of the family of its first range
                yield from _first(item.items[0], "rangestart", "subnet")


def _first(node: Node, *keys: str) -> Iterator[str]:
    """The string of the first of these keys that has one."""
    texts = (str(value.scalar) for key in keys for value in golang.fields(node, key))
    yield from [text for text in texts if text][:1]
