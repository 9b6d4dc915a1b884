"""Keeping the lease: what is refused or hangs, what another replica does, and giving it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from cni_upgrade.controller.clock import ticks
from cni_upgrade.controller.leader_election import LeaderElection
from cni_upgrade.controller.leader_lease import Election, Timing
from cni_upgrade.kube.interface import KubeError, Object
from cni_upgrade.kube.resources import Resource
from tests.unit.controller.kube_model import Memory, silence

SPACE = "cni-upgrade-system"


class Clock:
    """The monotonic clock of the process."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Replica(LeaderElection):
    def __init__(
        self,
        kube: Memory,
        name: str,
        clock: Callable[[], float] = ticks,
        timing: Timing | None = None,
    ) -> None:
        self.told = 0
        super().__init__(kube, SPACE, Election(name, timing or Timing()), self._tell, clock)

    def _tell(self) -> None:
        self.told += 1


def lease(kube: Memory) -> Object:
    found = kube.cluster.api.find("Lease", "cni-upgrade-operator", SPACE)
    assert found is not None
    return found


async def test_one_leads_the_other_one_follows_it(clock: Clock) -> None:
    kube = Memory()
    one, two = Replica(kube, "one", clock), Replica(kube, "two", clock)
    for _ in range(30):
        await one.once()
        await two.once()
        clock.now += 2
        assert (one.leads(), two.leads()) == (True, False)
    assert lease(kube)["spec"]["holderIdentity"] == "one"
    assert lease(kube)["spec"]["leaseTransitions"] == 0
    assert one.told == 1
    assert two.told == 0
    clock.now += 15
    await two.once()
    assert (one.leads(), two.leads()) == (False, True)
    await one.once()
    assert one.told == 2, "it was told that it leads no more"


async def test_annotations_of_a_lease_are_not_ours_to_lose(clock: Clock) -> None:
    kube = Memory()
    one = Replica(kube, "one", clock)
    await one.once()
    mark = {"metadata": {"annotations": {"somebody": "was here"}}}
    kube.cluster.api.patch("Lease", "cni-upgrade-operator", mark, namespace=SPACE)
    for _ in range(3):
        clock.now += 2
        await one.once()
    assert one.leads()
    assert lease(kube)["metadata"]["annotations"] == {"somebody": "was here"}


@pytest.mark.parametrize("status", [0, 403, 409, 429, 500])
async def test_what_is_refused_ends_it_in_time_and_not_before(clock: Clock, status: int) -> None:
    kube = Memory()
    one = Replica(kube, "one", clock)
    await one.once()
    refused = KubeError(status, "No", "no")
    kube.refuse = lambda verb, plural, name: refused if verb == "patch" else None
    for seconds in (2, 4, 6, 8):
        clock.now = 1000 + seconds
        await one.once()
        assert one.leads(), f"after {seconds} s it is still ours"
    clock.now = 1010
    assert not one.leads()
    assert one.left() == 0
    await one.once()
    assert one.told == 2
    kube.refuse = lambda verb, plural, name: None
    await one.once()
    assert one.leads(), "nobody took it: it is ours again"
    assert lease(kube)["spec"]["leaseTransitions"] == 0


@pytest.mark.parametrize("answered", [False, True], ids=["asleep", "in a request"])
async def test_one_that_slept_while_another_one_led_is_told(
    clock: Clock, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads before and after, and what it knows of the cluster is from before."""
    kube = Memory()
    one, two = Replica(kube, "one", clock), Replica(kube, "two", clock)
    await one.once()
    await two.once()
    clock.now += 2
    await one.once()
    assert (one.leads(), one.told) == (True, 1)
    await two.once()
    whole = kube.patch

    async def meanwhile() -> None:
        for _ in range(10):
            clock.now += 2
            await two.once()
        assert two.leads()
        await two.release()

    async def frozen(*asked: Any) -> Object:
        monkeypatch.setattr(kube, "patch", whole)
        await meanwhile()
        return await whole(*asked)

    if answered:
        clock.now += 2
        monkeypatch.setattr(kube, "patch", frozen)
    else:
        await meanwhile()
    await one.once()
    assert (one.leads(), one.told) == (True, 2)


async def test_a_lease_that_cannot_be_read_is_no_readiness() -> None:
    kube = Memory()
    kube.refuse = lambda verb, plural, name: silence()
    one = Replica(kube, "one")
    await one.once()
    assert one.waits() == "the lease could not be read yet: no answer from the API server"
    assert not one.leads()
    kube.refuse = lambda verb, plural, name: None
    await one.once()
    assert one.waits() == ""


async def test_a_request_that_hangs_leaves_time_for_another_one() -> None:
    kube = Memory()
    one = Replica(kube, "one", timing=Timing.of(0.6))
    await one.once()

    async def hangs(
        resource: Resource, namespace: str | None, name: str, body: Object, sub: str = ""
    ) -> Object:
        await asyncio.sleep(60)
        return {}

    whole = kube.patch
    kube.patch = hangs  # type: ignore[method-assign]
    began = time.monotonic()
    await one.once()
    assert time.monotonic() - began < 0.4
    kube.patch = whole  # type: ignore[method-assign]
    await one.once()
    assert one.leads()


async def test_it_is_given_back_once_and_only_where_it_is_ours(clock: Clock) -> None:
    kube = Memory()
    one, two = Replica(kube, "one", clock), Replica(kube, "two", clock)
    await one.once()
    await two.once()
    await two.release()
    assert lease(kube)["spec"]["holderIdentity"] == "one"
    await one.release()
    assert lease(kube)["spec"]["holderIdentity"] == ""
    assert not one.leads()
    kube.asked.clear()
    await one.release()
    assert kube.asked == []
    await two.once()
    assert two.leads()
    assert lease(kube)["spec"]["leaseTransitions"] == 1


async def test_a_release_that_is_refused_is_no_reason_to_stay() -> None:
    kube = Memory()
    one = Replica(kube, "one")
    await one.once()
    kube.refuse = lambda verb, plural, name: silence()
    await one.release()
    assert not one.leads()
