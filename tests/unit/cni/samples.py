"""Configs as they are found on nodes, and the plugins that are found beside them."""

import json
from dataclasses import replace

from cni_upgrade.cni import versions
from cni_upgrade.cni.facts import Support

BRIDGE = """\
{
  "name": "containerd-net",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipMasq": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.88.0.0/16"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    }
  ]
}
"""

FLANNEL = """\
{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"""

CALICO = """\
{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {"type": "calico", "ipam": {"type": "calico-ipam"}, "policy": {"type": "k8s"}},
    {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}},
    {"type": "bandwidth", "capabilities": {"bandwidth": true}}
  ]
}
"""

MULTUS = """\
{
  "cniVersion": "0.3.1",
  "name": "multus-cni-network",
  "type": "multus",
  "delegates": [
    {"cniVersion": "0.3.1", "name": "k8s-pod-network", "plugins": [
      {"type": "calico", "ipam": {"type": "calico-ipam"}}, {"type": "portmap"}]},
    {"type": "macvlan", "ipam": {"type": "static"}}
  ]
}
"""


def bridge(version: str | None = None) -> bytes:
    """The bridge list, at a version."""
    if version is None:
        return BRIDGE.encode()
    return BRIDGE.replace("{\n", f'{{\n  "cniVersion": {json.dumps(version)},\n', 1).encode()


def supports(highest: str, lowest: str = "0.1.0") -> tuple[str, ...]:
    """The released versions between two."""
    return versions.KNOWN[versions.order(lowest) : versions.order(highest) + 1]


def plugins(highest: str, **others: str) -> dict[str, Support]:
    """The usual binaries at one level, some of them at another."""
    names = ("bridge", "host-local", "portmap", "loopback")
    levels = {**dict.fromkeys(names, highest)}
    levels.update({name.replace("_", "-"): level for name, level in others.items()})
    return {name: told(name, level) for name, level in levels.items()}


_RELEASES = {"0.4.0": "0.9.1", "1.0.0": "1.5.1", "1.1.0": "1.9.1"}
"""Of containernetworking/plugins, the last releases that speak up to that version."""


def told(name: str, highest: str, lowest: str = "0.1.0") -> Support:
    """A plugin of the last release that speaks up to a version, as its build info says."""
    support = Support.told(name, supports(highest, lowest))
    return replace(support, release=_RELEASES.get(highest))
