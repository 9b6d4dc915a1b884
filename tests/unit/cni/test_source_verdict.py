"""The config in a ConfigMap is judged for every node that gets its file from it."""

import json
import re

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.cni import config, placeholders, versions
from cni_upgrade.cni.facts import Support, Target
from cni_upgrade.cni.source_verdict import SourceJudgement, User, configmap_patch, judge_source
from cni_upgrade.cni.sources import KNOWN, Source
from tests.unit.cni import configmaps, samples

EVERY = "flannel bridge host-local portmap calico calico-ipam antrea multus multus-shim loopback"


def source(name: str, namespace: str = "kube-system") -> Source:
    return next(s for s in KNOWN if (s.namespace, s.name) == (namespace, name))


def user(
    node: str = "node-a",
    runtime: str = "containerd://1.7.0",
    most: str = "1.0.0",
    sandboxes: tuple[tuple[str | None, int], ...] = (),
    master: str | None = None,
) -> User:
    known = tuple(Support.told(each, samples.supports(most)) for each in EVERY.split())
    return User(node, runtime, known, sandboxes, master)


def judged(
    name: str, text: str, *users: User, target: Target | None = None, namespace: str = "kube-system"
) -> SourceJudgement:
    return judge_source(source(name, namespace), text, users or (user(),), target or Target())


def changed(old: str, found: SourceJudgement) -> list[tuple[str, str]]:
    """The lines that differ."""
    assert found.text is not None
    pairs = zip(old.splitlines(), found.text.splitlines(), strict=True)
    return [(one, other) for one, other in pairs if one != other]


@pytest.mark.parametrize(
    ("name", "text", "before"),
    [
        ("kube-flannel-cfg", configmaps.FLANNEL, "0.3.1"),
        ("calico-config", configmaps.CALICO, "0.3.1"),
        ("canal-config", configmaps.CANAL, "0.3.1"),
        ("kube-router-cfg", configmaps.KUBE_ROUTER, "0.3.0"),
        ("antrea-config", configmaps.ANTREA, "0.3.0"),
    ],
)
def test_a_default_install_is_raised_by_one_line(name: str, text: str, before: str) -> None:
    found = judged(name, text)
    assert (found.version, found.to, found.action) == (before, "1.0.0", "Rewrite")
    assert found.findings == (), "0.3 is old and no fault"
    ((old, new),) = changed(text, found)
    assert old.replace(before, "1.0.0") == new
    assert found.diff.startswith(f"--- a/{name}/")


def test_the_template_stays_a_template() -> None:
    found = judged("calico-config", configmaps.CALICO)
    assert found.text == configmaps.CALICO.replace('"0.3.1"', '"1.0.0"')


def test_a_missing_version_is_f1_where_it_is_and_gets_one() -> None:
    old = user("old", "containerd://1.6.2", sandboxes=((None, 3),))
    new = user("new", "containerd://2.0.0")
    found = judged("kube-flannel-cfg", configmaps.FLANNEL_OLD, new, old)
    assert (found.version, found.to, found.network) == (None, "1.0.0", "cbr0")
    said = {each.code: each for each in found.findings}
    assert said["F1"].message.startswith("old: cniVersion is missing: containerd 1.6.2")
    assert said["F1"].component == "kube-flannel-cfg/cni-conf.json"
    assert said["VersionMissing"].message.startswith("new: ")
    assert found.findings[0].code == "F1", "faults first"
    assert found.text is not None
    assert config.read("10-flannel.conflist", found.text.encode()).version == "1.0.0"
    assert len(found.text.splitlines()) == len(configmaps.FLANNEL_OLD.splitlines()) + 1


def test_one_text_for_all_nodes_is_what_the_oldest_takes() -> None:
    found = judged(
        "kube-flannel-cfg", configmaps.FLANNEL_OLD, user("new"), user("old", most="0.4.0")
    )
    assert found.to == "0.4.0"
    assert "not 1.0.0: old: flannel supports 0.1.0 to 0.4.0" in found.why


def test_what_one_node_cannot_take_is_not_raised_for_the_others() -> None:
    found = judged("kube-flannel-cfg", configmaps.FLANNEL, user("new"), user("old", most="0.3.1"))
    assert (found.action, found.to, found.text) == ("None", "0.3.1", None)
    assert "old: flannel supports 0.1.0 to 0.3.1" in found.why


def test_a_version_that_breaks_one_node_is_lowered_for_all() -> None:
    text = configmaps.FLANNEL.replace("0.3.1", "1.0.0")
    found = judged("kube-flannel-cfg", text, user("new"), user("old", most="0.4.0"))
    assert (found.action, found.to) == ("Rewrite", "0.4.0")
    assert found.findings[0].code == "F2"
    assert found.findings[0].message.startswith("old: ")


def test_pods_that_run_are_deleted_with_it() -> None:
    """libcni 0.8.1 cannot delete at 0.4.0 what was added without a version."""
    running = user("node-a", "containerd://1.5.18", sandboxes=((None, 2),))
    found = judged("kube-flannel-cfg", configmaps.FLANNEL_OLD, running)
    assert found.to == "0.3.1"
    assert "2 cached sandboxes added with no version could not be deleted" in found.why


def test_an_exact_target_is_met_or_refused() -> None:
    exact = Target("1.0.0", "Exact")
    found = judged("kube-flannel-cfg", configmaps.FLANNEL, user(most="0.4.0"), target=exact)
    assert (found.action, found.to, found.text) == ("Refuse", None, None)


def test_nothing_to_do() -> None:
    text = configmaps.FLANNEL.replace("0.3.1", "1.0.0")
    found = judged("kube-flannel-cfg", text)
    assert (found.action, found.to, found.text, found.diff) == ("None", "1.0.0", None, "")
    only_faulty = Target("1.0.0", rewrite="OnlyFaulty")
    assert judged("kube-flannel-cfg", configmaps.FLANNEL, target=only_faulty).action == "None"


def test_what_is_not_known_is_not_proposed() -> None:
    silent = User("node-a", "containerd://1.7.0")
    found = judged("kube-flannel-cfg", configmaps.FLANNEL_OLD, silent)
    assert (found.action, found.text) == ("Refuse", None)
    assert "it is not known what flannel supports" in found.why
    unknown = user(runtime="containerd://9.9.9")
    assert judged("kube-flannel-cfg", configmaps.FLANNEL_OLD, unknown).action == "Refuse"
    nobody = judge_source(source("kube-flannel-cfg"), configmaps.FLANNEL_OLD, (), Target())
    assert (nobody.action, nobody.text) == ("None", None)
    assert "no node that was audited uses it" in nobody.why


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda text: text.replace('"0.3.1"', '"__CNI_VERSION__"'), "TemplateNotRendered"),
        (lambda text: text.replace("__CNI_MTU__", "__OTHER__"), "TemplateNotRendered"),
        (lambda text: text.replace('"0.3.1"', '"__LOG_LEVEL__"'), "TemplateNotRendered"),
        (lambda text: text.replace('"k8s-pod-network"', '"__CNI_MTU__"'), "TemplateNotRendered"),
        (lambda text: text.replace(",\n", "\n", 1), "Unparsable"),
        (lambda text: "", "Unparsable"),
        (lambda text: text.replace('"plugins"', '"plugin"'), "MissingType"),
    ],
)
def test_a_text_that_cannot_be_judged_says_why(spoil: object, code: str) -> None:
    found = judged("calico-config", spoil(configmaps.CALICO))  # type: ignore[operator]
    assert (found.action, found.to, found.text) == ("Refuse", None, None)
    assert found.why.startswith(f"{code}: ") or code in [each.code for each in found.findings]


def test_one_plugin_alone_is_read_as_such() -> None:
    found = judged("kube-router-cfg", configmaps.KUBE_ROUTER_OLD)
    assert (found.version, found.to, found.network) == (None, "1.0.0", "kubernetes")
    assert found.text is not None
    assert json.loads(found.text)["cniVersion"] == "1.0.0"


def test_the_thin_multus_of_a_file_of_its_own() -> None:
    found = judged("multus-cni-config", configmaps.MULTUS_THIN)
    assert (found.version, found.to) == (None, "1.0.0")
    assert found.text is not None
    assert json.loads(found.text)["delegates"][0]["cniVersion"] == "0.3.1", "not ours to decide"


def test_multus_is_not_raised_above_what_it_delegates_to() -> None:
    found = judged("multus-daemon-config", configmaps.MULTUS_DAEMON, user(master="0.3.1"))
    assert (found.action, found.to, found.version) == ("None", "0.3.1", "0.3.1")
    assert "its master is at 0.3.1" in found.why
    raised = judged("multus-daemon-config", configmaps.MULTUS_DAEMON, user(master="1.0.0"))
    assert (raised.action, raised.to) == ("Rewrite", "1.0.0")
    assert raised.text == configmaps.MULTUS_DAEMON.replace("0.3.1", "1.0.0")


@pytest.mark.parametrize(
    ("version", "master", "to", "says"),
    [
        ("1.0.0", "0.3.1", "0.3.1", "raise that one first"),
        ("1.0.0", None, "0.3.1", "its master is at no version"),
        (None, "0.3.1", "0.3.1", "writes no config without a cniVersion"),
        (None, "1.0.0", "1.0.0", "writes no config without a cniVersion"),
    ],
)
def test_a_multus_daemon_that_would_not_start(
    version: str | None, master: str | None, to: str, says: str
) -> None:
    text = configmaps.MULTUS_DAEMON
    said = f'"cniVersion": "{version}"' if version else '"cni": "none"'
    text = text.replace('"cniVersion": "0.3.1"', said)
    found = judged("multus-daemon-config", text, user(master=master))
    assert (found.action, found.to) == ("Rewrite", to)
    assert any(says in f.message and f.severity == "Fault" for f in found.findings)


@pytest.mark.parametrize("text", ["[]", "{", '{"cniVersion": 1}'])
def test_settings_that_make_no_sense(text: str) -> None:
    found = judged("multus-daemon-config", text)
    assert (found.action, found.text) == ("Refuse", None)
    assert found.why.startswith("Unparsable: ")


def test_the_patch_is_for_the_configmap_that_was_read() -> None:
    found = judged("calico-config", configmaps.CALICO)
    assert found.text is not None
    patch = configmap_patch("cni_network_config", configmaps.CALICO, found.text)
    there = {"data": {"cni_network_config": configmaps.CALICO, "veth_mtu": "0"}}
    assert jsonpatch.apply_patch(there, patch)["data"] == {
        "cni_network_config": found.text,
        "veth_mtu": "0",
    }
    there["data"]["cni_network_config"] += " "
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(there, patch)


def test_a_key_is_escaped_in_the_path() -> None:
    assert {each["path"] for each in configmap_patch("a/b~c", "1", "2")} == {"/data/a~1b~0c"}


@given(
    st.lists(
        st.sampled_from(['"__CNI_MTU__"', "__CNI_MTU__", '"a__LOG_LEVEL__b"', "9000001", '"xyyy"']),
        max_size=20,
    ),
    st.sampled_from(versions.KNOWN),
)
def test_whatever_is_filled_in_comes_back(values: list[str], to: str) -> None:
    """The proposal differs from the template in its version alone, and is read as that."""
    template = configmaps.CALICO.replace("__CNI_MTU__", f"[{', '.join(values)}]")
    found = judged("calico-config", template, target=Target(to))
    if found.text is not None:
        assert found.text == template.replace('"0.3.1"', f'"{found.to}"')
        filled = re.sub("__[A-Z_]+__", "17", found.text).replace('"17"', '"seventeen"')
        assert config.read("10-calico.conflist", filled.encode()).version == found.to
    else:
        assert versions.order(to) <= versions.order("0.3.1")


@given(st.text(alphabet='_ABX"\\{}:,09xy ', max_size=60))
def test_stand_ins_are_as_long_as_what_they_stand_for(text: str) -> None:
    stood_in = placeholders.stand_in(text, ("__A__", "__AB__", "__B__"))
    assert len(stood_in.text) == len(text)
    assert stood_in.back(stood_in.text) == text
    assert not any(mark in stood_in.text for mark in ("__A__", "__AB__"))


def test_a_lost_placeholder_is_an_error() -> None:
    stood_in = placeholders.stand_in('{"mtu": __CNI_MTU__}', ("__CNI_MTU__",))
    assert json.loads(stood_in.text)["mtu"] > 0
    with pytest.raises(placeholders.PlaceholderError, match="__CNI_MTU__"):
        stood_in.back("{}")
    with pytest.raises(placeholders.PlaceholderError, match="cannot be told"):
        placeholders.stand_in("@a@", ("@a@",))


def test_the_table_names_each_place_once() -> None:
    places = [(each.namespace, each.name, each.key) for each in KNOWN]
    assert len(set(places)) == len(places)
