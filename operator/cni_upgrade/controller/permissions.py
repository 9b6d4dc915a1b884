"""Asks what we may do, before anything is begun that we may not end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.kube import rights
from cni_upgrade.kube.interface import KubeError, Reader

log = logging.getLogger(__name__)

RETRY = 2.0  # seconds until it is asked again where there was no answer
RECHECK = 5.0  # seconds between two looks at rights that are missing or in doubt


class Permissions:
    """Every right: asked for at the start, while one is missing, and whenever one is in doubt."""

    def __init__(
        self, kube: Reader, store: ClusterStore, doubted: asyncio.Event, changed: Callable[[], None]
    ) -> None:
        """`doubted` is set by who was refused something; `changed` is called with each other
        answer, which stands in the store by then.
        """
        self._kube = kube
        self._store = store
        self._doubted = doubted
        self._changed = changed
        self._trouble = ""
        self.asked = asyncio.Event()
        """Set with the first answer. Who has none could not end what it began."""
        self.granted = asyncio.Event()
        """Set while nothing is missing."""

    def unknown(self) -> str:
        """Empty once there was an answer, else why there is none."""
        if self.asked.is_set():
            return ""
        return self._trouble or "the rights have not been asked for yet"

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._doubted.clear()
            if not await self.once():
                await asyncio.sleep(RETRY)
                continue
            await asyncio.sleep(RECHECK)
            if self.granted.is_set():
                await self._doubted.wait()

    async def once(self) -> bool:
        """Ask for all; False where it is not known now, and what was known stays."""
        try:
            denied = await self._missing()
        except KubeError as error:
            self._trouble = f"rights could not be asked for: {error}"
            log.warning("%s", self._trouble)
            return False
        before = self._store.denied
        for right in denied:
            if right not in before:
                log.error("missing right: %s; manifests/rbac.yaml grants it", right)
        if denied != before or not self.asked.is_set():
            self._store.denied = denied
            self.asked.set()
            self._changed()
        if denied:
            self.granted.clear()
        else:
            self.granted.set()
        return True

    async def _missing(self) -> tuple[str, ...]:
        config = self._store.config
        spaces = config.namespaces
        try:
            missing = await rights.missing(
                self._kube, spaces.system, spaces.agents, spaces.proof, config.lease_namespace
            )
        except KubeError as error:
            if error.status != 403:
                raise
            # That is an answer, and the same one for every replica: one has to lead and to tell it.
            return (str(rights.ASKING),)
        return tuple(str(right) for right in missing)
