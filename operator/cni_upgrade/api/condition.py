"""Conditions as every Kubernetes tool reads them: what holds, since when, and why."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from cni_upgrade.api.base import Model, Text, Time, first

READY: Final = "Ready"
"""Always there."""
RECONCILING: Final = "Reconciling"
"""There only while true: work is under way."""
STALLED: Final = "Stalled"
"""There only while true: nothing goes on without a person. GitOps tools show it as failed."""


class Condition(Model):
    """One condition, in the form of metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=316)] = Field(
        description="Name of the condition, for example Ready."
    )
    status: Literal["True", "False", "Unknown"] = Field(
        description="Whether the condition holds: True, False or Unknown."
    )
    observed_generation: int | None = Field(
        default=None,
        ge=0,
        description="The metadata.generation that this condition was computed from.",
    )
    last_transition_time: Time = Field(
        description="When the status of this condition last changed from one value to another."
    )
    reason: Annotated[
        str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1024)
    ] = Field(description="One CamelCase word that says why; stable, for programs and alerts.")
    message: Text = Field(description="What holds and what to do about it, for people.")


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=32,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    ),
    BeforeValidator(first(32)),
]


def keep_times(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Condition, ...]:
    """`new`, where each condition whose status did not flip keeps the time of its last flip.

    A time that is to come is of a clock that was set back since: now, of `new`, stands in for it.
    """
    before = {c.type: c for c in old}

    def settled(condition: Condition) -> Condition:
        known = before.get(condition.type)
        if known is None or known.status != condition.status:
            return condition
        since = min(known.last_transition_time, condition.last_transition_time)
        return condition.model_copy(update={"last_transition_time": since})

    return tuple(settled(c) for c in new)
