"""The table of runtimes, release by release, and what is not in it."""

import re
from pathlib import Path

import pytest

from cni_upgrade.cni.facts import Facts
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.readiness import UnknownRuntimeError, readiness
from cni_upgrade.cni.remarks import runtime_findings
from cni_upgrade.cni.runtime_config import release
from cni_upgrade.cni.runtimes import TABLE, later, lookup, reads

COMPONENTS = Path(__file__).parents[2] / "cluster/components"
RECORD = Path(__file__).with_name("runtime_modules.txt")
RECORDED = [
    (f"{name}://{version}", libcni)
    for name, version, libcni, _, _ in (
        line.split() for line in RECORD.read_text().splitlines() if not line.startswith("#")
    )
]


@pytest.mark.parametrize(
    ("runtime", "libcni", "highest", "f1", "f3"),
    [
        ("containerd://1.4.13", "0.8.0", "0.4.0", True, False),
        ("containerd://1.5.18", "0.8.1", "0.4.0", True, False),
        ("containerd://1.6.0", "1.0.1", "1.0.0", True, True),
        ("containerd://1.6.2", "1.0.1", "1.0.0", True, True),
        ("containerd://1.6.3", "1.0.1", "1.0.0", True, True),
        ("containerd://1.6.4", "1.1.0", "1.0.0", False, True),
        ("containerd://1.6.5", "1.1.1", "1.0.0", False, False),
        ("containerd://1.6.38", "1.1.1", "1.0.0", False, False),
        ("containerd://1.7.29", "1.1.2", "1.0.0", False, False),
        ("containerd://2.0.5", "1.2.3", "1.1.0", False, False),
        ("containerd://2.1.0", "1.3.0", "1.1.0", False, False),
        ("containerd://2.3.0", "1.3.0", "1.1.0", False, False),
        ("containerd://2.4.2", "1.3.1", "1.1.0", False, False),
        ("cri-o://1.20.7", "0.8.0", "0.4.0", True, False),
        ("cri-o://1.22.0", "0.8.1", "0.4.0", True, False),
        ("cri-o://1.23.0", "1.0.1", "1.0.0", True, True),
        ("cri-o://1.24.0", "1.1.0", "1.0.0", False, True),
        ("cri-o://1.24.1", "1.1.0", "1.0.0", False, True),
        ("cri-o://1.24.6", "1.1.1", "1.0.0", False, False),
        ("cri-o://1.30.1", "1.1.2", "1.0.0", False, False),
        ("cri-o://1.31.0", "1.2.3", "1.1.0", False, False),
        ("cri-o://1.36.0", "1.3.0", "1.1.0", False, False),
    ],
)
def test_known_releases(runtime: str, libcni: str, highest: str, f1: bool, f3: bool) -> None:
    found = lookup(runtime)
    assert (found.libcni, found.max, found.f1, found.f3) == (libcni, highest, f1, f3)
    assert found.deletes_with == ("cached" if runtime.startswith("cri-o") else "current")


@pytest.mark.parametrize(
    "runtime",
    [
        "containerd://2.5.0",
        "containerd://3.0.0",
        "containerd://1.3.9",
        "containerd://1.8.0",
        "cri-o://1.37.0",
        "cri-o://1.19.0",
        "docker://20.10.7",
        "containerd://1.6",
        "containerd://1.6.2.3",
        "containerd://1.6.x",
        "containerd://unknown",
        "containerd://1..2",
        "containerd",
        "",
    ],
)
def test_what_is_not_known_is_not_assumed(runtime: str) -> None:
    found = lookup(runtime)
    assert (found.libcni, found.max, found.deletes_with, found.loopback_at) == (None,) * 4
    assert not found.f1
    assert not found.f3


@pytest.mark.parametrize(
    ("suffixed", "plain"),
    [
        ("containerd://1.6.20~ds1", "containerd://1.6.20"),
        ("containerd://1.6.20~ds1-1+b1", "containerd://1.6.20"),
        ("containerd://v1.7.2-k3s1", "containerd://1.7.2"),
        ("containerd://1.7.12-0ubuntu4", "containerd://1.7.12"),
        ("containerd://1.7.15-1", "containerd://1.7.15"),
        ("containerd://2.0.5+unknown", "containerd://2.0.5"),
        ("cri-o://1.23.0-6.rhaos4.10.git3c4e50c.el8", "cri-o://1.23.0"),
    ],
)
def test_a_suffix_names_a_build_of_the_release(suffixed: str, plain: str) -> None:
    """Which is an assumption, and said."""
    assert lookup(suffixed).libcni == lookup(plain).libcni
    assert lookup(suffixed).libcni is not None
    assert lookup(plain).assumed is None
    version, release = suffixed.partition("://")[2], plain.replace("://", " ")
    assert lookup(suffixed).assumed == f"{version} is a build of {release} and carries its libcni"
    (finding,) = runtime_findings(lookup(suffixed))
    assert (str(finding.code), finding.severity) == ("RuntimeAssumed", Severity.INFO)


@pytest.mark.parametrize(
    "version",
    [
        *("2.1.0-alpha.1", "2.1.0-beta.0", "2.1.0-rc.1", "1.6.2-rc1", "1.24.0-dev", "2.1.0-RC.1"),
        *("1.7.0~rc1~ds1", "1.7.0~beta.3", "2.1.0-rc.1+unknown", "1.7.0-45-g1d2e3f4"),
        *("2.1.0-something", "2.1.0_1", "2.1.0 "),
    ],
)
def test_a_pre_release_is_not_the_release(version: str) -> None:
    """containerd 2.0.0-beta.0 carries libcni 1.1.2, which reads 1.0.0 at most, and 2.0.0 1.2.3."""
    for name in ("containerd", "cri-o"):
        found = lookup(f"{name}://{version}")
        assert (found.libcni, found.max, found.assumed) == (None, None, None)
        assert [str(each.code) for each in runtime_findings(found)] == ["RuntimeUnknown"]


def test_a_patch_release_that_nobody_has_looked_at() -> None:
    said = lookup("containerd://2.1.99-k3s1").assumed
    assert said == (
        "2.1.99-k3s1 is a build of containerd 2.1.99 and carries its libcni; containerd 2.1.99 "
        "still carries the libcni of 2.1.9, the last of its line that was looked at"
    )
    assert lookup("containerd://2.1.4").assumed is None


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        ("1.31.4", "cri-o 1.31.4 carries libcni 1.2.3; no release of 1.31 was looked at"),
        ("1.24.6", "cri-o 1.24.6 carries libcni 1.1.1; no release of 1.24 from 1.24.2 on was "),
    ],
)
def test_a_line_that_nobody_has_looked_at_is_warned_of(runtime: str, said: str) -> None:
    (finding,) = runtime_findings(lookup(f"cri-o://{runtime}"))
    assert (str(finding.code), finding.severity) == ("RuntimeAssumed", Severity.WARNING)
    assert said in finding.message
    assert "--libcni" in finding.action
    (known,) = runtime_findings(lookup(f"cri-o://{runtime}", "1.2.3"))
    assert known.severity is Severity.INFO, "somebody has looked at it"


def test_a_release_before_the_first_that_was_looked_at() -> None:
    assert lookup("cri-o://1.35.0").assumed == (
        "cri-o 1.35.0 carries the libcni of 1.35.2 already, the first of its line that was "
        "looked at"
    )
    assert [lookup(f"cri-o://{each}").assumed for each in ("1.28.0", "1.34.0")] == [None, None]


@pytest.mark.parametrize(("runtime", "libcni"), RECORDED)
def test_what_a_release_says_of_itself(runtime: str, libcni: str) -> None:
    assert (lookup(runtime).libcni, lookup(runtime).assumed) == (libcni, None)


def test_the_table_names_what_is_on_record_and_nothing_else() -> None:
    named = [f"{row.name}://{'.'.join(map(str, release))}" for row in TABLE for release in row.read]
    assert named == [runtime for runtime, _ in RECORDED]
    for row in TABLE:
        assert all(row.first <= each <= row.last for each in row.read), row


@pytest.mark.parametrize(
    ("component", "runtime"),
    [
        ("containerd-1.6.2", "containerd://1.6.2"),
        ("containerd-1.6.38", "containerd://1.6.38"),
        ("containerd-2.4.2", "containerd://2.4.2"),
        ("crio-1.23.0", "cri-o://1.23.0"),
    ],
)
def test_the_runtimes_that_are_built_here_agree(component: str, runtime: str) -> None:
    """Their go.mod names the libcni that is linked into them."""
    text = (COMPONENTS / component / "go.mod").read_text()
    (linked,) = re.findall(r"containernetworking/cni v(\S+)", text)
    assert lookup(runtime).libcni == linked


def test_only_containerd_1_6_3_runs_loopback_at_1_0_0() -> None:
    assert lookup("containerd://1.6.3").loopback_at == "1.0.0"
    for other in ("1.5.0", "1.6.2", "1.6.4", "1.7.0", "2.4.2"):
        assert lookup(f"containerd://{other}").loopback_at == "0.3.1"
    assert lookup("cri-o://1.30.0").loopback_at is None


def test_what_somebody_says_of_a_runtime() -> None:
    found = lookup("containerd://2.9.0-rc.1", "1.3.1")
    assert (found.libcni, found.max, found.deletes_with) == ("1.3.1", "1.1.0", "current")
    assert found.loopback_at == "0.3.1"
    assert str(found.assumed).startswith("containerd 2.9.0-rc.1 carries libcni 1.3.1")
    assert lookup("cri-o://1.99.0", "1.2.3").deletes_with == "cached"
    assert lookup("containerd://1.6.3", "1.1.1").loopback_at == "1.0.0"
    assert lookup("docker://20.10.7", "1.0.1").libcni is None
    assert [reads(each) for each in ("1.3.1", "1.4.0", "1.3", "1.3.x", "")] == [True, *[False] * 4]


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 19, "²", "٣", ""])
def test_what_is_no_number_of_a_release_is_unknown(number: str) -> None:
    """A node names its runtime as it likes, and a policy looks at all of its nodes."""
    for version in (f"{number}.6.2", f"1.{number}.2", f"1.6.{number}"):
        assert lookup(f"containerd://{version}").libcni is None
        assert not reads(version)
        assert later("containerd", (1, 7, 0), f"containerd://{version}") is False
    assert release(f"1.{number}") is None
    with pytest.raises(UnknownRuntimeError):
        readiness(Facts("containerd://1.6.2", (), {}), f"containerd>={number}.6")
