"""Lines that a terminal shows whole."""

import shutil
import textwrap

_NARROWEST, _WIDEST = 60, 100

BENEATH = " " * 6
"""The indent of what is said beneath a row or a finding."""


def wrapped(text: str, indent: str) -> list[str]:
    """Lines no wider than the terminal, and never than what the eye follows; words stay whole."""
    return textwrap.wrap(
        text,
        width(),
        initial_indent=indent,
        subsequent_indent=indent or "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def width() -> int:
    """Columns to fill: those of the terminal, between 60 and 100."""
    return min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size((_WIDEST, 24)).columns))
