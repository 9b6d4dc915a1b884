"""The metrics: named as Prometheus wants it, true after a restart, told by one replica alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cni_upgrade.api import names
from cni_upgrade.api.condition import Condition
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.planner.world.snapshot import Snapshot, Unread
from tests.unit.controller.kube_model import Made, Memory, silence
from tests.unit.planner.cluster_model import AGENTS, CONFIG, START
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.samples import policy, state

DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "running.md"


def families(made: Made) -> dict[str, Any]:
    text = made.metrics.page().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def figures(made: Made, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one gauge by the values of its labels."""
    family = families(made).get(name)
    return {tuple(s.labels.values()): s.value for s in family.samples} if family else {}


async def played(made: Made) -> None:
    """A fleet with a node of each kind: done, good, and one that is not ours to change."""
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "0.4.0"))
    cluster.add_node(SimNode("node-b", "1.0.0"))
    cluster.add_node(SimNode("node-c", "0.4.0", managed_by="flannel: ConfigMap kube-flannel-cfg"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    for _ in range(40):
        await made.pass_()
        made.client.requests["GET", "nodes", 200] = 1


@pytest.fixture
async def fleet(made: Made) -> Made:
    await played(made)
    return made


def linted(made: Made) -> Iterator[str]:
    """What promtool check metrics complains of.

    Source: prometheus/client_golang v1.23 prometheus/testutil/promlint/validations.
    """
    units = "seconds|bytes|ratio|meters|celsius|joules|grams|volts|amperes"
    wrong = "milliseconds|minutes|hours|days|kilobytes|megabytes|percent|ms|sec|min|hr"
    for name, family in families(made).items():
        if not family.documentation:
            yield f"{name}: no help text"
        if family.type == "counter" and not all(
            s.name.endswith(("_total", "_created")) for s in family.samples
        ):
            yield f"{name}: a counter ends in _total"
        if family.type != "counter" and name.endswith("_total"):
            yield f"{name}: only a counter ends in _total"
        if family.type not in ("histogram", "summary") and name.endswith(
            ("_count", "_sum", "_bucket")
        ):
            yield f"{name}: ends as a histogram's parts do"
        if re.search(rf"_({wrong})(_|$)", name):
            yield f"{name}: not a base unit"
        if re.search(rf"_({units})_", name):
            yield f"{name}: its unit comes last"
        if not re.fullmatch(r"cni_upgrade_[a-z_]+", name):
            yield f"{name}: our prefix, then small letters and underscores"
        if re.search(r"(counter|gauge|histogram|summary)", name):
            yield f"{name}: its type is not part of its name"
        labels = {label for s in family.samples for label in s.labels}
        for label in labels - {"le"}:
            if not re.fullmatch(r"[a-z_]+", label) or label in ("le", "quantile"):
                yield f"{name}: label {label}"


def test_they_are_named_as_promtool_wants_it(fleet: Made) -> None:
    assert list(linted(fleet)) == []


def test_each_is_in_the_manual(fleet: Made) -> None:
    text = DOCS.read_text()
    documented = set(re.findall(r"^\| `(cni_upgrade_[a-z_]+)`", text, re.MULTILINE))
    shown = {
        name + ("_total" if family.type == "counter" else "")
        for name, family in families(fleet).items()
    }
    # Shown while there is something to show.
    shown |= {"cni_upgrade_stopped_since_timestamp_seconds"}
    shown |= {"cni_upgrade_policy_paused_since_timestamp_seconds"}
    shown |= {"cni_upgrade_policy_stalled"}
    assert documented == shown
    alerts = set(re.findall(r"cni_upgrade_[a-z_]+", text.partition("```yaml")[2]))
    assert alerts <= documented


async def test_what_is_told_of_the_fleet_is_true_after_a_restart(
    fleet: Made, client: Client
) -> None:
    before = {
        name: figures(fleet, name)
        for name in (
            "cni_upgrade_nodes",
            "cni_upgrade_node_versions",
            "cni_upgrade_nodes_in_trouble",
            "cni_upgrade_jobs",
        )
    }
    assert before["cni_upgrade_nodes"]["Compatible",] == 1
    [(trouble, count)] = before["cni_upgrade_nodes_in_trouble"].items()
    assert (trouble[0], count) == ("ManagedElsewhere", 1)
    again = Made(fleet.kube, client)
    assert figures(again, "cni_upgrade_nodes") == {}
    await again.pass_()
    assert {name: figures(again, name) for name in before} == before


async def test_how_long_each_phase_took_is_counted_once(fleet: Made) -> None:
    counts = {
        s.labels["phase"]: s.value
        for s in families(fleet)["cni_upgrade_phase_seconds"].samples
        if s.name.endswith("_count")
    }
    applied = sum(len(disk.writes) > 0 for disk in fleet.kube.cluster.disks.values())
    assert counts["Applying"] == counts["Proving"] == applied
    assert counts["Auditing"] >= 3
    assert set(counts) <= {"Auditing", "Draining", "Applying", "Proving", "RollingBack"}


async def test_each_failure_is_counted_once_with_its_reason(made: Made, client: Client) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "0.4.0", faults=["none", "killed", "killed", "killed"]))
    cluster.add_node(SimNode("node-b", "1.0.0", faults=["killed"]))
    cluster.add_node(SimNode("node-c", "0.4.0", managed_by="flannel: ConfigMap kube-flannel-cfg"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    for _ in range(60):
        await made.pass_()
    assert cluster.status("node-a")["phase"] == "Failed"
    counted = {("Failed", "AgentLost"): 1, ("Pending", "AuditLost"): 1}
    assert figures(made, "cni_upgrade_failures") == counted
    # What another replica has counted is not counted again by the one that takes over.
    again = Made(made.kube, client)
    for _ in range(3):
        await again.pass_()
    assert figures(again, "cni_upgrade_failures") == {}


@pytest.mark.parametrize(
    ("bears", "stalled"), [(1, {("cure", "NodeFailed"): 1.0}), (3, {})], ids=["stops", "goes on"]
)
async def test_a_policy_is_stalled_once_its_budget_is_spent_and_no_sooner(
    made: Made, client: Client, bears: int, stalled: dict[tuple[str, ...], float]
) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "0.4.0", faults=["none", "killed", "killed", "killed"]))
    cluster.add_node(SimNode("node-b", "0.4.0"))
    cluster.apply_policy("cure", {"mode": "Enforce", "rollout": {"maxFailures": bears}})
    for _ in range(60):
        await made.pass_()
        if cluster.status("node-a").get("phase") == "Failed":
            break
    await made.pass_()
    again = Made(made.kube, client)
    await again.pass_()
    for each in (made, again):
        assert figures(each, "cni_upgrade_nodes_in_trouble") == {("Failed", "AgentLost"): 1}
        assert figures(each, "cni_upgrade_policy_stalled") == stalled
    again.leads = False
    assert figures(again, "cni_upgrade_policy_stalled") == {}


async def test_a_policy_that_is_not_understood_is_stalled(made: Made) -> None:
    newer = {"metadata": {"name": "newer", "uid": "1"}, "spec": {"mode": "Later"}}
    made.kube.cluster.api.create("CNIUpgradePolicy", newer)
    for _ in range(2):
        await made.pass_()
    assert figures(made, "cni_upgrade_policy_stalled") == {("newer", "NotUnderstood"): 1}


async def test_the_age_of_a_pause_and_of_the_stop(fleet: Made, client: Client) -> None:
    cluster = fleet.kube.cluster
    assert figures(fleet, "cni_upgrade_policy_paused") == {("cure",): 0}
    cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    at = "2026-01-02T03:04:05Z"
    fields: Any = {"f:metadata": {"f:annotations": {f"f:{names.STOP}": {}}}}
    entry = {"manager": "kubectl-annotate", "time": at, "fieldsV1": fields}
    marks = {"annotations": {names.STOP: "why"}, "managedFields": [entry]}
    cluster.api.create("Namespace", {"metadata": {"name": AGENTS, **marks}})
    for _ in range(3):
        await fleet.pass_()
    again = Made(fleet.kube, client)
    await again.pass_()
    for made in (fleet, again):
        assert figures(made, "cni_upgrade_policy_paused") == {("cure",): 1}
        [since] = figures(made, "cni_upgrade_policy_paused_since_timestamp_seconds").values()
        assert abs(since - datetime.now(UTC).timestamp()) < 60
        assert figures(made, "cni_upgrade_stopped") == {(AGENTS,): 1}
        [since] = figures(made, "cni_upgrade_stopped_since_timestamp_seconds").values()
        assert since == datetime.fromisoformat(at).timestamp()


async def test_who_does_not_lead_says_nothing_of_the_fleet(fleet: Made) -> None:
    newer = {"metadata": {"name": "newer", "uid": "1"}, "spec": {"mode": "Later"}}
    fleet.kube.cluster.api.create("CNIUpgradePolicy", newer)
    await fleet.pass_()
    assert figures(fleet, "cni_upgrade_leader") == {(): 1}
    assert figures(fleet, "cni_upgrade_unreadable_objects") == {(): 1}
    fleet.leads = False
    await fleet.pass_()
    assert figures(fleet, "cni_upgrade_leader") == {(): 0}
    assert figures(fleet, "cni_upgrade_unreadable_objects") == {(): 0}
    for name in ("nodes", "node_versions", "nodes_in_trouble", "jobs", "policy_paused", "stopped"):
        assert figures(fleet, f"cni_upgrade_{name}") == {}, name


async def test_who_has_lost_the_lease_says_so_though_no_pass_comes_to_its_end(fleet: Made) -> None:
    """The API server is away for this replica, and another one leads."""
    fleet.kube.refuse = lambda verb, plural, name: silence()
    with pytest.raises(KubeError):
        await fleet.pass_()
    assert figures(fleet, "cni_upgrade_leader") == {(): 1}, "the lease is not lost yet"
    fleet.leads = False
    with pytest.raises(KubeError):
        await fleet.pass_()
    assert figures(fleet, "cni_upgrade_leader") == {(): 0}
    assert figures(fleet, "cni_upgrade_nodes") == {}
    fleet.leads = True
    assert figures(fleet, "cni_upgrade_leader") == {(): 0}, "it knows nothing of the fleet yet"


def test_an_empty_cluster_is_shown(client: Client) -> None:
    assert figures(Made(Memory(), client), "cni_upgrade_leader") == {(): 0}


async def test_whoever_writes_policies_or_records_makes_no_more_series_than_are_bounded(
    made: Made,
) -> None:
    """Each value of a label is a series in Prometheus, and of a counter one here, for ever."""
    await made.pass_()
    ready = {"type": "Stalled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    for turn in range(3):
        made.metrics.observe(
            Snapshot(
                now=START,
                config=CONFIG,
                policies={
                    name: replaced(policy(paused=True), f"{name}-{turn}", f"Why{name}{turn}", ready)
                    for name in map(str, range(1000))
                },
                unread={
                    f"unread-{turn}-{each}": Unread("u", "1", 1, None, "x") for each in range(1000)
                },
                states={
                    name: state(
                        name,
                        phase="Failed" if turn else "Applying",
                        reason=f"Reason{turn}x{name}",
                        found=f"v{turn}-{name}",
                    )
                    for name in map(str, range(1000))
                },
            ),
            0,
        )
        page = made.metrics.page().decode()
    series = [line for line in page.splitlines() if line and not line.startswith("#")]
    assert len(series) < 1500
    assert 'policy="other"' in page
    assert 'reason="other"' in page
    assert 'version="other"' in page


def replaced(made: Any, name: str, reason: str, condition: Any) -> Any:
    """The policy by another name, stalled for a reason."""
    meta = made.metadata.model_copy(update={"name": name, "uid": name})
    said = Condition.model_validate({**condition, "reason": reason, "message": "x"})
    status = made.status.model_copy(update={"conditions": (said,)})
    return made.model_copy(update={"metadata": meta, "status": status})
