"""Known writers are known, and a plain bridge is nobody's."""

import pytest

from cni_upgrade.cni import config, managed
from tests.unit.cni import samples


def one(kind: str, network: str = "net") -> bytes:
    return f'{{"name": "{network}", "plugins": [{{"type": "{kind}"}}]}}'.encode()


@pytest.mark.parametrize(
    ("name", "data", "writer"),
    [
        ("10-flannel.conflist", samples.FLANNEL.encode(), "flannel"),
        ("10-calico.conflist", samples.CALICO.encode(), "calico"),
        ("10-canal.conflist", samples.CALICO.encode(), "canal"),
        ("00-multus.conf", samples.MULTUS.encode(), "multus"),
        ("00-multus.conf", b'{"name": "n", "type": "multus-shim"}', "multus"),
        ("05-cilium.conflist", one("cilium-cni"), "cilium"),
        ("10-aws.conflist", one("aws-cni"), "aws-cni"),
        ("10-antrea.conflist", one("antrea"), "antrea"),
        ("10-azure.conflist", one("azure-vnet"), "azure"),
        ("10-kuberouter.conflist", samples.bridge(), "kube-router"),
        ("10-weave.conflist", one("weave-net"), "weave"),
        ("10-kindnet.conflist", one("ptp", "kindnet"), "kindnet"),
        ("10-ovn-kubernetes.conf", b'{"type": "ovn-k8s-cni-overlay"}', "ovn-kubernetes"),
    ],
)
def test_known_writers(name: str, data: bytes, writer: str) -> None:
    found = managed.writer(config.read(name, data))
    assert found is not None
    assert found.name == writer
    assert found.source_of_truth
    assert str(found).startswith(f"{writer}: ")


@pytest.mark.parametrize(
    "name", ["10-containerd-net.conflist", "10-flannel.conflist", "10-calico.conflist"]
)
def test_a_plain_bridge_is_nobodys_whatever_its_file_is_called(name: str) -> None:
    assert managed.writer(config.read(name, samples.bridge())) is None
