"""Says what this machine lacks before minutes are spent on it; each lack is one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cluster import build, cgroups, debian, paths
from tests.cluster.components import CATALOGUE, KUBERNETES

_GIB = 1 << 30
_PYTHON = (3, 11)
# containerd 2.4.2 asks for the newest Go of all components.
_GO = (1, 26, 6)
_DISK_TO_BUILD_GIB = 12
_DISK_TO_RUN_GIB = 3
_MEMORY_GIB = 4


def problems() -> list[str]:
    """Answer what is missing, each with what to do; nothing when the cluster can be made."""
    if sys.version_info < _PYTHON:
        have = ".".join(map(str, sys.version_info[:3]))
        return [f"Python {have} is too old: run this with Python 3.11 or newer"]
    checks: tuple[Callable[[], Iterator[str]], ...] = (_rights, _kernel, _tools, _room)
    found = [problem for check in checks for problem in check()]
    # The network is asked last, and only when all else would let us use it.
    return found or list(_registries())


def _rights() -> Iterator[str]:
    if sys.platform != "linux":
        yield f"this is {sys.platform}: a cluster of this kind needs Linux"
    elif os.geteuid() != 0:
        yield "not root: run this as root (namespaces, mounts and bridges are made)"
    elif not _succeeds(
        ["unshare", "--mount", "--uts", "--ipc", "--pid", "--net", "--fork", "true"]
    ):
        yield "no right to make namespaces: run on a machine or VM, not in a plain container"


def _kernel() -> Iterator[str]:
    for name in cgroups.lacking():
        yield (
            f"cgroup controller {name} is not mounted: "
            f"mount -t cgroup -o {name} none /sys/fs/cgroup/{name}"
        )
    if not re.search(r"\boverlay\b", Path("/proc/filesystems").read_text()):
        yield "the kernel has no overlay file system: modprobe overlay"
    if not Path("/proc/sys/net/ipv6").is_dir():
        yield "IPv6 is off in the kernel: the nodes' pod networks are dual-stack"


def _tools() -> Iterator[str]:
    go = shutil.which("go")
    if go is None:
        yield "Go is not installed: put Go 1.26.6 or newer on the PATH (https://go.dev/dl)"
    else:
        said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
        numbers = tuple(int(part) for part in re.findall(r"\d+", said.stdout)[:3])
        if numbers < _GO:
            yield f"{said.stdout.strip() or go} is too old: containerd 2 needs Go 1.26.6 or newer"
    if debian.missing() and shutil.which("apt-get") is None:
        yield f"apt-get is missing: install {', '.join(debian.missing())} by other means"


def _room() -> Iterator[str]:
    to_build = shutil.which("go") is not None and bool(_unbuilt())
    need = _DISK_TO_BUILD_GIB if to_build else _DISK_TO_RUN_GIB
    for folder in {paths.cache_root(), paths.state_root()}:
        free = shutil.disk_usage(_nearest(folder)).free // _GIB
        if free < need:
            yield f"{free} GiB free for {folder}: make room for {need} GiB"
    available = _available_memory() // _GIB
    if available < _MEMORY_GIB:
        yield f"{available} GiB of memory available: a cluster with its builds needs {_MEMORY_GIB}"


def _registries() -> Iterator[str]:
    if _unbuilt() and not _succeeds(
        ["go", "list", "-m", "-mod=mod", f"k8s.io/kubernetes@{KUBERNETES}"], timeout=60
    ):
        yield "the Go module proxy can't be reached: check `go env GOPROXY` and the network"
    if debian.missing() and not _succeeds(["apt-get", "-qq", "update"], timeout=180):
        yield "Debian's package mirror can't be reached: `apt-get update` fails"


def _unbuilt() -> list[str]:
    return [component.name for component in CATALOGUE if not build.is_built(component.name)]


def _succeeds(argv: list[str], timeout: float = 20) -> bool:
    try:
        done = subprocess.run(
            argv,
            cwd=paths.COMPONENTS / "pause",
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _nearest(folder: Path) -> Path:
    """Answer the folder or the one above it that exists already."""
    return folder if folder.exists() else _nearest(folder.parent)


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
