"""Reads a template as the config that its installer will make of it, and gives the template back.

An installer such as calico's replaces `"mtu": __CNI_MTU__` on each node: until then the text is no
JSON. Each placeholder is stood in for by something of the same length, a number outside of a
string and letters within one, that occurs nowhere else in the text; so an edit of the config is an
edit of the template, byte for byte, once the stand-ins are taken out again.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import count

from cni_upgrade.cni.value import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class PlaceholderError(ValueError):
    """The text cannot be read with stand-ins, or the placeholders would not all come back."""


@dataclass(frozen=True, slots=True)
class StoodIn:
    """The text as a config, and what each stand-in stands for."""

    text: str
    for_: tuple[tuple[str, str], ...] = ()
    """(stand-in, placeholder) for each place."""

    def holds(self, value: str | None) -> str | None:
        """The placeholder that decides a value read from the text; None where none does."""
        return next((mark for mask, mark in self.for_ if value and mask in value), None)

    def back(self, edited: str) -> str:
        """The edited text with its placeholders.

        Raises PlaceholderError where one was lost or doubled on the way.
        """
        for mask, mark in self.for_:
            if edited.count(mask) != 1:
                raise PlaceholderError(f"the placeholder {mark} would not be kept as it is")
            edited = edited.replace(mask, mark)
        return edited


def stand_in(text: str, placeholders: Sequence[str]) -> StoodIn:
    """Replace each of these placeholders, wherever it stands.

    Raises PlaceholderError where no stand-in of its length can be told from other text.
    """
    if not placeholders:
        return StoodIn(text)
    found = re.compile("|".join(map(re.escape, sorted(placeholders, key=len, reverse=True))))
    strings = [match.span() for match in _STRING.finditer(text)]
    numbers = count(1)
    pairs: list[tuple[str, str]] = []
    pieces: list[str] = []
    end = 0
    for match in found.finditer(text):
        inside = any(start < match.start() < stop for start, stop in strings)
        mask = _mask(match[0], inside, numbers)
        while mask in text:
            mask = _mask(match[0], inside, numbers)
        pairs.append((mask, match[0]))
        pieces += [text[end : match.start()], mask]
        end = match.end()
    return StoodIn("".join([*pieces, text[end:]]), tuple(pairs))


def _mask(placeholder: str, inside: bool, numbers: Iterator[int]) -> str:
    """Letters or a JSON number of that length. No mask is part of another one.

    The first character stands at the start of a mask alone, the octal number at its end is used
    once.
    """
    first, fill = ("x", "y") if inside else ("9", "0")
    tail = f"{next(numbers):03o}"
    if len(tail) >= len(placeholder):
        raise PlaceholderError(f"{placeholder!r} cannot be told from other text")
    return first + tail.rjust(len(placeholder) - 1, fill)
