"""The time that deadlines are held against: the API server's, without its jumps or ours.

A node whose clock is set forward by an hour in the middle of a proof would make it look failed, and
a replica whose clock is ahead of the other one's would do so as it takes over. So all go by the API
server's clock, and where even that jumps it is followed slowly.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

log = logging.getLogger(__name__)

_SLEW = 0.1
"""Seconds by which we go nearer to the true time in each second: a deadline is off by no more."""
_TELL = 10.0  # seconds of difference that are worth a line


def ticks() -> float:
    """Seconds that pass whatever is done to the clock, and while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Goes by `wall` (UTC), and never faster or slower than a tenth, nor back."""

    def __init__(self, wall: Callable[[], datetime], elapsed: Callable[[], float] = ticks) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._last: tuple[datetime, float] | None = None
        self._told = 0.0

    def now(self) -> datetime:
        """The time now. The first answer is what the wall clock says."""
        wall, elapsed = self._wall(), self._elapsed()
        if self._last is None:
            self._last = (wall, elapsed)
            return wall
        before, since = self._last
        gone = max(0.0, elapsed - since)
        off = (wall - before).total_seconds() - gone
        step = max(-gone * _SLEW, min(gone * _SLEW, off))
        now = before + timedelta(seconds=gone + step)
        self._last = (now, elapsed)
        self._tell(off - step)
        return now

    def _tell(self, off: float) -> None:
        if abs(off - self._told) < _TELL:
            return
        # Said again as it comes nearer, in steps that halve.
        if abs(off) < _TELL or abs(off) > abs(self._told) or abs(off) < abs(self._told) / 2:
            self._told = off
            text = "the clock was set by %+.0f s; deadlines go on by the old time, which follows"
            log.warning(text, off)


def utc_now() -> datetime:
    """This machine's own clock."""
    return datetime.now(UTC)
