"""What is going on, for whoever waits for it."""

from __future__ import annotations

import contextlib
import sys
import time


def say(text: str) -> None:
    """A line, apart from the results; whose terminal is gone reads none."""
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
