"""Installs the Debian packages that the cluster stands on, and only those that are missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.cluster import lock
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say

# What is looked for -> the package that brings it. gcc and the header are for CRI-O.
_WANTED = {
    "/usr/bin/openssl": "openssl",
    "/usr/bin/gcc": "gcc",
    "/usr/bin/pkg-config": "pkg-config",
    "/usr/include/seccomp.h": "libseccomp-dev",
    "/usr/sbin/ip": "iproute2",
    "/usr/sbin/iptables": "iptables",
    "/usr/sbin/nft": "nftables",
    "/usr/sbin/runc": "runc",
    "/usr/bin/conmon": "conmon",
    "/usr/bin/skopeo": "skopeo",
    "/usr/bin/busybox": "busybox-static",
    # Of the tests alone: the agent is killed at each of its system calls.
    "/usr/bin/strace": "strace",
}


def missing() -> list[str]:
    """Answer the packages that are yet to be installed."""
    lacking = {package for path, package in _WANTED.items() if not Path(path).exists()}
    if Path("/usr/bin/busybox").exists() and not _busybox_is_static():
        lacking.add("busybox-static")
    return sorted(lacking)


def _busybox_is_static() -> bool:
    """Tell busybox-static from busybox: the test image holds nothing for a loader to load."""
    return b"/lib64/ld-linux" not in Path("/usr/bin/busybox").read_bytes()


def ensure() -> None:
    """Install what is missing."""
    if missing():
        with lock.held("debian"):
            _install(missing())


def _install(packages: list[str]) -> None:
    if not packages:
        return
    say(f"installing Debian packages: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(
                f"`{' '.join(argv[:3])}` failed: {done.stderr.strip()[-600:]}",
                expected=f"these packages installed: {' '.join(packages)}",
                todo="make Debian's package mirror reachable, or install them yourself",
            )
