"""Whole rollouts in any order and with everything that can go wrong: safe at each step, and ended.

The seed is the test's name; the transcript of a failing one is in its output.
"""

import os
from random import Random

import pytest

from tests.unit.planner.cluster_model import CONFIG, LEASED
from tests.unit.planner.mishaps import Mishaps, end_well, some_labels, some_node, some_policy
from tests.unit.planner.played_rollout import Chaos, Rollout
from tests.unit.planner.scenarios import ENFORCE, crio, f1, f2, healthy, of, old, phases

_FIRST, _, _PAST = os.environ.get("FLEET_SEEDS", "120").rpartition(":")
SEEDS = range(int(_FIRST or 0), int(_PAST))
"""More of them find more, and take 0.5 s of CPU each: so many, or `first:past`, as in a slice."""

CURED = {"node-a": "Done", "node-b": "Done", "node-c": "Done", "node-d": "Compatible"}


def mixed() -> Rollout:
    r = of(f1(), f2(), crio(), healthy())
    r.cluster.apply_policy("cure", {**ENFORCE, "rollout": {"maxUnavailable": 2}})
    return r


@pytest.mark.parametrize("seed", range(10))
def test_any_order_of_decisions_leads_to_the_same_end(seed: int) -> None:
    r = mixed()
    r.random = Random(seed)  # noqa: S311
    r.settle()
    assert phases(r) == CURED


def small() -> Rollout:
    r = of(f1(), old("node-b", drain_for=frozenset({"1.0.0"})))
    r.cluster.apply_policy("cure", ENFORCE)
    return r


def decisions() -> int:
    r = small()
    r.settle()
    return r.count


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_controller_dies_around_every_single_decision(before: bool) -> None:
    for number in range(decisions()):
        r = small()
        r.crash_at, r.crash_before = number, before
        r.settle(patience=10)
        assert phases(r) == {"node-a": "Done", "node-b": "Done"}, r.transcript
        for disk in r.cluster.disks.values():
            assert len(disk.writes) == 1, r.transcript


def test_everything_is_stopped_at_every_moment() -> None:
    """What is not written yet is given back at once; what is written ends, and is given back."""
    whole, passes = small(), 0
    while set(phases(whole).values()) != {"Done"}:
        whole.step()
        passes += 1
    for number in range(1, passes):
        r = small()
        for _ in range(number):
            r.step()
        r.say("== everything is stopped")
        r.cluster.stopped = "a trial"
        r.play(120)
        for node in r.cluster.api.all("Node"):
            assert not node["spec"].get("unschedulable"), r.transcript
        r.cluster.stopped = ""
        r.settle(patience=10)
        assert phases(r) == {"node-a": "Done", "node-b": "Done"}, r.transcript


@pytest.mark.parametrize("seed", range(20))
def test_a_controller_that_dies_all_the_time_gets_there(seed: int) -> None:
    r = mixed()
    r.random, r.chaos = Random(seed), Chaos(crash=0.2, refused=0.05, lost=0.1, stale=0.3)  # noqa: S311
    r.settle()
    assert phases(r) == CURED, r.transcript
    assert all(len(disk.writes) <= 1 for disk in r.cluster.disks.values()), r.transcript


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_goes_wrong(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    config = LEASED if random.random() < 0.5 else CONFIG
    r = Rollout(random=random, own_node="node-1", config=config)
    r.chaos = Chaos(crash=0.03, refused=0.02, lost=0.02, stale=0.2)
    for number in range(random.randint(1, 5)):
        disk, pods = some_node(random, f"node-{number}"), random.randint(0, 2)
        r.cluster.add_node(disk, pods=pods, labels=some_labels(random))
        for owner in ("DaemonSet", "Node"):
            if random.random() < 0.5:
                r.cluster.add_pod(disk.name, f"{owner.lower()}-{disk.name}", owner=owner)
    r.cluster.apply_policy("cure", some_policy(random))
    if random.random() < 1 / 3:
        # Both may begin in the first pass: the limits of each hold for the nodes of both.
        r.cluster.apply_policy("other", {**some_policy(random), "mode": "Enforce"})
    mishaps = Mishaps(r, random)
    try:
        for _ in range(random.randint(3, 12)):
            for _ in range(random.randint(1, 25)):
                r.step()
            mishaps.one()
        mishaps.calm()
        end_well(r)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\n{r.transcript}") from error
