"""What the demo prints: headings with the time that has passed, commands, what was seen."""

from __future__ import annotations

import sys
import time

_STARTED = time.monotonic()
_COLOUR = sys.stdout.isatty()


def _in(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _COLOUR else text


def heading(text: str) -> None:
    """A new part of the story."""
    print(f"\n{_in('1', f'[{time.monotonic() - _STARTED:6.1f}s] == {text} ==')}", flush=True)


def note(text: str) -> None:
    """One line of what happens or was seen."""
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {text}", flush=True)


def typed(command: str) -> None:
    """A command as a person would type it."""
    print(f"\n{_in('36', f'$ {command}')}", flush=True)


def elapsed() -> float:
    """Seconds since the demo began."""
    return time.monotonic() - _STARTED
