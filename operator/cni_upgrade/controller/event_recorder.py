"""Kubernetes Events, beside the writes that they tell of: kept until the API server takes them.

They go out one after the other, so that a fleet's Events never crowd out its work, and each has its
name before it is sent, so that one whose answer was lost is not told twice.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from cni_upgrade.api import names
from cni_upgrade.controller.clock import utc_now
from cni_upgrade.kube.interface import Kube, KubeError, Object
from cni_upgrade.kube.resources import EVENTS
from cni_upgrade.planner.world.decisions import Emit

log = logging.getLogger(__name__)

COMPONENT = "cni-upgrade-operator"

_MOST = 20_000
"""Events that wait: more than four for each of 5,000 nodes. The oldest goes first."""
_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between tries while the API server is away


class EventRecorder:
    """Events that wait, and the task that sends them."""

    def __init__(self, kube: Kube, now: Callable[[], datetime] = utc_now) -> None:
        """`now`: the time that the records go by, so that an Event agrees with its record."""
        self._kube = kube
        self._now = now
        self._waiting: dict[tuple[str, str, str], Object] = {}
        """By whom it is about, its reason and its text; in their order."""
        self._news = asyncio.Event()
        self.lost = 0
        """Events that were given up."""

    @property
    def waiting(self) -> int:
        """Events that were not sent yet."""
        return len(self._waiting)

    def say(self, emit: Emit) -> None:
        """Take an Event in; one that says what a waiting one says only counts."""
        now = self._now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        text = emit.message[:1024]
        key = (emit.uid, emit.reason, text)
        if (same := self._waiting.get(key)) is not None:
            same["count"] += 1
            same["lastTimestamp"] = now
            return
        if len(self._waiting) >= _MOST:
            self._give_up(self._waiting.pop(next(iter(self._waiting))), "too many wait")
        self._waiting[key] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": _named(emit.name)},
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": emit.kind,
                "name": emit.name,
                "uid": emit.uid,
            },
            "type": emit.type,
            "reason": emit.reason,
            "message": text,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._news.set()

    async def run(self) -> None:
        """Send what waits, until cancelled; while the API server is away it goes on waiting."""
        tries = 0
        while True:
            try:
                await self.send()
                tries = 0
                self._news.clear()
                await self._news.wait()
            except KubeError as error:
                log.info("%d events wait: %s", self.waiting, error)
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1

    async def send(self) -> None:
        """Send all that waits. Raises KubeError where trying again later may help."""
        while self._waiting:
            key, event = next(iter(self._waiting.items()))
            sent = event["count"]
            try:
                # Events of cluster-scoped objects live in the namespace "default".
                await self._kube.create(EVENTS, "default", dict(event))
            except KubeError as error:
                if error.unreachable or error.status == 429:
                    raise
                # 409: it is there, its answer was lost.
                if not error.conflict:
                    self._give_up(event, str(error))
            if (again := event["count"] - sent) and key in self._waiting:
                # It was said once more while it was on its way.
                event |= {"count": again, "firstTimestamp": event["lastTimestamp"]}
                event["metadata"] = {"name": _named(event["involvedObject"]["name"])}
            else:
                self._waiting.pop(key, None)

    def end(self) -> None:
        """Give up what waits: this process ends, and no other knows of it."""
        if self._waiting:
            log.warning("%d events were lost: this replica ends", self.waiting)
        self.lost += self.waiting
        self._waiting.clear()

    def _give_up(self, event: Object, why: str) -> None:
        self.lost += 1
        name = event["involvedObject"]["name"]
        log.warning("event %s on %s was lost: %s", event["reason"], name, why)


def _named(subject: str) -> str:
    """A name that no other Event has."""
    return f"{subject[:200].rstrip('.-')}.{uuid.uuid4().hex[:16]}"
