"""One request to the API server: its verb, its path, and whether only the leader may send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import ACCESS_REVIEWS, EVENTS, LEASES, Resource
from cni_upgrade.kube.rights import LEASE

_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what is asked of which kind of object, and with what."""

    verb: str
    """The HTTP method, or WATCH: a GET that has a name of its own in the metrics."""
    resource: Resource
    path: str
    body: Any = None
    query: dict[str, str] | None = None
    content_type: str = "application/json"

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.verb == "WATCH" else self.verb

    @property
    def fenced(self) -> bool:
        """Whether only the replica that leads may send it: each write but those of the Lease that
        says who leads, questions that are asked by POST, and Events: they tell of writes that were
        done, under names of their own, and no other replica knows of them."""
        if self.method == "GET" or self.resource in (ACCESS_REVIEWS, EVENTS):
            return False
        if self.resource != LEASES:
            return True
        # The Lease on a node is not every replica's: the next leader may have begun there.
        made = self.method == "POST"
        name = self.body["metadata"]["name"] if made else self.path.rpartition("/")[2]
        return bool(name != LEASE)

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


def path_of(
    resource: Resource, namespace: str | None = None, name: str | None = None, sub: str = ""
) -> str:
    """The path of the collection, of one object, or of its subresource.

    Names come from objects that others write, an ownerReference say, which nobody holds to be one:
    left as it is, it would ask for something else. Raises KubeError for what can be no name.
    Source: k8s.io/apimachinery v0.34.4 pkg/api/validation/path/name.go.
    """
    for segment in (namespace, name):
        if segment is None:
            continue
        wrong = segment in ("", ".", "..") or "/" in segment or "%" in segment
        if wrong or len(segment) > _LONGEST_NAME:
            text = f"{segment[:_LONGEST_NAME]!r} cannot be a name, {resource.plural} were not asked"
            raise KubeError(422, "Invalid", text)
    quoted = [None if each is None else quote(each, safe="") for each in (namespace, name)]
    return resource.path(quoted[0], quoted[1], sub)
