"""A node's disk: the folders that are its own, as they are on its first day.

Of the machine's /etc a node gets what its programs read. The rest, keys and passwords above all,
stays out.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from tests.cluster.kubelet import STATIC_PODS

_ETC = (
    "alternatives",
    "containers",
    "debian_version",
    "ethertypes",
    "group",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/certs",
)

# Bound over the machine's own folders. /usr/lib/cni: Debian puts plugins there, and an audit of
# a node must not find the machine's.
OWN = {
    "etc": "/etc",
    "opt": "/opt",
    "var-lib": "/var/lib",
    "var-log": "/var/log",
    "usr-lib-cni": "/usr/lib/cni",
}


def write(
    disk: Path, name: str, plugins: Path, runtime_files: dict[str, str], configs: dict[str, str]
) -> None:
    """Write the disk of the node of that name, whole or not at all: plugins, configs, no pods.

    `plugins` is the folder of the binaries, `runtime_files` what configures the runtime, by
    absolute path on the node, and `configs` its CNI configs, by file name.
    """
    fresh = disk.with_name(f"{disk.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    for part in OWN:
        (fresh / part).mkdir(parents=True)
    etc = fresh / "etc"
    for each in _ETC:
        _copy(Path("/etc", each), etc / each)
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    (etc / "hostname").write_text(f"{name}\n")
    configure(fresh, runtime_files)
    net_d = etc / "cni/net.d"
    net_d.mkdir(parents=True)
    for each, text in configs.items():
        (net_d / each).write_text(text)
    shutil.copytree(plugins, fresh / "opt/cni/bin")
    (fresh / STATIC_PODS.lstrip("/")).mkdir(parents=True)
    (fresh / "var-lib/cni").mkdir()
    (fresh / "var-log/pods").mkdir()
    fresh.rename(disk)


def configure(disk: Path, files: dict[str, str]) -> None:
    """Write files below /etc, by absolute path on the node."""
    for path, text in files.items():
        target = disk / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, link or folder of /etc, following a link only where it leaves /etc."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    elif source.exists():
        shutil.copyfile(source, target)
