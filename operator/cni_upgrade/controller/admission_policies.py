"""Looks whether the admission policies that hold agents in are there: their absence shows nowhere.

An API server before 1.30 does not have the kind, and whoever deletes one is told nothing. Agents
work as well without them, so nothing waits for that; it is said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cni_upgrade.kube.interface import KubeError, Reader
from cni_upgrade.kube.resources import ADMISSION_BINDINGS, ADMISSION_POLICIES

log = logging.getLogger(__name__)

POLICIES = (
    "cni-upgrade-agent-pods",
    "cni-upgrade-agent-pods-fixed",
    "cni-upgrade-agent-pods-bound",
    "cni-upgrade-agent-pods-stopped",
    "cni-upgrade-agent-pods-closed",
    "cni-upgrade-agents-sent",
    "cni-upgrade-nodes-apart",
    "cni-upgrade-node-writes",
    "cni-upgrade-policy-writes",
    "cni-upgrade-guard",
)
"""As manifests/admission.yaml names them, and their bindings."""

AGAIN = 300.0  # seconds between two looks


class Admission:
    """What is known of them, told where it has changed."""

    def __init__(self, kube: Reader, tell: Callable[[int], None]) -> None:
        """`tell` is given the number of those that are seen not to hold, after each look."""
        self._kube = kube
        self._tell = tell
        self._loose: dict[str, str] = {}
        self._unseen: list[str] = []
        self._allowed: set[str] = set()
        """Those that we may look at, until a look is refused."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(AGAIN)

    async def look(self) -> None:
        """Ask for each; where the API server does not answer, what was known stays."""
        try:
            found = {name: await self._fault(name) for name in POLICIES}
        except KubeError as error:
            log.info("the admission policies could not be looked at: %s", error)
            return
        loose = {name: why for name, why in found.items() if why}
        unseen = [name for name, why in found.items() if why is None]
        if unseen and unseen != self._unseen:
            names = ", ".join(unseen)
            log.warning(
                "whether these admission policies hold is not known, they may not be looked at"
                " (manifests/rbac.yaml grants it): %s",
                names,
            )
        for name, why in loose.items():
            if self._loose.get(name) != why:
                log.error("admission policy %s %s; see manifests/admission.yaml", name, why)
        if self._loose and not loose and not unseen:
            log.info("the admission policies are all there again")
        self._loose, self._unseen = loose, unseen
        self._tell(len(loose))

    async def _fault(self, name: str) -> str | None:
        """Empty where the policy is there, and bound so that it denies; None: we may not look."""
        # Asked first, since a refusal would have us doubt, and ask for, every other right as well;
        # that of a right that was there is to: roles were changed.
        if name not in self._allowed:
            for kind in (ADMISSION_POLICIES, ADMISSION_BINDINGS):
                if not await self._kube.allowed("get", kind, None, name=name):
                    return None
            self._allowed.add(name)
        try:
            await self._kube.get(ADMISSION_POLICIES, None, name)
            binding = await self._kube.get(ADMISSION_BINDINGS, None, name)
        except KubeError as error:
            if error.gone:
                return "is not there, or not bound (an API server before 1.30 has none)"
            if error.status == 403:
                self._allowed.discard(name)
                return None
            raise
        actions = (binding.get("spec") or {}).get("validationActions") or ()
        return "" if "Deny" in actions else f"does not deny, validationActions: {actions}"
