"""The loopback plugin, which containerd runs for every pod and CRI-O for none."""

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.readiness import readiness
from cni_upgrade.cni.verdict import Facts, Target, judge
from tests.unit.cni import samples
from tests.unit.cni.judged import NAME, NEW, codes, node


@pytest.mark.parametrize("rewrite", ["ToTarget", "OnlyFaulty"])
def test_loopback_of_containerd_1_6_3_cannot_be_cured(rewrite: str) -> None:
    plugins = samples.plugins("1.1.0", loopback="0.4.0")
    found = node("containerd://1.6.3", "1.0.0", plugins, target=Target(rewrite=rewrite))
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert (found.verdict, found.files[0].action) == ("Blocked", "None")
    assert codes(found) == ["Loopback", "CannotCure"]
    assert "this loopback supports 0.1.0 to 0.4.0: ADD and DEL fail" in found.findings[0].message
    for other in ("1.6.2", "1.6.4"):
        beside = node(f"containerd://{other}", "1.0.0", plugins)
        assert (beside.verdict, beside.baseline.add) == ("Compatible", True)
        assert codes(beside) == ["Loopback"]
        assert beside.findings[0].severity == Severity.WARNING


def test_what_an_old_loopback_supports_is_said_however_that_is_known() -> None:
    for loopback, said in (
        (Support.told("loopback", ("0.5.0",)), "this loopback supports no released version: "),
        (Support("loopback", max="0.4.0", source="buildinfo"), "supports up to 0.4.0 at most: "),
    ):
        found = node("containerd://1.6.3", "1.0.0", {**NEW, "loopback": loopback})
        assert said in found.findings[0].message


def test_an_older_containerd_would_want_the_plugin_all_the_same() -> None:
    """Its configuration says that it does without, which containerd before 2.0 does not read."""
    missing = {**NEW, "loopback": Support("loopback", source="missing")}
    read = config.read(NAME, samples.bridge("1.0.0"))
    facts = Facts("containerd://2.2.0", [read], missing, internal_loopback=True)
    assert judge(facts, Target()).verdict == "Compatible"
    assert readiness(facts, "containerd>=2.0").ready is True
    assert readiness(facts, "containerd>=1.7").ready is False


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


def test_a_loopback_that_hangs_is_named_by_what_it_does() -> None:
    hangs = Finding(Code.PLUGIN_HANG, Severity.WARNING, "loopback", "it hangs", "see why")
    plugins = {**NEW, "loopback": Support("loopback", finding=hangs)}
    assert hangs in node("containerd://1.7.2", "1.0.0", plugins).findings
