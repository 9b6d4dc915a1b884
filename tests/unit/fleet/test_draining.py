"""The node state says why no pod was evicted, and what that means for those that run."""

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.fleet.decisions import Evict
from cni_upgrade.fleet.draining import ended, evict, why_not_first
from cni_upgrade.fleet.view import Move, View
from tests.unit.fleet.samples import operation, pod, state, view


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


def _at(step: str, *pods: str, held_by: tuple[str, ...] = ("web-uid",), bare: str = "") -> View:
    """Node-a with these pods at a step, after another drain that some have held."""
    owners: dict[str, Any] = {"metadata": {"ownerReferences": None}}
    there = tuple(pod(name, **(owners if name == bare else {})) for name in pods)
    record = state(operation=operation(step=step), drainHeldBy=held_by)
    return replace(view(pods={"node-a": there}), status=record.status)


def _asked(at: View) -> list[str]:
    return [act.name for act in _goes_on(at).acts if isinstance(act, Evict)]


def _goes_on(at: View) -> Move:
    return evict(at, lambda: Move(at.status), lambda why: Move(at.status))


def test_who_held_the_last_drain_is_read_from_the_record() -> None:
    assert _asked(_at("Drain", "api", "web")) == ["web"]


def test_a_drain_after_the_change_asks_everybody() -> None:
    """It is not tried again, and each pod that goes is one more that the change has reached."""
    assert _asked(_at("DrainAfter", "api", "web")) == ["api", "web"]
    left = ended(_at("DrainAfter", "api", held_by=()), Move(state().status))
    assert left.status.drain_held_by == ()


def test_once_the_node_is_empty_nobody_has_held_it() -> None:
    assert _goes_on(_at("Drain")).status.drain_held_by == ()


def test_who_holds_it_is_noted_however_it_ends() -> None:
    at = _at("Drain", "api", "web", held_by=())
    assert ended(at, Move(at.status)).status.drain_held_by == ("api-uid", "web-uid")
    again = _at("Drain", "api", "web")
    assert ended(again, Move(again.status)).status.drain_held_by == ("web-uid",)


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(_at("Baseline", "api", "web"), id="nobody was asked yet"),
        pytest.param(_at("Drain", "api", "web", bare="api"), id="nobody is, one is refused"),
        pytest.param(replace(_at("Drain"), world=view().world), id="nobody is known yet"),
    ],
)
def test_what_the_last_drain_has_shown_stays_until_there_is_another_one(at: View) -> None:
    assert ended(at, Move(at.status)).status.drain_held_by == ("web-uid",)
