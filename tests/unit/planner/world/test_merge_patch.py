"""The patch between two documents makes one of the other, and is as small as it can be."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.planner.world.merge_patch import holds, merge_patch
from tests.unit.planner.api_model import merged

# Statuses have no null members: Model.to_api leaves them out.
LEAVES = st.one_of(st.booleans(), st.integers(-2, 2), st.text("ab", max_size=2))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(DOCUMENTS, DOCUMENTS)
def test_applied_it_gives_the_new_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_patch(old, new)) == new


@given(DOCUMENTS, DOCUMENTS)
def test_it_holds_where_it_was_applied_and_only_there(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    patch = merge_patch(old, new)
    assert holds(patch, new)
    assert holds(patch, old) == (old == new)


@given(DOCUMENTS)
def test_between_equals_it_is_empty(document: dict[str, Any]) -> None:
    assert merge_patch(document, document) == {}


@given(DOCUMENTS, DOCUMENTS)
def test_what_did_not_change_is_not_in_it(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_patch(old, new)
    assert all(old.get(key) != new.get(key) or (key in old) != (key in new) for key in patch)


def test_a_list_is_written_whole_and_a_member_that_is_gone_is_null() -> None:
    old = {"keep": {"a": 1, "b": 2}, "list": [1, 2], "gone": {"x": 1}}
    new = {"keep": {"a": 1, "b": 3}, "list": [1]}
    assert merge_patch(old, new) == {"keep": {"b": 3}, "list": [1], "gone": None}


def test_a_map_takes_the_place_of_a_word() -> None:
    assert merge_patch({"a": "x"}, {"a": {"b": 1}}) == {"a": {"b": 1}}
