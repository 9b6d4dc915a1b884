"""Maintenance windows: whether something that takes so long may begin now, and when else.

A window opens when its cron expression says and stays open for so many seconds of real time. What
begins must end, by its deadlines, before it closes. Windows that overlap or touch are one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from cni_upgrade.api import duration
from cni_upgrade.api.window import MaintenanceWindow

CLOSED = "WaitingForWindow"
"""Why a node or a policy waits: no window is open that is long enough."""

_HORIZON = timedelta(days=8 * 366)
"""How far ahead an opening is looked for: one on a leap day is found, from 2096 to 2104 too."""

_MOST_SPANS = 100
"""How many windows are looked at one by one: what repeats shows it in fewer."""

_MOST_STEPS = 20_000
"""How many openings are followed at a time, a tenth of a second of CPU: minute by minute a year has
half a million. Windows that follow each other for longer are not known to hold what takes longer,
which is said as of one that is too short; hour by hour that is two years."""

_AHEAD = 8
"""What is open is followed by an eighth longer than is needed, so that this holds for a while."""

_AGAIN = timedelta(hours=1)
"""When windows are followed once more where the first hundred were too short."""

Span = tuple[datetime, datetime]
"""When a window opens and closes, in UTC."""


@dataclass(frozen=True, slots=True)
class _Known:
    """When something may begin, as it was found out once; the same for every instant until then."""

    since: datetime
    until: datetime
    opens: datetime | None


@lru_cache(maxsize=1024)
def _found(windows: tuple[MaintenanceWindow, ...]) -> dict[timedelta, _Known]:
    """What was found out about some windows, by how long something takes.

    To follow them costs up to a tenth of a second, and every pass of the planner asks anew.
    """
    return {}


class WindowError(ValueError):
    """A window that cannot be understood; the text names the field."""


class Windows:
    """The windows of one policy at one instant. None at all: it is always open."""

    def __init__(self, windows: Sequence[MaintenanceWindow], now: datetime) -> None:
        """Raises WindowError for a schedule or a time zone that is not one."""
        self._now = now.astimezone(UTC)
        self._windows = _understood(tuple(windows))
        self._always = any(_always(window, length) for window, _, length in self._windows)
        self._found = _found(tuple(windows))

    def opens(self, seconds: int) -> datetime | None:
        """When something that takes so long may begin at the earliest, now included.

        None where no window of the next eight years is long enough.
        """
        if not self._windows or self._always:
            return self._now
        need = timedelta(seconds=seconds)
        known = self._found.get(need)
        if known is None or not known.since <= self._now <= known.until:
            known = self._found[need] = self._opens(need)
        return None if known.opens is None else max(known.opens, self._now)

    def _opens(self, need: timedelta) -> _Known:
        for start, end in islice(self._spans(need + need // _AHEAD), _MOST_SPANS):
            begin = max(start, self._now)
            if end - begin >= need:
                return _Known(self._now, max(begin, end - need), begin)
        # A rare one behind many that are too short.
        rare = (
            next(self._times(window, zone, length, running=False), None)
            for window, zone, length in self._windows
            if length >= need
        )
        opens = min((span[0] for span in rare if span is not None), default=None)
        # What joins up behind those that were looked at may be long enough sooner.
        again = self._now + _AGAIN
        return _Known(self._now, again if opens is None else min(opens, again), opens)

    def room(self, seconds: int, until: datetime, enough: timedelta) -> timedelta:
        """Of the time from this instant to another one, that in which something that takes so long
        could have begun; not counted on beyond `enough`."""
        if not self._windows or self._always:
            return until - self._now
        need, total = timedelta(seconds=seconds), timedelta(0)
        for start, end in self._spans(need + (until - self._now)):
            if start >= until or total >= enough:
                break
            total += max(timedelta(0), min(end - need, until) - max(start, self._now))
        return total

    @property
    def longest(self) -> int:
        """Seconds of the longest window, for a message about one that is too short."""
        return max((int(length.total_seconds()) for _, _, length in self._windows), default=0)

    def _spans(self, enough: timedelta) -> Iterator[Span]:
        """Windows that are not over yet, joined where they overlap or touch.

        One that is long enough is not followed to its end: windows may follow each other for ever.
        Nor are more openings looked at than there is time for.
        """
        coming = heapq.merge(
            *(self._times(window, zone, length) for window, zone, length in self._windows)
        )
        span: Span | None = None
        for start, end in islice(coming, _MOST_STEPS):
            if span is None or start > span[1]:
                if span is not None:
                    yield span
                span = (start, end)
            else:
                span = (span[0], max(span[1], end))
            if span[1] - max(span[0], self._now) >= enough:
                break
        if span is not None:
            yield span

    def _times(
        self, window: MaintenanceWindow, zone: ZoneInfo, length: timedelta, running: bool = True
    ) -> Iterator[Span]:
        """When a window opens and closes, from the ones that are open now, or from the next on."""
        first = self._now - length if running else self._now
        for local in CronSim(window.schedule, first.astimezone(zone)):
            start = local.astimezone(UTC)
            if start > self._now + _HORIZON:
                return
            if start + length > self._now:
                yield start, start + length


@lru_cache(maxsize=512)
def windows_at(windows: tuple[MaintenanceWindow, ...], now: datetime) -> Windows:
    """The windows at one instant, once for all who ask about it: a pass does so several times for
    each policy, and to follow a schedule is dear. Raises WindowError."""
    return Windows(windows, now)


def opening(windows: tuple[MaintenanceWindow, ...], now: datetime, seconds: int) -> datetime | None:
    """When something that takes so long may begin at the earliest, `now` included; None where no
    window is long enough. Windows that cannot be understood are never open."""
    try:
        return windows_at(windows, now).opens(seconds)
    except WindowError:
        return None


@lru_cache(maxsize=1024)
def _understood(
    windows: tuple[MaintenanceWindow, ...],
) -> tuple[tuple[MaintenanceWindow, ZoneInfo, timedelta], ...]:
    """Each with its time zone and its length, once for every pass. Raises WindowError."""
    found = []
    for number, window in enumerate(windows):
        zone = _zone(window, number)
        try:
            CronSim(window.schedule, datetime(2000, 1, 1, tzinfo=zone))
        except CronSimError as error:
            raise WindowError(
                f"spec.rollout.windows[{number}].schedule: {window.schedule!r} is not a cron "
                f"expression of five fields, as 0 22 * * 1-5 is: {error}"
            ) from error
        found.append((window, zone, timedelta(seconds=duration.seconds(window.duration))))
    return tuple(found)


def _always(window: MaintenanceWindow, length: timedelta) -> bool:
    """Whether it opens anew before it closes, every minute."""
    return set(window.schedule.split()) == {"*"} and length >= timedelta(minutes=1)


def _zone(window: MaintenanceWindow, number: int) -> ZoneInfo:
    name = window.time_zone or "UTC"
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        # Not there, no name of a zone at all, or a folder of zones.
        raise WindowError(
            f"spec.rollout.windows[{number}].timeZone: {name!r} is not in the IANA "
            "time zone database; expected a name such as Europe/Berlin or UTC"
        ) from error
