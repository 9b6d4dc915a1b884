"""Uninstalling beside the controller that finishes, and beside others who drain a node."""

import subprocess
import time
from collections.abc import Iterator

import pytest

from cni_upgrade.api import names
from tests.api.server import MERGE_PATCH
from tests.api.spaces import OPERATOR
from tests.api.uninstalling import API, DEPLOYMENT, LEASES, OURS, ROOT, Cluster

MEDIK8S = "node-maintenance"


def said_until(running: subprocess.Popen[str], text: str) -> None:
    """Reads what it says up to that."""
    said = [""]
    while text not in said[-1]:
        assert running.stdout is not None
        assert running.poll() is None, said
        said.append(running.stdout.readline())


def test_a_controller_that_gives_back_gets_the_time(cluster: Cluster) -> None:
    cluster.install()
    cluster.gives_back("ours")
    cluster.controller_ready()
    with cluster.uninstalling(wait=120) as running:
        said_until(running, "finishing with: ours")
        # What the controller does once every node is settled.
        done = {"metadata": {"finalizers": None}}
        path = f"{API}/{names.POLICY_PLURAL}/ours"
        assert cluster.server.request("PATCH", path, done, content=MERGE_PATCH).ok
        rest, _ = running.communicate(timeout=400)
    assert running.returncode == 0, rest
    assert "nobody is left" not in rest
    assert cluster.left() == []


def test_the_controller_gets_the_time_to_finish(cluster: Cluster) -> None:
    cluster.node("ours", cordoned=OURS, owner="cni")
    cluster.install()
    cluster.at_work("ours", "apply")
    cluster.controller_ready()
    with cluster.uninstalling(wait=120) as running:
        said_until(running, "finishing")
        assert cluster.server.request("GET", DEPLOYMENT).ok
        # What the controller does at the end of an operation.
        cluster.status(f"{API}/{names.NODE_STATE_PLURAL}/ours", {"operation": None})
        patch = {
            "metadata": {"annotations": {names.CORDONED_BY: None}},
            "spec": {"unschedulable": None},
        }
        cluster.server.request("PATCH", "/api/v1/nodes/ours", patch, content=MERGE_PATCH)
        rest, _ = running.communicate(timeout=400)
    assert running.returncode == 0, rest
    assert "not finished" not in rest
    assert "uncordoning" not in rest
    assert cluster.left() == []


def test_a_controller_that_does_not_finish_is_stopped(cluster: Cluster) -> None:
    cluster.node("ours", cordoned=OURS, owner="cni")
    cluster.install()
    cluster.controller_ready()
    started = time.monotonic()
    code, said = cluster.uninstall(wait=6)
    assert code == 0, said
    assert time.monotonic() - started > 5
    assert "not finished within 6 s: ours" in said
    assert cluster.cordon("ours") == (False, None)
    assert cluster.left() == []


def test_an_audit_is_not_waited_for(cluster: Cluster) -> None:
    cluster.node("ours")
    cluster.install()
    cluster.at_work("ours", "audit")
    cluster.controller_ready()
    code, said = cluster.uninstall(wait=600)
    assert code == 0, said
    assert "finishing" not in said


@pytest.fixture
def leased(cluster: Cluster) -> Iterator[Cluster]:
    """With the namespace of the Leases on nodes, as medik8s' operators make it."""
    cluster.kubectl("apply", "-f", str(ROOT / "manifests/leases/medik8s.yaml"))
    yield cluster
    cluster.kubectl("delete", "namespace", "medik8s-leases")


def test_nobody_is_uncordoned_in_the_middle_of_their_drain(leased: Cluster) -> None:
    leased.node("a.b", cordoned=OURS, owner="cni")
    leased.node("theirs", cordoned=OURS, owner="cni")
    leased.node("mark-taken-off", cordoned=OURS)
    # Of a node whose name is another one's as a pattern.
    leased.lease("node-a-b", MEDIK8S)
    leased.lease("node-theirs", MEDIK8S)
    leased.lease("node-mark-taken-off", MEDIK8S)
    leased.install()
    code, said = leased.uninstall()
    assert code == 0, said
    assert "uninstall: theirs: node-maintenance drains it: the cordon is left to them\n" in said
    assert leased.cordon("a.b") == (False, None)
    assert leased.cordon("theirs") == (True, None)
    assert leased.cordon("mark-taken-off") == (True, None)
    assert leased.leases() == {"node-a-b", "node-theirs", "node-mark-taken-off"}
    assert leased.left() == []
    # Once they have given the nodes back, the next run does.
    leased.server.request("DELETE", LEASES)
    code, said = leased.uninstall()
    assert code == 0, said
    assert leased.cordon("theirs") == (False, None)
    assert leased.cordon("mark-taken-off") == (False, None)


def test_our_leases_on_nodes_go_and_no_other(leased: Cluster) -> None:
    leased.node("ours", cordoned=OURS, owner="cni")
    leased.lease("node-ours", OPERATOR)
    leased.lease("node-theirs", MEDIK8S)
    leased.lease("node-of-somebody", f"{OPERATOR}-of-somebody")
    leased.lease("nothing-of-a-node", OPERATOR)
    leased.install()
    code, said = leased.uninstall()
    assert code == 0, said
    assert leased.cordon("ours") == (False, None)
    assert leased.leases() == {"node-theirs", "node-of-somebody", "nothing-of-a-node"}
