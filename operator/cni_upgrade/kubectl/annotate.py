"""Sets and takes away annotations by server-side apply, under a field manager of its own.

GitOps leaves what another manager owns. Flux takes over every manager whose name begins with
`kubectl`, so ours does not (docs/how-to/gitops.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cni_upgrade.kube.resources import Resource
from cni_upgrade.kubectl.cluster import Cluster, Object
from cni_upgrade.kubectl.errors import StaleError

FIELD_MANAGER: Final = "cni-upgrade-kubectl"
_TRIES = 10


def annotate(
    cluster: Cluster,
    resource: Resource,
    name: str,
    changes: Mapping[str, str | None],
    *,
    force: bool = False,
) -> Object:
    """The object with the annotations changed; None takes away one that is ours.

    An apply gives up what it does not name, so it names all that are ours. Raises OwnedError where
    another manager has set one to something else, and `force` is not given.
    """
    for attempt in range(_TRIES):
        found = cluster.get(resource, name)
        try:
            return cluster.apply(resource, name, _body(found, changes), FIELD_MANAGER, force=force)
        except StaleError:
            # The controller writes the status of a policy every few seconds.
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("not reached")


def owner_of(found: Mapping[str, Any], key: str) -> str:
    """The managers that own an annotation, in words."""
    managers = [
        str(entry.get("manager", "")) for entry in _entries(found) if key in _annotations(entry)
    ]
    return " and ".join(filter(None, managers)) or "another writer"


def _body(found: Mapping[str, Any], changes: Mapping[str, str | None]) -> Object:
    meta = found["metadata"]
    present = meta.get("annotations") or {}
    ours = {key: present[key] for key in _ours(found) if key in present}
    wanted = {key: value for key, value in {**ours, **changes}.items() if value is not None}
    return {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {
            "name": meta["name"],
            # Without them an apply would create what somebody has just deleted, and would take
            # away what the same command has just set for somebody else.
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
            "annotations": wanted,
        },
    }


def _ours(found: Mapping[str, Any]) -> Iterator[str]:
    for entry in _entries(found):
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply":
            yield from _annotations(entry)


def _entries(found: Mapping[str, Any]) -> list[Object]:
    return list(found["metadata"].get("managedFields") or ())


def _annotations(entry: Mapping[str, Any]) -> list[str]:
    fields = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
    return [key.removeprefix("f:") for key in fields if key.startswith("f:")]
