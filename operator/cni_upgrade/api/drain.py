"""The drain: whether and how pods are moved away before a node is changed."""

from enum import StrEnum

from pydantic import Field

from cni_upgrade.api.base import Model
from cni_upgrade.api.duration import Duration


class DrainPolicy(StrEnum):
    """When a node is drained before a change."""

    NEVER = "Never"
    IF_REQUIRED = "IfRequired"
    ALWAYS = "Always"


class Drain(Model):
    """Whether and how pods are moved away before a change."""

    policy: DrainPolicy = Field(
        default=DrainPolicy.IF_REQUIRED,
        description="IfRequired (default): drain only where running pods could otherwise not be "
        "deleted after the change. Always: drain before every change. Never: a node whose change "
        "needs a drain is Blocked.",
    )
    deadline: Duration = Field(
        default="15m",
        description="How long a drain may take, for example 90s, 15m or 1h30m. Then the node is "
        "given back, and its state names the pods and budgets that were in the way. Default 15m.",
    )
    delete_empty_dir_data: bool = Field(
        default=False,
        description="Drain also pods that use emptyDir volumes, whose data is lost, as kubectl "
        "drain --delete-emptydir-data does. Default false: such a pod stops the drain.",
    )
    force: bool = Field(
        default=False,
        description="Drain also pods that no controller would create again, as kubectl drain "
        "--force does. Default false: such a pod stops the drain.",
    )
