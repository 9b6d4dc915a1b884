"""Keeps two commands on this machine from doing the same work, or undoing it, at the same time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import paths


@contextmanager
def held(name: str) -> Iterator[None]:
    """Hold the lock of that name for the length of a block.

    The file lies in the cache, since it must outlive what it guards.
    """
    path = paths.cache_root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
