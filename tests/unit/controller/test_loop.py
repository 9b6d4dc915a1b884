"""The loop: level-triggered, so whatever is lost, late or refused, it comes to the same end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.controller import loop as loops
from cni_upgrade.fleet.memory import Memory
from cni_upgrade.fleet.policy_status import COUNTED
from cni_upgrade.fleet.snapshot import Snapshot
from cni_upgrade.fleet.turn import Turn
from cni_upgrade.fleet.workloads import proof_pod
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.port import KubeError, Listed
from cni_upgrade.kube.resources import JOBS, NODES, Resource
from tests.unit.controller.kube_model import Made, silence
from tests.unit.controller.kube_model import Memory as Cluster
from tests.unit.fleet.cluster_model import AGENTS, CONFIG, LEASED, PROOF
from tests.unit.fleet.node_model import SimNode


@asynccontextmanager
async def running(made: Made) -> AsyncIterator[None]:
    task = asyncio.create_task(made.loop.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def becomes(true: Callable[[], object]) -> None:
    """Looks until it is so; the loop under test tells nobody."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until(made: Made, true: Callable[[], object]) -> None:
    """Passes, each on whole lists, until it is so."""
    for _ in range(60):
        await made.pass_()
        if true():
            return
    raise AssertionError(f"node-a is {made.kube.cluster.status('node-a')}")


def step_of(made: Made) -> str:
    """The step that the controller is at with node-a, recorded or not."""
    state = made.store.states.items.get("node-a")
    operation = state.status.operation if state else None
    return operation.step if operation else ""


async def at_step(made: Made, step: str) -> None:
    await until(made, lambda: step_of(made) == step)


async def test_a_rollout_by_lists_alone_and_silence_after_it(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", None))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    await until(made, lambda: cluster.status("node-a").get("phase") == "Done")
    for _ in range(3):
        await made.pass_()
    made.kube.asked.clear()
    for _ in range(5):
        await made.pass_()
    assert made.kube.writes() == []


async def test_a_proof_pod_that_went_unheard_is_no_reason_to_roll_back(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "0.4.0"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    await at_step(made, "ProveDelete")
    await made.loop.resync()
    assert made.store.proofs.items
    # The watch is down, as after a restart of the API server; the pod goes, and time passes.
    for _ in range(4):
        cluster.tick(600)
    assert not cluster.pods_on("node-a", PROOF)
    for _ in range(4):
        await made.loop.once()
    assert cluster.status("node-a")["phase"] == "Done"
    assert [entry["kind"] for entry in cluster.status("node-a")["history"]] == ["apply"]


async def test_a_proof_pod_in_time_is_heard_of_and_listed_now_and_then(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass listed all of them: a megabyte of 100 nodes at work, and passes come in a row."""
    cluster = made.kube.cluster
    monkeypatch.setattr(made.store, "now", lambda: cluster.now)
    cluster.add_node(SimNode("node-a", "0.4.0"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    await at_step(made, "ProveDelete")

    def lists() -> int:
        asked = made.kube.asked.count(("list", "pods", ""))
        made.kube.asked.clear()
        return asked

    lists()
    for _ in range(5):
        await made.loop.once()
    assert lists() == 0
    later = time.monotonic() + loops.PROOFS_AGAIN
    monkeypatch.setattr(time, "monotonic", lambda: later)
    for _ in range(5):
        await made.loop.once()
    assert lists() == 1, "a watch that has died meanwhile is not waited for"
    late = cluster.now + timedelta(hours=1)
    monkeypatch.setattr(made.store, "now", lambda: late)
    await made.loop.once()
    assert lists() == 1, "before it is held against the pod"


async def test_an_answer_that_went_unheard_is_read_when_its_job_has_ended(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "0.4.0"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    await at_step(made, "Apply")
    for _ in range(6):
        cluster.tick()
    # Of the two watches, that of the pods lags.
    await made.store.jobs.replace(made.kube.list(JOBS, AGENTS))
    for _ in range(3):
        await made.loop.once()
    assert len([j for j in cluster.api.all("Job") if j["metadata"]["name"][:5] == "apply"]) == 1
    assert step_of(made).startswith("Prove")


async def test_a_lease_on_a_node_of_which_nothing_but_our_cordon_is_left_is_looked_at(
    made: Made,
) -> None:
    """Nobody watches them, and whole lists come every five minutes: so long it stayed cordoned."""
    cluster = made.kube.cluster
    made.store.config, made.store.now = LEASED, lambda: cluster.now
    cluster.add_node(SimNode("node-a", "1.0.0"))
    ours = {"metadata": {"annotations": {names.CORDONED_BY: "apply-0"}}}
    cluster.api.patch("Node", "node-a", {**ours, "spec": {"unschedulable": True}})
    await made.loop.resync()
    # Taken after the last whole list: pods would come back under the hands of who drains there.
    cluster.take_lease("node-a", "maintenance", 600)
    await made.loop.once()
    assert cluster.node("node-a")["spec"].get("unschedulable")
    cluster.drop_lease("node-a", "maintenance")
    await made.loop.once()
    assert not cluster.node("node-a")["spec"].get("unschedulable")
    made.store.nodes.put(cluster.node("node-a"))
    made.kube.asked.clear()
    await made.loop.once()
    assert ("list", "leases", "") not in made.kube.asked, "nobody waits for one any more"


async def test_strangers_in_our_namespaces_are_not_seen(made: Made) -> None:
    for space in (AGENTS, PROOF):
        body = {"metadata": {"name": "stranger", "namespace": space}, "spec": {}, "status": {}}
        made.kube.cluster.api.create("Pod", body)
    await made.loop.resync()
    assert made.store.agents.items == {}
    assert made.store.proofs.items == {}


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


async def test_an_error_of_our_own_is_no_end_and_is_said(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ended over it would meet the same cluster again, and end again."""
    monkeypatch.setattr(loops, "BUSY_TICK", 0.01)
    made.kube.cluster.add_node(SimNode("node-a", "1.0.0"))
    made.kube.cluster.apply_policy("cure", {"mode": "Audit"})

    def mistaken(world: Snapshot, memory: Memory) -> tuple[Turn, ...]:
        raise ZeroDivisionError("no nodes")

    monkeypatch.setattr(loops, "plan", mistaken)
    async with running(made):
        await becomes(lambda: "ZeroDivisionError: no nodes" in made.loop.ready())
        assert made.loop.alive() == ""
        assert b"cni_upgrade_failed_passes_total 0.0" not in made.metrics.page()
        monkeypatch.undo()
        made.loop.wake()
        await becomes(lambda: not made.loop.ready())


async def test_a_list_that_expired_on_its_way_is_begun_anew(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "BUSY_TICK", 0.01)
    expired = [KubeError(410, "Expired", "too old resource version")]
    made.kube.refuse = lambda verb, plural, name: expired.pop() if expired else None
    async with running(made):
        await asyncio.wait_for(made.loop.listed.wait(), 20)


async def test_a_hung_loop_is_not_alive_and_an_old_view_is_not_ready(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made.pass_()
    assert (made.loop.alive(), made.loop.ready()) == ("", "")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + loops.STALE + 1)
    assert "has not moved" in made.loop.alive()
    assert "no pass was finished" in made.loop.ready()
    made.executor.progress = time.monotonic()
    assert made.loop.alive() == "", "a long pass that gets on is no hang"


async def test_own_writes_lead_on_without_any_news(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "LEAST_PAUSE", 0.0)
    made.kube.cluster.add_node(SimNode("node-a", "1.0.0"))
    made.kube.cluster.apply_policy("cure", {"mode": "Audit"})
    async with running(made):
        await becomes(lambda: list(made.kube.cluster.api.all("Job")))


async def test_a_deletion_that_went_unheard_is_tried_once(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "1.0.0"))
    cluster.apply_policy("cure", {"mode": "Audit"})
    await until(made, lambda: cluster.status("node-a").get("phase") == "Compatible")
    labels = {"cniupgrade.dev/component": "proof"}
    meta = {"name": "proof-old-0", "namespace": PROOF, "labels": labels}
    made.store.proofs.put(cluster.api.create("Pod", {"metadata": meta, "spec": {}}))
    cluster.api.remove("Pod", "proof-old-0", PROOF)
    made.kube.asked.clear()
    for _ in range(5):
        await made.loop.once()
    assert made.kube.writes() == [("delete", "pods", "proof-old-0")]


async def test_what_no_watch_has_told_is_seen_by_whole_lists_now_and_then(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch may be dead, and nobody notices: there is no news of a node, nor of its going."""
    monkeypatch.setattr(loops, "IDLE_TICK", 0.05)
    monkeypatch.setattr(loops, "RESYNC", 0.2)
    nodes = made.store.nodes
    async with running(made):
        await becomes(made.loop.listed.is_set)
        made.kube.cluster.add_node(SimNode("node-a", None))
        await becomes(lambda: "node-a" in nodes.items)
        made.kube.cluster.remove_node("node-a")
        await becomes(lambda: "node-a" not in nodes.items)


async def test_counts_that_were_put_off_are_looked_at_soon(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = made.store.now()
    monkeypatch.setattr(made.store, "now", lambda: now)
    assert made.loop.tick() == loops.IDLE_TICK
    made.store.told["cure"] = now
    assert made.loop.tick() == loops.BUSY_TICK
    now += 2 * COUNTED
    assert made.loop.tick() == loops.IDLE_TICK


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


async def test_what_passes_remember_does_not_outlive_whole_lists(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Memory | None] = []

    def noted(_world: Snapshot, memory: Memory | None = None) -> tuple[Turn, ...]:
        used.append(memory)
        return ()

    monkeypatch.setattr(loops, "plan", noted)
    await made.pass_()
    await made.loop.once()
    await made.pass_()
    first, second, healed = used
    assert first is second
    assert healed is not first


def test_a_large_fleet_is_planned_for_in_a_quarter_of_a_core_and_within_a_second() -> None:
    assert loops.pause(0.0) == 0.1
    for cost in (0.03, 0.05, 0.2):
        assert cost / (cost + loops.pause(cost)) <= 0.25 + 1e-9
    # Of a fleet that no pass is quick enough for: what happens is answered all the same.
    assert loops.pause(10.0) == 1.0


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
    cluster.api.objects, cluster.api.version = dict(backup[0]), backup[1]
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


@pytest.mark.parametrize("where", ["listing", "reading", "acting"])
async def test_what_was_seen_before_another_one_led_is_not_acted_on(
    made: Made, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that was frozen leads again: the other one may have given the node back."""
    cluster = made.kube.cluster
    monkeypatch.setattr(made.store, "now", lambda: cluster.now)
    cluster.add_node(SimNode("node-a", "0.4.0"), pods=3)
    cluster.apply_policy("cure", {"mode": "Enforce", "drain": {"policy": "Always"}})
    cluster.budgets = {f"web-node-a-{number}" for number in range(3)}
    await at_step(made, "Drain")
    cluster.budgets = set()
    first = {"listing": ("list", "nodes"), "reading": ("list", "pods"), "acting": ("evict", "pods")}
    asked: list[tuple[str, str]] = []

    def frozen(verb: str, plural: str, name: str) -> None:
        if not asked and (verb, plural) == first[where]:
            asked.append((verb, plural))
            made.kube.asked.clear()
            made.loop.elected()

    made.kube.refuse = frozen
    if where == "listing":
        await made.loop.resync()
        assert not made.loop.listed.is_set(), "what was listed before is too old"
    with contextlib.suppress(KubeError):
        await made.loop.once()
    assert asked
    assert made.kube.writes() == [], "nothing but what was on its way"
    await until(made, lambda: cluster.status("node-a").get("phase") == "Done")


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
    monkeypatch.setattr("cni_upgrade.controller.executor.time", fake)
    made.loop._beat = made.executor.progress = clock[0]
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


async def test_silence_over_one_of_many_reads_gives_the_pass_up_and_leaves_none_behind(
    made: Made,
) -> None:
    await draining(made, 3)
    made.kube.refuse = lambda verb, plural, name: silence() if name == "node-01" else None
    with pytest.raises(KubeError, match="no answer"):
        await made.loop.once()
    assert len(asyncio.all_tasks()) == 1
