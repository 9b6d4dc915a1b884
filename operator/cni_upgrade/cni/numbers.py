"""Reads whole numbers from text that others wrote: a node names its runtime as it likes.

Python raises where a text has more than 4,300 digits, and takes digits of other scripts. No part
of a release has either, so such a text is no number here, and what it names is unknown.
"""

_LONGEST = 18
"""Digits that fit 64 bits, whatever they are."""


def whole(text: str) -> int | None:
    """The number that the text is the spelling of, in ASCII digits; None where it is none."""
    if len(text) > _LONGEST or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


def wholes(parts: list[str]) -> list[int] | None:
    """All of them as numbers; None where one is none."""
    found = [number for each in parts if (number := whole(each)) is not None]
    return found if len(found) == len(parts) else None
