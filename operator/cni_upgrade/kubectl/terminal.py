"""Text for a terminal: colours, bars, wrapped lines. Width and colour are given from outside."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_CODES: Final = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1", "dim": "2"}
_NARROWEST = 40


@dataclass(frozen=True, slots=True)
class Terminal:
    """How wide the text may be, and whether it may have colours."""

    width: int = 80
    colour: bool = False

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour; as it is where there are none."""
        code = _CODES.get(colour)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text

    def wrap(self, text: str, indent: int = 0, hanging: int | None = None) -> list[str]:
        """Lines that fit; `hanging` is the indent of all but the first. Long words are kept whole:
        a person copies names and commands."""
        first, then = " " * indent, " " * (indent if hanging is None else hanging)
        width = max(self.width, _NARROWEST)
        lines: list[str] = []
        for part in text.splitlines() or [""]:
            start = first if not lines else then
            lines += textwrap.wrap(
                harmless(part),
                width,
                initial_indent=start,
                subsequent_indent=then,
                break_long_words=False,
                break_on_hyphens=False,
            )
        return lines

    def clip(self, text: str, width: int) -> str:
        """The text in at most `width` cells, with `...` where it was cut."""
        text = harmless(" ".join(text.split()))
        return text if len(text) <= width else text[: max(width - 3, 0)] + "..."[: max(width, 0)]


def harmless(text: str) -> str:
    """Text without what a terminal would obey: names and messages come from the cluster."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar: how many nodes, by which character, in which colour."""

    count: int
    mark: str
    colour: str


def bar(terminal: Terminal, parts: Sequence[Part], total: int, cells: int) -> str:
    """A bar of exactly `cells` cells; each part that is not empty has one cell at least.

    A bar is full only where nothing is missing.
    """
    lengths = [
        min(max(1, part.count * cells // total), cells) if part.count > 0 and total else 0
        for part in parts
    ]
    missing = total - sum(part.count for part in parts)
    room = cells - (1 if missing > 0 else 0)
    while sum(lengths) > room and max(lengths) > 1:
        lengths[lengths.index(max(lengths))] -= 1
    if not missing and total and lengths:
        lengths[lengths.index(max(lengths))] += cells - sum(lengths)
    painted = [
        terminal.paint(part.mark * length, part.colour)
        for part, length in zip(parts, lengths, strict=True)
    ]
    return f"[{''.join(painted)}{'.' * (cells - sum(lengths))}]"


def columns(
    terminal: Terminal, head: Sequence[str], rows: Iterable[Sequence[str]], indent: int = 2
) -> list[str]:
    """A table; its last column takes what is left of the width, and is cut there."""
    body = [[terminal.clip(cell, 10_000) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    left = indent + sum(width + 2 for width in widths[:-1])
    last = max(terminal.width - left, 12)
    return [
        (
            " " * indent
            + "".join(f"{cell:<{width + 2}}" for cell, width in zip(row, widths[:-1], strict=False))
            + terminal.clip(row[-1], last)
        ).rstrip()
        for row in (head, *body)
    ]
