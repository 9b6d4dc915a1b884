"""Somebody else upgrades the runtime of real nodes that were made ready for it; or nobody does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cni_upgrade.api import names
from tests.cluster.node import default_specs
from tests.e2e.api import CORE, Object, wait
from tests.e2e.world import PODS, World

_NODE, _LEFT_ALONE = "node-a", "node-d"


@pytest.fixture
def upgradable(world: World) -> Iterator[World]:
    """The node is what it was once the test is over."""
    yield world
    world.cluster.reset_node(_NODE, spec=default_specs()[_NODE])


def announced(world: World, node: str) -> str:
    marks = world.node(node)["metadata"].get("annotations") or {}
    return str(marks.get(names.READY_FOR_UPGRADE, ""))


def reported(world: World, node: str) -> str:
    return str(world.node(node)["status"]["nodeInfo"]["containerRuntimeVersion"])


def test_from_1_6_2_without_a_version_to_2_4_2(upgradable: World) -> None:
    """A pod hangs in Terminating, another one runs; the config has no cniVersion."""
    world = upgradable
    world.run_pod("hangs", _NODE)
    world.run_pod("stays", _NODE)
    world.await_running("hangs")
    world.await_running("stays")
    world.delete_pod("hangs")
    world.await_warning("hangs", "the version is empty")
    target = {"runtime": {"name": "containerd", "version": "2.*"}}
    drain = {"force": True}  # a bare pod would not come back
    world.policy(nodes=[_NODE], mode="Enforce", target=target, drain=drain)
    patch = {"runtime": {"name": "containerd", "version": "2.4.3"}}
    upgrade = {"deadline": "5s"}
    world.policy("idle", nodes=[_LEFT_ALONE], mode="Enforce", target=patch, upgrade=upgrade)

    wait(lambda: announced(world, _NODE), f"{_NODE} is ready for its upgrade", 180)
    machine = world.machine(_NODE)
    assert machine.config.read_text() == machine.at_version("1.0.0")
    assert world.node(_NODE)["spec"]["unschedulable"]
    pods = world.api.items(f"{PODS}?fieldSelector=spec.nodeName%3D{_NODE}")
    assert [pod["metadata"]["name"] for pod in pods] == []
    assert reported(world, _NODE) == "containerd://1.6.2"

    world.cluster.change_runtime(_NODE, "containerd-2.4.2")
    status = world.await_phase(_NODE, "Done", seconds=180)
    assert reported(world, _NODE) == "containerd://2.4.2"
    assert not announced(world, _NODE)
    world.not_cordoned(_NODE)
    assert [entry["kind"] for entry in status["history"]] == ["apply", "upgrade"]
    assert status["history"][1]["from"].startswith("containerd://1.6.2, ")
    assert status["history"][1]["to"].startswith("containerd://2.4.2, ")
    assert status["observed"]["runtimeVersion"] == "containerd://2.4.2"
    assert world.await_ready(reason="Enforced")
    world.run_pod("fresh", _NODE)
    world.await_running("fresh")
    assert _events(world) >= {"Upgrading", "Done"}

    # Nobody came to the other one: it is as it was, and takes pods.
    left = world.await_phase(_LEFT_ALONE, "Blocked", reason="NobodyUpgraded")
    assert "nobody has begun the upgrade in time" in left["message"]
    assert not announced(world, _LEFT_ALONE)
    world.not_cordoned(_LEFT_ALONE)


def _events(world: World) -> set[str]:
    found: list[Object] = world.api.items(f"{CORE}/namespaces/default/events")
    return {each["reason"] for each in found if each["involvedObject"]["name"] == _NODE}
