"""The switch that stops everything: heard at once, and held to by the API server itself."""

from __future__ import annotations

import time

import pytest
import yaml

from cni_upgrade.agent.protocol.operation import Kind, Operation, Paths
from cni_upgrade.api import names
from cni_upgrade.planner.node.manifests import agent_job
from cni_upgrade.planner.world.operator_config import parse
from tests.api.controllers import World, given_back
from tests.api.nodes import JOBS, Fleet
from tests.api.spaces import AGENTS
from tests.api.waiting import eventually

WHY = "the new plugins are wrong"
NODES = ("node-a", "node-b", "node-c")


def throw(world: World, why: str | None) -> float:
    """As docs/how-to/stop-and-pause.md says it; answers when."""
    word = f"{names.STOP}-" if why is None else f"{names.STOP}={why}"
    world.kubectl("annotate", "namespace", AGENTS, "--overwrite", word)
    return time.monotonic()


def test_it_stops_at_once_and_goes_on(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, *NODES)
    written: list[str] = []

    def hold(operation: Operation) -> bool:
        return operation.kind == "apply" and operation.node not in written

    fleet.hold = hold
    with world.controller() as it:
        world.policy(rollout={"maxUnavailable": 1, "maxParallel": 1})

        def at_work() -> str:
            """The node whose answer came first has the one place, once its agent runs there."""
            running = (n for n in NODES if "it runs" in world.status(n).get("message", ""))
            return next((n for n in running if world.status(n).get("reason") == "Apply"), "")

        first = eventually(at_work, "a node is at work")
        thrown = throw(world, WHY)
        said = world.await_reason("Stopped", "Stopped")
        assert time.monotonic() - thrown < 2, "it was to act within two seconds"
        assert WHY in said["message"]
        assert f"kubectl annotate namespace {AGENTS} {names.STOP}-" in said["message"]
        assert world.condition("Ready")["reason"] == "Stopped"
        # What was begun comes to its end, nothing else begins: no audit of a new node either.
        fleet.add(world.api, "node-d")
        written.append(first)
        eventually(lambda: world.status(first).get("phase") == "Done", "it is finished")
        eventually(lambda: world.status("node-d").get("reason") == "Stopped", "node-d waits")
        assert given_back(world)
        sent = list(fleet.agents)
        time.sleep(2)
        assert fleet.agents == sent
        page = it.get(it.metrics, "/metrics")[1]
        assert f'cni_upgrade_stopped{{namespace="{AGENTS}"}} 1.0' in page
        [line] = [x for x in page.splitlines() if x.startswith("cni_upgrade_stopped_since_")]
        assert abs(time.time() - float(line.split()[1])) < 30, "by the API server's clock"
        fleet.hold = lambda operation: False
        thrown = throw(world, None)
        world.await_reason("Enforced")
        assert world.condition("Stopped") == {}
        assert "everything is stopped: " + WHY in it.log
        page = it.get(it.metrics, "/metrics")[1]
        assert "\ncni_upgrade_stopped_since_" not in page


def test_one_that_is_thrown_is_seen_at_the_start(world: World, fleet: Fleet) -> None:
    throw(world, "")
    fleet.add(world.api, "node-a")
    with world.controller():
        world.policy()
        assert "no reason was given" in world.await_reason("Stopped", "Stopped")["message"]
        throw(world, "false")
        world.await_reason("Enforced")


DIGITS = "0123456789abcdef0123"


@pytest.mark.parametrize(
    ("name", "may"),
    [
        (f"audit-{DIGITS}", False),
        (f"apply-{DIGITS}", False),
        (f"audit-{DIGITS}-2", False),
        (f"apply-{DIGITS}x", False),
        ("anything", False),
        # An agent that was lost, whose journal may be half done, and what puts a backup back.
        (f"apply-{DIGITS}-2", True),
        (f"restore-{DIGITS}", True),
        (f"restore-{DIGITS}-3", True),
    ],
)
def test_the_api_server_itself_lets_nothing_begin(world: World, name: str, may: bool) -> None:
    config = parse(yaml.safe_load(world.config.read_text()))
    paths = Paths(("/etc/cni/net.d",), ("/opt/cni/bin",), "/var/lib/cni", config.state_dir)
    operation = Operation(
        f"audit-{DIGITS}", Kind.AUDIT, "node-a", "containerd://1.7.0", paths=paths
    )
    body = agent_job(name, operation, config.auto, config, cache=False)
    path = f"{JOBS}?dryRun=All"
    assert world.api.request("POST", path, body).ok, "while nothing is stopped"
    throw(world, WHY)

    # Its view of the namespace is a moment old.
    audit = {**body, "metadata": {**body["metadata"], "name": f"audit-{DIGITS}"}}
    eventually(lambda: not world.server.request("POST", path, audit).ok, "it has heard of it")
    answer = world.server.request("POST", path, body)
    assert answer.ok == may, answer.message
    if not may:
        assert f"everything is stopped: {WHY}" in answer.message
    throw(world, None)
    eventually(lambda: world.server.request("POST", path, body).ok, "it goes on")
