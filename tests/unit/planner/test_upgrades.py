"""Records of an operator of before: its upgrade asks nothing of a node that nobody asked for.

Before retries were kept by digest, keys were made with their values, and neither `observed.retry`
nor a rollout's `retry` and `order` were there.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.api.parse import parse_node_state, parse_policy
from cni_upgrade.planner.index.ordering import ZONE
from cni_upgrade.planner.node import audit_result
from cni_upgrade.planner.world import retry_annotation
from tests.unit.planner import invariants
from tests.unit.planner.api_model import Raw
from tests.unit.planner.cluster_model import Cluster
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import ENFORCE, healthy, of, old, phases, reason

FAILS = {"1.0.0": (False, True)}


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Until it is undone, keys are made with the values themselves."""
    monkeypatch.setattr(retry_annotation, "digest", lambda value: value or "")
    return monkeypatch


def upgraded(r: Rollout, before: pytest.MonkeyPatch) -> None:
    """The records become those of before, and the controller today's."""
    before.undo()
    api = r.cluster.api
    policy = r.cluster.policy("cure")
    for name in r.cluster.disks:
        raw = r.cluster.state(name)
        if raw is not None and raw["status"].get("observed"):
            values = retry_annotation.annotated(parse_policy(policy), parse_node_state(raw))
            known = {
                "retry": None,
                "askedKey": audit_result._asked_key(parse_policy(policy), values),
            }
            api.patch("CNINodeState", name, {"status": {"observed": known}}, sub="status")
    rollout = {"retry": None, "order": None}
    api.patch("CNIUpgradePolicy", "cure", {"status": {"rollout": rollout}}, sub="status")
    r.say("== the operator is upgraded")


def begun(*nodes: SimNode, retry: str | None = "1", **spec: Any) -> Rollout:
    r = of(*nodes)
    annotations = {} if retry is None else {names.RETRY: retry}
    r.cluster.apply_policy("cure", {**ENFORCE, **spec}, annotations)
    return r


def writes(r: Rollout) -> dict[str, int]:
    return {name: len(disk.writes) for name, disk in r.cluster.disks.items()}


def looks(r: Rollout) -> int:
    return sum("CreateJob audit" in line for line in r.lines)


def test_no_node_is_looked_at_for_a_retry_of_before(before: pytest.MonkeyPatch) -> None:
    r = begun(old("node-a"), healthy("node-b"))
    r.settle()
    r.cluster.annotate("CNINodeState", "node-b", names.RETRY, "2/3")
    r.play(60)
    known = looks(r)
    upgraded(r, before)
    r.play(600)
    assert looks(r) == known
    # One look, though nothing has changed: what it puts on record asks for no other.
    r.cluster.set_ready("node-a", "False")
    r.play(60)
    r.cluster.set_ready("node-a", "True")
    r.play(600)
    assert looks(r) == known + 1
    r.cluster.reboot("node-b", "boot-2")
    r.play(600)
    assert looks(r) == known + 2
    for kind, name, more in (("CNIUpgradePolicy", "cure", 2), ("CNINodeState", "node-b", 1)):
        known = looks(r)
        r.cluster.annotate(kind, name, names.RETRY, "another")
        r.play(600)
        assert looks(r) == known + more


@pytest.mark.parametrize("of_node", [None, "2"])
def test_no_failed_node_is_written_for_a_retry_of_before(
    before: pytest.MonkeyPatch, of_node: str | None
) -> None:
    r = begun(old("node-a", surprise=FAILS), old("node-b"), rollout={"maxFailures": 1})
    r.until(lambda: r.phase("node-a") == "RolledBack")
    if of_node is not None:
        r.cluster.annotate("CNINodeState", "node-a", names.RETRY, of_node)
        r.play(600)
    known = writes(r)
    upgraded(r, before)
    r.play(600)
    assert (r.phase("node-a"), writes(r)) == ("RolledBack", known)
    r.cluster.reboot("node-a", "boot-2")
    r.play(600)
    assert (r.phase("node-a"), writes(r)) == ("RolledBack", known)
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "another")
    r.play(600)
    assert writes(r)["node-a"] > known["node-a"]


@pytest.mark.parametrize("of_node", [False, True])
def test_no_failed_node_is_written_for_a_retry_of_before_that_is_taken_away(
    before: pytest.MonkeyPatch, of_node: bool
) -> None:
    r = begun(old("node-a", surprise=FAILS), old("node-b"), rollout={"maxFailures": 1})
    r.until(lambda: r.phase("node-a") == "RolledBack")
    if of_node:
        r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "2")
        r.play(600)
    known = writes(r)
    upgraded(r, before)
    r.play(60)
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, None)
    if of_node:
        r.cluster.annotate("CNINodeState", "node-a", names.RETRY, None)
    r.play(600)
    assert (r.phase("node-a"), writes(r)) == ("RolledBack", known)
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "another")
    r.play(600)
    assert writes(r)["node-a"] > known["node-a"]


def test_a_node_that_was_drained_in_vain_is_not_drained_for_a_retry_that_is_taken_away(
    before: pytest.MonkeyPatch,
) -> None:
    r = begun(old("node-a", refuses="NoSpace"), drain={"policy": "Always"})
    r.settle()
    assert reason(r, "node-a") == "DrainNotEnough"
    known = looks(r)
    upgraded(r, before)
    r.play(60)
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, None)
    r.play(600)
    assert (reason(r, "node-a"), looks(r)) == ("DrainNotEnough", known)


def test_a_change_that_was_due_before_is_not_tried_again_by_itself(
    before: pytest.MonkeyPatch,
) -> None:
    r = begun(old("node-a", surprise=FAILS), rollout={"maxFailures": 1})
    r.until(lambda: r.phase("node-a") == "Proving")
    upgraded(r, before)
    r.until(lambda: r.phase("node-a") == "RolledBack")
    r.play(600)
    assert (r.phase("node-a"), writes(r)) == ("RolledBack", {"node-a": 2}), "written, put back"


def test_what_failed_on_a_machine_that_is_gone_counts(before: pytest.MonkeyPatch) -> None:
    r = begun(old("node-a", surprise=FAILS), old("node-b"), rollout={"maxFailures": 1})
    r.until(lambda: r.phase("node-a") == "RolledBack")
    r.play(60)
    r.cluster.remove_node("node-a")
    r.play(60)
    upgraded(r, before)
    r.play(600)
    assert writes(r)["node-b"] == 0
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, "another")
    r.until(lambda: r.phase("node-b") == "Done")


def test_a_drift_budget_that_was_spent_stays_spent(before: pytest.MonkeyPatch) -> None:
    r = begun(old("node-a"), drift={"maxReverts": 0})
    r.settle()
    r.cluster.disks["node-a"].put_back("0.4.0")
    r.cluster.reboot("node-a", "boot-2")
    r.until(lambda: reason(r, "node-a") == "DriftBudgetSpent")
    known = writes(r)
    upgraded(r, before)
    r.cluster.reboot("node-a", "boot-3")
    r.play(600)
    assert (reason(r, "node-a"), writes(r)) == ("DriftBudgetSpent", known)
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "another")
    r.until(lambda: r.phase("node-a") == "Done")


def test_a_wave_that_was_finished_is_not_reopened(before: pytest.MonkeyPatch) -> None:
    r = Rollout()
    for name, zone in (("node-a", "a"), ("node-b", "b"), ("node-c", "b")):
        r.cluster.add_node(old(name), labels={ZONE: zone})
    rollout = {"maxUnavailable": 2, "maxParallel": 1, "order": {"by": "Zone"}}
    r.cluster.apply_policy("cure", {**ENFORCE, "rollout": rollout}, {names.RETRY: "1"})
    r.until(lambda: r.phase("node-b") == "Proving")
    # One of the first zone joins, and somebody has cordoned it.
    r.cluster.add_node(old("node-d"), labels={ZONE: "a"})
    r.cluster.cordon("node-d")
    r.until(lambda: r.phase("node-d") == "Waiting")
    upgraded(r, before)
    r.until(lambda: r.phase("node-c") == "Done")
    assert r.phase("node-d") == "Waiting"


@pytest.fixture
def crds_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API server whose CRDs were not updated: it drops what these do not name."""
    store = Cluster.__init__

    def pruning(self: Cluster, *args: Any, **more: Any) -> None:
        store(self, *args, **more)
        kept = self.api._store

        def pruned(key: Any, raw: Raw) -> Raw:
            raw = copy.deepcopy(raw)
            status = raw.get("status") or {}
            for member in ("observed", "rollout"):
                for name in ("retry", "order"):
                    (status.get(member) or {}).pop(name, None)
            return kept(key, raw)

        self.api._store = pruned  # type: ignore[method-assign]

    monkeypatch.setattr(Cluster, "__init__", pruning)
    kept = tuple(rule for rule in invariants.RULES if rule is not invariants.readable)
    monkeypatch.setattr(invariants, "RULES", kept)


@pytest.mark.usefixtures("crds_of_before")
def test_a_failing_change_is_tried_once_where_the_crds_are_those_of_before() -> None:
    r = begun(old("node-a", surprise=FAILS), retry=None, rollout={"maxFailures": 3})
    r.until(lambda: r.phase("node-a") == "RolledBack")
    once = writes(r)["node-a"]
    for times in (2, 3):
        r.cluster.annotate("CNIUpgradePolicy", "cure", names.RETRY, str(times))
        r.play(1800)
        assert (phases(r), writes(r)) == ({"node-a": "RolledBack"}, {"node-a": times * once})
