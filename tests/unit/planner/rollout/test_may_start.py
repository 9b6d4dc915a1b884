"""Waves, places and the time a change may take, each by itself: small tables and properties."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.api.names import FINALIZER
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.node_index import NodeIndex
from cni_upgrade.planner.index.ordering import arranged
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.limits.change_duration import longest
from cni_upgrade.planner.node.audit_result import asked_key, audit_key
from cni_upgrade.planner.restore.policy_restore import all_leaving, turns
from cni_upgrade.planner.rollout.may_start import RolloutPass
from cni_upgrade.planner.rollout.progress import Progress
from cni_upgrade.planner.status.policy_facts import PolicyFacts
from cni_upgrade.planner.status.policy_readiness import held_since
from cni_upgrade.planner.world.decisions import SetStatus
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.snapshot import Snapshot, Unjudged
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.cluster_model import CONFIG, LEASED
from tests.unit.planner.samples import NOW, lease, member, node, operation, policy, state

ZONE = "topology.kubernetes.io/zone"


UNPROVED = {"outcome": "Unproved", "at": stamp(NOW), "policy": "cure-uid"}
UNHEARD = {"auditKey": "the look of today"}
"""What was looked at without an answer."""
KNOWN = {**UNHEARD, "askedKey": asked_key(policy())}
"""The same, where the last answer was to what is asked today."""


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (member(), True),
        (member(seen=False, phase="Pending"), True),
        (member(seen=False, phase="Pending", attempts=3), False),
        (member(phase="Pending", attempts=1, observed=UNHEARD), True),
        (member(phase="Auditing", attempts=2, observed=UNHEARD), True),
        (member(phase="Pending", attempts=1, observed=UNHEARD, verdict="Rewrite"), True),
        (member(phase="Pending", attempts=1, observed=KNOWN, verdict="Rewrite"), True),
        (member(phase="Pending", attempts=1, observed=KNOWN, verdict="Compatible"), False),
        # It was well for what was asked before.
        (member(phase="Pending", attempts=1, observed=UNHEARD, verdict="Compatible"), True),
        (member(phase="Auditing", attempts=2, observed=UNHEARD, verdict="NotCni"), True),
        (member(phase="Pending", attempts=3, observed=UNHEARD, verdict="Compatible"), False),
        (member(phase="Pending", attempts=3, observed=UNHEARD), False),
        (member(phase="Pending", attempts=1, observed=UNHEARD, ready="Unknown"), False),
        (member(seen=False, phase="Done"), True),
        (member(phase="Waiting"), True),
        (member(phase="Waiting", cordoned=True), True),
        (member(phase="Waiting", ready="Unknown"), False),
        (member(ready="Unknown"), False),
        (member(phase="Waiting", ready="False"), True),
        (member(phase="Auditing", verdict="Rewrite"), True),
        (member(phase="Auditing", verdict="Compatible"), False),
        (member(phase="Applying", operation=operation(), ready="Unknown"), True),
        (member(phase="Auditing", operation=operation("audit"), ready="Unknown"), False),
        *((member(phase=p), False) for p in ("Done", "Compatible", "Failed", "RolledBack")),
        *((member(phase=p), False) for p in ("Blocked", "ManagedElsewhere", "of tomorrow")),
        (member(phase="Waiting", reason="Unplannable"), False),
        (member(seen=False, phase="Blocked", reason="NotLinux"), False),
        (member(seen=False, phase="Blocked", reason="NoConfig"), True),
        (member(phase="Blocked", lastChange=UNPROVED), True),
        (member(phase="Auditing", lastChange=UNPROVED, ready="Unknown"), True),
        (member(phase="Blocked", lastChange={**UNPROVED, "policy": "other-uid"}), True),
    ],
)
def test_what_a_wave_waits_for(one: RolloutMember, expected: bool) -> None:
    assert one.holds is expected


@pytest.mark.parametrize(
    ("apart", "free"),
    [
        (Unjudged(node("node-z"), False), True),
        (Unjudged(node("node-z"), True), False),
        (Unjudged(node("node-z", ready="Unknown"), False), False),
        (Unjudged(node("node-z", cordoned=True), False), False),
    ],
)
def test_a_node_that_is_not_ours_to_judge_takes_its_place(apart: Unjudged, free: bool) -> None:
    made = policy(rollout={"maxUnavailable": 1, "maxParallel": 5})
    names = ("node-a", "node-b")
    world = Snapshot(
        now=NOW,
        config=CONFIG,
        policies={"cure": made},
        nodes={name: node(name) for name in names},
        states={name: state(name, "cure", phase="Waiting") for name in names},
        unjudged={"node-z": apart},
    )
    taken = RolloutPass(made, world, NodeIndex(world)).take("node-a", drained=False)
    assert (taken is None) == free
    leaving = policy(deletionPolicy="Restore", rollout={"maxUnavailable": 1, "maxParallel": 5})
    meta = {"deletionTimestamp": stamp(NOW), "finalizers": [FINALIZER]}
    going = parse_policy(merged(leaving.to_api(), {"metadata": meta}))
    [back] = all_leaving(replace(world, policies={"cure": going})).values()
    assert (back.places.take("node-a") is None) == free


def test_a_policy_does_not_go_while_a_record_of_its_nodes_is_not_understood() -> None:
    """Until it has been patient: what stands on such a node may be its change."""
    meta = {"deletionTimestamp": stamp(NOW), "finalizers": [FINALIZER]}
    going = parse_policy(merged(policy(deletionPolicy="Restore").to_api(), {"metadata": meta}))
    apart = {"node-z": Unjudged(node("node-z"), False)}
    world = Snapshot(now=NOW, config=CONFIG, policies={"cure": going}, unjudged=apart)
    [turn] = turns(world, all_leaving(world))
    [said] = turn.decisions
    assert isinstance(said, SetStatus)
    assert said.status["restore"]["waiting"] == 1
    assert "1 waiting" in said.status["message"]
    told = parse_policy(merged(going.to_api(), {"status": said.status}))
    later = NOW + timedelta(seconds=CONFIG.restore_patience_seconds)
    world = replace(world, now=later, policies={"cure": told})
    [turn] = turns(world, all_leaving(world))
    [said] = turn.decisions
    assert isinstance(said, SetStatus)
    assert said.status["restore"]["waiting"] == 0


def test_a_cordoned_node_is_waited_for_or_passed_over() -> None:
    wait, skip = policy(rollout={"cordoned": "Wait"}), policy(rollout={"cordoned": "Skip"})
    assert member(phase="Waiting", cordoned=True, made=wait).holds
    assert not member(phase="Waiting", cordoned=True, made=skip).holds


ORDERS: tuple[dict[str, Any], ...] = (
    {},
    {"by": "Zone"},
    {"by": "Label", "label": {"key": "env", "values": ["b", "a"]}},
    {"by": "Selectors", "selectors": [{"matchLabels": {"env": "c"}}, {"matchLabels": {ZONE: "a"}}]},
)


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b", "c"]), st.sampled_from("abcd")), max_size=12),
    st.sampled_from(ORDERS),
)
def test_every_node_is_in_one_wave(places: list[tuple[str, str]], order: dict[str, Any]) -> None:
    nodes = [
        replace(node(f"node-{n}"), labels={"env": env, **({ZONE: zone} if zone else {})})
        for n, (zone, env) in enumerate(places)
    ]
    made = arranged(policy(rollout={"order": order}), nodes)
    names = [name for wave in made.waves for name in wave.nodes]
    assert sorted(names) == sorted(each.name for each in nodes)
    assert len({wave.name for wave in made.waves}) == len(made.waves)
    assert all(wave.nodes for wave in made.waves) or not nodes
    assert [made.places[name] for name in names] == list(range(len(names)))
    for number, wave in enumerate(made.waves):
        assert {made.later.get(name, 0) for name in wave.nodes} <= {number}


@pytest.mark.parametrize(
    ("spec", "drained", "minutes"),
    [
        ({}, False, 22),
        ({}, True, 37),
        ({"onFailure": "Stop"}, False, 16),
        ({"verify": {"proof": False}}, False, 14),
        ({"verify": {"deadline": "1m", "soak": "30m"}}, False, 49),
        ({"drain": {"deadline": "1h"}}, True, 82),
    ],
)
def test_how_long_a_change_may_take(spec: dict[str, Any], drained: bool, minutes: int) -> None:
    assert longest(policy(**spec).spec, CONFIG, drained) == minutes * 60


def waiting(made: CNIUpgradePolicy, *there: tuple[Node, dict[str, Any]], **world: Any) -> Progress:
    """Who waits for a policy, of nodes with their records, all looked at for what it asks."""
    states = {}
    for on, status in there:
        key = audit_key(on, state(on.name, "cure"), made, CONFIG)
        states[on.name] = state(on.name, "cure", observed={"auditKey": key}, **status)
    nodes = {on.name: on for on, _ in there}
    shown = {"policies": {"cure": made}, "nodes": nodes, "states": states}
    seen = Snapshot(**{"now": NOW, "config": CONFIG, **shown, **world})
    return Progress(RolloutPass(made, seen, NodeIndex(seen)), seen)


WAITS: dict[str, Any] = {"phase": "Waiting"}
Z1: Any = {ZONE: "z1"}
Z2: Any = {ZONE: "z2"}
LATER = node("node-c", **Z2), WAITS
CORDONED = node("node-a", cordoned=True, **Z1), WAITS
FREE = node("node-b", **Z1)
NOT_FINISHED = "nodes of zone z1 are not finished"


@pytest.mark.parametrize(
    ("second", "waits", "holds"),
    [
        ((FREE, {"phase": "Done"}), f"1 of 2 {NOT_FINISHED}: node-a cordoned by somebody", True),
        ((FREE, {"phase": "Applying", "operation": operation()}), f"2 of 2 {NOT_FINISHED}", False),
        ((FREE, {"phase": "Auditing", "verdict": "Rewrite"}), f"2 of 2 {NOT_FINISHED}", False),
        ((FREE, WAITS), "", False),
        (
            (replace(FREE, unschedulable=True), WAITS),
            f"2 of 2 {NOT_FINISHED}: node-a, node-b cordoned by somebody else",
            True,
        ),
    ],
)
def test_a_wave_is_held_where_all_that_it_waits_for_is_left_to_others(
    second: tuple[Node, dict[str, Any]], waits: str, holds: bool
) -> None:
    made = policy(rollout={"order": {"by": "Zone"}, "maxUnavailable": 9, "maxParallel": 9})
    found = waiting(made, CORDONED, second, LATER)
    assert waits in found.waits_for()
    held = found.held()
    assert (held is not None) == holds
    if held is not None:
        assert held == ("RolloutBlocked", found.waits_for())


@pytest.mark.parametrize(("unnamed", "told"), [(3, "3"), (2**62, "1000000"), (2**80, "1000000")])
def test_failures_without_a_name_are_told_by_their_number(unnamed: int, told: str) -> None:
    """Somebody may have edited it: a word for each would take all memory, in every pass."""
    made = policy(rollout={"maxFailures": 2})
    asked = waiting(made).course.asked
    known = {"rollout": {"asked": asked, "unnamed": unnamed}}
    found = waiting(parse_policy(merged(made.to_api(), {"status": known})))
    text = found.waits_for()
    assert text.startswith(f"{told} of at most 2 nodes failed or were rolled back: {told} whose")
    assert found.status(None, found.course.waves).unnamed == int(told)


def test_a_wave_is_held_by_a_lease_of_somebody_else() -> None:
    made = policy(rollout={"order": {"by": "Zone"}, "maxUnavailable": 9})
    first = node("node-a", **Z1), WAITS
    taken = {"node-node-a": lease("node-maintenance")}
    held = waiting(made, first, LATER, leases=taken, config=LEASED).held()
    expected = f"nothing moves: 1 of 1 {NOT_FINISHED}: node-a leased by somebody else"
    assert held == ("RolloutBlocked", expected)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ((node("node-a", ready="Unknown", tier="front"), {"phase": "Done"}), "silent (Ready is"),
        ((node("node-a", ready="False", tier="front"), {"phase": "Done"}), "not Ready"),
        ((node("node-a", cordoned=True, tier="front"), WAITS), "cordoned by somebody else"),
        ((node("node-a", ready="Unknown", tier="front"), WAITS), "silent (Ready is Unknown)"),
        ((node("node-a", ready="Unknown", tier="front"), {"phase": "Pending"}), "silent (Ready"),
        ((node("node-a", tier="front"), {"phase": "Done"}), ""),  # it soaks
        ((node("node-a", tier="front"), {"phase": "Blocked"}), ""),  # CanaryBlocked says it
        ((node("node-a", tier="front"), {"phase": "Pending"}), ""),  # it is looked at
        ((node("node-a", tier="front"), {"phase": "Applying", "operation": operation()}), ""),
    ],
)
def test_a_canary_is_held_where_those_that_are_not_well_are_left_to_others(
    first: tuple[Node, dict[str, Any]], why: str
) -> None:
    canary = {"nodeSelector": {"matchLabels": {"tier": "front"}}}
    made = policy(rollout={"canary": canary, "maxUnavailable": 9})
    found = waiting(made, first, LATER)
    held = found.held()
    if not why:
        assert held is None
        assert "nothing moves" not in found.waits_for()
    else:
        assert held is not None
        assert held[1].startswith(f"nothing moves: 0 of 1 canaries are well: node-a {why}")
        assert held == ("RolloutBlocked", found.waits_for())


@pytest.mark.parametrize(
    ("told", "since"),
    [
        (None, NOW),
        (NOW - timedelta(hours=1), NOW - timedelta(hours=1)),
        # The clock was set back: it counts from now on, once.
        (NOW + timedelta(hours=1), NOW),
    ],
)
def test_since_when_nothing_moves(told: datetime | None, since: datetime) -> None:
    known = {"rollout": {"heldSince": stamp(told)} if told else {}}
    mine = parse_policy(merged(policy().to_api(), {"status": known}))
    cordoned = (node(cordoned=True), WAITS)
    assert held_since(mine, waiting(mine, cordoned), PolicyFacts(), NOW) == since
    at_work = (node("node-b"), {"phase": "Applying", "operation": operation()})
    assert held_since(mine, waiting(mine, cordoned, at_work), PolicyFacts(), NOW) is None


@pytest.mark.parametrize("by", ["Zone", "Label", "Selectors"])
def test_within_a_wave_the_oldest_goes_first_whatever_its_name(by: str) -> None:
    order: dict[str, Any] = {"by": by}
    if by == "Label":
        order["label"] = {"key": "tier", "values": ["x"]}
    if by == "Selectors":
        order["selectors"] = [{"matchLabels": {"tier": "x"}}]
    made = policy(rollout={"order": order})
    joined = {"node-c": 3, "node-b": 1, "node-a": 2}
    labels = {ZONE: "z", "tier": "x"}
    nodes = [
        replace(node(name), labels=labels, created=NOW + timedelta(days=days))
        for name, days in joined.items()
    ]
    [wave] = arranged(made, nodes).waves
    assert wave.nodes == ("node-b", "node-a", "node-c")
