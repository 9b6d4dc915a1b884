"""A policy's status as a person and as kstatus read it: never success for nothing, never silent."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState, Observed
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.status.policy_status import COUNTED, turns
from cni_upgrade.planner.world.decisions import Emit, SetStatus
from cni_upgrade.planner.world.snapshot import Snapshot, Unjudged
from tests.unit.api.kstatus import Health, health
from tests.unit.planner.api_model import merged
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.samples import NOW, node, operation, policy, state

CURRENT, GOING, FAILED = Health.CURRENT, Health.IN_PROGRESS, Health.FAILED


def world(made: CNIUpgradePolicy, *phases: str, **more: Any) -> Snapshot:
    """A node for each phase, all audited for this policy; an empty phase is a node not yet seen."""
    nodes = {f"node-{n}": node(f"node-{n}") for n in range(len(phases))}
    states: dict[str, CNINodeState] = {}
    for (name, on), phase in zip(nodes.items(), phases, strict=True):
        if phase:
            blank = state(name, made.metadata.name)
            key = audit_key(on, blank, made, CONFIG)
            working = {"operation": operation()} if phase in ("Applying", "Proving") else {}
            states[name] = state(
                name,
                made.metadata.name,
                phase=phase,
                message="m",
                found="1.0.0",
                observed={"auditKey": key},
                **working,
            )
    shown = {"policies": {made.metadata.name: made}, "nodes": nodes, "states": states}
    return Snapshot(now=NOW, config=CONFIG, **{**shown, **more})


def status(seen: Snapshot, name: str = "cure") -> dict[str, Any]:
    """The object as it stands after the planner's write."""
    made = seen.policies[name]
    patch: dict[str, Any] = {}
    for turn in turns(seen):
        for decision in turn.decisions:
            if isinstance(decision, SetStatus) and decision.name == name:
                patch = dict(decision.status)
    whole: dict[str, Any] = merged(made.to_api(), {"status": patch})
    return whole


def ready(obj: dict[str, Any]) -> str:
    return str(next(c["reason"] for c in obj["status"]["conditions"] if c["type"] == "Ready"))


ENFORCE, AUDIT = policy(), policy(mode="Audit")


@pytest.mark.parametrize(
    ("made", "phases", "reason", "expected"),
    [
        (ENFORCE, [], "NoNodeMatches", GOING),
        (ENFORCE, [""], "RollingOut", GOING),
        (ENFORCE, ["Compatible", ""], "RollingOut", GOING),
        (ENFORCE, ["Compatible", "Auditing"], "RollingOut", GOING),
        (ENFORCE, ["Done", "Waiting"], "RollingOut", GOING),
        (ENFORCE, ["Done", "Applying"], "RollingOut", GOING),
        (ENFORCE, ["Done", "Proving"], "RollingOut", GOING),
        (ENFORCE, ["Done", "Compatible"], "Enforced", CURRENT),
        (ENFORCE, ["Done", "Blocked"], "NodesBlocked", FAILED),
        (ENFORCE, ["Done", "ManagedElsewhere"], "NodesBlocked", FAILED),
        (ENFORCE, ["Done", "Failed"], "NodeFailed", FAILED),
        (ENFORCE, ["Waiting", "RolledBack"], "NodeFailed", FAILED),
        (ENFORCE, ["Applying", "Failed"], "NodeFailed", FAILED),
        (ENFORCE, ["a phase of tomorrow"], "NodesBlocked", FAILED),
        (policy(paused=True), ["Waiting"], "Paused", GOING),
        (policy(paused=True), ["Proving"], "Paused", GOING),
        (policy(paths="k3z"), ["Pending"], "PathsNotAllowed", FAILED),
        (AUDIT, [], "NoNodeMatches", GOING),
        (AUDIT, ["Auditing", "Compatible"], "Auditing", GOING),
        (AUDIT, ["Waiting", "Blocked", "Compatible"], "Audited", CURRENT),
    ],
)
def test_health(made: CNIUpgradePolicy, phases: list[str], reason: str, expected: Health) -> None:
    obj = status(world(made, *phases))
    assert ready(obj) == reason
    assert health(obj) == expected
    assert obj["status"]["message"]
    assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]


def silenced(seen: Snapshot, *gone: str) -> Snapshot:
    """The same, with these nodes silent."""
    nodes = {n: node(n, ready="Unknown") if n in gone else on for n, on in seen.nodes.items()}
    return replace(seen, nodes=nodes)


@pytest.mark.parametrize(
    ("phases", "gone", "reason", "named"),
    [
        (
            ["Compatible", "Pending"],
            ["node-1"],
            "RolloutBlocked",
            "node-1 silent (Ready is Unknown)",
        ),
        (["Compatible", ""], ["node-1"], "RolloutBlocked", "node-1 silent"),
        (["Pending", "Pending"], ["node-0", "node-1"], "RolloutBlocked", "node-0, node-1 silent"),
        (["Pending", "Pending"], ["node-1"], "Auditing", "2 Pending"),
        (["Auditing", "Pending"], ["node-1"], "Auditing", "1 Auditing, 1 Pending"),
        (["Compatible", "Auditing"], ["node-1"], "Auditing", "1 Auditing"),
        (["Waiting", "Compatible"], ["node-0", "node-1"], "Audited", "2 nodes"),
    ],
)
def test_an_audit_names_the_silent_nodes_where_it_waits_for_nothing_else(
    phases: list[str], gone: list[str], reason: str, named: str
) -> None:
    obj = status(silenced(world(AUDIT, *phases), *gone))
    assert ready(obj) == reason
    assert named in obj["status"]["message"]
    going = {"Auditing": {"Reconciling"}, "RolloutBlocked": {"NodesSilent"}, "Audited": set()}
    kinds = {c["type"] for c in obj["status"]["conditions"]}
    assert kinds == {"Ready", "NodesMatched"} | going[reason]


@pytest.mark.parametrize("made", [ENFORCE, AUDIT])
@pytest.mark.parametrize(
    ("phases", "attempts", "asked", "fails"),
    [
        (["Pending", "Done"], [3, 0], True, True),
        (["Pending", "Pending"], [3, 1], True, True),
        (["Pending", "Auditing"], [3, 1], True, True),
        (["Auditing", "Pending"], [4, 2], True, True),
        # It has not been tried yet, or not for what is asked; or nobody was given up.
        (["Pending", "Pending"], [3, 0], True, False),
        (["Pending", "Auditing"], [3, 0], True, False),
        (["Pending", "Pending"], [3, 1], False, False),
        (["Pending", "Pending"], [1, 2], True, False),
        (["Pending", "Pending", "Auditing"], [3, 1, 0], True, False),
    ],
)
def test_a_further_audit_without_an_answer_does_not_take_back_that_they_fail(
    made: CNIUpgradePolicy,
    phases: list[str],
    attempts: list[int],
    asked: bool,
    fails: bool,
) -> None:
    seen = world(made, *phases)
    states = {}
    for (name, known), tried in zip(seen.states.items(), attempts, strict=True):
        update: dict[str, Any] = {"attempts": tried}
        if name == "node-1" and not asked:
            update["observed"] = Observed(audit_key="of another question")
        states[name] = known.model_copy(update={"status": known.status.model_copy(update=update)})
    obj = status(replace(seen, states=states))
    assert ready(obj) == (
        "AuditsFailing" if fails else "RollingOut" if made is ENFORCE else "Auditing"
    )
    assert health(obj) == (FAILED if fails else GOING)
    if fails:
        assert "no audit of node-0 brings an answer" in obj["status"]["message"]
        assert [each["node"] for each in obj["status"]["failures"]] == ["node-0"]


def test_an_audit_names_a_silent_node_that_is_good_for_what_was_asked_before() -> None:
    newer = policy(mode="Audit", target={"cni": {"version": "1.1.0"}})
    seen = replace(world(AUDIT, "Compatible"), policies={"cure": newer})
    assert ready(status(seen)) == "Auditing"
    obj = status(silenced(seen, "node-0"))
    assert ready(obj) == "RolloutBlocked"
    assert "node-0 silent" in obj["status"]["message"]


def deleted(seen: Snapshot, *going: str) -> Snapshot:
    """The same, with these nodes being deleted: a finalizer holds them."""
    nodes = {n: replace(on, deleting=n in going) for n, on in seen.nodes.items()}
    return replace(seen, nodes=nodes)


@pytest.mark.parametrize("phase", ["", "Pending", "Auditing", "Waiting"])
@pytest.mark.parametrize(
    ("made", "there", "reason", "expected"),
    [
        (ENFORCE, "Done", "Enforced", CURRENT),
        (ENFORCE, "Waiting", "RollingOut", GOING),
        (ENFORCE, "Blocked", "NodesBlocked", FAILED),
        (AUDIT, "Compatible", "Audited", CURRENT),
        (AUDIT, "Pending", "Auditing", GOING),
    ],
)
def test_nobody_waits_for_a_node_that_is_being_deleted(
    made: CNIUpgradePolicy, there: str, reason: str, expected: Health, phase: str
) -> None:
    """A finalizer may hold it for days, and nothing is begun there meanwhile."""
    obj = status(deleted(world(made, there, phase), "node-1"))
    assert (ready(obj), health(obj)) == (reason, expected)
    text = obj["status"]["message"]
    assert f"2 nodes: 1 {there}" in text
    assert text.endswith("being deleted: node-1")
    assert sum(obj["status"]["nodes"]["byPhase"].values()) == 2


@pytest.mark.parametrize(("made", "reason"), [(ENFORCE, "Enforced"), (AUDIT, "Audited")])
def test_nor_for_one_whose_kubelet_is_silent_by_then(made: CNIUpgradePolicy, reason: str) -> None:
    seen = silenced(world(made, "Compatible", "Pending"), "node-1")
    assert ready(status(seen)) == "RolloutBlocked"
    assert ready(status(deleted(seen, "node-1"))) == reason


@pytest.mark.parametrize("mode", ["Enforce", "Audit"])
def test_nor_for_one_that_was_good_for_what_was_asked_before(mode: str) -> None:
    newer = policy(mode=mode, target={"cni": {"version": "1.1.0"}})
    there, before = world(newer, "Compatible", "Compatible"), world(ENFORCE, "Done", "Done")
    seen = replace(there, states={**there.states, "node-1": before.states["node-1"]})
    assert health(status(seen)) == GOING
    obj = status(deleted(seen, "node-1"))
    assert health(obj) == CURRENT
    assert obj["status"]["message"] == "2 nodes: 1 Compatible; being deleted: node-1"


def test_nor_for_one_that_answers_no_audit() -> None:
    seen = world(AUDIT, "Compatible", "Pending")
    record = state("node-1", "cure", phase="Pending", observed={"auditKey": "k"}, attempts=9)
    key = {"auditKey": audit_key(seen.nodes["node-1"], record, AUDIT, CONFIG)}
    record = state("node-1", "cure", phase="Pending", observed=key, attempts=9)
    seen = replace(seen, states={**seen.states, "node-1": record})
    assert ready(status(seen)) == "AuditsFailing"
    obj = status(deleted(seen, "node-1"))
    assert ready(obj) == "Audited"
    assert not obj["status"].get("failures")


def test_nor_for_one_that_another_policy_has() -> None:
    second = policy("second")
    theirs = world(second, "Done").states["node-0"]
    seen = world(ENFORCE, "Done", "Waiting", policies={"cure": ENFORCE, "second": second})
    seen = replace(seen, states={**seen.states, "node-0": theirs})
    assert ready(status(seen, "second")) == "ClaimedByOther"
    obj = status(deleted(seen, "node-1"), "second")
    assert (ready(obj), health(obj)) == ("Enforced", CURRENT)
    assert obj["status"]["message"] == "2 nodes: 1 Done; being deleted: node-1"


@pytest.mark.parametrize("made", [ENFORCE, AUDIT])
def test_where_every_node_is_being_deleted_that_is_no_success(made: CNIUpgradePolicy) -> None:
    obj = status(deleted(world(made, "Pending", "Waiting"), "node-0", "node-1"))
    assert (ready(obj), health(obj)) == ("NoNodeMatches", GOING)
    assert obj["status"]["message"].endswith("being deleted: node-0, node-1")


def test_a_person_is_called_once_a_silent_node_has_kept_an_audit_for_ten_minutes() -> None:
    """Counted from when nothing else was left, and anew where another node was looked at."""

    def after(minutes: int, before: dict[str, Any], *phases: str) -> dict[str, Any]:
        seen = silenced(world(parse_policy(before), *phases), "node-1")
        return status(replace(seen, now=NOW + timedelta(minutes=minutes)))

    held = after(0, AUDIT.to_api(), "Compatible", "Pending")
    assert health(after(9, held, "Compatible", "Pending")) == GOING
    late = after(10, held, "Compatible", "Pending")
    assert (ready(late), health(late)) == ("RolloutBlocked", FAILED)
    [told] = [c for c in late["status"]["conditions"] if c["type"] == "Stalled"]
    assert "node-1 silent" in told["message"]
    between = after(9, held, "Auditing", "Pending")
    assert health(after(10, between, "Compatible", "Pending")) == GOING
    # The clock was set back by a day: it counts from now on.
    held = after(-1440, held, "Compatible", "Pending")
    assert health(held) == GOING
    assert health(after(-1430, held, "Compatible", "Pending")) == FAILED


@pytest.mark.parametrize(
    ("made", "phases", "reason", "expected"),
    [
        (AUDIT, ["Applying", "Waiting"], "RolloutBlocked", GOING),
        (policy(paused=True), ["Applying", "Waiting"], "Paused", GOING),
        (ENFORCE, ["Applying", "Failed"], "NodeFailed", FAILED),
        (ENFORCE, ["Applying", "Waiting"], "RolloutBlocked", GOING),
        (AUDIT, ["Applying", "Pending"], "Auditing", GOING),
    ],
)
def test_a_machine_that_dies_in_its_change_is_named_whatever_is_said_first(
    made: CNIUpgradePolicy, phases: list[str], reason: str, expected: Health
) -> None:
    obj = status(silenced(world(made, *phases), "node-0"))
    assert (ready(obj), health(obj)) == (reason, expected)
    told = "node-0 silent (Ready is Unknown) in the midst of a change"
    assert obj["status"]["message"].count(told) == 1


def test_where_everything_is_stopped_a_dead_machine_is_named_and_nothing_goes_on() -> None:
    seen = world(ENFORCE, "Applying", stopped="a trial")
    going = {c["type"] for c in status(seen)["status"]["conditions"]}
    assert "Reconciling" in going
    obj = status(silenced(seen, "node-0"))
    assert ready(obj) == "Stopped"
    assert "node-0 silent" in obj["status"]["message"]
    assert "Reconciling" not in {c["type"] for c in obj["status"]["conditions"]}


def test_an_audit_that_has_begun_a_change_before_is_not_there_until_it_has_ended() -> None:
    obj = status(world(AUDIT, "Applying", "Waiting"))
    assert (ready(obj), health(obj)) == ("Ending", GOING)
    assert "what was begun on node-0" in obj["status"]["message"]
    other = policy("other", mode="Audit")
    seen = replace(world(AUDIT, "Applying"), policies={"other": other})
    assert ready(status(seen, "other")) == "Audited", "it is another policy's change"


def test_a_person_is_called_once_a_dead_machine_has_kept_an_audit_for_ten_minutes() -> None:
    held = status(silenced(world(AUDIT, "Applying"), "node-0"))
    assert (ready(held), health(held)) == ("RolloutBlocked", GOING)
    seen = silenced(world(parse_policy(held), "Applying"), "node-0")
    for minutes, expected in ((9, GOING), (10, FAILED)):
        obj = status(replace(seen, now=NOW + timedelta(minutes=minutes)))
        assert (ready(obj), health(obj)) == ("RolloutBlocked", expected)
        [said] = [c for c in obj["status"]["conditions"] if c["type"] == "NodesSilent"]
        assert "node-0 silent" in said["message"]


@pytest.mark.parametrize("phase", ["Failed", "RolledBack"])
def test_an_audit_names_the_nodes_that_failed_before(phase: str) -> None:
    obj = status(world(AUDIT, phase, "Compatible"))
    assert (ready(obj), health(obj)) == ("Audited", CURRENT)
    assert "node-0 failed or was rolled back; 2 nodes: " in obj["status"]["message"]


def test_what_is_good_for_another_target_is_not_enforced() -> None:
    seen = world(ENFORCE, "Done")
    newer = policy(target={"cni": {"version": "1.1.0"}})
    assert ready(status(replace(seen, policies={"cure": newer}))) == "RollingOut"


def test_a_missing_right_goes_before_everything() -> None:
    obj = status(world(ENFORCE, "Failed", denied=("create jobs.batch in x",)))
    assert (ready(obj), health(obj)) == ("PermissionDenied", FAILED)
    assert "create jobs.batch in x" in obj["status"]["message"]


def test_who_may_not_look_does_not_say_that_there_is_nothing() -> None:
    """The counts of before stay; that no node matches is not known."""
    written = parse_policy(status(world(ENFORCE, "Done", "Done")))
    obj = status(world(written, denied=("list nodes",)))
    assert obj["status"]["nodes"]["matched"] == 2
    [matched] = [c for c in obj["status"]["conditions"] if c["type"] == "NodesMatched"]
    assert (matched["status"], matched["reason"]) == ("Unknown", "PermissionDenied")
    assert "0 nodes" not in str(obj["status"])
    assert health(obj) == FAILED


@pytest.mark.parametrize("phase", ["Applying", "Done", "Waiting", "Pending"])
def test_a_record_that_cannot_be_acted_on_is_told_whatever_its_phase(phase: str) -> None:
    seen = world(ENFORCE, "Done", phase)
    stuck = seen.states["node-1"]
    spoiled = stuck.status.model_copy(update={"reason": "Unplannable", "message": "delete it"})
    states = {**seen.states, "node-1": stuck.model_copy(update={"status": spoiled})}
    obj = status(replace(seen, states=states))
    assert (ready(obj), health(obj)) == ("NodesBlocked", FAILED)
    [told] = obj["status"]["failures"]
    assert (told["node"], told["reason"], told["message"]) == ("node-1", "Unplannable", "delete it")
    assert obj["status"]["summary"]["blocked"] == 1
    assert obj["status"]["summary"]["done"] == 1


@pytest.mark.parametrize(
    ("made", "phases", "reason", "expected"),
    [
        (ENFORCE, ["Done"], "RecordsNotUnderstood", FAILED),
        (AUDIT, ["Compatible"], "RecordsNotUnderstood", FAILED),
        (ENFORCE, [], "RecordsNotUnderstood", FAILED),
        (ENFORCE, ["Done", "Waiting"], "RollingOut", GOING),
        (ENFORCE, ["Failed"], "NodeFailed", FAILED),
        (policy(paused=True), ["Waiting"], "Paused", GOING),
    ],
)
def test_nodes_whose_records_are_not_understood_are_counted_and_named(
    made: CNIUpgradePolicy, phases: list[str], reason: str, expected: Health
) -> None:
    newer = {f"node-{n}": Unjudged(node(f"node-{n}"), False) for n in range(6, 10)}
    obj = status(world(made, *phases, unjudged=newer))
    assert (ready(obj), health(obj)) == (reason, expected)
    told = "4 nodes left alone, whose records are not understood"
    assert told in obj["status"]["message"]
    assert "node-6, node-7, node-8, ..." in obj["status"]["message"]
    assert obj["status"]["nodes"]["matched"] == len(phases) + 4
    assert obj["status"]["nodes"]["byPhase"]["NotUnderstood"] == 4
    assert obj["status"]["summary"]["blocked"] == 4
    [matched] = [c for c in obj["status"]["conditions"] if c["type"] == "NodesMatched"]
    assert f"matches {len(phases) + 4} nodes" in matched["message"]


def test_a_record_that_is_not_understood_is_no_word_on_a_policy_of_other_nodes() -> None:
    made = policy(nodeSelector={"matchLabels": {"zone": "a"}})
    newer = {"node-9": Unjudged(node("node-9"), False)}
    obj = status(world(made, unjudged=newer))
    assert ready(obj) == "NoNodeMatches"


def test_two_enforce_policies_both_say_so() -> None:
    seen = world(ENFORCE, "Done")
    both = replace(seen, policies={"cure": ENFORCE, "second": policy("second")})
    first, second = status(both), status(both, "second")
    assert (ready(first), health(first)) == ("Enforced", CURRENT)
    assert (ready(second), health(second)) == ("ClaimedByOther", FAILED)
    for obj, other in ((first, "second"), (second, "cure")):
        [said] = [c for c in obj["status"]["conditions"] if c["type"] == "Overlapping"]
        assert other in said["message"]


def barred(first: str, second: str, *phases: str) -> dict[str, Any]:
    """What the second of two policies says whose first one has folders that are not allowed."""
    acts, waits = policy("first", mode=first, paths="k3z"), policy("second", mode=second)
    seen = world(acts, *phases)
    return status(replace(seen, policies={"first": acts, "second": waits}), "second")


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("Audit", "Audit", "NodesBlocked"),
        ("Enforce", "Audit", "NodesBlocked"),
        ("Enforce", "Enforce", "ClaimedByOther"),
    ],
)
@pytest.mark.parametrize("phase", ["", "Pending"])
def test_who_waits_for_a_policy_that_may_not_look_says_so(
    first: str, second: str, reason: str, phase: str
) -> None:
    """Nothing is looked at until a person mends the other policy."""
    obj = barred(first, second, "Compatible", phase, "Pending")
    assert (ready(obj), health(obj)) == (reason, FAILED)
    text = obj["status"]["message"]
    assert "3 nodes: 1 Compatible, 2 Pending" in text
    assert "no look at node-1, node-2: spec.paths 'k3z' of policy first is not allowed" in text


def test_what_else_is_looked_at_goes_on_beside_it() -> None:
    obj = barred("Audit", "Audit", "Auditing", "Pending")
    assert (ready(obj), health(obj)) == ("Auditing", GOING)
    assert "no look at node-1" in obj["status"]["message"]


def test_who_has_the_node_looks_at_it_whatever_folders_another_one_asks_for() -> None:
    acts, waits = policy("first"), policy("second", mode="Audit", paths="k3z")
    seen = world(acts, "Compatible", "Pending")
    obj = status(replace(seen, policies={"first": acts, "second": waits}), "first")
    assert ready(obj) == "RollingOut"
    assert "no look" not in obj["status"]["message"]


def test_counts_and_versions() -> None:
    obj = status(world(ENFORCE, "Done", "Done", "Blocked", "Failed", "Waiting", ""))["status"]
    assert obj["nodes"]["byPhase"] == {
        "Blocked": 1,
        "Done": 2,
        "Failed": 1,
        "Pending": 1,
        "Waiting": 1,
    }
    assert obj["summary"] == {
        "matched": 6,
        "upToDate": 2,
        "outdated": 3,
        "compatible": 0,
        "done": 2,
        "working": 0,
        "waiting": 2,
        "blocked": 1,
        "failed": 1,
        "freed": 0,
    }
    assert obj["versions"] == {"1.0.0": 5}


def test_the_first_ten_failures_the_gravest_first() -> None:
    obj = status(world(ENFORCE, *["Blocked"] * 12, "Failed"))["status"]
    assert len(obj["failures"]) == 10
    assert obj["failures"][0]["phase"] == "Failed"


@pytest.mark.parametrize("letter", ["x", "語"])
def test_a_status_stays_small_however_many_nodes_fail_and_whatever_they_say(letter: str) -> None:
    """What a node says may be a plugin's own words; the record of the node has the whole of it."""
    long = letter * 8192
    one = state("n", "cure", phase="Failed", reason="R" * 256, message=long, found=long)
    names = [f"{n:04d}-{'n' * 248}" for n in range(5000)]
    states = {
        name: one.model_copy(update={"metadata": one.metadata.model_copy(update={"name": name})})
        for name in names
    }
    seen = Snapshot(
        now=NOW,
        config=CONFIG,
        policies={"cure": ENFORCE},
        nodes={name: node(name) for name in names},
        states=states,
    )
    written = status(seen)["status"]
    assert written["nodes"]["byPhase"] == {"Failed": 5000}
    assert len(written["failures"]) == 10
    assert len(json.dumps(written, ensure_ascii=False).encode()) < 40 * 1024


def test_a_status_that_did_not_change_is_not_written() -> None:
    seen = world(ENFORCE, "Done", "Failed")
    written = parse_policy(status(seen))
    assert list(turns(replace(seen, policies={"cure": written}))) == []


def test_an_event_for_each_new_reason_and_no_other() -> None:
    seen = world(ENFORCE, "Done")
    [turn] = turns(seen)
    assert [d.reason for d in turn.decisions if isinstance(d, Emit)] == ["Enforced"]
    written = parse_policy(status(seen))
    grown = world(written, "Done", "Done")
    [turn] = turns(grown)
    assert [d for d in turn.decisions if isinstance(d, Emit)] == []


def test_an_event_calls_a_person_where_what_was_waited_for_has_not_come() -> None:
    """The reason stays as it was, so nobody would hear of it. It is told once."""
    before, heard = AUDIT.to_api(), []
    for minutes in (0, 9, 10, 11):
        seen = silenced(world(parse_policy(before), "Compatible", "Pending"), "node-1")
        seen = replace(seen, now=NOW + timedelta(minutes=minutes))
        acts = [act for turn in turns(seen) for act in turn.decisions]
        heard += [(minutes, act.type, act.reason) for act in acts if isinstance(act, Emit)]
        assert all("node-1 silent" in act.message for act in acts if isinstance(act, Emit))
        before = status(seen)
    assert heard == [(0, "Normal", "RolloutBlocked"), (10, "Warning", "RolloutBlocked")]


def told(seen: Snapshot) -> list[str]:
    """The Events of waves in one pass."""
    acts = [act for turn in turns(seen) for act in turn.decisions]
    return [act.message for act in acts if isinstance(act, Emit) and act.reason == "WaveStarted"]


def test_an_event_for_each_wave_that_begins_and_no_other() -> None:
    tiers = [{"matchLabels": {"tier": tier}} for tier in ("back", "front")]
    made = policy(rollout={"order": {"by": "Selectors", "selectors": tiers}})
    nodes = {
        f"node-{n}": node(f"node-{n}", tier=t) for n, t in enumerate(("back", "back", "front"))
    }
    seen = replace(world(made, "Applying", "Waiting", "Waiting"), nodes=nodes)
    assert told(seen) == ["wave selector 1 (1 of 2) begins: 2 nodes"]

    def after(before: Snapshot, *phases: str) -> Snapshot:
        written = parse_policy(status(before))
        return replace(world(written, *phases), nodes=nodes)

    again = after(seen, "Done", "Waiting", "Waiting")
    assert told(again) == []
    second = after(again, "Done", "Done", "Waiting")
    assert told(second) == ["wave selector 2 (2 of 2) begins: 1 node"]
    assert told(after(second, "Done", "Done", "Done")) == []


def test_no_event_of_the_only_wave() -> None:
    assert told(world(ENFORCE, "Applying", "Waiting")) == []


def test_a_condition_keeps_the_time_of_its_last_flip() -> None:
    seen = world(ENFORCE, "Done")
    written = parse_policy(status(seen))
    later = NOW.replace(hour=20)
    obj = status(replace(world(written, "Done", "Done"), now=later))
    times = {c["type"]: c["lastTransitionTime"] for c in obj["status"]["conditions"]}
    assert times["Ready"].startswith("2026-01-01T12:00")


def test_a_policy_that_is_being_deleted_is_left_alone() -> None:
    going = parse_policy(
        merged(ENFORCE.to_api(), {"metadata": {"deletionTimestamp": "2026-01-01T12:00:00Z"}})
    )
    assert list(turns(world(going, "Done"))) == []
    assert going.kind == names.POLICY_KIND


def test_readiness_is_counted_for_each_runtime() -> None:
    """A node that was not asked, or could not tell, is unknown, and never counts as ready."""
    made = policy(mode="Audit", readinessFor=["containerd>=2.0", "cri-o>=1.24", "containerd>=2.0"])
    seen = world(made, "Compatible", "Waiting", "Compatible", "Compatible", "")
    answers: tuple[list[dict[str, Any]], ...] = (
        [{"runtime": "containerd>=2.0", "ready": True}, {"runtime": "cri-o>=1.24", "ready": False}],
        [{"runtime": "containerd>=2.0", "ready": False}],
        [{"runtime": "containerd>=2.0"}],
        [],
    )
    states = {
        name: record.model_copy(
            update={"status": record.status.model_copy(update={"readiness": answer})}
        )
        for (name, record), answer in zip(seen.states.items(), answers, strict=True)
    }
    counts = status(replace(seen, states=states))["status"]["readiness"]
    assert counts == [
        {"runtime": "containerd>=2.0", "ready": 1, "notReady": 1, "unknown": 3},
        {"runtime": "cri-o>=1.24", "ready": 0, "notReady": 1, "unknown": 4},
    ]


def test_no_question_about_runtimes_no_counts() -> None:
    assert status(world(AUDIT, "Compatible"))["status"]["readiness"] == []


def test_what_differs_in_counts_alone_is_written_once_in_a_while() -> None:
    told = parse_policy(status(world(ENFORCE, "Auditing", "Auditing")))
    seen = world(told, "Auditing", "Compatible")
    moment = timedelta(milliseconds=1)
    assert not list(turns(replace(seen, told={"cure": NOW - COUNTED + moment})))
    assert list(turns(replace(seen, told={"cure": NOW - COUNTED})))
    assert list(turns(seen)), "what an earlier process wrote, and when, is not known"


def test_what_differs_in_more_than_counts_is_written_at_once() -> None:
    told = parse_policy(status(world(ENFORCE, "Auditing", "Auditing")))
    for phases in (("Compatible", "Compatible"), ("Auditing", "Blocked")):
        assert list(turns(replace(world(told, *phases), told={"cure": NOW})))


def test_what_the_next_look_at_a_lost_node_is_at_is_written_once_in_a_while() -> None:
    """What else needs a person is written at once, in such a phase too."""

    def lost(made: CNIUpgradePolicy, phase: str, other: str, **shown: str) -> Snapshot:
        seen = world(made, phase, other)
        record = seen.states["node-0"]
        more = {"attempts": CONFIG.attempts, **shown}
        changed = record.model_copy(update={"status": record.status.model_copy(update=more)})
        return replace(seen, states={**seen.states, "node-0": changed})

    def at_once(seen: Snapshot) -> bool:
        return bool(list(turns(replace(seen, told={"cure": NOW}))))

    failed = {"reason": "AuditLost", "message": "the audit failed"}
    told = parse_policy(status(lost(AUDIT, "Pending", "Waiting", **failed)))
    assert [each.reason for each in told.status.failures] == ["AuditLost"]
    sent = lost(told, "Auditing", "Waiting", reason="Audit", message="the agent is being sent")
    assert not at_once(sent)
    assert list(turns(sent))
    assert at_once(lost(told, "Pending", "Blocked", **failed))
    spoiled = {"reason": "Unplannable", "message": "no such step"}
    told = parse_policy(status(lost(AUDIT, "Pending", "Waiting", **spoiled)))
    assert at_once(lost(told, "Pending", "Waiting", **{**spoiled, "message": "no such phase"}))
