"""A rollout's answer to one node in one pass: asked for once, because a yes takes a place."""

from __future__ import annotations

from collections.abc import Callable

Refusal = tuple[str, str]
"""(reason, message): why something may not begin."""

Told = tuple[bool, Refusal | None]
"""Whether the node would be drained, and what it was told."""


class Gate:
    """Asks on the first call, and repeats what it was told."""

    def __init__(self, ask: Callable[[bool], Refusal | None]) -> None:
        """`ask` is told whether the node would be drained."""
        self._ask = ask
        self.told: Told | None = None
        """None while nobody has asked."""

    def __call__(self, drained: bool) -> Refusal | None:
        if self.told is None or self.told[0] != drained:
            self.told = drained, self._ask(drained)
        return self.told[1]
