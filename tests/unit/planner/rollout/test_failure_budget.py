"""Which failures count, whatever becomes of their nodes, and how many stop a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api.names import RETRY
from cni_upgrade.api.parse import parse_node_state, parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.rollout import failure_budget
from cni_upgrade.planner.rollout.failure_budget import MOST_NAMED, Failures
from cni_upgrade.planner.rollout.waves import plan_of
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.samples import NOW, member, policy

LATER = NOW + timedelta(hours=1)


def counted(
    made: CNIUpgradePolicy,
    members: Sequence[RolloutMember],
    matched: int,
    asked: str,
    now: datetime,
    apart: Sequence[RolloutMember] = (),
) -> Failures:
    """Those of one policy, where nodes `apart` have a record and are not its own."""
    records = {m.node.name: m.state for m in (*members, *apart) if m.state is not None}
    return failure_budget.counted(made, members, matched, asked, now, records)


def ended(name: str, phase: str, minutes: int, owner: str = "cure-uid") -> RolloutMember:
    at = stamp(NOW + timedelta(minutes=minutes))
    return member(name, phase=phase, lastChange={"outcome": phase, "at": at, "policy": owner})


@pytest.mark.parametrize(
    ("members", "total", "in_a_row"),
    [
        ([], 0, 0),
        ([ended("a", "Failed", 1), ended("b", "Done", 2)], 1, 0),
        ([ended("a", "Done", 1), ended("b", "RolledBack", 2)], 1, 1),
        ([ended("a", "Failed", 1), ended("b", "Done", 2), ended("c", "Failed", 3)], 2, 1),
        # Of one second nobody knows the order: it counts.
        ([ended("a", "Failed", 1), ended("b", "Done", 1)], 1, 1),
        # What another policy has done is no success of this one.
        ([ended("a", "Failed", 1), ended("b", "Done", 2, "other-uid")], 1, 1),
        # Half of a change is no success.
        ([ended("a", "Failed", 1), ended("b", "Lowered", 2)], 1, 1),
        # Failed before there was a record of when.
        ([member("a", phase="Failed"), ended("b", "Done", 2)], 1, 1),
    ],
)
def test_failures(members: list[RolloutMember], total: int, in_a_row: int) -> None:
    for counting, expected in (("Total", total), ("Consecutive", in_a_row)):
        made = policy(rollout={"countFailures": counting, "maxFailures": 2})
        found = counted(made, members, len(members), "", LATER)
        assert len(found.nodes) == expected
        assert found.reached is (expected >= 2)


def test_the_first_failure_stops_unless_something_else_is_said() -> None:
    assert counted(policy(), [ended("a", "Failed", 1)], 5000, "", NOW).reached
    assert not counted(policy(), [], 5000, "", NOW).reached
    assert not counted(
        policy(rollout={"maxFailures": "1%"}), [ended("a", "Failed", 1)], 5000, "", NOW
    ).reached


def told(
    *members: RolloutMember, asked: str = "", at: datetime = NOW, **rollout: Any
) -> CNIUpgradePolicy:
    """A policy whose status has been told of these members."""
    made = policy(rollout={"maxFailures": 2, **rollout})
    kept = counted(made, members, 3, asked, at).kept
    status = {"rollout": {"asked": asked, "failed": [each.to_api() for each in kept]}}
    return parse_policy(merged(made.to_api(), {"status": status}))


def annotated(one: RolloutMember, retry: str) -> RolloutMember:
    assert one.state is not None
    meta = {"metadata": {"annotations": {RETRY: retry}}}
    return replace(one, state=parse_node_state(merged(one.state.to_api(), meta)))


@pytest.mark.parametrize(
    ("now", "failed"),
    [
        ([], ["a"]),
        ([member("a")], ["a"]),
        # A person has asked for another try of all nodes.
        ([replace(ended("a", "Failed", 1), failed=False)], []),
        ([member("a", phase="Waiting")], ["a"]),
        # What was written there before it failed is what the look at it finds.
        ([member("a", phase="Compatible")], ["a"]),
        ([ended("a", "Done", 2, "other-uid")], ["a"]),
        ([ended("a", "Unproved", 2)], ["a"]),
        ([ended("a", "Done", 1)], []),
        # A record of before the failure.
        ([ended("a", "Done", 0)], ["a"]),
        ([annotated(member("a", phase="Waiting"), "2")], []),
        ([ended("a", "RolledBack", 5), ended("b", "Failed", 6)], ["a", "b"]),
    ],
)
def test_what_has_failed_counts_until_somebody_asks(
    now: list[RolloutMember], failed: list[str]
) -> None:
    before = told(annotated(ended("a", "Failed", 1), "1"))
    found = counted(before, now, 3, "", NOW)
    assert list(found.nodes) == failed
    assert found.gone == set(failed) - {one.node.name for one in now if one.failed}
    assert counted(before, now, 3, "something else", NOW).gone == frozenset()


@pytest.mark.parametrize(
    ("apart", "failed"),
    [
        (member("a", phase="Waiting"), ["a"]),
        (ended("a", "Done", 0, "other-uid"), ["a"]),
        (ended("a", "Failed", 5, "other-uid"), ["a"]),
        (ended("a", "Done", 2, "other-uid"), []),
        (annotated(member("a", phase="Waiting"), "1"), ["a"]),
        (annotated(member("a", phase="Waiting"), "2"), []),
    ],
)
def test_a_node_that_another_policy_has_counts_until_it_is_healed_or_asked_for_there(
    apart: RolloutMember, failed: list[str]
) -> None:
    before = told(annotated(ended("a", "Failed", 1), "1"))
    found = counted(before, [], 3, "", LATER, [apart])
    assert list(found.nodes) == failed
    assert "its record is gone" not in found.told("a")


def test_what_failed_before_the_last_success_does_not_count_in_a_row() -> None:
    before = told(ended("a", "Failed", 1), countFailures="Consecutive")
    assert counted(before, [ended("b", "Done", 2)], 3, "", LATER).nodes == ()
    assert counted(before, [ended("b", "Done", 0)], 3, "", LATER).nodes == ("a",)


def test_a_failure_counts_in_a_row_though_the_clock_was_set_back_before_it() -> None:
    failed, fine = ended("a", "Failed", -30), ended("b", "Done", 0)
    back = NOW - timedelta(minutes=30)
    before = told(failed, fine, at=back, countFailures="Consecutive")
    for now in (back, NOW, LATER):
        assert counted(before, [failed, fine], 3, "", now).nodes == ("a",)
    # One that was known before the success stays before it.
    before = told(failed, at=back, countFailures="Consecutive")
    for now in (back, LATER):
        assert counted(before, [failed, fine], 3, "", now).nodes == ()


def test_a_failure_of_no_time_that_was_known_before_a_success_counts_in_a_row() -> None:
    timeless = member("a", phase="Failed")
    before = told(timeless, countFailures="Consecutive")
    found = counted(before, [timeless, ended("b", "Done", 2)], 3, "", LATER)
    assert found.nodes == ("a",)
    assert [each.at for each in found.kept] == [NOW]


def test_a_node_that_fails_once_more_has_failed_then() -> None:
    before = told(ended("a", "Failed", 1), countFailures="Consecutive")
    again = [ended("a", "Failed", 3), ended("b", "Done", 2)]
    assert counted(before, again, 3, "", LATER).nodes == ("a",)


def test_those_that_do_not_show_it_any_more_are_kept_first() -> None:
    """The status holds so many and no more; the others are told by their records."""
    before = told(ended("b", "Failed", 1), ended("c", "Failed", 1))
    found = counted(before, [ended("a", "Failed", 1), ended("c", "Failed", 1)], 3, "", LATER)
    assert [each.node for each in found.kept] == ["b", "a", "c"]
    assert found.nodes == ("a", "b", "c")


def test_failures_without_a_name_count_until_the_policy_is_asked_again() -> None:
    """A budget may be larger than the list of names; all machines that failed are replaced."""
    made = policy(rollout={"maxFailures": 300})
    many = [ended(f"node-{n:03}", "Failed", 1) for n in range(300)]
    found = counted(made, many, 400, "", LATER)
    assert (found.count, found.unnamed, found.reached) == (300, 300 - MOST_NAMED, True)
    named = [each.to_api() for each in found.kept[:MOST_NAMED]]
    status = {"rollout": {"asked": "", "failed": named, "unnamed": found.unnamed}}
    before = parse_policy(merged(made.to_api(), {"status": status}))
    for now in ([], [ended("node-new", "Done", 2)], many[:280]):
        later = counted(before, now, 400, "", LATER)
        assert (later.count, later.reached) == (300, True)
        assert later.unnamed == 300 - MOST_NAMED
    assert counted(before, [], 400, "asked again", LATER).count == 0


FORTY = [ended(f"node-{n:02}", "Failed", 1) for n in range(40)]


def retried(*numbers: int) -> list[RolloutMember]:
    """Those forty, of which some were asked for again and have gone well."""
    again = {n: annotated(ended(f"node-{n:02}", "Done", 2), "1") for n in numbers}
    return [again.get(n, one) for n, one in enumerate(FORTY)]


@pytest.mark.parametrize(
    ("now", "count"),
    [
        (FORTY, 40),
        (retried(*range(8)), 32),
        (retried(39), 39),
        (retried(0, 39), 38),
        (retried(*range(40)), 0),
        # Machines that were replaced are not what was retried, however often it is looked at.
        (retried(0)[:35], 39),
        (retried(39)[:1] + retried(39)[39:], 40),
    ],
)
def test_a_retry_by_node_gives_its_failure_back_also_where_names_were_cut(
    now: list[RolloutMember], count: int
) -> None:
    made = policy(rollout={"maxFailures": 300})
    found = counted(made, FORTY, 400, "", LATER)
    for _ in range(3):
        named = [each.to_api() for each in found.kept[:MOST_NAMED]]
        status = {"rollout": {"asked": "", "failed": named, "unnamed": found.unnamed}}
        found = counted(
            parse_policy(merged(made.to_api(), {"status": status})), now, 400, "", LATER
        )
        assert found.count == count


def canaries(found: Failures) -> list[str]:
    return sorted(found.canaries)


def test_a_canary_is_one_by_its_mark_or_by_its_labels() -> None:
    by_number, by_label = {"nodes": 1}, {"nodeSelector": {"matchLabels": {"tier": "front"}}}
    marked = member("a", phase="Failed", canary=plan_of(policy()))
    front = member("b", phase="Failed", labels={"tier": "front"})
    of_before = member("c", phase="Failed", canary="another one")
    for canary, expected in ((by_number, ["a"]), (by_label, ["b"]), (None, [])):
        made = policy(rollout={"canary": canary} if canary else {})
        assert canaries(counted(made, [marked, front, of_before], 3, "", NOW)) == expected


def test_a_canary_that_has_failed_stays_one_of_them() -> None:
    """It is relabelled, or its record is made anew."""
    marked = member("a", phase="Failed", canary=plan_of(policy()))
    before = told(marked, canary={"nodes": 1})
    for now in ([member("a", phase="Failed")], []):
        assert canaries(counted(before, now, 3, "", LATER)) == ["a"]
