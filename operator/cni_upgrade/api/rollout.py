"""The rollout: in which order, when, how many nodes at once, and how many may fail."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from cni_upgrade.api.base import Model
from cni_upgrade.api.canary import Canary
from cni_upgrade.api.int_or_percent import IntOrPercent
from cni_upgrade.api.order import Order
from cni_upgrade.api.window import MaintenanceWindow


class CountFailures(StrEnum):
    """Which failed nodes use up the failure budget."""

    TOTAL = "Total"
    CONSECUTIVE = "Consecutive"


class Cordoned(StrEnum):
    """What happens about a node that somebody else has cordoned."""

    WAIT = "Wait"
    SKIP = "Skip"


class Rollout(Model):
    """In which order, when, how many nodes at once, and how many may fail."""

    max_unavailable: IntOrPercent = Field(
        default=1,
        description="How many of the matched nodes may be unavailable at once, those being "
        "changed and those that are down or cordoned for other reasons included: a number or a "
        'percentage such as "10%", rounded down, but at least one node. Default 1. A node that '
        "is unavailable already may be changed all the same. A node that several Enforce policies "
        "select needs a place with each.",
    )
    max_parallel: int = Field(
        default=10,
        ge=1,
        description="How many nodes this policy changes at the same time; audits do not count. "
        "Default 10.",
    )
    canary: Canary | None = Field(
        default=None,
        description="Nodes that go first; all others wait until these are well and have soaked. "
        "Default: none.",
    )
    order: Order = Field(
        default=Order(), description="In which order the nodes are changed, after the canary."
    )
    max_failures: IntOrPercent = Field(
        default=1,
        description="How many failed or rolled-back nodes stop the rollout: a number or a "
        'percentage of the matched nodes such as "5%", rounded down, but at least one. Default 1: '
        "the first one does. Nodes under way are finished. A canary that fails stops it in any "
        "case. The annotation cniupgrade.dev/retry with a new value, on a node state or on the "
        "policy, gives failures back.",
    )
    count_failures: CountFailures = Field(
        default=CountFailures.TOTAL,
        description="Total (default): every failed node counts until it is retried. Consecutive: "
        "only those count that ended since the last node that succeeded.",
    )
    windows: Annotated[tuple[MaintenanceWindow, ...], Field(max_length=16)] = Field(
        default=(),
        description="When nodes may be changed; none means always. A change begins only where "
        "it can end, by its deadlines, before the window closes. Audits are not bound to them.",
    )
    cordoned: Cordoned = Field(
        default=Cordoned.WAIT,
        description="What to do about a node that somebody else has cordoned; it is never "
        "uncordoned. Wait (default): its wave waits for it. Skip: the others go on without it; "
        "it follows when it is given back.",
    )
