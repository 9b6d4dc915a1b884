"""The canary by itself: which nodes are canaries, whether they are well, and when it has passed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api.canary import Canary as CanarySpec
from cni_upgrade.api.rollout_status import CanaryStatus
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.node.audit_result import asked_key
from cni_upgrade.planner.rollout.canary import Canary, canary, well
from tests.unit.planner import samples
from tests.unit.planner.api_model import stamp
from tests.unit.planner.samples import NOW

PLAN = "what is to be reached"
SOAK, SECOND = timedelta(minutes=10), timedelta(seconds=1)
FRONT: dict[str, Any] = {"nodeSelector": {"matchLabels": {"tier": "front"}}}


def member(
    name: str = "node-a", *, plan: str = PLAN, tier: str = "front", **more: Any
) -> RolloutMember:
    """A node that is a canary by its mark and by its label."""
    if "phase" in more:
        more["canary"] = plan
    return samples.member(name, labels={"tier": tier}, **more)


def found(
    *members: RolloutMember,
    spec: Any = (),
    waiting: Collection[str] = (),
    failed: Collection[str] = (),
    before: CanaryStatus | None = None,
    now: datetime = NOW,
) -> Canary:
    made = CanarySpec.model_validate(dict(spec) or {"nodes": 1})
    return canary(made, PLAN, members, waiting, failed, 10, before, now)


def soaking(since: datetime) -> CanaryStatus:
    return CanaryStatus(nodes=1, well=1, soak_since=since)


UNPROVED = {"outcome": "Unproved", "at": stamp(NOW)}
UNHEARD = {"auditKey": "the look of today", "askedKey": "what was asked before"}
KNOWN = {**UNHEARD, "askedKey": asked_key(samples.policy())}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (member(phase="Done"), True),
        (member(phase="Compatible"), True),
        (member(phase="Done", seen=False), False),
        (member(phase="Done", ready="False"), False),
        (member(phase="Done", ready="Unknown"), False),
        (member(phase="Auditing", verdict="Compatible"), True),
        (member(phase="Pending", verdict="NotCni"), True),
        (member(phase="Auditing", verdict="Rewrite"), False),
        (member(phase="Auditing"), False),
        (member(phase="Waiting", verdict="Compatible"), False),
        (member(phase="Blocked", verdict="Compatible"), False),
        (member(phase="Auditing", verdict="Compatible", lastChange=UNPROVED), False),
        # A look was lost, at one that was well for what is asked today, or for something else.
        (member(phase="Pending", verdict="Compatible", attempts=1, observed=KNOWN), True),
        (member(phase="Pending", verdict="Compatible", attempts=1, observed=UNHEARD), False),
        (member(phase="Auditing", verdict="Compatible", attempts=3, observed=UNHEARD), False),
        (member(), False),
    ],
)
def test_who_is_well(one: RolloutMember, expected: bool) -> None:
    assert well(one) is expected


@pytest.mark.parametrize(
    ("known", "since", "expected"),
    [
        (NOW, NOW, True),
        (NOW - SOAK, NOW, False),
        (NOW, NOW - SOAK, False),
        (None, NOW, True),
        (NOW, None, True),
        (None, None, True),
    ],
)
def test_one_that_was_down_is_not_well_before_it_was_looked_at(
    known: datetime | None, since: datetime | None, expected: bool
) -> None:
    """Nobody may have seen it NotReady: the controller was away. Clocks compare equal, no more."""
    seen = {"auditKey": "k", **({"readySince": stamp(known)} if known else {})}
    one = member(phase="Done", observed=seen)
    one = replace(one, node=replace(one.node, ready_since=since))
    assert well(one) is expected
    told = "" if expected else "node-a (not looked at since it is Ready again)"
    assert told in found(one, waiting=["node-b"]).waits_for


@pytest.mark.parametrize(("now", "passed"), [(NOW + SOAK - SECOND, False), (NOW + SOAK, True)])
def test_it_has_passed_once_it_has_soaked(now: datetime, passed: bool) -> None:
    one = member(phase="Done")
    assert found(one).status.soak_since == NOW
    it = found(one, waiting=["node-b"], before=soaking(NOW), now=now)
    assert it.passed is passed
    assert it.waits_for == ("" if passed else "soak of the canary until 2026-01-01T12:10:00Z")


@pytest.mark.parametrize(
    ("phase", "nodes", "failed"), [("Done", 1, []), ("Done", 2, []), ("Failed", 1, ["node-a"])]
)
def test_what_has_passed_stays_so_whatever_becomes_of_the_canaries(
    phase: str, nodes: int, failed: list[str]
) -> None:
    it = found(
        member(phase=phase),
        spec={"nodes": nodes},
        waiting=["node-b"],
        failed=failed,
        before=CanaryStatus(nodes=1, well=1, soak_since=NOW, passed_at=NOW + SOAK),
        now=NOW + 2 * SOAK,
    )
    assert (it.status.passed_at, it.places, it.waits_for) == (NOW + SOAK, 0, "")
    assert it.status.soak_since == NOW


@pytest.mark.parametrize(
    ("since", "changed", "expected"),
    [
        (NOW - SOAK, NOW - SOAK, NOW - SOAK),
        # One was changed since, though nobody wrote down that it was not well meanwhile.
        (NOW - SOAK, NOW - SOAK + SECOND, NOW),
        (NOW - SOAK, NOW, NOW),
        # The clock was set back: what is to come was before this.
        (NOW - SOAK, NOW + SECOND, NOW - SOAK),
        (NOW + SECOND, NOW - SOAK, NOW),
    ],
)
def test_the_soak_begins_anew_with_a_change(
    since: datetime, changed: datetime, expected: datetime
) -> None:
    last = {"outcome": "Done", "at": stamp(changed)}
    it = found(member(phase="Done", lastChange=last), before=soaking(since))
    assert it.status.soak_since == expected


def test_one_that_is_not_well_ends_the_soak() -> None:
    fine, ill = member(phase="Done"), member("node-b", phase="Done", ready="False")
    it = found(fine, ill, spec={"nodes": 2}, before=soaking(NOW - 2 * SOAK))
    assert (it.passed, it.status.soak_since) == (False, None)
    assert (it.status.nodes, it.status.well) == (2, 1)
    assert it.waits_for == "1 of 2 canaries are well; waits for node-b (not Ready)"


def test_one_that_has_failed_ends_it_though_the_others_are_well() -> None:
    it = found(member(phase="Done"), failed=["node-z"], before=soaking(NOW - 2 * SOAK))
    assert (it.passed, it.trouble) == (False, "CanaryFailed")
    assert "node-z" in it.waits_for


@pytest.mark.parametrize(
    ("waiting", "places", "soaks"),
    [
        # As many as are wanted, as long as there is something to change.
        (["node-c"], 1, False),
        ([], 1, True),
        # A canary that is to be changed once more is none that is missing.
        (["node-a"], 1, True),
    ],
)
def test_canaries_by_number_are_those_that_began(
    waiting: list[str], places: int, soaks: bool
) -> None:
    of_before = member("node-b", phase="Done", plan="another one")
    it = found(member(phase="Done"), of_before, spec={"nodes": 2}, waiting=waiting)
    assert it.names == {"node-a"}
    assert (it.status.soak_since is not None) is soaks
    assert it.places == (0 if soaks else places)


def test_so_many_of_the_nodes_that_the_policy_selects_are_canaries() -> None:
    assert found(member(), spec={"nodes": "30%"}, waiting=["node-a"]).places == 3


def test_that_no_canary_has_begun_is_said_while_there_is_something_to_change() -> None:
    it = found(member(phase="Waiting", plan=""), waiting=["node-a"])
    assert (it.places, it.waits_for) == (1, "0 of 1 canaries are well")


def test_canaries_by_their_labels_are_all_of_them() -> None:
    front, back = member(phase="Done", plan=""), member("node-b", phase="Waiting", tier="back")
    it = found(front, back, spec=FRONT, waiting=["node-b"])
    assert it.names == {"node-a"}
    assert (it.places, it.status.soak_since) == (0, NOW)


def test_labels_that_no_node_has_let_nothing_pass() -> None:
    it = found(member(tier="back", phase="Done"), spec=FRONT, before=soaking(NOW - 2 * SOAK))
    assert (it.passed, it.trouble) == (False, "CanaryEmpty")


def test_where_nothing_is_to_be_changed_nothing_is_waited_for() -> None:
    it = found(member(phase="Compatible", plan=""))
    assert (it.passed, it.waits_for, it.trouble) == (False, "", "")


LATER = ("ProofInconclusive", "DrainBlocked", "AgentNotStarted", "CordonTaken", "PodsNotListed")


@pytest.mark.parametrize(
    ("one", "trouble"),
    [
        (member(phase="Blocked", reason="NoConfig"), "CanaryBlocked"),
        (member(phase="ManagedElsewhere"), "CanaryBlocked"),
        (member(phase="Waiting"), ""),
        # Tried again by itself.
        *((member(phase="Blocked", reason=why, nextAttemptAt=stamp(NOW)), "") for why in LATER),
        (member(phase="Blocked", reason="DrainNotEnough"), "CanaryBlocked"),
        (member(phase="Blocked", reason="DrainForbidden"), "CanaryBlocked"),
        (member(phase="Blocked", lastChange=UNPROVED), ""),
        # The answer is about something else: it is looked at again.
        (member(phase="Blocked", seen=False), ""),
        # Nothing is ever asked of it.
        (member(phase="Blocked", reason="NotLinux", seen=False), "CanaryBlocked"),
    ],
)
def test_a_canary_that_cannot_be_changed_is_said(one: RolloutMember, trouble: str) -> None:
    it = found(one)
    assert (it.passed, it.trouble) == (False, trouble)
    assert "node-a" in it.waits_for
