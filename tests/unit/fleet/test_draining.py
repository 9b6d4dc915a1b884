"""The node state says why no pod was evicted, and what that means for those that run."""

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.fleet.draining import why_not_first
from tests.unit.fleet.samples import operation, state, view


@pytest.mark.parametrize(
    ("works", "existing", "said"),
    [
        (True, True, "not drained before: pods from before can be deleted with it"),
        (
            False,
            True,
            "not drained before: no pod could be deleted, so evictions would have hung; pods from "
            "before can be deleted with it",
        ),
        (False, False, "pods from before cannot be deleted with it"),
        (True, None, "it is not known whether pods from before can be deleted"),
    ],
)
def test_why_it_was_not_drained(works: bool, existing: bool | None, said: str) -> None:
    assert said in why_not_first(_view(works, existingDel=existing))


def test_nothing_is_said_of_a_node_that_was() -> None:
    assert why_not_first(_view(True, existingDel=False, needsDrain=True)) == ""


def _view(works: bool, **after: Any) -> Any:
    record = state(operation=operation(), baseline={"del": works}, after=after)
    return replace(view(), status=record.status)
