"""Says on stderr what is being done and how long it took, because a first build takes minutes."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()


def say(text: str) -> None:
    """Print one line, led by the seconds since this command began."""
    elapsed = time.monotonic() - _started
    print(f"[{elapsed:5.0f} s] {text}", file=sys.stderr, flush=True)
