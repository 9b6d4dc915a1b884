"""An API server that refuses, hangs, loses answers or was restored: it comes to the same end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest

from cni_upgrade.controller import reconcile_loop as loops
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.interface import KubeError, Listed, tried
from cni_upgrade.kube.resources import LEASES, NODES, Resource
from cni_upgrade.planner.node.manifests import proof_pod
from tests.unit.controller.kube_model import Made, silence
from tests.unit.controller.kube_model import Memory as Cluster
from tests.unit.controller.passes import becomes, running, until
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.node_model import SimNode


async def test_half_a_view_changes_nothing_but_says_so(made: Made) -> None:
    made.kube.cluster.add_node(SimNode("node-a", None))
    made.kube.cluster.apply_policy("cure", {"mode": "Enforce"})
    made.store.denied = ("list nodes",)
    refused = KubeError(403, "Forbidden", "no nodes for you")
    made.kube.refuse = lambda verb, plural, name: refused if plural == "nodes" else None
    await made.pass_()
    [policy] = made.kube.cluster.api.all("CNIUpgradePolicy")
    stalled = {c["type"]: c["message"] for c in policy["status"]["conditions"]}["Stalled"]
    assert "list nodes" in stalled
    assert {plural for _, plural, _ in made.kube.writes()} == {"cniupgradepolicies", "events"}
    assert not made.loop.listed.is_set(), "what is known is not to be planned on afterwards"


async def test_it_goes_on_when_the_api_server_is_back(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "BUSY_TICK", 0.01)
    made.kube.cluster.add_node(SimNode("node-a", "1.0.0"))
    made.kube.cluster.apply_policy("cure", {"mode": "Audit"})
    made.kube.refuse = lambda verb, plural, name: silence()
    async with running(made):
        await becomes(lambda: len(made.kube.asked) >= 3)
        assert made.loop.ready() == "the cluster has not been listed yet"
        assert made.loop.alive() == "", "a restart of ours brings no API server back"
        made.kube.refuse = lambda verb, plural, name: None
        made.loop.wake()
        await becomes(lambda: not made.loop.ready())
        # Another node of that name is heard of, and what that asks for cannot be written.
        await becomes(lambda: made.kube.cluster.status("node-a").get("operation"))
        made.kube.cluster.remove_node("node-a")
        made.kube.cluster.add_node(SimNode("node-a", "1.0.0"))
        await made.store.nodes.replace(made.kube.list(NODES))
        made.kube.refuse = lambda verb, plural, name: silence()
        made.loop.wake()
        await becomes(lambda: not made.loop.listed.is_set())
        made.kube.refuse = lambda verb, plural, name: None
        await asyncio.wait_for(made.loop.listed.wait(), 20)


async def test_a_list_that_expired_on_its_way_is_begun_anew(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "BUSY_TICK", 0.01)
    expired = [KubeError(410, "Expired", "too old resource version")]
    made.kube.refuse = lambda verb, plural, name: expired.pop() if expired else None
    async with running(made):
        await asyncio.wait_for(made.loop.listed.wait(), 20)


async def test_a_policy_tells_nothing_of_a_node_that_its_record_does_not(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "1.0.0"))
    cluster.apply_policy("cure", {"mode": "Audit"})
    refused = KubeError(500, "InternalError", "not now")

    def never(verb: str, plural: str, name: str) -> KubeError | None:
        return refused if (verb, plural) == ("patch", "cninodestates") else None

    made.kube.refuse = never

    def told() -> str:
        found = cluster.api.get("CNIUpgradePolicy", "cure").get("status") or {}
        return str(next((c for c in found.get("conditions") or () if c["type"] == "Ready"), {}))

    for _ in range(12):
        await made.pass_()
        assert "Audited" not in told()
    assert cluster.status("node-a").get("phase") != "Compatible"
    assert "Auditing" in told(), "a node that cannot be written to keeps no policy from its status"
    made.kube.refuse = lambda verb, plural, name: None
    await until(made, lambda: "Audited" in told())
    assert cluster.status("node-a")["phase"] == "Compatible"


async def test_a_webhook_that_denies_as_a_conflict_makes_no_storm_and_is_told_of(
    made: Made,
) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "0.4.0"))
    cluster.add_node(SimNode("node-b", "1.0.0"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    said = KubeError(409, "Conflict", "the webhook says no")
    made.store.now = lambda: cluster.now
    made.kube.refuse = lambda verb, plural, name: (
        said if (verb, plural) == ("patch", "nodes") else None
    )
    for _ in range(20):
        await made.pass_()
    tried = made.kube.asked.count(("patch", "nodes", "node-a"))
    assert tried == 3, "then it is left alone for some seconds"
    assert "the last try was refused: the webhook says no" in (
        made.store.states.items["node-a"].status.message
    )
    assert cluster.policy("cure")["status"]["nodes"]["byPhase"] == {"Applying": 1, "Compatible": 1}
    made.kube.asked.clear()
    made.loop._news.clear()
    await made.loop.once()
    assert made.kube.writes() == []
    assert not made.loop._news.is_set(), "it waits for the next tick"


async def test_a_cluster_that_was_restored_from_a_backup_is_believed(made: Made) -> None:
    """What the controller knew is newer by its version, and never happened there."""
    cluster = made.kube.cluster
    for name, version in (("node-a", None), ("node-b", "0.4.0")):
        cluster.add_node(SimNode(name, version))
    cluster.apply_policy("cure", {"mode": "Audit"})
    for _ in range(8):
        await made.pass_()
    backup = (dict(cluster.api.objects), cluster.api.version)
    cluster.apply_policy("cure", {"mode": "Enforce", "paused": True})
    cluster.apply_policy("other", {"mode": "Audit"})
    for number in range(30):
        cluster.annotate("Node", "node-a", "note", str(number))
        cluster.annotate("CNINodeState", "node-b", "note", str(number))
    await made.pass_()
    cluster.api.put_back(dict(backup[0]))
    cluster.api.version = backup[1]
    cluster.apply_policy("cure", {"mode": "Enforce"})
    await made.pass_()
    assert list(made.store.policies.items) == ["cure"]
    assert not made.store.policies.items["cure"].spec.paused
    for _ in range(60):
        await made.pass_()
    assert {name: cluster.status(name)["phase"] for name in cluster.disks} == {
        "node-a": "Done",
        "node-b": "Done",
    }
    assert made.store.errors == {}


async def test_what_may_not_be_deleted_keeps_nothing_else_and_is_told(made: Made) -> None:
    cluster = made.kube.cluster
    made.store.now = lambda: cluster.now
    for name in ("node-a", "node-b"):
        cluster.add_node(SimNode(name, "1.0.0"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    other = {"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "elsewhere"}}}
    cluster.apply_policy("other", {"mode": "Audit", **other})
    for _ in range(6):
        await made.pass_()
    names = [f"proof-old-{number}" for number in range(4)]
    for name in names:
        cluster.api.create("Pod", proof_pod(name, "x", "node-a", CONFIG) | {"status": {}})
    said = KubeError(403, "Forbidden", "the webhook says no")
    made.kube.refuse = lambda verb, plural, name: (
        said if (verb, name) == ("delete", names[0]) else None
    )

    def left() -> list[str]:
        there = [pod["metadata"]["name"] for pod in cluster.api.all("Pod")]
        return [name for name in names if name in there]

    def told(policy: str) -> list[str]:
        conditions = cluster.policy(policy)["status"]["conditions"]
        return [each["message"] for each in conditions if each["type"] == "LeftoversRefused"]

    for _ in range(8):
        await made.pass_()
    assert left() == names[:1]
    assert told("cure") == [
        "1 of what is left over could not be deleted, first proof-old-0: the webhook says no"
    ]
    assert told("other") == []
    made.kube.refuse = lambda verb, plural, name: None
    for _ in range(8):
        await made.pass_()
    assert left() == []
    assert told("cure") == []
    assert made.store.errors == {}


def lost(status: int, done: bool) -> KubeError | None:
    """What the executor hears of a status write whose answer was lost."""
    if status == 409:
        # It was done, answered with an error, sent again, and refused for its version.
        return KubeError(409, "Conflict", "the object has been modified") if done else None
    return KubeError(status, "", "no answer")


@pytest.mark.parametrize("status", [0, 409, 504])
@pytest.mark.parametrize("done", ["never", "always", "now and then"])
async def test_each_event_is_told_once_whatever_becomes_of_answers(
    made: Made, client: Client, status: int, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cured(made: Made) -> list[tuple[str, str]]:
        cluster = made.kube.cluster
        cluster.add_node(SimNode("node-a", "0.4.0"))
        cluster.apply_policy("cure", {"mode": "Enforce"})
        for _ in range(90):
            with contextlib.suppress(KubeError):
                await made.pass_()
            with contextlib.suppress(KubeError):
                await made.recorder.send()
        assert cluster.status("node-a")["phase"] == "Done"
        told = [
            (e["involvedObject"]["kind"], e["reason"])
            for e in cluster.api.all("Event")
            for _ in range(e["count"])
        ]
        return sorted(told)

    expected = await cured(Made(Cluster(), client))
    assert ("CNINodeState", "Done") in expected
    patch, number = made.kube.patch, itertools.count()

    async def patched(
        resource: Resource, namespace: str | None, name: str, body: Any, sub: str = ""
    ) -> Any:
        turn = next(number)
        fails = sub == "status" and turn % 2 == 0
        lands = done == "always" or (done == "now and then" and turn % 4 == 0)
        if not fails:
            return await patch(resource, namespace, name, body, sub)
        if lands:
            await patch(resource, namespace, name, body, sub)
        if (error := lost(status, lands)) is not None:
            raise error
        return await patch(resource, namespace, name, body, sub)

    monkeypatch.setattr(made.kube, "patch", patched)
    assert await cured(made) == expected


async def draining(made: Made, number: int) -> None:
    """So many nodes whose drain a budget holds up."""
    cluster = made.kube.cluster
    for each in range(number):
        cluster.add_node(SimNode(f"node-{each:02}", "0.4.0"))
        cluster.budgets.add(f"web-node-{each:02}-0")
    rollout = {"maxUnavailable": number, "maxParallel": number}
    cluster.apply_policy(
        "cure", {"mode": "Enforce", "drain": {"policy": "Always"}, "rollout": rollout}
    )

    def at_drain() -> int:
        operations = (state.status.operation for state in made.store.states.items.values())
        return sum(each is not None and each.step == "Drain" for each in operations)

    await until(made, lambda: at_drain() == number)


async def test_a_slow_api_server_is_no_stuck_loop_and_is_asked_side_by_side(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    await draining(made, 12)
    clock = [1000.0]
    fake = SimpleNamespace(monotonic=lambda: clock[0], thread_time=time.thread_time)
    monkeypatch.setattr(loops, "time", fake)
    tried.set(made.loop.moved)
    made.loop.moved()
    at_once = most = 0
    said = set()
    real = made.kube.list

    async def slow(resource: Resource, namespace: str | None = None, **query: str) -> Listed:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        clock[0] += 50
        said.add(made.loop.alive())
        return await real(resource, namespace, **query)

    monkeypatch.setattr(made.kube, "list", slow)
    await made.loop.resync()
    await made.loop.once()
    assert clock[0] > 1600
    assert said == {""}
    assert most == 10
    clock[0] += loops.STALE
    assert "has not moved" in made.loop.alive()


async def test_what_is_sent_again_is_no_hang_and_what_others_ask_no_sign_of_life(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(loops, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    said, hangs = set[str](), asyncio.Event()

    async def busy(*words: Any, **query: Any) -> Listed:
        for _ in range(6):
            clock[0] += 50
            said.add(made.loop.alive())
            tried.get()()
        hangs.set()
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(made.kube, "list", busy)
    made.loop.moved()
    async with running(made):
        await asyncio.wait_for(hangs.wait(), 20)
        assert said == {""}
        clock[0] += loops.STALE
        with pytest.raises(KubeError):
            # As who renews the lease does, every two seconds.
            await made.kube.get(LEASES, "system", "lease")
        assert "has not moved" in made.loop.alive()


async def test_silence_over_one_of_many_reads_gives_the_pass_up_and_leaves_none_behind(
    made: Made,
) -> None:
    await draining(made, 3)
    made.kube.refuse = lambda verb, plural, name: silence() if name == "node-01" else None
    with pytest.raises(KubeError, match="no answer"):
        await made.loop.once()
    assert len(asyncio.all_tasks()) == 1
