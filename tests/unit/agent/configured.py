"""Runtimes that have a configuration on a host, and where on it their files stand."""

from dataclasses import replace
from pathlib import Path

from cni_upgrade.agent.discovery import runtime_config
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.runtime_config import Stated

V2 = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\n'
V3 = 'version = 3\n[plugins."io.containerd.cri.v1.runtime".cni]\nconf_dir = "/c"\n'
ETC_CNI = '[crio.network]\nnetwork_dir = "/etc/cni/net.d"\n'
ETC = "etc/containerd/config.toml"
K3S = "var/lib/rancher/k3s/agent/etc/containerd/config.toml"
K3S_CONF = "/var/lib/rancher/k3s/agent/etc/cni/net.d"
UNIT = "usr/lib/systemd/system/containerd.service"
CRIO_UNIT = "usr/lib/systemd/system/crio.service"
CRIO_DROP_IN = "usr/lib/systemd/system/crio.service.d/10-crio.conf"
DEFAULT = Stated("containerd", "/etc/cni/net.d", ("/opt/cni/bin",), ("configs", "plugins"))
NO_BINS = replace(DEFAULT, defaults=("plugins",))


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def wrong(root: Path, runtime: str = "containerd://1.6.2") -> str:
    """The one finding's text, of a configuration that is not to be relied on."""
    found = runtime_config.read(str(root), runtime)
    assert (found.stated, found.findings) == (None, ())
    assert found.elsewhere is not None
    assert (str(found.elsewhere.code), found.elsewhere.severity) == (
        "RuntimeConfig",
        Severity.FAULT,
    )
    return found.elsewhere.message
