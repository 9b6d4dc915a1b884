"""The agents that have not ended, kept up from pass to pass: Jobs stay for an hour, two a node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.planner.index.incremental import catch_up
from cni_upgrade.planner.node.orphaned_agents import Writer, writers
from cni_upgrade.planner.world.decisions import DeleteJob
from cni_upgrade.planner.world.kubernetes_objects import Job, Pod
from cni_upgrade.planner.world.snapshot import Snapshot


class RunningAgents:
    """Those that look, and those that may write, by their Jobs and the pods of these."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._pods: dict[str, Sequence[Pod]] = {}
        self._looks: dict[str, Job] = {}
        self._writers: dict[str, tuple[Writer, ...]] = {}
        """By the name of the Job."""

    def look(self, world: Snapshot) -> None:
        """Go on to another snapshot."""
        for name in catch_up(self._jobs, world.jobs) | catch_up(self._pods, world.agents):
            self._judge(name)

    def _judge(self, name: str) -> None:
        job, pods = self._jobs.get(name), self._pods.get(name, ())
        self._looks.pop(name, None)
        self._writers.pop(name, None)
        if name.startswith(("apply-", "restore-")):
            if found := tuple(writers(job, pods)):
                self._writers[name] = found
        elif name.startswith("audit-") and job is not None:
            ended = any(pod.ended for pod in pods if pod.for_node == job.for_node)
            if not (ended or job.complete or job.failed or job.deleting):
                self._looks[name] = job

    def looking(self, states: Mapping[str, CNINodeState]) -> set[str]:
        """Nodes that an agent looks at though no record says so: a controller was lost then."""
        return {
            job.for_node
            for job in self._looks.values()
            if (state := states.get(job.for_node)) is not None and state.status.operation is None
        }

    def looks(self, job: str | None) -> bool:
        """Whether the agent of that Job has been sent to look, and has not ended."""
        return job in self._looks

    def superseded(self, current: Collection[str | None]) -> Iterator[DeleteJob]:
        """Takes back the looks that nobody waits for; `current` are the Jobs of operations."""
        for name, job in sorted(self._looks.items()):
            if name not in current:
                yield DeleteJob(name, job.uid)

    def writing(self) -> dict[str, Writer]:
        """By node: the Job that may still write there."""
        return {each.node: each for _, job in sorted(self._writers.items()) for each in job}
