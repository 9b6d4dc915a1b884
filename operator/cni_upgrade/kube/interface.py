"""What we ask of Kubernetes, as a Protocol: the planner and most tests never see past it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from cni_upgrade.kube.resources import Resource

Object = dict[str, Any]

tried: ContextVar[Callable[[], None]] = ContextVar("tried", default=lambda: None)
"""Called when a request is over that this task has sent, or one that it began: answered or not, and
also where it is sent again. Who waits for many tries can be told by it from who hangs; and requests
of others, the lease's say, tell nothing of this task.
"""


class KubeError(Exception):
    """The API server said no. `status` is the HTTP status, 0 where no answer came at all."""

    def __init__(
        self, status: int, reason: str, message: str, causes: Sequence[Mapping[str, str]] = ()
    ) -> None:
        super().__init__(message or reason)
        self.status = status
        self.reason = reason
        self.message = message or reason
        self.causes = tuple(causes)
        self.retry_after: float | None = None
        """Seconds after which the API server wants to be asked again, where it says so."""

    @property
    def gone(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Somebody else was first: what we knew is old, the next pass looks again."""
        return self.status == 409

    @property
    def unreachable(self) -> bool:
        """The API server is not there or not well: what it did meanwhile may have been missed."""
        return self.status == 0 or self.status >= 500


@dataclass(frozen=True, slots=True)
class Listed:
    """A whole collection as of one instant."""

    items: Sequence[Object]
    resource_version: str


class Reader(Protocol):
    """What changes nothing. Every method raises KubeError."""

    async def list(self, resource: Resource, namespace: str | None = None, **query: str) -> Listed:
        """All objects, in pages; `query` is labelSelector or fieldSelector."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """One object; 404 where it is not there."""

    def pages(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> AsyncIterator[Listed]:
        """The same page by page, for what would be too much at once; all are of one instant."""

    async def allowed(
        self, verb: str, resource: Resource, namespace: str | None, sub: str = "", name: str = ""
    ) -> bool:
        """Whether we may, to all or to the object of that name; asked of the API server itself."""


class Kube(Reader, Protocol):
    """All that we ask."""

    def watch(
        self,
        resource: Resource,
        namespace: str | None,
        version: str,
        seconds: int,
        **query: str,
    ) -> AsyncIterator[Object]:
        """What happens after that resourceVersion, as `{"type": .., "object": ..}`.

        Ends after so many seconds. KubeError 410 where the version is too
        old: what happened since is not told any more. Without a version: what is there, as ADDED.
        """

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """A new object; 409 where the name is taken."""

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Object, sub: str = ""
    ) -> Object:
        """A merge patch; a `metadata.resourceVersion` in it makes it conditional."""

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, propagation: str
    ) -> Object:
        """Delete exactly that object; 404 and 409 (another uid) mean that it is gone already.

        Answers the object where it is to go later, or a Status where it is gone.
        """

    async def evict(self, namespace: str, name: str, uid: str) -> None:
        """Ask a pod to leave; 429 where a disruption budget keeps it."""
