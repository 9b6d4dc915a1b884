"""The pods of agents by their Jobs, kept up from pass to pass: nearly all are those of before."""

from __future__ import annotations

from collections.abc import Mapping

from cni_upgrade.controller.object_cache import ObjectCache
from cni_upgrade.planner.world.kubernetes_objects import Pod


class PodsByJob:
    """What a shelf of agents' pods holds; those of one Job in the order in which they came, and by
    their names where they came together."""

    def __init__(self, shelf: ObjectCache[Pod]) -> None:
        self._shelf = shelf
        self._changed = shelf.follow()
        self._jobs: dict[str, str] = {}
        """By the name of a pod."""
        self._pods: dict[str, tuple[Pod, ...]] = {}

    def read(self) -> Mapping[str, tuple[Pod, ...]]:
        """By the name of a Job: the same tuple as the last time where nothing in it differs."""
        for name in sorted(self._changed):
            pod, before = self._shelf.items.get(name), self._jobs.pop(name, None)
            if before is not None and (pod is None or pod.job != before):
                self._put(before, name, None)
            if pod is not None:
                self._jobs[name] = pod.job
                self._put(pod.job, name, pod)
        self._changed.clear()
        return self._pods

    def _put(self, job: str, name: str, pod: Pod | None) -> None:
        pods = {each.name: each for each in self._pods.get(job, ())}
        if pod is None:
            del pods[name]
        else:
            pods[name] = pod
        # A Job that is known keeps its place: who compares two of these is done sooner then.
        if pods:
            self._pods[job] = tuple(pods.values())
        else:
            del self._pods[job]
