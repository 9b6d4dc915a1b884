"""CHECK, which CRI-O asks of every pod that it creates from 0.4.0 on, and who answers it."""

import json
from dataclasses import replace

import pytest

from cni_upgrade.cni import check, config, runtimes
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.judgement import Judgement
from cni_upgrade.cni.node import Node
from cni_upgrade.cni.readiness import readiness
from cni_upgrade.cni.verdict import Facts, Target
from tests.unit.cni import samples
from tests.unit.cni.judged import NEW, codes, node

CRIO = "cri-o://1.23.0"
CONTAINERD = "containerd://1.7.20"


def judged(
    version: str | None,
    plugins: list[dict[str, object]],
    runtime: str = CRIO,
    name: str = "10-net.conflist",
    target: Target | None = None,
    lowest: str = "0.1.0",
    **members: object,
) -> Judgement:
    """A node with a list of those plugins, all of which advertise all up to 1.0.0."""
    text = {"cniVersion": version, "name": "net", "plugins": plugins, **members}
    if version is None:
        del text["cniVersion"]
    data = json.dumps(text).encode()
    binaries = config.read(name, data).plugins
    known = {each: samples.told(each, "1.0.0", lowest) for each in binaries}
    found = {**NEW, **known}
    return node(runtime, None, found, data=data, name=name, target=target, managed_files="Override")


def bridge(ipam: str = "host-local") -> dict[str, object]:
    return {"type": "bridge", "ipam": {"type": ipam}}


@pytest.mark.parametrize("version", ["0.3.1", "0.3.0", None])
@pytest.mark.parametrize("runtime", [CRIO, "cri-o://1.34.0"])
def test_a_plugin_that_refuses_check_holds_the_version(version: str | None, runtime: str) -> None:
    found = judged(version, [bridge("whereabouts")], runtime)
    assert found.files[0].to == "0.3.1"
    assert "asks CHECK of new pods from 0.4.0 on, which whereabouts refuses" in found.files[0].why
    assert (found.after.add, found.after.del_) == (True, True)


def test_what_stands_at_the_highest_that_it_bears_is_left() -> None:
    assert judged("0.3.1", [bridge("whereabouts")]).verdict == "Compatible"


def test_a_plugin_that_refuses_check_breaks_what_was_raised() -> None:
    found = judged("1.0.0", [bridge("whereabouts")])
    assert codes(found, Severity.FAULT) == ["CheckBroken"]
    assert (found.baseline.add, found.baseline.del_) == (False, True)
    assert (found.verdict, found.files[0].to, found.after.add) == ("Rewrite", "0.3.1", True)


def test_what_no_version_below_cures_is_blocked() -> None:
    found = judged("0.4.0", [bridge("whereabouts")], lowest="0.4.0")
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    exact = judged("0.3.1", [bridge("whereabouts")], target=Target(selection="Exact"))
    assert (exact.verdict, exact.files[0].action) == ("Blocked", "Refuse")


def test_who_is_not_asked() -> None:
    assert judged("0.3.1", [bridge("whereabouts")], CONTAINERD).files[0].to == "1.0.0"
    disabled = judged("0.3.1", [bridge("whereabouts")], disableCheck=True)
    assert (disabled.files[0].to, codes(disabled)) == ("1.0.0", [])
    assert judged("1.0.0", [bridge("whereabouts")], disableCheck=True).verdict == "Compatible"
    calico = judged("0.3.1", [{"type": "calico", "ipam": {"type": "whereabouts"}}])
    assert (calico.files[0].to, codes(calico)) == ("1.0.0", [])


def test_a_single_plugin_has_no_disable_check() -> None:
    """libcni makes the list of it, and takes no such member over (ConfListFromConf)."""
    single = {**bridge("whereabouts"), "cniVersion": "0.3.1", "name": "net", "disableCheck": True}
    plugins = {**NEW, "whereabouts": Support.told("whereabouts", samples.supports("1.0.0"))}
    found = node(CRIO, None, plugins, data=json.dumps(single).encode(), name="10-net.conf")
    assert found.files[0].to == "0.3.1"


@pytest.mark.parametrize("plugin", [{"type": "cilium-cni"}, bridge("own-ipam")])
def test_what_is_not_known_of_a_plugin_is_said(plugin: dict[str, object]) -> None:
    found = judged("0.3.1", [plugin, {"type": "portmap"}])
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")
    assert (found.after.add, found.after.del_) == (None, True)
    (said,) = [each for each in found.findings if each.code == "CheckUnproved"]
    assert said.severity is Severity.WARNING
    name = "own-ipam" if "ipam" in plugin else "cilium-cni"
    assert f"whether {name} answers" in said.message


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
def test_what_is_asked_today_already_is_said_to_be_unknown(version: str) -> None:
    found = judged(version, [{"type": "cilium-cni"}])
    assert "CheckUnproved" in codes(found, Severity.INFO)
    assert (found.baseline.add, found.after.add) == (None, None)
    assert (found.baseline.del_, found.after.del_) == (True, True)


def test_where_nobody_asks_nothing_is_said() -> None:
    plugins: list[dict[str, object]] = [{"type": "cilium-cni"}]
    assert codes(judged("0.3.1", plugins, CONTAINERD)) == []
    assert codes(judged("0.3.1", plugins, disableCheck=True)) == []
    assert codes(judged("0.3.1", [bridge(), {"type": "portmap"}])) == []


def test_a_move_to_crio_is_foreseen() -> None:
    """What containerd never asks, CRI-O would."""
    data = json.dumps({"cniVersion": "1.0.0", "name": "n", "plugins": [bridge("whereabouts")]})
    plugins = {**NEW, "whereabouts": Support.told("whereabouts", samples.supports("1.0.0"))}
    read = config.read("10-net.conflist", data.encode())
    found = readiness(Facts(CONTAINERD, [read], plugins), "cri-o>=1.34")
    assert found.ready is False
    assert found.obstacles[0].why.startswith("CheckBroken")


PORTS: dict[str, object] = {"type": "portmap", "capabilities": {"portMappings": True}}
BANDWIDTH: dict[str, object] = {"type": "bandwidth", "capabilities": {"bandwidth": True}}


@pytest.mark.parametrize(
    ("release", "highest", "result"),
    [
        ("1.9.0", "1.1.0", "fails"),
        ("1.9.1", "1.1.0", "passes"),
        ("1.10.0", "1.1.0", "passes"),
        ("1.11.0", "1.1.0", "not known"),
        (None, "1.1.0", "not known"),
        (None, "1.0.0", "fails"),
        (None, "0.4.0", "fails"),
    ],
)
def test_a_check_passes_in_the_releases_of_which_that_is_known(
    release: str | None, highest: str, result: str
) -> None:
    """A release that is only bounded by what the binary speaks counts as all of those at once."""
    data = json.dumps({"cniVersion": "0.4.0", "name": "n", "plugins": [bridge(), BANDWIDTH]})
    read = config.read("10-net.conflist", data.encode())
    own = replace(samples.told("bandwidth", highest), release=release)
    facts = Facts(CRIO, [read], {**NEW, "bandwidth": own})
    chain = Node.of(read, runtimes.lookup(CRIO), facts, ()).chain
    found = {each.plugin: each.result for each in check.answers(chain)}
    assert found == {"bridge": "passes", "host-local": "passes", "bandwidth": result}


def test_calicos_own_list_is_not_raised_over_its_bandwidth() -> None:
    found = judged("0.3.1", [{"type": "calico"}, PORTS, BANDWIDTH])
    assert (found.verdict, found.files[0].to) == ("Compatible", "0.3.1")
    assert "which bandwidth refuses: CHECK of bandwidth 1.5.1 crashes" in found.files[0].why


@pytest.mark.parametrize("runtime", ["containerd://2.9.0", "cri-o://1.40.0"])
def test_a_runtime_beyond_the_table_is_not_said_to_work(runtime: str) -> None:
    """Even where a person says which libcni it carries: whether it asks CHECK is not known."""
    assert runtimes.lookup(runtime).libcni is None
    assert judged("0.3.1", [bridge()], runtime).verdict == "Blocked"
    said = runtimes.lookup(runtime, "1.3.0")
    assert check.asked(said, "0.4.0") is None
    assert check.asked(said, "0.3.1") is False


@pytest.mark.parametrize("runtime", ["containerd://1.7.2", "cri-o://1.30.0"])
@pytest.mark.parametrize(
    ("top", "release", "works"),
    [
        ("0.4.0", None, False),
        ("1.0.0", "1.0.1", False),
        ("1.0.0", "1.1.1", True),
        ("1.0.0", None, None),
        ("1.1.0", None, True),
    ],
)
def test_a_tuning_of_old_leaves_ifname_in_a_sysctl(
    runtime: str, top: str, release: str | None, works: bool | None
) -> None:
    """ADD fails at every version, and none is written for that."""
    sysctl = {"net.ipv4.conf.IFNAME.rp_filter": "0"}
    main = {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}
    plugins = [main, {"type": "tuning", "sysctl": sysctl}]
    data = json.dumps({"cniVersion": "0.3.1", "name": "net", "plugins": plugins}).encode()
    told = Support.told("tuning", samples.supports(top))
    there = {**NEW, "tuning": replace(told, release=release)}
    only = Target(rewrite="OnlyFaulty")
    found = node(runtime, None, there, (), only, data, managed_files="Override")
    assert (found.baseline.add, found.baseline.del_, found.after.add) == (works, True, works)
    assert found.files[0].action == "None"
    assert ("SysctlIfname" in codes(found)) is (works is not True)
    assert (found.verdict == "Blocked") is (works is False)
