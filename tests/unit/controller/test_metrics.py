"""The metrics: named as Prometheus wants it, true after a restart, told by one replica alone."""

from __future__ import annotations

import platform
import re
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cni_upgrade.api import names
from cni_upgrade.api.condition import Condition
from cni_upgrade.api.phase import Phase
from cni_upgrade.controller import metrics_page
from cni_upgrade.controller.fleet_metrics import acts_on
from cni_upgrade.controller.label_values import most
from cni_upgrade.controller.metric_table import TABLE
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.planner.world.snapshot import Snapshot, Unread
from tests.unit.controller.kube_model import Made, Memory, silence
from tests.unit.planner.cluster_model import AGENTS, CONFIG, START
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.samples import policy, state

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "metrics.md"


LABELS = {each.name.removesuffix("_total"): each.labels for each in TABLE}


def families(made: Made) -> dict[str, Any]:
    text = made.metrics.page().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def figures(made: Made, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one gauge by the values of its labels."""
    family = families(made).get(name)
    if family is None:
        return {}
    order = LABELS[family.name]
    return {tuple(s.labels[label] for label in order): s.value for s in family.samples}


def recorded(made: Made, name: str) -> Any:
    """The status of a policy as the API server has it."""
    found = made.kube.cluster.api.find("CNIUpgradePolicy", name, "")
    assert found is not None
    return found.get("status") or {}


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
        if not re.fullmatch(r"(cni_upgrade|process)_[a-z_]+", name):
            yield f"{name}: our prefix, then small letters and underscores"
        if re.search(r"(counter|gauge|histogram|summary)", name):
            yield f"{name}: its type is not part of its name"
        labels = {label for s in family.samples for label in s.labels}
        for label in labels - {"le"}:
            if not re.fullmatch(r"[a-z_]+", label) or label in ("le", "quantile"):
                yield f"{name}: label {label}"


def test_they_are_named_as_promtool_wants_it(fleet: Made) -> None:
    assert list(linted(fleet)) == []


def test_the_page_of_metrics_is_made_of_the_table() -> None:
    assert PAGE.read_text() == metrics_page.page(), "run `make metrics`"


def test_each_that_is_served_is_on_the_page_with_its_type_and_labels(fleet: Made) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \|(?: \w+ \| ([a-z, ]*) \|)?", PAGE.read_text(), re.MULTILINE
    )
    told = {name.removesuffix("_total"): (kind, labels) for name, kind, labels in rows}
    served = families(fleet)
    assert {name: kind for name, (kind, _) in told.items()} == {
        name: family.type for name, family in served.items()
    }
    for name, family in served.items():
        labels = {label for s in family.samples for label in s.labels} - {"le"}
        assert labels in (set(), set(filter(None, told[name][1].split(", ")))), name


async def test_what_runs_is_told(made: Made) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert figures(made, "cni_upgrade_build_info") == {
        (project["version"], platform.python_version()): 1
    }
    process = families(made)["process_resident_memory_bytes"].samples
    assert process[0].value > 1e6


async def test_a_rollout_is_told_by_its_waves(made: Made) -> None:
    cluster = made.kube.cluster
    for each in range(4):
        cluster.add_node(SimNode(f"node-{each}", "0.4.0"))
    rollout = {"canary": {"nodes": 1, "soak": "1s"}, "maxParallel": 1, "maxUnavailable": 1}
    cluster.apply_policy("cure", {"mode": "Enforce", "rollout": rollout})
    waves, deadline = set(), time.monotonic() + 60
    # The canary's soak is a second of the real clock, however many passes that is.
    while figures(made, "cni_upgrade_nodes").get(("cure", "Done")) != 4:
        assert time.monotonic() < deadline, figures(made, "cni_upgrade_nodes")
        before = recorded(made, "cure").get("rollout")
        await made.pass_()
        if before is None:
            continue
        waves.add(before["number"])
        for name, member in (
            ("wave", "number"),
            ("waves", "of"),
            ("wave_nodes", "nodes"),
            ("wave_finished_nodes", "finished"),
            ("failed_nodes", "failures"),
            ("max_failures", "maxFailures"),
        ):
            assert figures(made, f"cni_upgrade_rollout_{name}") == {("cure",): before[member]}
    assert waves == {0, 1}, "canary and wave"


async def test_readiness_is_told_by_runtime(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "0.4.0"))
    cluster.apply_policy("look", {"mode": "Audit", "readinessFor": ["containerd>=2.0"]})
    for _ in range(20):
        await made.pass_()
    told = figures(made, "cni_upgrade_readiness_nodes")
    [counts] = recorded(made, "look")["readiness"]
    assert told == {
        ("look", "containerd>=2.0", "ready"): counts.get("ready", 0),
        ("look", "containerd>=2.0", "not_ready"): counts.get("notReady", 0),
        ("look", "containerd>=2.0", "unknown"): counts.get("unknown", 0),
    }
    assert sum(told.values()) == 1


def test_a_node_is_told_by_the_policy_that_acts_on_it() -> None:
    claimed = state("node-a", claim="cure", policies=["look"])
    assert acts_on(claimed) == "cure"
    assert acts_on(state("node-b", policies=["look", "other-look"])) == "look"
    assert acts_on(state("node-c")) == ""


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
    assert before["cni_upgrade_nodes"]["cure", "Compatible"] == 1
    [(trouble, count)] = before["cni_upgrade_nodes_in_trouble"].items()
    assert (trouble[:2], count) == (("cure", "ManagedElsewhere"), 1)
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
        assert figures(each, "cni_upgrade_nodes_in_trouble") == {("cure", "Failed", "AgentLost"): 1}
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
                        claim=f"{name}-{turn}",
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
    assert len(series) < 201 * len(Phase) + 2500
    assert 'policy="other"' in page
    assert 'reason="other"' in page
    assert 'version="other"' in page


def replaced(made: Any, name: str, reason: str, condition: Any) -> Any:
    """The policy by another name, stalled for a reason."""
    meta = made.metadata.model_copy(update={"name": name, "uid": name})
    said = Condition.model_validate({**condition, "reason": reason, "message": "x"})
    status = made.status.model_copy(update={"conditions": (said,)})
    return made.model_copy(update={"metadata": meta, "status": status})


def test_beyond_a_bound_the_rarest_combinations_are_told_as_one() -> None:
    counts = Counter({("a", "x"): 5, ("b", "y"): 4, ("other", "other"): 3, ("c", "z"): 1})
    assert dict(most(counts, 9)) == counts
    assert dict(most(counts, 2)) == {("a", "x"): 5, ("b", "y"): 4, ("other", "other"): 4}
    assert dict(most(counts, 3)) == {("a", "x"): 5, ("b", "y"): 4, ("other", "other"): 4}
