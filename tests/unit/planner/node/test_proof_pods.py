"""What proof pods show: only the kubelet's word blames the network, only a loss is worse."""

from typing import Any

import pytest

from cni_upgrade.api.operation_status import ProofStatus
from cni_upgrade.api.report import Baseline
from cni_upgrade.planner.node.proof_pods import stuck, trouble, worse
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.planner.cluster_model import CONFIG, PROOF
from tests.unit.planner.samples import DELETED, NOW, pod

SANDBOX = (
    "FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = Unknown desc = failed "
    'to setup network for sandbox "5f0c": plugin type="bridge" failed (add): incompatible CNI '
    'versions; config is "1.0.0", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0"]'
)


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


CREATE = "FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = Unknown desc = "
CRI_O = f"{CREATE}failed to create pod network sandbox k8s_web_default_6b(1a2b): "
NOT_READY = (
    "NetworkNotReady: network is not ready: container runtime network not ready: "
    "NetworkReady=false reason:NetworkPluginNotReady message:"
)


@pytest.mark.parametrize(
    "said",
    [
        # containerd 1.5: libcni 0.8.1 does not name the plugin.
        f'{CREATE}failed to setup network for sandbox "5f0c": incompatible CNI versions; config is '
        '"1.0.0", plugin supports ["0.4.0"]',
        f'{CREATE}failed to setup network for sandbox "5f0c": cni config not initialized',
        # containerd 1.6 to 2.4
        SANDBOX,
        f'{CREATE}failed to setup network for sandbox "5f0c": failed to find plugin "bridge" in '
        "path [/opt/cni/bin]",
        f'{CREATE}failed to setup network for sandbox "5f0c": failed to find network info for '
        'sandbox "5f0c"',
        # CRI-O: ADD, and the look at what was added
        f'{CRI_O}error adding pod default_web to CNI network "net": plugin type="bridge" failed '
        "(add): incompatible CNI versions",
        f"{CRI_O}No CNI configuration file in /etc/cni/net.d/. Has your network provider started?",
        f"{CREATE}failed to get network status for pod sandbox k8s_web_default_6b(1a2b): "
        'unsupported CNI result version ""',
        # dockershim
        f'{CREATE}failed to set up sandbox container "5f0c" network for pod "web": networkPlugin '
        'cni failed to set up pod "web_default" network: incompatible CNI versions',
        # No config is loaded at all: containerd, CRI-O
        f"{NOT_READY}Network plugin returns error: cni plugin not initialized",
        f"{NOT_READY}Network plugin returns error: No CNI configuration file in /etc/cni/net.d/.",
    ],
)
def test_the_network_is_blamed_where_the_runtime_blames_it(said: str) -> None:
    assert trouble(proof(), world(said)).network


@pytest.mark.parametrize(
    "said",
    [
        # The image: its registry is away, which may say "network" too.
        f'{CREATE}failed to get sandbox image "registry.k8s.io/pause:3.9": failed to pull image: '
        "failed to resolve reference: dial tcp 10.0.0.9:443: connect: network is unreachable",
        f"{CREATE}error creating pod sandbox with name k8s_web_default_6b: initializing source "
        "docker://registry.k8s.io/pause:3.9: pinging container registry: i/o timeout",
        # Capacity: the disk, the namespace that CNI is given, memory
        f'{CREATE}failed to create sandbox root directory "/var/lib/containerd/x": mkdir: no '
        "space left on device",
        f'{CREATE}failed to create network namespace for sandbox "5f0c": open '
        "/var/run/netns/cni-1: no space left on device",
        f'{CREATE}failed to setup network for sandbox "5f0c": plugin type="bridge" failed (add): '
        "failed to allocate for range 0: no IP addresses available in range set: 10.0.0.2-10.0.0.3",
        f'{CRI_O}error adding pod default_web to CNI network "net": plugin type="bridge" failed '
        "(add): open /var/lib/cni/networks/net/lock: no space left on device",
        # runc, and a runtime that is slow
        f"{CREATE}failed to create containerd task: OCI runtime create failed: runc create failed",
        "FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = DeadlineExceeded "
        "desc = context deadline exceeded",
        f'{CREATE}failed to reserve sandbox name "web_default_6b_0": name is reserved for "5f0c"',
    ],
)
def test_images_and_room_are_not_the_networks_fault(said: str) -> None:
    why = trouble(proof(), world(said))
    assert not why.network
    assert why.text == said
