"""Asks the kubelet's own arguments whether a node's pods get their network from CNI at all.

Only dockershim and cri-dockerd can do without (`--network-plugin`, gone from the kubelet in 1.24):
every runtime with a CRI of its own uses CNI, whatever the kubelet is told.
"""

import re
from collections.abc import Iterator

from cni_upgrade.node import files
from cni_upgrade.node.folders import resolve

_FILES = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
    "/etc/kubernetes/kubelet.env",
)
_UNITS = ("kubelet.service", "cri-docker.service")
_UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system")
_LIMIT = 1 << 16
_MOST_DROP_INS = 32
_FLAG = re.compile(r"--network-plugin[= ][\"']?(kubenet|noop|cni)\b")


def network_without_cni(root: str, runtime: str) -> str | None:
    """What gives pods their network in place of CNI, and the file that says so; None where nothing
    says so, or two places differ. Raises nothing: what cannot be read tells nothing."""
    if not runtime.startswith("docker://"):
        return None
    said = {
        path: found[-1] for path in _places(root) if (found := _FLAG.findall(_text(root, path)))
    }
    path, plugin = next(iter(said.items()), ("", "cni"))
    return (
        None
        if set(said.values()) != {plugin} or plugin == "cni"
        else (f"--network-plugin={plugin} in {path}")
    )


def _places(root: str) -> Iterator[str]:
    yield from _FILES
    for folder in _UNIT_FOLDERS:
        for unit in _UNITS:
            yield from (f"{folder}/{unit}.d/{name}" for name in _names(root, f"{folder}/{unit}.d"))
            yield f"{folder}/{unit}"


def _names(root: str, folder: str) -> list[str]:
    try:
        with files.opened_folder(resolve(root, folder)) as descriptor:
            names = [name for name in files.names(descriptor) if name.endswith(".conf")]
    except OSError:
        return []
    return names[:_MOST_DROP_INS]


def _text(root: str, path: str) -> str:
    try:
        parent, _, name = resolve(root, path).rpartition("/")
        with files.opened_folder(parent or "/") as descriptor:
            return files.read_file(descriptor, name, _LIMIT).decode("utf-8", "replace")
    except (OSError, files.UnreadableError):
        return ""
