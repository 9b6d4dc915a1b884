"""Nodes that wait in a rollout are left alone until they may be told something else.

That a plan in which they are is the plan in which all are asked is asserted of every rollout that
is played (rollout.py); here is who may be told what.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cni_upgrade.api.parse import parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.node_index import NodeIndex
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.node.start_request import StartRequest
from cni_upgrade.planner.rollout.may_start import RolloutPass, all_rollouts
from cni_upgrade.planner.rollout.waiting_nodes import WaitingNodes
from cni_upgrade.planner.rollout.waves import plan_of
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.samples import NOW, node, operation, policy, state

ZONES: dict[str, Any] = {"by": "Label", "label": {"key": "zone", "values": ["a", "b"]}}
HOURLY = [{"schedule": "0 * * * *", "duration": "40m"}]
WISH = StartRequest(drained=False, writes=True)


def course(world: Snapshot) -> RolloutPass:
    """The one of policy cure, before anything begins."""
    courses, failed = all_rollouts(world, NodeIndex(world), ())
    assert not failed
    return courses["cure-uid"]


def told(world: Snapshot, name: str) -> Any:
    """What a node is told that asks before all others."""
    return course(world).take(name, WISH.drained, writes=WISH.writes)


def some_world(
    data: st.DataObject, *policies: CNIUpgradePolicy, others: Sequence[str] = ("Applying", "Done")
) -> Snapshot:
    """Nodes of policy cure that wait, or are in one of these phases; up, down or cordoned."""
    some = data.draw
    nodes, states = {}, {}
    for name in [f"node-{letter}" for letter in "abcdef"[: some(st.integers(1, 6))]]:
        made = nodes[name] = node(
            name,
            ready=some(st.sampled_from(["True", "True", "False"])),
            cordoned=some(st.sampled_from([False, False, True])),
            zone=some(st.sampled_from("ab")),
        )
        phase = some(st.sampled_from(["Waiting", "Waiting", "Waiting", *others]))
        more: dict[str, Any] = {"canary": some(st.sampled_from(["", plan_of(policies[0])]))}
        if phase == "Applying":
            more["operation"] = operation()
        elif phase == "Blocked":
            more["lastChange"] = {"outcome": "Unproved", "at": stamp(NOW), "policy": "cure-uid"}
        seen = {"auditKey": audit_key(made, state(name, "cure"), policies[0], CONFIG)}
        states[name] = state(name, "cure", phase=phase, observed=seen, **more)
    known = {each.metadata.name: each for each in policies}
    return Snapshot(now=NOW, config=CONFIG, policies=known, nodes=nodes, states=states)


@given(st.data())
def test_who_is_not_among_the_nearest_gets_no_place(data: st.DataObject) -> None:
    """And is told nothing else, whoever has begun before it in the same pass."""
    some = data.draw
    rollout = {
        "maxUnavailable": some(st.sampled_from([1, 2, 3, "100%"])),
        "maxParallel": some(st.integers(1, 4)),
        "canary": some(st.sampled_from([None, {"nodes": 1}, {"nodes": 3}])),
        "order": some(st.sampled_from([{}, ZONES])),
    }
    other = policy("other", rollout={"maxUnavailable": some(st.integers(1, 3))})
    world = some_world(data, policy(rollout=rollout), *([other] if some(st.booleans()) else []))
    now = course(world)
    lacking = {n for n in world.nodes if told(world, n) in (None, now.full)}
    near = now.nearest(lacking, str)
    assert near <= lacking
    for name in sorted(lacking):
        if now.take(name, WISH.drained, writes=WISH.writes) != now.full:
            assert name in near


def test_only_as_many_are_near_as_there_are_places() -> None:
    names = [f"node-{number}" for number in range(9)]
    there = {name: node(name, ready="False" if name == "node-7" else "True") for name in names}
    waits = {name: state(name, "cure", phase="Waiting") for name in names}
    busy = state("node-0", "cure", phase="Applying", operation=operation())
    made = policy(rollout={"maxUnavailable": 4, "maxParallel": 9})
    world = Snapshot(
        now=NOW,
        config=CONFIG,
        policies={"cure": made},
        nodes=there,
        states={**waits, "node-0": busy},
    )
    lacking = set(names[1:])
    # One is at work and one is down, which costs nothing more.
    assert course(world).nearest(lacking, str) == {"node-1", "node-2", "node-7"}
    backwards = course(world).nearest(lacking, lambda name: -int(name[-1]))
    assert backwards == {"node-8", "node-7", "node-6"}


def lined(world: Snapshot) -> tuple[WaitingNodes, set[str]]:
    """The lines of all nodes that are told to wait, and these."""
    lines, there = WaitingNodes(), set[str]()
    for name in [n for n, each in world.states.items() if each.status.phase == "Waiting"]:
        refusal = told(world, name)
        if lines.join(name, (WISH, refusal), course(world)):
            there.add(name)
        else:
            assert refusal is None
    return lines, there


def called(lines: WaitingNodes, world: Snapshot) -> set[str]:
    return lines.called({"cure-uid": course(world)}, str, set())


@settings(max_examples=400)
@given(st.data())
def test_who_is_not_called_would_be_told_the_same(data: st.DataObject) -> None:
    """Of a cluster in which other nodes, the clock or what is wanted of the rollout have moved on.

    What a node's own labels and record say is its own news, and so is a policy that is another one.
    """
    some = data.draw
    rollout = {
        "maxUnavailable": some(st.sampled_from([1, 2, "100%"])),
        "canary": some(st.sampled_from([None, {"nodes": 1, "soak": "1m"}])),
        "order": some(st.sampled_from([{}, ZONES])),
        "windows": some(st.sampled_from([[], HOURLY])),
    }
    made = policy(rollout=rollout)
    recorded = {"plan": plan_of(made), "wave": "zone=b", "canary": {"passedAt": stamp(NOW)}}
    known = parse_policy(merged(made.to_api(), {"status": {"rollout": recorded}}))
    others = ("Applying", "Done", "Failed", "Blocked")
    before = some_world(data, some(st.sampled_from([made, known])), others=others)
    lines, there = lined(before)
    moved = some_world(data, some(st.sampled_from([made, known])), others=others)
    minutes = some(st.integers(0, 70))
    after = replace(
        moved,
        now=NOW + timedelta(minutes=minutes),
        nodes={**moved.nodes, **{name: before.nodes[name] for name in there}},
        states={**moved.states, **{name: before.states[name] for name in there}},
    )
    again, now = called(lines, after), course(after)
    for name in sorted(there):
        answer = now.take(name, WISH.drained, writes=WISH.writes)
        assert name in again or answer == told(before, name)


def test_a_node_that_leaves_its_line_is_called_no_more() -> None:
    world = Snapshot(
        now=NOW,
        config=CONFIG,
        policies={"cure": policy(rollout={"windows": HOURLY})},
        nodes={"node-a": node()},
        states={"node-a": state("node-a", "cure", phase="Waiting")},
    )
    closed = replace(world, now=NOW + timedelta(minutes=50))
    lines, there = lined(closed)
    assert there == {"node-a"}
    assert called(lines, closed) == set()
    assert called(lines, world) == {"node-a"}
    assert lines.called({}, str, set()) == {"node-a"}, "its policy has no rollout any more"
    lines.leave("node-a")
    lines.leave("node-a")
    assert called(lines, world) == set()
