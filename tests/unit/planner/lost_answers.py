"""Rollouts in which an agent's answer is lost, or is one to another question than was asked.

Each says what must come of it; their transcripts stand in `golden/`, one file each.
"""

from __future__ import annotations

from collections.abc import Callable

from cni_upgrade.api import names
from tests.unit.planner.cluster_model import AGENTS, PROOF
from tests.unit.planner.course_rules import Logbook
from tests.unit.planner.invariants import Ledger
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import ENFORCE, healthy, of, old, phases, reason, version


def _answered(r: Rollout, node: str) -> bool:
    """Whether an agent of the node has answered just now."""
    return any(
        "terminated" in container.get("state", {})
        for pod in r.cluster.pods_on(node, AGENTS)
        if pod["status"]["phase"] == "Running"
        for container in pod["status"].get("containerStatuses", ())
    )


def look_of_before_a_power_cut() -> Rollout:
    """The agent had looked, and the file is an older one when the node is back: looked at anew."""
    r = of(healthy("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: any("CreateJob audit" in line for line in r.lines))
    r.dead = True
    r.until(lambda: _answered(r, "node-a"))
    r.say("== power cut: the last write was not on the disk, the controller is away for minutes")
    r.cluster.disks["node-a"].edit("0.4.0")
    r.cluster.reboot("node-a", "boot-2")
    r.play(300)
    r.dead = False
    r.restart()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert version(r, "node-a") == "1.0.0"
    return r


def retry_while_a_look_is_under_way() -> Rollout:
    """A person mends the source and asks again, when the agent has just seen what was before."""
    r = of(old("node-a", managed_by="flannel: ConfigMap kube-flannel-cfg"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert phases(r) == {"node-a": "ManagedElsewhere"}
    r.say("== rebooted")
    r.cluster.reboot("node-a", "boot-2")
    r.until(lambda: r.phase("node-a") == "Auditing")
    while not _answered(r, "node-a"):
        r.cluster.tick()
    r.say("== mended at its source, and annotated")
    r.cluster.disks["node-a"].edit("1.0.0")
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.play(60)
    assert phases(r) == {"node-a": "Compatible"}
    return r


def record_wiped_and_the_same_bytes_again() -> Rollout:
    """The record counts from one again and orders the same once more: it is written once more."""
    r = of(old("node-a"))
    disk = r.cluster.disks["node-a"]
    disk.put_back("0.4.0")
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.say("== a writer puts its file back, and somebody wipes the status of the record")
    disk.put_back("0.4.0")
    # As the API server leaves it, of a status that is null: the CRD has a default.
    wiped = {**dict.fromkeys(r.cluster.status("node-a")), "observedGeneration": -1}
    r.cluster.api.patch("CNINodeState", "node-a", {"status": wiped}, sub="status")
    r.restart()
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert version(r, "node-a") == "1.0.0"
    assert len(disk.writes) == 2
    return r


def etcd_of_before_a_rollback() -> Rollout:
    """Nothing is known of the change that was made and undone: it is made again, and undone."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    disk = r.cluster.disks["node-a"]
    r.cluster.apply_policy("cure", {**ENFORCE, "paused": True})
    r.settle()
    kept, edits = dict(r.cluster.api.objects), disk.edits
    r.say("== goes on")
    r.cluster.apply_policy("cure", {**ENFORCE, "paused": False})
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    r.say("== etcd is restored as it was before, and goes on")
    disk.edits = edits  # What was put back is byte for byte what stood there.
    r.cluster.api.put_back(kept)
    r.ledger, r.logbook = Ledger(), Logbook()
    r.restart()
    r.cluster.apply_policy("cure", {**ENFORCE, "paused": False})
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    assert (version(r, "node-a"), r.cluster.status("node-a")["found"]) == ("0.4.0", "0.4.0")
    assert len(disk.writes) == 4
    return r


def cordoned_anew_while_its_job_is_refused() -> Rollout:
    """Nothing is written under somebody else's cordon: looked at, and waited until they undo it."""
    r = of(old("node-a"), old("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.cluster.jobs_refused = "exceeded quota: jobs"
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.play(10)
    r.say("== uncordoned, and cordoned by somebody else; then Jobs are let in")
    r.cluster.uncordon("node-a")
    r.cluster.cordon("node-a")
    r.play(10)
    r.cluster.jobs_refused = ""
    r.play(120)
    assert (phases(r)["node-a"], reason(r, "node-a")) == ("Waiting", "CordonedByOther")
    assert not r.cluster.disks["node-a"].writes
    r.say("== they undo it")
    r.cluster.uncordon("node-a")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-b": "Done"}
    return r


def another_target_before_the_agent_begins() -> Rollout:
    """What nobody wants any more is not written, though its Job is there: it is taken back."""
    r = of(old("node-a", most="1.1.0"))
    r.cluster.disks["node-a"].faults = ["none", "pull"]
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": {"version": "1.1.0"}}})
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.play(15)
    r.say("== target: 1.0.0; then the image is there")
    r.cluster.apply_policy("cure", {**ENFORCE, "target": {"cni": {"version": "1.0.0"}}})
    r.play(60)
    r.cluster.pull("node-a")
    r.settle()
    assert phases(r) == {"node-a": "Done"}
    assert r.cluster.disks["node-a"].writes == ["0.4.0 -> 1.0.0 by apply"]
    return r


def unproved_and_the_policy_made_anew() -> Rollout:
    """The new policy knows nothing of the change, its node does: proved before another begins."""
    r = of(old("node-a", surprise={"1.0.0": (False, False)}), old("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    for pod in r.cluster.pods_on("node-a", PROOF):
        r.cluster.api.remove("Pod", pod["metadata"]["name"], PROOF)
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: reason(r, "node-a") == "ProofInconclusive")
    r.play(20)
    r.say("== the policy is deleted and applied again, and the quota raised")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.play(30)
    r.cluster.apply_policy("cure", ENFORCE)
    r.cluster.quota = ""
    r.settle()
    assert phases(r) == {"node-a": "RolledBack", "node-b": "Waiting"}
    assert (version(r, "node-a"), version(r, "node-b")) == ("0.4.0", "0.4.0")
    return r


RAISED = {**ENFORCE, "target": {"cni": {"version": "1.1.0"}}}


def _lose_agents(r: Rollout) -> None:
    """`kubectl delete jobs --all`, and what was said is gone with the pods."""
    for kind in ("Job", "Pod"):
        for each in list(r.cluster.api.all(kind)):
            if each["metadata"]["namespace"] == AGENTS:
                r.cluster.api.remove(kind, each["metadata"]["name"], AGENTS)


def _stopped_after_the_write(r: Rollout) -> None:
    """Node-a is written while the controller is away; then all is stopped and the Jobs deleted."""
    r.until(lambda: r.step_of("node-a") == "Apply")
    before = len(r.cluster.disks["node-a"].writes)
    r.dead = True
    r.until(lambda: len(r.cluster.disks["node-a"].writes) > before)
    r.say("== written; everything is stopped, and the Jobs are deleted")
    r.cluster.stopped = "panic"
    _lose_agents(r)
    r.dead = False
    r.restart()
    r.play(30)
    assert phases(r)["node-a"] == "Pending"
    r.say("== goes on")
    r.cluster.stopped = ""
    r.settle()


def first_answer_lost_as_all_is_stopped() -> Rollout:
    """Nobody has said that it is written: looked at, proved before another begins, put back."""
    r = of(old("node-a", surprise={"1.0.0": (False, False)}), old("node-b"))
    r.cluster.apply_policy("cure", ENFORCE)
    _stopped_after_the_write(r)
    assert phases(r) == {"node-a": "RolledBack", "node-b": "Waiting"}
    assert (version(r, "node-a"), version(r, "node-b")) == ("0.4.0", "0.4.0")
    return r


def _raised() -> Rollout:
    """Two nodes are done, and the target is raised to one at which node-a breaks."""
    r = of(old("node-a", most="1.1.0"), old("node-b", most="1.1.0"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.say("== target: 1.1.0")
    r.cluster.disks["node-a"].surprise = {"1.1.0": (False, False)}
    r.cluster.apply_policy("cure", RAISED)
    return r


def second_answer_lost_as_all_is_stopped() -> Rollout:
    """That the node was done before says nothing: put back to what the first change has proved."""
    r = _raised()
    _stopped_after_the_write(r)
    assert phases(r) == {"node-a": "RolledBack", "node-b": "Waiting"}
    assert (version(r, "node-a"), version(r, "node-b")) == ("1.0.0", "1.0.0")
    return r


def written_as_its_agent_was_taken_back() -> Rollout:
    """It came up in that moment and is gone without a word: the next look finds what it wrote."""
    r = of(old("node-a", most="1.1.0"))
    disk = r.cluster.disks["node-a"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.say("== target: 1.1.0; the image is not there")
    disk.surprise, disk.faults = {"1.1.0": (False, False)}, ["none", "pull"]
    r.cluster.apply_policy("cure", RAISED)
    r.crash_on = "DeleteJob"
    r.until(lambda: r.dead)
    r.say("== the controller is away, the image comes in, and the Job goes once it is written")
    r.cluster.pull("node-a")
    r.until(lambda: len(disk.writes) == 2)
    _lose_agents(r)
    r.dead = False
    r.restart()
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    assert version(r, "node-a") == "1.0.0"
    return r


def _written_as_it_was_taken_back(r: Rollout) -> None:
    """The first change of node-a: the controller dies as it takes the agent back, which writes."""
    disk = r.cluster.disks["node-a"]
    r.until(lambda: r.dead)
    r.say("== the controller is away, the image comes in, and the Job goes once it is written")
    r.cluster.pull("node-a")
    r.until(lambda: len(disk.writes) == 1)
    _lose_agents(r)
    r.dead = False
    r.restart()


def _breaks_without_its_image() -> Rollout:
    """Node-a breaks at each target, and the image of the agent that is to write is not there."""
    r = of(old("node-a", most="1.1.0"))
    disk = r.cluster.disks["node-a"]
    disk.surprise = {"1.0.0": (False, False), "1.1.0": (False, False)}
    disk.faults = ["none", "pull"]
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.play(15)
    r.crash_on = "DeleteJob"
    return r


def first_written_as_its_agent_was_taken_back() -> Rollout:
    """As above, where nothing was changed before: it is put back to what worked until then."""
    r = _breaks_without_its_image()
    _written_as_it_was_taken_back(r)
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    assert version(r, "node-a") == "0.4.0"
    return r


def first_written_as_another_target_took_it_back() -> Rollout:
    """What the second change is judged by, and goes back to, is what worked before both."""
    r = _breaks_without_its_image()
    r.say("== target: 1.1.0")
    r.cluster.apply_policy("cure", RAISED)
    _written_as_it_was_taken_back(r)
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    assert version(r, "node-a") == "0.4.0"
    return r


def first_written_as_a_pause_took_it_back() -> Rollout:
    """Looked at anew: nothing is tried by what was seen before it."""
    r = _breaks_without_its_image()
    r.say("== paused by annotation")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    _written_as_it_was_taken_back(r)
    r.play(60)
    r.say("== resumed")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    assert version(r, "node-a") == "0.4.0"
    return r


def first_written_as_its_policy_is_deleted() -> Rollout:
    """It is to give back what it has changed: no record says what that is, so it is looked at."""
    r = _breaks_without_its_image()
    r.cluster.apply_policy("cure", {"deletionPolicy": "Restore"})
    r.play(5)
    r.say("== deleted")
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    _written_as_it_was_taken_back(r)
    r.play(300)
    assert r.cluster.api.find("CNIUpgradePolicy", "cure") is None
    assert version(r, "node-a") == "0.4.0"
    return r


def agents_lost_after_a_second_write() -> Rollout:
    """A person asks again: what the lost agents wrote is proved, and put back."""
    r = of(old("node-a", most="1.1.0"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.say("== target: 1.1.0; agents are killed as they have written")
    disk = r.cluster.disks["node-a"]
    disk.surprise, disk.faults = {"1.1.0": (False, False)}, ["none", *["killed-after-write"] * 3]
    r.cluster.apply_policy("cure", RAISED)
    r.until(lambda: r.phase("node-a") == "Failed")
    assert reason(r, "node-a") == "AgentLost"
    r.say("== a person asks again")
    r.cluster.annotate("CNINodeState", "node-a", names.RETRY, "1")
    r.settle()
    assert phases(r) == {"node-a": "RolledBack"}
    assert version(r, "node-a") == "1.0.0"
    return r


def called_off_where_the_node_was_done() -> Rollout:
    """The files stand as the change before left them: nothing is to be proved, nobody waits."""
    r = of(*(old(name, most="1.1.0") for name in ("node-a", "node-b", "node-c")))
    two = {"rollout": {"maxUnavailable": 2}}
    r.cluster.apply_policy("cure", {**ENFORCE, **two})
    r.settle()
    r.say("== target: 1.1.0; no Job is let in")
    r.cluster.apply_policy("cure", {**RAISED, **two})
    r.until(lambda: r.step_of("node-a") == "Baseline")
    r.cluster.jobs_refused = "exceeded quota: jobs"
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.play(5)
    r.say("== paused, Jobs are let in; somebody cordons node-a, and it goes on")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    r.play(30)
    r.cluster.jobs_refused = ""
    r.play(30)
    assert "lastChange" not in r.cluster.status("node-a")
    r.cluster.cordon("node-a")
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, None)
    r.settle()
    assert phases(r) == {"node-a": "Waiting", "node-b": "Done", "node-c": "Done"}
    assert reason(r, "node-a") == "CordonedByOther"
    assert (version(r, "node-a"), version(r, "node-b")) == ("1.0.0", "1.1.0")
    return r


def _unproved(r: Rollout, node: str) -> None:
    """The node is written, and a quota keeps the pods of its proof out."""
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase(node) == "Proving")
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: reason(r, node) == "ProofInconclusive")
    r.play(5)


def unproved_and_the_policy_only_audits_for_a_while() -> Rollout:
    """Compatible is what an Audit policy calls it; enforced again, it is looked at and proved."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    _unproved(r, "node-a")
    r.say("== mode: Audit")
    r.cluster.apply_policy("cure", {"mode": "Audit"})
    r.until(lambda: r.phase("node-a") == "Compatible")
    r.play(60)
    r.say("== mode: Enforce, and the quota is raised")
    r.cluster.quota = ""
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    assert "Enforced" not in r.transcript
    assert phases(r) == {"node-a": "RolledBack"}
    assert version(r, "node-a") == "0.4.0"
    return r


def proof_not_wanted_any_more() -> Rollout:
    """A pause keeps the proof away; told that none is wanted, the node is looked at: it is well."""
    r = of(old("node-a"), old("node-b"))
    _unproved(r, "node-a")
    r.say("== paused, and the quota is raised")
    r.cluster.quota = ""
    r.cluster.apply_policy("cure", {**ENFORCE, "paused": True})
    r.until(lambda: r.phase("node-a") == "Waiting")
    r.settle()
    assert reason(r, "node-a") == "Paused"
    r.say("== verify.proof: false")
    word = {**ENFORCE, "verify": {"proof": False}}
    r.cluster.apply_policy("cure", {**word, "paused": True})
    r.settle()
    assert phases(r) == {"node-a": "Compatible", "node-b": "Waiting"}
    seen = len(r.lines)
    r.say("== resumed")
    r.cluster.apply_policy("cure", {**word, "paused": False})
    r.settle()
    assert phases(r) == {"node-a": "Compatible", "node-b": "Done"}
    assert not any("CreateProof" in line for line in r.lines[seen:])
    return r


def unproved_and_overwritten_since() -> Rollout:
    """What was written is gone, and what stands there now is not ours to write: nobody waits."""
    r = of(old("node-a"), old("node-b"))
    _unproved(r, "node-a")
    r.say("== a DaemonSet takes the file over, and the quota is raised")
    r.cluster.disks["node-a"].edit("0.4.0")
    r.cluster.disks["node-a"].managed_by = "DaemonSet kube-flannel"
    r.cluster.quota = ""
    r.until(lambda: r.phase("node-b") == "Done")
    r.settle()
    assert phases(r) == {"node-a": "ManagedElsewhere", "node-b": "Done"}
    assert "lastChange" not in r.cluster.status("node-a")
    return r


LOST_ANSWERS: tuple[Callable[[], Rollout], ...] = (
    look_of_before_a_power_cut,
    retry_while_a_look_is_under_way,
    record_wiped_and_the_same_bytes_again,
    etcd_of_before_a_rollback,
    cordoned_anew_while_its_job_is_refused,
    another_target_before_the_agent_begins,
    unproved_and_the_policy_made_anew,
    first_answer_lost_as_all_is_stopped,
    second_answer_lost_as_all_is_stopped,
    written_as_its_agent_was_taken_back,
    first_written_as_its_agent_was_taken_back,
    first_written_as_another_target_took_it_back,
    first_written_as_a_pause_took_it_back,
    first_written_as_its_policy_is_deleted,
    agents_lost_after_a_second_write,
    called_off_where_the_node_was_done,
    unproved_and_the_policy_only_audits_for_a_while,
    proof_not_wanted_any_more,
    unproved_and_overwritten_since,
)
