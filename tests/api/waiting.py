"""Waiting for what an API server, or a controller beside it, does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_WAIT_SECONDS = 30


def eventually(ask: Callable[[], Any], wanted: str) -> Any:
    """The first answer that is not false."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{wanted}: not within {_WAIT_SECONDS} s"
        time.sleep(0.1)
    return answer
