"""How a changed node is judged, and what follows where it is worse than before."""

from enum import StrEnum

from pydantic import Field

from cni_upgrade.api.base import Model
from cni_upgrade.api.duration import Duration


class Verify(Model):
    """How a changed node is judged."""

    proof: bool = Field(
        default=True,
        description="After a change, show with pods on that node that one can be created and "
        "one from before can be deleted. Default true; false trusts the agent's own check.",
    )
    deadline: Duration = Field(
        default="2m",
        description="How long each step of the proof may take (a pod is added, a pod is deleted), "
        "for example 90s or 2m. Default 2m.",
    )
    soak: Duration | None = Field(
        default=None,
        description="How long a proved node stays cordoned and watched before it is proved once "
        "more and given back, for example 5m; shows a network add-on that puts its file back. "
        "Left out: not at all.",
    )


class OnFailure(StrEnum):
    """What happens when a node is worse than before."""

    ROLLBACK = "Rollback"
    STOP = "Stop"
