"""That an admission policy is missing is said, once in the log and for as long in a figure."""

from __future__ import annotations

import pytest

from cni_upgrade.controller.admission_policies import POLICIES, Admission
from cni_upgrade.kube.interface import KubeError
from tests.unit.controller.kube_model import Made, silence
from tests.unit.controller.test_metrics import figures

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


@pytest.fixture
def installed(made: Made) -> Made:
    for name in POLICIES:
        made.kube.cluster.api.create(POLICY, {"metadata": {"name": name}})
        spec = {"policyName": name, "validationActions": ["Deny"]}
        made.kube.cluster.api.create(BINDING, {"metadata": {"name": name}, "spec": spec})
    return made


def missing(made: Made) -> float:
    [count] = figures(made, "cni_upgrade_missing_admission_policies").values()
    return count


async def test_all_are_there(installed: Made, caplog: pytest.LogCaptureFixture) -> None:
    await Admission(installed.kube, installed.metrics.loose).look()
    assert missing(installed) == 0
    assert caplog.records == []


@pytest.mark.parametrize("kind", [POLICY, BINDING])
async def test_one_that_is_deleted_is_named_once_and_again_after_it_was_there(
    installed: Made, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    api, name = installed.kube.cluster.api, POLICIES[2]
    looks = Admission(installed.kube, installed.metrics.loose)
    found = api.find(kind, name)
    assert found is not None
    body = {"metadata": {"name": name}, "spec": found.get("spec", {})}
    for _ in range(2):
        caplog.clear()
        api.delete(kind, name)
        for _ in range(2):
            await looks.look()
            assert missing(installed) == 1
        [record] = caplog.records
        assert f"{name} is not there" in record.message
        api.create(kind, body)
        await looks.look()
        assert missing(installed) == 0


async def test_one_that_only_warns_does_not_hold(
    installed: Made, caplog: pytest.LogCaptureFixture
) -> None:
    warns = {"spec": {"validationActions": ["Warn"]}}
    installed.kube.cluster.api.patch(BINDING, POLICIES[0], warns)
    await Admission(installed.kube, installed.metrics.loose).look()
    assert missing(installed) == 1
    assert "validationActions: ['Warn']" in caplog.text


async def test_an_api_server_that_has_no_such_kind(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    await Admission(made.kube, made.metrics.loose).look()
    assert missing(made) == len(POLICIES)
    assert "before 1.30" in caplog.text


@pytest.mark.parametrize(
    "plural", ["validatingadmissionpolicies", "validatingadmissionpolicybindings"]
)
async def test_what_may_not_be_looked_at_is_not_called_missing_and_told_of_once(
    installed: Made, caplog: pytest.LogCaptureFixture, plural: str
) -> None:
    """As with an image of today and the rights of before."""
    kube = installed.kube
    kube.refuse = lambda verb, asked, name: (
        KubeError(403, "Forbidden", "no right") if asked == plural else None
    )
    looks = Admission(kube, installed.metrics.loose)
    for _ in range(2):
        await looks.look()
        assert missing(installed) == 0
    [record] = caplog.records
    assert "may not be looked at" in record.message
    assert all(name in record.message for name in POLICIES)
    # To be refused would put every other right in doubt.
    assert not [asked for asked in kube.asked if asked[:2] == ("get", plural)]
    caplog.clear()
    kube.refuse = lambda verb, asked, name: None
    kube.cluster.api.delete(BINDING, POLICIES[0])
    await looks.look()
    assert missing(installed) == 1
    [record] = caplog.records
    assert f"{POLICIES[0]} is not there" in record.message


async def test_rights_that_are_there_are_asked_for_once(
    installed: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """A fleet of controllers asked for fourteen every five minutes."""
    kube, taken = installed.kube, "validatingadmissionpolicybindings"
    looks = Admission(kube, installed.metrics.loose)

    async def asked() -> dict[str, int]:
        kube.asked.clear()
        await looks.look()
        verbs = [verb for verb, _, _ in kube.asked]
        return {verb: verbs.count(verb) for verb in sorted(set(verbs))}

    every = 2 * len(POLICIES)
    assert await asked() == {"get": every, "may get": every}
    assert await asked() == {"get": every}
    assert caplog.records == []
    kube.refuse = lambda verb, asked, name: (
        KubeError(403, "Forbidden", "no right") if asked == taken else None
    )
    # Each is refused once: whoever took one may have taken others, so all are asked for again.
    assert await asked() == {"get": every}
    [record] = caplog.records
    assert "may not be looked at" in record.message
    assert all(name in record.message for name in POLICIES)
    assert await asked() == {"may get": every}
    assert missing(installed) == 0
    kube.refuse = lambda verb, asked, name: None
    assert await asked() == {"get": every, "may get": every}
    assert await asked() == {"get": every}
    assert len(caplog.records) == 1


async def test_silence_says_nothing_of_them(installed: Made) -> None:
    looks = Admission(installed.kube, installed.metrics.loose)
    installed.kube.cluster.api.delete(BINDING, POLICIES[0])
    await looks.look()
    installed.kube.refuse = lambda verb, plural, name: silence()
    await looks.look()
    assert missing(installed) == 1
