"""The time that deadlines go by: set clocks, skewed replicas, machines that slept."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.controller.clock import Clock, ticks

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Machine:
    """A machine whose clock may be set."""

    def __init__(self) -> None:
        self.set_by = timedelta(0)
        self.up = 100.0
        self.clock = Clock(self.wall, lambda: self.up)

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.up - 100) + self.set_by

    def after(self, seconds: float) -> float:
        """Seconds since the start, by its clock, so much later."""
        self.up += seconds
        return (self.clock.now() - START).total_seconds()


def test_it_is_the_wall_clock_while_that_is_not_touched() -> None:
    it = Machine()
    assert [it.after(s) for s in (0, 1, 60, 3600)] == [0, 1, 61, 3661]


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_moves_no_deadline_by_more_than_a_tenth(hours: int) -> None:
    it = Machine()
    it.after(0)
    it.set_by = timedelta(hours=hours)
    assert it.after(0) == 0
    assert it.after(60) == pytest.approx(60 + 6 * hours)
    # And in ten hours it is there.
    for _ in range(700):
        last = it.after(60)
    assert last == pytest.approx(60 + 700 * 60 + hours * 3600)


def test_it_says_so_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    it = Machine()
    it.after(0)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            it.after(1)
        assert caplog.messages == []
        it.set_by = timedelta(hours=1)
        for _ in range(100):
            it.after(1)
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith("the clock was set by +3600 s")
        for _ in range(700):
            it.after(60)
    assert len(caplog.messages) < 12


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(-1e6, 1e6)), max_size=30))
def test_it_never_goes_back_and_never_by_more_than_a_tenth(
    steps: list[tuple[float, float]],
) -> None:
    it = Machine()
    before = it.after(0)
    for seconds, jump in steps:
        it.set_by += timedelta(seconds=jump)
        now = it.after(seconds)
        assert now >= before
        assert 0.9 * seconds - 1e-3 <= now - before <= 1.1 * seconds + 1e-3
        before = now


def test_the_ticks_go_on() -> None:
    assert ticks() <= ticks()
