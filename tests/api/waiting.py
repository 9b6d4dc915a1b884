"""Waiting for what an API server, or a controller beside it, does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(
    ask: Callable[[], Any],
    wanted: str | Callable[[], str],
    seconds: float = 120,
    pause: float = 0.1,
) -> Any:
    """The first answer that is not false; `wanted` says what was waited for, once it is in vain.

    A busy machine may take its time: who claims that something is quick measures it.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            text = wanted if isinstance(wanted, str) else wanted()
            raise AssertionError(f"{text}: not within {seconds:.0f} s")
        time.sleep(pause)
    return answer
