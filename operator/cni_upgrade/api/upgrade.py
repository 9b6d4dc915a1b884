"""Who brings a node's runtime and kubelet to the target, and how long that is waited for."""

from enum import StrEnum

from pydantic import Field

from cni_upgrade.api.base import Model
from cni_upgrade.api.duration import Duration


class UpgradeMethod(StrEnum):
    """Who upgrades a node."""

    WAIT = "Wait"


class Upgrade(Model):
    """How a node's runtime and kubelet are upgraded."""

    method: UpgradeMethod = Field(
        default=UpgradeMethod.WAIT,
        description="Wait (default): another program or a person upgrades the node. The operator "
        "mends the config first, cordons and drains the node, and sets the annotation "
        "cniupgrade.dev/ready-for-upgrade on it. Once the Node reports the versions of "
        "spec.target, the operator audits it, proves it with pods and uncordons it.",
    )
    deadline: Duration = Field(
        default="1h",
        description="How long a node is kept ready for its upgrade, for example 1h. One that "
        "nobody has begun by then is uncordoned and tried again later. One that has begun keeps "
        "its cordon until a person acts, and stops the rollout. Default 1h.",
    )
    settle: Duration = Field(
        default="30s",
        description="How long the Node must report the versions and be Ready before it is audited. "
        "Default 30s.",
    )
