"""kopf brings events into the store, and does nothing else: no annotation, no finalizer.

Handlers of kopf that act (create, update, timers, daemons) write on each object and are
edge-triggered; an index over 5,000 nodes costs minutes. An `on.event` handler writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf

from cni_upgrade.api import names
from cni_upgrade.controller.store import Shelf, Store
from cni_upgrade.kube.resources import EVENTS, JOBS, NODE_STATES, NODES, PODS, POLICIES, Resource

log = logging.getLogger(__name__)

Login = Callable[..., Awaitable[kopf.ConnectionInfo]]


def registry(store: Store, changed: Callable[[], None], login: Login) -> kopf.OperatorRegistry:
    """Handlers for everything that is watched; `changed` is called when the store has news."""
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made)(login)

    def listen(resource: Resource, shelf: Shelf[Any], component: str | None = None) -> None:
        async def heard(type: str | None, event: Mapping[str, Any], **_: Any) -> None:  # noqa: A002
            raw = event["object"]
            labels = raw["metadata"].get("labels") or {}
            if component is not None and labels.get(names.LABEL_COMPONENT) != component:
                return
            if shelf.drop(raw) if type == "DELETED" else shelf.put(raw):
                changed()

        selector = kopf.on.event(
            resource.group,
            resource.version,
            resource.plural,
            registry=made,
            id=f"{resource.plural}-{component or 'all'}",
        )
        selector(heard)

    listen(NODES, store.nodes)
    listen(POLICIES, store.policies)
    listen(NODE_STATES, store.states)
    listen(JOBS, store.jobs, "agent")
    listen(PODS, store.agents, "agent")
    listen(PODS, store.proofs, "proof")

    async def warned(event: Mapping[str, Any], **_: Any) -> None:
        store.heard(event["object"])
        changed()

    kopf.on.event(EVENTS.group, EVENTS.version, EVENTS.plural, registry=made)(warned)
    return made


def settings() -> kopf.OperatorSettings:
    """kopf kept from writing: no events of its own, no scanning, no peering."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True
    made.peering.standalone = True
    made.queueing.worker_limit = None
    # A silent watch is closed and begun anew, so that a dead connection is noticed.
    made.watching.server_timeout = 300
    made.watching.client_timeout = 330
    return made


async def watch(store: Store, changed: Callable[[], None], login: Login) -> None:
    """Run kopf until it is told to end. Raises what ended a watch for good, a lost right say."""
    config = store.config.namespaces
    await kopf.operator(
        registry=registry(store, changed, login),
        settings=settings(),
        standalone=True,
        namespaces=[config.agents, config.proof],
    )
