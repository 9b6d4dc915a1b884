"""What a move to a newer runtime would break."""

from dataclasses import replace

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Facts, Sandbox, Support
from cni_upgrade.cni.readiness import UnknownRuntimeError, readiness
from tests.unit.cni import samples


def facts(version: str | None, plugins: str = "1.1.0", **others: str) -> Facts:
    read = config.read("10-a.conflist", samples.bridge(version))
    return Facts("containerd://1.5.8", [read], samples.plugins(plugins, **others))


@pytest.mark.parametrize("wanted", ["containerd>=1.6", "containerd>=2.0", "cri-o >= 1.24"])
def test_an_old_version_with_new_plugins_is_ready(wanted: str) -> None:
    for version in ("0.3.1", "0.4.0"):
        assert readiness(facts(version), wanted).ready is True


def test_a_missing_version_breaks_where_f1_is() -> None:
    found = readiness(facts(None), "containerd>=1.6")
    assert found.ready is False
    assert [obstacle.releases for obstacle in found.obstacles] == [
        "containerd 1.6.0 to 1.6.2",
        "containerd 1.6.3",
    ]
    assert all(obstacle.why.startswith("F1: ") for obstacle in found.obstacles)
    assert readiness(facts(None), "containerd>=1.6.4").ready is True


def test_an_old_loopback_breaks_1_6_3_alone() -> None:
    found = readiness(facts("0.4.0", loopback="0.4.0"), "containerd>=1.6")
    assert [obstacle.releases for obstacle in found.obstacles] == ["containerd 1.6.3"]
    assert readiness(facts("0.4.0", loopback="0.4.0"), "containerd>=1.7").ready is True


def test_1_1_0_breaks_below_2_0() -> None:
    found = readiness(facts("1.1.0"), "containerd>=1.7")
    assert [obstacle.releases for obstacle in found.obstacles] == ["containerd 1.7.0 to 1.7"]


def test_running_pods_count() -> None:
    pods = [Sandbox("containerd-net", "c", "eth0", "0.4.0")]
    read = config.read("10-a.conflist", samples.bridge("1.0.0"))
    known = Facts("containerd://1.6.2", [read], samples.plugins("1.1.0"), pods)
    assert readiness(known, "containerd>=1.6").ready is True
    assert readiness(known, "containerd>=1.5").ready is False


def test_what_is_not_known_is_not_ready() -> None:
    read = config.read("10-a.conflist", samples.bridge("0.4.0"))
    assert readiness(Facts("containerd://1.5.8", [read], {}), "containerd>=2.0").ready is None


def test_a_loopback_that_does_not_answer_is_not_known_to_be_ready() -> None:
    read = config.read("10-a.conflist", samples.bridge("0.4.0"))
    plugins = {**samples.plugins("1.1.0"), "loopback": Support("loopback")}
    known = Facts("containerd://1.5.8", [read], plugins)
    assert readiness(known, "containerd>=2.0").ready is None
    assert readiness(known, "cri-o>=1.24").ready is True


@pytest.mark.parametrize("wanted", ["containerd>=1.6", "cri-o>=1.24"])
def test_a_node_without_cni_is_judged_by_what_its_folder_holds(wanted: str) -> None:
    """Neither runtime knows another network than CNI's."""
    instead = "--network-plugin=kubenet in /etc/default/kubelet"
    kubenet = Facts("docker://20.10.7", (), {}, without_cni=instead)
    none = readiness(kubenet, wanted)
    assert none.ready is False
    assert all(each.why.startswith("NoConfig: ") for each in none.obstacles)
    read = config.read("10-a.conflist", samples.bridge("0.4.0"))
    installed = replace(kubenet, configs=[read], plugins=samples.plugins("1.1.0"))
    assert readiness(installed, wanted).ready is True
    faulty = replace(installed, configs=[config.read("10-a.conflist", b"{")])
    assert readiness(faulty, wanted).ready is False


@pytest.mark.parametrize("wanted", ["docker>=20", "containerd", "containerd>=x", "containerd>=9.0"])
def test_other_wishes_are_errors(wanted: str) -> None:
    with pytest.raises(UnknownRuntimeError):
        readiness(facts("1.0.0"), wanted)
