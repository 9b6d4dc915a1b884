"""A host in a folder: what an agent finds under its root, built from real files and processes."""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import backup
from cni_upgrade.agent.protocol.operation import (
    FileOrder,
    Kind,
    Operation,
    Outcome,
    Report,
    Result,
    Target,
)

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")

VERSIONLESS = """{
  "name": "pod-net",
  "plugins": [
    {"type": "bridge", "bridge": "cni0", "ipam": {"type": "host-local", "mtu": 1.50E3}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"""


class Host:
    """One host beneath `root`, with containerd 1.6.2 unless said otherwise."""

    def __init__(self, root: Path, runtime: str = "containerd://1.6.2") -> None:
        self.root = root
        self.runtime = runtime
        self.conf = root / "etc/cni/net.d"
        self.bin = root / "opt/cni/bin"
        self.results = root / "var/lib/cni/results"
        self.state = root / "var/lib/cni-upgrade"
        for folder in (self.conf, self.bin, self.results):
            folder.mkdir(parents=True)
        self.state.parent.mkdir(parents=True, exist_ok=True)

    def config(self, name: str = "10-pod.conflist", text: str = VERSIONLESS) -> Path:
        path = self.conf / name
        path.write_text(text)
        return path

    def script(self, name: str, body: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def plugin(self, name: str, highest: str = "1.1.0") -> Path:
        supported = VERSIONS[: VERSIONS.index(highest) + 1]
        answer = json.dumps({"cniVersion": highest, "supportedVersions": supported})
        return self.script(name, f"echo '{answer}'")

    def plugins(self, highest: str = "1.1.0") -> None:
        for name in ("bridge", "host-local", "portmap", "loopback"):
            self.plugin(name, highest)

    def sandbox(
        self, version: str | None, container: str = "c0ffee" * 8, network: str = "pod-net"
    ) -> Path:
        """As libcni writes it on ADD."""
        config: dict[str, object] = {"name": network, "plugins": [{"type": "bridge"}]}
        if version is not None:
            config["cniVersion"] = version
        entry = {
            "kind": "cniCacheV1",
            "containerId": container,
            "ifName": "eth0",
            "networkName": network,
            "result": {"cniVersion": version or "0.1.0"},
            "config": base64.b64encode(json.dumps(config).encode()).decode(),
        }
        path = self.results / f"{network}-{container}-eth0"
        path.write_text(json.dumps(entry))
        return path

    def operation(self, kind: Kind, number: int = 0) -> Operation:
        return Operation(
            id=f"{kind}-{number:020x}",
            kind=kind,
            node="node-a",
            runtime=self.runtime,
            target=Target(),
            root=str(self.root),
        )

    def audit(self) -> Operation:
        return self.operation(Kind.AUDIT)

    def apply(self, *names: str, to: str = "1.0.0", number: int = 0) -> Operation:
        """An order for the files as they are now; all of them unless named."""
        chosen = names or tuple(sorted(path.name for path in self.conf.iterdir()))
        orders = tuple(FileOrder(name, sha256(self.conf / name), to) for name in chosen)
        return replace(self.operation(Kind.APPLY, number), files=orders)

    def apply_of(self, digest: str, name: str = "10-pod.conflist") -> Operation:
        """An order for a file that an audit saw with that sha256."""
        return replace(self.operation(Kind.APPLY), files=(FileOrder(name, digest, "1.0.0"),))

    def restore(self, backup: str | None, number: int = 0) -> Operation:
        return replace(self.operation(Kind.RESTORE, number), backup=backup)

    def tree(self) -> dict[str, object]:
        """Everything in the folder, with what an accident could change of it."""
        found: dict[str, object] = {}
        for path in sorted(self.root.rglob("*")):
            entry = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(self.root))] = (
                entry.st_mode,
                entry.st_ino,
                entry.st_mtime_ns,
                content,
            )
        return found


def saved_as(manifest: Path, document: dict[str, object]) -> str:
    """Puts a backup under the id with which it would have been saved so, which it returns."""
    document["id"] = backup.address(backup.Backup.read(document), document)
    manifest.write_text(json.dumps(document))
    folder = manifest.parent
    return folder.rename(folder.with_name(str(document["id"]))).name


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def report(result: Result) -> Report:
    assert result.report is not None
    return result.report


def codes(result: Result) -> set[str]:
    return {str(finding.code) for finding in report(result).findings}


def refused(result: Result) -> str:
    """The code for which nothing was done."""
    assert result.outcome is Outcome.REFUSED, result
    assert result.error is not None
    assert result.changes == ()
    return result.error.code


def audited(host: Host) -> Result:
    before = host.tree()
    result = run(host.audit())
    assert host.tree() == before, "an audit changes nothing"
    return result
