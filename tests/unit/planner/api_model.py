"""An API server in memory, so that decisions meet the same refusals that a real one gives.

Objects are raw JSON as the server sends it and are never changed in place: every write makes a
new value, so a view of the cluster taken earlier stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cni_upgrade.api import names

Raw = dict[str, Any]
Key = tuple[str, str, str]
"""(kind, namespace, name)"""

OWN_KINDS = ("CNIUpgradePolicy", "CNINodeState")
"""Kinds with a status subresource whose generation counts changes of the spec."""


class ApiError(Exception):
    """The server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def stamp(at: datetime) -> str:
    """A time as the API server writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, MergePatch(Target, Patch)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


class Api:
    """The objects, and the writes that the controller and the cluster's own parts make."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.objects: dict[Key, Raw] = {}
        self.version = 0
        self._uids = 0
        self._keys: dict[str, list[Key]] = {}
        """By kind, in order; of a kind of which an object came or went, worked out again."""

    def all(self, kind: str) -> Iterator[Raw]:
        """Every object of a kind, by namespace and name."""
        if kind not in self._keys:
            self._keys[kind] = sorted(k for k in self.objects if k[0] == kind)
        for key in self._keys[kind]:
            yield self.objects[key]

    def put_back(self, objects: dict[Key, Raw]) -> None:
        """Replace all objects, as a restored etcd does."""
        self.objects = objects
        self._keys.clear()

    def find(self, kind: str, name: str, namespace: str = "") -> Raw | None:
        return self.objects.get((kind, namespace, name))

    def get(self, kind: str, name: str, namespace: str = "") -> Raw:
        found = self.find(kind, name, namespace)
        if found is None:
            raise ApiError(404, f"{kind} {name} not found")
        return found

    def create(self, kind: str, body: Mapping[str, Any]) -> Raw:
        meta = body["metadata"]
        key = (kind, meta.get("namespace", ""), meta["name"])
        if key in self.objects:
            raise ApiError(409, f"{kind} {meta['name']} already exists")
        self._uids += 1
        made = {
            **merged({}, body),
            "metadata": {
                **merged({}, meta),
                "uid": f"{kind.lower()}-{self._uids}",
                "creationTimestamp": stamp(self.now),
                "generation": 1,
            },
        }
        if kind in OWN_KINDS:
            # The default in the CRD; a status in the body of a create is dropped.
            made["status"] = {"observedGeneration": -1}
        return self._store(key, made)

    def patch(
        self,
        kind: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        sub: str = "",
        namespace: str = "",
        manager: str = names.FIELD_MANAGER,
    ) -> Raw:
        """A merge patch, guarded where it carries a resourceVersion.

        Of who has written a field last, only that of a cordon is noted.
        """
        old = self.get(kind, name, namespace)
        guard = (patch.get("metadata") or {}).get("resourceVersion")
        if guard is not None and guard != old["metadata"]["resourceVersion"]:
            raise ApiError(409, f"{kind} {name}: the object has been modified")
        new: Raw = merged(old, patch)
        if kind in OWN_KINDS:
            if sub == "status":
                new = {**old, "status": new.get("status", {})}
            else:
                new = {**new, "status": old["status"]}
                if new["spec"] != old["spec"]:
                    generation = old["metadata"]["generation"] + 1
                    new["metadata"] = {**new["metadata"], "generation": generation}
        if new == old:
            return old
        if kind == "Node" and new["spec"] != old["spec"]:
            written: Raw = {"f:spec": {"f:unschedulable": {}}} if new["spec"] else {}
            entry = {"manager": manager, "operation": "Update", "fieldsV1": written}
            new["metadata"] = {**new["metadata"], "managedFields": [entry]}
        stored = self._store((kind, namespace, name), new)
        meta = stored["metadata"]
        if kind == "CNIUpgradePolicy" and "deletionTimestamp" in meta and not meta["finalizers"]:
            self.remove(kind, name, namespace)
        return stored

    def delete(self, kind: str, name: str, uid: str | None = None, namespace: str = "") -> None:
        """Delete; a Pod with a node, or what has a finalizer, only gets its deletionTimestamp."""
        old = self.get(kind, name, namespace)
        if uid is not None and old["metadata"]["uid"] != uid:
            raise ApiError(409, f"{kind} {name}: the UID in the precondition is another one")
        held = kind == "Pod" and old["spec"].get("nodeName")
        if held or old["metadata"].get("finalizers"):
            if "deletionTimestamp" not in old["metadata"]:
                self.patch(
                    kind,
                    name,
                    {"metadata": {"deletionTimestamp": stamp(self.now)}},
                    namespace=namespace,
                )
            return
        self.remove(kind, name, namespace)

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        """Take an object out of the store, and what it owns after it."""
        gone = self.objects.pop((kind, namespace, name))
        self._keys.pop(kind, None)
        self.version += 1
        uid = gone["metadata"]["uid"]
        for (owned_kind, space, owned), raw in list(self.objects.items()):
            owners = raw["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == uid for owner in owners):
                self.delete(owned_kind, owned, namespace=space)

    def _store(self, key: Key, raw: Raw) -> Raw:
        self.version += 1
        raw = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        if key not in self.objects:
            self._keys.pop(key[0], None)
        self.objects[key] = raw
        return raw
