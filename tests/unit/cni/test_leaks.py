"""Whether the address of a pod whose deletion fails stays taken; tests/judge shows the same."""

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Facts, Support, Target
from cni_upgrade.cni.verdict import Judgement, Sandbox, judge
from tests.unit.cni import samples

RUNNING = [Sandbox("containerd-net", "c", "eth0", "1.0.0")]


def told(runtime: str, data: bytes, running: bool, **others: Support) -> Judgement:
    plugins = {**samples.plugins("1.1.0"), **others}
    read = config.read("10-a.conflist", data)
    return judge(Facts(runtime, [read], plugins, RUNNING if running else ()), Target())


def old(name: str) -> dict[str, Support]:
    return {name: Support.told(name, samples.supports("0.4.0"))}


def test_a_missing_version_keeps_every_address() -> None:
    found = told("containerd://1.6.2", samples.bridge(), running=False)
    assert (found.baseline.leaks, found.after.leaks, found.after.existing_leaks) == (
        True, False, False,
    )  # fmt: skip
    assert str(found.baseline.del_why).endswith("; its address stays taken")


@pytest.mark.parametrize(
    ("name", "fresh", "existing"),
    [("bridge", False, True), ("host-local", False, True), ("portmap", True, True)],
)
def test_it_matters_which_plugin_refuses(name: str, fresh: bool, existing: bool) -> None:
    """bridge comes before portmap on ADD, and after it on DEL."""
    for running, leaks in ((False, fresh), (True, existing)):
        found = told("containerd://1.7.2", samples.bridge("1.0.0"), running, **old(name))
        assert (found.baseline.del_, found.baseline.leaks) == (False, leaks)
        assert ("stays taken" in str(found.baseline.del_why)) == leaks


def test_a_plugin_before_the_one_with_the_address_refuses_once_it_is_given_back() -> None:
    first = b'"plugins": [{"type": "tuning"},'
    data = samples.bridge("1.0.0").replace(b'"plugins": [', first)
    found = told("containerd://1.7.2", data, running=True, **old("tuning"))
    assert (found.baseline.del_, found.baseline.leaks) == (False, False)


def test_what_is_not_known() -> None:
    none = b'{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "bridge"}]}'
    assert told("containerd://1.7.2", none, running=False, **old("bridge")).baseline.leaks is None
    silent = told("containerd://1.7.2", samples.bridge("1.0.0"), False, portmap=Support("portmap"))
    assert (silent.baseline.del_, silent.baseline.leaks) == (None, None)
