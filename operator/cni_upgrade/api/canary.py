"""The canary: which nodes go first, and how long they must be well before any other begins."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from cni_upgrade.api.base import Model
from cni_upgrade.api.duration import Duration
from cni_upgrade.api.int_or_percent import IntOrPercent
from cni_upgrade.api.label_selector import LabelSelector

# A CEL rule of the CRD that the model checks once more: API servers before 1.25 drop it.
_CANARY_WANTED = "canary: exactly one of nodes and nodeSelector is needed"


class Canary(Model):
    """The nodes that go first, and have to pass before any other begins."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.nodes) != has(self.nodeSelector)",
                    "message": _CANARY_WANTED,
                }
            ]
        }
    )

    nodes: IntOrPercent | None = Field(
        default=None,
        description="How many nodes are changed first: a number or a percentage of the matched "
        'nodes such as "5%", rounded down, but at least one. Nodes that need no change do not '
        "count; which ones it is follows from order.",
    )
    node_selector: LabelSelector | None = Field(
        default=None,
        description="Which of the matched nodes go first, by their labels. A selector that takes "
        "none of them stops the rollout; it never passes silently.",
    )
    soak: Duration = Field(
        default="10m",
        description="How long every canary must have been well (Done or Compatible, and Ready) "
        "before any other node begins, for example 30m or 24h. Default 10m.",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.nodes is None) == (self.node_selector is None):
            raise ValueError(_CANARY_WANTED)
        return self
