"""Colours for the words that decide, where a terminal shows them."""

import re
from collections.abc import Mapping
from typing import TextIO

_BOLD, _RED, _YELLOW, _GREEN = "1", "31", "33", "32"
_WORDS = (
    (re.compile(r"(Fault) [A-Z]"), _RED),
    (re.compile(r"(Warning) [A-Z]"), _YELLOW),
    # Compatible is said of files. Where pods are stuck or nothing is known, it is not green.
    (re.compile(r"Verdict  (Compatible|NotCni): .*nothing is to be done$"), _GREEN),
    (re.compile(r"Verdict  (Blocked|NoConfig)\b"), _RED),
    (re.compile(r"Verdict  (Rewrite|Managed)\b"), _YELLOW),
)


def wanted(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a person sees them: on a terminal, unless NO_COLOR or TERM=dumb forbids it.

    NO_COLOR counts where it is not empty: https://no-color.org
    """
    forbidden = environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb"
    return stream.isatty() and not forbidden


def paint(line: str) -> str:
    """The line, with its leading word of severity or verdict in colour."""
    for pattern, colour in _WORDS:
        if found := pattern.match(line):
            start, end = found.span(1)
            return f"{line[:start]}\033[{_BOLD};{colour}m{line[start:end]}\033[0m{line[end:]}"
    return line
