"""What a node is told about itself: each class of fault, and what is never done."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.cni import config, versions
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Severity
from cni_upgrade.cni.inline import Unread
from cni_upgrade.cni.readiness import readiness
from cni_upgrade.cni.verdict import Facts, Judgement, Sandbox, Target, judge
from tests.unit.cni import samples
from tests.unit.cni.judged import NEW, OLD, codes, node, pods


def test_f1_on_containerd_1_6_2() -> None:
    found = node("containerd://1.6.2", None, NEW, pods(None, None))
    file = found.files[0]
    assert (found.verdict, file.action, file.to) == ("Rewrite", "Rewrite", "1.0.0")
    assert (found.baseline.add, found.baseline.del_) == (True, False)
    assert found.baseline.add_why is None
    assert found.baseline.del_why is not None
    assert found.baseline.del_why.startswith("F1: ")
    assert (found.after.add, found.after.del_, found.after.existing_del) == (True, True, True)
    assert not found.after.needs_drain
    assert codes(found, Severity.FAULT) == ["F1"]
    assert file.active
    assert file.plugins == ("bridge", "host-local", "portmap")
    assert file.why.startswith("missing; ")


def test_f2_of_the_main_plugin_is_cured_downwards() -> None:
    found = node("containerd://1.6.20", "1.0.0", OLD)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "0.4.0")
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert (found.after.add, found.after.del_, found.after.existing_del) == (True, True, True)
    assert codes(found, Severity.FAULT) == ["F2"]
    assert codes(found, Severity.WARNING) == ["Loopback"]


def test_f2_of_an_ipam_plugin_names_the_ipam_plugin() -> None:
    found = node("containerd://1.6.20", "1.0.0", samples.plugins("1.1.0", host_local="0.4.0"))
    assert found.files[0].to == "0.4.0"
    assert found.baseline.add_why is not None
    assert "host-local: 0.1.0 to 0.4.0" in found.baseline.add_why


def test_f1_on_crio_and_its_cached_deletes() -> None:
    found = node("cri-o://1.23.0", None, NEW, pods(None))
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert (found.after.add, found.after.del_, found.after.existing_del) == (True, True, False)
    assert not found.after.needs_drain
    assert found.after.why is not None
    assert found.after.why.startswith("CachedDel: ")
    assert "CachedDel" in codes(found, Severity.WARNING)
    without = node("cri-o://1.23.0", None, NEW)
    assert without.after.existing_del is True
    assert "CachedDel" not in codes(without)


def test_crio_after_the_rewrite_still_says_which_pods_are_stuck() -> None:
    found = node("cri-o://1.23.0", "1.0.0", NEW, pods(None, "1.0.0"))
    assert (found.verdict, found.baseline.add, found.baseline.del_) == ("Compatible", True, False)
    assert found.after.existing_del is False
    assert codes(found) == ["CachedDel"]


def test_crio_1_24_deletes_versionless_pods() -> None:
    found = node("cri-o://1.24.6", None, NEW, pods(None))
    assert (found.baseline.add, found.baseline.del_) == (True, True)
    assert (found.verdict, found.after.existing_del) == ("Rewrite", True)


def test_crio_with_plugins_downgraded_under_it() -> None:
    found = node("cri-o://1.25.0", "1.0.0", OLD, pods("1.0.0"))
    assert (found.verdict, found.files[0].to) == ("Rewrite", "0.4.0")
    assert (found.after.add, found.after.existing_del) == (True, False)


def test_crio_using_another_file_is_not_switched_back() -> None:
    configs = [
        config.read("10-a.conflist", samples.bridge("1.0.0").replace(b"-net", b"-first")),
        config.read("20-b.conflist", samples.bridge("0.4.0")),
    ]
    found = judge(Facts("cri-o://1.25.0", configs, OLD), Target())
    assert [(file.active, file.action) for file in found.files] == [(False, "None"), (True, "None")]
    assert "SkippedFile" in codes(found, Severity.WARNING)


def test_a_healthy_node_is_compatible() -> None:
    found = node("containerd://2.4.2", "1.0.0", NEW, pods("1.0.0"))
    assert (found.verdict, found.files[0].action, found.files[0].to) == (
        "Compatible",
        "None",
        "1.0.0",
    )
    assert (found.baseline.add, found.baseline.del_) == (True, True)
    assert found.findings == ()


def test_what_is_healthy_above_the_target_is_left_unless_exact() -> None:
    found = node("containerd://2.4.2", "1.1.0", NEW, pods("1.1.0"))
    assert (found.verdict, found.files[0].action, found.files[0].to) == (
        "Compatible",
        "None",
        "1.1.0",
    )
    assert codes(found) == ["AboveTarget", "StatusAsked"]
    exact = node("containerd://2.4.2", "1.1.0", NEW, target=Target(selection="Exact"))
    assert (exact.verdict, exact.files[0].to) == ("Rewrite", "1.0.0")


def test_a_version_above_the_runtime_is_lowered() -> None:
    found = node("containerd://1.7.2", "1.1.0", NEW, pods("1.0.0"))
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert codes(found, Severity.FAULT) == ["TooNew", "SandboxLimit"]
    assert found.after.existing_del is True


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0"])
def test_an_old_version_is_no_fault(version: str) -> None:
    found = node("containerd://1.6.20", version, NEW, pods(version))
    assert (found.baseline.add, found.baseline.del_) == (True, True)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")
    assert codes(found, Severity.FAULT) == []
    left = node("containerd://1.6.20", version, NEW, target=Target(rewrite="OnlyFaulty"))
    assert (left.verdict, left.files[0].action, left.files[0].to) == ("Compatible", "None", version)


def test_a_missing_version_that_is_forgiven() -> None:
    found = node("containerd://1.7.2", None, NEW, pods(None))
    assert (found.baseline.add, found.baseline.del_) == (True, True)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")
    assert codes(found, Severity.WARNING) == ["VersionMissing"]
    left = node("containerd://1.7.2", None, NEW, target=Target(rewrite="OnlyFaulty"))
    assert (left.verdict, left.files[0].to) == ("Compatible", None)
    faulty = node("containerd://1.6.2", None, NEW, target=Target(rewrite="OnlyFaulty"))
    assert (faulty.verdict, faulty.files[0].to) == ("Rewrite", "1.0.0")


def test_a_missing_version_with_a_plugin_that_has_a_minimum() -> None:
    plugins = {**NEW, "portmap": Support.told("portmap", samples.supports("1.1.0", "0.4.0"))}
    found = node("containerd://1.7.2", None, plugins, target=Target(rewrite="OnlyFaulty"))
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "0.5.0"])
def test_a_spelling_that_nothing_matches(version: str) -> None:
    found = node("containerd://1.6.20", version, NEW)
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")
    assert codes(found, Severity.FAULT) == ["F2"]


def test_running_pods_decide_on_containerd_1_5() -> None:
    found = node("containerd://1.5.8", None, NEW, pods(None))
    assert (found.verdict, found.files[0].to) == ("Rewrite", "0.3.1")
    assert found.after.existing_del is True
    assert "SandboxLimit" in codes(found, Severity.INFO)
    raised = node("containerd://1.5.8", "0.4.0", NEW, pods(None))
    assert raised.baseline.del_ is False
    assert (raised.verdict, raised.files[0].to) == ("Rewrite", "0.3.1")
    alone = node("containerd://1.5.8", None, NEW)
    assert alone.files[0].to == "0.4.0"


def test_pods_of_other_networks_do_not_count() -> None:
    others = [Sandbox("cni-loopback", "c", "lo", None), Sandbox("other", "c", "eth0", None)]
    assert node("containerd://1.5.8", None, NEW, others).files[0].to == "0.4.0"


def test_crio_deletes_a_pod_of_another_network_with_that_networks_own_plugins() -> None:
    """ocicni tears down every entry of a container, each with the config cached in it."""
    calls = config.read("x.conflist", b'{"name": "other", "plugins": [{"type": "macvlan"}]}').calls

    def crio(*others: Sandbox, runtime: str = "cri-o://1.25.0", **more: Support) -> Judgement:
        on_the_file = Sandbox("containerd-net", "c", "eth0", "0.4.0")
        return node(runtime, "0.4.0", {**OLD, **more}, [on_the_file, *others])

    other = Sandbox("other", "c", "net1", "1.0.0", calls=calls)
    new = Support.told("macvlan", versions.KNOWN)
    found = crio(other, macvlan=new)
    assert (found.baseline.del_, found.after.existing_del) == (True, True)
    assert codes(found) == []
    assert crio(other).after.existing_del is None
    assert crio(Sandbox("other", "c", "net1", "1.0.0")).after.existing_del is None
    old = crio(other, macvlan=Support.told("macvlan", samples.supports("0.4.0")))
    assert (old.after.existing_del, old.baseline.add) == (False, True)
    assert "macvlan does not support it" in old.findings[0].message
    gone = crio(other, macvlan=Support("macvlan", source="missing"))
    assert "macvlan is not there" in gone.findings[0].message
    nameless = Sandbox("other", "c", "net1", None, calls=calls)
    f1 = crio(nameless, runtime="cri-o://1.23.0", macvlan=new)
    assert codes(f1) == ["CachedDel"], "libcni refuses it whatever the network"


def test_what_another_engine_cached_beside_crio_is_no_fault_of_the_node() -> None:
    """podman keeps its results in the same folder, and its plugins where CRI-O does not look."""
    calls = config.read("x.conflist", b'{"name": "podman", "plugins": [{"type": "dns"}]}').calls
    mine = Sandbox("containerd-net", "c", "eth0", "0.4.0")
    theirs = Sandbox("podman", "p", "eth0", "0.4.0", "", calls, of_kubernetes=False)
    gone = {**NEW, "dns": Support("dns", source="missing")}
    for others in ([], [mine]):
        found = node("cri-o://1.25.0", "1.0.0", gone, [*others, theirs])
        assert (found.verdict, found.baseline.add, found.baseline.del_) == (
            "Compatible",
            True,
            True,
        )
        assert found.after.existing_del is True
        assert [(each.code, each.severity) for each in found.findings] == [("NotOurs", "Info")]
        assert "1 entry of containers that are no pods" in found.findings[0].message
        assert "dns is not there" in found.findings[0].message
    stuck = Sandbox("containerd-net", "c", "eth0", "1.1.0")
    found = node("cri-o://1.25.0", "0.4.0", {**OLD, "dns": gone["dns"]}, [stuck, theirs])
    assert (found.baseline.del_, found.after.existing_del) == (False, False)
    assert codes(found) == ["CachedDel", "NotOurs"]
    there = {**NEW, "dns": Support.told("dns", versions.KNOWN)}
    found = node("cri-o://1.25.0", "1.0.0", there, [theirs])
    assert (found.after.existing_del, found.findings) == (True, ())
    versionless = replace(theirs, version=None)
    assert codes(node("cri-o://1.23.0", "1.0.0", there, [versionless])) == ["NotOurs"]
    assert codes(node("containerd://1.7.29", "1.0.0", gone, [theirs])) == []


def test_a_pod_of_a_network_of_before_counts_though_the_file_has_another() -> None:
    """A node moved from calico to another network: its pods run on, and the old plugin is gone."""
    calls = config.read("x.conflist", b'{"name": "old", "plugins": [{"type": "calico"}]}').calls
    before = Sandbox("old", "p", "eth0", "0.3.1", "shop/db-0", calls, of_kubernetes=True)
    beside = replace(before, network="more", ifname="net1", of_kubernetes=None)
    gone = {**NEW, "calico": Support("calico", source="missing")}
    for running in ([before], [beside, before]):
        found = node("cri-o://1.25.0", "1.0.0", gone, running)
        assert (found.baseline.del_, found.after.existing_del) == (False, False)
        assert [(each.code, each.severity) for each in found.findings] == [("CachedDel", "Warning")]
    versionless = replace(before, version=None)
    assert node("cri-o://1.22.0", "0.4.0", NEW, [versionless]).baseline.del_ is False


def test_whose_a_container_is_that_does_not_tell_is_not_known() -> None:
    """Neither a fault, for it may be another engine's, nor well."""
    calls = config.read("x.conflist", b'{"name": "old", "plugins": [{"type": "calico"}]}').calls
    perhaps = Sandbox("old", "p", "eth0", "0.3.1", "web/web", calls)
    gone = {**NEW, "calico": Support("calico", source="missing")}
    found = node("cri-o://1.25.0", "1.0.0", gone, [perhaps])
    assert (found.verdict, found.baseline.add, found.baseline.del_, found.after.existing_del) == (
        "Compatible",
        True,
        None,
        None,
    )
    assert [(each.code, each.severity) for each in found.findings] == [("NotOurs", "Info")]
    assert "it is not known whether" in found.findings[0].message
    assert "web/web" in found.findings[0].message
    there = {**NEW, "calico": Support.told("calico", versions.KNOWN)}
    assert node("cri-o://1.25.0", "1.0.0", there, [perhaps]).baseline.del_ is True


def test_findings_about_pods_name_the_first_three() -> None:
    running = [
        replace(each, pod=f"shop/web-{place}") for place, each in enumerate(pods(*[None] * 5))
    ]
    held = node("containerd://1.5.8", "0.4.0", NEW, running)
    text = next(each.message for each in held.findings if each.code == "SandboxLimit")
    assert "5 cached sandboxes (shop/web-0, shop/web-1, shop/web-2 and 2 more) added" in text
    cached = node("cri-o://1.23.0", "1.0.0", NEW, running[:2])
    assert "2 cached sandboxes (shop/web-0, shop/web-1) added" in cached.findings[0].message
    some = [running[0], *pods(None, None)]
    assert "(shop/web-0 and 2 more)" in str(node("containerd://1.5.8", "0.4.0", NEW, some).findings)


def test_exactly_the_target_or_refused() -> None:
    exact = Target("0.4.0", "Exact")
    refused = node("containerd://1.6.20", None, samples.plugins("0.3.1"), target=exact)
    assert (refused.verdict, refused.files[0].action, refused.files[0].to) == (
        "Blocked",
        "Refuse",
        None,
    )
    assert "supports 0.1.0 to 0.3.1" in refused.files[0].why
    reached = node("containerd://1.6.20", None, NEW, target=exact)
    assert (reached.verdict, reached.files[0].to) == ("Rewrite", "0.4.0")


def test_exactly_the_target_after_a_drain() -> None:
    exact = Target("0.4.0", "Exact")
    found = node("containerd://1.5.8", "0.3.1", NEW, pods("0.2.0"), exact)
    assert found.baseline.del_ is True
    assert (found.verdict, found.files[0].to) == ("Rewrite", "0.4.0")
    assert (found.after.existing_del, found.after.needs_drain) == (False, True)
    lowered = node("containerd://1.5.8", "0.3.1", NEW, pods("0.2.0"), Target("0.4.0"))
    assert (lowered.files[0].action, lowered.files[0].to) == ("None", "0.3.1")
    assert not lowered.after.needs_drain


def test_exactly_the_target_after_it_was_lowered_and_drained() -> None:
    """F2, and pods that the target could not delete: a drain would hang as things are."""
    exact, plugins, running = Target("0.4.0", "Exact"), samples.plugins("0.4.0"), pods(None)
    first = node("containerd://1.5.8", "1.0.0", plugins, running, exact)
    assert first.baseline.del_ is False
    assert (first.verdict, first.files[0].to) == ("Rewrite", "0.3.1")
    assert (first.after.existing_del, first.after.needs_drain) == (True, False)
    assert first.files[0].why.startswith(
        "1.0.0; first 0.3.1, with which the pods that run now can be deleted; 0.4.0 once they are "
        "gone, for now 1 cached sandbox"
    )
    assert "SandboxLimit" in codes(first)
    then = node("containerd://1.5.8", "0.3.1", plugins, running, exact)
    assert (then.files[0].to, then.after.needs_drain) == ("0.4.0", True)
    last = node("containerd://1.5.8", "0.4.0", plugins, (), exact)
    assert last.verdict == "Compatible"


def test_f3_cannot_be_cured() -> None:
    plugins = {**NEW, "weave-net": Support.told("weave-net", samples.supports("1.0.0"))}
    data = b'{"cniVersion": "1.0.0", "name": "weave", "plugins": [{"type": "weave-net"}]}'
    found = node("containerd://1.6.4", None, plugins, data=data, name="10-weave.conflist")
    assert (found.verdict, found.baseline.add) == ("Blocked", False)
    assert codes(found) == ["F3", "CannotCure"]
    assert node("containerd://1.6.5", None, plugins, data=data).baseline.add is True


def test_a_result_without_version_bounds_the_version_under_old_libcni() -> None:
    plugins = {**NEW, "weave-net": Support.told("weave-net", samples.supports("1.0.0"))}

    def weave(runtime: str, version: str) -> Judgement:
        text = f'{{"cniVersion": "{version}", "name": "w", "plugins": [{{"type": "weave-net"}}]}}'
        data = text.encode()
        return node(runtime, None, plugins, data=data, managed_files="Override")

    held = weave("containerd://1.5.8", "0.3.0")
    assert (held.baseline.add, held.baseline.del_) == (True, True)
    assert (held.verdict, held.files[0].to) == ("Rewrite", "0.3.1")
    lowered = weave("containerd://1.5.8", "0.4.0")
    assert (lowered.baseline.add, lowered.baseline.del_) == (True, False)
    assert (lowered.verdict, lowered.files[0].to) == ("Rewrite", "0.3.1")
    raised = weave("containerd://1.7.2", "0.2.0")
    assert (raised.baseline.add, raised.files[0].to) == (False, "1.0.0")
    assert codes(raised, Severity.FAULT) == ["VersionlessResult"]


def test_a_missing_plugin_blocks() -> None:
    plugins = {**NEW, "portmap": Support("portmap", source="missing")}
    found = node("containerd://1.7.2", "0.4.0", plugins)
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    assert codes(found, Severity.FAULT) == ["PluginMissing", "NoVersionFits"]
    assert (found.baseline.add, found.baseline.del_) == (False, False)


@pytest.mark.parametrize("version", [None, "0.4.0"])
def test_an_unknown_plugin_is_never_assumed_good(version: str | None) -> None:
    plugins = {name: support for name, support in NEW.items() if name != "portmap"}
    found = node("containerd://1.7.2", version, plugins)
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    assert (found.baseline.add, found.baseline.del_) == (None, None)
    assert codes(found, Severity.WARNING)[0] == "PluginUnknown"
    there = node("containerd://1.7.2", "1.0.0", plugins)
    assert (there.verdict, there.files[0].action) == ("Blocked", "None")
    assert there.baseline.add is None
    assert codes(there, Severity.FAULT) == ["PluginUnknown"]
    left = node("containerd://1.7.2", version, plugins, target=Target(rewrite="OnlyFaulty"))
    assert (left.verdict, left.files[0].action) == ("Blocked", "Refuse"), "works here, said of what"
    above = node("containerd://2.4.2", "1.1.0", plugins)
    assert (above.verdict, above.files[0].to) == ("Blocked", None)


@pytest.mark.parametrize("version", [None, "0.4.0", "1.0.0"])
def test_an_unknown_runtime_is_never_assumed_good(version: str | None) -> None:
    found = node("containerd://9.9.9", version, NEW)
    assert found.verdict == "Blocked"
    assert found.files[0].action == ("None" if version == "1.0.0" else "Refuse")
    assert (found.baseline.add, found.baseline.del_) == (None, None)
    assert codes(found, Severity.FAULT)[0] == "RuntimeUnknown"
    assert ("VersionMissing" in codes(found, Severity.WARNING)) is (version is None)


def test_who_does_not_name_a_runtime_is_asked_for_it() -> None:
    finding = next(
        each for each in node("", "1.0.0", NEW).findings if each.code == "RuntimeUnknown"
    )
    assert "name the runtime" in finding.action


def test_a_managed_file_is_left_to_its_writer_unless_told() -> None:
    names = ("flannel", "bridge", "host-local", "portmap", "loopback")
    plugins = {name: Support.told(name, samples.supports("1.0.0")) for name in names}
    data = samples.FLANNEL.encode()
    found = node("containerd://1.6.20", None, plugins, data=data)
    assert (found.verdict, found.files[0].action, found.files[0].to) == (
        "Managed",
        "Managed",
        "1.0.0",
    )
    assert found.files[0].managed_by is not None
    assert "kube-flannel-cfg" in found.files[0].managed_by
    assert found.after.add is True
    override = node("containerd://1.6.20", None, plugins, data=data, managed_files="Override")
    assert (override.verdict, override.files[0].to) == ("Rewrite", "1.0.0")
    healthy = data.replace(b"0.3.1", b"1.0.0")
    assert node("containerd://1.6.20", None, plugins, data=healthy).verdict == "Compatible"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", Code.UNPARSABLE),
        (b'{"name": "n", "plugins": [{"type": "b", "mtu": __MTU__}]}', Code.TEMPLATE_NOT_RENDERED),
        (b'{"name": "n", "plugins": [null]}', Code.CRASHES),
    ],
)
def test_a_file_that_cannot_be_loaded_blocks(data: bytes, code: Code) -> None:
    for runtime in ("containerd://1.6.2", "cri-o://1.23.0"):
        found = node(runtime, None, NEW, data=data)
        assert (found.verdict, found.files[0].action, found.files[0].to) == (
            "Blocked",
            "Refuse",
            None,
        )
        assert found.findings[0].code == code
        assert found.baseline.add is False
        assert found.baseline.add_why is not None
        assert found.baseline.add_why.startswith(code)


@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "cri-o://1.23.0", "cri-o://1.33.0"])
def test_a_file_that_is_not_read_here_leaves_everything_unknown(runtime: str) -> None:
    deep = b'{"name": "n", "plugins": [{"type": "bridge", "x": ' + b"[" * 200 + b"]" * 200 + b"}]}"
    configs = [
        config.read("10-a.conflist", deep),
        config.read("20-b.conflist", samples.bridge("0.4.0")),
    ]
    found = judge(Facts(runtime, configs, NEW), Target())
    assert found.verdict == "Blocked"
    assert [(file.action, file.to) for file in found.files] == [("Refuse", None), ("None", "0.4.0")]
    assert (found.baseline.add, found.baseline.del_) == (None, None)
    assert (found.after.add, found.after.del_, found.after.existing_del) == (None, None, None)
    assert (found.findings[0].code, found.findings[0].component) == ("TooDeep", "10-a.conflist")
    assert "10-a.conflist" in str(found.after.why)


@pytest.mark.parametrize("inlined", [Unread("it is larger than 1048576 bytes"), b"[" * 200])
def test_an_inlined_plugin_that_is_not_read_here_leaves_it_unknown(inlined: bytes | str) -> None:
    read = config.read("10-a.conflist", samples.bridge("1.0.0"), inline={"a.conf": inlined})
    found = judge(Facts("containerd://2.1.3", [read], NEW), Target())
    assert (found.verdict, found.baseline.add, found.baseline.del_) == ("Blocked", None, None)
    assert found.findings[0].code == "InlineFolder"
    older = judge(Facts("containerd://2.0.1", [read], NEW), Target())
    assert (older.verdict, older.baseline.add) == ("Compatible", True), "it looks at no folder"
    broken = config.read("10-a.conflist", samples.bridge("1.0.0"), inline={"a.conf": b"{}"})
    assert judge(Facts("containerd://2.1.3", [broken], NEW), Target()).baseline.add is False


def test_no_config_is_a_verdict_of_its_own() -> None:
    for configs in ([], [config.read("10-a.conflist.bak", samples.bridge())]):
        found = judge(Facts("containerd://1.6.2", configs, NEW), Target())
        assert (found.verdict, len(found.files)) == ("NoConfig", len(configs))
        assert codes(found) == ["NoConfig"]
        assert found.baseline.add is False


def test_a_network_pinned_by_name_that_is_not_there_is_no_config() -> None:
    configs = [config.read("10-a.conflist", samples.bridge("1.0.0"))]
    found = judge(Facts("cri-o://1.30.0", configs, NEW, default_network="other"), Target())
    assert found.verdict == "NoConfig"

    assert "cni_default_network is other, and the folder has containerd-net" in (
        found.findings[0].message
    )


def test_an_empty_folder_under_a_template_waits_for_containerd() -> None:
    """Kubenet of the nodes without dockershim: the file comes with the node's pod CIDR."""
    facts = Facts("containerd://1.6.2", [], NEW, conf_template="/etc/cni/kubenet.template")
    found = judge(facts, Target())
    assert found.verdict == "NoConfig"
    assert "10-containerd-net.conflist from /etc/cni/kubenet.template" in found.findings[0].message
    assert "spec.podCIDR" in found.findings[0].action
    plain = judge(replace(facts, conf_template=None), Target()).findings[0]
    assert "template" not in plain.message
    assert "network add-on" in plain.action


def test_a_file_made_from_a_template_is_rewritten_and_its_template_named() -> None:
    """containerd makes it again only where it can load no config: a rewrite holds."""
    configs = [
        config.read(name, samples.bridge())
        for name in ("10-containerd-net.conflist", "20-other.conflist")
    ]
    facts = Facts("containerd://1.6.2", configs, NEW, conf_template="/t")
    found = judge(facts, Target())
    assert found.verdict == "Rewrite"
    assert [each.managed_by for each in found.files] == ["containerd: conf_template /t", None]
    warned = next(each for each in found.findings if each.code == "ConfTemplate")
    assert (warned.severity, warned.action) == (
        Severity.WARNING,
        "write cniVersion 1.0.0 into /t too",
    )
    good = [config.read("10-containerd-net.conflist", samples.bridge("1.0.0"))]
    after = judge(replace(facts, configs=good), Target())
    assert after.verdict == "Compatible"
    told = next(each for each in after.findings if each.code == "ConfTemplate")
    assert told.severity is Severity.INFO
    assert told.action.startswith("write cniVersion 1.0.0 into /t too, if it has another one")
    assert "ConfTemplate" not in codes(judge(replace(facts, conf_template=None), Target()))


def test_a_node_without_cni_is_left_alone_whatever_lies_in_the_folder() -> None:
    configs = [config.read("10-a.conflist", samples.bridge())]
    instead = "--network-plugin=kubenet in /etc/default/kubelet"
    found = judge(Facts("docker://20.10.7", configs, {}, without_cni=instead), Target())
    assert (found.verdict, codes(found)) == ("NotCni", ["NotCni"])
    assert [(each.active, each.action) for each in found.files] == [(False, "None")]
    assert (found.baseline.add, found.after.add) == (None, None)
    assert instead in str(found.after.why)


@pytest.mark.parametrize("data", [b'{"plugins": [{"type": "bridge"}], "name": ""}'])
def test_a_name_that_fails_every_add_is_mended_first(data: bytes) -> None:
    found = node("containerd://1.6.2", None, NEW, data=data)
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    assert codes(found, Severity.FAULT)[0] == "MissingName"


@pytest.mark.parametrize("mark", [b"__BRIDGE__", b"{{ .Bridge }}", b"${BRIDGE}", b"{% bridge %}"])
@pytest.mark.parametrize("place", [b"containerd-net", b"portmap", b"host-local", b"0.4.0"])
def test_a_template_that_leaves_open_who_runs_and_how_is_left_alone(
    place: bytes, mark: bytes
) -> None:
    data = samples.bridge("0.4.0").replace(place, mark)
    found = node("containerd://1.6.2", None, NEW, data=data)
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    assert "TemplateNotRendered" in codes(found, Severity.FAULT)


@pytest.mark.parametrize("mark", [b"__BRIDGE__", b"{{ .Bridge }}", b"${BRIDGE}", b"{% bridge %}"])
def test_a_placeholder_elsewhere_keeps_no_version_from_being_mended(mark: bytes) -> None:
    """It may be meant so; what it does to the plugin is no matter of the version."""
    data = samples.bridge().replace(b"cni0", mark)
    found = node("containerd://1.6.2", None, NEW, data=data)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")
    assert codes(found, Severity.FAULT) == ["F1"]
    assert "TemplateNotRendered" in codes(found, Severity.WARNING)
    assert (found.baseline.add, found.baseline.del_) == (None, False)
    assert (found.after.add, found.after.del_) == (None, None)


def test_a_runtime_is_not_called_ready_for_a_config_that_was_not_rendered_to_its_end() -> None:
    """host-local reads `{{.PodCIDR}}` as a range of addresses and refuses it on ADD and DEL."""
    data = samples.bridge("1.0.0").replace(b"10.88.0.0/16", b"{{.PodCIDR}}")
    assert b"PodCIDR" in data
    facts = Facts("containerd://1.7.29", (config.read("10-a.conflist", data),), NEW)
    found = judge(facts, Target())
    assert (found.baseline.add, found.baseline.del_, found.baseline.leaks) == (None, None, None)
    assert readiness(facts, "containerd>=1.7").ready is None


def test_files_that_do_not_count_are_listed_and_left() -> None:
    configs = [
        config.read("20-b.conflist", samples.bridge()),
        config.read("10-a.conflist", samples.bridge("1.0.0")),
        config.read("x.bak", b"junk"),
    ]
    found = judge(Facts("containerd://1.6.20", configs, NEW), Target())
    assert [(file.name, file.active, file.action) for file in found.files] == [
        ("20-b.conflist", False, "None"),
        ("10-a.conflist", True, "None"),
        ("x.bak", False, "None"),
    ]
    assert found.verdict == "Compatible"
    assert all(len(file.sha256) == 64 for file in found.files)


def test_two_networks_are_judged_together() -> None:
    configs = [
        config.read("10-a.conflist", samples.bridge("1.0.0")),
        config.read("20-b.conflist", samples.bridge()),
    ]
    found = judge(Facts("containerd://1.6.2", configs, NEW, max_conf_num=2), Target())
    assert [file.action for file in found.files] == ["None", "Rewrite"]
    assert (found.verdict, found.baseline.del_, found.after.del_) == ("Rewrite", False, True)


def test_cni_versions_count_for_the_runtime_that_reads_them() -> None:
    data = samples.bridge("0.4.0").replace(b"{", b'{"cniVersions": ["1.1.0"],', 1)
    new = node("containerd://2.0.1", None, NEW, data=data)
    assert (new.files[0].version, new.files[0].action) == ("1.1.0", "None")
    old = node("containerd://1.7.2", None, NEW, data=data)
    assert (old.files[0].version, old.files[0].to) == ("0.4.0", "1.0.0")


@given(st.text(max_size=300))
def test_what_a_file_says_cannot_flood_or_steer_a_terminal(text: str) -> None:
    data = json.dumps({"cniVersion": text, "name": text, "plugins": [{"type": "bridge", text: 1}]})
    for runtime in ("containerd://1.6.2", "cri-o://1.23.0"):
        found = node(runtime, None, NEW, data=data.encode())
        for finding in found.findings:
            assert len(finding.message) < 400
            assert finding.message.isprintable()


def test_a_target_that_is_no_version_is_an_error() -> None:
    with pytest.raises(versions.UnknownVersionError):
        node("containerd://1.6.2", None, NEW, target=Target("1.0"))
