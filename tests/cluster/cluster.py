"""A named cluster: a control plane and its nodes; several can live side by side."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.cluster import build, cgroups, debian, disk, images, inotify, lock, paths, process
from tests.cluster.components import CONTROL_PLANE
from tests.cluster.control import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubeapi import read_json
from tests.cluster.network import Network
from tests.cluster.node import Node, NodeSpec, default_specs, write_down
from tests.cluster.progress import say

DEFAULT_NAME = "dev"
_READY_SECONDS = 120
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")


def _checked(name: str) -> str:
    if not _LABEL.fullmatch(name):
        raise ClusterError(
            f"{name!r} can't be a name", expected="lower-case letters, digits and dashes"
        )
    return name


class Cluster:
    """One cluster, whether it is up or not."""

    def __init__(self, name: str = DEFAULT_NAME) -> None:
        """Name it; nothing is started."""
        self.name = _checked(name)
        self.folder = paths.state_root() / name

    @classmethod
    def up(
        cls,
        name: str = DEFAULT_NAME,
        nodes: Sequence[str] | None = None,
        *,
        control_plane_only: bool = False,
    ) -> Cluster:
        """Bring a cluster up: what runs already is left as it is.

        `nodes` are names of the default nodes; without any, a new cluster gets all of them. The
        nodes that a cluster has from before come up in any case.
        """
        cluster = cls(name)
        known = default_specs()
        with cluster._locked():
            if control_plane_only:
                wanted = []
            elif nodes is not None:
                wanted = list(nodes)
            else:
                wanted = [node.name for node in cluster.nodes()] or list(known)
            unknown = [n for n in wanted if n not in known and not cluster._has(n)]
            if unknown:
                raise ClusterError(
                    f"no node is known as {', '.join(unknown)}",
                    expected=f"some of {', '.join(known)}",
                    todo="make others with `python3 -m tests.cluster node add`",
                )
            debian.ensure()
            cluster._up_control_plane()
            for node_name in wanted:
                if not cluster._has(node_name):
                    cluster._create(node_name, known[node_name])
            members = [] if control_plane_only else cluster.nodes()
            build.ensure([c for node in members for c in node.components])
            cluster._start(members)
        return cluster

    # -- what it is --

    @property
    def exists(self) -> bool:
        """Whether it has been made."""
        return (self.folder / "cluster.json").exists()

    @property
    def network(self) -> Network:
        """Its addresses."""
        known = read_json(self.folder / "cluster.json")
        if known is None:
            raise ClusterError(
                f"there is no cluster {self.name}",
                todo=f"python3 -m tests.cluster up --name {self.name}",
            )
        return Network(known["number"])

    @property
    def control(self) -> ControlPlane:
        """Its control plane."""
        return ControlPlane(self.folder / "control", nodes_at=self.network.address)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.control.kubeconfig

    @property
    def kubectl(self) -> Path:
        """The kubectl of the same version."""
        return self.control.kubectl

    def node(self, name: str) -> Node:
        """Answer one of its nodes."""
        folder = self.folder / "nodes" / name
        known = read_json(folder / "node.json")
        if known is None:
            raise ClusterError(f"cluster {self.name} has no node {name}")
        network = self.network.node(known["ordinal"])
        return Node.load(self.name, folder, self._images, network)

    def nodes(self) -> list[Node]:
        """Answer all its nodes."""
        found = sorted(self.folder.glob("nodes/*/node.json"))
        return [self.node(path.parent.name) for path in found]

    # -- what can be done to it --

    def exec(
        self,
        node: str,
        argv: Sequence[str],
        *,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a node's namespaces."""
        return self.node(node).exec(argv, stdin=stdin, check=check, timeout=timeout)

    def run_kubectl(self, *argv: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl as the administrator and answer what it prints."""
        command: list[str | Path] = [self.kubectl, f"--kubeconfig={self.kubeconfig}", *argv]
        return process.run(command, stdin=stdin, timeout=timeout)

    def load_image(self, archive: Path) -> list[str]:
        """Import a docker archive into every node, those to come included; answer its tags."""
        with self._locked():
            images.keep(archive, self._images)
            with ThreadPoolExecutor(max_workers=2) as pool:
                list(pool.map(Node.import_missing, self._running()))
        return images.references(archive)

    def add_node(self, name: str, spec: NodeSpec, *, wait: bool = True) -> Node:
        """Make and start a node of any kind; do not wait for one that can't become Ready."""
        with self._locked():
            if self._has(name):
                raise ClusterError(f"cluster {self.name} has a node {name} already")
            self._create(_checked(name), spec)
            node = self.node(name)
            build.ensure(node.components)
            self._start([node], wait=wait)
        return node

    def start_node(self, name: str, *, wait: bool = True) -> None:
        """Start a node that was stopped."""
        with self._locked():
            self._start([self.node(name)], wait=wait)

    def stop_node(self, name: str) -> None:
        """Stop a node as a power cut does; it stays a member."""
        with self._locked():
            self.node(name).down()

    def restart_node(self, name: str, *, wait: bool = True) -> None:
        """Reboot a node: same disk, another boot id."""
        with self._locked():
            node = self.node(name)
            node.down()
            self._start([node], wait=wait)

    def remove_node(self, name: str) -> None:
        """End a node and forget it."""
        with self._locked():
            self._remove(self.node(name))

    def change_runtime(self, name: str, runtime: str) -> None:
        """Replace a node's runtime as a package does, its kubelet stopped; pods go on."""
        with self._locked():
            node = self.node(name)
            for program in ("kubelet", node.runtime.program):
                node.stop(program)
            ordinal, spec = node.network.ordinal, replace(node.spec, runtime=runtime)
            write_down(node.folder, ordinal, spec)
            changed = self.node(name)
            build.ensure(changed.components)
            disk.configure(changed.disk, changed.runtime.config())
            self._start([changed])

    def reset_node(self, name: str, *, spec: NodeSpec | None = None, wait: bool = True) -> None:
        """Install a node anew: its first config, no pods, no leaked address, a new Node object.

        `spec`: of what it is made, where that is not what it is made of.
        """
        with self._locked():
            node = self.node(name)
            ordinal, spec = node.network.ordinal, spec or node.spec
            self._remove(node)
            self._create(name, spec, ordinal)
            self._start([self.node(name)], wait=wait)

    def down(self) -> None:
        """End everything of the cluster and remove it, whatever state it is in."""
        if not self.folder.exists():
            return
        with self._locked():
            if self.exists:
                with ThreadPoolExecutor(max_workers=4) as pool:
                    list(pool.map(Node.down, self.nodes()))
                self.control.down()
                self.network.down()
            shutil.rmtree(self.folder)
            if not all_names():
                cgroups.release_hugetlb()

    # -- how --

    @property
    def _images(self) -> Path:
        return self.folder / "images"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time change the cluster; the lock outlives its folder."""
        with lock.held(f"cluster-{self.name}"):
            yield

    def _has(self, name: str) -> bool:
        return (self.folder / "nodes" / name / "node.json").exists()

    def _running(self) -> list[Node]:
        return [node for node in self.nodes() if node.first_pid() is not None]

    def _up_control_plane(self) -> None:
        build.ensure(CONTROL_PLANE)
        if not self.exists:
            self._take_number()
        self.network.up()
        images.ensure(self._images)
        began = time.monotonic()
        ran = all(self.control.programs().values())
        self.control.up()
        if not ran:
            say(f"control plane ready in {time.monotonic() - began:.0f} s")

    def _take_number(self) -> None:
        """Take the first number that no other cluster has, kept by us or by another user."""
        with lock.held("numbers"):
            files = paths.state_root().glob("*/cluster.json")
            taken = {read_json(path)["number"] for path in files}
            number = next(n for n in range(100) if n not in taken and not Network(n).is_in_use())
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.folder / "cluster.json").write_text(json.dumps({"number": number}))

    def _create(self, name: str, spec: NodeSpec, ordinal: int | None = None) -> None:
        taken = {node.network.ordinal for node in self.nodes()}
        free = next(n for n in range(1, 200) if n not in taken)
        write_down(self.folder / "nodes" / name, ordinal or free, spec)

    def _start(self, members: Sequence[Node], *, wait: bool = True) -> None:
        """Start nodes side by side, since most of it is waiting, and wait until all are Ready."""
        began = time.monotonic()
        idle = [node for node in members if not all(map(node.pid_within, node.daemons))]
        if idle:
            cgroups.ensure_hugetlb()
            inotify.ensure()
            say(f"starting {', '.join(node.name for node in idle)}")
        server = f"https://{self.network.address}:{self.control.ports.api}"
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda node: node.up(self.control.pki, server), idle))
        if wait:
            for node in members:
                self._await_ready(node)
        if idle:
            state = "ready" if wait else "started"
            say(f"nodes {state} in {time.monotonic() - began:.0f} s")

    def _await_ready(self, node: Node) -> None:
        api = self.control.api()
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            why = api.node_not_ready(node.name)
            for program in node.daemons:
                if node.pid_within(program) is None:
                    raise ClusterError(
                        f"{program} on {node.name} ended; its log ({node.log(program)}) ends:\n"
                        f"{process.tail(node.log(program))}"
                    )
            if not why:
                return
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{node.name} is not Ready: {why}; the kubelet's log "
                    f"({node.log('kubelet')}) ends:\n{process.tail(node.log('kubelet'))}",
                    expected=f"Ready within {_READY_SECONDS} s",
                )
            time.sleep(0.5)

    def _remove(self, node: Node) -> None:
        node.down()
        if self.control.api().is_ready():
            self.control.api().forget_node(node.name)
        shutil.rmtree(node.folder)


def all_names() -> list[str]:
    """Answer the names of all clusters on this machine."""
    return sorted(path.parent.name for path in paths.state_root().glob("*/cluster.json"))
