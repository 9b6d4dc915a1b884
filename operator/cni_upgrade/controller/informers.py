"""Follows Nodes and pods, each object trimmed the moment it is read.

Policies, node states and Jobs come by kopf (kopf_handlers.py). kopf hands on whole objects and
keeps a memory, a queue and a worker for each: too dear for Nodes of 10 KB that change every few
minutes. A watch here goes on where the last one ended, so nothing is missed in between; where the
API server has forgotten that far back, everything is listed again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.object_cache import ObjectCache, version_of
from cni_upgrade.kube.interface import Kube, KubeError, Object, Reader
from cni_upgrade.kube.resources import EVENTS, JOBS, NODE_STATES, NODES, PODS, Resource

log = logging.getLogger(__name__)

PAUSES = (1.0, 1.0, 2.0, 3.0, 5.0)  # seconds; after an outage nobody waits long for the next try
WATCH = 300  # seconds after which a watch is begun anew
LISTEN = 60  # the same of Events: no bookmark tells that one lives, so it ends before it seems dead

AGENTS_ONLY = f"{names.LABEL_COMPONENT}=agent"
PROOFS_ONLY = f"{names.LABEL_COMPONENT}=proof"
WARNINGS = "type=Warning"
NOTHING = "metadata.name=cni-upgrade-none"
"""A list of one name costs etcd one look, and tells as well how far all of them have come."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One collection that is listed whole and then followed."""

    shelf: ObjectCache[Any]
    resource: Resource
    namespace: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    by_kopf: bool = False
    """Whether kopf tells what happens after the list."""

    async def replace(self, kube: Reader) -> None:
        """Heal the shelf from a whole list, read page by page."""
        pages = kube.pages(self.resource, self.namespace, **self.query)
        await self.shelf.replace_by(pages)


def kinds(store: ClusterStore) -> tuple[Kind, ...]:
    """What is listed; in the agents' namespace and the proofs' only what bears our label."""
    spaces = store.config.namespaces
    return (
        Kind(store.nodes, NODES),
        Kind(store.states, NODE_STATES, by_kopf=True),
        Kind(store.jobs, JOBS, spaces.agents, {"labelSelector": AGENTS_ONLY}, by_kopf=True),
        Kind(store.agents, PODS, spaces.agents, {"labelSelector": AGENTS_ONLY}),
        Kind(store.proofs, PODS, spaces.proof, {"labelSelector": PROOFS_ONLY}),
    )


class Informers:
    """Brings what happens into the store, and says when it is news to the planner."""

    def __init__(
        self,
        kube: Kube,
        store: ClusterStore,
        changed: Callable[[], None],
        missed: Callable[[], None],
        ready: Callable[[], Any],
    ) -> None:
        """`missed` is called where a list must heal the store; `ready` waits until one has."""
        self._kube = kube
        self._store = store
        self._changed = changed
        self._missed = missed
        self._ready = ready

    async def run(self) -> None:
        """Until cancelled."""
        spaces = self._store.config.namespaces
        async with asyncio.TaskGroup() as tasks:
            for kind in kinds(self._store):
                if not kind.by_kopf:
                    tasks.create_task(self._follow(kind))
            for namespace in (spaces.agents, spaces.proof):
                tasks.create_task(self._listen(namespace))

    async def _follow(self, kind: Kind) -> None:
        async def once() -> None:
            shelf = kind.shelf
            version, query = shelf.as_of, kind.query
            events = self._kube.watch(kind.resource, kind.namespace, version, WATCH, **query)
            async for event in events:
                raw = event["object"]
                if event["type"] == "BOOKMARK":
                    shelf.as_of = raw["metadata"]["resourceVersion"]
                    continue
                news = shelf.drop(raw) if event["type"] == "DELETED" else shelf.put(raw)
                shelf.as_of = raw["metadata"]["resourceVersion"]
                if news:
                    self._changed()

        await self._again(once, kind.resource)

    async def _listen(self, namespace: str) -> None:
        """Warnings about our pods and Jobs: of each pod or Job the newest is what counts.

        No bookmark moves a watch of Events on while no Warning comes, and after five minutes etcd
        has forgotten where that was. So each watch first asks how far Events have come: what has
        happened until then it has told when it ends.
        """
        version = ""

        def heard(raw: Object) -> None:
            if self._store.warnings.hear(raw):
                self._changed()

        async def reached(selector: str) -> str:
            """How far Events have come, with all heard that the selector picks."""
            found = ""
            async for page in self._kube.pages(EVENTS, namespace, fieldSelector=selector):
                for raw in page.items:
                    heard(raw)
                found = page.resource_version
            return found

        async def once() -> None:
            nonlocal version
            until = await reached(NOTHING) if version else ""
            if version_of(until) < version_of(version):
                # A restored etcd, which would tell nothing before it has come as far again.
                self._store.warnings.doubt()
                version = ""
            known = bool(version)
            if not known:
                version = until = await reached(WARNINGS)
            began = time.monotonic()
            try:
                query = {"fieldSelector": WARNINGS}
                async for event in self._kube.watch(EVENTS, namespace, version, LISTEN, **query):
                    version = event["object"]["metadata"]["resourceVersion"]
                    # An Event that expires says nothing new.
                    if event["type"] in ("ADDED", "MODIFIED"):
                        heard(event["object"])
            except KubeError as error:
                if error.status == 410:
                    version = ""
                # Where nobody could listen for minutes that is no more than what is to be expected.
                if not (known and error.status == 410):
                    raise
                return
            # An API server that is told to end ends its watches early, and may owe them something.
            if time.monotonic() - began >= LISTEN * 0.9:
                version = max(version, until, key=version_of)

        await self._again(once, EVENTS)

    async def _again(self, once: Callable[[], Any], resource: Resource) -> None:
        failures = 0
        while True:
            await self._ready()
            try:
                await once()
            except KubeError as error:
                log.warning("the watch of %s ended: %s", resource.plural, error)
                # One that is busy or away is asked again from where we were: it still tells that.
                busy = error.unreachable or error.status == 429
                if not busy and resource is not EVENTS:
                    self._missed()
                failures += 1
            except Exception:
                # One watch that ends with a mistake of our own would end the others as well.
                log.exception("the watch of %s ended over an error of our own", resource.plural)
                if resource is not EVENTS:
                    self._missed()
                failures += 1
            else:
                failures = 1
            # Also after a good end: an API server that ends each watch at once is not stormed.
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES)) - 1])
