"""What is kept of a policy's nodes, their order and who is down, holds for as long as it is so."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.planner.index.ordering import ZONE
from cni_upgrade.planner.index.policy_nodes import Members, Selected
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.world.kubernetes_objects import Node
from tests.unit.planner.samples import NOW, member, node, policy

BY_ZONE = policy(rollout={"order": {"by": "Zone"}})
OLD, NEW = NOW - timedelta(days=1), NOW


def at(name: str, zone: str = "z", created: datetime = NEW) -> Node:
    return replace(node(name), labels={ZONE: zone}, created=created)


def read(members: Members, **nodes: Node | None) -> list[tuple[str, ...]]:
    """The waves once these nodes are as they are now; None has gone, or is another policy's."""
    for name in nodes:
        members.touch(name)

    def entry(name: str) -> RolloutMember | None:
        there = nodes[name]
        return None if there is None else replace(member(), node=there)

    members.read(entry)
    return [wave.nodes for wave in members.arrangement(BY_ZONE).waves]


@pytest.fixture
def members() -> Members:
    made = Members()
    assert read(made, a=at("a"), b=at("b")) == [("a", "b")]
    return made


def test_a_node_that_comes_goes_or_is_another_machine_is_put_in_its_place(members: Members) -> None:
    assert read(members, c=at("c", created=OLD)) == [("c", "a", "b")]
    assert read(members, b=at("b", "y")) == [("b",), ("c", "a")]
    assert read(members, c=None) == [("b",), ("a",)]
    assert read(members, b=at("b", created=OLD)) == [("b", "a")]


def test_what_moves_no_node_is_not_worked_out_anew(members: Members) -> None:
    before = members.arrangement(BY_ZONE)
    read(members, a=replace(at("a"), unschedulable=True, ready="False"), other=None)
    assert members.arrangement(BY_ZONE) is before


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["gone", "True", "False", "Unknown"]),
            st.booleans(),
        )
    )
)
def test_who_is_down_is_known_whatever_becomes_of_the_nodes(
    changes: list[tuple[str, str, bool]],
) -> None:
    selected, there = Selected(), dict[str, Node]()
    for name, ready, cordoned in changes:
        there.pop(name, None)
        if ready != "gone":
            there[name] = node(name, ready=ready, cordoned=cordoned)
        selected.touch(name)
        assert selected.read(there.get) == there
        assert selected.down == {
            name for name, each in there.items() if each.unschedulable or each.ready != "True"
        }
