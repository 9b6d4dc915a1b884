"""Fleets for the plugin to show: rollouts that the planner's tests play, and rows made by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cni_upgrade.api.crd import RESOURCES
from cni_upgrade.api.names import NODE_STATE_KIND
from cni_upgrade.kubectl.fleet import Fleet, fleet
from tests.unit.planner.courses import BAD, ZONE, enforce, labelled
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import f1, healthy, old

Raw = dict[str, Any]


def zones() -> Rollout:
    """Three zones; the canary has passed, a node of the second failed, one is held by a budget."""
    r = labelled(
        (healthy("node-a"), {ZONE: "eu-1a"}),
        (f1("node-b"), {ZONE: "eu-1a"}),
        (f1("node-c"), {ZONE: "eu-1b"}),
        (old("node-d"), {ZONE: "eu-1b"}),
        (old("node-e"), {ZONE: "eu-1c"}),
    )
    r.cluster.disks["node-c"].surprise = BAD
    r.cluster.budgets.add("web-node-d-0")
    order = {"by": "Zone"}
    rollout = {"order": order, "canary": {"nodes": 1, "soak": "1m"}, "maxFailures": 2}
    r.cluster.apply_policy("cure", enforce(rollout, drain={"policy": "Always", "deadline": "10m"}))
    r.until(lambda: r.phase("node-d") == "Draining")
    r.play(60)
    return r


def rows(r: Rollout) -> list[Raw]:
    """The node states as the API server's table has them: by the columns of the CRD."""
    [resource] = [each for each in RESOURCES if each.kind == NODE_STATE_KIND]
    table = []
    for state in r.cluster.states():
        cells = {column.name: _at(state, column.path) for column in resource.columns}
        since = state["status"].get("phaseSince")
        gone = r.cluster.now - datetime.fromisoformat(since) if since else None
        told = f"{int(gone.total_seconds())}s" if gone is not None else "<unknown>"
        table.append({"Name": state["metadata"]["name"], **cells, "Since": told})
    return table


def row(name: str, phase: str, reason: str, **more: str) -> Raw:
    """One row of that table."""
    cells = {"Since": "5m", "Found": "1.0.0", "Target": "1.0.0", "Policy": "cure", "Message": ""}
    told = {key.capitalize(): value for key, value in more.items()}
    return {"Name": name, "Phase": phase, "Reason": reason, **cells, **told}


def shown(r: Rollout) -> Fleet:
    """The fleet of a played rollout."""
    api = r.cluster.api
    return fleet(rows(r), list(api.all("CNIUpgradePolicy")), list(api.all("Node")))


def _at(raw: Raw, path: str) -> Any:
    found: Any = raw
    for part in path.strip(".").split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
