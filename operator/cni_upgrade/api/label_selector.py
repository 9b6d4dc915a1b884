"""The label selector: which nodes, by their labels, as Kubernetes itself reads one."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from cni_upgrade.api.base import Model


class SelectorOperator(StrEnum):
    """The operators of a label selector."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    ),
]
LabelValue = Annotated[
    str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
]

# CEL rules of the CRD that the model checks once more: API servers before 1.25 drop them.
_VALUES_WANTED = "values: at least one is needed for the operators In and NotIn"
_MOST_VALUES = 256
"""Of a selector: the controller keeps each policy, and asks its selectors of each node."""
_TOO_MANY_VALUES = f"matchExpressions: at most {_MOST_VALUES} values, all together"
_VALUES_UNWANTED = "values: must be left out for the operators Exists and DoesNotExist"


class LabelSelectorRequirement(Model):
    """One requirement on the labels of a node."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!(self.operator in ['In', 'NotIn']) || "
                    "(has(self.values) && size(self.values) > 0)",
                    "message": _VALUES_WANTED,
                },
                {
                    "rule": "self.operator in ['In', 'NotIn'] || "
                    "!has(self.values) || size(self.values) == 0",
                    "message": _VALUES_UNWANTED,
                },
            ]
        }
    )

    key: LabelKey = Field(description="The label key that the requirement is about.")
    operator: SelectorOperator = Field(
        description="In and NotIn compare the label's value with values; Exists and DoesNotExist "
        "only ask whether the label is there."
    )
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = Field(
        default=(),
        description="Values for In and NotIn (at least one); left out for Exists and DoesNotExist.",
    )

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        """`NotIn` of nothing would be every node."""
        if self.operator in (SelectorOperator.IN, SelectorOperator.NOT_IN):
            if not self.values:
                raise ValueError(_VALUES_WANTED)
        elif self.values:
            raise ValueError(_VALUES_UNWANTED)
        return self


class LabelSelector(Model):
    """Which nodes; all requirements must hold."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-map-type": "atomic",
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.matchExpressions) || self.matchExpressions"
                    f".map(e, has(e.values) ? size(e.values) : 0).sum() <= {_MOST_VALUES}",
                    "message": _TOO_MANY_VALUES,
                }
            ],
        }
    )

    match_labels: Annotated[Mapping[str, LabelValue], Field(max_length=64)] = Field(
        default_factory=dict,
        description="Labels that a node must have, each with exactly this value.",
    )
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=32)] = (
        Field(
            default=(),
            description="Requirements on a node's labels; all of them must hold. They have "
            f"{_MOST_VALUES} values at most, all together.",
        )
    )

    @model_validator(mode="after")
    def _values_are_few(self) -> Self:
        if sum(len(each.values) for each in self.match_expressions) > _MOST_VALUES:
            raise ValueError(_TOO_MANY_VALUES)
        return self
