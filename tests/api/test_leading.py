"""Two replicas as processes: the one that leads is killed, ended, and stopped past its lease."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cni_upgrade.api import names
from tests.api.controllers import (
    LEASE,
    LEASE_SECONDS,
    POLICIES,
    Controller,
    World,
    check_cured,
)
from tests.api.nodes import Fleet, Object
from tests.api.waiting import eventually

NODES = ["node-a", "node-b"]


@contextmanager
def pair(world: World) -> Iterator[tuple[Controller, Controller]]:
    """Two replicas that are ready, each with a token of its own; the first one leads."""
    with world.controller(world.as_operator()) as one:
        eventually(lambda: world.leader() == one.name, "the first one leads")
        with world.controller(world.as_operator()) as two:
            for it in (one, two):
                eventually(lambda it=it: it.get(it.metrics, "/readyz")[0] == 200, "it is ready")  # type: ignore[misc]
            yield one, two


def led(it: Controller) -> str:
    [line] = [
        line
        for line in it.get(it.metrics, "/metrics")[1].splitlines()
        if line.startswith("cni_upgrade_leader ")
    ]
    return line.split()[1]


def at_step(world: World, step: str) -> bool:
    return any((world.status(n).get("operation") or {}).get("step") == step for n in NODES)


Write = tuple[str, str, int]


def written(asked: list[Object]) -> list[Write]:
    """(verb, plural, HTTP status) of the requests that change something."""
    return [
        (e["verb"], e["objectRef"]["resource"], e["responseStatus"]["code"])
        for e in asked
        if e["verb"] not in ("get", "list", "watch")
        and "accessreviews" not in e["objectRef"]["resource"]
    ]


def at_rest(world: World, it: Controller) -> None:
    """Returns once it waits for its agents: what a replica has in its hands when it is stopped
    goes out when it goes on, and is refused by a version or a name. That is another question."""

    def acts() -> int:
        return len([1 for _, plural, _ in written(world.asked_with(it)) if plural != "leases"])

    def quiet() -> bool:
        before = acts()
        time.sleep(LEASE_SECONDS / 3)
        return acts() == before

    eventually(quiet, "it writes nothing for a while")


def test_the_leader_is_killed_and_the_other_one_takes_over(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, *NODES)
    before = len(world.writes())
    with pair(world) as (one, two):
        assert (led(one), led(two)) == ("1.0", "0.0")
        assert "cni_upgrade_nodes{" not in two.get(two.metrics, "/metrics")[1]
        fleet.hold = lambda operation: operation.kind == "apply"
        world.policy(rollout={"maxUnavailable": 2, "maxParallel": 2})
        eventually(lambda: at_step(world, "Apply"), "a node is being written to")
        one.end(signal.SIGKILL)
        began = time.monotonic()
        fleet.hold = lambda operation: False
        eventually(lambda: world.leader() == two.name, "the second one leads")
        assert LEASE_SECONDS / 2 < time.monotonic() - began < LEASE_SECONDS + 2
        assert world.lease()["leaseTransitions"] == 1
        check_cured(world, fleet, before)
        assert led(two) == "1.0"
        figure = f'cni_upgrade_nodes{{phase="Done",policy="cure"}} {len(NODES)}.0'
        eventually(lambda: figure in two.get(two.metrics, "/metrics")[1], "it counts them")


def test_a_leader_that_is_told_to_end_gives_the_lease_back(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, *NODES)
    before = len(world.writes())
    with pair(world) as (one, two):
        world.policy(rollout={"maxUnavailable": 2, "maxParallel": 2})
        eventually(lambda: at_step(world, "Apply"), "a node is being written to")
        one.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        eventually(lambda: world.leader() == two.name, "the second one leads")
        assert time.monotonic() - began < LEASE_SECONDS / 2
        assert one.process.wait(20) == 0
        assert "the lease was given back" in one.log
        check_cured(world, fleet, before)


def test_a_leader_that_was_stopped_past_its_lease_writes_nothing(
    world: World, fleet: Fleet
) -> None:
    fleet.add(world.api, *NODES)
    before = len(world.writes())
    with pair(world) as (one, two):
        fleet.hold = lambda operation: operation.kind == "apply"
        world.policy(rollout={"maxUnavailable": 2, "maxParallel": 2})
        eventually(lambda: at_step(world, "Apply"), "a node is being written to")
        at_rest(world, one)
        one.process.send_signal(signal.SIGSTOP)
        eventually(lambda: world.leader() == two.name, "the second one leads")
        # What the first one knows is now old, and there is something to decide.
        fleet.hold = lambda operation: False
        check_cured(world, fleet, before)
        asked = len(world.asked_with(one))
        one.process.send_signal(signal.SIGCONT)
        eventually(lambda: "this replica leads no more" in one.log, "it sees that it lost")
        world.api.patch(f"{POLICIES}/cure", {"metadata": {"annotations": {names.PAUSED: "x"}}})
        world.await_reason("Paused", "Paused")
        time.sleep(LEASE_SECONDS)
        since = world.asked_with(one)[asked:]
        assert since, "it goes on watching"
        # A renewal by the version that it last saw is what tells it; the API server refuses that.
        assert set(written(since)) <= {("patch", "leases", 409)}
        assert one.get(one.metrics, "/readyz")[0] == 200
        assert world.leader() == two.name


def test_a_lease_that_somebody_deletes_is_made_anew_by_who_has_it(world: World) -> None:
    with pair(world) as (one, two):
        for _ in range(3):
            world.api.request("DELETE", LEASE)
            eventually(lambda: world.leader(), "there is a lease again")
            assert world.leader() == one.name
            time.sleep(LEASE_SECONDS / 3)
        assert (led(one), led(two)) == ("1.0", "0.0")
