"""Deadlines as people write them, so that a policy says "15m" and the planner counts seconds."""

import re
from typing import Annotated

from pydantic import Field

# No zero anywhere: "0s" would be a deadline that has always passed.
PATTERN = r"^([1-9][0-9]{0,3}h)?([1-9][0-9]{0,4}m)?([1-9][0-9]{0,5}s)?$"

Duration = Annotated[str, Field(pattern=PATTERN, min_length=2, max_length=20)]

_PART = re.compile(r"([0-9]+)([hms])")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def seconds(text: str) -> int:
    """`1h30m` -> 5400. Raises ValueError with the forms that are understood."""
    if not text or re.fullmatch(PATTERN, text) is None:
        raise ValueError(f'{text!r} is not a duration: write "90s", "15m" or "1h30m"')
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
