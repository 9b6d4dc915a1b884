"""Rollouts in which somebody else upgrades the runtime and the kubelet of nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cni_upgrade.api import names
from tests.unit.planner.node_model import SimNode
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import ENFORCE, message, of, old, phases, ready, reason, version

TARGET = {"runtime": {"name": "containerd", "version": "2.*"}, "kubelet": {"version": "1.35.*"}}
UPGRADE = {**ENFORCE, "target": TARGET}
NEW = {"runtime": "containerd://2.1.4", "kubelet": "v1.35.0"}


def well(name: str = "node-a") -> SimNode:
    """At the target of its config, and not yet under the runtime to reach."""
    return SimNode(name, "1.0.0", "containerd://1.7.0")


def announced(r: Rollout, node: str = "node-a") -> bool:
    """Whether the Node says that it is ready."""
    return names.READY_FOR_UPGRADE in (r.cluster.node(node)["metadata"].get("annotations") or {})


def takes_pods(r: Rollout, node: str = "node-a") -> bool:
    return not r.cluster.node(node)["spec"].get("unschedulable")


def made_ready(*nodes: SimNode, policy: Mapping[str, object] = UPGRADE) -> Rollout:
    """The first node is drained and says that it is ready."""
    r = of(*nodes)
    r.cluster.apply_policy("fleet", policy)
    r.until(lambda: announced(r, nodes[0].name))
    assert not takes_pods(r, nodes[0].name)
    return r


def upgrade(r: Rollout, node: str = "node-a", **versions: str) -> None:
    """Somebody does it: the node is silent for a while, and rebooted."""
    r.say(f"== somebody upgrades {node}")
    r.cluster.set_ready(node, "Unknown")
    for _ in range(5):
        r.step()
    r.cluster.reboot(node, "boot-2")
    r.cluster.upgrade(node, **(versions or NEW))
    r.cluster.set_ready(node, "True")


def upgraded_by_somebody_else() -> Rollout:
    """Cured, drained, announced, upgraded by another program, audited, proved, given back."""
    r = made_ready(old("node-a"), well("node-b"))
    assert version(r, "node-a") == "1.0.0"
    assert phases(r)["node-b"] == "Waiting"
    upgrade(r)
    r.until(lambda: announced(r, "node-b"))
    assert not announced(r)
    assert takes_pods(r)
    upgrade(r, "node-b")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    assert ready(r, "fleet") == "Enforced"
    kinds = [entry["kind"] for entry in r.cluster.status("node-a")["history"]]
    assert kinds == ["apply", "upgrade"]
    [*_, last] = r.cluster.status("node-a")["history"]
    assert (last["from"], last["to"]) == (
        "containerd://1.7.0, v1.34.4",
        "containerd://2.1.4, v1.35.0",
    )
    return r


def nobody_upgrades() -> Rollout:
    """The node is given back at the deadline, and made ready again after a pause."""
    r = made_ready(well())
    r.until(lambda: takes_pods(r))
    assert not announced(r)
    r.until(lambda: phases(r) == {"node-a": "Blocked"})
    assert reason(r, "node-a") == "NobodyUpgraded"
    r.until(lambda: announced(r))
    upgrade(r)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def upgraded_to_another_version() -> Rollout:
    """Both versions are told, and the cordon stays until the right one is there."""
    r = made_ready(well(), well("node-b"))
    upgrade(r, runtime="containerd://1.7.9", kubelet="v1.35.0")
    r.until(lambda: reason(r, "node-a") == "UpgradeOverdue")
    assert "containerd://1.7.9 -> containerd://2.*" in message(r, "node-a")
    assert (takes_pods(r), phases(r)["node-b"]) == (False, "Waiting")
    for _ in range(20):
        r.step()
    assert ready(r, "fleet") == "NodeFailed"
    upgrade(r)
    r.until(lambda: announced(r, "node-b"))
    assert phases(r)["node-a"] == "Done"
    return r


def given_back_in_an_upgrade() -> Rollout:
    """A person has the half upgraded node back as it is, and it is looked at again."""
    r = made_ready(well())
    upgrade(r, runtime="containerd://1.7.9")
    r.until(lambda: reason(r, "node-a") == "UpgradeOverdue")
    r.say("== a person asks for another try")
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.until(lambda: takes_pods(r))
    r.until(lambda: announced(r))
    upgrade(r)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def paused_while_a_node_is_ready() -> Rollout:
    """Nobody has begun, so the node is given back, and goes on when resumed."""
    r = made_ready(well())
    r.say("== paused by annotation")
    r.cluster.annotate("CNIUpgradePolicy", "fleet", names.PAUSED, "true")
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Waiting"}, "Paused")
    assert takes_pods(r)
    assert not announced(r)
    r.say("== resumed")
    r.cluster.annotate("CNIUpgradePolicy", "fleet", names.PAUSED, None)
    r.until(lambda: announced(r))
    return r


def paused_in_an_upgrade() -> Rollout:
    """It has begun, so it is brought to its end."""
    r = made_ready(well(), well("node-b"))
    r.say("== node-a is rebooted, and paused by annotation")
    r.cluster.reboot("node-a", "boot-2")
    r.cluster.annotate("CNIUpgradePolicy", "fleet", names.PAUSED, "true")
    for _ in range(20):
        r.step()
    assert phases(r)["node-a"] == "Upgrading"
    assert "it was rebooted" in message(r, "node-a")
    upgrade(r)
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Waiting"}
    return r


def begun_as_it_was_taken_back() -> Rollout:
    """Whoever had read the announcement begins within the grace: the cordon stays for it."""
    r = made_ready(well())
    r.say("== paused by annotation")
    r.cluster.annotate("CNIUpgradePolicy", "fleet", names.PAUSED, "true")
    r.until(lambda: r.step_of("node-a") == "Withdraw" and not announced(r))
    assert not takes_pods(r)
    upgrade(r)
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def not_ready_for_the_runtime() -> Rollout:
    """Pods would fail under the runtime to reach: the node is not touched."""
    node = well()
    node.not_ready = "containerd 2.0.0 to 2.0: plugin portmap does not take it"
    r = of(node)
    r.cluster.apply_policy("fleet", UPGRADE)
    r.until(lambda: reason(r, "node-a") == "NotReadyForRuntime")
    assert "portmap" in message(r, "node-a")
    assert takes_pods(r)
    r.say("== the plugin is mended")
    node.not_ready = ""
    r.until(lambda: announced(r))
    return r


def replaced_in_its_upgrade() -> Rollout:
    """Another machine of the same name comes with the versions: nothing is to be done there."""
    r = made_ready(well())
    r.say("== node-a is replaced")
    r.cluster.remove_node("node-a")
    r.step()
    r.cluster.add_node(SimNode("node-a", "1.0.0", "containerd://2.1.4"))
    r.cluster.upgrade("node-a", kubelet="v1.35.0")
    r.settle()
    assert phases(r) == {"node-a": "Compatible"}
    assert takes_pods(r)
    return r


def upgraded_and_broken() -> Rollout:
    """No pod gets its network under the new runtime: the cordon stays until a person has mended it
    and asks for another look."""
    r = made_ready(well(), well("node-b"))
    r.cluster.disks["node-a"].surprise["1.0.0"] = (False, True)
    upgrade(r)
    r.until(lambda: reason(r, "node-a") == "NotWellAfterUpgrade")
    for _ in range(20):
        r.step()
    assert (takes_pods(r), phases(r)["node-b"]) == (False, "Waiting")
    assert ready(r, "fleet") == "NodeFailed"
    r.say("== a person mends node-a and asks for another look")
    r.cluster.disks["node-a"].surprise.clear()
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.until(lambda: announced(r, "node-b"))
    assert phases(r)["node-a"] == "Done"
    return r


def upgraded_and_raised() -> Rollout:
    """The new runtime takes a higher version: it is written before the node is given back."""
    r = made_ready(well(), policy={**ENFORCE, "target": {**TARGET, "cni": {"version": "1.1.0"}}})
    r.cluster.disks["node-a"].most = "1.1.0"
    upgrade(r)
    r.until(lambda: takes_pods(r))
    assert version(r, "node-a") == "1.1.0"
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


def deleted_while_a_node_is_ready() -> Rollout:
    """The policy goes, and nobody has begun: the node is given back."""
    r = made_ready(well())
    r.say("== the policy is deleted")
    r.cluster.api.delete("CNIUpgradePolicy", "fleet")
    r.until(lambda: reason(r, "node-a") == "NoPolicy")
    assert takes_pods(r)
    assert not announced(r)
    return r


def deleted_in_an_upgrade() -> Rollout:
    """The policy goes in the midst of it: once the node is Ready, pods prove it."""
    r = made_ready(well())
    r.cluster.set_ready("node-a", "Unknown")
    r.step()
    r.say("== the policy is deleted")
    r.cluster.api.delete("CNIUpgradePolicy", "fleet")
    for _ in range(5):
        r.step()
    assert not takes_pods(r)
    upgrade(r)
    r.until(lambda: reason(r, "node-a") == "NoPolicy")
    assert takes_pods(r)
    return r


def taken_from_its_upgrade() -> Rollout:
    """A person takes cordon and mark off: they have the node, and it is not said to be ready."""
    r = made_ready(well())
    r.say("== cordon and mark are taken off")
    marks = {"metadata": {"annotations": {names.CORDONED_BY: None}}}
    r.cluster.api.patch("Node", "node-a", {**marks, "spec": {"unschedulable": None}}, manager="k")
    r.until(lambda: reason(r, "node-a") == "CordonTaken")
    r.step()
    assert takes_pods(r)
    assert not announced(r)
    return r


def retried_before_it_was_overdue() -> Rollout:
    """A retry that was meant for others, and set before, gives no half upgraded node back."""
    r = made_ready(well())
    upgrade(r, runtime="containerd://1.7.9")
    r.say("== the policy is retried")
    r.cluster.annotate("CNIUpgradePolicy", "fleet", names.RETRY, "1")
    r.until(lambda: reason(r, "node-a") == "UpgradeOverdue")
    r.play(600)
    assert (takes_pods(r), reason(r, "node-a")) == (False, "UpgradeOverdue")
    return r


def clock_set_back_in_an_upgrade() -> Rollout:
    """No node is kept ready longer than it may."""
    r = made_ready(well())
    r.say("== the clock is set back by five hours")
    r.set_clock(-5)
    start = r.cluster.now
    r.until(lambda: takes_pods(r))
    assert (r.cluster.now - start).total_seconds() < 2 * 3600
    return r


def newer_than_its_target() -> Rollout:
    """Nothing is ever brought back: a person raises the target."""
    r = of(SimNode("node-a", "1.0.0", "containerd://3.0.0"))
    r.cluster.upgrade("node-a", kubelet="v1.35.1")
    r.cluster.apply_policy("fleet", UPGRADE)
    r.until(lambda: reason(r, "node-a") == "AboveTarget")
    assert takes_pods(r)
    return r


def controller_away_in_an_upgrade() -> Rollout:
    """Another controller goes on where the first one stopped."""
    r = made_ready(well())
    r.restart()
    upgrade(r)
    r.restart()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    return r


UPGRADES: tuple[Callable[[], Rollout], ...] = (
    upgraded_by_somebody_else,
    nobody_upgrades,
    upgraded_to_another_version,
    given_back_in_an_upgrade,
    paused_while_a_node_is_ready,
    paused_in_an_upgrade,
    begun_as_it_was_taken_back,
    not_ready_for_the_runtime,
    replaced_in_its_upgrade,
    upgraded_and_broken,
    upgraded_and_raised,
    deleted_while_a_node_is_ready,
    deleted_in_an_upgrade,
    taken_from_its_upgrade,
    retried_before_it_was_overdue,
    clock_set_back_in_an_upgrade,
    newer_than_its_target,
    controller_away_in_an_upgrade,
)
