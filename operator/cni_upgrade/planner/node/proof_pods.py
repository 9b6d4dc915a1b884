"""What proof pods show: is a pod's trouble the network's, and is it worse than before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cni_upgrade.api.operation_status import ProofStatus
from cni_upgrade.api.report import Baseline
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.snapshot import Snapshot


def pod_name(which: Literal["old", "new"], operation: str) -> str:
    """`proof-old-<hex of the operation>`: known before it is created, and again after a restart."""
    return f"proof-{which}-{operation.rpartition('-')[2]}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a proof pod is not where it should be; `network` only where the runtime blames it."""

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
    if _blames_network(warning):
        return Trouble(True, warning)
    return Trouble(False, warning or pod.waiting or "the kubelet has not said anything yet")


_BLAMED = re.compile(
    "setup network for sandbox"  # containerd 1.5 to 2.4, pkg/cri/server/sandbox_run.go
    "|pod network sandbox|network (?:status|JSON) for pod sandbox"  # CRI-O, sandbox_network.go
    "|network for pod"  # dockershim and cri-dockerd, docker_sandbox.go
    r"|plugin \S+ failed \(add\)"  # libcni from 1.0.0 on, libcni/api.go
)
"""What a runtime's error says where the network is at fault, and not an image, a disk or runc."""

_NO_ROOM = re.compile(
    "no space left on device|disk quota exceeded|too many open files|cannot allocate memory"
    "|no IP addresses available",  # host-local, plugins/ipam/host-local/backend/allocator
    re.IGNORECASE,
)
"""What a plugin says where it did not find room: no config makes that better or worse."""


def _blames_network(warning: str) -> bool:
    """Whether an Event of the kubelet, `reason: message`, says that the network failed.

    Source of the reasons: k8s.io/kubernetes v1.34.4 pkg/kubelet/events/event.go. One of them is
    said for whatever keeps a sandbox from being made; the other while no network is loaded at all.
    """
    reason, _, message = warning.partition(": ")
    if reason == "NetworkNotReady":
        return True
    blamed = reason == "FailedCreatePodSandBox" and _BLAMED.search(message) is not None
    return blamed and _NO_ROOM.search(message) is None


_HANGS = timedelta(seconds=60)

_FULL = re.compile(
    "Too many pods"  # k8s.io/kubernetes v1.34.4 pkg/scheduler/framework/plugins/noderesources
    "|no IP addresses available",
    re.IGNORECASE,
)
"""What the scheduler, or a plugin, says where other pods have all that this one needs."""


def no_room(pod: Pod, world: Snapshot) -> bool:
    """Whether a pod waits for what other pods of its node have, so that a drain may help it."""
    return not pod.addressed and _FULL.search(world.warnings.get(pod.uid, "")) is not None


def hangs(pod: Pod, now: datetime) -> bool:
    """Whether a pod that was deleted does not go: one that does takes seconds."""
    return pod.deleted is not None and now - pod.deleted >= _HANGS


def seen_to_hang(pod: Pod, world: Snapshot) -> bool:
    """The same, for as long as somebody has looked: a cluster that comes back has such pods."""
    return hangs(pod, world.now) and world.now - world.noticed(pod.deleted or world.now) >= _HANGS


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
