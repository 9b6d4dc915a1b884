"""Asks whether the DaemonSets of pods on a node that is drained are still there.

A pod whose DaemonSet is gone looks like one that is brought back, and is lost when it is evicted.
They are not watched: in a fleet they change all day long, and matter while a node is drained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cni_upgrade.fleet.objects import Pod
from cni_upgrade.kube.port import Kube, KubeError
from cni_upgrade.kube.resources import DAEMONSETS

AGAIN = 60.0  # seconds for which an answer is good: nodes that are drained at once share it


class DaemonSets:
    """What was answered lately, by namespace and name."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._there: dict[tuple[str, str], tuple[float, bool]] = {}

    async def judged(self, pods: Iterable[Pod], now: float) -> tuple[Pod, ...]:
        """The same pods, those of DaemonSets marked as orphaned or not.

        `now` is in seconds of a clock that only goes forward. Raises KubeError where the API
        server does not say.
        """
        self._there = {key: at for key, at in self._there.items() if now - at[0] < AGAIN}
        return tuple([await self._one(pod, now) for pod in pods])

    async def _one(self, pod: Pod, now: float) -> Pod:
        if pod.judged:
            return pod
        key = (pod.namespace, pod.daemonset)
        if key not in self._there:
            self._there[key] = (now, await self._exists(*key))
        return replace(pod, orphaned=not self._there[key][1])

    async def _exists(self, namespace: str, name: str) -> bool:
        try:
            await self._kube.get(DAEMONSETS, namespace, name)
        except KubeError as error:
            if not error.gone:
                raise
            return False
        return True
