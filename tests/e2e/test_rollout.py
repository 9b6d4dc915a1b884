"""In which order real nodes are changed: not outside a window, the canary first, then by waves."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.api.spaces import ACCOUNT
from tests.e2e.api import Object, wait
from tests.e2e.machine import Snapshot
from tests.e2e.world import World, on

_ENDS = {"node-b": "0.4.0", "node-d": "1.0.0", "node-a": "1.0.0"}
"""In the order in which they are to be changed."""


def _at_work(world: World, node: str) -> tuple[datetime, datetime]:
    """When the operator cordoned a node, and when it gave it back."""
    wrote = world.asked("patch", "nodes", node, ACCOUNT)
    times = [datetime.fromisoformat(entry["requestReceivedTimestamp"]) for entry in wrote]
    assert len(times) == 2, f"{node}: a cordon and its end, not {len(times)} writes"
    return min(times), max(times)


def test_a_window_then_the_canary_then_the_waves(world: World) -> None:
    machines = {name: world.machine(name) for name in _ENDS}
    machines["node-d"].write(machines["node-d"].at_version("0.4.0"))
    before = {name: Snapshot.of(machine) for name, machine in machines.items()}
    # Half a year away, whenever this runs.
    closed = {"schedule": f"0 0 1 {(datetime.now(UTC).month + 5) % 12 + 1} *", "duration": "1h"}
    rollout = {
        "maxUnavailable": "100%",
        "canary": {"nodeSelector": on(["node-b"]), "soak": "12s"},
        "order": {"by": "Selectors", "selectors": [on(["node-d"]), on(["node-a"])]},
        "windows": [closed],
    }
    world.policy(nodes=list(_ENDS), mode="Enforce", rollout=rollout)
    for name in _ENDS:
        status = world.await_phase(name, "Waiting", reason="WaitingForWindow")
        assert "waits for a maintenance window of policy p" in status["message"]

    def says_when() -> bool:
        told = world.policy_status().get("rollout") or {}
        return f"opens {told.get('nextWindow', '?')}" in told.get("waitsFor", "")

    wait(says_when, "the policy says when the next window opens")
    assert not world.asked("patch", "nodes", "", ACCOUNT), "nothing was to begin"
    assert {name: Snapshot.of(machine) for name, machine in machines.items()} == before

    world.change("p", rollout={**rollout, "windows": [{"schedule": "* * * * *", "duration": "1h"}]})
    world.await_phase("node-b", "Done")
    soak = wait(lambda: _soaking(world), "the policy says that the canary soaks")
    assert soak["waitsFor"].startswith("soak of the canary until "), soak["waitsFor"]
    for name in ("node-d", "node-a"):
        status = world.status(name)
        assert (status["phase"], status["reason"]) == ("Waiting", "WaitingForCanary"), status[
            "message"
        ]
        assert Snapshot.of(machines[name]) == before[name], f"{name} was touched"
    wave = wait(lambda: _waits_for_its_wave(world, "node-a"), "node-a waits for its wave")
    assert "waits for its wave, selector 2 (2 of 3)" in wave, wave

    world.await_ready(reason="Enforced")
    for name, to in _ENDS.items():
        assert machines[name].config.read_text() == machines[name].at_version(to)
    world.not_cordoned(*_ENDS)
    canary = world.policy_status()["rollout"]["canary"]
    passed = datetime.fromisoformat(canary["passedAt"])
    soaked = (passed - datetime.fromisoformat(canary["soakSince"])).total_seconds()
    assert soaked >= 12, "it was to soak for that long"
    first, second, third = (_at_work(world, name) for name in _ENDS)
    assert first[1] < passed < second[0], "the canary, and nobody before it had passed"
    assert second[1] < third[0], "one wave after the other"


def _soaking(world: World) -> Object | None:
    told = world.policy_status()["rollout"]
    soaks = told.get("canary", {}).get("soakSince") and told.get("waitsFor")
    return told if soaks else None


def _waits_for_its_wave(world: World, node: str) -> str:
    status = world.status(node)
    return status["message"] if status.get("reason") == "WaitingForWave" else ""
