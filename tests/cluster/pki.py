"""Issues the cluster's certificates: everybody is known by one, so a node can be added at any time.

A static token file would do for a fixed set of nodes, but the API server reads it once, at start.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import process

_DAYS = "3650"
# openssl's own default config would mark every certificate as an authority.
_CONFIG = "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\n"

# Nodes start side by side and share some of these files.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


def authority(folder: Path) -> Pair:
    """Answer the cluster's own authority."""
    return _pair(
        folder,
        "ca",
        "/CN=cluster-ca",
        ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"],
    )


def issue(
    folder: Path, name: str, *, user: str, group: str = "", hosts: Sequence[str] = ()
) -> Pair:
    """Answer a certificate by which `user` is known, and which serves for `hosts`."""
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=clientAuth,serverAuth",
    ]
    if hosts:
        extensions.append("subjectAltName=" + ",".join(hosts))
    subject = (f"/O={group}" if group else "") + f"/CN={user}"
    return _pair(folder, name, subject, extensions, authority(folder))


def _pair(
    folder: Path,
    name: str,
    subject: str,
    extensions: Sequence[str],
    ca: Pair | None = None,
) -> Pair:
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    with _one_at_a_time:
        if not pair.certificate.exists():
            _make(pair, subject, extensions, ca)
    return pair


def _make(pair: Pair, subject: str, extensions: Sequence[str], ca: Pair | None) -> None:
    folder = pair.key.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG)
    fresh = pair.certificate.with_suffix(".new")
    argv: list[str | Path] = ["openssl", "req", "-x509", "-config", config, "-days", _DAYS]
    argv += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject]
    argv += ["-keyout", pair.key, "-out", fresh]
    if ca is not None:
        argv += ["-CA", ca.certificate, "-CAkey", ca.key]
    for extension in extensions:
        argv += ["-addext", extension]
    process.run(argv)
    # The certificate appears last and whole: its presence means that the pair is complete.
    fresh.rename(pair.certificate)


def service_account_keys(folder: Path) -> Pair:
    """Answer the key pair that signs service account tokens; its public half is a bare key."""
    pair = Pair(folder / "service-account.pub", folder / "service-account.key")
    if not pair.certificate.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        process.run(["openssl", "genrsa", "-out", pair.key, "2048"])
        public = process.run(["openssl", "rsa", "-in", pair.key, "-pubout"])
        fresh = folder / "service-account.pub.new"
        fresh.write_text(public)
        fresh.rename(pair.certificate)
    return pair


def kubeconfig(path: Path, *, server: str, ca: Pair, pair: Pair) -> Path:
    """Write a kubeconfig that holds all it needs and trusts only the cluster's authority."""

    def encoded(part: Path) -> str:
        return base64.b64encode(part.read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": encoded(ca.certificate)}
    user = {
        "client-certificate-data": encoded(pair.certificate),
        "client-key-data": encoded(pair.key),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "user"}}],
        "current-context": "cluster",
    }
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    return fresh.rename(path)
