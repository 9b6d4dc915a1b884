"""A key of a plugin's own that tells it another version than the config's: what really runs."""

import json
from collections.abc import Mapping

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.conversion import convert
from cni_upgrade.cni.facts import Support, Target
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.source_verdict import User, judge_source
from cni_upgrade.cni.sources import KNOWN
from cni_upgrade.cni.verdict import Facts, Judgement, judge
from tests.unit.cni import samples
from tests.unit.cni.judged import codes

PLUGINS = samples.plugins("1.0.0", tuning="1.0.0")
SINGLE = (
    b'{"cniversion": "1.1.0", "name": "n", "cniVersion": "1.0.0", "type": "bridge",'
    b' "ipam": {"type": "host-local"}}'
)
"""At 1.0.0 for libcni, which takes the last key as they stand, and at 1.1.0 for the plugin."""


def as_list(version: str | None, own: str | None, key: str = "cniversion") -> bytes:
    said = {} if version is None else {"cniVersion": version}
    plugin: dict[str, object] = {"type": "bridge", "ipam": {"type": "host-local"}}
    if own is not None:
        plugin[key] = own
    return json.dumps({**said, "name": "n", "plugins": [plugin]}).encode()


def judged(
    data: bytes,
    name: str = "a.conflist",
    runtime: str = "containerd://1.7.20",
    inline: Mapping[str, bytes] | None = None,
    plugins: Mapping[str, Support] = PLUGINS,
    target: Target | None = None,
) -> Judgement:
    read = config.read(name, data, inline=inline)
    return judge(Facts(runtime, [read], plugins), target or Target())


@pytest.mark.parametrize("key", ["cniversion", "cniver\u017fion"])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("runtime", ["containerd://1.7.20", "containerd://2.1.0", "cri-o://1.30.0"])
def test_a_version_that_only_the_plugin_reads_and_refuses_is_f2(
    runtime: str, single: bool, key: str
) -> None:
    name = "a.conf" if single else "a.conflist"
    data = SINGLE.replace(b"cniversion", key.encode()) if single else as_list("1.0.0", "1.1.0", key)
    found = judged(data, name, runtime)
    assert (found.baseline.add, found.baseline.del_, found.baseline.leaks) == (False, False, False)
    assert codes(found, Severity.FAULT) == ["F2"]
    assert f"the key {key!a} of a plugin's own tells bridge, host-local 1.1.0" in str(
        found.baseline.add_why
    )
    [file] = found.files
    assert (found.verdict, file.action, file.to) == ("Rewrite", "Rewrite", "1.0.0")
    assert (found.after.add, found.after.del_) == (True, True)
    done = rewrite(data, config.kind_of(name), "1.0.0")
    assert (after := judged(done.data, name, runtime)).verdict == "Compatible"
    assert (after.baseline.add, after.baseline.del_) == (True, True)


def test_the_same_version_twice_is_no_fault() -> None:
    found = judged(as_list("1.0.0", "1.0.0"))
    assert (found.verdict, found.baseline.add, found.baseline.del_) == ("Compatible", True, True)
    assert codes(found) == ["HiddenVersion"]


@pytest.mark.parametrize("own", ["0.4.0", "", "0.1.0"])
def test_what_a_mixture_does_is_not_known_and_a_rewrite_ends_it(own: str) -> None:
    """A result goes from one plugin to the next at versions that neither libcni nor they expect."""
    found = judged(as_list("1.0.0", own))
    assert (found.baseline.add, found.baseline.del_) == (None, None)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")
    assert (found.after.add, found.after.del_) == (True, True)
    faulty = judged(as_list("1.0.0", own), target=Target(rewrite="OnlyFaulty"))
    assert (faulty.verdict, faulty.files[0].action) == ("Blocked", "None")


def test_a_key_that_held_plugins_up_goes_together_with_the_version_that_they_refuse() -> None:
    found = judged(as_list("1.0.0", "0.4.0"), plugins=samples.plugins("0.4.0"))
    assert (found.baseline.add, found.files[0].to, found.after.add) == (None, "0.4.0", True)


def test_a_mixture_above_the_target_is_brought_to_it() -> None:
    """What works is never lowered; whether this does is not known."""
    found = judged(as_list("1.0.0", "0.4.0"), target=Target("0.4.0"))
    assert (found.verdict, found.files[0].to) == ("Rewrite", "0.4.0")


def test_a_missing_version_is_one_all_the_same() -> None:
    """libcni looks at the list's own, the plugin at the key's."""
    found = judged(as_list(None, "1.0.0"), runtime="containerd://1.6.2")
    assert codes(found, Severity.FAULT) == ["F1"]
    assert (found.baseline.del_, found.files[0].to, found.after.del_) == (False, "1.0.0", True)


INLINE = {"x.conf": b'{"type": "tuning", "cniversion": "1.1.0"}'}


def test_no_rewrite_of_the_list_reaches_a_file_of_its_folder() -> None:
    found = judged(as_list("0.4.0", None), runtime="containerd://2.1.0", inline=INLINE)
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert "n/x.conf tells tuning 1.1.0" in str(found.baseline.add_why)
    assert (found.verdict, found.files[0].action, found.files[0].to) == ("Blocked", "Refuse", None)
    assert "tuning is told 1.1.0 by n/x.conf" in found.files[0].why
    assert {"HiddenVersion", "NoVersionFits"} <= set(codes(found, Severity.FAULT))
    old = judged(as_list("0.4.0", None), inline=INLINE)
    assert (old.verdict, old.after.add) == ("Rewrite", True), "libcni 1.1 does not look there"


@pytest.mark.parametrize(("version", "action"), [("1.0.0", "None"), ("0.4.0", "Refuse")])
def test_such_a_file_is_not_promised_to_work_beside_another_version(
    version: str, action: str
) -> None:
    plugins = samples.plugins("1.1.0", tuning="1.1.0")
    data = as_list(version, None)
    found = judged(data, runtime="containerd://2.1.0", inline=INLINE, plugins=plugins)
    assert (found.baseline.add, found.verdict, found.files[0].action) == (None, "Blocked", action)
    assert ("HiddenVersion" in codes(found, Severity.FAULT)) == (action == "None")
    assert "DelegateVersion" not in codes(found)
    assert any("n/x.conf" in each.message for each in found.findings)
    same = judged(
        data, runtime="containerd://2.1.0", inline=INLINE, plugins=plugins, target=Target("1.1.0")
    )
    assert (same.files[0].to, same.after.add) == ("1.1.0", True), "the list comes to it"


def test_what_hides_in_both_is_taken_from_the_list_alone() -> None:
    found = judged(as_list("1.0.0", "1.1.0"), runtime="containerd://2.1.0", inline=INLINE)
    assert (found.baseline.add, found.files[0].action) == (False, "Refuse")


def test_a_single_plugin_that_becomes_a_list_takes_no_such_key_along() -> None:
    found = judged(SINGLE, "a.conf", target=Target(form="List"))
    assert (found.files[0].action, found.files[0].becomes) == ("Rewrite", "a.conflist")
    assert (found.after.add, found.after.del_) == (True, True)
    made = convert(SINGLE, "1.0.0")
    assert b"cniversion" not in made.data
    assert judged(made.data).verdict == "Compatible"


def test_what_is_not_there_is_said_whatever_it_is_told() -> None:
    gone = {**PLUGINS, "bridge": Support("bridge", source="missing")}
    for rewrite_ in ("ToTarget", "OnlyFaulty"):
        found = judged(as_list("1.0.0", "0.4.0"), plugins=gone, target=Target(rewrite=rewrite_))
        assert (found.verdict, found.baseline.add) == ("Blocked", False)
        assert "PluginMissing" in codes(found, Severity.FAULT)


def test_a_configmap_loses_the_key_at_the_version_that_it_has() -> None:
    source = next(each for each in KNOWN if each.name == "kube-flannel-cfg")
    text = as_list("1.0.0", "1.1.0").decode()
    user = User("node-a", "containerd://1.7.20", tuple(PLUGINS.values()))
    found = judge_source(source, text, (user,), Target())
    assert (found.action, found.to) == ("Rewrite", "1.0.0")
    assert found.text is not None
    assert "cniversion" not in found.text
