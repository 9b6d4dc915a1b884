"""Drift: a file that was written for a policy, and that somebody else changes afterwards."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from cni_upgrade.api.base import Line, Model, Time, Word, last
from cni_upgrade.api.duration import Duration


class Drift(Model):
    """What happens when somebody else changes back what was written."""

    max_reverts: int = Field(
        default=3,
        ge=0,
        le=30,
        description="How often a node is mended, within the time that within says, after somebody "
        "else has changed a file that was written for this policy. Then the node is "
        "ManagedElsewhere, and the other program is named as far as it is known. Default 3; 0 "
        "never mends.",
    )
    within: Duration = Field(
        default="24h",
        description="The time in which maxReverts counts, for example 12h or 24h. Default 24h.",
    )


class DriftStatus(Model):
    """Changes of somebody else to a file that was written here."""

    found: Annotated[tuple[Time, ...], Field(max_length=32), BeforeValidator(last(32))] = Field(
        default=(), description="When such changes were found, oldest first; the last 32."
    )
    file: Word = Field(default="", description="Name of the file that was changed last.")
    sha256: Word | None = Field(
        default=None,
        description="SHA-256 of what stands there instead; absent once it was mended.",
    )
    spent: bool = Field(
        default=False,
        description="True once spec.drift of the policy is used up: nothing is mended until a "
        "person asks (cniupgrade.dev/retry) or the file holds something else.",
    )
    fought: Word | None = Field(
        default=None,
        description="SHA-256 of what stood there when it was used up: not mended by itself.",
    )
    retry: Word = Field(
        default="/",
        description="Digests of cniupgrade.dev/retry of the policy and of this node state when it "
        "was found.",
    )
    writer: Line = Field(
        default="", description="Who writes the file, as far as the audit could find out."
    )
