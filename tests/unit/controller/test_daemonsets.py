"""Whether the DaemonSets of a drained node's pods are there: asked once, said of each pod."""

from __future__ import annotations

from typing import Any

import pytest

from cni_upgrade.controller.daemonsets import AGAIN, DaemonSets
from cni_upgrade.fleet.objects import Pod
from cni_upgrade.kube.port import KubeError
from tests.unit.controller.kube_model import Made, Memory
from tests.unit.fleet.node_model import SimNode
from tests.unit.fleet.samples import pod


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


@pytest.mark.parametrize("status", [0, 403, 500])
async def test_no_answer_is_not_taken_for_one(status: int) -> None:
    kube = Memory()
    kube.refuse = lambda verb, plural, name: KubeError(status, "Refused", "not now")
    known = DaemonSets(kube)
    with pytest.raises(KubeError):
        await known.judged((of("logs"),), 0)
    kube.refuse = lambda verb, plural, name: None
    assert [p.orphaned for p in await known.judged((of("logs"),), 0)] == [True]


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
