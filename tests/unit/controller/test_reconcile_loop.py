"""The loop: level-triggered, so whatever is late or goes unheard, it comes to the same end."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

import pytest

from cni_upgrade.api import names
from cni_upgrade.controller import reconcile_loop as loops
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import JOBS
from cni_upgrade.planner.pass_cache import PassCache
from cni_upgrade.planner.status.policy_status import COUNTED
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.controller.kube_model import Made
from tests.unit.controller.passes import at_step, becomes, running, step_of, until
from tests.unit.planner.cluster_model import AGENTS, LEASED, PROOF
from tests.unit.planner.node_model import SimNode


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
    """Nobody watches them, and whole lists come every five to ten minutes: so long it stayed
    cordoned."""
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


async def test_an_error_of_our_own_is_no_end_and_is_said(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ended over it would meet the same cluster again, and end again."""
    monkeypatch.setattr(loops, "BUSY_TICK", 0.01)
    made.kube.cluster.add_node(SimNode("node-a", "1.0.0"))
    made.kube.cluster.apply_policy("cure", {"mode": "Audit"})

    def mistaken(world: Snapshot, memory: PassCache) -> tuple[Batch, ...]:
        raise ZeroDivisionError("no nodes")

    monkeypatch.setattr(loops, "plan", mistaken)
    async with running(made):
        await becomes(lambda: "ZeroDivisionError: no nodes" in made.loop.ready())
        assert made.loop.alive() == ""
        assert b"cni_upgrade_failed_passes_total 0.0" not in made.metrics.page()
        monkeypatch.undo()
        made.loop.wake()
        await becomes(lambda: not made.loop.ready())


async def test_a_hung_loop_is_not_alive_and_an_old_view_is_not_ready(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made.pass_()
    assert (made.loop.alive(), made.loop.ready()) == ("", "")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + loops.STALE + 1)
    assert "has not moved" in made.loop.alive()
    assert "no pass was finished" in made.loop.ready()
    made.loop.moved()
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


async def test_what_passes_remember_does_not_outlive_whole_lists(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[PassCache | None] = []

    def noted(_world: Snapshot, memory: PassCache | None = None) -> tuple[Batch, ...]:
        used.append(memory)
        return ()

    monkeypatch.setattr(loops, "plan", noted)
    await made.pass_()
    await made.loop.once()
    await made.pass_()
    first, second, healed = used
    assert first is second
    assert healed is not first


def test_whole_lists_take_a_fiftieth_of_the_time_at_most() -> None:
    assert loops.resync_after(0.0) == loops.resync_after(6.0) == 300.0
    assert loops.resync_after(10.0) == 500.0
    # Others' Leases are not watched, and an API server that is slow today may be quick again.
    assert loops.resync_after(600.0) == 600.0


def test_a_large_fleet_is_planned_for_in_a_quarter_of_a_core_and_within_a_second() -> None:
    # What has only just come may be the first of many.
    assert loops.pause(0.0, 0.0, 0.0) == loops.pause(0.001, 60.0, 0.0) == 0.05
    for cost in (0.03, 0.05, 0.2):
        for ago in (0.0, 0.1, 0.5):
            for heard in (0.0, ago):
                spent = cost + ago + loops.pause(cost, ago, heard)
                assert cost / spent <= 0.25 + 1e-9
    # What is written takes its time as well, and what comes meanwhile has waited for others.
    assert loops.pause(0.1, 0.15, 0.0) == pytest.approx(0.15)
    assert loops.pause(0.01, 0.2, 0.03) == pytest.approx(0.02)
    assert loops.pause(0.01, 0.2, 0.1) == 0.0
    # Of a fleet that no pass is quick enough for: what happens is answered all the same.
    assert loops.pause(10.0, 0.0, 0.0) == 1.0


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
