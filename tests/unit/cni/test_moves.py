"""What breaks on a move to a newer runtime is said without being asked for."""

from collections.abc import Mapping

import pytest

from cni_upgrade.cni import config, moves
from cni_upgrade.cni.facts import Facts, Support, Target
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.verdict import judge
from tests.unit.cni import samples

NEW = samples.plugins("1.1.0")


def told(
    runtime: str,
    version: str | None,
    plugins: Mapping[str, Support] = NEW,
    without_cni: str | None = None,
    data: bytes | None = None,
) -> list[str]:
    read = config.read("10-a.conflist", data or samples.bridge(version))
    facts = Facts(runtime, [read], plugins, without_cni=without_cni)
    found = list(moves.breaks(facts, judge(facts, Target())))
    assert all(each.code == "RuntimeMove" and each.severity == Severity.INFO for each in found)
    return [each.message for each in found]


def weave(version: str) -> bytes:
    text = f'{{"cniVersion": "{version}", "name": "w", "plugins": [{{"type": "weave-net"}}]}}'
    return text.encode()


WEAVE = {**NEW, "weave-net": Support.told("weave-net", samples.supports("1.0.0"))}


def test_what_breaks_in_the_releases_between() -> None:
    [f3] = told("containerd://1.5.8", None, WEAVE, data=weave("0.3.1"))
    assert f3.startswith("under containerd 1.6.0 to 1.6.2, containerd 1.6.3, containerd 1.6.4: F3:")
    [loopback] = told(
        "containerd://1.6.2", "1.0.0", {**NEW, **samples.plugins("1.1.0", loopback="0.4.0")}
    )
    assert loopback.startswith("under containerd 1.6.3: Loopback: ")


def test_what_breaks_under_2_0() -> None:
    """libcni 1.2 reads cniVersions, and refuses the whole file for a bad one."""
    data = samples.bridge("1.0.0").replace(b"{", b'{"cniVersions": [1],', 1)
    [found] = told("containerd://1.7.2", None, data=data)
    assert found.startswith("under containerd 2.0.0 to 2.0, containerd 2.1.0 to ")
    assert ": BadVersion: " in found


def test_crio_and_docker() -> None:
    [crio] = told("cri-o://1.22.0", None, WEAVE, data=weave("0.3.1"))
    assert crio.startswith("under cri-o 1.24.0 to 1.24.1: F3: ")
    docker = told("docker://20.10.7", None)
    assert [each.partition(": ")[2][:3] for each in docker] == ["F1:"]
    kubenet = told("docker://20.10.7", None, without_cni="kubenet", data=b"{")
    assert any("Unparsable: " in each for each in kubenet)


@pytest.mark.parametrize(
    ("runtime", "version", "plugins"),
    [
        ("containerd://1.5.8", "0.4.0", NEW),
        ("containerd://1.6.2", None, NEW),  # it is broken already
        ("containerd://1.6.4", None, NEW),  # those that would fail lie behind it
        ("containerd://2.4.2", "1.1.0", NEW),
        ("containerd://1.5.8", "0.4.0", {}),  # not known is no finding of a move
        ("containerd://9.9.9", None, NEW),
        ("cri-o://1.36.0", "1.0.0", NEW),
        ("", None, NEW),
    ],
)
def test_nothing_is_said_where_nothing_more_breaks(
    runtime: str, version: str | None, plugins: Mapping[str, Support]
) -> None:
    assert told(runtime, version, plugins) == []


def test_a_thousand_files_are_not_read_again() -> None:
    files = [config.read(f"{place:04}.conflist", samples.bridge("0.4.0")) for place in range(100)]
    facts = Facts("containerd://1.5.8", files, NEW)
    assert len(moves._few(facts, judge(facts, Target()))) == 17
