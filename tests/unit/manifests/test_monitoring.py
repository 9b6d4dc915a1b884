"""Alerts and dashboard: they name metrics that there are, and pages that there are."""

import json
import re
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from cni_upgrade.api.alerts import ALERTS, RUNBOOKS
from cni_upgrade.controller.metric_table import TABLE, Type
from hack import dashboard, links
from tests.unit.manifests.test_manifests import ROOT, one

SHIPPED = ROOT / "manifests/components/monitoring"
GUIDE = (ROOT / "docs/how-to/monitoring.md").read_text()
Object = dict[str, Any]


def load(name: str) -> Object:
    found: Object = yaml.safe_load((SHIPPED / name).read_text())
    return found


def rules() -> list[Object]:
    [group] = load("prometheusrule.yaml")["spec"]["groups"]
    found: list[Object] = group["rules"]
    return found


def queries() -> list[str]:
    panels = json.loads((SHIPPED / "dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [*asked, *(rule["expr"] for rule in rules())]


def series() -> dict[str, set[str]]:
    """What may be asked for, and by which labels."""
    made: dict[str, set[str]] = {}
    for each in TABLE:
        ends = ("_bucket", "_sum", "_count") if each.type is Type.HISTOGRAM else ("",)
        made |= {each.name + end: {*each.labels, "instance", "le"} for end in ends}
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for family in registry.collect():
        made |= {sample.name: {"instance"} for sample in family.samples}
    return made


def test_every_alert_is_in_the_catalogue_and_has_its_page() -> None:
    assert [rule["alert"] for rule in rules()] == list(ALERTS)
    anchors = links.anchors((ROOT / "docs/reference/reasons.md").read_text())
    for rule in rules():
        assert rule["annotations"].keys() == {"summary", "runbook_url"}
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page, anchor) == (RUNBOOKS, rule["alert"].lower())
        assert anchor in anchors


def test_every_alert_has_the_severity_that_the_guide_gives() -> None:
    told = {
        alert: severity
        for severity, alerts in re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", GUIDE, re.MULTILINE)
        for alert in alerts.replace(" ", "").split(",")
    }
    assert {rule["alert"]: rule["labels"]["severity"] for rule in rules()} == told


def test_every_query_asks_for_metrics_and_labels_that_there_are() -> None:
    known = series()
    for query in queries():
        names = set(re.findall(r"\b(?:cni_upgrade|process)_\w+", query))
        assert names, query
        assert names <= known.keys(), query
        for name, selected in re.findall(r"\b(cni_upgrade_\w+)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)=", selected)) <= known[name], query
        labels = re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
        asked = {label for group in labels for label in group.split(", ")}
        assert asked <= set.union(*(known[name] for name in names)), query


def test_every_metric_of_the_fleet_is_drawn() -> None:
    drawn = " ".join(queries())
    missing = {each.name for each in TABLE if each.name.startswith("cni_upgrade_")} - set(
        re.findall(r"cni_upgrade_\w+?(?=_bucket\b|\b)", drawn)
    )
    assert missing == {
        # How many there are, once the present one is known, and what other panels say as well.
        "cni_upgrade_rollout_waves",
        "cni_upgrade_policy_paused",
        "cni_upgrade_unreadable_objects",
        "cni_upgrade_events_lost_total",
    }


def test_the_dashboard_is_made_of_its_table() -> None:
    assert (SHIPPED / "dashboard.json").read_text() == dashboard.text(), "run `make dashboard`"


def test_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard.dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


def test_the_pod_monitor_finds_the_operators_pods_by_a_port_that_they_have() -> None:
    spec = load("podmonitor.yaml")["spec"]
    deployment = one("Deployment", "cni-upgrade-operator", "cni-upgrade-system")
    assert load("podmonitor.yaml")["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    template = deployment["spec"]["template"]
    assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    [container] = template["spec"]["containers"]
    [endpoint] = spec["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}


def test_the_component_names_every_file_but_the_example() -> None:
    made = load("kustomization.yaml")
    [generated] = made["configMapGenerator"]
    named = {*made["resources"], *(each.partition("=")[2] for each in generated["files"])}
    there = {path.name for path in SHIPPED.iterdir()}
    assert named == there - {"kustomization.yaml", "alertmanager-example.yaml"}
    told = re.findall(r"^\| `([\w.-]+\.\w+)` \|", GUIDE, re.MULTILINE)
    assert set(told) == there - {"kustomization.yaml"}
