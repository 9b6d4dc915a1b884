"""The order of a rollout: what divides the nodes into waves, and which wave goes first."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from cni_upgrade.api.base import Model
from cni_upgrade.api.label_selector import LabelKey, LabelSelector, LabelValue

# CEL rules of the CRD that the model checks once more: API servers before 1.25 drop them.
_LABEL_WANTED = "label: needed with by: Label, and only there"
_SELECTORS_WANTED = "selectors: at least one is needed with by: Selectors, and only there"


class OrderBy(StrEnum):
    """What divides the nodes into waves."""

    NAME = "Name"
    ZONE = "Zone"
    LABEL = "Label"
    SELECTORS = "Selectors"


class LabelOrder(Model):
    """Waves by the values of one label."""

    key: LabelKey = Field(description="The label of the nodes.")
    values: Annotated[tuple[LabelValue, ...], Field(min_length=1, max_length=64)] = Field(
        description="One wave for each value, in this order. Nodes with another value, or "
        "without the label, come last."
    )


class Order(Model):
    """In which order the nodes are changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    # The default {} is checked before the defaults inside it are filled in.
                    "rule": "(has(self.by) && self.by == 'Label') == has(self.label)",
                    "message": _LABEL_WANTED,
                },
                {
                    "rule": "(has(self.by) && self.by == 'Selectors') == "
                    "(has(self.selectors) && size(self.selectors) > 0)",
                    "message": _SELECTORS_WANTED,
                },
            ]
        }
    )

    by: OrderBy = Field(
        default=OrderBy.NAME,
        description="Name (default): all nodes are one wave, by name. Zone: one wave for each "
        "topology.kubernetes.io/zone, by name; nodes without one come last. Label: one wave for "
        "each of label.values. Selectors: one wave for each of selectors. A wave begins when the "
        "one before it is finished; within a wave of a zone, label or selector the oldest node "
        "goes first.",
    )
    label: LabelOrder | None = Field(
        default=None, description="With by: Label, the label and the order of its values."
    )
    selectors: Annotated[tuple[LabelSelector, ...], Field(max_length=16)] = Field(
        default=(),
        description="With by: Selectors, one wave for each, in this order; a node belongs to the "
        "first that takes it. Nodes that none takes come last.",
    )

    @model_validator(mode="after")
    def _what_it_is_by(self) -> Self:
        if (self.by == OrderBy.LABEL) != (self.label is not None):
            raise ValueError(_LABEL_WANTED)
        if (self.by == OrderBy.SELECTORS) != bool(self.selectors):
            raise ValueError(_SELECTORS_WANTED)
        return self
