"""Two limits that are never exceeded, each with a reason that names nodes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.planner.limits.max_unavailable import Budget, limit, shared
from tests.unit.planner import samples
from tests.unit.planner.samples import node, operation, policy, state


@pytest.mark.parametrize(
    ("value", "total", "expected"),
    [
        (1, 0, 1),
        (3, 2, 3),
        ("10%", 0, 1),
        ("10%", 9, 1),
        ("10%", 19, 1),
        ("10%", 20, 2),
        ("34%", 3, 1),
        ("99%", 100, 99),
        ("100%", 7, 7),
    ],
)
def test_limit(value: int | str, total: int, expected: int) -> None:
    assert limit(value, total) == expected


@given(st.integers(1, 100), st.integers(0, 10_000))
def test_a_percentage_is_never_exceeded_and_never_nothing(percent: int, total: int) -> None:
    most = limit(f"{percent}%", total)
    assert most >= 1
    assert most == 1 or most * 100 <= percent * total


def budget(rollout: dict[str, Any], *nodes: Any, states: Any = ()) -> Budget:
    return samples.budget(policy(rollout=rollout), nodes, states)


def test_places_are_given_until_they_are_gone() -> None:
    places = budget({"maxUnavailable": 2}, node("a"), node("b"), node("c"))
    assert places.take("a") is None
    assert places.take("b") is None
    refused = places.take("c")
    assert refused is not None
    assert refused[0] == "MaxUnavailable"
    assert "a, b" in refused[1]


def test_nodes_that_are_down_for_any_reason_count() -> None:
    places = budget({"maxUnavailable": 1}, node("a"), node("b", ready="False"))
    refused = places.take("a")
    assert refused is not None
    assert "b" in refused[1]


def test_a_node_that_is_down_anyway_costs_nothing_more() -> None:
    down = node("b", ready="False"), node("c", ready="Unknown"), node("d", cordoned=True)
    places = budget({"maxUnavailable": 1}, node("a"), *down)
    assert [places.take(n.name) for n in down] == [None, None, None]


def test_max_parallel_holds_for_nodes_that_are_down_too() -> None:
    places = budget({"maxParallel": 1}, node("a", ready="False"), node("b", ready="False"))
    assert places.take("a") is None
    assert (places.take("b") or ("",))[0] == "MaxParallel"


def test_an_audit_takes_no_place_and_a_restore_does() -> None:
    looking = state("a", operation=operation("audit"))
    undoing = state("b", operation=operation("restore"))
    nodes = node("a"), node("b"), node("c")
    assert budget({}, *nodes, states=[looking]).take("c") is None
    assert budget({}, *nodes, states=[undoing]).take("c") is not None


def test_a_node_that_left_the_selector_in_the_middle_keeps_its_place() -> None:
    gone = state("a", operation=operation())
    places = samples.budget(policy(rollout={"maxParallel": 1}), [node("b")], [gone], {"a"})
    assert (places.take("b") or ("",))[0] == "MaxParallel"


def test_what_another_policy_changes_is_unavailable_and_none_of_its_own_parallel() -> None:
    theirs = state("a", operation=operation(policy={"name": "other", "uid": "other-uid"}))
    nodes = node("a"), node("b")
    assert (budget({}, *nodes, states=[theirs]).take("b") or ("",))[0] == "MaxUnavailable"
    two = {"maxUnavailable": 2, "maxParallel": 1}
    assert budget(two, *nodes, states=[theirs]).take("b") is None


def test_a_budget_that_nobody_works_on_names_who_has_it() -> None:
    down = node("b", ready="False")
    assert budget({}, node("a"), down).held_by("a") == ("b",)
    assert budget({"maxUnavailable": 2}, node("a"), down).held_by("a") == ()
    busy = state("a", operation=operation())
    assert budget({}, node("a"), down, states=[busy]).held_by("a") == ()


def test_work_without_hope_of_an_end_is_nobodys() -> None:
    a, b, c = node("a"), node("b"), node("c")
    lost = [state(name, operation=operation()) for name in "ab"]
    places = budget({"maxUnavailable": 2}, a, b, c, states=lost)
    assert places.held_by("c", {"a"}) == (), "b may end"
    assert places.held_by("c", {"a", "b"}) == ("a", "b")
    places = budget({"maxUnavailable": 3, "maxParallel": 2}, a, b, c, states=lost)
    assert places.held_by("c", {"a"}) == ()
    assert places.held_by("c", {"a", "b"}) == ("a", "b")
    roomy = {"maxUnavailable": 3, "maxParallel": 3}
    assert budget(roomy, a, b, c, states=lost).held_by("c", {"a", "b"}) == ()


def test_a_place_that_was_just_taken_comes_back() -> None:
    """What begins in this pass is in no record yet; whoever is next waits for it."""
    places = budget({"maxUnavailable": 1}, node("a"), node("b"))
    assert places.take("a") is None
    assert places.refusal("b") is not None
    assert places.held_by("b", {"c"}) == ()


def test_a_node_that_is_gone_takes_no_place() -> None:
    ghost = state("ghost", operation=operation())
    assert budget({"maxParallel": 1}, node("a"), states=[ghost]).take("a") is None


def two_that_overlap(second: dict[str, Any]) -> tuple[Budget, Budget]:
    """The first selects a and b; the second a, b and c, of which c is down."""
    a, b, c = node("a"), node("b"), node("c", ready="False")
    one = samples.budget(policy("one", rollout={"maxUnavailable": 2}), [a, b])
    two = samples.budget(policy("two", rollout=second), [a, b, c])
    shared((one, two))
    return one, two


def test_a_node_needs_a_place_with_every_policy_that_selects_it() -> None:
    one, two = two_that_overlap({"maxUnavailable": 2})
    assert one.take("a") is None
    refused = one.take("b")
    assert refused is not None
    assert "2 of at most 2" in refused[1]
    assert "of policy two" in refused[1]
    assert (two.take("b") or ("",))[0] == "MaxUnavailable"
    assert one.held_by("b") == (), "a is worked on"


def test_who_is_down_elsewhere_is_named_where_nobody_works() -> None:
    one, _ = two_that_overlap({"maxUnavailable": 1})
    assert one.take("a") is not None
    assert one.held_by("a") == ("c",)


def test_each_policy_gives_its_places_back_by_itself() -> None:
    """What moves elsewhere helps nobody whose place here is held by what never ends."""
    a, b, c = node("a"), node("b"), node("c")
    mine, theirs = (state(name, operation=operation()) for name in "bc")
    one = samples.budget(policy("one"), [a, b], [mine, theirs])
    two = samples.budget(policy("two"), [a, c], [mine, theirs])
    shared((one, two))
    assert one.held_by("a", {"b"}) == ("b",)
    assert one.held_by("a", {"c"}) == ("c",)
    assert one.held_by("a") == ()


def test_max_parallel_counts_only_what_its_own_policy_changes() -> None:
    one, two = two_that_overlap({"maxUnavailable": 3, "maxParallel": 1})
    assert [one.take("a"), one.take("b")] == [None, None]
    assert two.take("c") is None
