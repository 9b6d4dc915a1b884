"""The part of Kubernetes' object metadata that we read or write."""

from collections.abc import Mapping

from pydantic import Field

from cni_upgrade.api.base import Model, Time


class OwnerReference(Model):
    """Who owns an object; `blockOwnerDeletion` stays false, true needs rights on the owner."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool = False


class ObjectMeta(Model):
    """Metadata as the API server returns it, cut to what is used."""

    name: str
    uid: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    resource_version: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    deletion_timestamp: Time | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
