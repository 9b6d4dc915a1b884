"""Puts the nodes into a known state, and breaks what a test wants broken on them."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import build
from tests.cluster.cluster import Cluster
from tests.cluster.kubelet import STATIC_PODS
from tests.cluster.node import Node

STATE_FOLDER = "cni-upgrade"
_HEALTHY = {"node-a": "1.0.0", "node-b": "0.4.0", "node-c": "1.0.0", "node-d": "1.0.0"}

# Stands in for a plugin, on the node and in the agent's image alike: both have this interpreter.
_STAND_IN = """\
#!/usr/bin/python3 -IBS
import os, sys, time
command = os.environ.get("CNI_COMMAND")
config = sys.stdin.buffer.read()
if command == "VERSION":
    time.sleep({version_takes})
if command == "ADD" and {add_fails_at!r} and b'"cniVersion":"{add_fails_at}"' in config:
    print('{{"cniVersion":"{add_fails_at}","code":999,"msg":"{message}"}}')
    sys.exit(1)
read, write = os.pipe()
os.write(write, config)
os.close(write)
os.dup2(read, 0)
os.execv(sys.argv[0] + ".real", [sys.argv[0]])
"""


@dataclass(frozen=True)
class Machine:
    """One node as its disk and its processes."""

    cluster: Cluster
    name: str

    @property
    def node(self) -> Node:
        return self.cluster.node(self.name)

    @property
    def configs(self) -> Path:
        return self.node.disk / "etc/cni/net.d"

    @property
    def config(self) -> Path:
        return self.configs / self.node.spec.config_name

    @property
    def state(self) -> Path:
        """Where the agent keeps backups and results."""
        return self.node.disk / "var-lib" / STATE_FOLDER

    def faulty(self) -> str:
        """The config that the node is delivered with."""
        return self.node.config_text()

    def at_version(self, version: str) -> str:
        """The same config, at a version."""
        lines = [x for x in self.faulty().splitlines() if '"cniVersion"' not in x]
        return "\n".join([lines[0], f'  "cniVersion": "{version}",', *lines[1:]]) + "\n"

    def healthy(self) -> str:
        """A config with which pods come and go."""
        return self.at_version(_HEALTHY[self.name])

    def write(self, text: str) -> None:
        """Replace the config as an installer does; the runtime loads it at once."""
        fresh = self.configs / "fresh.tmp"
        fresh.write_text(text, encoding="utf-8")
        fresh.rename(self.config)

    def forget_operations(self) -> None:
        """Take away what operations left: backups, results and strangers among the configs."""
        shutil.rmtree(self.state, ignore_errors=True)
        for path in self.configs.iterdir():
            if path != self.config:
                path.unlink()

    def forget_pods(self) -> None:
        """Take away what failed attempts left in the caches; only while no pod is there."""
        for folder in ("results", "networks"):
            for path in (self.node.disk / "var-lib/cni" / folder).glob("**/*"):
                if path.is_file():
                    path.unlink()

    def added_at(self, pod: str, version: str) -> None:
        """Let the results cache say that a pod was added at another version, as it does where a
        newer runtime was there when it was."""
        [(path, entry)] = [
            (path, entry)
            for path in (self.node.disk / "var-lib/cni/results").iterdir()
            if ["K8S_POD_NAME", pod] in (entry := json.loads(path.read_bytes())).get("cniArgs", [])
            and not path.name.startswith("cni-loopback-")
        ]
        config = {**json.loads(base64.b64decode(entry["config"])), "cniVersion": version}
        entry["config"] = base64.b64encode(json.dumps(config).encode()).decode()
        entry["result"]["cniVersion"] = version
        path.write_text(json.dumps(entry), encoding="utf-8")

    def leases(self) -> set[str]:
        """The pod addresses that host-local holds, of both families."""
        folders = (self.node.disk / "var-lib/cni/networks").glob("*")
        return {
            path.name
            for folder in folders
            for path in folder.iterdir()
            if not path.name.startswith(("last_reserved_ip", "lock"))
        }

    @contextmanager
    def watched(self) -> Iterator[set[str]]:
        """All contents that the config has while the block runs; an empty one where it is gone."""
        seen: set[str] = set()
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.005):
                try:
                    seen.add(self.config.read_text(encoding="utf-8"))
                except FileNotFoundError:
                    seen.add("")

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield seen
        finally:
            over.set()
            watcher.join()

    # -- static pods --

    @property
    def _manifests(self) -> Path:
        return self.node.disk / STATIC_PODS.lstrip("/")

    def run_static(self, pod: Mapping[str, object], name: str) -> None:
        """Give the kubelet a pod by file; the API server shows a mirror of it, `NAME-NODE`."""
        fresh = self._manifests / f".{name}.tmp"
        fresh.write_text(json.dumps(pod), encoding="utf-8")
        fresh.rename(self._manifests / f"{name}.json")

    def forget_static(self) -> None:
        """Take away the pods that a kubelet was given by file."""
        for path in self._manifests.iterdir():
            path.unlink()

    # -- plugins --

    @property
    def _plugins(self) -> Path:
        return self.node.disk / "opt/cni/bin"

    def stand_in(
        self,
        plugin: str,
        *,
        version_takes: float = 0,
        add_fails_at: str = "",
        message: str = "",
    ) -> None:
        """Put a program before a plugin that answers as it does, but late, or fails an ADD."""
        real = self._plugins / f"{plugin}.real"
        if not real.exists():
            shutil.copy2(self._plugins / plugin, real)
        fresh = self._plugins / f"{plugin}.tmp"
        script = _STAND_IN.format(
            version_takes=version_takes, add_fails_at=add_fails_at, message=message
        )
        fresh.write_text(script, encoding="utf-8")
        fresh.chmod(0o755)
        fresh.rename(self._plugins / plugin)

    def mend_plugins(self) -> None:
        """Give the node its own plugins back."""
        home = build.home(f"plugins-{self.node.spec.plugins}")
        for real in self._plugins.glob("*.real"):
            plugin = real.stem
            fresh = self._plugins / f"{plugin}.tmp"
            shutil.copy2(home / plugin, fresh)
            fresh.rename(self._plugins / plugin)
            real.unlink()

    # -- processes --

    def pids(self, words: str) -> list[str]:
        """The processes of the node, pods included, whose command line has these words."""
        found = self.cluster.exec(self.name, ["pgrep", "-f", "--", words], check=False).stdout
        return found.split()

    def kill(self, words: str) -> bool:
        """Kill -9 what runs under that command line; False where nothing does."""
        pids = self.pids(words)
        for pid in pids:
            self.cluster.exec(self.name, ["kill", "-KILL", pid], check=False)
        return bool(pids)


@dataclass(frozen=True)
class Snapshot:
    """Everything of a node that only an operation that writes may change."""

    entries: tuple[tuple[str, bytes, int, int], ...]
    """(name, content, time of the last change, mode) of each config."""
    folder_changed: int
    state_folder: bool

    @classmethod
    def of(cls, machine: Machine) -> Snapshot:
        entries = tuple(
            (path.name, path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
            for path in sorted(machine.configs.iterdir())
        )
        return cls(entries, machine.configs.stat().st_mtime_ns, machine.state.exists())
