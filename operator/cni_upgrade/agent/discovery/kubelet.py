"""Asks the kubelet's own arguments whether a node's pods get their network from CNI at all.

Only dockershim and cri-dockerd can do without (`--network-plugin`, gone from the kubelet in 1.24):
every runtime with a CRI of its own uses CNI, whatever the kubelet is told.
"""

import re
from collections.abc import Iterator

from cni_upgrade.agent.discovery import systemd_units, unit_files

_FILES = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
    "/etc/kubernetes/kubelet.env",
)
_CRI_DOCKERD = ("cri-docker.service", "cri-dockerd.service")
_FLAG = re.compile(r"--network-plugin[= ][\"']?(kubenet|noop|cni)\b")
_DEFAULT = "cni"
"""Of cri-dockerd (`cmd/cri/options/options.go`), whatever the kubelet beside it was once told."""


def network_without_cni(root: str, runtime: str) -> str | None:
    """What gives pods their network in place of CNI, and the file that says so; None where nothing
    says so, or two places differ. Raises nothing: what cannot be read tells nothing."""
    if not runtime.startswith("docker://"):
        return None
    said = {
        path: found[-1]
        for path in _places(root)
        if (found := _FLAG.findall(unit_files.uncommented(unit_files.text(root, path))))
    }
    try:
        said.update(_of_cri_dockerd(root))
    except unit_files.UnitError:
        return None
    path, plugin = next(iter(said.items()), ("", "cni"))
    if plugin == "cni" or set(said.values()) != {plugin}:
        return None
    return f"--network-plugin={plugin} in {path}"


def _places(root: str) -> Iterator[str]:
    yield from _FILES
    yield from unit_files.places(root, "kubelet.service")


def _of_cri_dockerd(root: str) -> Iterator[tuple[str, str]]:
    """What each unit of its starts it with. Raises UnitError."""
    for unit in _CRI_DOCKERD:
        process = systemd_units.started(root, unit)
        if process.words:
            found = _FLAG.findall(" ".join(process.words))
            yield process.place, found[-1] if found else _DEFAULT
