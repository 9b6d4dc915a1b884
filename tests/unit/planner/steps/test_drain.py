"""Whether pods go before a change or after it, what is said where none do, and who held a drain."""

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.planner.node.context import Move, NodeContext
from cni_upgrade.planner.steps.drain import (
    drain_after,
    drain_due,
    drain_first,
    ended,
    evict,
    why_not_first,
)
from cni_upgrade.planner.world.decisions import Evict
from tests.unit.planner.samples import DELETED, operation, pod, policy, state, view


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
        (
            None,
            None,
            "not drained before: it is not known whether pods can be deleted, so evictions might "
            "have hung; it is not known whether pods from before can be deleted",
        ),
    ],
)
def test_why_it_was_not_drained(works: bool | None, existing: bool | None, said: str) -> None:
    assert said in why_not_first(
        _view(works, "Always" if works is None else "IfRequired", existingDel=existing)
    )


def test_nothing_is_said_of_a_node_that_was() -> None:
    assert why_not_first(_view(True, existingDel=False, needsDrain=True)) == ""


def _view(works: bool | None, wanted: str = "IfRequired", **after: Any) -> NodeContext:
    """Node-a with a change under way; `works` is whether deleting pods does today."""
    return _begun(wanted, operation(), works, after, "Draining")


def _begun(wanted: str, current: Any, works: bool | None, after: Any, phase: str) -> NodeContext:
    baseline = {"add": True} if works is None else {"del": works}
    record = state(operation=current, after=after, phase=phase, baseline=baseline)
    made = policy(drain={"policy": wanted})
    return replace(view(policies={"cure": made}), status=record.status)


@pytest.mark.parametrize(
    ("wanted", "works", "needed", "first"),
    [
        ("IfRequired", True, True, True),
        ("IfRequired", True, False, False),
        ("IfRequired", None, True, True),
        ("IfRequired", False, True, False),
        ("Always", True, False, True),
        ("Always", None, False, False),
        ("Always", None, True, True),
        ("Always", False, True, False),
        ("Never", True, True, False),
    ],
)
def test_pods_go_first_where_it_is_asked_for_or_needed_and_they_can(
    wanted: str, works: bool | None, needed: bool, first: bool
) -> None:
    assert drain_first(_view(works, wanted, needsDrain=needed)) is first
    assert drain_due(_view(works, wanted, needsDrain=needed)) is first


@pytest.mark.parametrize(
    ("phase", "drained", "due"),
    [("Draining", False, True), ("Draining", True, False), ("Applying", False, False)],
)
def test_a_change_that_began_without_a_drain_goes_on_without(
    phase: str, drained: bool, due: bool
) -> None:
    current = operation(drained=drained)
    assert drain_due(_begun("Always", current, True, {"needsDrain": True}, phase)) is due


@pytest.mark.parametrize(
    ("wanted", "works", "existing", "after"),
    [
        ("Always", False, True, True),
        ("Always", False, None, True),
        ("Always", False, False, False),
        ("Always", True, True, False),
        ("Always", None, True, True),
        ("Always", None, False, False),
        ("IfRequired", False, True, False),
        ("IfRequired", None, True, False),
    ],
)
def test_pods_go_after_a_change_that_had_to_come_first(
    wanted: str, works: bool | None, existing: bool | None, after: bool
) -> None:
    known = {} if existing is None else {"existingDel": existing}
    assert drain_after(_view(works, wanted, **known)) is after


WEB, LEAVING = pod("web"), pod("web", metadata=DELETED)
DAEMONSET = {"kind": "DaemonSet", "apiVersion": "apps/v1", "name": "logs", "controller": True}
NOT_JUDGED = pod("logs", metadata={"ownerReferences": [DAEMONSET]})


@pytest.mark.parametrize(
    ("pods", "seconds_left", "told", "evicted"),
    [
        (None, 60, "the node's pods are being listed", []),
        (
            [WEB, NOT_JUDGED],
            60,
            "the node's pods are being listed",
            [],
        ),
        ([], 60, "empty", []),
        ([], 0, "empty", []),
        ([pod("proof-old", "cni-upgrade-proof")], 60, "empty", []),
        ([pod("agent", "cni-upgrade-agents")], 60, "empty", []),
        ([pod("controller", "cni-upgrade-system")], 60, "empty", []),
        ([WEB], 60, "draining: 1 pod left; default/web is to be evicted", ["web"]),
        ([LEAVING], 60, "draining: 1 pod left; default/web is terminating", []),
        ([WEB], 1, "draining: 1 pod left; default/web is to be evicted", ["web"]),
        ([WEB], 0, "given up: not drained in time: default/web is to be evicted", []),
        (
            [WEB, pod("bare", metadata={"ownerReferences": None})],
            60,
            "given up: not drained, nothing was evicted: default/bare has no controller to bring "
            "it back (spec.drain.force)",
            [],
        ),
    ],
)
def test_a_drain_goes_on_until_it_is_empty_or_given_up(
    pods: list[Any] | None, seconds_left: int, told: str, evicted: list[str]
) -> None:
    there = {} if pods is None else {"node-a": tuple(pods)}
    at = view(seconds_left=seconds_left, policies={"cure": policy()}, pods=there)

    def said(text: str) -> Move:
        return Move(at.status.model_copy(update={"message": text}))

    move = evict(at, lambda: said("empty"), lambda why: said(f"given up: {why}"))
    assert move.status.message == told
    assert [act.name for act in move.acts if isinstance(act, Evict)] == evicted


def _at(
    step: str, *pods: str, held_by: tuple[str, ...] = ("web-uid",), bare: str = ""
) -> NodeContext:
    """Node-a with these pods at a step, after another drain that some have held."""
    owners: dict[str, Any] = {"metadata": {"ownerReferences": None}}
    there = tuple(pod(name, **(owners if name == bare else {})) for name in pods)
    record = state(operation=operation(step=step), drainHeldBy=held_by)
    return replace(view(pods={"node-a": there}), status=record.status)


def _asked(at: NodeContext) -> list[str]:
    return [act.name for act in _goes_on(at).acts if isinstance(act, Evict)]


def _goes_on(at: NodeContext) -> Move:
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
def test_what_the_last_drain_has_shown_stays_until_there_is_another_one(at: NodeContext) -> None:
    assert ended(at, Move(at.status)).status.drain_held_by == ("web-uid",)
