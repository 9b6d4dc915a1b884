"""Which pods have to leave a node before a change, as `kubectl drain` decides it, and who refuses.

Source: k8s.io/kubectl v0.34.4 pkg/drain/filters.go; the filters stand in its order, and as there
one refusal means that nothing is evicted. Two differences, for here a drain goes on until the node
is empty, and there until a list of pods is worked off: a pod that is leaving already is waited for
and refused no more, and one of another group's DaemonSet (OpenKruise's), which would be back at
once, stays.

A third one, for here a drain that was given up is tried again: pods that held the last one are
asked first. The others came back meanwhile; while those hold on they would go for nothing again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cni_upgrade.api.drain import Drain, DrainPolicy
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.snapshot import Eviction

RETRY = timedelta(seconds=5)
"""kubectl's pause before it asks a disruption budget again."""

AT_ONCE = 10
"""Evictions of one node in one pass: they are asked for side by side, and where a webhook is slow
with each, the other nodes wait for so many at most."""


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """The state of one drain."""

    refused: tuple[str, ...]
    """Pods that may not be evicted without the person's word, each with the field that gives it."""
    evict: tuple[Pod, ...]
    """Pods to ask for now."""
    remaining: tuple[Pod, ...]
    """Pods that have to be gone before the drain is over, those that are leaving included."""
    blockers: tuple[str, ...]
    """What it waits for, pod by pod."""
    holders: tuple[str, ...] = ()
    """Uids of the pods that hold it, should it end now."""


def drains(settings: Drain, needed: bool) -> bool:
    """Whether a node whose change needs a drain, or needs none, is drained for it."""
    policy = settings.policy
    return policy == DrainPolicy.ALWAYS or (policy == DrainPolicy.IF_REQUIRED and needed)


def plan(
    pods: Iterable[Pod],
    evictions: Mapping[str, Eviction],
    settings: Drain,
    ours: Container[str],
    now: datetime,
    held_by: Container[str] = (),
) -> DrainPlan:
    """What to do about the pods of one node; those in `ours`, our namespaces, are left alone.

    `held_by`: the uids of the pods that held the last drain of the node.
    """
    refused: list[str] = []
    remaining: list[Pod] = []
    for pod in pods:
        if pod.namespace in ours or not _leaves(pod):
            continue
        if not pod.deleting and (why := _against(pod, settings)):
            refused.append(f"{pod.key} {why}")
        else:
            remaining.append(pod)
    if refused:
        return DrainPlan(tuple(refused), (), tuple(remaining), ())
    holding = {pod.uid for pod in remaining if pod.uid in held_by and not _gives_way(pod, now)}
    spared = {p.uid for p in remaining if holding and p.uid not in holding and _missed(p)}
    asked = [pod for pod in remaining if pod.uid not in spared]
    asked.sort(key=lambda pod: pod.uid not in holding)
    # Who was not asked yet first, so that those that are kept keep nobody else from being asked.
    due = sorted(
        (pod for pod in asked if not pod.deleting and _due(evictions.get(pod.uid), now)),
        key=lambda pod: evictions[pod.uid].at.timestamp() if pod.uid in evictions else 0.0,
    )
    blockers = [_waits(pod, evictions) for pod in asked]
    if spared:
        number = f"{len(spared)} more {'is' if len(spared) == 1 else 'are'}"
        blockers.append(f"{number} left alone until those go that held the last drain")
    # Where nobody held the last one, all that are left at its end have been asked.
    holders = tuple(pod.uid for pod in remaining if not holding or pod.uid in holding)
    return DrainPlan((), tuple(due[:AT_ONCE]), tuple(remaining), tuple(blockers), holders)


def _leaves(pod: Pod) -> bool:
    """Whether a drain is about this pod at all."""
    # A DaemonSet's would come back at once, for DaemonSets tolerate the cordon.
    stays = pod.controller == "DaemonSet" and not (pod.finished or pod.orphaned)
    return not (stays or pod.mirror)


def _against(pod: Pod, settings: Drain) -> str:
    """Why this pod may not be evicted without the person's word; one that has ended always may."""
    if pod.finished:
        return ""
    if pod.orphaned and not settings.force:
        return "is of a DaemonSet that is gone, nobody brings it back (spec.drain.force)"
    if pod.empty_dir and not settings.delete_empty_dir_data:
        return "keeps data in an emptyDir (spec.drain.deleteEmptyDirData)"
    if not pod.controller and not settings.force:
        return "has no controller to bring it back (spec.drain.force)"
    return ""


def _gives_way(pod: Pod, now: datetime) -> bool:
    """Whether its eviction was granted, and it may yet go in its time: one that hangs holds on."""
    return pod.deleted is not None and pod.deleted > now


def _missed(pod: Pod) -> bool:
    """Whether it would be evicted, and somebody would miss it.

    No budget counts a pod that does not run, so it goes at any time; and it may be what keeps a
    budget from being met, where it cannot start on this node and could on another.
    Source: canIgnorePDB in k8s.io/kubernetes v1.34.4 pkg/registry/core/pod/storage/eviction.go.
    """
    return not (pod.deleting or pod.finished or pod.phase == "Pending")


def _due(answer: Eviction | None, now: datetime) -> bool:
    return answer is None or now - answer.at >= max(RETRY, answer.wait)


def _waits(pod: Pod, evictions: Mapping[str, Eviction]) -> str:
    if pod.deleting:
        return f"{pod.key} is terminating"
    answer = evictions.get(pod.uid)
    if answer is None:
        return f"{pod.key} is to be evicted"
    return f"{pod.key}: {answer.blocked_by}" if answer.blocked_by else f"{pod.key} is being evicted"
