"""Shows an answer again and again, until the person ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TextIO

_REDRAW = "\x1b[H\x1b[J"


def watch(answer: Callable[[], Sequence[str]], out: TextIO, seconds: float) -> None:
    """On a terminal in the same place each time; elsewhere only what has changed is shown again.

    Ends by Ctrl-C.
    """
    live, last = out.isatty(), None
    try:
        while True:
            text = "\n".join(answer())
            if live:
                out.write(f"{_REDRAW}{text}\n")
            elif text != last:
                out.write(f"{text}\n\n")
            out.flush()
            last = text
            time.sleep(seconds)
    except KeyboardInterrupt:
        return
