"""What a policy changed on a node: the record by which its deletion gives that back."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from cni_upgrade.api.base import Model, Text, Time, Word, first
from cni_upgrade.api.policy_ref import PolicyRef


class ChangedFile(Model):
    """One file that a policy changed."""

    name: Word = Field(description="Name of the file in the folder of configs.")
    backup: Word = Field(description="Backup on the node that holds it as it was before.")
    from_: Word = Field(
        default="missing",
        alias="from",
        description='The CNI version before the policy; "missing" when there was none.',
    )
    to: Word | None = Field(default=None, description="The CNI version that was written last.")
    sha256: Word = Field(default="", description="SHA-256 of what was written last.")


class Changed(Model):
    """What a policy changed on the node: what its deletion may give back."""

    policy: PolicyRef = Field(description="The policy that changed them.")
    files: Annotated[tuple[ChangedFile, ...], Field(max_length=32), BeforeValidator(first(32))] = (
        Field(default=(), description="Files that are not yet as they were before it.")
    )
    unknown: bool = Field(
        default=False,
        description="True when the record was made anew and the backups on the node could not be "
        "read: what the policy changed is not known, and is not given back.",
    )
    drain: bool = Field(
        default=False,
        description="True when pods that run keep the files from being given back: they leave "
        "first.",
    )
    restored: Word | None = Field(
        default=None,
        description="What became of it when the policy was deleted: Restored, Refused (nothing "
        "was touched), Failed or GivenUp; absent while the change stands.",
    )
    restored_at: Time | None = Field(default=None, description="When that was known.")
    message: Text = Field(default="", description="The same in one sentence.")
