"""Known writers are known, and a plain bridge is nobody's."""

import json
from collections.abc import Mapping

import pytest

from cni_upgrade.cni import config, managed, sources
from tests.unit.cni import samples


def one(kind: str, network: str = "net") -> bytes:
    return f'{{"name": "{network}", "plugins": [{{"type": "{kind}"}}]}}'.encode()


def many(network: str, *plugins: Mapping[str, object]) -> bytes:
    return json.dumps({"cniVersion": "0.3.1", "name": network, "plugins": plugins}).encode()


def alone(network: str, kind: str) -> bytes:
    return json.dumps({"cniVersion": "0.3.1", "name": network, "type": kind}).encode()


PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
AGENTS = {"type": "cilium-cni", "enable-debug": False, "log-file": "/var/run/cilium/cilium-cni.log"}
NETD = {"type": "ptp", "mtu": 1460, "ipam": {"type": "host-local"}}
AZURE = {"type": "azure-vnet", "mode": "transparent", "ipam": {"type": "azure-cns"}}
LEGACY_AZURE = {"type": "azure-vnet", "mode": "transparent", "ipam": {"type": "azure-vnet-ipam"}}
CALICO = {"type": "calico", "ipam": {"type": "calico-ipam"}}
MINIKUBE = ({"type": "bridge", "ipam": {"type": "host-local"}}, PORTMAP, {"type": "firewall"})
AWS = {"name": "aws-cni", "type": "aws-cni"}


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
        # In the shape of what each project's installer writes; `managed` cites where that is read.
        ("01-kube-ovn.conflist", many("kube-ovn", {"type": "kube-ovn"}, PORTMAP), "kube-ovn"),
        ("kube-ovn.conflist", many("kube-ovn", {"type": "kube-ovn"}), "kube-ovn"),
        ("10-terway.conf", alone("terway", "terway"), "terway"),
        (
            "10-terway.conflist",
            many("terway-chainer", {"type": "terway"}, {"type": "cilium-cni"}),
            "terway-chainer",
        ),
        ("10-terway.conflist", many("terway-chainer", {"type": "terway"}), "terway-chainer"),
        ("80-openshift-network.conf", alone("openshift-sdn", "openshift-sdn"), "openshift-sdn"),
        ("YYY-istio-cni.conf", alone("istio-cni", "istio-cni"), "istio-cni"),
        ("02-istio-cni.conflist", many("net", CALICO, {"type": "istio-cni"}), "istio-cni"),
        ("10-calico.conflist", many("net", CALICO, {"type": "istio-cni"}), "calico"),
        ("10-gke-ptp.conflist", many("gke-pod-network", NETD, PORTMAP), "netd"),
        ("10-gke-ptp.conflist", many("gke-pod-network", NETD, AGENTS), "netd"),
        ("10-k8s-ptp.conflist", many("k8s-pod-network", NETD, PORTMAP), "netd"),
        ("1-k8s.conflist", many("bridge", *MINIKUBE), "minikube"),
        ("15-azure-swift-overlay.conflist", many("azure", AZURE, PORTMAP), "azure"),
        ("10-azure.conflist", many("azure", AZURE, {"type": "cilium-cni"}), "azure"),
        (
            "05-cilium.conflist",
            many("cilium", {**AGENTS, "ipam": {"type": "azure-ipam"}}),
            "azure",
        ),
        (
            "05-cilium.conflist",
            many("azure", LEGACY_AZURE, PORTMAP, {"name": "cilium", "type": "cilium-cni"}),
            "cilium-custom",
        ),
        (
            "05-cilium.conflist",
            many("generic-veth", CALICO, PORTMAP, {"type": "cilium-cni"}),
            "cilium-custom",
        ),
        (
            "05-cilium.conflist",
            many("generic-veth", {"type": "ptp"}, {**AGENTS, "chaining-mode": "generic-veth"}),
            "cilium-custom",
        ),
        ("05-cilium.conflist", many("aws-cni", AWS, PORTMAP, AGENTS), "cilium"),
        ("05-cilium.conflist", many("k8s-pod-network", CALICO, AGENTS), "cilium"),
        ("05-cilium.conflist", many("cilium", AGENTS), "cilium"),
        ("05-cilium.conflist", many("portmap", AGENTS, PORTMAP), "cilium"),
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
    ("name", "data"),
    [
        ("20-storage.conflist", many("s", {"type": "macvlan", "ipam": {"type": "kube-ovn"}})),
        ("10-net.conflist", many("bridge", *MINIKUBE)),
        ("1-k8s.conflist", many("mynet", {"type": "ptp"})),
        ("10-net.conflist", many("net", {"type": "ptp"}, {"type": "istio-cni"})),
        ("10-gke-ptp.conflist", many("mynet", {"type": "macvlan"})),
    ],
)
def test_what_only_looks_like_a_writers_file_is_nobodys(name: str, data: bytes) -> None:
    assert managed.writer(config.read(name, data)) is None


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


def test_a_version_that_terway_writes_itself_is_not_sought_in_its_configmap() -> None:
    """terway-cli takes the cniVersion of the ConfigMap out, so a patch there would do nothing."""
    read = config.read("10-terway.conflist", many("terway-chainer", {"type": "terway"}))
    managed_by = str(managed.writer(read))
    assert not [each for each in sources.KNOWN if each.writes(read.name, managed_by)]
    read = config.read("10-terway.conf", alone("terway", "terway"))
    managed_by = str(managed.writer(read))
    assert [each.place for each in sources.KNOWN if each.writes(read.name, managed_by)] == [
        "kube-system/eni-config"
    ]


def test_every_writer_of_the_table_is_known_on_nodes() -> None:
    writers = {each.writer for each in sources.KNOWN} - {""}
    assert writers <= {mark.writer.name for mark in managed._MARKS}
    with pytest.raises(LookupError, match="cilium"):
        sources.named("cilium")
