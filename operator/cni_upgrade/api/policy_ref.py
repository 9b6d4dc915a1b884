"""The policy to which something on a node belongs: by its UID, since a name may come back."""

from typing import Annotated

from pydantic import Field

from cni_upgrade.api.base import Model, Time, Uid


class PolicyRef(Model):
    """The policy that has claimed a node."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Name of the CNIUpgradePolicy."
    )
    uid: Uid = Field(
        description="UID of the CNIUpgradePolicy; a policy of the same name created later does "
        "not inherit the claim."
    )
    since: Time | None = Field(default=None, description="When the policy claimed the node.")
