"""Pods that hang: they got no network, or were to be gone long ago and are still there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.operator_config import Namespaces
from cni_upgrade.planner.world.phases import Step

LONG = timedelta(seconds=30)
"""A pod gets its network, and gives it back, within seconds; the kubelet tries again after ten."""


def hanging(pods: Iterable[Pod], ours: Namespaces, now: datetime) -> tuple[str, ...]:
    """The pods of one node that hang, as `namespace/name`; pods of ours do not count.

    Pods of the host's network never meet CNI. A pod may hang for other reasons, a volume or a
    finalizer: such a one is not freed by a change, and is not said to be.
    """
    apart = {ours.system, ours.agents, ours.proof}
    return tuple(
        sorted(
            pod.key
            for pod in pods
            if pod.namespace not in apart
            and not pod.host_network
            and (_leaving(pod, now) or _coming(pod, now))
        )
    )


def _leaving(pod: Pod, now: datetime) -> bool:
    return pod.deleted is not None and now - pod.deleted >= LONG


def _coming(pod: Pod, now: datetime) -> bool:
    return (
        pod.phase == "Pending"
        and not (pod.addressed or pod.deleting)
        and pod.created is not None
        and now - pod.created >= LONG
    )


def wants_pods(state: CNINodeState) -> bool:
    """Whether the next pass needs the pods of this node: to drain it, or to see what hangs.

    Or to name those that a drain has left, where the agent says that they are in the way.
    """
    operation, after = state.status.operation, state.status.after
    if operation is None:
        return False
    if operation.step == Step.APPLY and after is not None and after.needs_drain:
        return True
    return operation.step in (Step.CORDON, Step.DRAIN, Step.DRAIN_AFTER, Step.FREE)
