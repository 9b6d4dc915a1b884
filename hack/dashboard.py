#!/usr/bin/env python3
"""Print the Grafana dashboard, manifests/components/monitoring/dashboard.json (`make dashboard`).

A panel is one line of `ROWS`; the JSON of Grafana is 30 lines for each. While another replica takes
over, Prometheus may have the fleet's figures of both: so each query takes the highest one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

OF = 'policy=~"$policy"'
PHASES = f"max by (policy, phase) (cni_upgrade_nodes{{{OF}}})"
GOOD = f'max by (policy, phase) (cni_upgrade_nodes{{{OF}, phase=~"Done|Compatible"}})'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel with one query; `legend` names its series by their labels."""

    type: str
    title: str
    query: str
    legend: str = ""
    unit: str = "short"
    width: int = 8
    height: int = 8
    about: str = ""


def _stat(title: str, query: str, unit: str = "short", about: str = "") -> Panel:
    return Panel("stat", title, query, unit=unit, width=4, height=4, about=about)


def _graph(title: str, query: str, legend: str, unit: str = "short", about: str = "") -> Panel:
    return Panel("timeseries", title, query, legend, unit, about=about)


ROWS: dict[str, tuple[Panel, ...]] = {
    "Fleet": (
        _stat("Nodes", f"sum({PHASES})"),
        _stat(
            "Nodes that are well",
            f"sum({GOOD}) / sum({PHASES})",
            "percentunit",
            "Done or Compatible, of all nodes.",
        ),
        _stat(
            "Nodes in trouble",
            f"sum(max by (policy, phase, reason) (cni_upgrade_nodes_in_trouble{{{OF}}}))"
            " or vector(0)",
        ),
        _stat(
            "Policies that need a person",
            f"count(max by (policy) (cni_upgrade_policy_stalled{{{OF}}})) or vector(0)",
        ),
        _stat("Emergency stop", "max(cni_upgrade_stopped)", about="1 while it is on."),
        _stat("Replicas that lead", "sum(cni_upgrade_leader)", about="Always 1."),
        _graph("Nodes by phase", f"sum by (phase) ({PHASES})", "{{phase}}"),
        _graph(
            "Nodes by CNI version",
            f"sum by (version) (max by (policy, version) (cni_upgrade_node_versions{{{OF}}}))",
            "{{version}}",
        ),
        Panel(
            "table",
            "Nodes in trouble by reason",
            f"max by (policy, phase, reason) (cni_upgrade_nodes_in_trouble{{{OF}}})",
            about="`cni-upgrade explain REASON` says what each reason means.",
        ),
    ),
    "Rollout": (
        Panel(
            "bargauge",
            "Progress of each policy",
            f"sum by (policy) ({GOOD}) / (sum by (policy) ({PHASES}) > 0)",
            "{{policy}}",
            "percentunit",
        ),
        Panel(
            "bargauge",
            "Progress of the present wave",
            f"max by (policy) (cni_upgrade_rollout_wave_finished_nodes{{{OF}}})"
            f" / (max by (policy) (cni_upgrade_rollout_wave_nodes{{{OF}}}) > 0)",
            "{{policy}}",
            "percentunit",
        ),
        _graph(
            "Present wave",
            f"max by (policy) (cni_upgrade_rollout_wave{{{OF}}})",
            "{{policy}}",
            about="0 is the canary.",
        ),
        _graph(
            "Failures left until the rollout stops",
            f"max by (policy) (cni_upgrade_rollout_max_failures{{{OF}}})"
            f" - max by (policy) (cni_upgrade_rollout_failed_nodes{{{OF}}})",
            "{{policy}}",
        ),
        Panel(
            "table",
            "Why policies need a person",
            f"max by (policy, reason) (cni_upgrade_policy_stalled{{{OF}}})",
            about="`kubectl describe cup POLICY` has the message of the condition Stalled.",
        ),
        Panel(
            "bargauge",
            "Readiness for other runtimes",
            "sum by (runtime, verdict) (max by (policy, runtime, verdict)"
            f" (cni_upgrade_readiness_nodes{{{OF}}}))",
            "{{runtime}} {{verdict}}",
            about="Policies name the runtimes in spec.readinessFor.",
        ),
        _graph(
            "Audits and changes that failed, per hour",
            "sum by (phase, reason) (increase(cni_upgrade_failures_total[1h]))",
            "{{phase}} {{reason}}",
        ),
        _graph(
            "Time in a phase of work, 90 of 100 nodes",
            "histogram_quantile(0.9, sum by (le, phase)"
            " (rate(cni_upgrade_phase_seconds_bucket[$__rate_interval])))",
            "{{phase}}",
            "s",
        ),
        _graph("Jobs of agents", "max by (kind, state) (cni_upgrade_jobs)", "{{kind}} {{state}}"),
    ),
    "Controller": (
        Panel(
            "table",
            "Builds",
            "max by (instance, version, python) (cni_upgrade_build_info)",
        ),
        _graph(
            "Missing rights and admission policies",
            "max(cni_upgrade_missing_rights) + max(cni_upgrade_missing_admission_policies)",
            "missing",
        ),
        _graph(
            "API requests by code",
            "sum by (code) (rate(cni_upgrade_api_requests_total[$__rate_interval]))",
            "{{code}}",
            "reqps",
            "0 is no answer.",
        ),
        _graph(
            "Decisions",
            "sum by (kind) (rate(cni_upgrade_decisions_total[$__rate_interval]))",
            "{{kind}}",
            "ops",
        ),
        _graph(
            "Writes that were refused",
            "sum by (reason) (rate(cni_upgrade_refusals_total[$__rate_interval])) or vector(0)",
            "{{reason}}",
            "ops",
        ),
        _graph(
            "Time of a pass, 99 of 100 passes",
            "histogram_quantile(0.99, sum by (le)"
            " (rate(cni_upgrade_planning_seconds_bucket[$__rate_interval])))",
            "pass",
            "s",
        ),
        _graph(
            "CPU",
            "rate(process_cpu_seconds_total[$__rate_interval])"
            " * on (instance) group by (instance) (cni_upgrade_build_info)",
            "{{instance}}",
        ),
        _graph(
            "Memory",
            "process_resident_memory_bytes"
            " * on (instance) group by (instance) (cni_upgrade_build_info)",
            "{{instance}}",
            "bytes",
        ),
        _graph("Clock skew", "cni_upgrade_clock_skew_seconds", "{{instance}}", "s"),
    ),
}


_LAST = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": _LAST,
        "showPercentChange": False,
        "textMode": "auto",
        "wideLayout": True,
    },
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "bargauge": {
        "displayMode": "basic",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "maxVizHeight": 300,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "auto",
        "orientation": "horizontal",
        "reduceOptions": _LAST,
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "color",
    },
    "table": {"frameIndex": 0, "showHeader": True, "showTypeIcons": False, "cellHeight": "sm"},
}
"""What Grafana's schema asks of each type of panel."""


def _panel(panel: Panel, number: int, at: dict[str, int]) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": "A",
        "datasource": SOURCE,
        "expr": panel.query,
        "legendFormat": panel.legend or "__auto",
    }
    made: dict[str, Any] = {
        "id": number,
        "type": panel.type,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": OPTIONS[panel.type],
        "targets": [target],
    }
    if panel.type == "table":
        target |= {"format": "table", "instant": True}
        hidden = {"excludeByName": {"Time": True}}
        made["transformations"] = [{"id": "organize", "options": hidden}]
    elif panel.type == "timeseries":
        made["fieldConfig"]["defaults"]["min"] = 0
    if panel.unit == "percentunit":
        made["fieldConfig"]["defaults"] |= {"min": 0, "max": 1}
    return made


def _panels() -> Iterator[dict[str, Any]]:
    numbers, y = itertools.count(1), 0
    for title, panels in ROWS.items():
        place = {"x": 0, "y": y, "w": 24, "h": 1}
        yield {
            "id": next(numbers),
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        y += 1
        x = height = 0
        for panel in panels:
            if x + panel.width > 24:
                x, y = 0, y + height
            at = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            yield _panel(panel, next(numbers), at)
            x, height = x + panel.width, panel.height
        y += height


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {
            "name": "policy",
            "label": "Policy",
            "type": "query",
            "datasource": SOURCE,
            "query": "label_values(cni_upgrade_nodes, policy)",
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "refresh": 2,
            "current": {"text": "All", "value": "$__all"},
        },
    ]


def dashboard() -> dict[str, Any]:
    """The model that Grafana imports."""
    return {
        "uid": "cni-upgrade-operator",
        "title": "CNI upgrade operator",
        "tags": ["cni", "kubernetes"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {"list": _variables()},
        "panels": list(_panels()),
    }


def text() -> str:
    """The file as it ships."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    print(text(), end="")
