"""kopf brings policies into the store, and does nothing else: no annotation, no finalizer.

Handlers of kopf that act (create, update, timers, daemons) write on each object and are
edge-triggered; an index over 5,000 nodes costs minutes. An `on.event` handler writes nothing. What
a fleet has many of is followed without kopf (following.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kopf

from cni_upgrade.controller.store import Store
from cni_upgrade.kube.resources import POLICIES

_GOODBYE = 10.0  # seconds for kopf to end its watches

Login = Callable[..., Awaitable[kopf.ConnectionInfo]]

Heard = Callable[[Callable[[], bool]], None]
"""Takes what is to be done with an event: something that is true where it was news."""


def registry(store: Store, heard: Heard, login: Login) -> kopf.OperatorRegistry:
    """The handler of policies; it hands `heard` what to do with its event."""
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made)(login)

    async def handler(type: str | None, event: Mapping[str, Any], **_: Any) -> None:  # noqa: A002
        raw = event["object"]
        shelf = store.policies
        heard(lambda: shelf.drop(raw) if type == "DELETED" else shelf.put(raw))

    kopf.on.event(POLICIES.group, POLICIES.version, POLICIES.plural, registry=made)(handler)
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
        await kopf.operator(
            registry=registry(store, heard, login),
            settings=settings(),
            standalone=True,
            clusterwide=True,
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
