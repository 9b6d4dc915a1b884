"""Two that drain: the Lease that somebody else has on a node is waited for, then ours is taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.api.spaces import ACCOUNT, OPERATOR, SYSTEM
from tests.e2e.api import CORE, Object, wait
from tests.e2e.machine import Snapshot
from tests.e2e.world import ROOT, World

_SPACE = "medik8s-leases"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{_SPACE}/leases"
_CONFIG = f"{CORE}/namespaces/{SYSTEM}/configmaps/{OPERATOR}"


def _configure(world: World, config: str) -> None:
    """Change the operator's configuration; new pods have it at once."""
    world.api.patch(_CONFIG, {"data": {"config.yaml": config}})
    world.api.delete(f"{CORE}/namespaces/{SYSTEM}/pods")
    world.await_controller()


@pytest.fixture
def leasing(world: World) -> Iterator[World]:
    """The operator taking Leases, set up as docs/how-to/other-drainers.md says."""
    done = world.kubectl("apply", "-f", str(ROOT / "manifests/leases/medik8s.yaml"))
    assert done.returncode == 0, done.stderr
    shipped = (world.api.get(_CONFIG) or {})["data"]["config.yaml"]
    asked = shipped.replace("# leaseNamespace:", "leaseNamespace:")
    assert asked != shipped
    _configure(world, asked)
    try:
        yield world
    finally:
        world.api.delete(_LEASES)
        _configure(world, shipped)


def _lease(world: World) -> Object:
    """What the Lease on node-d says; empty where there is none."""
    found: Object = (world.api.get(f"{_LEASES}/node-node-d") or {}).get("spec") or {}
    return found


def test_a_lease_of_somebody_else_is_waited_for(leasing: World) -> None:
    world = leasing
    machine = world.machine("node-d")
    machine.write(machine.at_version("0.4.0"))
    before = Snapshot.of(machine)
    theirs = {
        "holderIdentity": "node-healthcheck",
        "leaseDurationSeconds": 3600,
        "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    body = {"metadata": {"name": "node-node-d"}, "spec": theirs}
    world.api.create(_LEASES, body)
    world.policy(nodes=["node-d"], mode="Enforce")
    status = world.await_phase("node-d", "Waiting", reason="LeaseHeld")
    assert f"node-healthcheck has the Lease {_SPACE}/node-node-d" in status["message"]
    assert _lease(world) == theirs, "it is theirs"
    assert not world.asked("patch", "nodes", "node-d", ACCOUNT), "it was not to be cordoned"
    assert Snapshot.of(machine) == before

    world.api.delete(f"{_LEASES}/node-node-d")
    wait(lambda: world.cordon("node-d")[1], "the node is cordoned by us")
    assert _lease(world)["holderIdentity"] == OPERATOR, "the next one was to wait for us"
    world.await_ready(reason="Enforced")
    assert machine.config.read_text() == machine.at_version("1.0.0")
    world.not_cordoned("node-d")
    wait(lambda: not _lease(world), "the Lease is given back")
