"""A node of dockershim may do without CNI; every other one uses it, whatever a stray flag says."""

from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.discovery.kubelet import network_without_cni
from cni_upgrade.agent.protocol.operation import Verdict
from tests.unit.agent.host import Host, report

KUBEADM = "var/lib/kubelet/kubeadm-flags.env"
DROP_INS = "etc/systemd/system/kubelet.service.d"


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('KUBELET_KUBEADM_ARGS="--network-plugin=kubenet --x=y"', "--network-plugin=kubenet in "),
        ('KUBELET_KUBEADM_ARGS="--network-plugin noop"', "--network-plugin=noop in "),
        ('KUBELET_KUBEADM_ARGS="--network-plugin=kubenet --network-plugin=cni"', None),
        ('KUBELET_KUBEADM_ARGS="--network-plugin=cni"', None),
        ('KUBELET_KUBEADM_ARGS="--network-plugin-mtu=1500"', None),
        ('# "--network-plugin=kubenet" until 1.22\nKUBELET_KUBEADM_ARGS=""', None),
        (" ;ExecStart=kubelet --network-plugin=kubenet", None),
        ("", None),
    ],
)
def test_the_flag(tmp_path: Path, text: str, expected: str | None) -> None:
    put(tmp_path, KUBEADM, text)
    said = network_without_cni(str(tmp_path), "docker://20.10.7")
    assert said == (expected and f"{expected}/{KUBEADM}")
    assert network_without_cni(str(tmp_path), "containerd://1.6.2") is None


def test_two_places_that_differ_are_not_known(tmp_path: Path) -> None:
    put(tmp_path, f"{DROP_INS}/10-a.conf", "ExecStart=kubelet --network-plugin=kubenet")
    put(tmp_path, f"{DROP_INS}/20-b.conf", "ExecStart=kubelet --network-plugin=cni")
    assert network_without_cni(str(tmp_path), "docker://20.10.7") is None
    (tmp_path / DROP_INS / "20-b.conf").rename(tmp_path / DROP_INS / "20-b.bak")
    said = network_without_cni(str(tmp_path), "docker://20.10.7")
    assert said == f"--network-plugin=kubenet in /{DROP_INS}/10-a.conf"


UNIT = "usr/lib/systemd/system/cri-docker.service"


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("", None),
        ("--network-plugin=cni", None),
        ("--network-plugin=", None),
        ("$ARGS", f"--network-plugin=kubenet in /{KUBEADM}"),
        ("--network-plugin=kubenet", f"--network-plugin=kubenet in /{KUBEADM}"),
        ("--network-plugin '", None),
    ],
)
def test_cri_dockerd_goes_by_its_own_flag(tmp_path: Path, flag: str, expected: str | None) -> None:
    """The kubelet's is one of before 1.24, which is no more read and still stands there."""
    put(tmp_path, KUBEADM, "--network-plugin=kubenet")
    started = f"ExecStart=/usr/bin/cri-dockerd --container-runtime-endpoint fd:// {flag}"
    put(tmp_path, UNIT, f"[Service]\nEnvironment=ARGS=--network-plugin=kubenet\n{started}\n")
    assert network_without_cni(str(tmp_path), "docker://24.0.7") == expected


def test_cri_dockerd_alone(tmp_path: Path) -> None:
    put(tmp_path, UNIT, "[Service]\nExecStart=cri-dockerd --network-plugin noop\n")
    said = network_without_cni(str(tmp_path), "docker://24.0.7")
    assert said == f"--network-plugin=noop in /{UNIT}"


def test_what_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    put(tmp_path, KUBEADM, "--network-plugin=kubenet" + " " * (1 << 16))
    (tmp_path / "etc/default").mkdir(parents=True)
    (tmp_path / "etc/default/kubelet").symlink_to("kubelet")
    assert network_without_cni(str(tmp_path), "docker://20.10.7") is None


def test_the_audit_of_such_a_node(tmp_path: Path) -> None:
    host = Host(tmp_path / "host", runtime="docker://20.10.7")
    put(host.root, KUBEADM, '"--network-plugin=kubenet"')
    host.conf.rmdir()
    seen = report(run(host.audit()))
    assert seen.verdict is Verdict.NOT_CNI
    today, then = seen.findings
    assert today.code == "NotCni", "the folder does not matter"
    assert (then.code, then.severity) == ("RuntimeMove", "Info"), "and does where there is only CNI"
    assert ": NoConfig: " in then.message
    assert str(seen.after.why).endswith(f"--network-plugin=kubenet in /{KUBEADM}")
