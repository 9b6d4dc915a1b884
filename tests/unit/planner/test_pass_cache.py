"""What a pass remembers spares looking at nodes again, and goes with whatever it was found from.

That a plan with a memory is the plan without one is asserted in every pass of every rollout that is
played (rollout.py); here are, one by one, the things that make a memory stale, and those that do
not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.planner import plan as planner
from cni_upgrade.planner.pass_cache import PassCache
from cni_upgrade.planner.plan import plan
from cni_upgrade.planner.world.decisions import Cordon
from cni_upgrade.planner.world.kubernetes_objects import Job
from cni_upgrade.planner.world.node_affinity import only_on
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.planner.cluster_model import LEASED
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import ENFORCE, f1, healthy, of

AUDIT: dict[str, Any] = {"mode": "Audit"}
ALL = ["node-a", "node-b", "node-c"]

Decided = Callable[[Snapshot], list[str]]


def fleet(spec: dict[str, Any], well: str = "node-b", cordoned: str = "node-a") -> Rollout:
    r = Rollout(config=LEASED)
    for name in ALL:
        r.cluster.add_node(healthy(name) if name == well else f1(name))
    r.cluster.apply_policy("cure", AUDIT)
    r.settle()
    if spec != AUDIT:
        r.cluster.cordon(cordoned)
        r.cluster.apply_policy("cure", spec)
        r.play(60)
    return r


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> Decided:
    """Makes the next pass of one process; the nodes that it had to decide about."""
    memory, seen = PassCache(), list[str]()
    decide = planner._contained

    def noted(view: Any, hanging: Any) -> Any:
        seen.append(view.node.name)
        return decide(view, hanging)

    def once(world: Snapshot) -> list[str]:
        seen.clear()
        turns, found = plan(world, memory), sorted(seen)
        assert turns == plan(world)
        return found

    monkeypatch.setattr(planner, "_contained", noted)
    return once


def look(r: Rollout) -> Snapshot:
    r.controller.refresh()
    return r.controller.snapshot()


def test_nodes_at_rest_are_decided_about_once(decided: Decided) -> None:
    r = fleet(AUDIT)
    assert decided(look(r)) == ALL
    assert decided(look(r)) == []


def test_nodes_at_rest_have_no_turn() -> None:
    r, memory = fleet(AUDIT), PassCache()
    plan(look(r), memory)
    assert memory.turns() == set()
    r.cluster.reboot("node-b", "another")
    plan(look(r), memory)
    assert memory.turns() == {"node-b"}


def test_nodes_that_no_policy_selects_have_no_turn_until_one_does() -> None:
    r, memory = of(f1("node-a"), healthy("node-b")), PassCache()
    plan(look(r), memory)
    assert memory.turns() == set()
    r.cluster.apply_policy("look", AUDIT)
    assert {turn.subject for turn in plan(look(r), memory)} >= {"node-a", "node-b"}


def queued(own: str = "") -> Rollout:
    """Five nodes of which one is looked at at a time, and one has its record ahead."""
    r = Rollout(own_node=own)
    for name in "abcde":
        r.cluster.add_node(healthy(f"node-{name}"), pods=0)
    r.controller.config = r.controller.config.model_copy(update={"audit_parallel": 1})
    r.cluster.apply_policy("look", AUDIT)
    return r


def test_nodes_that_queue_for_a_record_have_no_turn() -> None:
    r, memory = queued(), PassCache()
    assert [turn.subject for turn in plan(look(r), memory)][:2] == ["node-a", "node-b"]
    assert memory.turns() == {"node-a", "node-b"}
    r.cluster.reboot("node-d", "another")
    r.cluster.remove_node("node-c")
    r.step()
    plan(look(r), memory)
    assert memory.turns() == {"node-a", "node-b"}


@pytest.mark.parametrize("own", ["", "node-a", "node-c"])
def test_the_first_in_the_queue_have_their_record_first(own: str) -> None:
    """But for the node of the controller itself, which is the last."""
    r = queued(own)
    r.settle()
    made = [line.split()[1].rstrip(":") for line in r.lines if line.endswith("CreateState")]
    assert made == sorted((f"node-{name}" for name in "abcde"), key=lambda n: (n == own, n))


def test_nodes_that_wait_for_a_place_are_not_decided_about_until_it_is_free(
    decided: Decided,
) -> None:
    r = fleet({**ENFORCE, "rollout": {"maxUnavailable": 1}})
    world = look(r)
    assert world.states["node-c"].status.reason == "WaitingForSlot"
    assert decided(world) == ALL
    assert decided(look(r)) == []
    r.cluster.uncordon("node-a")
    assert decided(look(r)) == ["node-a"]  # it takes the place: node-c hears what it heard before
    r.cluster.cordon("node-a")
    assert decided(look(r)) == ["node-a"]
    r.cluster.apply_policy("cure", {**ENFORCE, "rollout": {"maxUnavailable": 2}})
    assert "node-c" in decided(look(r))


def test_a_place_that_is_free_is_seen_by_a_node_that_has_not_changed(decided: Decided) -> None:
    r = fleet({**ENFORCE, "rollout": {"maxUnavailable": 1}})
    decided(look(r))
    r.cluster.remove_node("node-a")
    assert decided(look(r)) == ["node-c"]


def two_that_wait() -> Rollout:
    """For one place, which a node has that is down."""
    return fleet({**ENFORCE, "rollout": {"maxUnavailable": 1}}, well="node-c", cordoned="node-c")


def leased(r: Rollout) -> Snapshot:
    r.cluster.take_lease("node-a", "other", 600)
    return look(r)


def written_to(r: Rollout) -> Snapshot:
    """An agent whose record was lost may write there."""
    world = look(r)
    about = {"name": "apply-0", "uid": "apply-0"}
    spec = {"template": {"spec": {"affinity": only_on("node-a")}}}
    made = Job.of({"metadata": about, "spec": spec})
    return replace(world, jobs={**world.jobs, "apply-0": made})


@pytest.mark.parametrize("what", [leased, written_to])
def test_a_place_is_the_next_one_s_where_the_first_in_line_has_something_else_to_do(
    what: Callable[[Rollout], Snapshot], decided: Decided
) -> None:
    r = two_that_wait()
    world = look(r)
    assert {world.states[n].status.reason for n in ("node-a", "node-b")} == {"WaitingForSlot"}
    decided(world)
    assert decided(world) == []
    r.cluster.uncordon("node-c")
    moved = what(r)
    assert {"node-a", "node-b"} <= set(decided(moved))
    # What it has to say is refused: it stays in line, and nobody waits for it.
    refused = replace(moved, errors={"node-a": "the server is on fire"})
    for _ in range(3):
        assert "node-b" in decided(refused)


def test_a_place_is_the_next_one_s_where_the_first_in_line_is_looked_at_again() -> None:
    r = two_that_wait()
    before = look(r)
    r.cluster.uncordon("node-c")
    after, began = look(r), set[str]()
    for hundredths in range(40, 110):
        memory = PassCache()
        plan(before, memory)
        late = before.now + timedelta(seconds=before.config.reaudit_seconds) * hundredths / 100
        world = replace(after, now=late)
        made = plan(world, memory)
        assert made == plan(world)
        began |= {t.subject for t in made if any(isinstance(d, Cordon) for d in t.decisions)}
    assert began == {"node-a", "node-b"}


CHANGES: dict[str, tuple[Callable[[Rollout], None], list[str]]] = {
    "a reboot": (lambda r: r.cluster.reboot("node-b", "another"), ["node-b"]),
    "silence": (lambda r: r.cluster.set_ready("node-b", "Unknown"), ["node-b"]),
    "somebody's cordon": (lambda r: r.cluster.cordon("node-c"), ["node-c"]),
    "a retry of one": (
        lambda r: r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1"),
        ["node-a"],
    ),
    "a retry of all": (
        lambda r: r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "1"),
        ALL,
    ),
    "another policy": (lambda r: r.cluster.apply_policy("newer", ENFORCE), ALL),
    "another mode": (lambda r: r.cluster.apply_policy("cure", ENFORCE), ALL),
    "the switch": (lambda r: setattr(r.cluster, "stopped", "a trial"), ALL),
    "somebody's Lease": (lambda r: r.cluster.take_lease("node-c", "other", 600), ["node-c"]),
    "nothing": (lambda r: None, []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_decided_anew(change: str, decided: Decided) -> None:
    r = fleet(AUDIT)
    decided(look(r))
    act, again = CHANGES[change]
    act(r)
    assert decided(look(r)) == again


def test_a_status_of_the_policy_is_no_news_to_its_nodes(decided: Decided) -> None:
    r = fleet(AUDIT)
    world = look(r)
    decided(world)
    policy = world.policies["cure"]
    told = policy.model_copy(
        update={
            "metadata": policy.metadata.model_copy(update={"resource_version": "9999999"}),
            "status": policy.status.model_copy(update={"message": "3 nodes"}),
        }
    )
    assert decided(replace(world, policies={"cure": told})) == []


def test_a_node_is_decided_about_when_its_time_has_come(decided: Decided) -> None:
    """The look from time to time: half of the time to all of it after the last one."""
    r = fleet(AUDIT)
    world = look(r)
    rest = timedelta(seconds=world.config.reaudit_seconds)
    decided(world)
    assert decided(replace(world, now=world.now + rest / 3)) == []
    assert decided(replace(world, now=world.now + rest)) == ALL
    assert decided(replace(world, now=world.now - rest)) == ALL  # a clock that was set back


def test_another_configuration_is_another_question(decided: Decided) -> None:
    r = fleet(AUDIT)
    world = look(r)
    decided(world)
    other = world.config.model_copy(update={"reaudit_parallel": 1})
    assert decided(replace(world, config=other)) == ALL


def test_nodes_that_wait_for_an_audit_are_decided_about_when_a_place_is_free(
    decided: Decided,
) -> None:
    r = of(*[healthy(f"node-{n}") for n in range(6)], pods=0)
    r.controller.config = r.controller.config.model_copy(update={"audit_parallel": 2})
    r.cluster.apply_policy("look", AUDIT)
    r.settle()
    r.cluster.annotate("CNIUpgradePolicy", "look", names.RETRY, "1")
    r.step()
    world = look(r)
    waits = sorted(n for n, s in world.states.items() if "waits for one of 2" in s.status.message)
    assert len(waits) == 4
    decided(world)
    assert not set(decided(world)) & set(waits)
    seen = set[str]()
    for _ in range(30):
        r.step()
        seen |= set(decided(look(r)))
    assert seen >= set(waits)
