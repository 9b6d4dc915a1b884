"""Each fault on a real node: seen first, found by an audit that writes nothing, then cured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cni_upgrade.planner.node.stuck_pods import LONG
from tests.api.spaces import ACCOUNT
from tests.e2e.api import Object, wait
from tests.e2e.machine import Snapshot
from tests.e2e.world import NODES, RESTING, World

_NO_VERSION = "the version is empty"
_WRONG_VERSION = "incompatible CNI versions"


@dataclass(frozen=True)
class Story:
    """What was seen on the way of all four nodes under one policy."""

    world: World
    shown: dict[str, str]
    """By pod: the event with which its fault showed itself before anything was done."""
    untouched: dict[str, tuple[Snapshot, Snapshot]]
    """By node: its disk before and after the audit."""
    writers_while_audited: list[Object]
    """Requests for Jobs that would have written."""
    audited: dict[str, Object]
    """By node: its state after the audit."""
    stuck_address: str
    """The address of the pod on node-a that could not be deleted."""
    leases_before: set[str]
    ended: dict[str, Object]
    """By node: its state at the end."""
    old_pods: dict[str, bool]
    """By pod from before the cure: whether it went (node-a) or ran (the others) by itself."""


@pytest.fixture(scope="module")
def story(installed: World) -> Story:
    """Break, audit, enforce: once, for the tests below each look at one node of it."""
    world = installed
    world.tidy()
    for node in NODES:
        world.run_pod(f"before-{node}", node)
    world.run_pod("stays-node-a", "node-a")
    stuck = world.await_running("before-node-a")
    world.await_running("stays-node-a")
    world.await_running("before-node-d")
    world.delete_pod("before-node-a")
    begun = time.monotonic()
    shown = {
        "before-node-a": world.await_warning("before-node-a", _NO_VERSION),
        "before-node-b": world.await_warning("before-node-b", _WRONG_VERSION),
        "before-node-c": world.await_warning("before-node-c", _NO_VERSION),
    }
    hangs = world.pod("before-node-a")
    assert hangs is not None, "the deleted pod of node-a was to hang in Terminating"
    assert "deletionTimestamp" in hangs["metadata"]
    leases = world.machine("node-a").leases()

    before = {name: Snapshot.of(world.machine(name)) for name in NODES}
    world.policy(mode="Audit")
    world.await_ready(reason="Audited")
    audited = {name: world.status(name) for name in NODES}
    after = {name: Snapshot.of(world.machine(name)) for name in NODES}
    writers = [
        job for kind in ("apply-", "restore-") for job in world.asked("create", "jobs", kind)
    ]

    # A pod that hangs since less than this is not called hung.
    time.sleep(max(0.0, begun + LONG.total_seconds() + 2 - time.monotonic()))
    world.change("p", mode="Enforce", rollout={"maxUnavailable": "100%"})
    # Not "is Ready": a node that ends badly must not hide what became of the others.
    wait(lambda: _at_rest(world), "every node rests", 180)
    ended = {name: world.status(name) for name in NODES}
    old_pods = {
        "before-node-a": _comes_true(lambda: world.pod("before-node-a") is None),
        "before-node-b": _comes_true(lambda: _runs(world, "before-node-b")),
        "before-node-c": _comes_true(lambda: _runs(world, "before-node-c")),
        "before-node-d": _runs(world, "before-node-d"),
    }
    return Story(
        world,
        shown,
        {name: (before[name], after[name]) for name in NODES},
        writers,
        audited,
        stuck["status"]["podIP"],
        leases,
        ended,
        old_pods,
    )


def _at_rest(world: World) -> bool:
    states = [world.status(name) for name in NODES]
    return all(s.get("phase") in RESTING - {"Waiting"} and not s.get("operation") for s in states)


def _runs(world: World, name: str) -> bool:
    pod = world.pod(name)
    return pod is not None and pod["status"]["phase"] == "Running"


def _comes_true(ask: Callable[[], bool]) -> bool:
    try:
        return wait(ask, "")
    except AssertionError:
        return False


def _cured(story: Story, node: str, found: str, to: str) -> None:
    """What holds on every cured node."""
    machine, status = story.world.machine(node), story.ended[node]
    assert (status["phase"], status["found"]) == ("Done", to), status["message"]
    assert machine.config.read_text() == machine.at_version(to), "one line was to change"
    original = story.untouched[node][0].entries[0][1]
    (entry,) = [e for e in status["history"] if e["kind"] == "apply"]
    backup = machine.state / "backups" / entry["backup"] / "files" / machine.config.name
    assert backup.read_bytes() == original, "the backup is to be the old file, byte for byte"
    assert (entry["from"], entry["to"], entry["outcome"]) == (found, to, "Done")
    assert f'+  "cniVersion": "{to}",' in entry["diff"]
    assert status["hung"] == {"before": [f"default/before-{node}"], "after": []}
    story.world.not_cordoned(node)
    assert story.world.asked("patch", "nodes", node, ACCOUNT), "the node was to be cordoned"


def _pod_comes_and_goes(world: World, node: str) -> None:
    name = f"after-{node}"
    world.run_pod(name, node)
    world.await_running(name)
    world.delete_pod(name)
    world.await_gone(name)


def test_an_audit_touches_nothing(story: Story) -> None:
    for node, (before, after) in story.untouched.items():
        assert after == before, f"{node}: an audit changed its files or made /var/lib/cni-upgrade"
    assert story.writers_while_audited == []


def test_a_missing_version_on_containerd(story: Story) -> None:
    found = story.audited["node-a"]
    assert (found["phase"], found["reason"], found["found"]) == (
        "Waiting",
        "WaitingForEnforce",
        "missing",
    )
    assert "F1" in [f["code"] for f in found["findings"]]
    assert (found["baseline"]["add"], found["baseline"]["del"]) == (True, False)
    assert "F1" in found["baseline"]["delWhy"]

    _cured(story, "node-a", "missing", "1.0.0")
    assert story.old_pods["before-node-a"], "the pod that hung was to go by itself"
    assert story.stuck_address in story.leases_before
    left = story.world.machine("node-a").leases()
    assert story.stuck_address not in left, "the address of the pod that hung was leaked"
    _pod_comes_and_goes(story.world, "node-a")
    story.world.delete_pod("stays-node-a")
    story.world.await_gone("stays-node-a")
    machine = story.world.machine("node-a")
    assert not machine.leases(), "every pod is gone, no address may be held"


def test_a_version_that_the_plugins_do_not_speak(story: Story) -> None:
    found = story.audited["node-b"]
    assert (found["phase"], found["found"], found["target"]) == ("Waiting", "1.0.0", "0.4.0")
    assert "F2" in [f["code"] for f in found["findings"]]
    assert (found["baseline"]["add"], found["baseline"]["del"]) == (False, False)

    _cured(story, "node-b", "1.0.0", "0.4.0")
    assert story.old_pods["before-node-b"], "the pod that was waiting was to run by itself"
    _pod_comes_and_goes(story.world, "node-b")


def test_a_missing_version_on_cri_o(story: Story) -> None:
    found = story.audited["node-c"]
    assert (found["phase"], found["found"]) == ("Waiting", "missing")
    assert "F1" in [f["code"] for f in found["findings"]]
    assert (found["baseline"]["add"], found["baseline"]["del"]) == (False, False)

    _cured(story, "node-c", "missing", "1.0.0")
    assert story.old_pods["before-node-c"], "the pod that was waiting was to run by itself"
    _pod_comes_and_goes(story.world, "node-c")
    status = story.ended["node-c"]
    (finding,) = [f for f in status["findings"] if f["code"] == "CachedDel"]
    assert "deletes with the config that it cached at ADD" in finding["message"]
    assert finding["message"] in status["message"], "a person reads the message first"


def test_a_healthy_node_is_left_alone(story: Story) -> None:
    assert story.audited["node-d"]["phase"] == "Compatible"
    status = story.ended["node-d"]
    assert status["phase"] == "Compatible", status["message"]
    assert Snapshot.of(story.world.machine("node-d")) == story.untouched["node-d"][0]
    assert not story.world.asked("patch", "nodes", "node-d", ACCOUNT), "never cordoned"
    assert story.old_pods["before-node-d"], "its pod was to run on"


def test_the_policy_counts_them(story: Story) -> None:
    status = story.world.policy_status()
    assert status["nodes"] == {"matched": 4, "byPhase": {"Compatible": 1, "Done": 3}}
    assert status["versions"] == {"0.4.0": 1, "1.0.0": 3}
    assert status["message"] == "4 nodes: 1 Compatible, 3 Done"
    assert status["summary"]["freed"] == 3
    assert not status.get("failures")
