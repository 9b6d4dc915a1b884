"""A node in small: network namespaces, real plugins and the real libcni, without a runtime.

What a runtime asks of libcni is asked here in its stead: containerd deletes with the file as it
is (go-cni `namespace.go`), CRI-O checks each pod that it creates and deletes with the cached
config (ocicni `ocicni.go`). Everything happens in a namespace of its own, so that no bridge and
no rule of the machine is touched.
"""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from cni_upgrade.agent.plugins import build_info
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.node import LOOPBACK, LOOPBACK_NETWORK
from tests.cluster import build as cluster
from tests.cluster import debian
from tests.judge.process import Judge

_COUNT = itertools.count()

NULL = "null"
"""As a version: JSON's null, with which no release of libcni loads a list."""


def plugin_folder(release: str) -> Path:
    """The built plugins of a release of containernetworking/plugins, and what they call."""
    debian.ensure()
    cluster.ensure([f"plugins-{release}"])
    return cluster.home(f"plugins-{release}")


def ask(binary: Path) -> Support:
    """What a real plugin answers to VERSION (the node room has the careful way)."""
    environment = {"CNI_COMMAND": "VERSION"}
    environment |= dict.fromkeys(("CNI_NETNS", "CNI_IFNAME", "CNI_PATH"), "dummy")
    done = subprocess.run(
        [str(binary)],
        input=b'{"cniVersion": "1.0.0"}',
        env=environment,
        capture_output=True,
        check=True,
        timeout=30,
    )
    support = Support.told(binary.name, json.loads(done.stdout)["supportedVersions"])
    return replace(support, release=build_info.plugins(str(binary)))


class World:
    """One node: a network namespace with a judge in it, a plugin folder, a cache, pods."""

    def __init__(self, release: str, folder: Path, *, quiet: bool = False) -> None:
        """`quiet` drops what plugins write to stderr beside their answers."""
        self.name = f"judge-{os.getpid()}-{next(_COUNT)}"
        self._pods: list[str] = []
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self.file = folder / "10-net.conflist"
        self._netns("add", self.name)
        self._in_node("ip", "link", "set", "lo", "up")
        within = ("ip", "netns", "exec", self.name)
        self._judge = Judge(release, "run", within, quiet=quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._judge.close()
        for name in (*self._pods, self.name):
            self._netns("delete", name)

    def install(self, release: str, *binaries: str) -> None:
        """Put plugins of a release in the plugin folder, over what is there.

        As links: a copy is open for writing while it is made, and a program that another thread
        starts at that instant would inherit it, so that it could not be run (ETXTBSY).
        """
        for binary in binaries:
            (self.bin / binary).unlink(missing_ok=True)
            (self.bin / binary).symlink_to(plugin_folder(release) / binary)

    def plugins(self) -> dict[str, Support]:
        """What each binary in the plugin folder says that it supports."""
        return {path.name: ask(path) for path in sorted(self.bin.iterdir())}

    def write(self, version: str | None, *plugins: str) -> bytes:
        """The node's config at a version: a bridge with host-local, then the other plugins."""
        config: dict[str, object] = {} if version is None else {"cniVersion": version}
        if version == NULL:
            config["cniVersion"] = None
        config["name"] = "net"
        chain = [self.bridge()]
        for plugin in plugins:
            entry: dict[str, object] = {"type": plugin}
            if plugin == "portmap":
                entry["capabilities"] = {"portMappings": True}
            if plugin == "bandwidth":
                entry |= {"ingressRate": 1000000, "ingressBurst": 1000000}
            chain.append(entry)
        data = json.dumps({**config, "plugins": chain}, indent=2).encode()
        self.file.write_bytes(data)
        return data

    def bridge(self) -> dict[str, object]:
        """The entry of a bridge that is the node's gateway, with host-local."""
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": "10.99.0.0/24"}]],
            "dataDir": str(self.folder / "ipam"),
        }
        return {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam}

    def pod(self, name: str) -> str:
        """A pod's network namespace; answers the container's id."""
        namespace = f"{self.name}-{name}"
        self._netns("add", namespace)
        self._pods.append(namespace)
        return namespace

    def run(self, command: str, pod: str, capabilities: Mapping[str, object] | None = None) -> str:
        """A command of libcni on a pod with the file as it is now; the error, empty if none.

        The pod has a hostPort, unless its `capabilities` say what it has.
        """
        return self._judge.command(
            command=command,
            file=str(self.file),
            container=pod,
            netns=f"/run/netns/{pod}",
            binDir=str(self.bin),
            cacheDir=str(self.folder / "cache"),
            capabilities=capabilities,
        )

    def check(self, pod: str) -> bool | None:
        """Whether CHECK of a pod works with the file as it is; None where its version has none."""
        error = self.run("CHECK", pod)
        return None if "does not support the CHECK command" in error else not error

    def comes_and_goes(self, name: str = "fresh", add: str = "ADD") -> tuple[bool, bool]:
        """Whether a pod is added, and then deleted, with the file as it is now."""
        pod = self.pod(name)
        return not self.run(add, pod), not self.run("DEL", pod)

    def loopback_comes_and_goes(self, version: str | None) -> tuple[bool, bool]:
        """The same of the network that containerd runs of its own (go-cni `opts.go` WithLoNetwork),
        at that version; it takes the place of the node's config."""
        network = {"cniVersion": version, "name": LOOPBACK_NETWORK}
        self.file.write_text(json.dumps({**network, "plugins": [{"type": LOOPBACK}]}))
        return self.comes_and_goes("lo", "ADD-LO")

    def addresses(self, pod: str) -> list[str]:
        """The addresses that host-local holds for a pod."""
        return [
            path.name
            for path in (self.folder / "ipam").glob("*/*")
            if set(path.name) & set(".:") and pod in path.read_text().split()[0]
        ]

    def _in_node(self, *command: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.name, *command], check=True)

    @staticmethod
    def _netns(verb: str, name: str) -> None:
        subprocess.run(["ip", "netns", verb, name], check=True)


def can_run() -> bool:
    """Whether this user may make network namespaces."""
    return os.geteuid() == 0 and shutil.which("ip") is not None
