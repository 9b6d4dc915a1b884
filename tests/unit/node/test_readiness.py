"""An audit says whether the node could move to another runtime, and changes nothing for it."""

from dataclasses import replace

from cni_upgrade.node.agent import run
from cni_upgrade.node.lines import of
from cni_upgrade.node.operation import ReadinessReport
from tests.unit.node.host import VERSIONLESS, Host, report

OLD = VERSIONLESS.replace("{", '{"cniVersion": "0.4.0",', 1)


def test_nothing_is_said_where_nothing_is_asked(host: Host) -> None:
    host.config()
    assert report(run(host.audit())).readiness == ()


def test_each_runtime_is_answered(host: Host) -> None:
    host.runtime = "containerd://1.7.0"
    host.config()
    asked = ("containerd>=2.0", "containerd>=1.6", "cri-o>=9.0", "docker>=1")
    result = run(replace(host.audit(), readiness_for=asked))
    ready, broken, unheard, wrong = report(result).readiness
    assert ready == ReadinessReport("containerd>=2.0", True, "")
    assert (broken.runtime, broken.ready) == ("containerd>=1.6", False)
    assert "containerd 1.6.0 to 1.6.2: F1" in broken.why
    assert (unheard.ready, wrong.ready) == (None, None)
    assert "no release of cri-o that is known" in unheard.why
    assert "'docker>=1' is not of the form" in wrong.why
    assert any(line.startswith("ready for containerd>=1.6: no: ") for line in of(result))


def test_what_a_plugin_does_not_say_is_not_known(host: Host) -> None:
    host.config(text=OLD)
    host.script("portmap", "exit 1")
    (found,) = report(run(replace(host.audit(), readiness_for=("containerd>=2.0",)))).readiness
    assert found.ready is None
    assert "not known" in found.why


def test_an_apply_answers_anew(host: Host) -> None:
    """Its report takes the place of the audit's."""
    host.config()
    result = run(replace(host.apply(), readiness_for=("containerd>=1.6",)))
    assert result.outcome == "Done"
    assert [each.ready for each in report(result).readiness] == [True]
