"""Agents that may write on a node though no operation stands for them: their record was lost.

A record can be deleted by hand, or with its node. Its Job is still there, and nothing may begin on
the node, nor may its cordon be lifted, before that has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cni_upgrade.planner.world.decisions import DeleteJob
from cni_upgrade.planner.world.kubernetes_objects import Job, Pod


@dataclass(frozen=True, slots=True)
class Writer:
    """A Job that writes and has not ended; `job` is None where only its pod is left."""

    job: Job | None
    pods: tuple[Pod, ...]
    node: str
    """Where it writes."""

    @property
    def name(self) -> str:
        return self.pods[0].key if self.pods else f"of Job {self.job.name if self.job else '?'}"

    def take_back(self) -> tuple[DeleteJob, ...]:
        """Deletes the Job where none of its pods has reached a node; one that has must end."""
        if self.job is None or self.job.deleting or any(pod.node for pod in self.pods):
            return ()
        return (DeleteJob(self.job.name, self.job.uid),)


def writers(job: Job | None, pods: Sequence[Pod]) -> Iterator[Writer]:
    """What may still write of a Job, or of the pods that are left of one; none where it is over.

    A pod that is not where its Job sends it may write there, and keeps nothing from its Job's node.
    """
    made_for = job.for_node if job is not None else ""
    for node in sorted({made_for, *(pod.for_node for pod in pods)} - {""}):
        here = tuple(pod for pod in pods if pod.for_node == node)
        left = tuple(pod for pod in here if not (pod.ended or pod.finished))
        its = job if node == made_for else None
        coming = its is not None and not (its.complete or its.failed or here)
        if left or coming:
            yield Writer(its, left, node)
