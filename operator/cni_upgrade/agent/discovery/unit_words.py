"""Takes a line of a systemd unit apart into words: quotes, escapes, and nothing else."""

import re
from collections.abc import Iterator

from cni_upgrade.agent.discovery.unit_files import UnitError

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " "}


def words(path: str, text: str) -> list[str]:
    """As systemd takes a line apart: quotes go, what they hold is one word, `\\` escapes."""
    found: list[str] = []
    word: list[str] | None = None
    quote = ""
    rest = iter(text)
    for mark in rest:
        if mark == "\\":
            word = [*(word or ()), _escaped(rest)]
        elif quote and mark == quote:
            quote = ""
        elif not quote and mark in "\"'":
            quote, word = mark, word or []
        elif not quote and mark.isspace():
            found += [] if word is None else ["".join(word)]
            word = None
        else:
            word = [*(word or ()), mark]
    if quote:
        raise UnitError(f"{path}: a quote is not closed: {text:.60}")
    return found if word is None else [*found, "".join(word)]


def _escaped(rest: Iterator[str]) -> str:
    mark = next(rest, "")
    if mark == "x":
        digits = next(rest, "") + next(rest, "")
        return chr(int(digits, 16)) if re.fullmatch("[0-9a-fA-F]{2}", digits) else f"\\x{digits}"
    return _ESCAPES.get(mark, mark)
