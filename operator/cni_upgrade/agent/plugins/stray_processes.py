"""Ends what a plugin has started and left in a session of its own, where no signal to its group
comes.

Such a process has no parent once the plugin is ended, and the kernel gives it to the nearest
ancestor that asks for orphans (prctl(2) PR_SET_CHILD_SUBREAPER), or to process 1, which the agent
is in its container. We ask only while plugins run, and end only what has started since: whoever
became us with `exec` may have left jobs, and those let go of processes too. Where the kernel does
not take that, or does not tell our children, it stays; so does what another user runs, and so may
one that starts others faster than they can be ended.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from cni_upgrade.agent import signals

_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h
_TASKS = "/proc/self/task"
_PATIENCE = 1.0
"""Seconds for all of them to be gone; no signal is heard meanwhile."""


@contextmanager
def ended() -> Iterator[None]:
    """Whatever starts and comes to us while this is held is ended with it. What we start in here
    ourselves must be ended in here too."""
    before, since = _children(), _now()
    _adopt(1)
    try:
        yield
    finally:
        with signals.later():
            _end(before, since)
            _adopt(0)


def _end(before: Collection[int], since: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    spared = set(before)
    while strays := _children() - spared:
        spared |= {each for each in strays if not _ended(each, since)}
        if time.monotonic() > deadline:
            return
        time.sleep(0.001)  # each may leave others, which come to us in turn


def _ended(pid: int, since: int) -> bool:
    """Asks a child of ours to end, once more if need be; False where it is not ours to end."""
    try:
        if _started(pid) < since:
            return False
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, os.WNOHANG)
    except OSError:  # it is another user's, or nothing is known of it
        return False
    return True


def _now() -> int:
    """In the unit of `_started`."""
    if sys.platform != "linux":
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _started(pid: int) -> int:
    """When a process was started, in ticks since the boot (proc(5)). Raises OSError."""
    with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - see file_io.py
        return int(stat.read().rpartition(b")")[2].split()[19])


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
        for task in os.listdir(_TASKS):  # noqa: PTH208 - see file_io.py
            with open(f"{_TASKS}/{task}/children") as children:  # noqa: PTH123 - see file_io.py
                found |= set(map(int, children.read().split()))
    return found
