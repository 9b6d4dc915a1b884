"""The API server as the kubelet of one node: a certificate of its own, no impersonation."""

from tests.api.server import Server
from tests.cluster import pki
from tests.cluster.control import ControlPlane


def kubelet(plane: ControlPlane, node: str) -> Server:
    """What the Node authorizer and NodeRestriction leave the kubelet of that node."""
    user = f"system:node:{node}"
    pair = pki.issue(plane.pki, f"kubelet-{node}", user=user, group="system:nodes")
    path = plane.folder / f"kubelet-{node}.kubeconfig"
    pki.kubeconfig(path, server=plane.url, ca=pki.authority(plane.pki), pair=pair)
    return Server(path)
