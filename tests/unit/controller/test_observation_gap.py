"""Since when a process looks: a gap between what it reads, and not a long pass, begins it anew."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from cni_upgrade.controller import reconcile_loop
from cni_upgrade.controller.observation_gap import GAP, ObservationGap
from cni_upgrade.kube.interface import KubeError, Listed
from cni_upgrade.kube.resources import Resource
from cni_upgrade.planner.pass_cache import PassCache
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.controller.kube_model import Made
from tests.unit.planner.node_model import SimNode

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_passes_that_follow_each_other_are_one_look() -> None:
    attention = ObservationGap()
    assert [attention.begins(after(n * 30)) for n in range(10)] == [NOON] * 10


def test_a_gap_begins_it_anew() -> None:
    attention, longer = ObservationGap(), GAP.total_seconds() + 1
    assert attention.begins(NOON) == NOON
    assert attention.begins(after(longer)) == after(longer)
    assert attention.begins(after(longer + 1)) == after(longer)


def test_a_pass_that_takes_long_is_no_gap() -> None:
    attention = ObservationGap()
    attention.begins(NOON)
    attention.ends(after(900))
    assert attention.begins(after(901)) == NOON


def test_a_clock_that_was_set_back_begins_it_anew() -> None:
    attention = ObservationGap()
    attention.begins(NOON)
    assert attention.begins(after(-600)) == after(-600)
    assert attention.begins(after(-300)) == after(-300), "a gap, by the clock as it is now"


def test_what_is_read_slowly_before_a_pass_is_no_gap() -> None:
    attention = ObservationGap()
    attention.begins(NOON)
    attention.ends(NOON)
    attention.starts()
    for seconds in range(100, 901, 100):
        attention.hears(after(seconds))
    # The pass plans with a time that was taken before the last of it was read.
    assert attention.begins(after(850)) == NOON
    attention.ends(after(950))
    assert attention.begins(after(951)) == NOON


def test_the_first_answer_after_a_gap_hides_it_from_no_pass() -> None:
    attention, longer = ObservationGap(), GAP.total_seconds() + 1
    attention.begins(NOON)
    attention.starts()
    attention.hears(after(longer))
    assert attention.begins(after(longer + 1)) == after(longer + 1)


def test_what_was_read_for_a_pass_that_was_given_up_is_no_look() -> None:
    attention = ObservationGap()
    attention.begins(NOON)
    for seconds in range(100, 901, 100):
        attention.starts()
        attention.hears(after(seconds))
    assert attention.begins(after(901)) == after(901)


async def test_a_drain_comes_due_where_the_api_server_is_slow(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole lists took longer than a gap, so each began its ten minutes anew, for ever."""
    cluster = made.kube.cluster
    monkeypatch.setattr(made.store, "now", lambda: cluster.now)
    cluster.add_node(SimNode("node-a", "0.4.0"))
    cluster.budgets.add("web-node-a-0")
    drain = {"policy": "Always", "deadline": "10m"}
    cluster.apply_policy("cure", {"mode": "Enforce", "drain": drain})

    def operation() -> str:
        state = made.store.states.items.get("node-a")
        return state.status.operation.step if state and state.status.operation else ""

    for _ in range(30):
        await made.pass_()
        if operation() == "Drain":
            break
    began, real = cluster.now, made.kube.list

    async def slow(resource: Resource, namespace: str | None = None, **query: str) -> Listed:
        cluster.tick(25)
        return await real(resource, namespace, **query)

    monkeypatch.setattr(made.kube, "list", slow)
    for _ in range(10):
        await made.pass_()
        if operation() != "Drain":
            break
    assert operation() != "Drain", f"not given up after {cluster.now - began}"


@pytest.mark.parametrize("missing", ["", "nodes"])
async def test_an_api_server_that_shows_no_cluster_is_no_look(
    made: Made, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Dead, or with nothing but an error for what matters: either way we were away."""
    monkeypatch.setattr(reconcile_loop, "BUSY_TICK", 0.01)
    monkeypatch.setattr(reconcile_loop, "IDLE_TICK", 0.01)
    since: list[datetime | None] = []
    at = began = made.store.now()

    def planned(world: Snapshot, memory: PassCache) -> tuple[Batch, ...]:
        since.append(world.looking_since)
        return ()

    def refused(verb: str, plural: str, name: str) -> KubeError | None:
        nonlocal at
        at += timedelta(seconds=10)
        return KubeError(500 if missing else 0, "No", "no") if missing in ("", plural) else None

    monkeypatch.setattr(reconcile_loop, "plan", planned)
    monkeypatch.setattr(made.store, "now", lambda: at)
    await made.pass_()
    made.kube.refuse = refused
    made.loop.relist()
    running = asyncio.create_task(made.loop.run())
    try:
        async with asyncio.timeout(20):
            while at < began + timedelta(hours=1):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            made.kube.refuse = lambda verb, plural, name: None
            while len(since) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
    assert since == [began, at]


async def test_passes_without_an_answer_are_no_look(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since when it looks is what the planner is told: anew once the API server was away."""
    since: list[datetime | None] = []

    def planned(world: Snapshot, memory: PassCache) -> tuple[Batch, ...]:
        since.append(world.looking_since)
        return ()

    began = made.store.now()
    monkeypatch.setattr(reconcile_loop, "plan", planned)
    for seconds in (0, 30, 3600, 3601):
        at = began + timedelta(seconds=seconds)
        monkeypatch.setattr(made.store, "now", lambda at=at: at)
        await made.pass_()
    later = began + timedelta(hours=1)
    assert since == [began, began, later, later]
