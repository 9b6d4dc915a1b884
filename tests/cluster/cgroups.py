"""Gives each node its own branch of every cgroup hierarchy, and takes it away again."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tests.cluster import process
from tests.cluster.errors import ClusterError

_ROOT = Path("/sys/fs/cgroup")
_HUGETLB = _ROOT / "hugetlb"
_OURS = "cni-upgrade-operator"
NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")


def _mounts() -> dict[Path, str]:
    """Answer each mounted hierarchy and its type, cgroup (version 1) or cgroup2."""
    found: dict[Path, str] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split()
        path = Path(target)
        if kind in {"cgroup", "cgroup2"} and (path == _ROOT or path.parent == _ROOT):
            found[path] = kind
    return found


def is_version_2() -> bool:
    """Say whether the one hierarchy of version 2 is all there is."""
    return _mounts().get(_ROOT) == "cgroup2"


def lacking() -> list[str]:
    """Answer the controllers that are not at hand."""
    if is_version_2():
        offered = (_ROOT / "cgroup.controllers").read_text().split()
        return [name for name in ("cpu", "cpuset", "memory", "pids") if name not in offered]
    mounted = {path.name for path in _mounts()}
    # One mount may serve two controllers, e.g. cpu,cpuacct, with a link for each.
    return [name for name in NEEDED if name not in mounted and not (_ROOT / name).is_symlink()]


def ensure_hugetlb() -> None:
    """Mount the hugetlb hierarchy: CRI-O sets its limits and creates no container without it."""
    if is_version_2() or _HUGETLB in _mounts():
        return
    _HUGETLB.mkdir(exist_ok=True)
    process.run(["mount", "-t", "cgroup", "-o", "hugetlb", _OURS, _HUGETLB])


def release_hugetlb() -> None:
    """Unmount it again if it was us who mounted it; the mount's source says so."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if line.split()[:2] == [_OURS, str(_HUGETLB)]:
            process.run(["umount", _HUGETLB])
            _HUGETLB.rmdir()


def create(name: str) -> None:
    """Make the branch everywhere."""
    if is_version_2():
        controllers = (_ROOT / "cgroup.controllers").read_text().split()
        (_ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in controllers))
    for hierarchy in _mounts():
        branch = hierarchy / name
        branch.mkdir(exist_ok=True)
        # A new cpuset is empty, and no process can be put into one that is.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / setting).exists() and not (branch / setting).read_text().strip():
                (branch / setting).write_text((hierarchy / setting).read_text())


def remove(name: str) -> None:
    """Remove the branch everywhere, once its processes are gone."""
    deadline = time.monotonic() + 20
    for hierarchy in _mounts():
        branch = hierarchy / name
        while branch.exists():
            # rmdir frees a branch only from its leaves, and only when nobody is in it.
            for folder in sorted((p for p in branch.rglob("*") if p.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                branch.rmdir()
                break
            if time.monotonic() > deadline:
                raise ClusterError(f"{branch} can't be removed", expected="no process left in it")
            time.sleep(0.2)
