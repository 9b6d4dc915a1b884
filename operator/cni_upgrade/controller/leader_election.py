"""Keeps the lease while it is ours, waits for it while it is another replica's."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime

from cni_upgrade.controller.clock import ticks
from cni_upgrade.controller.leader_lease import Election
from cni_upgrade.kube.interface import Kube, KubeError, Object
from cni_upgrade.kube.resources import LEASES
from cni_upgrade.kube.rights import LEASE

log = logging.getLogger(__name__)

_JITTER = 0.2
"""Two replicas that wait do not ask in step for ever."""


class LeaderElection:
    """The lease in the operator's namespace. Only who leads plans and writes."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        election: Election,
        changed: Callable[[], None],
        clock: Callable[[], float] = ticks,
    ) -> None:
        """`changed` is called when the lease was won, lost, or both; `clock` is in seconds."""
        self._clock = clock
        self._kube = kube
        self._namespace = namespace
        self._election = election
        self._changed = changed
        self._led = (False, 0)
        self._trouble = ""
        self._known = False

    def leads(self) -> bool:
        """Whether a plan may be made and carried out now."""
        return self._election.leads(self._clock())

    def left(self) -> float:
        """Seconds that a write which begins now may take; 0 where none may begin."""
        return self._election.left(self._clock())

    def waits(self) -> str:
        """Empty where the lease was seen, else why it is not known who leads."""
        return "" if self._known else f"the lease could not be read yet{self._trouble}"

    async def run(self) -> None:
        """Until cancelled."""
        timing = self._election.timing
        while True:
            await self.once()
            pause = timing.retry
            if not self.leads():
                pause *= 1 + _JITTER * random.random()  # noqa: S311 - no secret
            await asyncio.sleep(pause)

    async def once(self) -> None:
        """One try to renew the lease, or to take it."""
        try:
            # A request that hangs must not cost the time in which another one would get through.
            async with asyncio.timeout(self._election.timing.renew / 2):
                await self._try()
            self._known, self._trouble = True, ""
        except TimeoutError:
            self._say(f"no answer within {self._election.timing.renew / 2:.0f} s")
        except KubeError as error:
            self._say(str(error))
        # By the term as well: one that was frozen while another one led may lead again by now.
        led, self._led = self._led, (self.leads(), self._election.terms)
        if led == self._led:
            return
        if self.leads():
            log.info("this replica leads from now on, as %s", self._election.identity)
        else:
            log.warning("this replica leads no more; the lease is held by %s", self._holder())
        self._changed()

    def _holder(self) -> str:
        return self._election.holder or "nobody"

    def _say(self, why: str) -> None:
        if self.leads() or self._trouble != f": {why}":
            log.warning("the lease could not be renewed or read: %s", why)
        self._trouble = f": {why}"

    async def _try(self) -> None:
        if self.leads():
            try:
                await self._bid()
            except KubeError as error:
                if not (error.conflict or error.gone):
                    raise
            else:
                return
        # Somebody has written it, or we do not have it: look before another bid.
        await self._look()
        try:
            await self._bid()
        except KubeError as error:
            if not (error.conflict or error.gone):
                raise
            await self._look()

    async def _look(self) -> None:
        lease: Object | None
        try:
            lease = await self._kube.get(LEASES, self._namespace, LEASE)
        except KubeError as error:
            if not error.gone:
                raise
            lease = None
        self._election.saw(lease, self._clock())

    async def _bid(self) -> None:
        sent = self._clock()
        body = self._election.bid(sent, datetime.now(UTC))
        if body is None:
            return
        self._election.won(await self._write(body), sent)

    async def _write(self, body: Object) -> Object:
        if "resourceVersion" in body["metadata"]:
            return await self._kube.patch(LEASES, self._namespace, LEASE, body)
        meta = {**body["metadata"], "namespace": self._namespace}
        made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body, "metadata": meta}
        return await self._kube.create(LEASES, self._namespace, made)

    async def release(self) -> None:
        """Give the lease back, so that another replica need not wait for it to run out."""
        body = self._election.release(datetime.now(UTC))
        if body is None:
            return
        try:
            async with asyncio.timeout(self._election.timing.retry):
                await self._write(body)
            log.info("the lease was given back")
        except (KubeError, TimeoutError) as error:
            log.warning("the lease runs out, it could not be given back: %s", error)
