"""What proof pods show: only the kubelet's word blames the network, only a loss is worse."""

from typing import Any

import pytest

from cni_upgrade.api.node_state import ProofStatus
from cni_upgrade.api.report import Baseline
from cni_upgrade.fleet.objects import Pod
from cni_upgrade.fleet.proof import stuck, trouble, worse
from cni_upgrade.fleet.snapshot import Snapshot
from tests.unit.fleet.cluster_model import CONFIG, PROOF
from tests.unit.fleet.samples import DELETED, NOW, pod

SANDBOX = "FailedCreatePodSandBox: plugin bridge failed (add): incompatible CNI versions"


def proof(**patch: Any) -> Pod:
    return pod("proof-new-x", PROOF, **{"status": {"phase": "Pending"}, **patch})


def world(warning: str = "") -> Snapshot:
    warnings = {"proof-new-x-uid": warning} if warning else {}
    return Snapshot(now=NOW, config=CONFIG, warnings=warnings)


@pytest.mark.parametrize(
    ("of", "warning", "network", "word"),
    [
        (None, "", False, "could not be created"),
        (proof(), "", False, "not said anything"),
        (proof(), SANDBOX, True, "incompatible CNI versions"),
        (proof(), "Failed: ErrImagePull", False, "ErrImagePull"),
        (proof(spec={"nodeName": None}), "FailedScheduling: 0/1 nodes", False, "0/1 nodes"),
        (proof(spec={"nodeName": None}), "", False, "not scheduled"),
        (proof(status={"phase": "Failed", "reason": "OutOfpods"}), SANDBOX, False, "OutOfpods"),
        (proof(metadata=DELETED), SANDBOX, False, "somebody deleted"),
        (
            proof(
                status={"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}
            ),
            "",
            False,
            "ErrImagePull",
        ),
    ],
)
def test_trouble(of: Pod | None, warning: str, network: bool, word: str) -> None:
    why = trouble(of, world(warning))
    assert why.network is network
    assert word in why.text


def test_stuck_says_what_the_kubelet_says() -> None:
    assert stuck(proof(), world("FailedKillPod: version is empty")).endswith("version is empty")
    assert stuck(proof(), world()) == "the pod does not go"


@pytest.mark.parametrize("was", [True, False, None])
@pytest.mark.parametrize("now", [True, False, None])
@pytest.mark.parametrize("member", ["add", "delete", "old_delete"])
def test_worse_is_what_worked_and_does_not(member: str, now: bool | None, was: bool | None) -> None:
    known = ProofStatus.model_validate({member: now})
    baseline = Baseline(add=was if member == "add" else None)
    if member != "add":
        baseline = Baseline(delete=was)
    assert worse(known, baseline) is (was is True and now is False)


def test_without_a_baseline_nothing_is_worse() -> None:
    assert not worse(ProofStatus(add=False, delete=False, old_delete=False), None)
