"""What should happen next, for every node and policy: a pure function of the snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.planner.node import cordon, node_lease
from cni_upgrade.planner.node.context import Move, NodeContext, moved
from cni_upgrade.planner.node.orphaned_agents import Writer
from cni_upgrade.planner.node.start_request import Refusal, StartGate, StartRequest
from cni_upgrade.planner.pass_cache import IdleResult, PassCache
from cni_upgrade.planner.restore import policy_restore
from cni_upgrade.planner.rollout.may_start import RolloutPass, all_rollouts
from cni_upgrade.planner.rollout.waves import Waves
from cni_upgrade.planner.status import deleted_node, policy_status, unreadable_policy
from cni_upgrade.planner.status.deferred_writes import LONGEST
from cni_upgrade.planner.status.node_record import finished, new_state, written
from cni_upgrade.planner.steps import dispatch, garbage, idle, unplannable
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.decisions import Claim, CreateState, Decision, DeleteJob, DeleteState
from cni_upgrade.planner.world.errors import NONSENSE, why
from cni_upgrade.planner.world.kubernetes_objects import Node, Pod
from cni_upgrade.planner.world.phases import ROTATION, ROUTINE, UNPLANNABLE
from cni_upgrade.planner.world.snapshot import Snapshot

_AHEAD = 4
"""For so many places of audits one record is begun ahead, for a place that becomes free: made only
then it would keep the place empty for a pass."""
_MOST_MOVES = 20
"""Steps that a node may take in one pass without anything to do; more would be a circle."""


def plan(world: Snapshot, memory: PassCache | None = None) -> tuple[Batch, ...]:
    """Every turn that has something to do; policies last, they count what the nodes decided.

    `memory`: of the passes before this one, which spares time and changes nothing.
    """
    return tuple(_turns(world, memory or PassCache()))


def _turns(world: Snapshot, memory: PassCache) -> Iterator[Batch]:
    if world.denied:
        # Half a view is no view: what we may not list would look as if it were not there.
        yield from policy_restore.let_go_turns(world)
        yield from policy_status.turns(world)
        yield from unreadable_policy.turns(world)
        return
    roster, agents = memory.begin(world), memory.agents
    going = policy_restore.all_leaving(world)
    courses, failed = all_rollouts(world, roster, (each.places for each in going.values()))
    refused: dict[str, Refusal] = {
        uid: ("PolicyUnplannable", f"the policy cannot be acted on: {why(error)}")
        for uid, error in failed.items()
    }
    looking = agents.looking(world.states)
    audits, rotating = len(looking), 0
    operations = []
    for record in roster.busy.values():
        if (operation := record.status.operation) is not None:
            operations.append(operation)
            audits += operation.kind == "audit"
            rotating += _rotating(record.status)
    newer: dict[str, CNINodeState] = {}
    decided = dict(world.states)
    writing, hanging = agents.writing(), garbage.hanging(world)
    disturbed = {*writing, *hanging, *world.unwritten, *_leased(world)}
    places = world.config.audit_parallel
    # Counted once: a place that comes free in this pass is for the next one. Else it would go to a
    # node later in the order than one that was passed over, which only a whole look would find.
    begin = places + -(-places // _AHEAD) - audits - len(roster.fresh)
    rank = _rank(world, [each.waves for each in courses.values()])
    due: Iterable[str] = world.nodes.keys()
    # Where a deleted policy gives back, every node may have something to do.
    if not going:
        apart = memory.turns() | disturbed
        due = apart | memory.first(begin, rank) | memory.lines.called(courses, rank, apart)
    for node in [world.nodes[name] for name in sorted(due, key=rank) if name in world.nodes]:
        state = world.states.get(node.name)
        if node.deleting:
            if state is not None and (status := deleted_node.ended(node, state, world)) is not None:
                decided[node.name] = state.model_copy(update={"status": status})
                yield Batch(node.name, tuple(written(world, state, status)))
            continue
        governance = roster.governance(node.name)
        asker = policy_restore.asker(node, state, going, world.now) if going else None
        if state is None:
            if governance.policy is not None or (asker and node.name not in writing):
                # Its record begins when it is soon to be looked at: until then there is nothing to
                # say of it that the policy's status does not.
                if begin <= 0:
                    memory.queue_up(node)
                    continue
                begin -= 1
                body = new_state(node, governance, world)
                yield Batch(node.name, (CreateState(node.name, body),))
            elif (back := cordon.give_back(node)) is not None:
                yield from _ungoverned(world, node, back, writing.get(node.name))
            elif not going:
                memory.pass_over(node)
            continue
        if state.spec.node_uid != node.uid:
            yield _replaced(world, state)
            continue
        may_audit = audits < places or node.name in looking
        rests = state.status.operation is None and not going and node.name not in disturbed
        if rests and not may_audit and node.name in roster.fresh and _young(state, world):
            continue
        calm = memory.calm(node, state, world.now) if rests else None
        if calm is not None and calm.queues and may_audit:
            calm = None
        if calm is not None and calm.told is None:
            continue
        uid = governance.policy.metadata.uid if governance.policy else ""
        course = courses.get(uid)
        gate = StartGate(partial(_take, course, refused.get(uid), node.name))
        if calm is not None and calm.told is not None and gate(calm.told[0]) == calm.told[1]:
            memory.keep(calm, course)
            continue
        view = NodeContext(
            world=world,
            node=node,
            state=state,
            status=state.status,
            governance=governance,
            may_audit=may_audit,
            may_rotate=rotating < world.config.reaudit_parallel,
            writer=writing.get(node.name),
            leaving=policy_restore.of(state, governance, going),
            asker=asker,
            gate=gate,
            begin=partial(_begin, course, node.name),
        )
        move, status = _contained(view, hanging.get(node.name, ()))
        before, began = state.status.operation, move.status.operation
        if began is not None and began.kind == "audit" and before is None:
            audits += node.name not in looking
            rotating += _rotating(move.status)
        elif began is None and before is not None and before.kind == "audit":
            # Its place is the next one's, unless its agent may still be there.
            audits -= not agents.looks(before.job)
        if status is not state.status:
            decided[node.name] = state.model_copy(update={"status": status})
            if node.name not in world.errors:
                # What could not be written the last time is not counted before it is.
                newer[node.name] = decided[node.name]
        if status.operation is not None:
            operations.append(status.operation)
        decisions = (*written(world, state, status), *move.acts)
        if any(isinstance(act, Claim) for act in move.acts):
            # A claim is guarded by the version that a status written before it would change. So
            # it has a turn of its own, after that which ends an operation for the old policy.
            ended = move.status != state.status
            decisions = tuple(written(world, state, status)) if ended else move.acts
        if decisions:
            yield Batch(node.name, decisions)
        elif rests and status.reason != UNPLANNABLE:
            until, queues = idle.calm_until(view), idle.queues(view)
            memory.keep(IdleResult(node, state, world.now, until, queues, gate.told), course)
    yield from garbage.turns(world, operations, agents, decided, writing)
    seen = replace(world, states={**world.states, **newer})
    roster.go_on(newer)
    held = tuple(policy_restore.turns(seen, going))
    yield from held
    # Two writes on one policy, each guarded by its version: the second would be refused.
    taken = {turn.subject for turn in held}
    # Where nothing has moved, the rollouts are where they were.
    still = not (newer or going or any(each.moved for each in courses.values()))
    told = policy_status.turns(seen, roster, courses, (courses, failed) if still else None)
    yield from (turn for turn in told if turn.subject not in taken)
    yield from unreadable_policy.turns(world)


def _rank(world: Snapshot, waves: Sequence[Waves]) -> Callable[[str], tuple[bool, int, str]]:
    """How nodes have their turn: by their place in a rollout, then by their names.

    The controller's own node goes last: if it is lost, the others are done.
    """
    orders, own = [each.order for each in waves], world.own_node

    def rank(name: str) -> tuple[bool, int, str]:
        for order in orders:
            if (place := order.get(name)) is not None:
                return name == own, place, name
        return name == own, 0, name

    return rank


def _young(state: CNINodeState, world: Snapshot) -> bool:
    """Whether a record has hardly begun: it need not say yet that it waits for its place."""
    created = state.metadata.creation_timestamp
    return created is not None and abs(world.now - created) < LONGEST


def _leased(world: Snapshot) -> set[str]:
    """The nodes on which anybody has a Lease."""
    there = world.leases
    return {name for name in world.nodes if node_lease.name(name) in there} if there else set()


def _ungoverned(
    world: Snapshot, node: Node, back: Decision, writer: Writer | None
) -> Iterator[Batch]:
    """A node without policy and record that still carries our cordon: it is given back."""
    if writer is not None:
        lease = node_lease.take(node, world) if cordon.ours(node) else ()
        acts: tuple[Decision, ...] = (*writer.take_back(), *lease)
        if acts:
            yield Batch(node.name, acts)
    elif not node_lease.relied_on(node, world):
        yield Batch(node.name, (back,))


def _replaced(world: Snapshot, state: CNINodeState) -> Batch:
    """The record is of a node that is gone; what was sent to that one must not reach this one."""
    operation = state.status.operation
    job = world.jobs.get(operation.job or "") if operation else None
    sent = (DeleteJob(job.name, job.uid),) if job is not None and not job.deleting else ()
    return Batch(state.metadata.name, (*sent, DeleteState(state.metadata.name, state.metadata.uid)))


def _take(
    course: RolloutPass | None, refused: Refusal | None, node: str, wish: StartRequest
) -> Refusal | None:
    if course is None:
        return refused
    return course.take(node, wish.drained, writes=wish.writes, doubt=wish.doubt)


def _begin(course: RolloutPass | None, node: str) -> str:
    return "" if course is None else course.begin(node)


def _rotating(status: NodeStateStatus) -> bool:
    """Whether the node is being audited though nobody has asked for it."""
    return status.operation is not None and status.reason in (ROTATION, ROUTINE)


def _contained(view: NodeContext, hanging: Sequence[Pod]) -> tuple[Move, NodeStateStatus]:
    """The node's move, and its status with all that follows from that.

    A record that makes no sense stops its own node, and no other.
    """
    try:
        move = node_lease.kept(view, _advance(view))
        operation = move.status.operation
        if move.status.reason == UNPLANNABLE and operation is not None:
            # It can be again: the reason is what is being done, not what once could not be done.
            move = Move(move.status.model_copy(update={"reason": operation.step}), move.acts)
        return move, finished(view, move.status, hanging)
    except NONSENSE as error:
        move = unplannable.move(view, error)
        return move, finished(view, move.status, hanging)


def _advance(view: NodeContext) -> Move:
    """Move on until there is something to do or to wait for."""
    for _ in range(_MOST_MOVES):
        busy = view.status.operation is not None
        move = dispatch.next_move(view) if busy else idle.next_move(view)
        if move.acts or move.status is view.status or move.status == view.status:
            return move
        view = moved(view, move.status)
    raise RuntimeError(
        f"node {view.node.name}: no end after {_MOST_MOVES} moves, at {view.status.phase} "
        f"({view.status.reason})"
    )
