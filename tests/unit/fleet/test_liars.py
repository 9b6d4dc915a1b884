"""Agents that say what makes no sense: only their own node is concerned, and its record says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.fleet.rollout import Rollout
from tests.unit.fleet.scenarios import ENFORCE, f1, message, of, phases, reason

ONE = {**ENFORCE, "rollout": {"maxUnavailable": 1}}


def conditions(r: Rollout) -> dict[str, str]:
    return {c["type"]: c["reason"] for c in r.cluster.policy("cure")["status"]["conditions"]}


def of_files(**members: Any) -> Rollout:
    """Two nodes; the agents of node-a say that of every file."""
    r = of(f1("node-a"), f1("node-b"))

    def lie(document: dict[str, Any]) -> str:
        for file in document["report"]["files"]:
            file.update(members)
        return json.dumps(document)

    r.cluster.disks["node-a"].lie = lie
    r.cluster.apply_policy("cure", ONE)
    return r


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("sha256", "z", "report.files[0].sha256: expected 64 hex digits, got 'z'"),
        ("to", "9.9.9", "report.files[0].to: expected one of 0.1.0"),
        ("name", "../passwd", "report.files[0].name: expected the name of a file in a folder"),
        ("kind", "binary", "report.files[0].kind: expected one of conf, conflist, other"),
        ("modified", "10000-01-01T00:00:00Z", "report.files[0].modified: expected a time"),
        ("becomes", "x.conflist", "report.files[0].becomes: expected '10-net.conflist'"),
        ("owner", "root", "report.files[0].owner: expected owner and group as numbers"),
    ],
)
def test_a_report_with_a_member_that_makes_no_sense_is_refused_and_holds_no_other_node(
    member: str, value: str, expected: str
) -> None:
    r = of_files(**{member: value})
    r.play(1800)
    assert phases(r) == {"node-a": "Pending", "node-b": "Done"}
    assert reason(r, "node-a") == "ReportUnusable"
    assert expected in message(r, "node-a")
    assert not r.cluster.api.get("Node", "node-a")["spec"].get("unschedulable")
    assert conditions(r)["Stalled"] == "AuditsFail"


def test_a_folder_that_no_agent_was_to_look_at_is_none_to_write_in() -> None:
    r = of(f1("node-a"), f1("node-b"))

    def lie(document: dict[str, Any]) -> str:
        document["report"]["paths"]["confDir"] = "/root"
        return json.dumps(document)

    r.cluster.disks["node-a"].lie = lie
    r.cluster.apply_policy("cure", ONE)
    r.play(1800)
    assert phases(r) == {"node-a": "Pending", "node-b": "Done"}
    assert "report.paths.confDir: expected one of /etc/cni/net.d" in message(r, "node-a")


def test_half_a_surrogate_pair_in_a_text_stops_nobody() -> None:
    r = of_files(why="the \ud800 highest")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    assert r.cluster.status("node-a")["files"][0]["why"] == "the ? highest"
