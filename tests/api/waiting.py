"""Waiting for what an API server, or a controller beside it, does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(
    ask: Callable[[], Any], wanted: str, seconds: float = 120, pause: float = 0.1
) -> Any:
    """The first answer that is not false.

    A busy machine may take its time: who claims that something is quick measures it.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{wanted}: not within {seconds:.0f} s"
        time.sleep(pause)
    return answer
