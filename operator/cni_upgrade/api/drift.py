"""Drift: a file that was written for a policy, and that somebody else changes afterwards."""

from pydantic import Field

from cni_upgrade.api.base import Model
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
