"""What passes keep up between them is what a pass makes anew: whatever of a snapshot has changed.

The rollouts that are played (rollout.py) change what a cluster changes, much of it at once; here
one input changes at a time, to any value, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.planner.index import node_index
from cni_upgrade.planner.index.incremental import Incremental, catch_up
from cni_upgrade.planner.index.ordering import ZONE
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.pass_cache import PassCache
from cni_upgrade.planner.plan import plan
from cni_upgrade.planner.status import policy_status
from cni_upgrade.planner.status.policy_status import turns
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.decisions import CreateState
from cni_upgrade.planner.world.kubernetes_objects import Job, Lease, Node, Pod
from cni_upgrade.planner.world.node_affinity import only_on
from cni_upgrade.planner.world.snapshot import Snapshot, Unwritten
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.cluster_model import AGENTS, CONFIG, LEASED, LEASES, START
from tests.unit.planner.samples import node, operation, pod, policy, state

T = TypeVar("T")

NAMES = [f"node-{letter}" for letter in "abcde"]
POLICIES = {
    "cure": policy(
        rollout={"maxUnavailable": 2, "maxParallel": 2, "order": {"by": "Zone"}},
    ),
    "look": policy("look", mode="Audit", nodeSelector={"matchLabels": {"zone": "a"}}),
}
WORLD = Snapshot(
    now=START,
    config=LEASED.model_copy(update={"audit_parallel": 2}),
    policies=POLICIES,
    nodes={name: node(name, zone="a") for name in NAMES},
)


def put(known: Mapping[str, T], name: str, value: T | None) -> dict[str, T]:
    """The mapping with another value of one name, in the order of names; None takes it out."""
    others = {key: each for key, each in known.items() if key != name}
    return dict(sorted((others | ({} if value is None else {name: value})).items()))


def some_node(draw: Any, name: str, world: Snapshot) -> Node | None:
    if draw(st.integers(0, 5)) == 0:
        return None
    made = node(
        name,
        ready=draw(st.sampled_from(["True", "False", "Unknown"])),
        cordoned=draw(st.booleans()),
        zone=draw(st.sampled_from(["a", "b"])),
    )
    labels = {**made.labels, **draw(st.sampled_from([{}, {ZONE: "a"}, {ZONE: "b"}]))}
    marks: dict[str, str] = draw(st.sampled_from([{}, {names.CORDONED_BY: "cure"}]))
    rare = st.integers(0, 5).map(lambda n: n == 0)
    uid = f"{name}-other" if draw(rare) else made.uid
    created = draw(st.sampled_from([None, START, START - timedelta(days=1)]))
    return replace(
        made, uid=uid, labels=labels, annotations=marks, created=created, deleting=draw(rare)
    )


def some_record(draw: Any, name: str, world: Snapshot) -> CNINodeState | None:
    if draw(st.integers(0, 5)) == 0:
        return None
    phase = draw(
        st.sampled_from(
            ["Pending", "Auditing", "Compatible", "Waiting", "Done", "Failed", "Blocked", "Strange"]
        )
    )
    claim = draw(st.sampled_from([None, "cure", "cure", "look"]))
    bare = state(name, claim)
    there = world.nodes.get(name, node(name))
    key = draw(st.sampled_from(["", audit_key(there, bare, POLICIES["cure"], world.config)]))
    busy: dict[str, Any] = {}
    if kind := draw(st.sampled_from(["", "", "audit", "apply"])):
        step = "Job" if kind == "audit" else "Apply"
        busy["operation"] = operation(kind, step=step, job=job_of(kind, name))
    made = state(
        name,
        claim,
        phase=phase,
        reason=draw(st.sampled_from(["", "RoutineAudit", "Unplannable", "LeaseHeld"])),
        found=draw(st.sampled_from(["0.4.0", "missing"])),
        observedGeneration=draw(st.sampled_from([-1, 1])),
        observed={"auditKey": key, "auditedAt": stamp(START)},
        **busy,
    )
    return claimed(made, draw(st.sampled_from([claim, "cure", "look"])))


def claimed(record: CNINodeState, label: str | None) -> CNINodeState:
    """The record with a label that names a policy: one that is as it should be rests."""
    labels = {names.LABEL_POLICY: label} if label else {}
    meta = record.metadata.model_copy(update={"labels": labels})
    return record.model_copy(update={"metadata": meta})


def job_of(kind: str, name: str) -> str:
    return f"{kind}-{name}"


def some_job(draw: Any, name: str, world: Snapshot) -> Snapshot:
    key = job_of(draw(st.sampled_from(["audit", "apply"])), name)
    said = draw(st.sampled_from([None, [], ["Complete"], ["Failed"]]))
    made = None
    if said is not None:
        about = {"name": key, "uid": f"{key}-uid", "labels": {names.LABEL_NODE: name}}
        spec = {"template": {"spec": {"affinity": only_on(name)}}}
        ends = [{"type": each, "status": "True"} for each in said]
        made = Job.of({"metadata": about, "spec": spec, "status": {"conditions": ends}})
    return replace(world, jobs=put(world.jobs, key, made))


def some_agent(draw: Any, name: str, world: Snapshot) -> Snapshot:
    key = job_of(draw(st.sampled_from(["audit", "apply"])), name)
    states = {"running": {"running": {}}, "ended": {"terminated": {"exitCode": 1}}}
    how = draw(st.sampled_from(["", *states]))
    pods: list[Pod] | None = None
    if how:
        patch = {
            "spec": {"nodeName": name},
            "status": {"containerStatuses": [{"state": states[how]}]},
        }
        pods = [pod(f"{key}-x", AGENTS, **patch)]
    return replace(world, agents=put(world.agents, key, pods))


def some_lease(draw: Any, name: str, world: Snapshot) -> Snapshot:
    made = None
    if holder := draw(st.sampled_from(["", "other", "cni-upgrade-operator"])):
        about = {"name": f"node-{name}", "namespace": LEASES, "uid": f"lease-{name}"}
        spec = {"holderIdentity": holder, "renewTime": stamp(START), "leaseDurationSeconds": 600}
        made = Lease.of({"metadata": about, "spec": spec})
    return replace(world, leases=put(world.leases, f"node-{name}", made))


def some_policy(draw: Any, name: str, world: Snapshot) -> Snapshot:
    which = draw(st.sampled_from(sorted(POLICIES)))
    patch = draw(
        st.sampled_from(
            [
                None,
                {},
                {"status": {"message": "told"}},
                {"spec": {"mode": "Audit"}},
                {"spec": {"mode": "Enforce"}},
                {"spec": {"rollout": {"maxUnavailable": 5, "maxParallel": 5}}},
                {"spec": {"nodeSelector": {"matchLabels": {"zone": "b"}}}},
                {"metadata": {"annotations": {names.RETRY: "1"}}},
                {"metadata": {"deletionTimestamp": stamp(START)}},
            ]
        )
    )
    known = POLICIES[which]
    made = None if patch is None else parse_policy(merged(known.to_api(), patch))
    return replace(world, policies=put(world.policies, which, made))


CHANGES: dict[str, Callable[[Any, str, Snapshot], Snapshot]] = {
    "node": lambda d, n, w: replace(w, nodes=put(w.nodes, n, some_node(d, n, w))),
    "record": lambda d, n, w: replace(w, states=put(w.states, n, some_record(d, n, w))),
    "job": some_job,
    "agent": some_agent,
    "lease": some_lease,
    "policy": some_policy,
    "clock": lambda d, n, w: replace(
        w, now=START + timedelta(hours=d(st.sampled_from([-9, 0, 1, 3, 7])))
    ),
    "error": lambda d, n, w: replace(w, errors=put(w.errors, n, d(st.sampled_from([None, "no"])))),
    "behind": lambda d, n, w: replace(
        w,
        unwritten=put(
            w.unwritten,
            n,
            Unwritten(state(n).status, w.now) if n in w.states and d(st.booleans()) else None,
        ),
    ),
    "switch": lambda d, n, w: replace(w, stopped=d(st.sampled_from(["", "a trial"]))),
    "own": lambda d, n, w: replace(w, own_node=d(st.sampled_from(["", n]))),
    "config": lambda d, n, w: replace(
        w,
        config=w.config.model_copy(update={"audit_parallel": d(st.sampled_from([1, 2, 9]))}),
    ),
}


def anew(world: Snapshot, known: Any, courses: Any, _: Any) -> Iterator[Batch]:
    """The statuses of policies, with their rollouts worked out again though nothing may have moved
    in this pass."""
    return turns(world, known, courses)


@settings(max_examples=60)
@given(st.data())
def test_a_plan_with_a_memory_is_the_plan_without_one(data: st.DataObject) -> None:
    world, memory = WORLD, PassCache()
    for name in NAMES:
        world = CHANGES["record"](data.draw, name, world)
    for _ in range(data.draw(st.integers(1, 12))):
        name, what = data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from(sorted(CHANGES)))
        world = CHANGES[what](data.draw, name, world)
        made = plan(world, memory)
        assert made == plan(world)
        assert plan(world, memory) == made  # nothing has changed since
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(policy_status, "turns", anew)
            assert plan(world) == made


def test_a_place_of_an_audit_that_ends_in_a_pass_is_for_the_next_pass() -> None:
    """The controller's own node goes last. Without a memory it took the place that came free before
    its turn; with one the pass had asked for the first in the queue, which was too early for it."""
    busy = state(
        "node-e",
        phase="Pending",
        observedGeneration=-1,
        observed={"auditKey": "", "auditedAt": stamp(START)},
        operation=operation("audit", step="Job", job=job_of("audit", "node-e")),
    )
    fresh = {name: state(name, observedGeneration=-1) for name in ("node-b", "node-d")}
    memory = PassCache()
    began = replace(WORLD, own_node="node-a", states={**fresh, "node-e": busy})
    stopped = replace(began, stopped="a trial")
    lost = replace(stopped, states=put(stopped.states, "node-b", None))
    for world in (began, stopped, lost):
        made = plan(world, memory)
        assert made == plan(world)
        assert not [act for turn in made for act in turn.decisions if isinstance(act, CreateState)]
    rests = state("node-e", phase="Pending", observedGeneration=1)
    ended = replace(lost, states=put(lost.states, "node-e", rests))
    made = plan(ended, memory)
    assert made == plan(ended)
    begun = [t.subject for t in made if any(isinstance(act, CreateState) for act in t.decisions)]
    assert begun == ["node-b", "node-c"]


def test_a_place_that_is_taken_and_not_recorded_is_free_to_the_policy_s_status() -> None:
    """The write was refused the last time: who counts goes by what is recorded."""
    cure = policy(rollout={"maxUnavailable": 5, "maxParallel": 1})
    key = audit_key(node(), state("node-a", "cure"), cure, CONFIG)
    seen = {"auditKey": key, "auditedAt": stamp(START)}
    waits = state("node-a", "cure", phase="Waiting", reason="WaitingForSlot", observed=seen)
    world = Snapshot(
        now=START,
        config=CONFIG,
        policies={"cure": cure},
        nodes={"node-a": node()},
        states={"node-a": claimed(waits, "cure")},
        errors={"node-a": "the server is on fire"},
    )
    made = plan(world)
    assert "node-a" in {turn.subject for turn in made}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(policy_status, "turns", anew)
        assert plan(world) == made


def test_a_pass_that_broke_off_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what has changed was taken in by then, and would be no news to the next pass."""
    memory = PassCache()
    plan(WORLD, memory)
    moved = replace(WORLD, nodes=put(WORLD.nodes, "node-a", node("node-a", zone="b")))

    def broken(*_: Any) -> Any:
        raise RuntimeError("a mistake of ours")

    with monkeypatch.context() as patched:
        patched.setattr(node_index, "govern", broken)
        with pytest.raises(RuntimeError):
            plan(moved, memory)
    assert plan(moved, memory) == plan(moved)


def test_what_is_another_object_or_gone_is_told() -> None:
    a, b = node("node-a"), node("node-b")
    known = {"node-a": a, "node-b": b}
    assert catch_up(known, {"node-a": a, "node-b": b}) == set()
    assert catch_up(known, {"node-a": a, "node-b": node("node-b"), "node-c": a}) == {
        "node-b",
        "node-c",
    }
    assert catch_up(known, {"node-a": a}) == {"node-b", "node-c"}
    assert known == {"node-a": a}


@given(st.lists(st.lists(st.sampled_from(NAMES), unique=True), max_size=6), st.data())
def test_whatever_comes_goes_or_is_put_in_another_order_is_told(
    orders: list[list[str]], data: st.DataObject
) -> None:
    known = dict[str, Node]()
    some = {name: [node(name), node(name)] for name in NAMES}
    for order in orders:
        now = {name: data.draw(st.sampled_from(some[name])) for name in order}
        before = dict(known)
        differ = {name for name in NAMES if before.get(name) is not now.get(name)}
        assert catch_up(known, now) == differ
        assert list(known) == order
        assert all(known[name] is now[name] for name in order)


def test_only_what_was_touched_is_worked_out_anew_and_read_by_name() -> None:
    ledger, asked = Incremental[int](), list[str]()
    worth: dict[str, int | None] = {"b": 2, "c": None}

    def work_out(name: str) -> int | None:
        asked.append(name)
        return worth[name]

    for name in ("c", "b"):
        ledger.touch(name)
    assert ledger.read(work_out) == {"b": 2}
    worth |= {"a": 1, "b": None}
    assert ledger.read(work_out) == {"b": 2}
    ledger.touch("a")
    assert list(ledger.read(work_out)) == ["a", "b"]
    ledger.touch("b")
    assert ledger.read(work_out) == {"a": 1}
    assert asked == ["b", "c", "a", "b"]


def test_what_cannot_be_worked_out_is_tried_again() -> None:
    ledger = Incremental[int]()
    ledger.touch("a")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            ledger.read(lambda name: 1 // 0)
    assert ledger.read(lambda name: 1) == {"a": 1}


def test_names_are_in_order_though_one_could_not_be_worked_out_as_another_came() -> None:
    ledger = Incremental[int]()
    ledger.touch("b")
    ledger.read(lambda name: 1)
    for name in ("a", "b"):
        ledger.touch(name)
    with pytest.raises(ZeroDivisionError):
        ledger.read(lambda name: 1 // (name == "a"))
    assert list(ledger.read(lambda name: 1)) == ["a", "b"]
