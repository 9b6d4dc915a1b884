"""Since when a process looks: a gap between two passes, and not a long pass, begins it anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cni_upgrade.controller import loop
from cni_upgrade.controller.attention import GAP, Attention
from cni_upgrade.fleet.memory import Memory
from cni_upgrade.fleet.snapshot import Snapshot
from cni_upgrade.fleet.turn import Turn
from tests.unit.controller.kube_model import Made

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_passes_that_follow_each_other_are_one_look() -> None:
    attention = Attention()
    assert [attention.begins(after(n * 30)) for n in range(10)] == [NOON] * 10


def test_a_gap_begins_it_anew() -> None:
    attention, longer = Attention(), GAP.total_seconds() + 1
    assert attention.begins(NOON) == NOON
    assert attention.begins(after(longer)) == after(longer)
    assert attention.begins(after(longer + 1)) == after(longer)


def test_a_pass_that_takes_long_is_no_gap() -> None:
    attention = Attention()
    attention.begins(NOON)
    attention.ends(after(900))
    assert attention.begins(after(901)) == NOON


def test_a_clock_that_was_set_back_begins_it_anew() -> None:
    attention = Attention()
    attention.begins(NOON)
    assert attention.begins(after(-10)) == after(-10)


async def test_passes_without_an_answer_are_no_look(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since when it looks is what the planner is told: anew once the API server was away."""
    since: list[datetime | None] = []

    def planned(world: Snapshot, memory: Memory) -> tuple[Turn, ...]:
        since.append(world.looking_since)
        return ()

    began = made.store.now()
    monkeypatch.setattr(loop, "plan", planned)
    for seconds in (0, 30, 3600, 3601):
        at = began + timedelta(seconds=seconds)
        monkeypatch.setattr(made.store, "now", lambda at=at: at)
        await made.pass_()
    later = began + timedelta(hours=1)
    assert since == [began, began, later, later]
