"""What must hold of the order and the hours of a rollout, whatever fails, as in invariants.py.

They are worked out apart from the planner where that is possible: a window by looking at each of
its minutes, a soak by the time at which each canary was last worked on, the order from labels.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cni_upgrade.api import names
from cni_upgrade.api.duration import seconds
from cni_upgrade.api.parse import parse_node_state
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.window import MaintenanceWindow
from cni_upgrade.planner.index.node_index import NodeIndex
from cni_upgrade.planner.index.ordering import ZONE
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.limits.max_unavailable import changing
from cni_upgrade.planner.rollout.waves import plan_of
from cni_upgrade.planner.world import decisions as d
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.governance import matches
from cni_upgrade.planner.world.phases import FAILED
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.planner.api_model import merged
from tests.unit.planner.invariants import Carried, matched_by, share

_WELL = ("Done", "Compatible")
_LOOKED_AT = ("Auditing", "Pending", "Waiting", "Blocked", "ManagedElsewhere")


@dataclass
class Logbook:
    """What happened so far, as far as these rules need to know."""

    well: dict[str, datetime] = field(default_factory=dict)
    """By node: since when it is well, nothing having been done to it since."""
    passed: set[str] = field(default_factory=set)
    """Plans whose canary has passed, and we have seen that it was right."""
    quiet: dict[str, CNIUpgradePolicy] = field(default_factory=dict)
    """By node: the policy for which a change began, where nothing has happened since."""
    finished: set[tuple[str, str, str]] = field(default_factory=set)
    """(plan, order, wave) of waves that were finished, and we have seen that it was right."""


def check_course(event: Carried, book: Logbook) -> None:
    """Every rule of this file, after one decision."""
    _note_well(event, book)
    _note_progress(event, book)
    _ends_in_a_window(event, book)
    _touches_in_a_window(event)
    if event.began is None or event.gives_back:
        return
    _within_a_window(event)
    if isinstance(event.decision, d.SetStatus):
        book.quiet[event.decision.name] = event.policy
    if event.began.operation is not None and event.began.operation.kind == "prove":
        return  # What is written is proved whatever its wave: all others wait for that.
    _one_of_a_doubt(event)
    if not _canary_first(event, book):
        _wave_after_wave(event, book)


def _one_of_a_doubt(event: Carried) -> None:
    """Of nodes of which the same is not known none begins beside another one before a proof."""
    policy, disks = event.policy, event.cluster.disks
    own = disks[event.decision.name] if isinstance(event.decision, d.SetStatus) else None
    if own is None or not own.doubt or not policy.spec.verify.proof:
        return
    under_way: list[str] = []
    for name, disk in disks.items():
        state = event.cluster.state(name)
        if name == own.name or disk.doubt != own.doubt or state is None:
            continue
        status = parse_node_state(state).status
        last, operation = status.last_change, status.operation
        if last is not None and (last.outcome, last.policy) == ("Done", policy.metadata.uid):
            return
        uid = operation.policy.uid if operation is not None and operation.policy else ""
        if operation is not None and operation.kind == "apply" and uid == policy.metadata.uid:
            under_way.append(name)
    assert not under_way, f"{own.name} began, and {', '.join(under_way)} is not proved"


def _note_well(event: Carried, book: Logbook) -> None:
    decision = event.decision
    if isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState":
        state = event.cluster.state(decision.name)
        phase = state["status"].get("phase", "Pending") if state else ""
        if phase in _WELL:
            book.well.setdefault(decision.name, event.world.now)
        elif phase not in _LOOKED_AT:
            book.well.pop(decision.name, None)


def _note_progress(event: Carried, book: Logbook) -> None:
    """A policy that says that a canary has passed, or which wave is reached, says the truth."""
    decision = event.decision
    if not (isinstance(decision, d.SetStatus) and decision.kind == "CNIUpgradePolicy"):
        return
    policy = event.world.policies[decision.name]
    written = event.cluster.policy(decision.name)["status"].get("rollout")
    if policy.metadata.deletion_timestamp or policy.spec.mode != "Enforce" or not written:
        return
    plan = plan_of(policy)
    if written["plan"] != plan:
        return  # Written for a policy that was changed meanwhile: it counts for nothing.
    passed = policy.spec.rollout.canary and (written.get("canary") or {}).get("passedAt")
    if passed and plan not in book.passed:
        _soaked(event, policy, book)
        book.passed.add(plan)
    waves = _waves(event.world, policy)
    titles = [wave.name for wave in waves]
    if written["wave"] in titles:
        for number, wave in enumerate(waves[: titles.index(written["wave"])]):
            _finished(policy, wave, set(titles[number + 1 :]), book)


@dataclass(frozen=True)
class Wave:
    """Nodes that are changed together, in their order."""

    name: str
    members: tuple[RolloutMember, ...]


def _waves(world: Snapshot, policy: CNIUpgradePolicy) -> list[Wave]:
    """The waves that have a node, as docs/explanation/rollout.md describes them."""
    order = policy.spec.rollout.order
    left = list(NodeIndex(world).members(policy).values())
    if order.by == "Name":
        return [Wave("all nodes", tuple(sorted(left, key=lambda m: m.node.name)))]
    groups: list[tuple[str, list[RolloutMember]]]
    if order.by == "Zone":
        zones = sorted({zone for m in left if (zone := m.node.labels.get(ZONE))})
        groups = [(f"zone {z}", [m for m in left if m.node.labels.get(ZONE) == z]) for z in zones]
    elif order.by == "Label" and order.label is not None:
        key, values = order.label.key, order.label.values
        groups = [(f"{key}={v}", [m for m in left if m.node.labels.get(key) == v]) for v in values]
    else:
        groups = [
            (f"selector {n}", [m for m in left if matches(selector, m.node.labels)])
            for n, selector in enumerate(order.selectors, 1)
        ]
    groups.append(("no zone" if order.by == "Zone" else "others", left))
    waves, taken, never = [], set[str](), datetime.min.replace(tzinfo=UTC)
    for name, group in groups:
        fresh = [m for m in group if m.node.name not in taken]
        fresh.sort(key=lambda m: (m.node.created or never, m.node.name))
        taken |= {m.node.name for m in fresh}
        waves += [Wave(name, tuple(fresh))] if fresh else []
    return waves


def check_order(world: Snapshot, turns: Iterable[Batch]) -> None:
    """In one pass no node begins while one that is before it in the order, and could, goes on
    waiting. The controller's own node goes last."""
    begins: dict[str, str] = {}
    busy: set[str] = set()
    for turn in turns:
        for decision in turn.decisions:
            match decision:
                case d.SetStatus(kind=names.NODE_STATE_KIND, name=name, status=patch):
                    operation = patch.get("operation") or {}
                    ref = world.states[name].spec.policy_ref
                    if operation.get("kind") in ("apply", "prove") and ref is not None:
                        begins[name] = ref.uid
                    busy |= {name} if "phase" in patch else set()
                case d.KeepStatus(name=name, status=status):
                    busy |= {name} if status.phase != "Waiting" else set()
                case d.Emit():
                    pass
                case _:
                    busy.add(turn.subject)
    for name, uid in begins.items():
        policy = next(p for p in world.policies.values() if p.metadata.uid == uid)
        if (
            world.nodes[name].ready != "True"
            or name == world.own_node
            or _let_first(world, policy, name)
        ):
            continue
        order = [m for wave in _waves(world, policy) for m in wave.members]
        for member in order[: [m.node.name for m in order].index(name)]:
            passed = (
                member.node.name in busy
                or not _has_a_turn(world, policy, member, name)
                or _after_its_like(world, policy, member, begins)
            )
            assert passed, f"{name} begins before {member.node.name}, which could"


def _let_first(world: Snapshot, policy: CNIUpgradePolicy, name: str) -> bool:
    """Whether a node goes before others whatever the order: a canary, or one to be proved."""
    status, canary = world.states[name].status, policy.spec.rollout.canary
    last = status.last_change
    if last is not None and last.outcome == "Unproved":
        return True
    return canary is not None and (canary.node_selector is not None or bool(status.canary))


def _has_a_turn(
    world: Snapshot, policy: CNIUpgradePolicy, member: RolloutMember, other: str
) -> bool:
    """Whether nothing about the node itself, nor about who else has a say, keeps it from going."""
    node, state = member.node, member.state
    if not _could_begin(member) or state is None or not member.seen or node.name == world.own_node:
        return False
    if state.status.next_attempt_at is not None or state.status.reason == "Unplannable":
        return False
    if any(lease.name == f"node-{node.name}" for lease in world.leases.values()):
        return False
    rivals = [p for p in world.policies.values() if p.metadata.uid != policy.metadata.uid]
    if any(matches(p.spec.node_selector, node.labels) for p in rivals):
        return False
    drains = [
        (after := each.status.after) is not None and bool(after.needs_drain)
        for each in (state, world.states[other])
    ]
    return drains[0] == drains[1] or not policy.spec.rollout.windows


def _after_its_like(
    world: Snapshot, policy: CNIUpgradePolicy, member: RolloutMember, begins: Collection[str]
) -> bool:
    """Whether another node, of which the same is not known, goes first and is not proved yet."""
    if not member.doubt or not policy.spec.verify.proof:
        return False
    like = [m for m in NodeIndex(world).members(policy).values() if m.doubt == member.doubt]
    lasts = [m.state.status.last_change for m in like if m.state]
    if any(
        last and last.policy == policy.metadata.uid and last.outcome == "Done" for last in lasts
    ):
        return False
    return any(
        m.failed or m.unproved or changing(m.state) or m.node.name in begins
        for m in like
        if m.node.name != member.node.name
    )


def _finished(policy: CNIUpgradePolicy, wave: Wave, later: set[str], book: Logbook) -> None:
    """Nothing of it is worked on or could begin, unless it came after the wave was finished."""
    key = plan_of(policy), policy.spec.rollout.order.model_dump_json(), wave.name
    reached = policy.status.rollout
    if reached is not None and reached.plan == key[0] and reached.wave in later:
        book.finished.add(key)  # A later one was reached before this one had a node.
    if key in book.finished:
        return
    for member in wave.members:
        assert not changing(member.state), f"{member.node.name} of {wave.name} is worked on"
        assert not _could_begin(member), f"{member.node.name} of {wave.name} waits for its turn"
    book.finished.add(key)


def _could_begin(member: RolloutMember) -> bool:
    there = member.node.ready != "Unknown" and not member.node.unschedulable
    return there and member.state is not None and member.state.status.phase == "Waiting"


def _canary_first(event: Carried, book: Logbook) -> bool:
    """Before the canary has passed only canaries begin, and never more than are wanted."""
    policy = event.policy
    spec, plan = policy.spec.rollout.canary, plan_of(policy)
    known = policy.status.rollout
    # A policy that is made again, or comes back to a target, has its canary once more.
    canary = known.canary if known is not None and known.plan == plan else None
    kept = canary is not None and canary.passed_at is not None
    if (
        spec is None
        or (kept and plan in book.passed)
        or not isinstance(event.decision, d.SetStatus)
    ):
        return False
    name = event.decision.name
    if spec.node_selector is not None:
        if matches(spec.node_selector, event.world.nodes[name].labels):
            return True
    else:
        state = event.cluster.state(name)
        if state is not None and state["status"].get("canary") == plan:
            marked = [m.node.name for m in _canaries(event, policy)]
            most = share(spec.nodes or 1, len(matched_by(event)))
            again = name in marked
            assert again or len(set(marked) | _begun(event, plan)) <= most, f"{marked} and {name}"
            return True
    _soaked(event, policy, book)
    book.passed.add(plan)
    return False


def _begun(event: Carried, plan: str) -> set[str]:
    """Canaries by what is recorded now, of nodes that the planner saw."""
    return {
        state["metadata"]["name"]
        for state in event.cluster.states()
        if state["status"].get("canary") == plan
        and (state["spec"].get("policyRef") or {}).get("uid") == event.policy.metadata.uid
        and state["metadata"]["name"] in matched_by(event)
    }


def _canaries(event: Carried, policy: CNIUpgradePolicy) -> Iterator[RolloutMember]:
    spec = policy.spec.rollout.canary
    for member in NodeIndex(event.world).members(policy).values():
        mark = member.state.status.canary if member.state else ""
        if spec is not None and spec.node_selector is not None:
            if matches(spec.node_selector, member.node.labels):
                yield member
        elif mark == plan_of(policy):
            yield member


def _soaked(event: Carried, policy: CNIUpgradePolicy, book: Logbook) -> None:
    """There is a canary, each is well and Ready, and was so for the whole soak."""
    spec = policy.spec.rollout.canary
    assert spec is not None
    canaries = list(_canaries(event, policy))
    assert canaries, "a canary that nobody is has passed"
    for member in canaries:
        name, phase = member.node.name, member.state.status.phase if member.state else "Pending"
        assert phase not in FAILED, f"canary {name} is {phase}"
        assert member.node.ready == "True", f"canary {name} is not Ready"
        since = book.well.get(name)
        assert since is not None, f"canary {name} ({phase}) was never well"
        soak = timedelta(seconds=seconds(spec.soak))
        assert event.world.now - since >= soak, f"canary {name} is well only since {since}"


def _wave_after_wave(event: Carried, book: Logbook) -> None:
    """No node begins while an earlier wave has one that is worked on or could begin."""
    assert isinstance(event.decision, d.SetStatus)
    waves = _waves(event.world, event.policy)
    number = next(
        n
        for n, wave in enumerate(waves)
        if any(m.node.name == event.decision.name for m in wave.members)
    )
    titles = [wave.name for wave in waves]
    for earlier in range(number):
        _finished(event.policy, waves[earlier], set(titles[earlier + 1 :]), book)


def _within_a_window(event: Carried) -> None:
    """What begins could end, by its deadlines, before the windows close: minute by minute."""
    spec, world = event.policy.spec, event.world
    if not spec.rollout.windows or not isinstance(event.decision, d.SetStatus):
        return
    # An audit's answer and what begins because of it may be one write.
    known = world.states[event.decision.name].status.to_api()
    after = merged(known, event.decision.status).get("after") or {}
    needed = spec.drain.policy == "IfRequired" and after.get("needsDrain")
    need = (
        2 * (world.config.apply_deadline_seconds + 60)
        if spec.on_failure == "Rollback"
        else (world.config.apply_deadline_seconds + 60)
    )
    need += seconds(spec.drain.deadline) if spec.drain.policy == "Always" or needed else 0
    need += seconds(spec.verify.deadline) * (5 if spec.verify.proof else 1)
    if spec.verify.proof and spec.verify.soak:
        need += seconds(spec.verify.soak) + 2 * seconds(spec.verify.deadline)
    minutes = range(0, need + 60, 60)
    at = next((m for m in minutes if not _open(spec.rollout.windows, world.now, m, need)), None)
    assert at is None, f"a change of {need} s began, and in {at} s the windows are closed"


def _ends_in_a_window(event: Carried, book: Logbook) -> None:
    """What nothing has disturbed ends, really, before the windows of its policy close."""
    decision = event.decision
    if not isinstance(decision, d.SetStatus) or decision.kind != names.NODE_STATE_KIND:
        return
    state = event.cluster.state(decision.name)
    if decision.name not in book.quiet or (state and changing(parse_node_state(state))):
        return
    windows = book.quiet.pop(decision.name).spec.rollout.windows
    assert not windows or _open(windows, event.world.now, 0, 1), f"{decision.name} ended too late"


def _touches_in_a_window(event: Carried) -> None:
    """The first that is done to a node for a change is done while a window of its policy is open:
    the cordon, the first eviction, or the agent that writes."""
    decision = event.decision
    if not isinstance(decision, d.Cordon | d.Evict):
        return
    raw = event.cluster.state(decision.node)
    operation = parse_node_state(raw).status.operation if raw else None
    seen = event.world.states[decision.node].status.operation
    first = seen is None or seen.step == "Cordon" or (seen.step == "Drain" and not seen.blockers)
    if operation is None or operation.policy is None or operation.drained or not first:
        return
    if operation.step not in ("Cordon", "Drain"):
        return
    uid = operation.policy.uid
    for policy in event.world.policies.values():
        windows = policy.spec.rollout.windows if policy.metadata.uid == uid else ()
        assert not windows or _open(windows, event.world.now, 0, 1), "touched outside a window"


def _open(windows: tuple[MaintenanceWindow, ...], now: datetime, later: int, need: int) -> bool:
    """Whether any window is open so many seconds from now, at the last moment that counts."""
    instant = now + timedelta(seconds=min(later, need) - (1 if later >= need else 0))
    return any(
        _opens(window.schedule, instant.replace(second=0) - timedelta(minutes=back))
        and instant - instant.replace(second=0) + timedelta(minutes=back)
        < timedelta(seconds=seconds(window.duration))
        for window in windows
        for back in range(seconds(window.duration) // 60 + 1)
    )


def _opens(schedule: str, minute: datetime) -> bool:
    """Whether a schedule names this minute; of the fields only the first two are not stars."""
    first, second, *others = schedule.split()
    assert others == ["*", "*", "*"], schedule
    return _takes(first, minute.minute) and _takes(second, minute.hour)


def _takes(part: str, value: int) -> bool:
    every = re.fullmatch(r"\*/(\d+)", part)
    return part == "*" or (value % int(every[1]) == 0 if every else value == int(part))
