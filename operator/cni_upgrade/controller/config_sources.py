"""Reads the ConfigMaps of network add-ons, each by its name, and only those that nodes lead to.

One right to list one name is all that it takes, which rules a watch by kopf out; these ConfigMaps
change once in a year, so they are read every few minutes. Without the right, or without an answer,
everything else goes on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection

from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.kube.interface import KubeError, Reader
from cni_upgrade.kube.resources import CONFIGMAPS
from cni_upgrade.planner.status.config_sources import Pair, pairs, trimmed, wanted
from cni_upgrade.planner.world.snapshot import ConfigMap

log = logging.getLogger(__name__)

AGAIN = 240.0  # seconds between two reads of one
DENIED = 20.0  # seconds before a right that was missing is asked for again


class Sources:
    """Keeps what the store knows of them new enough."""

    def __init__(self, kube: Reader, store: ClusterStore) -> None:
        self._kube = kube
        self._store = store
        self._next: dict[str, float] = {}
        self._changed = store.states.follow()
        self._pairs: dict[str, frozenset[Pair]] = {}
        """By node: its files and who manages them."""
        self._nodes: Counter[Pair] = Counter()
        """How many nodes have such a file."""

    async def look(self, now: float) -> None:
        """Read what is due; `now` is in seconds of a clock that only goes forward."""
        store = self._store
        places = wanted(self._known(), store.config)
        for place in [each for each in store.configmaps if each not in places]:
            del store.configmaps[place]
            self._next.pop(place, None)
        for place in places:
            if now < self._next.get(place, now):
                continue
            self._next[place] = now + AGAIN
            try:
                store.configmaps[place] = await self._one(place)
            except KubeError as error:
                log.warning("ConfigMap %s could not be read: %s", place, error)
            else:
                if store.configmaps[place].refused:
                    self._next[place] = now + DENIED

    def _known(self) -> Collection[Pair]:
        """Of all nodes; only those that have changed are looked through, of thousands."""
        while self._changed:
            name = self._changed.pop()
            self._nodes -= Counter(self._pairs.pop(name, ()))
            if (state := self._store.states.items.get(name)) is not None:
                self._pairs[name] = pairs(state)
                self._nodes += Counter(self._pairs[name])
        return self._nodes.keys()

    async def _one(self, place: str) -> ConfigMap:
        namespace, _, name = place.partition("/")
        # Asked first, since a refusal would have us doubt, and ask for, every other right as well.
        if not await self._kube.allowed("list", CONFIGMAPS, namespace, name=name):
            before = self._store.configmaps.get(place)
            if before is None or not before.refused:
                log.warning("ConfigMap %s may not be read: list by that name is not granted", place)
            return ConfigMap(None, refused=True)
        listed = await self._kube.list(CONFIGMAPS, namespace, fieldSelector=f"metadata.name={name}")
        data = listed.items[0].get("data") or {} if listed.items else None
        return trimmed(data, place, self._store.config)
