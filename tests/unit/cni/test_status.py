"""STATUS, which came with 1.1.0, and on which the readiness of a node hangs."""

import pytest

from cni_upgrade.cni import runtimes, status
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.verdict import Target
from tests.unit.cni import samples
from tests.unit.cni.judged import NEW, codes, node


@pytest.mark.parametrize(
    ("runtime", "asks"),
    [
        ("containerd://1.7.29", False),
        ("containerd://2.0.0", False),
        ("containerd://2.0.1", True),
        ("containerd://2.4.2", True),
        ("containerd://2.2.0-k3s1", None),
        ("cri-o://1.30.1", False),
        ("cri-o://1.31.0", None),
        ("cri-o://1.33.2", None),
        ("cri-o://1.34.0", True),
    ],
)
def test_who_asks(runtime: str, asks: bool | None) -> None:
    known = runtimes.lookup(runtime)
    assert status.asked(known, "1.1.0") is asks
    assert status.asked(known, "1.0.0") is False
    assert status.asked(known, None) is False


@pytest.mark.parametrize(
    ("name", "first", "last", "begins"),
    [
        ("containerd", "1.7.0", "1.7", None),
        ("containerd", "2.0.0", "2.0", "2.0.1"),
        ("containerd", "2.0.0", "2.0.0", None),
        ("containerd", "2.1.3", "2.3", "2.1.3"),
        ("cri-o", "1.24.0", "1.24.1", None),
        ("cri-o", "1.25.0", "1.30", "1.30.2"),
        ("cri-o", "1.31.0", "1.32", "1.31.0"),
    ],
)
def test_which_of_a_run_of_releases_may_ask_first(
    name: str, first: str, last: str, begins: str | None
) -> None:
    assert status.begins(name, first, last) == begins


def test_a_rewrite_that_begins_to_ask_says_so() -> None:
    found = node("containerd://2.1.3", "1.0.0", NEW, target=Target("1.1.0"))
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.1.0")
    assert "StatusAsked" in codes(found, Severity.WARNING)
    said = next(each for each in found.findings if each.code == "StatusAsked")
    assert "containerd 2.1.3 asks STATUS of bridge, portmap, and" in said.message
    maybe = node("cri-o://1.32.0", "1.0.0", NEW, target=Target("1.1.0"))
    assert any("may ask STATUS" in each.message for each in maybe.findings)


def test_what_is_at_1_1_0_already_is_told_it_without_alarm() -> None:
    found = node("containerd://2.1.3", "1.1.0", NEW, target=Target("1.1.0"))
    assert (found.verdict, codes(found, Severity.INFO)) == ("Compatible", ["StatusAsked"])
    assert codes(node("containerd://2.1.3", "1.1.0", NEW), Severity.WARNING) == []


def test_a_plugin_that_does_not_know_it_keeps_the_version_down() -> None:
    held = samples.plugins("1.1.0", portmap="1.0.0")
    found = node("containerd://2.1.3", "0.4.0", held, target=Target("1.1.0"))
    assert (found.files[0].to, "StatusAsked" in codes(found)) == ("1.0.0", False)
    lowered = node("containerd://2.1.3", "1.1.0", held, target=Target("1.1.0"))
    assert (lowered.files[0].to, codes(lowered, Severity.FAULT)) == ("1.0.0", ["F2"])
    assert "StatusAsked" not in codes(lowered)
