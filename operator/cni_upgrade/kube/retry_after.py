"""Asks again where the API server is too busy and says when: 429 or 5xx with Retry-After."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cni_upgrade.kube.interface import KubeError

T = TypeVar("T")

TIMES = 5
"""How often, after the first time."""
LONGEST = 10.0  # seconds, whatever Retry-After says: the next pass asks again anyway


async def insist(ask: Callable[[], Awaitable[T]], meant: Callable[[], bool]) -> T:
    """What `ask` answers in the end; `meant`: whether it may still be asked, after a pause too.

    A write that was done after all is harmless to repeat: it is guarded by a version, or its name
    says what it is. Raises the last KubeError.
    """
    for _ in range(TIMES):
        try:
            return await ask()
        except KubeError as error:
            if error.retry_after is None or not meant():
                raise
            await asyncio.sleep(min(error.retry_after, LONGEST))
            if not meant():
                raise
    return await ask()
