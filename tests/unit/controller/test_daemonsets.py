"""Whether the DaemonSets of a drained node's pods are there: asked once, said of each pod."""

from __future__ import annotations

from typing import Any

import pytest

from cni_upgrade.controller.daemonsets import AGAIN, REFUSED, DaemonSets
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.planner.world.kubernetes_objects import Pod
from tests.unit.controller.kube_model import Made, Memory, silence
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.samples import pod


def of(daemonset: str, name: str = "x", **patch: Any) -> Pod:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": daemonset, "controller": True}
    return pod(name, metadata={"ownerReferences": [owner]}, **patch)


def there(kube: Memory, *names: str) -> None:
    for name in names:
        meta = {"name": name, "namespace": "default"}
        kube.cluster.api.create("DaemonSet", {"metadata": meta})


async def test_each_is_asked_for_once_and_said_of_all_of_its_pods() -> None:
    kube = Memory()
    there(kube, "net")
    known = DaemonSets(kube)
    pods = (of("net", "a"), of("net", "b"), of("logs", "c"), pod("d"))
    assert [p.orphaned for p in await known.judged(pods, 0)] == [False, False, True, None]
    assert [p.orphaned for p in await known.judged((of("net"),), AGAIN - 1)] == [False]
    assert kube.asked == [("get", "daemonsets", "net"), ("get", "daemonsets", "logs")]


async def test_an_answer_grows_old() -> None:
    kube = Memory()
    known = DaemonSets(kube)
    await known.judged((of("logs"),), 0)
    there(kube, "logs")
    assert [p.orphaned for p in await known.judged((of("logs"),), AGAIN)] == [False]


async def test_a_pod_that_has_ended_is_not_asked_about() -> None:
    kube = Memory()
    await DaemonSets(kube).judged((of("logs", status={"phase": "Failed"}),), 0)
    assert kube.asked == []


async def test_no_answer_is_not_taken_for_one() -> None:
    kube = Memory()
    kube.refuse = lambda verb, plural, name: silence()
    known = DaemonSets(kube)
    with pytest.raises(KubeError):
        await known.judged((of("logs"),), 0)
    kube.refuse = lambda verb, plural, name: None
    assert [p.orphaned for p in await known.judged((of("logs"),), 0)] == [True]


@pytest.mark.parametrize("status", [403, 422, 429, 500])
async def test_a_refusal_is_a_doubt_about_its_pods_alone_and_asked_about_again(status: int) -> None:
    kube = Memory()
    there(kube, "net")
    kube.refuse = lambda verb, plural, name: (
        KubeError(status, "Refused", "not this") if name == "logs" else None
    )
    known = DaemonSets(kube)
    pods = (of("logs", "a"), of("net", "b"), of("logs", "c"))
    told = await known.judged(pods, 0)
    assert [(p.orphaned, p.doubt) for p in told] == [
        (None, "not this"),
        (False, ""),
        (None, "not this"),
    ]
    assert [name for _, _, name in kube.asked] == ["logs", "net"]
    kube.refuse = lambda verb, plural, name: None
    assert [p.doubt for p in await known.judged(pods[:1], REFUSED - 1)] == ["not this"]
    assert [p.orphaned for p in await known.judged(pods[:1], REFUSED)] == [True]


def owned_by(made: Made, pod: str, daemonset: str) -> None:
    """An ownerReference to whatever its writer likes: the API server does not look at the name."""
    found = made.kube.cluster.api.find("Pod", pod, "default")
    assert found is not None
    owners = [{**found["metadata"]["ownerReferences"][0], "name": daemonset}]
    patch = {"metadata": {"ownerReferences": owners}}
    made.kube.cluster.api.patch("Pod", pod, patch, namespace="default")


def begin(made: Made) -> None:
    cluster = made.kube.cluster
    made.store.now = lambda: cluster.now
    for name in ("node-a", "node-b"):
        cluster.add_node(SimNode(name, "0.4.0"))
    drain = {"policy": "Always", "deadline": "5m"}
    budget = {"maxUnavailable": 2, "maxParallel": 2, "failureBudget": 2}
    cluster.apply_policy("cure", {"mode": "Enforce", "drain": drain, "rollout": budget})


async def test_a_name_that_the_api_server_refuses_holds_its_own_node_and_says_so(
    made: Made,
) -> None:
    made.kube.refuse = lambda verb, plural, name: (
        KubeError(422, "Invalid", f"{name!r} cannot be a name") if "/" in name else None
    )
    begin(made)
    made.kube.cluster.add_pod("node-a", "evil", owner="DaemonSet")
    owned_by(made, "evil", "a/b")
    for _ in range(20):
        await made.pass_()
    told = (
        "draining: nothing is evicted yet; default/evil: whether its DaemonSet a/b is there is not "
        "known: 'a/b' cannot be a name"
    )
    assert made.kube.cluster.status("node-a")["message"] == told
    assert made.kube.cluster.status("node-a")["operation"]["blockers"] == [told.partition("; ")[2]]
    for _ in range(3):
        # At one go it would be a gap, after which the drain has its time anew.
        made.kube.cluster.tick(100)
        await made.pass_()
    for _ in range(20):
        await made.pass_()
    assert made.kube.cluster.status("node-b")["phase"] == "Done"
    assert not made.kube.cluster.node("node-a")["spec"].get("unschedulable"), "the drain ended"
    assert "not drained in time: default/evil" in made.kube.cluster.status("node-a")["message"]


@pytest.mark.parametrize("status", [403, 500])
async def test_pods_that_cannot_be_listed_hold_their_own_node_and_say_so(
    made: Made, status: int
) -> None:
    made.kube.refuse = lambda verb, plural, name: (
        KubeError(status, "Refused", "not this node")
        if (plural, name) == ("pods", "node-a")
        else None
    )
    begin(made)
    for _ in range(60):
        await made.pass_()
    assert made.kube.cluster.status("node-b")["phase"] == "Done"
    told = "the node's pods are being listed; the last try was refused: not this node"
    assert told in made.kube.cluster.status("node-a")["message"]


async def test_nobody_asks_where_nothing_is_drained(made: Made) -> None:
    """And where a node is, those of its pods are asked for, and the one that is gone is named."""
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", None, "containerd://1.6.2"))
    cluster.add_node(SimNode("node-b", "0.4.0"))
    for node in ("node-a", "node-b"):
        cluster.add_pod(node, f"logs-{node}", owner="DaemonSet")
    cluster.apply_policy("cure", {"mode": "Enforce", "nodeSelector": {}})
    for _ in range(40):
        await made.pass_()
    assert cluster.status("node-b")["phase"] == "Done"
    assert ("get", "daemonsets", "x") not in made.kube.asked
    cluster.disks["node-b"].edit("0.4.0")
    cluster.apply_policy("cure", {"drain": {"policy": "Always"}})
    cluster.annotate("CNIUpgradePolicy", "cure", "cniupgrade.dev/retry", "1")
    for _ in range(40):
        await made.pass_()
    assert ("get", "daemonsets", "x") in made.kube.asked
    assert "logs-node-b is of a DaemonSet that is gone" in cluster.status("node-b")["message"]
