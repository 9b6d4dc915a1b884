"""kopf brings events into the store, and does nothing else: no annotation, no finalizer.

Handlers of kopf that act (create, update, timers, daemons) write on each object and are
edge-triggered; an index over 5,000 nodes costs minutes. An `on.event` handler writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kopf

from cni_upgrade.api import names
from cni_upgrade.controller.store import Shelf, Store
from cni_upgrade.kube.resources import EVENTS, JOBS, NODE_STATES, NODES, PODS, POLICIES, Resource

_GOODBYE = 10.0  # seconds for kopf to end its watches

Login = Callable[..., Awaitable[kopf.ConnectionInfo]]


Heard = Callable[[Callable[[], bool]], None]
"""Takes what is to be done with an event: something that is true where it was news."""


def registry(store: Store, heard: Heard, login: Login) -> kopf.OperatorRegistry:
    """Handlers for everything that is watched; each hands `heard` what to do with its event."""
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made)(login)
    spaces = store.config.namespaces

    def listen(
        resource: Resource, shelf: Shelf[Any], component: str = "", namespace: str = ""
    ) -> None:
        async def handler(type: str | None, event: Mapping[str, Any], **_: Any) -> None:  # noqa: A002
            raw = event["object"]
            labels = raw["metadata"].get("labels") or {}
            # A pod of the proofs' namespace must not be able to pass for an agent.
            if component and (
                labels.get(names.LABEL_COMPONENT) != component
                or raw["metadata"]["namespace"] != namespace
            ):
                return
            heard(lambda: shelf.drop(raw) if type == "DELETED" else shelf.put(raw))

        selector = kopf.on.event(
            resource.group,
            resource.version,
            resource.plural,
            registry=made,
            id=f"{resource.plural}-{component or 'all'}",
        )
        selector(handler)

    listen(NODES, store.nodes)
    listen(POLICIES, store.policies)
    listen(NODE_STATES, store.states)
    listen(JOBS, store.jobs, "agent", spaces.agents)
    listen(PODS, store.agents, "agent", spaces.agents)
    listen(PODS, store.proofs, "proof", spaces.proof)

    async def warned(type: str | None, event: Mapping[str, Any], **_: Any) -> None:  # noqa: A002
        # An Event that expires says nothing new.
        if type != "DELETED":
            heard(lambda: store.heard(event["object"]))

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
    # At most one page of nodes at a time in memory.
    made.watching.chunk_size = 500
    # After an outage nobody waits 21 seconds for the next try.
    made.networking.error_backoffs = (1, 1, 2, 3, 5)
    made.networking.request_timeout = 60
    # It ends with us, or is started again: it is not to kill the process that it ran in.
    made.process.ultimate_exiting_timeout = None
    return made


async def watch(store: Store, changed: Callable[[], None], login: Login) -> str:
    """Run kopf until it ends, answer why; `changed` is called when the store has news.

    In a thread and an event loop of its own: when it ends, which one refused watch makes it do, it
    takes the signal handlers and all tasks of its loop with it. The store is touched in ours only.
    """
    here, there = asyncio.get_running_loop(), asyncio.new_event_loop()
    stop = asyncio.Event()

    def heard(news: Callable[[], bool]) -> None:
        def take() -> None:
            if news():
                changed()

        here.call_soon_threadsafe(take)

    async def operator() -> None:
        spaces = store.config.namespaces
        await kopf.operator(
            registry=registry(store, heard, login),
            settings=settings(),
            standalone=True,
            namespaces=[spaces.agents, spaces.proof],
            stop_flag=stop,
        )

    def room() -> None:
        with asyncio.Runner(loop_factory=lambda: there) as runner:
            runner.run(operator())

    pool = ThreadPoolExecutor(1, thread_name_prefix="kopf")
    running = here.run_in_executor(pool, room)
    try:
        await asyncio.wait([running])
        error = running.exception()
        return " ".join(f"{type(error).__name__}: {error}".split()) if error else "no reason given"
    finally:
        if not running.done():
            with contextlib.suppress(RuntimeError):  # its loop was closed just now
                there.call_soon_threadsafe(stop.set)
            await asyncio.wait([running], timeout=_GOODBYE)
        pool.shutdown(wait=False)
