"""Lays the cables: a bridge for each cluster, and for each node a network namespace on it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import process

_NAMESPACES = Path("/run/netns")
_FIRST_HOST = 10


@dataclass(frozen=True)
class Network:
    """One cluster's addresses and names, all drawn from its number (0-99)."""

    number: int

    @property
    def bridge(self) -> str:
        """The bridge; the kernel allows fifteen characters."""
        return f"cuobr{self.number}"

    @property
    def address(self) -> str:
        """The address of this machine on the bridge, at which nodes reach the API server."""
        return f"10.89.{self.number}.1"

    def node(self, ordinal: int) -> NodeNetwork:
        """Answer the network of the cluster's n-th node."""
        return NodeNetwork(self, ordinal)

    def is_in_use(self) -> bool:
        """Whether there is such a bridge already."""
        return _exists(self.bridge)

    def up(self) -> None:
        """Make the bridge."""
        if not _exists(self.bridge):
            process.run(["ip", "link", "add", self.bridge, "type", "bridge"])
        process.run(["ip", "address", "replace", f"{self.address}/24", "dev", self.bridge])
        process.run(["ip", "link", "set", self.bridge, "up"])

    def down(self) -> None:
        """Remove every namespace of the cluster and the bridge."""
        for namespace in _NAMESPACES.glob(f"cuo{self.number}-*"):
            self.node(int(namespace.name.partition("-")[2])).down()
        _unlink(self.bridge)


@dataclass(frozen=True)
class NodeNetwork:
    """One node's addresses and names."""

    cluster: Network
    ordinal: int

    @property
    def namespace(self) -> str:
        """The network namespace, as `ip netns` names it."""
        return f"cuo{self.cluster.number}-{self.ordinal}"

    @property
    def cable(self) -> str:
        """This machine's end of the node's cable."""
        return f"cuo{self.cluster.number}n{self.ordinal}"

    @property
    def address(self) -> str:
        """The node's own address."""
        return f"10.89.{self.cluster.number}.{_FIRST_HOST + self.ordinal}"

    @property
    def pods(self) -> str:
        """The subnet of the node's pods."""
        return f"10.{100 + self.cluster.number}.{self.ordinal}.0/24"

    @property
    def pods_v6(self) -> str:
        """The IPv6 subnet of the node's pods."""
        return f"fd00:89:{self.cluster.number:x}:{self.ordinal:x}::/64"

    def up(self) -> None:
        """Make the namespace and plug it in."""
        name, cable = self.namespace, self.cable
        if not (_NAMESPACES / name).exists():
            process.run(["ip", "netns", "add", name])
        if not _exists(cable):
            process.run(["ip", "link", "add", cable, "type", "veth", "peer", "eth0", "netns", name])
        process.run(["ip", "link", "set", cable, "master", self.cluster.bridge, "up"])
        inside = ["ip", "-n", name]
        process.run([*inside, "address", "replace", f"{self.address}/24", "dev", "eth0"])
        process.run([*inside, "link", "set", "lo", "up"])
        process.run([*inside, "link", "set", "eth0", "up"])
        process.run([*inside, "route", "replace", "default", "via", self.cluster.address])
        forward = 'for f; do echo 1 >"/proc/sys/net/$f"; done'
        switches = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]
        process.run(["ip", "netns", "exec", name, "sh", "-c", forward, "sh", *switches])

    def down(self) -> None:
        """End what still runs on this network and remove it.

        The cable would go with the namespace, but only some time after it, in the way of the next.
        """
        _unlink(self.cable)
        _end_namespace(self.namespace)


def _exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()


def _unlink(link: str) -> None:
    if _exists(link):
        process.run(["ip", "link", "delete", link])


def _end_namespace(name: str) -> None:
    if not (_NAMESPACES / name).exists():
        return
    deadline = time.monotonic() + 10
    while (pids := process.run(["ip", "netns", "pids", name]).split()) and (
        time.monotonic() < deadline
    ):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.1)
    process.run(["ip", "netns", "delete", name])
