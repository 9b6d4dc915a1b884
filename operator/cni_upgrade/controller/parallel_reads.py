"""What a pass reads: side by side within a bound, each answer a sign that the cluster is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from cni_upgrade.kube.interface import Listed, Object, Reader
from cni_upgrade.kube.resources import Resource

_AT_ONCE = 10
"""Reads in flight, as many as writes."""


class Reads:
    """A reader that tells of each request that has brought what was asked for."""

    def __init__(self, kube: Reader, read: Callable[[], None]) -> None:
        self._kube = kube
        self._read = read
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def list(self, resource: Resource, namespace: str | None = None, **query: str) -> Listed:
        async with self._places:
            listed = await self._kube.list(resource, namespace, **query)
        self._read()
        return listed

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        async with self._places:
            found = await self._kube.get(resource, namespace, name)
        self._read()
        return found

    async def pages(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> AsyncIterator[Listed]:
        async for page in self._kube.pages(resource, namespace, **query):
            self._read()
            yield page

    async def allowed(
        self, verb: str, resource: Resource, namespace: str | None, sub: str = "", name: str = ""
    ) -> bool:
        answer = await self._kube.allowed(verb, resource, namespace, sub, name)
        self._read()
        return answer
