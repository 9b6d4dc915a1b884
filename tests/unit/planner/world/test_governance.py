"""Which nodes a selector takes, judged by the rules of LabelSelector; and who has a node."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.api.label_selector import LabelSelector
from cni_upgrade.api.names import PAUSED
from cni_upgrade.planner.world.governance import govern, matches, paused
from tests.unit.planner.samples import node, policy, state

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]))
VALUES = st.lists(st.sampled_from(["", "x", "y"]), min_size=1, max_size=2)


def expression(key: str, operator: str, *values: str) -> LabelSelector:
    wanted = {"key": key, "operator": operator, "values": values}
    return LabelSelector.model_validate({"matchExpressions": [wanted]})


@pytest.mark.parametrize(
    ("selector", "labels", "taken"),
    [
        ({}, {}, True),
        ({}, {"a": "x"}, True),
        ({"matchLabels": {"a": "x"}}, {"a": "x", "b": "y"}, True),
        ({"matchLabels": {"a": "x"}}, {"a": "y"}, False),
        ({"matchLabels": {"a": ""}}, {}, False),
        ({"matchLabels": {"a": "x", "b": "y"}}, {"a": "x"}, False),
        (
            {
                "matchLabels": {"a": "x"},
                "matchExpressions": [{"key": "b", "operator": "DoesNotExist"}],
            },
            {"a": "x", "b": "y"},
            False,
        ),
    ],
)
def test_match_labels(selector: dict[str, Any], labels: dict[str, str], taken: bool) -> None:
    assert matches(LabelSelector.model_validate(selector), labels) is taken


@given(LABELS, VALUES)
def test_in_wants_the_key_and_one_of_the_values(labels: dict[str, str], values: list[str]) -> None:
    assert matches(expression("a", "In", *values), labels) == (
        "a" in labels and labels["a"] in values
    )


@given(LABELS, VALUES)
def test_not_in_is_the_opposite_of_in_and_takes_what_has_no_such_key(
    labels: dict[str, str], values: list[str]
) -> None:
    taken = matches(expression("a", "NotIn", *values), labels)
    assert taken != matches(expression("a", "In", *values), labels)


@given(LABELS)
def test_exists_asks_for_the_key_alone(labels: dict[str, str]) -> None:
    assert matches(expression("a", "Exists"), labels) == ("a" in labels)
    assert matches(expression("a", "DoesNotExist"), labels) == ("a" not in labels)


@given(LABELS, VALUES, st.sampled_from(["In", "NotIn"]))
def test_all_requirements_must_hold(
    labels: dict[str, str], values: list[str], operator: str
) -> None:
    one, two = expression("a", operator, *values), expression("b", "Exists")
    both = LabelSelector(match_expressions=(*one.match_expressions, *two.match_expressions))
    assert matches(both, labels) == (matches(one, labels) and matches(two, labels))


@pytest.mark.parametrize(
    ("field", "annotation", "expected"),
    [
        (False, None, False),
        (True, None, True),
        (False, "", True),
        (False, "true", True),
        (False, "yes, since the incident", True),
        (False, "false", False),
        (False, "False", False),
        (True, "false", True),
    ],
)
def test_paused(field: bool, annotation: str | None, expected: bool) -> None:
    made = policy(paused=field)
    if annotation is not None:
        meta = made.metadata.model_copy(update={"annotations": {PAUSED: annotation}})
        made = made.model_copy(update={"metadata": meta})
    assert paused(made) is expected


def test_the_claim_holds_against_an_older_policy() -> None:
    older, younger = policy("a"), policy("b")
    governance = govern(node(), state(claim="b"), [older, younger])
    assert governance.policy == younger
    assert governance.rivals == ("a",)
    assert governance.watchers == ("a", "b")


@pytest.mark.parametrize(
    "holder",
    [
        policy("b", mode="Audit"),
        policy("b", nodeSelector={"matchLabels": {"no": "such"}}),
        policy("b", uid="made anew under the same name"),
    ],
    ids=["audits now", "selects others", "is another one"],
)
def test_a_claim_that_does_not_hold_any_more_goes_to_the_next(holder: Any) -> None:
    assert govern(node(), state(claim="b"), [holder, policy("c"), policy("a")]).policy == policy(
        "a"
    )


def test_enforce_goes_before_an_older_audit() -> None:
    audit, enforce = policy("a", mode="Audit"), policy("b")
    governance = govern(node(), None, [audit, enforce])
    assert (governance.policy, governance.rivals) == (enforce, ())
