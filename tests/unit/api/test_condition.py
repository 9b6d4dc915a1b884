"""Conditions: their times say when something flipped, not when somebody last wrote."""

from datetime import UTC, datetime
from typing import Literal

from cni_upgrade.api.condition import Condition, keep_times

EARLIER = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)


def condition(kind: str, status: Literal["True", "False"], at: datetime) -> Condition:
    return Condition(
        type=kind, status=status, reason="Because", message="", last_transition_time=at
    )


def test_time_stays_while_the_status_does() -> None:
    old = (condition("Ready", "False", EARLIER),)
    new = condition("Ready", "False", LATER).model_copy(update={"reason": "Other"})
    (kept,) = keep_times(old, (new,))
    assert kept.last_transition_time == EARLIER
    assert kept.reason == "Other"


def test_time_moves_when_the_status_flips() -> None:
    new = (condition("Ready", "True", LATER),)
    assert keep_times((condition("Ready", "False", EARLIER),), new) == new


def test_no_condition_holds_since_a_time_that_is_to_come() -> None:
    """The clock was set back since that was said."""
    new = (condition("Ready", "False", EARLIER),)
    assert keep_times((condition("Ready", "False", LATER),), new) == new


def test_a_condition_that_is_not_said_again_is_gone() -> None:
    old = (condition("Ready", "True", EARLIER), condition("Stalled", "True", EARLIER))
    assert [c.type for c in keep_times(old, (condition("Ready", "True", LATER),))] == ["Ready"]


def test_objects_that_are_alike_share_what_pydantic_notes_of_them() -> None:
    body = {"type": "Ready", "status": "True", "reason": "Done", "message": ""}
    body["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    one, two = (Condition.model_validate(body) for _ in range(2))
    assert one.model_fields_set is two.model_fields_set
    before = set(one.model_fields_set)
    changed = one.model_copy(update={"observed_generation": 7})
    assert (changed.observed_generation, one.model_fields_set) == (7, before)
