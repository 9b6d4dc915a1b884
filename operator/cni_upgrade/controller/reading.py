"""What a pass reads: side by side within a bound, each end of a request a sign that the loop moves.

An API server that takes seconds for each list is slow, and no reason to begin a new process, which
would ask it for everything again. So liveness goes by requests that end, be it without an answer,
and not by passes; and whether we look at the cluster goes by what was read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from cni_upgrade.kube.port import Listed, Object, Reader
from cni_upgrade.kube.resources import Resource

_AT_ONCE = 10
"""Reads in flight, as many as writes."""


class Reads:
    """A reader that tells how each request ended."""

    def __init__(self, kube: Reader, ended: Callable[[], None], read: Callable[[], None]) -> None:
        """`ended`: a request is over, also by a refusal or for want of an answer; `read`: it has
        brought what was asked for.
        """
        self._kube = kube
        self._ended = ended
        self._read = read
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def list(self, resource: Resource, namespace: str | None = None, **query: str) -> Listed:
        async with self._places:
            with self._told():
                return await self._kube.list(resource, namespace, **query)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        async with self._places:
            with self._told():
                return await self._kube.get(resource, namespace, name)

    async def pages(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> AsyncIterator[Listed]:
        async for page in self._kube.pages(resource, namespace, **query):
            self._ended()
            self._read()
            yield page

    async def allowed(
        self, verb: str, resource: Resource, namespace: str | None, sub: str = "", name: str = ""
    ) -> bool:
        with self._told():
            return await self._kube.allowed(verb, resource, namespace, sub, name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
            self._read()
        finally:
            self._ended()
