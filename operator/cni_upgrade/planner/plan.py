"""What should happen next, for every node and policy: a pure function of the snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.audit_slots import WaitingForAuditSlot
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
from cni_upgrade.planner.world.phases import UNPLANNABLE
from cni_upgrade.planner.world.snapshot import Snapshot

_MOST_MOVES = 20
"""Steps that a node may take in one pass without anything to do; more would be a circle."""


def plan(world: Snapshot, memory: PassCache | None = None) -> tuple[Batch, ...]:
    """Returns every batch that has something to do; policies last: they count what nodes decided.

    `memory`: the cache of the passes before this one. It spares time and changes no plan.
    """
    if world.denied:
        # What the controller may not list would look as if it were not there.
        return (
            *policy_restore.let_go_turns(world),
            *policy_status.turns(world),
            *unreadable_policy.turns(world),
        )
    return tuple(_Pass(world, memory or PassCache()).batches())


class _Pass:
    """One pass: each node that is due, then garbage, then the policies."""

    def __init__(self, world: Snapshot, cache: PassCache) -> None:
        self.world, self.cache = world, cache
        self.index, self.agents = cache.begin(world), cache.agents
        self.restoring = policy_restore.all_leaving(world)
        restore_slots = (each.places for each in self.restoring.values())
        self.rollouts, self.failed = all_rollouts(world, self.index, restore_slots)
        self.refused: dict[str, Refusal] = {
            uid: ("PolicyUnplannable", f"the policy cannot be acted on: {why(error)}")
            for uid, error in self.failed.items()
        }
        self.slots = WaitingForAuditSlot(world, self.index, self.agents)
        busy = (record.status.operation for record in self.index.busy.values())
        self.operations = [operation for operation in busy if operation is not None]
        self.decided = dict(world.states)
        self.newer: dict[str, CNINodeState] = {}
        self.writing, self.hanging = self.agents.writing(), garbage.hanging(world)
        self.disturbed = {*self.writing, *self.hanging, *world.unwritten, *_leased(world)}

    def batches(self) -> Iterator[Batch]:
        """Every batch of the pass, in order."""
        for node in self._due():
            yield from self._node(node)
        yield from garbage.turns(
            self.world, self.operations, self.agents, self.decided, self.writing
        )
        yield from self._policies()

    def _due(self) -> list[Node]:
        """The nodes that may have something to do, in the order in which they get slots."""
        nodes, cache = self.world.nodes, self.cache
        rank = _rank(self.world, [each.waves for each in self.rollouts.values()])
        due: Iterable[str] = nodes.keys()
        # Where a deleted policy restores, every node may have something to do.
        if not self.restoring:
            apart = cache.turns() | self.disturbed
            first = cache.first(self.slots.records, rank)
            due = apart | first | cache.lines.called(self.rollouts, rank, apart)
        return [nodes[name] for name in sorted(due, key=rank) if name in nodes]

    def _node(self, node: Node) -> Iterator[Batch]:
        world, state = self.world, self.world.states.get(node.name)
        if node.deleting:
            if state is not None and (status := deleted_node.ended(node, state, world)) is not None:
                self.decided[node.name] = _with(state, status)
                yield Batch(node.name, tuple(written(world, state, status)))
        elif state is None:
            yield from self._without_record(node)
        elif state.spec.node_uid != node.uid:
            yield _replaced(world, state)
        else:
            yield from self._with_record(node, state)

    def _without_record(self, node: Node) -> Iterator[Batch]:
        governance, asker = self.index.governance(node.name), self._asker(node, None)
        if governance.policy is not None or (asker and node.name not in self.writing):
            # Its record begins when it is soon to be audited: until then there is nothing to
            # say of it that the policy's status does not.
            if self.slots.begin_record():
                body = new_state(node, governance, self.world)
                yield Batch(node.name, (CreateState(node.name, body),))
            else:
                self.cache.queue_up(node)
        elif (back := cordon.give_back(node)) is not None:
            yield from _ungoverned(self.world, node, back, self.writing.get(node.name))
        elif not self.restoring:
            self.cache.pass_over(node)

    def _with_record(self, node: Node, state: CNINodeState) -> Iterator[Batch]:
        may_audit = self.slots.free_for(node.name)
        rests = (
            state.status.operation is None
            and not self.restoring
            and node.name not in self.disturbed
        )
        if rests and not may_audit and node.name in self.index.fresh and _young(state, self.world):
            return
        rollout, gate = self._gate(node)
        if rests and self._still_idle(node, state, gate, may_audit=may_audit):
            return
        context = self._context(node, state, gate, may_audit=may_audit)
        move, status = _contained(context, self.hanging.get(node.name, ()))
        self.slots.moved(node.name, state.status, move.status)
        if status is not state.status:
            self._decide(state, status)
        if status.operation is not None:
            self.operations.append(status.operation)
        decisions = _decisions(self.world, state, status, move)
        if decisions:
            yield Batch(node.name, decisions)
        elif rests and status.reason != UNPLANNABLE:
            until, queues = idle.calm_until(context), idle.queues(context)
            found = IdleResult(node, state, self.world.now, until, queues, gate.told)
            self.cache.keep(found, rollout)

    def _still_idle(
        self, node: Node, state: CNINodeState, gate: StartGate, *, may_audit: bool
    ) -> bool:
        """Whether what an earlier pass found of an idle node still holds."""
        known = self.cache.calm(node, state, self.world.now)
        if known is None or (known.queues and may_audit):
            return False
        if known.told is None:
            return True
        asked, answer = known.told
        if gate(asked) != answer:
            return False
        self.cache.keep(known, self._rollout(node))
        return True

    def _context(
        self, node: Node, state: CNINodeState, gate: StartGate, *, may_audit: bool
    ) -> NodeContext:
        governance = self.index.governance(node.name)
        return NodeContext(
            world=self.world,
            node=node,
            state=state,
            status=state.status,
            governance=governance,
            may_audit=may_audit,
            may_rotate=self.slots.may_rotate,
            writer=self.writing.get(node.name),
            leaving=policy_restore.of(state, governance, self.restoring),
            asker=self._asker(node, state),
            gate=gate,
            begin=partial(_begin, self._rollout(node), node.name),
        )

    def _asker(self, node: Node, state: CNINodeState | None) -> CNIUpgradePolicy | None:
        """The deleted policy that asks this node what it has changed there."""
        if not self.restoring:
            return None
        return policy_restore.asker(node, state, self.restoring, self.world.now)

    def _rollout(self, node: Node) -> RolloutPass | None:
        return self.rollouts.get(self._policy_uid(node))

    def _policy_uid(self, node: Node) -> str:
        policy = self.index.governance(node.name).policy
        return policy.metadata.uid if policy else ""

    def _gate(self, node: Node) -> tuple[RolloutPass | None, StartGate]:
        """The rollout of the node's policy, and what says whether the node may start in it."""
        rollout, refused = self._rollout(node), self.refused.get(self._policy_uid(node))
        return rollout, StartGate(partial(_take, rollout, refused, node.name))

    def _decide(self, state: CNINodeState, status: NodeStateStatus) -> None:
        """Count what a node's record will say."""
        name = state.metadata.name
        self.decided[name] = _with(state, status)
        if name not in self.world.errors:
            # What could not be written the last time is not counted before it is.
            self.newer[name] = self.decided[name]

    def _policies(self) -> Iterator[Batch]:
        world, rollouts = self.world, self.rollouts
        seen = replace(world, states={**world.states, **self.newer})
        self.index.go_on(self.newer)
        held = tuple(policy_restore.turns(seen, self.restoring))
        yield from held
        # Two writes on one policy, each guarded by its version: the second would be refused.
        taken = {batch.subject for batch in held}
        moved = self.newer or self.restoring or any(each.moved for each in rollouts.values())
        # Where nothing has moved, the rollouts are where they were.
        unmoved = None if moved else (rollouts, self.failed)
        statuses = policy_status.turns(seen, self.index, rollouts, unmoved)
        yield from (batch for batch in statuses if batch.subject not in taken)
        yield from unreadable_policy.turns(world)


def _with(state: CNINodeState, status: NodeStateStatus) -> CNINodeState:
    return state.model_copy(update={"status": status})


def _decisions(
    world: Snapshot, state: CNINodeState, status: NodeStateStatus, move: Move
) -> tuple[Decision, ...]:
    """What a move writes.

    A claim is guarded by the version that a status written before it would change. So it has a
    batch of its own, after that which ends an operation for the old policy.
    """
    if not any(isinstance(act, Claim) for act in move.acts):
        return (*written(world, state, status), *move.acts)
    ended = move.status != state.status
    return tuple(written(world, state, status)) if ended else move.acts


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
