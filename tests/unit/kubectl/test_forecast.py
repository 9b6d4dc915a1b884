"""`plan`: what Enforce would do to each node, by what the records say."""

from __future__ import annotations

from typing import Any

import pytest

from cni_upgrade.kubectl import forecast
from cni_upgrade.kubectl.terminal import Terminal
from tests.unit.kubectl.fleets import zones


def state(phase: str, drain: bool = False, **status: Any) -> dict[str, Any]:
    known = {"verdict": "Rewrite", "found": "missing", "target": "1.0.0", **status}
    known |= {"phase": phase, "after": {"needsDrain": drain}, "policies": ["cure"]}
    return {"metadata": {"name": "n"}, "spec": {}, "status": known}


@pytest.mark.parametrize(
    ("drains", "needed", "what"),
    [
        ("IfRequired", False, "rewrite"),
        ("IfRequired", True, "drain, then rewrite"),
        ("Always", False, "drain, then rewrite"),
        ("Never", False, "rewrite"),
        ("Never", True, "nothing: needs a drain (drain.policy is Never)"),
    ],
)
def test_a_drain_as_the_policy_wants_it(drains: str, needed: bool, what: str) -> None:
    assert forecast.work(state("Waiting", needed), {"cure": drains}).what == what


def test_what_is_not_changed() -> None:
    def what(it: dict[str, Any]) -> str:
        return forecast.work(it, {}).what

    assert what(state("Done")) == "nothing"
    assert what(state("Blocked", reason="DrainBlocked")) == "nothing: Blocked (DrainBlocked)"
    assert what(state("Pending", verdict=None)) == "not audited yet"
    assert what({"metadata": {"name": "n"}, "spec": {}}) == "not audited yet"


def test_an_upgrade_by_somebody_else() -> None:
    def what(phase: str, **status: Any) -> str:
        return forecast.work(state(phase, verdict="Compatible", **status), {}).what

    assert what("Waiting") == "drain, then wait for its upgrade"
    assert what("Upgrading") == "drain, then wait for its upgrade"
    assert what("Waiting", lastChange={"outcome": "Unproved"}) == "not audited yet"


def test_the_sums_of_a_played_fleet() -> None:
    works = [forecast.work(each, {"cure": "Always"}) for each in zones().cluster.states()]
    told = forecast.lines(works, Terminal(80))
    assert told[-1] == "2 of 5 nodes would be changed, 2 of them drained first."
    assert told[1].split() == [
        "2", "containerd://1.7.0", "0.4.0", "1.0.0", "drain,", "then", "rewrite",
    ]  # fmt: skip
    assert max(map(len, told)) <= 80


def test_of_one_policy() -> None:
    claimed = {"spec": {"policyRef": {"name": "other"}}}
    assert forecast.of_policy(claimed, "other")
    assert not forecast.of_policy(claimed, "cure")
    assert forecast.of_policy(state("Waiting"), "cure")


def test_nothing_audited() -> None:
    assert forecast.lines([], Terminal(80)) == ["No node state is there yet: nothing was audited."]
