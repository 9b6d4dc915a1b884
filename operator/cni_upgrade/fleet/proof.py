"""What proof pods show: is a pod's trouble the network's, and is it worse than before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cni_upgrade.api.node_state import ProofStatus
from cni_upgrade.api.report import Baseline
from cni_upgrade.fleet.objects import Pod
from cni_upgrade.fleet.snapshot import Snapshot


def pod_name(which: Literal["old", "new"], operation: str) -> str:
    """`proof-old-<hex of the operation>`: known before it is created, and again after a restart."""
    return f"proof-{which}-{operation.rpartition('-')[2]}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a proof pod is not where it should be; `network` only where the kubelet says so."""

    network: bool
    text: str


def trouble(pod: Pod | None, world: Snapshot) -> Trouble:
    """What keeps a pod from its network. Quota, capacity and images are not the network's fault."""
    if pod is None:
        return Trouble(False, "the pod could not be created, or somebody deleted it")
    warning = world.warnings.get(pod.uid, "")
    if pod.deleting:
        return Trouble(False, "somebody deleted the pod")
    if not pod.node:
        return Trouble(False, warning or "the pod was not scheduled")
    if pod.phase == "Failed":
        return Trouble(False, f"the kubelet refused the pod: {pod.reason}")
    if warning.startswith("FailedCreatePodSandBox"):
        return Trouble(True, warning)
    return Trouble(False, warning or pod.waiting or "the kubelet has not said anything yet")


def stuck(pod: Pod, world: Snapshot) -> str:
    """What the kubelet says of a pod that was deleted and does not go."""
    return world.warnings.get(pod.uid, "") or "the pod does not go"


def worse(known: ProofStatus, baseline: Baseline | None) -> bool:
    """Whether something fails now that worked before we came; what was unknown counts as broken."""
    if baseline is None:
        return False
    add_lost = known.add is False and baseline.add is True
    delete_lost = (known.delete is False or known.old_delete is False) and baseline.delete is True
    return add_lost or delete_lost
