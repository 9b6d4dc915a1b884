"""Shows all that kopf does here: start-up, clean-up, probe, login, and the events of three kinds.

The handlers feed the store and wake the planner, which schedules the node-agent Jobs. `on.event`
handlers write nothing on anybody's objects: no annotation, no finalizer. The handlers of kopf that
act (create, update, timers, daemons, indexes) write on each object or do not scale; docs/adr has
the figures.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import kopf
from kubernetes.aio.client import ApiClient

from cni_upgrade.controller.controller import Controller
from cni_upgrade.controller.informers import AGENTS_ONLY
from cni_upgrade.controller.object_cache import ObjectCache
from cni_upgrade.kube.resources import JOBS, NODE_STATES, POLICIES, Resource

registry = kopf.OperatorRegistry()

QUIET = 70.0  # seconds without anything, bookmarks of each minute included: the watch is dead
RELISTED = 30.0
"""Seconds without an object of a list: the next one is of another list. A page comes sooner."""


class Backoffs:
    """Seconds between the tries of one of kopf's requests, without end.

    With a last try kopf, and with it the process, would end over a right that was taken away or an
    API server that is down for a minute.
    """

    def __init__(self, first: tuple[float, ...] = (1.0, 1.0, 2.0, 3.0), then: float = 5.0) -> None:
        self._first, self._then = first, then

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(self._first, itertools.repeat(self._then))


async def operate(controller: Controller, namespace: str, liveness: str) -> None:
    """Run kopf with the handlers below until a signal, or until the controller has ended.

    `namespace` is that of the agents; `liveness` is the URL at which kopf answers the probe.
    """
    await kopf.operator(
        registry=registry,
        memo=controller,
        standalone=True,
        namespaces=[namespace],
        liveness_endpoint=liveness,
        stop_flag=controller.ended,
    )


@kopf.on.startup(registry=registry)
async def start(settings: kopf.OperatorSettings, memo: Controller, **_: object) -> None:
    """Keep kopf from writing, make it patient, and begin to list, follow, plan and act."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.worker_limit = None
    # A worker keeps the last object that it was given until it ends: 5,000 of them for 5 s.
    settings.queueing.idle_timeout = 0.5
    # A silent watch is closed and begun again, so that a dead connection is noticed.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.inactivity_timeout = QUIET
    settings.watching.label_selectors[JOBS.group, JOBS.version, JOBS.plural] = AGENTS_ONLY
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = Backoffs()
    # The kubelet ends a process that hangs; kopf is not to kill it before it has tidied up.
    settings.process.ultimate_exiting_timeout = None
    memo.start()
    await memo.kinds_served()


@kopf.on.cleanup(registry=registry)
async def stop(memo: Controller, **_: object) -> None:
    """End what was started: the last Events are told, the lease is released."""
    await memo.stop()


@kopf.on.probe(registry=registry, id="loop", errors=kopf.ErrorsMode.PERMANENT, retries=1)
async def alive(memo: Controller, **_: object) -> str:
    """Answer the liveness probe. Raises PermanentError while the planner's loop hangs."""
    if trouble := memo.loop.alive():
        raise kopf.PermanentError(trouble)
    return "ok"


@kopf.on.login(registry=registry)
async def login(memo: Controller, **_: object) -> kopf.ConnectionInfo:
    """Hand kopf the server and the credentials of our own connection."""
    return await connection_info(memo.api)


@kopf.on.event(POLICIES.group, POLICIES.version, POLICIES.plural, registry=registry)
async def policy_event(event: kopf.RawEvent, memo: Controller, **_: object) -> None:
    """Take in what happened to a CNIUpgradePolicy."""
    _hear(memo, POLICIES, memo.store.policies, event)


@kopf.on.event(NODE_STATES.group, NODE_STATES.version, NODE_STATES.plural, registry=registry)
async def node_state_event(event: kopf.RawEvent, memo: Controller, **_: object) -> None:
    """Take in what happened to a CNINodeState."""
    _hear(memo, NODE_STATES, memo.store.states, event)


@kopf.on.event(JOBS.group, JOBS.version, JOBS.plural, registry=registry)
async def agent_job_event(event: kopf.RawEvent, memo: Controller, **_: object) -> None:
    """Take in what happened to the Job of a node agent."""
    _hear(memo, JOBS, memo.store.jobs, event)


def _hear(memo: Controller, kind: Resource, shelf: ObjectCache[Any], event: kopf.RawEvent) -> None:
    if event["type"] is None and _relisted(memo, kind):
        # kopf tells nothing of what was deleted before its new list: our own list finds that.
        memo.loop.relist()
    raw = event["object"]
    if shelf.drop(raw) if event["type"] == "DELETED" else shelf.put(raw):
        memo.loop.wake()


def _relisted(memo: Controller, kind: Resource) -> bool:
    """Whether the object at hand is the first one of a list that is not kopf's first list."""
    now, before = time.monotonic(), memo.listed_at.get(kind.plural)
    memo.listed_at[kind.plural] = now
    return before is not None and now - before > RELISTED


async def connection_info(api: ApiClient) -> kopf.ConnectionInfo:
    """Return what our own connection was configured with, its token read again."""
    configuration = api.configuration
    refresh = configuration.refresh_api_key_hook
    if refresh is not None:
        # The token of a service account is renewed on disk about every hour.
        answer = refresh(configuration)
        if answer is not None:
            await answer
    scheme, _, token = configuration.api_key.get("BearerToken", "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme.capitalize() or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
