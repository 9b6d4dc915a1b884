"""Gives the control plane cores of its own, as it has on a cluster's machines.

Who measures it on shared cores measures kubelets that are played, the controller and the client of
bare Jobs as well, for all of them take what it then lacks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def halves() -> tuple[frozenset[int], frozenset[int]]:
    """The control plane's cores, and all other programs'. Raises RuntimeError with one core."""
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    if not half:
        raise RuntimeError("a control plane apart needs two cores; this machine has one")
    return frozenset(cores[:half]), frozenset(cores[half:])


@contextmanager
def within(cores: frozenset[int] | None) -> Iterator[None]:
    """Keep this thread, and what it starts meanwhile, on these; None leaves all as it is."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cores is None else cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
