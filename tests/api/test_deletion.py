"""A policy that is deleted, with the controller as a process against a real API server."""

from __future__ import annotations

import time

from cni_upgrade.api import names
from tests.api.controllers import POLICIES, World, given_back
from tests.api.nodes import Fleet, Object
from tests.api.spaces import AGENTS, pods
from tests.api.waiting import eventually


def _policy(world: World) -> Object | None:
    answer = world.api.request("GET", f"{POLICIES}/cure")
    return answer.body if answer.ok else None


def _versions(fleet: Fleet) -> set[str | None]:
    return {disk.version for disk in fleet.disks.values()}


def test_with_restore_it_stays_until_its_nodes_have_their_files_back(
    world: World, fleet: Fleet
) -> None:
    """Also if no controller runs when it is deleted: the next one finds it."""
    fleet.add(world.api, "node-a", "node-b", version="0.4.0")
    before = len(world.writes())
    with world.controller():
        world.policy(deletionPolicy="Restore")
        world.await_reason("Enforced")
        assert _versions(fleet) == {"1.0.0"}
        there = _policy(world)
        assert there is not None
        assert there["metadata"]["finalizers"] == [names.FINALIZER]
    world.api.request("DELETE", f"{POLICIES}/cure")
    there = _policy(world)
    assert there is not None, "the finalizer holds it"
    assert there["metadata"]["deletionTimestamp"]
    with world.controller():
        eventually(lambda: _policy(world) is None, "it goes")
        assert _versions(fleet) == {"0.4.0"}
        assert given_back(world)
        for node in fleet.disks:
            assert world.status(node)["changed"]["restored"] == "Restored"
    wrote = [w for w in world.writes()[before:] if w[:2] == ("patch", "cniupgradepolicies")]
    assert [code for *_, code in wrote] == [200, 200], "the finalizer on, the finalizer off"


def _running(world: World) -> list[str]:
    found = world.api.items(pods(AGENTS))
    return [pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Running"]


def test_with_restore_it_is_let_go_by_annotation(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a", version="0.4.0")
    with world.controller():
        world.policy(deletionPolicy="Restore")
        world.await_reason("Enforced")
        fleet.hold = lambda operation: operation.kind == "restore"
        world.api.request("DELETE", f"{POLICIES}/cure")
        world.await_reason("Restoring")

        def written() -> bool:
            operation = world.status("node-a").get("operation") or {}
            return bool(operation.get("step") == "GiveBack")

        eventually(written, "the agent is on its way")
        # One that has not started would be called off.
        eventually(lambda: _running(world), "the agent runs")
        time.sleep(1)  # until the controller has heard of it
        mark = {"metadata": {"annotations": {names.LET_GO: ""}}}
        world.api.patch(f"{POLICIES}/cure", mark)
        eventually(lambda: _policy(world) is None, "it is let go")
        fleet.hold = lambda operation: False
        # What was begun is ended, and the node is given back.
        eventually(lambda: not world.status("node-a").get("operation"), "the node is finished")
        eventually(lambda: given_back(world), "the node is given back")
        assert _versions(fleet) == {"0.4.0"}


def test_with_retain_nothing_holds_it(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a", version="0.4.0")
    with world.controller():
        world.policy()
        world.await_reason("Enforced")
        there = _policy(world)
        assert there is not None
        assert not there["metadata"].get("finalizers")
        world.api.request("DELETE", f"{POLICIES}/cure")
        assert _policy(world) is None
        eventually(lambda: world.status("node-a").get("reason") == "NoPolicy", "its node says so")
        assert _versions(fleet) == {"1.0.0"}
