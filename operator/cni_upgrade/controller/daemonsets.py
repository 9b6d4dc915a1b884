"""Asks whether the DaemonSets of pods on a node that is drained are still there.

A pod whose DaemonSet is gone looks like one that is brought back, and is lost when it is evicted.
They are not watched: in a fleet they change all day long, and matter while a node is drained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cni_upgrade.kube.interface import KubeError, Reader
from cni_upgrade.kube.resources import DAEMONSETS
from cni_upgrade.planner.world.kubernetes_objects import Pod

AGAIN = 60.0  # seconds for which an answer is good: nodes that are drained at once share it
REFUSED = 10.0  # seconds before a DaemonSet is asked for again that the API server did not tell


class DaemonSets:
    """What was answered lately, by namespace and name."""

    def __init__(self, kube: Reader) -> None:
        self._kube = kube
        self._there: dict[tuple[str, str], tuple[float, bool | str]] = {}
        """Until when an answer is good, and the answer: a text says why it is not known."""

    async def judged(self, pods: Iterable[Pod], now: float) -> tuple[Pod, ...]:
        """The same pods, those of DaemonSets marked as orphaned or not, or as doubtful and why.

        `now` is in seconds of a clock that only goes forward. Raises KubeError where the API
        server does not answer at all. What it refuses is this pod's alone: anybody who may make
        pods may write a name into one that the API server, or we, will not hear of.
        """
        self._there = {key: known for key, known in self._there.items() if now < known[0]}
        return tuple([await self._one(pod, now) for pod in pods])

    async def _one(self, pod: Pod, now: float) -> Pod:
        if pod.judged:
            return pod
        key = (pod.namespace, pod.daemonset)
        if key not in self._there:
            told = await self._exists(*key)
            self._there[key] = (now + (REFUSED if isinstance(told, str) else AGAIN), told)
        there = self._there[key][1]
        if isinstance(there, str):
            return replace(pod, doubt=there)
        return replace(pod, orphaned=not there)

    async def _exists(self, namespace: str, name: str) -> bool | str:
        try:
            await self._kube.get(DAEMONSETS, namespace, name)
        except KubeError as error:
            if error.status == 0:
                raise
            return False if error.gone else error.message
        return True
