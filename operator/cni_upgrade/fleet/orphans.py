"""Agents that may write on a node though no operation stands for them: their record was lost.

A record can be deleted by hand, or with its node. Its Job is still there, and nothing may begin on
the node, nor may its cordon be lifted, before that has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from cni_upgrade.fleet.decisions import DeleteJob
from cni_upgrade.fleet.objects import Job, Pod
from cni_upgrade.fleet.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Writer:
    """A Job that writes and has not ended; `job` is None where only its pod is left."""

    job: Job | None
    pods: tuple[Pod, ...]

    @property
    def name(self) -> str:
        return self.pods[0].key if self.pods else f"of Job {self.job.name if self.job else '?'}"

    def take_back(self) -> tuple[DeleteJob, ...]:
        """Deletes the Job where none of its pods has reached a node; one that has must end."""
        if self.job is None or self.job.deleting or any(pod.node for pod in self.pods):
            return ()
        return (DeleteJob(self.job.name, self.job.uid),)


def writers(world: Snapshot) -> dict[str, Writer]:
    """By node: the Job that may still write there."""
    found = {}
    there = world.jobs.keys() | world.agents.keys()
    for name in sorted(name for name in there if name.startswith(("apply-", "restore-"))):
        job = world.jobs.get(name)
        pods = tuple(p for p in world.agents.get(name, ()) if not (p.ended or p.finished))
        coming = job is not None and not (job.complete or job.failed or world.agents.get(name))
        if not pods and not coming:
            continue
        node = next((pod.for_node for pod in pods if pod.for_node), job.for_node if job else "")
        found[node] = Writer(job, pods)
    return found
