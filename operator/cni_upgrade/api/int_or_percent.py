"""A number of nodes, or a percentage of them: what Kubernetes calls IntOrString, read strictly."""

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_PERCENT = re.compile(r"(100|[1-9][0-9]?)%")


def _int_or_percent(value: object) -> object:
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError('must be a number of at least 1 or a percentage from "1%" to "100%"')


IntOrPercent = Annotated[
    int | str,
    BeforeValidator(_int_or_percent),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "pattern": rf"^{_PERCENT.pattern}$",
            "maxLength": 4,
        }
    ),
]
