"""Watches the switch that stops everything: an annotation on the namespace of the agents.

Apart from the other watches, and short: kopf would want a right on every namespace, and a watch
that died without a word must not keep this one thing from being heard for minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.kube.interface import Kube, KubeError
from cni_upgrade.kube.resources import NAMESPACES

log = logging.getLogger(__name__)

SECONDS = 20  # of one watch; the list that follows it heals what was missed
AGAIN = 1.0  # seconds before a watch that has ended, and be it at once, is begun anew


async def follow(kube: Kube, store: ClusterStore, changed: Callable[[], None]) -> None:
    """Until cancelled. `changed` is called when the switch was thrown, or thrown back."""
    name = store.config.namespaces.agents
    query = {"fieldSelector": f"metadata.name={name}"}

    before = store.stopped

    def looked() -> None:
        nonlocal before
        if (now := store.stopped) != before:
            before = now
            log.warning("%s", f"everything is stopped: {now}" if now else "everything goes on")
            changed()

    while True:
        try:
            await store.rooms.replace(kube.list(NAMESPACES, **query))
            looked()
            version = store.rooms.as_of
            async for event in kube.watch(NAMESPACES, None, version, SECONDS, **query):
                if event["type"] == "DELETED":
                    store.rooms.drop(event["object"])
                elif event["type"] != "BOOKMARK":
                    store.rooms.put(event["object"])
                looked()
        except KubeError as error:
            log.info("the watch of namespace %s begins anew: %s", name, error)
        await asyncio.sleep(AGAIN)
