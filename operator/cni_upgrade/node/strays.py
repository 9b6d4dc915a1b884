"""Ends what a plugin has started and left in a session of its own, where no signal to its group
comes.

Such a process has no parent once the plugin is ended, and the kernel gives it to the nearest
ancestor that asks for orphans (prctl(2) PR_SET_CHILD_SUBREAPER), or to process 1, which the agent
is in its container. We ask only while plugins run. Where the kernel does not take that, or does not
tell our children, it stays; so may one that starts others faster than they can be ended.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from cni_upgrade.node import stop

_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h
_ROUNDS = 100
_TASKS = "/proc/self/task"


@contextmanager
def ended() -> Iterator[None]:
    """Whatever comes to us while this is held is ended with it. What we start in here ourselves
    must be ended in here too."""
    before = _children()
    _adopt(1)
    try:
        yield
    finally:
        with stop.later():
            _end(before)
            _adopt(0)


def _end(before: Collection[int]) -> None:
    for _ in range(_ROUNDS):
        strays = _children().difference(before)
        if not strays:
            return
        for each in strays:  # each may leave others, which come to us in turn
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, 0)


def _adopt(whether: int) -> None:
    if sys.platform != "linux" or os.getpid() == 1:
        return
    try:
        import ctypes  # 5 ms, and process 1 needs none

        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(whether), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def _children() -> set[int]:
    """Our children, as far as the kernel tells them (proc(5), CONFIG_PROC_CHILDREN)."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in os.listdir(_TASKS):  # noqa: PTH208 - see files.py
            with open(f"{_TASKS}/{task}/children") as children:  # noqa: PTH123 - see files.py
                found |= set(map(int, children.read().split()))
    return found
