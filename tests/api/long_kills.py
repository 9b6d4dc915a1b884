"""What takes minutes: run by `make kills`, and by its name only."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.controllers import Controller, World
from tests.api.nodes import Fleet
from tests.api.proxy import Asked, Deed, Proxy
from tests.api.test_killed import play
from tests.api.test_trouble import PAIR, TWO, check_end, everything
from tests.api.waiting import eventually


async def test_twenty_nodes_killed_before_and_after_every_write(world: World, fleet: Fleet) -> None:
    await play(world, fleet, "around", 20)


@pytest.mark.parametrize("seed", range(1, 6))
async def test_twenty_nodes_killed_at_random(world: World, fleet: Fleet, seed: int) -> None:
    await play(world, fleet, "at random", 20, seed)


@pytest.mark.parametrize("seed", range(2, 9))
def test_everything_at_once(
    world: World, fleet: Fleet, proxy: Proxy, through: Path, seed: int
) -> None:
    everything(world, fleet, proxy, through, seed)


def _killed_at(fatal: int, after: bool, it: list[Controller]) -> Callable[[Asked], Deed | None]:
    """SIGKILL around the n-th write, and to the next process around its own n-th."""
    count = [0]

    def kill() -> None:
        it[-1].process.send_signal(signal.SIGKILL)
        it[-1].process.wait(10)

    def fault(asked: Asked) -> Deed | None:
        if not asked.write:
            return None
        if it[-1].process.poll() is not None:
            return Deed(drop=True)
        count[0] += 1
        if count[0] != fatal:
            return None
        return Deed(after=kill, lose=True) if after else Deed(before=kill, drop=True)

    return fault


KILLS = [(n, after) for n in range(1, 21) for after in (False, True)]


@pytest.mark.parametrize(("fatal", "after"), KILLS)
def test_a_process_killed_at_its_nth_write(
    world: World, fleet: Fleet, proxy: Proxy, through: Path, fatal: int, after: bool
) -> None:
    fleet.add(world.api, *PAIR)
    before = len(world.writes())
    lives: list[Controller] = []
    world.policy(rollout=TWO)
    with world.controller(through) as first:
        lives.append(first)
        proxy.fault = _killed_at(fatal, after, lives)
        eventually(lambda: first.process.poll() is not None, f"it dies at write {fatal}", 90)
    with world.controller(through) as second:
        lives.append(second)
        check_end(world, fleet, before)
