"""What must not make a node worse: a change that fails, an agent that dies, a file nobody reads."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from tests.api.spaces import ACCOUNT, AGENTS
from tests.e2e.api import CORE, POLICIES, STATES, condition, wait
from tests.e2e.machine import Snapshot
from tests.e2e.world import AGENT, JOBS, World

_PULLED = "the cable of this version is not plugged in"


def test_a_change_that_made_it_worse_is_taken_back(world: World) -> None:
    # Both plugins say that they speak the new version, and fail with it. Either node may be first.
    nodes = {"node-b": ("0.3.1", "0.4.0"), "node-d": ("0.4.0", "1.0.0")}
    for name, (found, to) in nodes.items():
        machine = world.machine(name)
        machine.write(machine.at_version(found))
        machine.stand_in("bridge", add_fails_at=to, message=_PULLED)
    before = {name: Snapshot.of(world.machine(name)) for name in nodes}
    world.policy(nodes=list(nodes), mode="Enforce", verify={"deadline": "12s"})

    stalled = world.await_condition("p", "Stalled", "True", "NodeFailed", 120)
    phases = {name: world.status(name)["phase"] for name in nodes}
    assert sorted(phases.values()) == ["RolledBack", "Waiting"], "one node is tried, not two"
    bad, other = sorted(nodes, key=lambda name: phases[name])
    status = world.await_phase(bad, "RolledBack", reason="WorseThanBefore")
    assert _PULLED in status["message"], "the message is to have the plugin's own words"
    kept = Snapshot.of(world.machine(bad))
    assert kept.entries[0][:2] == before[bad].entries[0][:2], "the old file was to come back"
    assert len(kept.entries) == 1, "nothing may be left beside it"
    kinds = [(entry["kind"], entry["outcome"]) for entry in status["history"]]
    assert kinds == [("apply", "Done"), ("restore", "Done")]
    assert bad in stalled["message"]
    assert [f["node"] for f in world.policy_status()["failures"]] == [bad]
    world.not_cordoned(*nodes)

    untouched = world.await_phase(other, "Waiting", reason="RolloutStopped")
    assert bad in untouched["message"], "the other node is to say what it waits for"
    assert Snapshot.of(world.machine(other)) == before[other]
    assert not world.asked("patch", "nodes", other, ACCOUNT), "it was not to be begun"

    for name in nodes:
        world.machine(name).mend_plugins()
    world.annotate(f"{POLICIES}/p", retry="mended")
    world.await_ready(reason="Enforced")
    for name, (_, to) in nodes.items():
        machine = world.machine(name)
        assert machine.config.read_text() == machine.at_version(to)
    world.not_cordoned(*nodes)


def test_what_shows_in_the_soak_is_taken_back(world: World) -> None:
    """The proof is good; then the node becomes worse, as by an add-on that notices late."""
    machine = world.machine("node-d")
    machine.write(machine.at_version("0.4.0"))
    world.policy(nodes=["node-d"], mode="Enforce", verify={"deadline": "8s", "soak": "4s"})
    soaks = world.await_step("node-d", "Soak")
    assert soaks["proof"]["add"], "a fresh pod had its network"
    assert world.cordon("node-d")[1], "it stays ours while it soaks"
    machine.stand_in("bridge", add_fails_at="1.0.0", message=_PULLED)
    status = world.await_phase("node-d", "RolledBack", reason="WorseThanBefore")
    assert _PULLED in status["message"]
    assert machine.config.read_text() == machine.at_version("0.4.0")
    world.not_cordoned("node-d")


def test_a_change_that_made_it_no_better_is_left_and_named(world: World) -> None:
    """As bad as before: what stood there is put back for nobody."""
    machine = world.machine("node-b")
    machine.stand_in("bridge", add_fails_at="0.4.0", message=_PULLED)
    world.policy(nodes=["node-b"], mode="Enforce", verify={"deadline": "12s"})
    stalled = world.await_condition("p", "Stalled", "True", "NodeFailed", 120)
    assert "node-b" in stalled["message"]
    status = world.await_phase("node-b", "Failed", reason="StillBroken")
    assert "nothing was restored for nothing" in status["message"]
    assert _PULLED in status["message"], "the message is to have the plugin's own words"
    assert status["baseline"]["add"] is False, "nor did it work before"
    assert [(e["kind"], e["outcome"]) for e in status["history"]] == [("apply", "Done")]
    assert machine.config.read_text() == machine.at_version("0.4.0")
    assert not world.asked("create", "jobs", "restore-")
    world.not_cordoned("node-b")


def test_an_agent_that_dies_is_sent_again(world: World) -> None:
    # A plugin that is slow to answer keeps the agents at work for as long as a blow takes.
    world.machine("node-d").write(world.machine("node-d").at_version("0.4.0"))
    ends = {"node-a": "1.0.0", "node-b": "0.4.0", "node-d": "1.0.0"}
    for name in ends:
        world.machine(name).stand_in("bridge", version_takes=4)
    old = {name: world.machine(name).config.read_text() for name in ends}
    with ExitStack() as watches:
        seen = {name: watches.enter_context(world.machine(name).watched()) for name in ends}
        world.policy(nodes=list(ends), mode="Enforce", rollout={"maxUnavailable": "100%"})
        jobs = {}
        for name in ends:
            operation = world.await_step(name, "Apply")
            wait(partial(world.machine(name).pids, AGENT), f"{name}: the agent runs")
            jobs[name] = operation["job"]
            if name == "node-a":
                assert world.machine(name).kill(AGENT)
            elif name == "node-b":
                world.api.delete(f"{JOBS}/{operation['job']}")
            else:
                path = f"{CORE}/namespaces/{AGENTS}/pods"
                selector = f"?labelSelector=job-name%3D{operation['job']}"
                world.api.request("DELETE", path + selector, {"gracePeriodSeconds": 0})
        # One that was told to end may have said so before it went: a person asks again at once.
        for name in ("node-b", "node-d"):
            status = world.await_phase(name, "Blocked", "Done")
            if status["phase"] == "Blocked":
                assert status["reason"] == "Stopped", status["message"]
                assert "nothing was touched" in status["message"]
                world.not_cordoned(name)
                world.annotate(f"{STATES}/{name}", retry="now")
        world.await_ready(reason="Enforced", seconds=45)
    for name, to in ends.items():
        machine = world.machine(name)
        new = machine.at_version(to)
        assert machine.config.read_text() == new
        assert seen[name] == {old[name], new}, f"{name}: the file was torn or gone for a while"
        assert [p.name for p in machine.configs.iterdir()] == [machine.config.name]
        assert not (machine.state / "journal.json").exists(), "the journal was to be finished"
        assert world.status(name)["phase"] == "Done"
    sent = [e["objectRef"]["name"] for e in world.asked("create", "jobs", jobs["node-a"])]
    again = [jobs["node-a"], f"{jobs['node-a']}-2"]
    assert sent == again, "the same operation was to be sent again, under another name"
    world.not_cordoned(*ends)


def test_a_config_that_cannot_be_read_blocks_its_node_alone(world: World) -> None:
    broken = world.machine("node-d")
    broken.write('{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": ')
    before = Snapshot.of(broken)
    # Its runtime loads nothing: the node is NotReady, and counts as one that is unavailable.
    nodes = ["node-a", "node-b", "node-d"]
    world.policy(nodes=nodes, mode="Enforce", rollout={"maxUnavailable": 2})
    world.await_condition("p", "Stalled", "True", "NodesBlocked", 120)
    status = world.status("node-d")
    assert status["phase"] == "Blocked"
    assert broken.config.name in status["message"], "the message is to name the file"
    assert [f["node"] for f in world.policy_status()["failures"]] == ["node-d"]
    assert Snapshot.of(broken) == before
    assert not world.asked("patch", "nodes", "node-d", ACCOUNT)
    assert {world.status(n)["phase"] for n in ("node-a", "node-b")} == {"Done"}

    # The file is mended by hand: a person asks for another look.
    broken.write(broken.healthy())
    world.annotate(f"{POLICIES}/p", retry="mended")
    assert condition({"status": world.policy_status()}, "Ready")["status"] == "False"
    world.await_ready(reason="Enforced")
