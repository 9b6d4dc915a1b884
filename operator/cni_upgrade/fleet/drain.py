"""Which pods have to leave a node before a change, as `kubectl drain` decides it, and who refuses.

Source: k8s.io/kubectl v0.34.4 pkg/drain/filters.go; the filters stand in its order, and as there
one refusal means that nothing is evicted. Two differences, for here a drain goes on until the node
is empty, and there until a list of pods is worked off: a pod that is leaving already is waited for
and refused no more, and one of another group's DaemonSet (OpenKruise's), which would be back at
once, stays.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cni_upgrade.api.drain import Drain
from cni_upgrade.fleet.objects import Pod
from cni_upgrade.fleet.snapshot import Eviction

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


def plan(
    pods: Iterable[Pod],
    evictions: Mapping[str, Eviction],
    settings: Drain,
    ours: Container[str],
    now: datetime,
) -> DrainPlan:
    """What to do about the pods of one node; those in `ours`, our namespaces, are left alone."""
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
    # Who was not asked yet first, so that those that are kept keep nobody else from being asked.
    due = sorted(
        (pod for pod in remaining if not pod.deleting and _due(evictions.get(pod.uid), now)),
        key=lambda pod: evictions[pod.uid].at.timestamp() if pod.uid in evictions else 0.0,
    )
    return DrainPlan(
        (), tuple(due[:AT_ONCE]), tuple(remaining), tuple(_waits(p, evictions) for p in remaining)
    )


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


def _due(answer: Eviction | None, now: datetime) -> bool:
    return answer is None or now - answer.at >= max(RETRY, answer.wait)


def _waits(pod: Pod, evictions: Mapping[str, Eviction]) -> str:
    if pod.deleting:
        return f"{pod.key} is terminating"
    answer = evictions.get(pod.uid)
    if answer is None:
        return f"{pod.key} is to be evicted"
    return f"{pod.key}: {answer.blocked_by}" if answer.blocked_by else f"{pod.key} is being evicted"
