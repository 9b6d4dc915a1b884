"""What a node is told about itself: each class of fault, and what is never done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cni_upgrade.cni import compat, config, versions
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.runtimes import TABLE, lookup
from cni_upgrade.cni.verdict import Facts, Judgement, Sandbox, Target, judge
from tests.unit.cni import samples

NAME = "10-containerd-net.conflist"


def pods(*added: str | None) -> list[Sandbox]:
    return [
        Sandbox("containerd-net", f"c{place}", "eth0", version)
        for place, version in enumerate(added)
    ]


def node(
    runtime: str,
    version: str | None,
    plugins: Mapping[str, Support],
    running: Sequence[Sandbox] = (),
    target: Target | None = None,
    data: bytes | None = None,
    name: str = NAME,
    managed_files: str = "Skip",
) -> Judgement:
    """A node with one file: the bridge list at a version, or other bytes."""
    read = config.read(name, samples.bridge(version) if data is None else data)
    return judge(Facts(runtime, [read], plugins, running, managed_files), target or Target())


def codes(judgement: Judgement, severity: Severity | None = None) -> list[str]:
    return [f.code for f in judgement.findings if severity in (None, f.severity)]


NEW = samples.plugins("1.1.0")
OLD = samples.plugins("0.4.0")


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
    assert codes(found) == ["AboveTarget"]
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
        return node(runtime, "0.4.0", {**OLD, **more}, others)

    other = Sandbox("other", "c", "net1", "1.0.0", calls=calls)
    new = Support.told("macvlan", versions.KNOWN)
    found = crio(other, macvlan=new)
    assert (found.baseline.del_, found.after.existing_del) == (True, True)
    assert codes(found) == ["RuntimeAssumed"]
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


@pytest.mark.parametrize("rewrite", ["ToTarget", "OnlyFaulty"])
def test_loopback_of_containerd_1_6_3_cannot_be_cured(rewrite: str) -> None:
    plugins = samples.plugins("1.1.0", loopback="0.4.0")
    found = node("containerd://1.6.3", "1.0.0", plugins, target=Target(rewrite=rewrite))
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert (found.verdict, found.files[0].action) == ("Blocked", "None")
    assert codes(found) == ["Loopback", "CannotCure"]
    for other in ("1.6.2", "1.6.4"):
        beside = node(f"containerd://{other}", "1.0.0", plugins)
        assert (beside.verdict, beside.baseline.add) == ("Compatible", True)
        assert codes(beside) == ["Loopback"]
        assert beside.findings[0].severity == Severity.WARNING


def test_a_missing_loopback_breaks_containerd_and_not_crio() -> None:
    plugins = {**NEW, "loopback": Support("loopback", source="missing")}
    found = node("containerd://1.7.2", "1.0.0", plugins)
    assert (found.verdict, found.baseline.add, found.baseline.del_) == ("Blocked", False, False)
    assert node("cri-o://1.30.0", "1.0.0", plugins).verdict == "Compatible"


@pytest.mark.parametrize("version", [None, "0.4.0", "1.0.0"])
@pytest.mark.parametrize(
    "loopback", [None, Support("loopback"), Support("loopback", max="1.0.0", source="buildinfo")]
)
def test_a_loopback_that_does_not_answer_is_never_taken_for_good(
    loopback: Support | None, version: str | None
) -> None:
    plugins = {name: each for name, each in NEW.items() if name != "loopback"}
    plugins |= {"loopback": loopback} if loopback else {}
    found = node("containerd://1.7.2", version, plugins)
    assert found.verdict == "Blocked"
    assert found.files[0].action == ("None" if version == "1.0.0" else "Refuse")
    assert (found.baseline.add, found.baseline.del_) == (None, None)
    assert (found.after.add, found.after.del_) == (None, None)
    assert "loopback" in [each.component for each in found.findings if each.code == "PluginUnknown"]
    assert "loopback" in found.files[0].why
    beside = node("cri-o://1.30.0", version, plugins)
    assert beside.verdict == ("Compatible" if version == "1.0.0" else "Rewrite"), "it runs none"
    assert "PluginUnknown" not in codes(beside)


MULTI = {
    **NEW,
    **{
        each: Support.told(each, versions.KNOWN)
        for each in ("multus", "multus-shim", "flannel", "other")
    },
}


def delegating(kind: str, version: str | None, members: Mapping[str, object]) -> bytes:
    """One plugin's config that has others run."""
    said = {} if version is None else {"cniVersion": version}
    return json.dumps({"name": "n", "type": kind, **said, **members}).encode()


def delegated(version: str | None, as_list: bool) -> dict[str, object]:
    """A bridge, alone or as a list."""
    said = {} if version is None else {"cniVersion": version}
    plugin = {"type": "bridge", "ipam": {"type": "host-local"}}
    return {"name": "m", **said, "plugins": [plugin]} if as_list else {**said, **plugin}


@pytest.mark.parametrize("as_list", [False, True])
def test_multus_calls_its_delegates_at_their_own_version(as_list: bool) -> None:
    """libcni gives it to them in multus' process, the file's own version never reaches them."""
    plugins = {**MULTI, "host-local": Support.told("host-local", samples.supports("0.4.0"))}

    def multus(version: str, own: str | None) -> Judgement:
        data = delegating("multus", version, {"delegates": [delegated(own, as_list)]})
        return node(
            "containerd://1.7.2",
            None,
            plugins,
            data=data,
            name="00-m.conf",
            managed_files="Override",
        )

    fine = multus("0.4.0", "0.3.1")
    assert (fine.baseline.add, fine.verdict, fine.files[0].to) == (True, "Rewrite", "1.0.0")
    assert multus("1.0.0", None).verdict == "Compatible", "0.1.0, which it takes"
    refused = multus("0.4.0", "1.0.0")
    assert (refused.baseline.add, refused.baseline.del_) == (False, False)
    assert (refused.verdict, refused.files[0].action) == ("Blocked", "Refuse")
    assert codes(refused, Severity.FAULT)[0] == "DelegateVersion"
    assert "host-local is delegated to at 1.0.0" in refused.findings[0].message
    assert multus("1.0.0", "1.0.0").verdict == "Blocked"


def test_flannel_gives_its_delegate_its_own_version_if_it_has_one() -> None:
    plugins = {**MULTI, "bridge": Support.told("bridge", samples.supports("0.4.0"))}

    def flannel(version: str | None, own: str | None) -> Judgement:
        member = {"delegate": {} if own is None else {"cniVersion": own}}
        data = delegating("flannel", version, member)
        return node(
            "containerd://1.7.2",
            None,
            plugins,
            data=data,
            name="10-f.conf",
            managed_files="Override",
        )

    assert flannel("0.4.0", "1.0.0").baseline.add is True
    lowered = flannel("1.0.0", "0.4.0")
    assert (lowered.baseline.add, lowered.files[0].to) == (False, "0.4.0")
    assert codes(lowered, Severity.FAULT) == ["F2"]
    own = flannel(None, "1.0.0")
    assert (own.baseline.add, own.files[0].to) == (False, "0.4.0"), "then its own no longer counts"


@pytest.mark.parametrize(
    ("runtime", "version", "own", "works"),
    [
        ("containerd://1.5.8", None, "0.4.0", False),
        ("containerd://1.5.8", None, "0.3.0", False),
        ("containerd://1.5.8", None, "0.2.0", True),
        ("containerd://1.5.8", None, None, True),
        ("containerd://1.5.8", "0.3.1", "0.4.0", True),
        ("containerd://1.6.2", None, "0.4.0", True),
    ],
)
def test_an_old_libcni_reads_a_delegates_answer_at_the_configs_version(
    runtime: str, version: str | None, own: str | None, works: bool
) -> None:
    member = {"delegate": {} if own is None else {"cniVersion": own}}
    data = delegating("flannel", version, member)
    found = node(runtime, None, MULTI, data=data, name="10-f.conf", managed_files="Override")
    assert found.baseline.add is works
    assert ("ResultMisread" in codes(found, Severity.FAULT)) is not works
    assert "CannotCure" not in codes(found)
    assert found.after.add is True
    if not works:
        assert "bridge is delegated to at" in str(found.baseline.add_why)
        assert found.files[0].action == "Rewrite"
        assert found.baseline.leaks is True


def test_where_a_delegate_is_called_at_what_is_not_known_nothing_is_promised() -> None:
    """Another plugin may give its delegate its own version or leave what stands there."""
    old = {**MULTI, "bridge": Support.told("bridge", samples.supports("0.4.0"))}
    data = delegating("other", "1.0.0", {"delegate": delegated(None, False)})
    found = node("containerd://1.7.2", None, old, data=data, name="10-o.conf")
    assert (found.verdict, found.baseline.add, found.baseline.del_) == ("Blocked", None, None)
    assert set(codes(found)) == {"DelegateVersion", "ConfAt1"}
    assert "whether bridge is called at 1.0.0 or no version" in found.findings[0].message
    takes_both = node("containerd://1.7.2", None, MULTI, data=data, name="10-o.conf")
    assert (takes_both.verdict, takes_both.baseline.add) == ("Compatible", True)


@pytest.mark.parametrize(
    ("named", "known"),
    [
        ("/host/etc/cni/net.d/20-b.conflist", True),
        ("/etc/cni/net.d/20-b.conflist", True),
        ("/run/multus/cni/net.d/20-b.conflist", False),
        ("containerd-net", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("kind", ["multus", "multus-shim"])
def test_a_cluster_network_counts_where_it_can_be_told(kind: str, named: str, known: bool) -> None:
    data = delegating(kind, "0.3.1", {"clusterNetwork": named} if named else {})
    configs = [
        config.read("00-m.conf", data),
        config.read("20-b.conflist", samples.bridge("1.0.0")),
    ]
    facts = Facts(
        "containerd://1.7.2", configs, MULTI, conf_dir="/etc/cni/net.d", managed_files="Override"
    )
    found = judge(facts, Target("0.3.1"))
    assert (found.baseline.add, found.verdict) == (
        (True, "Compatible") if known else (None, "Blocked")
    )
    assert ("DelegateVersion" in codes(found)) is not known
    why = {"containerd-net": "before any file", "": "the multus daemon runs"}
    if not known:
        assert why.get(named, "no file of the config folder") in found.files[0].why
    old = judge(replace(facts, plugins={**MULTI, **OLD}), Target("0.3.1"))
    assert old.baseline.add is (False if known else None)


def test_a_loopback_that_hangs_is_named_by_what_it_does() -> None:
    hangs = Finding(Code.PLUGIN_HANG, Severity.WARNING, "loopback", "it hangs", "see why")
    plugins = {**NEW, "loopback": Support("loopback", finding=hangs)}
    assert hangs in node("containerd://1.7.2", "1.0.0", plugins).findings


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


@pytest.mark.parametrize("inlined", [config.Unread("it is larger than 1048576 bytes"), b"[" * 200])
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
    assert warned.action == "write cniVersion 1.0.0 into /t too"
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


RUNTIMES = [f"{row.name}://{'.'.join(map(str, row.first))}" for row in TABLE]
LEVELS = st.sampled_from(versions.KNOWN)
VERSIONS = st.none() | LEVELS | st.sampled_from(("1.0", "v1.0.0", "0.5.0", "2.0.0"))


@st.composite
def any_node(draw: st.DrawFn) -> tuple[Facts, Target]:
    plugins = {}
    for name in ("bridge", "host-local", "portmap", "loopback"):
        if draw(st.integers(0, 14)) == 14:
            continue
        low, high = sorted((draw(LEVELS), draw(LEVELS)), key=versions.order)
        low = draw(st.sampled_from(("0.1.0", low)))
        plugins[name] = Support.told(name, samples.supports(high, low))
    target = Target(
        draw(LEVELS),
        draw(st.sampled_from(("HighestCompatible", "Exact"))),
        draw(st.sampled_from(("ToTarget", "OnlyFaulty"))),
    )
    running = pods(*draw(st.lists(st.none() | LEVELS, max_size=3)))
    read = config.read(NAME, samples.bridge(draw(VERSIONS)))
    runtime = draw(st.sampled_from([*RUNTIMES, "containerd://9.9.9"]))
    return Facts(runtime, [read], plugins, running), target


@settings(max_examples=500, suppress_health_check=list(HealthCheck), deadline=None)
@given(any_node())
def test_nothing_is_written_that_the_node_does_not_take(case: tuple[Facts, Target]) -> None:
    facts, target = case
    found = judge(facts, target)
    file = found.files[0]
    runtime = lookup(facts.runtime)
    assert file.why
    if file.action != "Rewrite":
        assert file.to == (None if file.action == "Refuse" else file.version)
        assert not found.after.needs_drain
        return
    assert file.to is not None
    assert runtime.max is not None
    assert versions.order(file.to) <= versions.order(target.version)
    assert versions.order(file.to) <= versions.order(runtime.max)
    for name in file.plugins:
        assert file.to in (facts.plugins[name].supported or ())
    works = found.baseline.add and found.baseline.del_
    if works and file.version and target.selection == "HighestCompatible":
        assert versions.order(file.to) > versions.order(file.version)
    if works and target.rewrite == "OnlyFaulty":
        pytest.fail("what works was touched")
    if found.after.needs_drain:
        assert target.selection == "Exact"
        assert found.baseline.del_ is True
    elif runtime.deletes_with == "current" and runtime.libcni is not None:
        for pod in facts.sandboxes:
            assert compat.del_survives(runtime.libcni, pod.version, file.to)


@settings(max_examples=500, suppress_health_check=list(HealthCheck), deadline=None)
@given(any_node())
def test_a_rewrite_never_makes_it_worse(case: tuple[Facts, Target]) -> None:
    facts, target = case
    found = judge(facts, target)
    if found.files[0].action == "Rewrite" and not found.after.needs_drain:
        if found.baseline.add:
            assert found.after.add
        if found.baseline.del_:
            assert found.after.del_
            assert found.after.existing_del
    if found.verdict == "Compatible":
        assert found.files[0].action == "None"
        assert found.baseline.add is not False
    for outcome, why in (
        (found.baseline.add, found.baseline.add_why),
        (found.baseline.del_, found.baseline.del_why),
    ):
        assert (outcome is False) == (why is not None)


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(any_node())
def test_after_the_rewrite_there_is_nothing_more_to_do(case: tuple[Facts, Target]) -> None:
    facts, target = case
    found = judge(facts, target)
    file = found.files[0]
    if file.action == "Rewrite":
        again = config.read(NAME, samples.bridge(file.to))
        left = () if found.after.needs_drain else facts.sandboxes
        settled = judge(Facts(facts.runtime, [again], facts.plugins, left), target)
        lowered = target.selection == "Exact" and file.to != target.version
        assert not lowered or found.baseline.del_ is False, "only where a drain would hang"
        if lowered and target.rewrite == "ToTarget":
            assert (settled.files[0].to, settled.after.needs_drain) == (target.version, True)
        else:
            assert settled.files[0].action == "None"


BAD_VERSIONS = (
    b'{"cniVersion": null, "name": "n", "plugins": [{"type": "bridge"}]}',
    b'{"cniVersion": 0.4, "name": "n", "plugins": [{"type": "bridge"}]}',
    b'{"cniVersion": "0.4.0", "name": "n", "plugins": [{"type": "bridge", "cniVersion": 1}]}',
)


@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "cri-o://1.23.0", "containerd://2.1.3"])
@pytest.mark.parametrize("data", BAD_VERSIONS)
def test_a_version_that_is_no_string_is_cured(data: bytes, runtime: str) -> None:
    found = node(runtime, None, NEW, pods("0.4.0"), data=data)
    file = found.files[0]
    assert (found.verdict, file.action, file.to) == ("Rewrite", "Rewrite", "1.0.0")
    assert file.active
    assert file.why.startswith("not loaded; the target, which ")
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert found.baseline.add_why is not None
    assert found.baseline.add_why.startswith("BadVersion: ")
    assert (found.after.add, found.after.del_) == (True, True)
    assert codes(found, Severity.FAULT) == ["BadVersion"]


def test_a_bad_cniversions_is_one_only_where_libcni_reads_it() -> None:
    data = (
        b'{"cniVersion": "1.0.0", "cniVersions": [1], "name": "n", "plugins": [{"type": "bridge"}]}'
    )
    assert node("containerd://1.7.30", None, NEW, data=data).verdict == "Compatible"
    found = node("containerd://2.0.14", None, NEW, data=data)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"cniVersion": null, "name": "n"}', "no 'plugins' key"),
        (
            b'{"cniVersion": 1, "name": "n", "disableCheck": 1, "plugins": [{"type": "bridge"}]}',
            "invalid disableCheck",
        ),
        (b'{"cniVersion": 1, "name": "n", "plugins": [{"cniVersion": 2}]}', "missing 'type'"),
    ],
)
def test_a_version_that_is_no_string_beside_another_fault(data: bytes, said: str) -> None:
    found = node("containerd://1.6.2", None, NEW, data=data)
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    assert codes(found, Severity.FAULT) == ["Invalid"]
    assert "and with another cniVersion: " in found.findings[0].message
    assert said in found.findings[0].message


def test_a_bad_version_that_no_version_can_replace_is_still_broken_afterwards() -> None:
    found = node("containerd://1.6.2", None, {}, data=BAD_VERSIONS[0])
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    assert (found.after.add, found.after.del_, found.after.existing_del) == (False, False, False)


def test_a_bad_version_in_the_file_of_another_writer() -> None:
    data = b'{"cniVersion": null, "name": "cbr0", "plugins": [{"type": "flannel"}]}'
    plugins = {**NEW, "flannel": Support.told("flannel", versions.KNOWN)}
    found = node("containerd://1.6.2", None, plugins, data=data)
    assert (found.verdict, found.after.add) == ("Managed", False)
    assert found.files[0].managed_by is not None
    over = node("containerd://1.6.2", None, plugins, data=data, managed_files="Override")
    assert (over.verdict, over.after.add) == ("Rewrite", True)


def test_two_files_of_which_one_cannot_be_mended() -> None:
    """containerd is told to load all: one file that is not loaded keeps the others out."""
    configs = [
        config.read("10-a.conflist", BAD_VERSIONS[0]),
        config.read("20-b.conflist", b'{"name": "m"}'),
    ]
    facts = Facts("containerd://1.6.2", configs, NEW, max_conf_num=0)
    found = judge(facts, Target())
    assert found.verdict == "Blocked"
    assert codes(found, Severity.FAULT) == ["MissingPlugins", "BadVersion"]
    alone = judge(replace(facts, max_conf_num=1), Target())
    assert (alone.verdict, alone.files[0].action) == ("Rewrite", "Rewrite")


def test_crio_takes_the_next_file_and_is_not_switched_back() -> None:
    configs = [
        config.read("10-a.conflist", BAD_VERSIONS[0]),
        config.read("20-b.conflist", samples.bridge("1.0.0")),
    ]
    found = judge(Facts("cri-o://1.25.0", configs, NEW), Target())
    assert found.verdict == "Compatible"
    assert [file.active for file in found.files] == [False, True]
    assert "SkippedFile" in codes(found)
