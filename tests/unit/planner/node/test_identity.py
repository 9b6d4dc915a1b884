"""Whose agent or proof a pod is: its spec and its owner say so, never a label or an annotation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cni_upgrade.agent.protocol.operation import Kind, Operation, Paths
from cni_upgrade.agent.protocol.termination_message import encode
from cni_upgrade.api.names import LABEL_NODE
from cni_upgrade.planner.node import agent_job, agent_outcome
from cni_upgrade.planner.node.context import moved, with_operation
from cni_upgrade.planner.node.orphaned_agents import writers
from cni_upgrade.planner.world.decisions import CreateJob
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.node_affinity import only_node, only_on
from tests.unit.planner.cluster_model import AGENTS, CONFIG, PROOF
from tests.unit.planner.samples import ID, UNSCHEDULED, agent, job, pod, result, view

JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": ID, "controller": True}


def terms(*terms: Any) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": required}}


def field(operator: str = "In", key: str = "metadata.name", *values: str) -> dict[str, Any]:
    return {"matchFields": [{"key": key, "operator": operator, "values": values or ["node-a"]}]}


@pytest.mark.parametrize(
    ("spec", "node"),
    [
        ({"affinity": only_on("node-a")}, "node-a"),
        ({}, ""),
        ({"affinity": None}, ""),
        ({"affinity": {"podAffinity": {}}}, ""),
        (terms(), ""),
        (terms(field(), field()), ""),
        (terms(field("NotIn")), ""),
        (terms(field("In", "metadata.namespace")), ""),
        (terms(field("In", "metadata.name", "node-a", "node-b")), ""),
        (terms({"matchExpressions": [{"key": "x", "operator": "Exists"}]}), ""),
    ],
)
def test_affinity_names_a_node_where_it_leaves_no_choice(spec: dict[str, Any], node: str) -> None:
    assert only_node(spec) == node


def labelled(**patch: Any) -> Pod:
    """A pod that says of itself that it is another node's and another Job's."""
    said = {
        "annotations": {LABEL_NODE: "node-2"},
        "labels": {LABEL_NODE: "node-2", "job-name": "x", "batch.kubernetes.io/job-name": "x"},
        "ownerReferences": [JOB],
    }
    return pod("agent", AGENTS, metadata=said, **patch)


@pytest.mark.parametrize("patch", [{}, UNSCHEDULED], ids=["bound", "not bound"])
def test_what_a_pod_says_of_itself_counts_for_nothing(patch: dict[str, Any]) -> None:
    said = labelled(**patch)
    assert (said.for_node, said.job) == ("node-a", ID)


@pytest.mark.parametrize(
    "owner", [{"kind": "CronJob"}, {"apiVersion": "x.example/v1"}, {"controller": False}]
)
def test_a_job_of_another_kind_or_that_is_no_controller_made_nothing(owner: dict[str, Any]) -> None:
    assert pod(metadata={"ownerReferences": [{**JOB, **owner}]}).job == ""


def test_a_pod_elsewhere_holds_the_node_on_which_it_is_and_no_other() -> None:
    stray = pod("stray", AGENTS, spec={"nodeName": "node-2"})
    assert [(w.node, w.pods, w.job) for w in writers(job(), [agent(), stray])] == [
        ("node-2", (stray,), None),
        ("node-a", (agent(),), job()),
    ]
    # Its Job's own pod is still to come.
    coming = {w.node: w for w in writers(job(), [stray])}
    assert coming["node-a"].job == job()
    assert list(writers(job("Complete"), [agent("")])) == []


def test_an_agent_that_ran_on_another_node_answers_nothing() -> None:
    good = encode(result()).decode()
    assert isinstance(
        agent_outcome.agent(view(jobs={ID: job()}, agents={ID: [agent(good)]})),
        agent_outcome.Answer,
    )
    ended = [{"state": {"terminated": {"exitCode": 0, "message": good}}}]
    stray = pod("stray", AGENTS, spec={"nodeName": "node-2"}, status={"containerStatuses": ended})
    said = agent_outcome.agent(view(jobs={ID: job()}, agents={ID: [stray]}))
    assert said == agent_outcome.Pending("its pod is not there yet", idle=True)


def test_a_proof_on_another_node_proves_nothing() -> None:
    here, there = pod("p", PROOF), pod("p", PROOF, spec={"nodeName": "node-2"})
    assert view(proofs={"p": here}).proof("p") == here
    assert view(proofs={"p": there}).proof("p") is None
    assert view(proofs={"p": here}).proof(None) is None


def test_the_record_of_a_node_sends_no_agent_to_another() -> None:
    """Who may write the status of records chooses what stands there as the input of the agent."""
    at = view("audit")
    paths = Paths(("/etc/cni/net.d",), ("/opt/cni/bin",), "/var/lib/cni", CONFIG.state_dir)
    look = Operation(
        at.operation.id.replace("apply", "audit"),
        Kind.AUDIT,
        "node-a",
        "containerd://1.6.2",
        root="/host",
        paths=paths,
    )
    order = look.to_json()
    honest = moved(at, with_operation(at.status, input=json.dumps(order)))
    [act] = agent_job.send(honest).acts
    assert isinstance(act, CreateJob)
    assert act.node == "node-a"
    forged = moved(at, with_operation(at.status, input=json.dumps({**order, "node": "node-2"})))
    with pytest.raises(ValueError, match="expected node node-a, found node-2"):
        agent_job.send(forged)
