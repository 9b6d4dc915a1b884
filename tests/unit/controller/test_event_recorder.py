"""Events: none is lost because the API server was away or busy, and none is told twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.controller import event_recorder as recorders
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.planner.world.decisions import Emit
from tests.unit.controller.kube_model import Memory, silence


@pytest.fixture
def kube() -> Memory:
    return Memory()


def emit(reason: str = "Done", message: str = "text", node: str = "node-a") -> Emit:
    return Emit(names.NODE_STATE_KIND, node, f"{node}-uid", "Normal", reason, message)


def told(kube: Memory) -> list[tuple[str, str, int]]:
    events = kube.cluster.api.all("Event")
    return [
        (e["involvedObject"]["name"], e["reason"], e["count"])
        for e in sorted(events, key=lambda e: int(e["metadata"]["resourceVersion"]))
    ]


async def test_they_are_told_in_their_order(kube: Memory) -> None:
    it = EventRecorder(kube)
    for reason in ("Applying", "Proving", "Done"):
        it.say(emit(reason))
    await it.send()
    assert told(kube) == [("node-a", r, 1) for r in ("Applying", "Proving", "Done")]
    assert it.waiting == 0


async def test_they_have_the_time_of_the_records(kube: Memory) -> None:
    """The API server's: a node whose clock is wrong would tell of tomorrow."""
    at = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    it = EventRecorder(kube, lambda: at)
    it.say(emit())
    at += timedelta(seconds=30)
    it.say(emit())
    await it.send()
    [event] = kube.cluster.api.all("Event")
    shown = (event["firstTimestamp"], event["lastTimestamp"])
    assert shown == ("2031-02-03T04:05:06Z", "2031-02-03T04:05:36Z")


@pytest.mark.parametrize("status", [0, 429, 500, 503])
async def test_one_that_could_not_be_told_waits(kube: Memory, status: int) -> None:
    it = EventRecorder(kube)
    it.say(emit("Done"))
    it.say(emit("Done", node="node-b"))
    kube.refuse = lambda verb, plural, name: KubeError(status, "No", "not now")
    with pytest.raises(KubeError):
        await it.send()
    assert (it.waiting, it.lost) == (2, 0)
    kube.refuse = lambda verb, plural, name: None
    await it.send()
    assert [name for name, *_ in told(kube)] == ["node-a", "node-b"]


async def test_one_that_waits_is_counted_and_not_told_again(kube: Memory) -> None:
    it = EventRecorder(kube)
    for _ in range(5):
        it.say(emit("RollingOut", "3 nodes: 3 Waiting"))
        it.say(emit("Failed", "another"))
    await it.send()
    assert told(kube) == [("node-a", "RollingOut", 5), ("node-a", "Failed", 5)]


async def test_one_that_is_said_again_while_it_is_on_its_way_is_told_again(
    kube: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, create = EventRecorder(kube), kube.create
    again = iter([True, True, False])

    async def slow(*words: Any) -> dict[str, Any]:
        if next(again, False):
            it.say(emit("RollingOut", "3 nodes: 3 Waiting"))
        return await create(*words)

    monkeypatch.setattr(kube, "create", slow)
    it.say(emit("RollingOut", "3 nodes: 3 Waiting"))
    await it.send()
    assert told(kube) == [("node-a", "RollingOut", 1)] * 3, "each under a name of its own"
    assert it.waiting == 0


@pytest.mark.parametrize("status", [403, 404, 422])
async def test_one_that_is_refused_for_good_is_given_up_and_keeps_nobody_else(
    kube: Memory, status: int
) -> None:
    it = EventRecorder(kube)
    it.say(emit("Done"))
    it.say(emit("Done", node="node-b"))
    kube.refuse = lambda verb, plural, name: (
        KubeError(status, "No", "never") if name.startswith("node-a.") else None
    )
    await it.send()
    assert [name for name, *_ in told(kube)] == ["node-b"]
    assert it.lost == 1


async def test_one_whose_answer_was_lost_is_told_once(kube: Memory) -> None:
    it = EventRecorder(kube)
    it.say(emit())
    whole = kube.create

    async def lost(*words: Any) -> Any:
        await whole(*words)
        raise silence()

    kube.create = lost  # type: ignore[method-assign, assignment]
    with pytest.raises(KubeError):
        await it.send()
    kube.create = whole  # type: ignore[method-assign]
    await it.send()
    assert len(told(kube)) == 1
    assert (it.waiting, it.lost) == (0, 0)


async def test_too_many_cost_the_oldest(kube: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorders, "_MOST", 3)
    it = EventRecorder(kube)
    for number in range(5):
        it.say(emit(f"R{number}"))
    await it.send()
    assert [reason for _, reason, _ in told(kube)] == ["R2", "R3", "R4"]
    assert it.lost == 2


async def test_it_tries_again_by_itself(kube: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorders, "_PAUSES", (0.01,))
    it = EventRecorder(kube)
    refusals = [silence() for _ in range(5)]
    kube.refuse = lambda verb, plural, name: refusals.pop() if refusals else None
    task = asyncio.create_task(it.run())
    it.say(emit("One"))
    async with asyncio.timeout(5):
        while len(told(kube)) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        it.say(emit("Two"))
        while len(told(kube)) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    assert it.lost == 0
