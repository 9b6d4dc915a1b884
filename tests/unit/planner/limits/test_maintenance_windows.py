"""Maintenance windows to the minute, also in the two nights in which clocks are changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.api.window import MaintenanceWindow
from cni_upgrade.planner.limits.maintenance_windows import (
    Span,
    WindowError,
    Windows,
    _found,
    opening,
    windows_at,
)

HOUR = 3600


def window(schedule: str, duration: str, zone: str = "UTC") -> MaintenanceWindow:
    return MaintenanceWindow(schedule=schedule, duration=duration, time_zone=zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opens(now: str, seconds: int, *windows: MaintenanceWindow) -> str | None:
    found = Windows(windows, utc(now)).opens(seconds)
    return None if found is None else found.strftime("%Y-%m-%dT%H:%M:%S")


NIGHT = window("0 22 * * *", "4h")


@pytest.mark.parametrize(
    ("now", "seconds", "expected"),
    [
        ("2026-01-01T21:59:59", HOUR, "2026-01-01T22:00:00"),
        ("2026-01-01T22:00:00", HOUR, "2026-01-01T22:00:00"),
        ("2026-01-02T01:00:00", HOUR, "2026-01-02T01:00:00"),
        # It would end a second after the window has closed.
        ("2026-01-02T01:00:01", HOUR, "2026-01-02T22:00:00"),
        ("2026-01-02T02:00:00", 1, "2026-01-02T22:00:00"),
        ("2026-01-01T22:00:00", 4 * HOUR, "2026-01-01T22:00:00"),
        ("2026-01-01T22:00:00", 4 * HOUR + 1, None),
    ],
)
def test_one_window(now: str, seconds: int, expected: str | None) -> None:
    assert opens(now, seconds, NIGHT) == expected


def test_one_on_a_leap_day() -> None:
    leap = window("0 0 29 2 *", "6h")
    assert opens("2026-11-25T22:00:00", HOUR, leap) == "2028-02-29T00:00:00"
    assert opens("2096-03-01T00:00:00", HOUR, leap) == "2104-02-29T00:00:00"


def test_without_windows_it_is_always_open() -> None:
    now = utc("2026-01-01T12:00:00")
    assert Windows((), now).opens(10**9) == now


def test_windows_that_touch_are_one() -> None:
    evening, night = window("0 20 * * *", "2h"), window("0 22 * * *", "2h")
    assert opens("2026-01-01T21:00:00", 3 * HOUR, evening, night) == "2026-01-01T21:00:00"
    assert opens("2026-01-01T21:00:00", 3 * HOUR, night, evening) == "2026-01-01T21:00:00"
    assert opens("2026-01-01T21:00:01", 3 * HOUR, evening, night) == "2026-01-02T20:00:00"


def test_a_window_within_another_one_takes_nothing_from_it() -> None:
    late, morning = window("0 23 * * *", "30m"), window("0 2 * * *", "4h")
    assert opens("2026-01-01T22:30:00", 7 * HOUR, NIGHT, late, morning) == "2026-01-01T22:30:00"


def test_windows_that_follow_each_other_for_ever_hold_anything() -> None:
    always = window("*/5 * * * *", "5m")
    assert opens("2026-01-01T21:03:07", 30 * HOUR, always) == "2026-01-01T21:03:07"


def test_a_window_with_a_minute_between_holds_nothing_long() -> None:
    assert opens("2026-01-01T21:00:00", HOUR, window("*/5 * * * *", "4m")) is None


def test_the_longer_window_is_waited_for() -> None:
    short, long = window("0 3 * * *", "30m"), window("0 3 * * 0", "6h")
    assert opens("2026-01-01T12:00:00", HOUR, short, long) == "2026-01-04T03:00:00"


def test_a_window_of_once_a_year_is_found() -> None:
    assert opens("2026-01-02T00:00:00", HOUR, window("0 0 1 1 *", "2h")) == "2027-01-01T00:00:00"


def test_a_rare_window_is_found_behind_many_that_are_too_short() -> None:
    short, rare = window("*/10 * * * *", "5m"), window("0 5 24 12 *", "2h")
    assert opens("2026-01-01T00:00:00", 2 * HOUR, short, rare) == "2026-12-24T05:00:00"


def test_that_none_is_long_enough_is_found_out_quickly() -> None:
    busy = window("* * * * *", "30s", "Europe/Berlin")
    start = process_time()
    assert opens("2026-01-01T00:00:00", HOUR, busy) is None
    assert process_time() - start < 0.5


def test_the_zone_decides() -> None:
    berlin = window("0 22 * * *", "4h", "Europe/Berlin")
    assert opens("2026-01-01T12:00:00", HOUR, berlin) == "2026-01-01T21:00:00"
    assert opens("2026-07-01T12:00:00", HOUR, berlin) == "2026-07-01T20:00:00"


# In Berlin the clock goes from 2:00 to 3:00 on 29 March 2026 at 1:00 UTC, and from 3:00 back to
# 2:00 on 25 October 2026 at 1:00 UTC.


def test_a_time_that_is_left_out_is_taken_right_after() -> None:
    gap = window("30 2 * * *", "1h", "Europe/Berlin")
    assert opens("2026-03-28T12:00:00", HOUR, gap) == "2026-03-29T01:00:00"
    assert opens("2026-03-29T12:00:00", HOUR, gap) == "2026-03-30T00:30:00"


def test_a_window_over_the_gap_lasts_as_long_in_real_time() -> None:
    over = window("0 1 * * *", "3h", "Europe/Berlin")
    # From 1:00 (0:00 UTC) for three hours: to 5:00 by the clock on the wall.
    assert opens("2026-03-29T02:00:00", HOUR, over) == "2026-03-29T02:00:00"
    assert opens("2026-03-29T02:00:01", HOUR, over) == "2026-03-29T23:00:00"


def test_a_time_that_comes_twice_opens_once() -> None:
    fold = window("30 2 * * *", "30m", "Europe/Berlin")
    assert opens("2026-10-25T00:00:00", 60, fold) == "2026-10-25T00:30:00"
    assert opens("2026-10-25T00:59:00", 60, fold) == "2026-10-25T00:59:00"
    # The second 2:30, an hour later, is not another opening.
    assert opens("2026-10-25T01:00:00", 60, fold) == "2026-10-26T01:30:00"
    assert opens("2026-10-25T01:30:00", 60, fold) == "2026-10-26T01:30:00"


def test_a_window_over_the_fold_lasts_as_long_in_real_time() -> None:
    over = window("0 1 * * *", "3h", "Europe/Berlin")
    # From 1:00 (23:00 UTC) for three hours: to the second 3:00, no longer.
    assert opens("2026-10-25T01:00:00", HOUR, over) == "2026-10-25T01:00:00"
    assert opens("2026-10-25T01:00:01", HOUR, over) == "2026-10-26T00:00:00"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (window("61 2 * * *", "1h"), "windows[1].schedule: '61 2 * * *'"),
        (window("0 0 31 2 *", "1h"), "windows[1].schedule"),
        (window("0 0 * * 1#9", "1h"), "windows[1].schedule"),
        (window("0 2 * * *", "1h", "Europe/Atlantis"), "windows[1].timeZone: 'Europe/Atlantis'"),
        (window("0 2 * * *", "1h", "Europe"), "windows[1].timeZone"),
    ],
)
def test_what_is_no_window_is_named(wrong: MaintenanceWindow, words: str) -> None:
    with pytest.raises(WindowError) as error:
        Windows((NIGHT, wrong), utc("2026-01-01T12:00:00"))
    assert words in str(error.value)
    assert opening((NIGHT, wrong), utc("2026-01-01T22:00:00"), 1) is None, "it is never open"


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),
    st.integers(0, 23),
    st.integers(1, 30),
    st.integers(1, 20 * HOUR),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
)
def test_daily_windows_as_they_are_without_cron(
    naive: datetime, hour: int, hours: int, seconds: int, zone: str
) -> None:
    now, need = naive.replace(microsecond=0, tzinfo=UTC), timedelta(seconds=seconds)
    # Of whole hours, one in a gap begins where the gap ends, which is what fold=0 means there.
    days = [now.astimezone(ZoneInfo(zone)).date() + timedelta(days=n) for n in range(-3, 4)]
    clock = [datetime(d.year, d.month, d.day, hour, tzinfo=ZoneInfo(zone)) for d in days]
    spans: list[tuple[datetime, datetime]] = []
    for start in (at.astimezone(UTC) for at in clock):
        end = start + timedelta(hours=hours)
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    starts = [max(start, now) for start, end in spans if end - max(start, now) >= need]
    found = Windows((window(f"0 {hour} * * *", f"{hours}h", zone),), now).opens(seconds)
    assert found == (min(starts) if starts else None)


def test_the_time_in_which_something_could_have_begun_is_counted() -> None:
    """Twice 22:00 to 23:00, in which half an hour's work can begin until half past."""
    since, until = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 3, 12, tzinfo=UTC)
    windows = Windows([MaintenanceWindow(schedule="0 22 * * *", duration="1h")], since)
    day = timedelta(days=1)
    assert windows.room(1800, until, day) == timedelta(hours=1)
    assert windows.room(1800, since + timedelta(hours=10, minutes=5), day) == timedelta(minutes=5)
    assert windows.room(1800, since + timedelta(hours=10, minutes=50), day) == timedelta(minutes=30)
    assert windows.room(7200, until, day) == timedelta(0)
    half = timedelta(minutes=30)
    assert windows.room(1800, until, half) == half, "enough, so not counted on"
    assert Windows([], since).room(1800, until, day) == 2 * day


def test_windows_that_follow_each_other_count_as_one() -> None:
    since = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    windows = Windows([MaintenanceWindow(schedule="0 * * * *", duration="1h")], since)
    until = since + timedelta(hours=5)
    assert windows.room(1800, until, timedelta(days=1)) == timedelta(hours=5)


EVERY_MINUTE = [
    [window("* * * * *", "1h")],
    [window("*/2 * * * *", "1h")] * 4,
    [window("0-58 * * * *", "2m"), window("59 * * * *", "1m")],
]


@pytest.mark.parametrize("windows", EVERY_MINUTE)
def test_what_opens_every_minute_is_not_followed_for_years(
    windows: list[MaintenanceWindow],
) -> None:
    """One plan took up to 20 seconds of CPU, in which nothing else was heard or renewed."""
    now, began = utc("2026-01-01T12:00:00"), process_time()
    seen = Windows(windows, now)
    seen.opens(2 * 9999 * HOUR)
    seen.room(9999 * HOUR, now + timedelta(days=400), timedelta(days=300))
    assert process_time() - began < 2


def test_what_is_always_open_holds_anything() -> None:
    always = window("* * * * *", "1m", "Europe/Berlin")
    assert opens("2026-03-28T21:03:07", 9999 * HOUR, always) == "2026-03-28T21:03:07"
    now = utc("2026-03-28T21:03:07")
    room = Windows([always], now).room(9999 * HOUR, now + timedelta(days=9), timedelta(days=1))
    assert room == timedelta(days=9)


def test_what_follows_each_other_for_weeks_holds_what_takes_that_long() -> None:
    hourly = window("0 * * * *", "1h")
    assert opens("2026-01-01T21:03:07", 700 * 24 * HOUR, hourly) == "2026-01-01T21:03:07"
    often = window("*/2 * * * *", "1h")
    assert opens("2026-01-01T21:03:07", 20 * 24 * HOUR, often) == "2026-01-01T21:03:07"
    assert opens("2026-01-01T21:03:07", 9999 * HOUR, often) is None, "that far nobody has looked"


SCHEDULES = ["0 22 * * *", "*/30 * * * *", "0 * * * *", "15 3 * * 0", "0 5 24 12 *", "30 2 * * *"]


@given(
    windows=st.lists(
        st.builds(
            window,
            st.sampled_from(SCHEDULES),
            st.sampled_from(["20m", "1h", "4h", "30h"]),
            st.sampled_from(["UTC", "Europe/Berlin"]),
        ),
        min_size=1,
        max_size=3,
    ),
    seconds=st.sampled_from([60, HOUR, 5 * HOUR, 40 * HOUR]),
    later=st.lists(st.integers(0, 3 * 86_400), min_size=1, max_size=6),
)
def test_what_was_found_out_once_is_what_would_be_found_out_now(
    windows: list[MaintenanceWindow], seconds: int, later: list[int]
) -> None:
    first = utc("2026-03-28T00:00:00")
    _found.cache_clear()
    for now in (first + timedelta(seconds=each) for each in later):
        kept = Windows(windows, now).opens(seconds)
        before = _found(tuple(windows)).copy()
        _found.cache_clear()
        assert kept == Windows(windows, now).opens(seconds)
        _found.cache_clear()
        _found(tuple(windows)).update(before)


def test_windows_are_followed_once_and_not_in_each_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass over 200 policies took 25 s each time, in which the lease was not renewed."""
    followed = []
    spans = Windows._spans

    def counted(self: Windows, enough: timedelta) -> Iterator[Span]:
        followed.append(enough)
        return spans(self, enough)

    monkeypatch.setattr(Windows, "_spans", counted)
    _found.cache_clear()
    never, now = (window("5-59 0-22 * * *", "2m"),), utc("2026-01-01T12:00:00")
    often = (window("*/2 * * * *", "1h"),)
    for passed in range(100):
        at = now + timedelta(seconds=30 * passed)
        assert windows_at(never, at).opens(9999 * HOUR) is None
        assert windows_at(often, at).opens(10 * 24 * HOUR) == at
    assert len(followed) == 2
