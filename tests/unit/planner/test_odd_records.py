"""Records that make no sense, and small rules of the planner that no scenario shows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.node.node_lease import HOLDER
from cni_upgrade.planner.node.proof_pods import pod_name
from cni_upgrade.planner.plan import plan
from cni_upgrade.planner.rollout import failure_budget
from cni_upgrade.planner.status.deferred_writes import LONGEST
from cni_upgrade.planner.steps.dispatch import _STEPS
from cni_upgrade.planner.world.decisions import (
    Cordon,
    CreateJob,
    Decision,
    DeleteProof,
    DropLease,
    Emit,
)
from cni_upgrade.planner.world.phases import AT_WORK, MOVES, PHASE_OF, Step
from tests.unit.planner.cluster_model import CONFIG, PROOF
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import (
    ENFORCE,
    changed,
    delete,
    f1,
    healthy,
    leased,
    message,
    of,
    old,
    phases,
    reason,
)


def spoiled(*path: str, value: Any) -> Rollout:
    """Two nodes; the record of node-a is edited by hand while its agent is on its way."""
    r = of(f1(), healthy())
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Apply")
    r.ledger.meddled.add("node-a")
    patch: Any = value
    for name in reversed(path):
        patch = {name: patch}
    r.cluster.api.patch("CNINodeState", "node-a", {"status": patch}, sub="status")
    return r


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("operation", "step"), "Release"),
    ],
)
def test_a_record_that_makes_no_sense_stops_its_own_node_and_says_so(
    path: tuple[str, ...], value: Any
) -> None:
    r = spoiled(*path, value=value)
    r.cluster.add_node(healthy("node-z"))
    r.play(120)
    assert reason(r, "node-a") == "Unplannable"
    assert "delete it" in message(r, "node-a")
    found = {c["type"]: c["status"] for c in r.cluster.status("node-a")["conditions"]}
    assert found == {"Ready": "False", "Stalled": "True"}
    assert r.phase("node-z") == "Compatible"
    r.cluster.api.delete("CNINodeState", "node-a")
    r.settle()
    assert set(phases(r).values()) <= {"Done", "Compatible"}


@pytest.mark.parametrize("phase", ["", "in work", "Pondering"])
def test_a_phase_that_nobody_knows_stops_neither_its_node_nor_another(phase: str) -> None:
    r = spoiled("phase", value=phase)
    r.step()
    found = {c["type"]: c["reason"] for c in r.status("node-a")["conditions"]}
    assert found["Ready"] in ("UnknownPhase", "Applying")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-d": "Compatible"}


END_OF_TIME = "9999-12-31T23:59:59Z"


def test_a_deadline_at_the_end_of_time_stops_nobody() -> None:
    """Nor does it end the rollout that is given back: its arithmetic stays within the calendar."""
    r = spoiled("operation", "deadline", value=END_OF_TIME)
    r.cluster.apply_policy("cure", {"deletionPolicy": "Restore"})
    r.cluster.api.patch("CNIUpgradePolicy", "cure", {"metadata": {"finalizers": [names.FINALIZER]}})
    r.cluster.api.delete("CNIUpgradePolicy", "cure")
    r.until(lambda: r.cluster.api.find("CNIUpgradePolicy", "cure") is None)
    assert r.cluster.disks["node-a"].version is None


def conditions(r: Rollout, policy: str) -> dict[str, str]:
    return {c["type"]: c["reason"] for c in r.cluster.policy(policy)["status"]["conditions"]}


def test_a_policy_that_cannot_be_acted_on_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    r = of(f1("node-a"), f1("node-b"), f1("node-z"))
    r.cluster.api.patch("Node", "node-z", {"metadata": {"labels": {"zone": "z"}}})
    canary = {"rollout": {"canary": {"nodes": 1, "soak": "1h"}}}
    zone = {"nodeSelector": {"matchLabels": {"zone": "a"}}}
    r.cluster.apply_policy("bad", {**ENFORCE, **canary, **zone})
    r.until(lambda: "soakSince" in str(r.cluster.policy("bad")["status"]))

    def counted(policy: CNIUpgradePolicy, *more: Any) -> failure_budget.Failures:
        if policy.metadata.name == "bad":
            raise OverflowError("date value out of range")
        return failure_budget.counted(policy, *more)

    monkeypatch.setattr("cni_upgrade.planner.rollout.may_start.counted", counted)
    other = {"nodeSelector": {"matchLabels": {"zone": "z"}}}
    r.cluster.apply_policy("good", {**ENFORCE, **other})
    r.play(1200)
    assert phases(r) == {"node-a": "Done", "node-b": "Waiting", "node-z": "Done"}
    assert reason(r, "node-b") == "PolicyUnplannable"
    assert conditions(r, "bad")["Stalled"] == "Unplannable"
    assert conditions(r, "good")["Ready"] == "Enforced"
    monkeypatch.undo()
    r.until(lambda: r.phase("node-b") == "Done")


def test_a_look_that_an_edit_puts_into_a_drain_drains_nobody() -> None:
    r = of(healthy("node-a"))
    r.cluster.add_pod("node-a", "web-node-a", owner="ReplicaSet")
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.cluster.apply_policy("cure", {**ENFORCE, "readinessFor": ["containerd>=2.0"]})
    r.until(lambda: (r.status("node-a").get("operation") or {}).get("kind") == "audit")
    r.ledger.meddled.add("node-a")
    edit = {"status": {"operation": {"step": "DrainAfter"}}}
    r.cluster.api.patch("CNINodeState", "node-a", edit, sub="status")
    r.settle()
    assert phases(r) == {"node-a": "Compatible"}
    assert "Evict" not in str(r.transcript)


def test_a_step_that_nobody_knows_is_begun_anew_once_no_agent_may_write() -> None:
    """What the agent wrote is found and proved; the cordon goes."""
    r = spoiled("operation", "step", value="a step of tomorrow")
    r.until(lambda: r.status("node-a")["reason"] == "Unplannable", 60)
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-d": "Compatible"}
    assert r.cluster.disks["node-a"].writes == ["missing -> 1.0.0 by apply"]


def test_a_proof_of_later_whose_step_nobody_knows_goes_back_to_what_worked_before() -> None:
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "ProveOld")
    r.cluster.quota = "exceeded quota: pods"
    r.until(lambda: r.phase("node-a") == "Blocked")
    r.cluster.quota = ""
    r.until(lambda: r.phase("node-a") == "Proving")
    r.play(20)
    r.ledger.meddled.add("node-a")
    step = {"status": {"operation": {"step": "a step of tomorrow"}}}
    r.cluster.api.patch("CNINodeState", "node-a", step, sub="status")
    r.settle()
    assert (phases(r), r.cluster.disks["node-a"].version) == ({"node-a": "RolledBack"}, "0.4.0")


def test_a_way_back_whose_step_nobody_knows_is_a_failure() -> None:
    """Begun anew it would make the node worse once more."""
    r = of(old("node-a", surprise={"1.0.0": (False, True)}))
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.step_of("node-a") == "Restore")
    r.ledger.meddled.add("node-a")
    step = {"status": {"operation": {"step": "a step of tomorrow"}}}
    r.cluster.api.patch("CNINodeState", "node-a", step, sub="status")
    r.settle()
    assert (phases(r), reason(r, "node-a")) == ({"node-a": "Failed"}, "StepUnknown")


def test_a_record_that_makes_sense_again_goes_on() -> None:
    r = spoiled("operation", "step", value="a step of tomorrow")
    r.until(lambda: r.status("node-a")["reason"] == "Unplannable", 60)
    step = {"status": {"operation": {"step": "Apply"}}}
    r.cluster.api.patch("CNINodeState", "node-a", step, sub="status")
    r.settle()
    assert phases(r) == {"node-a": "Done", "node-d": "Compatible"}
    assert reason(r, "node-a") == "Done"


def test_a_resting_record_that_made_no_sense_is_looked_at_anew() -> None:
    r = of(healthy())
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    lost = {"status": {"reason": "Unplannable", "message": "what it was is lost"}}
    r.cluster.api.patch("CNINodeState", "node-d", lost, sub="status")
    r.settle()
    assert (phases(r), reason(r, "node-d")) == ({"node-d": "Compatible"}, "Compatible")


def test_an_input_that_is_no_operation_is_said_when_it_is_to_be_sent() -> None:
    r = spoiled("operation", "input", value="{}")
    for job in list(r.cluster.api.all("Job")):
        if job["metadata"]["name"].startswith("apply-"):
            r.cluster.api.remove("Job", job["metadata"]["name"], "cni-upgrade-agents")
    for pod in r.cluster.pods_on("node-a", "cni-upgrade-agents"):
        r.cluster.api.remove("Pod", pod["metadata"]["name"], "cni-upgrade-agents")
    r.play(60)
    assert reason(r, "node-a") == "Unplannable"


def test_an_operation_that_was_taken_out_by_hand_leaves_nothing_behind() -> None:
    r = spoiled("operation", value=None)
    r.settle()
    assert set(phases(r).values()) <= {"Done", "Compatible"}


def test_somebody_elses_pod_among_the_proofs_is_left_alone() -> None:
    r = of(healthy())
    r.cluster.apply_policy("cure", ENFORCE)
    r.cluster.api.create(
        "Pod",
        {
            "metadata": {"name": "debug", "namespace": PROOF},
            "spec": {"nodeName": "node-d"},
            "status": {"phase": "Running"},
        },
    )
    r.play(120)
    assert r.cluster.api.find("Pod", "debug", PROOF)
    assert not any("DeleteProof" in line for line in r.lines)


def test_a_lease_stays_where_a_change_begins_whose_last_write_was_lost() -> None:
    """One that is left of the change before is not dropped behind the cordon of the next."""
    r = leased(old("node-a"))
    r.cluster.apply_policy("cure", ENFORCE)
    acts: list[Decision] = []
    while not any(isinstance(act, Cordon) for act in acts):
        r.step()
        r.cluster.take_lease("node-a", HOLDER, 900)
        r.controller.errors["node-a"] = "no answer from the API server"
        r.controller.refresh()
        acts = [act for turn in plan(r.controller.snapshot()) for act in turn.decisions]
    assert not any(isinstance(act, DropLease) for act in acts)


def test_the_controllers_own_node_goes_last() -> None:
    r = of(f1("node-a"), f1("node-b"), f1("node-c"))
    r.controller.own_node = "node-a"
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    cordons = [line.split()[1] for line in r.lines if line.endswith(": Cordon")]
    assert cordons == ["node-b:", "node-c:", "node-a:"]


def most_at_once(r: Rollout, looks: int) -> int:
    """How many nodes are looked at together, at most, until there were so many looks in all."""
    most = 0

    def audited() -> bool:
        nonlocal most
        most = max(most, working(r))
        return r.resting() and sent(r) >= looks

    r.until(audited)
    return most


def working(r: Rollout) -> int:
    """Nodes with an operation under way."""
    return sum(bool(r.status(name).get("operation")) for name in r.cluster.disks)


def ahead(r: Rollout) -> list[str]:
    """Nodes with a record of which nothing is said yet."""
    return [n for n in sorted(r.cluster.disks) if r.status(n).get("observedGeneration") == -1]


def sent(r: Rollout) -> int:
    """Agents that were sent to look."""
    return sum("CreateJob audit" in line for line in r.lines)


def test_audits_are_limited_and_all_get_their_turn() -> None:
    r = of(*[healthy(f"node-{n:02}") for n in range(45)], pods=0)
    r.cluster.apply_policy("look", {"mode": "Audit"})
    assert most_at_once(r, 45) == r.controller.config.audit_parallel
    assert set(phases(r).values()) == {"Compatible"}


def test_a_place_is_not_free_while_a_node_waits_for_it() -> None:
    """Who ends and who begins are in one pass: a record is begun ahead, one for four places."""
    r = of(*[healthy(f"node-{n:02}") for n in range(12)], pods=0)
    r.controller.config = CONFIG.model_copy(update={"audit_parallel": 1})
    r.cluster.apply_policy("look", {"mode": "Audit"})
    r.until(lambda: working(r) == 1)
    while sent(r) < 12:
        r.step()
        assert working(r) == 1
        assert len(ahead(r)) <= 1


def test_a_record_begun_ahead_says_what_it_waits_for_where_that_takes_long() -> None:
    r = of(healthy("node-a"), healthy("node-b"), healthy("node-c"), pods=0)
    r.controller.config = CONFIG.model_copy(update={"audit_parallel": 1})
    r.cluster.disks["node-a"].faults = ["hangs"]
    r.cluster.apply_policy("look", {"mode": "Audit"})
    r.until(lambda: ahead(r) == ["node-b"])
    r.play(5)
    assert ahead(r) == ["node-b"]
    r.play(LONGEST.seconds)
    assert waits(r, "node-b")


def test_looks_that_nobody_asks_for_have_a_limit_of_their_own() -> None:
    """All are due at once where nobody looked for a day; a new node does not queue behind them."""
    r = of(*[healthy(f"node-{n:02}") for n in range(45)], pods=0)
    r.cluster.apply_policy("look", {"mode": "Audit"})
    assert most_at_once(r, 45) == r.controller.config.audit_parallel
    r.set_clock(24)
    r.step()
    r.cluster.add_node(healthy("node-new"))
    r.until(lambda: r.phase("node-new") == "Compatible")
    assert sent(r) - 45 < 20, "it was to go before most of them"
    assert most_at_once(r, 91) == r.controller.config.reaudit_parallel
    assert sent(r) == 91, "each was to have its turn, once"


def test_a_node_that_is_going_is_not_touched() -> None:
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    leaving = {"metadata": {"deletionTimestamp": "2026-01-01T12:00:00Z"}}
    r.cluster.api.patch("Node", "node-a", leaving)
    r.play(60)
    assert r.cluster.state("node-a") is None


def test_a_resting_node_is_looked_at_again_in_time() -> None:
    r = of(healthy())
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    r.cluster.disks["node-d"].edit("0.4.0")
    r.play(r.controller.config.reaudit_seconds + 600)
    assert phases(r) == {"node-d": "Done"}


def test_a_routine_look_is_no_news_of_the_policy() -> None:
    """What GitOps tools see stays as it was; what the look finds is said."""
    r = of(healthy(), old("node-e"))
    r.cluster.apply_policy("cure", ENFORCE)
    r.settle()
    before = len(r.lines)
    r.play(CONFIG.reaudit_seconds + 600)
    told = r.lines[before:]
    assert sum("CreateJob audit" in line for line in told) == 2
    assert not [line for line in told if "policy cure" in line]
    r.cluster.disks["node-d"].edit(None)
    before = len(r.lines)
    r.play(CONFIG.reaudit_seconds + 600)
    told = [line for line in r.lines[before:] if "policy cure" in line]
    assert "Enforced -> RollingOut [Reconciling]" in told[0]
    assert "-> Enforced" in told[-1]


def waits(r: Rollout, node: str) -> bool:
    return "waits for one of 1 audits" in r.cluster.status(node)["message"]


def test_a_good_node_that_waits_for_another_look_is_not_ready() -> None:
    """Every audit slot is taken: what was good for the old target is not shown as good."""
    r = of(healthy("node-a"), healthy("node-b"))
    r.cluster.apply_policy("cure", {"mode": "Audit"})
    r.settle()
    ready = {"type": "Ready", "status": "True"}
    assert ready.items() <= r.cluster.status("node-b")["conditions"][0].items()
    r.controller.config = CONFIG.model_copy(update={"audit_parallel": 1})
    r.cluster.apply_policy("cure", {"mode": "Audit", "target": {"cni": {"version": "0.4.0"}}})
    r.until(lambda: waits(r, "node-b"))
    found = {c["type"]: c["status"] for c in r.cluster.status("node-b")["conditions"]}
    assert r.phase("node-b") == "Compatible"
    assert found == {"Ready": "False", "Reconciling": "True"}
    r.settle()
    assert r.phase("node-b") == "Compatible" or r.phase("node-b") == "Waiting"
    assert not waits(r, "node-b")


def test_a_record_says_since_when_a_node_is_in_its_phase() -> None:
    r = of(old("node-a"))
    r.cluster.apply_policy("cure", {"mode": "Audit"})
    r.until(lambda: r.phase("node-a") == "Waiting")
    since = r.status("node-a")["phaseSince"]
    assert datetime.fromisoformat(since) == r.cluster.now - timedelta(seconds=1)
    r.play(60)
    assert r.status("node-a")["phaseSince"] == since
    r.cluster.apply_policy("cure", ENFORCE)
    r.until(lambda: r.phase("node-a") == "Applying")
    assert r.status("node-a")["phaseSince"] > since


def told_until(r: Rollout, true: Callable[[], bool]) -> list[Emit]:
    """The Events about node states until it is so."""
    told = []
    while not true():
        r.controller.refresh()
        turns = plan(r.controller.snapshot())
        told += [d for t in turns for d in t.decisions if isinstance(d, Emit)]
        r.step()
    assert all(e.message for e in told)
    return [e for e in told if e.kind == names.NODE_STATE_KIND]


def test_events_tell_what_is_done_and_when_a_person_is_needed() -> None:
    r = of(f1())
    r.cluster.disks["node-a"].surprise = {"1.0.0": (True, False)}
    r.cluster.apply_policy("cure", ENFORCE)
    told = told_until(r, lambda: r.phase("node-a") == "Failed")
    about_node = [(e.type, e.reason) for e in told]
    assert about_node == [("Normal", "Applying"), ("Normal", "Proving"), ("Warning", "Failed")]


@pytest.mark.parametrize(("step", "phase"), [("Drain", "Draining"), ("Baseline", "Applying")])
def test_an_event_tells_of_a_node_that_is_given_back(step: str, phase: str) -> None:
    r = of(old("node-a", drain_for=frozenset({"1.0.0"} if step == "Drain" else ())))
    r.cluster.budgets.add("web-node-a-0")
    r.cluster.apply_policy("cure", ENFORCE)
    told = told_until(r, lambda: r.step_of("node-a") == step)
    assert [e.reason for e in told] == [phase]
    r.cluster.annotate("CNIUpgradePolicy", "cure", names.PAUSED, "true")
    told = told_until(r, lambda: r.phase("node-a") == "Waiting")
    text = "called off before anything was written: policy cure is paused"
    assert [(e.type, e.reason, e.message) for e in told] == [("Normal", "Waiting", text)]


def test_a_node_that_has_its_files_back_is_told_of_once() -> None:
    r = changed(old("node-a"))
    delete(r)
    told = told_until(r, lambda: r.phase("node-a") == "Pending")
    assert [e.reason for e in told] == ["RollingBack", "Proving", "Restored"]


def test_what_is_announced_is_recorded_first() -> None:
    """A status that announces an act stands before it: a crash between loses nothing."""
    r = of(f1())
    r.cluster.apply_policy("cure", ENFORCE)
    for _ in range(40):
        r.controller.refresh()
        for turn in plan(r.controller.snapshot()):
            kinds = [type(d) for d in turn.decisions]
            for act in (CreateJob, Cordon):
                if act in kinds and len(kinds) > 1:
                    assert kinds.index(act) == len(kinds) - 1
        r.step()


def test_every_step_has_its_work_and_every_phase_its_moves() -> None:
    assert set(_STEPS) == set(Step)
    assert set(MOVES) == set(Phase)
    assert set(PHASE_OF.values()) <= AT_WORK
    for phase, after in MOVES.items():
        assert phase not in after
        assert after, f"{phase} is a dead end"


def test_from_every_phase_there_is_a_way_to_a_good_end() -> None:
    good = {Phase.DONE, Phase.COMPATIBLE}
    for _ in Phase:
        good |= {phase for phase, after in MOVES.items() if after & good}
    assert good == set(Phase)


def test_proof_pods_are_found_again_by_name() -> None:
    assert pod_name("old", "apply-0123456789abcdef0123") == "proof-old-0123456789abcdef0123"
    assert DeleteProof(pod_name("new", "apply-x"), "u").name == "proof-new-x"
