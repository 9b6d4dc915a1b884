"""Names a network that gives its pods no address, which no cniVersion cures.

- containerd fails a pod whose default network answers without an address: "failed to find network
  info for sandbox" (setupPodNetwork in `pkg/cri/server/sandbox_run.go` of containerd v1.5.8, v1.6.2
  and v1.6.38, in `internal/cri/server/sandbox_run.go` of v2.4.2). CRI-O takes such a pod
  (`addresses` has what happens below 0.3.0).
- ptp, vlan and dummy refuse to run without IPAM, ipvlan too where it is the first of a list
  (containernetworking/plugins v0.9.1 and v1.9.1 `plugins/main`; ptp was run, the others were read).
"""

from collections.abc import Iterator

from cni_upgrade.cni import compat
from cni_upgrade.cni.addresses import NONE, REFUSED, refuses_del
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.node import Node

_ADD_NONE = frozenset({"portmap", "bandwidth", "firewall", "tuning", "sbr", "vrf"})
"""Chained plugins that hand on the addresses which they are given, and add none."""


def faults(config: Config, node: Node, *, at_del: bool) -> Iterator[Finding]:
    """Tell which plugin lacks an `ipam`, where ADD (with `at_del`: DEL) fails at every version."""
    refusing = next((each for each in node.chain if compat.gives(each) == REFUSED), None)
    if refusing is not None:
        if not at_del or refuses_del(refusing.type):
            also = "ADD and DEL fail" if refuses_del(refusing.type) else "ADD fails"
            told = f"has no ipam and does not run without one: {also} at every cniVersion"
            yield _finding(config, refusing.label, told)
        return
    given = [each for each in node.chain if compat.gives(each) == NONE]
    silent = all(each in given or each.type in _ADD_NONE for each in node.chain)
    if at_del or not given or not silent or node.runtime.name != "containerd":
        return
    told = (
        f"has no ipam, so pods get no address: {node.runtime.label} fails each new pod at every "
        "cniVersion (failed to find network info for sandbox)"
    )
    yield _finding(config, given[0].label, told)


def _finding(config: Config, plugin: str, told: str) -> Finding:
    return Finding(
        Code.NO_ADDRESS,
        Severity.FAULT,
        config.name,
        f"{plugin} {told}",
        f"give {plugin} an ipam, such as host-local; no cniVersion cures this",
    )
