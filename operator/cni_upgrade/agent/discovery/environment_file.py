"""Takes a file of variables apart as systemd does (`src/basic/env-file.c`).

Not as a shell does, nor as systemd takes its units: quotes count where a value begins, and an
apostrophe within one is a mark like any other.
"""

import re
from collections.abc import Iterator

_NAME = re.compile(r"[ \t\n\r]*(?:[#;][^\n\r]*|([^=\n\r]*)(=?))")
_QUOTED = re.compile(r"""[ \t]*(?:'([^']*)('?)|"((?:\\.|[^"\\])*)("?))""", re.DOTALL)
_BARE = re.compile(r"[ \t]*((?:\\.|[^\\\n\r])*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def assignments(text: str) -> Iterator[tuple[str, str | None]]:
    """Each name with its value; None for one whose quote is not closed, which ends the file."""
    at = 0
    while at < len(text):
        name = _NAME.match(text, at)
        if name is None or name.end() == at:
            at += 1
        elif not name[2]:
            at = name.end()
        else:
            value, at = _value(text, name.end())
            if named := name[1].rstrip():
                yield named, value


def _value(text: str, at: int) -> tuple[str | None, int]:
    """It may go on behind a quote, in another one or without."""
    value = ""
    while quoted := _QUOTED.match(text, at):
        if not (quoted[2] or quoted[4]):
            return None, len(text)
        at = quoted.end()
        value += _ESCAPED.sub(_in_quotes, quoted[3]) if quoted[1] is None else quoted[1]
    bare = _BARE.match(text, at)
    if bare is None:
        return value, at
    return value + _ESCAPED.sub(_outside, _stripped(bare[1])), bare.end()


def _stripped(text: str) -> str:
    """Without the blanks at its end, but for one that is escaped."""
    kept = text.rstrip(" \t")
    escapes = len(kept) - len(kept.rstrip("\\"))
    return text[: len(kept) + escapes % 2]


def _outside(found: re.Match[str]) -> str:
    return "" if found[1] in "\n\r" else found[1]


def _in_quotes(found: re.Match[str]) -> str:
    if found[1] == "\n":
        return ""
    return found[1] if found[1] in '"\\`$' else found[0]
