"""Agents that say what makes no sense: only their own node is concerned, and its record says so."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cni_upgrade.agent.protocol.termination_message import MessageError, decode
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.parse import UnreadableResourceError, parse_node_state
from cni_upgrade.planner.node.audit_result import seen
from tests.unit.planner import liars
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import ENFORCE, f1, message, of, phases, reason

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
    assert conditions(r)["Stalled"] == "AuditsFailing"


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


def unschedulable(r: Rollout, node: str) -> bool:
    return bool(r.cluster.api.get("Node", node)["spec"].get("unschedulable"))


def spoiled(status: dict[str, Any], **spec: Any) -> Rollout:
    """Two nodes; the record of node-a is edited as it is cordoned, before its agent is sent."""
    r = of(f1("node-a"), f1("node-b"))
    r.cluster.apply_policy("cure", {**ENFORCE, "rollout": {"maxUnavailable": 1, **spec}})
    r.until(lambda: r.step_of("node-a") in ("Baseline", "BaselineDelete"))
    r.ledger.meddled.add("node-a")
    r.cluster.api.patch("CNINodeState", "node-a", {"status": status}, sub="status")
    return r


def test_a_record_that_cannot_be_ordered_from_gives_the_node_back_and_stalls_the_policy() -> None:
    r = spoiled({"operation": {"input": "{}"}})
    r.play(900)
    assert (r.phase("node-a"), reason(r, "node-a")) == ("Failed", "Unplannable")
    assert "kubectl delete cninodestate node-a" in message(r, "node-a")
    assert not unschedulable(r, "node-a")
    assert not r.cluster.disks["node-a"].writes
    assert conditions(r)["Stalled"] == "NodeFailed"
    assert r.cluster.policy("cure")["status"]["summary"]["failed"] == 1


def test_a_record_that_holds_a_cordon_stalls_its_policy_at_once_or_after_its_patience() -> None:
    at_once = spoiled({"operation": {"step": "Release"}})
    at_once.play(60)
    assert conditions(at_once)["Stalled"] == "NodeFailed"
    later = spoiled({"operation": {"step": "Release"}}, maxFailures=2)
    later.play(900)
    assert "node keeps its cordon" in message(later, "node-a")
    assert conditions(later)["Stalled"] == "RolloutBlocked"
    assert "node-a" in later.cluster.policy("cure")["status"]["message"]
    later.cluster.api.delete("CNINodeState", "node-a")
    later.settle()
    assert phases(later) == {"node-a": "Done", "node-b": "Done"}


def test_a_record_that_names_no_hash_is_not_ordered_from() -> None:
    r = of(f1("node-a"), f1("node-b"))
    r.cluster.apply_policy("cure", {**ONE, "mode": "Audit"})
    r.settle()
    file = {**r.cluster.status("node-a")["files"][0], "sha256": "z"}
    r.cluster.api.patch("CNINodeState", "node-a", {"status": {"files": [file]}}, sub="status")
    r.cluster.apply_policy("cure", ONE)
    r.until(lambda: r.phase("node-b") == "Done")
    r.until(lambda: reason(r, "node-a") in ("ReportUnusable", "Done"))
    assert not unschedulable(r, "node-a")


def test_an_operation_of_a_kind_that_nobody_knows_is_begun_anew() -> None:
    r = spoiled({"operation": {"kind": "x"}})
    r.settle()
    assert any("of the kind 'x', is not known" in line for line in r.lines)
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}


def slice_of(every: list[Any], part: int) -> list[Any]:
    return every[:: STRIDE or part]


STRIDE = int(os.environ.get("FLEET_LIARS", "0"))
"""One in so many lies is told; 0 for a slice of some seconds. `make liars` tells all of them."""
KINDS = ("audit", "apply")
BOTH = ("node-z", "node-a")
TOLD = [(kind, path, lie) for kind in KINDS for path in liars.MESSAGE for lie in liars.LIES]


def bears(kind: str, path: liars.Path, lie: object) -> None:
    """Play a rollout of two nodes in which node-a tells a lie, always, and hold it to the rules."""
    r = of(f1("node-a"), f1("node-b"))

    def spoil(document: dict[str, Any]) -> str:
        spoiled = liars.told(document, path, lie) if document["kind"] == kind else document
        return liars.message(spoiled)

    r.cluster.disks["node-a"].lie = spoil
    r.cluster.apply_policy("cure", ONE)
    held_to(r)


def held_to(r: Rollout) -> None:
    """Only node-a is concerned; it rests in a named phase without a cordon, and a policy that is
    held says so."""
    r.play(2400)
    status = r.cluster.status("node-a")
    phase, reason, message = (status.get(each, "") for each in ("phase", "reason", "message"))
    where = f"{phase} ({reason}): {message}"
    assert reason, where
    assert message, where
    assert not unschedulable(r, "node-a"), where
    assert not unschedulable(r, "node-b"), where
    assert len(r.cluster.disks["node-b"].writes) <= 1, where
    if r.phase("node-b") != "Done":
        assert "Stalled" in conditions(r), where
    if phase not in ("Done", "Compatible"):
        assert "Stalled" in conditions(r), where


@pytest.mark.parametrize(
    ("kind", "path", "lie"),
    slice_of(TOLD, 131),
    ids=lambda each: ".".join(map(str, each)) if isinstance(each, tuple) else each,
)
def test_a_lie_in_a_message_concerns_its_own_node(kind: str, path: liars.Path, lie: str) -> None:
    bears(kind, path, liars.LIES[lie])


@pytest.mark.parametrize("lie", sorted(liars.LIES))
def test_a_lie_is_refused_or_read_and_nothing_else_is_raised(lie: str) -> None:
    """Of every member: what is read fits the record's model as well."""
    r = of(f1("node-a"))
    said: list[dict[str, Any]] = []

    def listen(document: dict[str, Any]) -> str:
        said.append(document)
        return liars.message(document)

    r.cluster.disks["node-a"].lie = listen
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    for document in said:
        for path in liars.MESSAGE:
            text = liars.message(liars.told(document, path, liars.LIES[lie]))
            with contextlib.suppress(MessageError):
                result = decode(text)
                if result.report is not None:
                    seen(NodeStateStatus(), result.report).to_api()
                json.dumps(result.to_json(), ensure_ascii=False).encode()


@cache
def messages(node: str) -> dict[str, dict[str, Any]]:
    """By kind: what an agent has said of a node of another cluster, or of another time."""
    r, said = of(f1(node)), dict[str, dict[str, Any]]()

    def listen(document: dict[str, Any]) -> str:
        said[document["kind"]] = document
        return liars.message(document)

    r.cluster.disks[node].lie = listen
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    return said


FOREIGN = [(kind, path, node) for kind in KINDS for path in liars.MESSAGE for node in BOTH]


@pytest.mark.parametrize(
    ("kind", "path", "node"),
    slice_of(FOREIGN, 37),
    ids=lambda each: ".".join(map(str, each)) if isinstance(each, tuple) else each,
)
def test_a_member_of_another_message_concerns_its_own_node(
    kind: str, path: liars.Path, node: str
) -> None:
    """That of another node, or of an older answer of the same one."""
    bears(kind, path, liars.at(messages(node)[kind], path))


NESTED = st.recursive(
    st.sampled_from([each for each in liars.LIES.values() if each is not liars.GONE])
    | st.sampled_from(["1.0.0", "a" * 64, "Fault", "/etc/cni/net.d"])
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=4,
)
VALUES = st.just(liars.GONE) | NESTED


@settings(max_examples=(STRIDE and 2000 // STRIDE) or 12, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    lies=st.dictionaries(st.sampled_from(liars.MESSAGE), VALUES, min_size=2, max_size=5),
)
def test_several_lies_at_once_concern_their_own_node(
    kind: str, lies: dict[liars.Path, object]
) -> None:
    """Any values, of members that may hang together."""
    r = of(f1("node-a"), f1("node-b"))

    def spoil(document: dict[str, Any]) -> str:
        if document["kind"] == kind:
            for path, lie in lies.items():
                document = liars.told(document, path, lie)
        return liars.message(document)

    r.cluster.disks["node-a"].lie = spoil
    r.cluster.apply_policy("cure", ONE)
    held_to(r)


SHOWN: set[liars.Path] = {
    ("observed", each) for each in ("bootID", "runtimeVersion", "kubeletVersion")
}
SHOWN |= {("phase",)}
"""Not lied about: the rules that rollouts are held to judge what is done by these members."""
EDITS = [(path, lie) for path in liars.RECORD if path not in SHOWN for lie in liars.LIES]


@pytest.mark.parametrize(
    ("path", "lie"),
    slice_of(EDITS, 293),
    ids=lambda each: ".".join(map(str, each)) if isinstance(each, tuple) else each,
)
def test_a_lie_in_a_record_concerns_its_own_node(path: liars.Path, lie: str) -> None:
    """An API server holds the record to its schema; what it lets through is one of these."""
    status = copy.deepcopy(spoiled({}).cluster.status("node-a"))
    lied = liars.told(status, path, liars.LIES[lie])
    try:
        read = parse_node_state(
            {"metadata": {"name": "x"}, "spec": {"nodeUID": "x"}, "status": lied}
        )
    except UnreadableResourceError:
        return  # It is shown as a record that is not understood, and left alone.
    held = read.status.to_api()  # With the defaults and within the bounds of the schema.
    r = spoiled({name: value for name, value in held.items() if value != status.get(name)})
    r.play(2400)
    told = r.cluster.status("node-a").get("message", "")
    if unschedulable(r, "node-a"):
        assert reason(r, "node-a") == "Unplannable", told
        assert "kubectl delete cninodestate node-a" in told
    if r.phase("node-b") != "Done":
        assert "Stalled" in conditions(r), told
    assert not unschedulable(r, "node-b"), told
