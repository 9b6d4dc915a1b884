"""What a pass reads: side by side within a bound, each answer a sign that the loop is not stuck.

An API server that takes seconds for each list is slow, and no reason to begin a new process, which
would ask it for everything again. So liveness goes by answers, of whatever kind, and not by passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from cni_upgrade.kube.port import Listed, Object, Reader
from cni_upgrade.kube.resources import Resource

_AT_ONCE = 10
"""Reads in flight, as many as writes."""


class Reads:
    """A reader that tells of each answer, be it a refusal."""

    def __init__(self, kube: Reader, answered: Callable[[], None]) -> None:
        self._kube = kube
        self._answered = answered
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def list(self, resource: Resource, namespace: str | None = None, **query: str) -> Listed:
        async with self._places:
            try:
                return await self._kube.list(resource, namespace, **query)
            finally:
                self._answered()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        async with self._places:
            try:
                return await self._kube.get(resource, namespace, name)
            finally:
                self._answered()

    async def pages(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> AsyncIterator[Listed]:
        async for page in self._kube.pages(resource, namespace, **query):
            self._answered()
            yield page

    async def allowed(
        self, verb: str, resource: Resource, namespace: str | None, sub: str = "", name: str = ""
    ) -> bool:
        try:
            return await self._kube.allowed(verb, resource, namespace, sub, name)
        finally:
            self._answered()
