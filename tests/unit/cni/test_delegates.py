"""Plugins that have others run: at which version those are called, and what is not known of it."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from cni_upgrade.cni import config, versions
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.verdict import Facts, Judgement, Target, judge
from tests.unit.cni import samples
from tests.unit.cni.judged import NEW, OLD, codes, node

MULTI = {
    **NEW,
    **{
        each: Support.told(each, versions.KNOWN)
        for each in ("multus", "multus-shim", "flannel", "other")
    },
}


CLUSTER = "/host/etc/cni/net.d/20-b.conflist"
OWN = {"cniVersion": "1.0.0", "type": "bridge"}


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
    plugins = {
        **MULTI,
        "host-local": Support.told("host-local", samples.supports("0.4.0")),
        "multus": replace(MULTI["multus"], libcni="1.1.2"),
    }

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
    none = multus("1.0.0", None)
    assert (none.verdict, none.baseline.del_) == ("Compatible", None if as_list else True)
    refused = multus("0.4.0", "1.0.0")
    assert (refused.baseline.add, refused.baseline.del_) == (False, False)
    assert (refused.verdict, refused.files[0].action) == ("Blocked", "Refuse")
    assert codes(refused, Severity.FAULT)[0] == "DelegateVersion"
    assert "host-local is delegated to at 1.0.0" in refused.findings[0].message
    assert multus("1.0.0", "1.0.0").verdict == "Blocked"


@pytest.mark.parametrize(
    ("carried", "as_list", "version", "deletes"),
    [
        ("0.8.1", False, "1.0.0", False),
        ("1.0.1", False, "1.0.0", False),
        ("1.0.1", True, None, False),
        ("1.1.0-rc1", False, "1.0.0", None),
        ("1.1.0", False, "1.0.0", True),
        ("1.2.0-rc1", False, "1.0.0", True),
        ("1.1.2", True, None, True),
        ("1.1.2", True, "1.0.0", None),  # then at 1.0.0, without what only a bridge has
        ("(devel)", False, "1.0.0", None),
        (None, False, "1.0.0", None),
        (None, True, "1.0.0", None),
    ],
)
@pytest.mark.parametrize("kind", ["multus", "multus-shim"])
@pytest.mark.parametrize("runtime", ["containerd://1.7.2", "cri-o://1.30.0"])
def test_multus_deletes_a_network_with_no_version_as_its_own_libcni_does(
    kind: str,
    runtime: str,
    carried: str | None,
    as_list: bool,
    version: str | None,
    deletes: object,
) -> None:
    """k8snetworkplumbingwg/multus-cni#476. What the daemon of the shim carries no node shows."""
    known = replace(MULTI["multus"], libcni=carried)
    plugins = {**MULTI, "multus": known}
    data = delegating(kind, version, {"delegates": [delegated(None, as_list)]})
    found = node(runtime, None, plugins, data=data, name="00-m.conf", managed_files="Override")
    if kind == "multus-shim":
        deletes = None
    assert found.baseline.del_ is deletes
    # From 0.4.0 on CRI-O asks CHECK, and multus asks its delegates: nothing is known of that.
    checked = runtime.startswith("cri-o") and version is not None
    assert found.baseline.add is (None if deletes is None or checked else True)
    if deletes is True:
        assert "DelegateVersion" not in codes(found)
        return
    written = version is None
    assert found.verdict == ("Blocked" if written or deletes is False else "Compatible")
    told = next(each for each in found.findings if each.code == "DelegateVersion")
    assert ("m," if as_list else "bridge,") in told.message
    assert (told.severity == "Fault") is (deletes is False)
    if deletes is None:
        assert "not known" in found.files[0].why


def test_a_cluster_network_with_no_version_is_deleted_by_multus_too() -> None:
    configs = [
        config.read("00-m.conf", delegating("multus", "1.0.0", {"clusterNetwork": CLUSTER})),
        config.read("20-b.conflist", samples.bridge()),
    ]
    plugins = {**MULTI, "multus": replace(MULTI["multus"], libcni="0.8.1")}
    facts = Facts(
        "containerd://1.7.2", configs, plugins, conf_dir="/etc/cni/net.d", managed_files="Override"
    )
    found = judge(facts, Target())
    assert (found.verdict, found.baseline.del_) == ("Compatible", None)
    assert "deleted at 1.0.0" in found.files[0].why
    lower = config.read("00-m.conf", delegating("multus", "0.3.1", {"clusterNetwork": CLUSTER}))
    lower_facts = replace(facts, configs=[lower, configs[1]])
    assert judge(lower_facts, Target()).verdict == "Blocked", "it would be written"
    for above in (Target("0.4.0"), Target("0.4.0", rewrite="OnlyFaulty")):
        left = judge(facts, above)
        assert (left.verdict, left.files[0].action) == ("Compatible", "None")
        assert "deleted at 1.0.0" in left.files[0].why
        assert "works" not in left.files[0].why
    kept = judge(facts, Target(form="List"))
    assert (kept.verdict, "KeptAsConf" in codes(kept)) == ("Compatible", True)
    only = judge(lower_facts, Target(rewrite="OnlyFaulty"))
    assert (only.verdict, only.files[0].action) == ("Compatible", "None")
    assert "whether this is one is not known" in only.files[0].why
    held = judge(facts, Target("1.1.0"))
    assert (held.verdict, held.files[0].action) == ("Compatible", "None")
    assert "deleted at 1.0.0" in held.files[0].why


@pytest.mark.parametrize(
    ("default", "works", "verdict"),
    [
        (["/host/etc/cni/net.d/30-old.conf"], False, "Blocked"),
        (["/host/etc/cni/net.d/20-b.conflist"], True, "Compatible"),
        (["macvlan-net"], None, "Compatible"),
        (["/run/multus/30-old.conf"], None, "Compatible"),
        ([""], None, "Compatible"),
        ([], True, "Compatible"),
        (None, True, "Compatible"),
    ],
)
def test_default_networks_count_as_the_cluster_network_does(
    default: object, works: bool | None, verdict: str
) -> None:
    """multus adds every pod outside of the system namespaces to them."""
    plugins = {**MULTI, "macvlan": Support.told("macvlan", samples.supports("0.3.1"))}
    members = {"clusterNetwork": CLUSTER, "DefaultNetworks": default}
    old = b'{"cniVersion": "1.0.0", "name": "old", "type": "macvlan"}'
    configs = [
        config.read("00-m.conf", delegating("multus", "1.0.0", members)),
        config.read("20-b.conflist", samples.bridge("1.0.0")),
        config.read("30-old.conf", old),
    ]
    facts = Facts(
        "containerd://1.7.2", configs, plugins, conf_dir="/etc/cni/net.d", managed_files="Override"
    )
    found = judge(facts, Target())
    assert (found.baseline.add, found.verdict) == (works, verdict)
    assert ("it is not known which" in found.files[0].why) is (works is None)
    assert ("DelegateVersion" in codes(found, Severity.WARNING)) is (works is None)
    lower = config.read("00-m.conf", delegating("multus", "0.3.1", members))
    written = judge(replace(facts, configs=[lower, *configs[1:]]), Target())
    assert written.verdict == ("Rewrite" if works else "Blocked")
    alone = delegating("multus", "1.0.0", {**members, "clusterNetwork": "", "delegates": [OWN]})
    facts = replace(facts, configs=[config.read("00-m.conf", alone), *configs[1:]])
    assert judge(facts, Target()).verdict == "Compatible", "without a cluster network none is read"


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


@pytest.mark.parametrize("kind", ["multus", "multus-shim"])
@pytest.mark.parametrize(
    ("runtime", "version", "own", "known"),
    [
        ("containerd://1.5.8", "0.2.0", "0.3.1", False),
        ("containerd://1.5.8", "0.4.0", "0.1.0", False),
        ("containerd://1.5.8", "0.4.0", "1.0.0", False),
        ("cri-o://1.22.0", "0.3.1", "1.0.0", False),
        ("containerd://1.5.8", "0.4.0", "0.3.1", True),
        ("containerd://1.5.8", "0.2.0", "0.1.0", True),
        ("containerd://1.6.2", "0.2.0", "0.3.1", True),
    ],
)
def test_an_old_libcni_may_misread_what_multus_hands_on(
    kind: str, runtime: str, version: str, own: str, known: bool
) -> None:
    """Of several delegates the first one's result is handed on."""
    delegates = [delegated(own, as_list=False), delegated("0.4.0", as_list=True)]
    data = delegating(kind, version, {"delegates": delegates})
    only = Target("0.4.0", rewrite="OnlyFaulty")
    found = node(runtime, None, MULTI, (), only, data, "10-m.conf", "Override")
    assert (found.baseline.add, found.baseline.del_) == ((True, True) if known else (None, None))
    assert ("DelegateVersion" in codes(found)) is not known
    if not known:
        assert found.verdict != "Compatible"
        assert any("multus hands on the result of bridge" in f.message for f in found.findings)


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
