"""Known writers are known, and a plain bridge is nobody's."""

import pytest

from cni_upgrade.cni import config, managed, sources
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
        ("00-multus.conf", b'{"name": "n", "type": "multus-shim"}', "multus-thick"),
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
    configmaps = [each for each in sources.KNOWN if each.writer == writer]
    assert found.source_of_truth
    assert all(each.place in found.source_of_truth for each in configmaps)
    assert all(each.key in found.source_of_truth for each in configmaps)
    assert str(found).startswith(f"{writer}: ")


@pytest.mark.parametrize(
    "name", ["10-containerd-net.conflist", "10-flannel.conflist", "10-calico.conflist"]
)
def test_a_plain_bridge_is_nobodys_whatever_its_file_is_called(name: str) -> None:
    assert managed.writer(config.read(name, samples.bridge())) is None


def test_a_file_leads_to_its_configmap() -> None:
    read = config.read("05-mine.conflist", samples.FLANNEL.encode())
    managed_by = str(managed.writer(read))
    found = [each.place for each in sources.KNOWN if each.writes(read.name, managed_by)]
    assert found == ["kube-flannel/kube-flannel-cfg", "kube-system/kube-flannel-cfg"]
    assert [s.name for s in sources.KNOWN if s.writes("70-multus.conf", None)] == [
        "multus-cni-config"
    ]
    thin = "multus: the multus DaemonSet (flag --cni-version)"
    assert not [each for each in sources.KNOWN if each.writes("00-multus.conf", thin)]
    assert not [each for each in sources.KNOWN if each.writes("10-x.conflist", None)]


def test_every_writer_of_the_table_is_known_on_nodes() -> None:
    writers = {each.writer for each in sources.KNOWN} - {""}
    assert writers <= {mark.writer.name for mark in managed._MARKS}
    with pytest.raises(LookupError, match="cilium"):
        sources.named("cilium")
