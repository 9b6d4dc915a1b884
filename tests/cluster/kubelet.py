"""A node's kubelet and kube-proxy: who they are to the API server, and how they are started."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import pki

STATIC_PODS = "/etc/kubernetes/manifests"
"""Where a kubelet looks for pods that no API server has given it."""


@dataclass(frozen=True)
class Kubelet:
    """The kubelet of one node, and the kube-proxy beside it."""

    node: str
    address: str
    socket: str
    """Where the runtime serves the CRI."""
    cgroup: str
    """The name of the node's branch in each cgroup hierarchy."""
    folder: Path
    """Where the certificates and the configuration lie, seen from this machine."""
    seen_at: str
    """The same folder as the node sees it."""

    def write(self, issue_from: Path, server: str) -> None:
        """Write who the node is to the API server, and the kubelet's config."""
        node = pki.issue(
            issue_from,
            self.node,
            user=f"system:node:{self.node}",
            group="system:nodes",
            hosts=[f"DNS:{self.node}", f"IP:{self.address}"],
        )
        proxy = pki.issue(issue_from, "kube-proxy", user="system:kube-proxy")
        ca = pki.authority(issue_from)
        self.folder.mkdir(exist_ok=True, mode=0o700)
        for source, name in (
            (ca.certificate, "ca.crt"),
            (node.certificate, "kubelet.crt"),
            (node.key, "kubelet.key"),
        ):
            shutil.copyfile(source, self.folder / name)
        pki.kubeconfig(self.folder / "kubelet.kubeconfig", server=server, ca=ca, pair=node)
        pki.kubeconfig(self.folder / "kube-proxy.kubeconfig", server=server, ca=ca, pair=proxy)
        (self.folder / "kubelet.json").write_text(json.dumps(self._config(), indent=2))

    def _config(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{self.seen_at}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{self.seen_at}/kubelet.crt",
            "tlsPrivateKeyFile": f"{self.seen_at}/kubelet.key",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            # No DNS is run here; without an address, each pod gets a warning about that.
            "clusterDNS": ["10.96.0.10"],
            "clusterDomain": "cluster.local",
            "failSwapOn": False,
            "staticPodPath": STATIC_PODS,
            "healthzPort": 0,
            # The disk is shared with everything else on this machine: a full one elsewhere must
            # not evict pods or collect images here.
            "evictionHard": {
                "imagefs.available": "1%",
                "memory.available": "50Mi",
                "nodefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "nodeStatusUpdateFrequency": "5s",
        }

    def argv(self) -> list[str]:
        """Answer how the kubelet is started."""
        return [
            "kubelet",
            f"--config={self.seen_at}/kubelet.json",
            f"--kubeconfig={self.seen_at}/kubelet.kubeconfig",
            f"--hostname-override={self.node}",
            f"--node-ip={self.address}",
        ]

    def proxy_argv(self) -> list[str]:
        """Answer how the kube-proxy is started."""
        return [
            "kube-proxy",
            f"--kubeconfig={self.seen_at}/kube-proxy.kubeconfig",
            f"--hostname-override={self.node}",
            "--proxy-mode=nftables",
            # The connection table's size is the machine's, and not to be set from a namespace.
            "--conntrack-max-per-core=0",
        ]
