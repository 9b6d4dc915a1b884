"""What takes minutes: run by `make kills`, and by its name only."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from cni_upgrade.kube.client import Client, connect
from tests.api.controllers import Controller, World
from tests.api.nodes import Fleet
from tests.api.proxy import Asked, Deed, Proxy
from tests.api.test_killed import MOST, play, watched
from tests.api.test_trouble import PAIR, TWO, check_end, everything
from tests.api.waiting import eventually

pytestmark = pytest.mark.timeout(3 * 3600)
"""Seconds: a rollout of 20 nodes that is begun anew hundreds of times takes longer than any test
of `make test` may."""


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


DEATHS = 8
"""Of leaders in one rollout by two processes."""


class _Killer:
    """SIGKILL to whoever leads, around one of its writes."""

    def __init__(self, world: World, lives: list[Controller], fatal: int, after: bool) -> None:
        self.victim = ""
        self._world, self._lives = world, lives
        self._left, self._after = fatal, after

    def leader(self) -> Controller | None:
        """Who leads and lives."""
        name = self._world.leader()
        alive = (it for it in self._lives if it.process.poll() is None)
        return next((it for it in alive if it.name == name), None)

    def kill(self) -> None:
        if leader := self.leader():
            leader.process.send_signal(signal.SIGKILL)
            leader.process.wait(10)
            self.victim = leader.name

    def fault(self, asked: Asked) -> Deed | None:
        """What else was on its way arrives."""
        if self.victim or not asked.write:
            return None
        self._left -= 1
        if self._left > 0:
            return None
        if self._after:
            return Deed(after=self.kill, lose=True)
        return Deed(before=self.kill, drop=True)


def _pairs(world: World, fleet: Fleet, proxy: Proxy, seed: int) -> list[tuple[int, bool]]:
    """A rollout by two processes, whose leader is killed again and again: at which write since
    there were two, and whether after it."""
    random = Random(seed)  # noqa: S311
    lives: list[Controller] = []
    deaths: list[tuple[int, bool]] = []
    before = len(world.writes())
    with ExitStack() as running:
        world.policy(rollout={"maxUnavailable": MOST, "maxParallel": MOST})
        for _ in range(DEATHS):
            while sum(it.process.poll() is None for it in lives) < 2:
                it = world.controller(world.as_operator(proxy.url))
                lives.append(running.enter_context(it))
            deaths.append((random.randint(1, 25), random.random() < 0.5))
            killer = _Killer(world, lives, *deaths[-1])
            eventually(lambda: killer.leader(), "one leads")  # noqa: B023
            proxy.fault = killer.fault
            eventually(lambda: killer.victim, f"it dies at write {deaths[-1][0]}", 180)  # noqa: B023
        proxy.fault = lambda asked: None
        world.await_reason("Enforced", seconds=600)
        check_end(world, fleet, before)
    assert world.lease()["leaseTransitions"] >= DEATHS
    return deaths


@pytest.mark.parametrize("seed", range(1, 4))
async def test_twenty_nodes_by_two_processes_whose_leader_is_killed(
    world: World, fleet: Fleet, proxy: Proxy, seed: int
) -> None:
    nodes = [f"node-{n:02}" for n in range(20)]
    await asyncio.to_thread(fleet.add, world.api, *nodes)
    client = Client(await connect("test", str(world.kubeconfig)))
    try:
        async with watched(client) as seen:
            deaths = await asyncio.to_thread(_pairs, world, fleet, proxy, seed)
    finally:
        await client.close()
    print(
        f"\nseed {seed}: leaders killed at {deaths}; at most {seen.most_cordoned} cordoned and "
        f"{seen.most_changing} changing of {MOST}"
    )
    assert seen.cordons == Counter(dict.fromkeys(nodes, 1)), "each was to be cordoned once"
    assert {node: len(ids) for node, ids in seen.operations.items()} == dict.fromkeys(nodes, 1)
    assert 0 < seen.most_cordoned <= MOST
    assert 0 < seen.most_changing <= MOST
