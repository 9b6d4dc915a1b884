"""A rollout's answer to one node in one pass: asked for once, because a yes takes a place."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Refusal = tuple[str, str]
"""(reason, message): why something may not begin."""


class StartRequest(NamedTuple):
    """What is to be done to the node."""

    drained: bool
    writes: bool
    """A file is to be written, and not only proved what stands."""
    doubt: str = ""
    """What is not known of the node and a proof would tell (`doubts`)."""


StartAnswer = tuple[StartRequest, Refusal | None]
"""What was to be done to the node, and what it was told."""


class StartGate:
    """Asks on the first call, and repeats what it was told."""

    def __init__(self, ask: Callable[[StartRequest], Refusal | None]) -> None:
        self._ask = ask
        self.told: StartAnswer | None = None
        """None while nobody has asked."""

    def __call__(self, wish: StartRequest) -> Refusal | None:
        if self.told is None or self.told[0] != wish:
            self.told = wish, self._ask(wish)
        return self.told[1]
