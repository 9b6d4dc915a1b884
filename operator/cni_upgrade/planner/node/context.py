"""One node in one pass of the planner: all that its next move may depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.operation_status import Ending, OperationStatus, Ordered
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, PolicySpec
from cni_upgrade.api.policy_ref import PolicyRef
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.node.orphaned_agents import Writer
from cni_upgrade.planner.node.restore_request import RestoreRequest
from cni_upgrade.planner.node.start_request import Refusal, StartRequest
from cni_upgrade.planner.world.decisions import Decision
from cni_upgrade.planner.world.governance import Governance
from cni_upgrade.planner.world.kubernetes_objects import Node, Pod
from cni_upgrade.planner.world.phases import PHASE_OF, Step
from cni_upgrade.planner.world.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class NodeContext:
    """A node, its record as moved so far, who governs it, and whether it may begin something."""

    world: Snapshot
    node: Node
    state: CNINodeState
    status: NodeStateStatus
    governance: Governance
    may_audit: bool
    """A place for one more audit is free."""
    may_rotate: bool
    """A place is free for one that looks though nobody has asked for it."""
    writer: Writer | None
    """An agent that may write here, though at rest no operation stands for it."""
    leaving: RestoreRequest | None
    """The deleted policy for which the node is still to get back what stood there before."""
    asker: CNIUpgradePolicy | None
    """The deleted policy that has the node looked at, as no record says what it changed there."""
    gate: Callable[[StartRequest], Refusal | None]
    """Why no such change may begin on this node now, as (reason, message), or None; asked last."""
    begin: Callable[[], str]
    """Notes that a change begins; its mark where the node goes first as a canary, or nothing."""

    @property
    def now(self) -> datetime:
        return self.world.now

    @property
    def policy(self) -> CNIUpgradePolicy | None:
        return self.governance.policy

    @property
    def operation(self) -> OperationStatus:
        """The operation under way; only asked for where there is one."""
        if self.status.operation is None:
            raise LookupError(f"node {self.node.name}: no operation is under way")
        return self.status.operation

    @property
    def settings(self) -> PolicySpec | Ordered | None:
        """How the policy on whose behalf the node is worked on wants it; as it was, once it is
        gone."""
        policy = self.orderer
        return policy.spec if policy is not None else self.operation.ordered

    @property
    def orderer(self) -> CNIUpgradePolicy | None:
        """The policy on whose behalf the node is worked on, while it exists."""
        ref = self.operation.policy
        return self.world.policy_by(ref.uid) if ref else None

    @property
    def job(self) -> str:
        """Name of the Job that carries the operation out: its id, with a number when sent again."""
        return self.operation.job or self.operation.id

    def ref(self, policy: CNIUpgradePolicy) -> PolicyRef:
        """What a record says of a policy that has to do with it from now on."""
        return PolicyRef(name=policy.metadata.name, uid=policy.metadata.uid, since=self.now)

    @property
    def our_cordon(self) -> bool:
        return cordon.ours(self.node)

    @property
    def silent(self) -> bool:
        """The kubelet does not answer: what runs there may still run, and nothing can be sent."""
        return self.node.ready == "Unknown"

    def agents(self) -> tuple[Pod, ...]:
        """The pods of the present operation's Job on this node."""
        pods = self.world.agents.get(self.job, ())
        return tuple(pod for pod in pods if pod.for_node == self.node.name)

    def proof(self, name: str | None) -> Pod | None:
        """The proof pod of that name on this node; one on another node proves nothing here."""
        pod = self.world.proofs.get(name) if name else None
        return pod if pod is not None and pod.for_node == self.node.name else None

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why the API server does not take the Job: its last word, else what is on record of it."""
        refusal = self.world.errors.get(self.node.name)
        return (refusal,) if refusal else self.operation.blockers

    @property
    def listing(self) -> str:
        """Said while the node's pods are not known."""
        error = self.world.unlisted.get(self.node.name)
        refused = f"; the last try was refused: {error}" if error else ""
        return f"the node's pods are being listed{refused}"

    def late(self) -> bool:
        """Whether the present step's deadline has passed."""
        deadline = self.operation.deadline
        return deadline is not None and self.now >= deadline


@dataclass(frozen=True, slots=True)
class Move:
    """What a node does next: its record, then the acts, in this order."""

    status: NodeStateStatus
    acts: tuple[Decision, ...] = ()


def with_operation(status: NodeStateStatus, **changes: Any) -> NodeStateStatus:
    """The status with some members of its operation changed."""
    if status.operation is None:
        raise LookupError("no operation is under way")
    return status.model_copy(update={"operation": status.operation.model_copy(update=changes)})


def at_rest(view: NodeContext, phase: Phase, reason: str, message: str) -> Move:
    """Rest in a phase, and say why."""
    update = {"phase": phase, "reason": reason, "message": message}
    return Move(view.status.model_copy(update=update))


def at_step(
    view: NodeContext, step: Step, message: str, seconds: int | None = None, **changes: Any
) -> Move:
    """Move the operation on to a step that may take so many seconds (None: as long as it takes)."""
    status = with_operation(
        view.status,
        step=step.value,
        step_since=view.now,
        deadline=None if seconds is None else view.now + timedelta(seconds=seconds),
        blockers=(),
        **changes,
    )
    phase = PHASE_OF.get(step, view.status.phase)
    return Move(
        status.model_copy(update={"phase": phase, "reason": step.value, "message": message})
    )


def wait(view: NodeContext, message: str, *acts: Decision, blockers: tuple[str, ...] = ()) -> Move:
    """Stay where we are, say what for, and do what it takes."""
    status = with_operation(view.status, blockers=blockers)
    if acts and (error := view.world.errors.get(view.node.name)):
        message = f"{message}; the last try was refused: {error}"
    return Move(status.model_copy(update={"message": message}), acts)


def release(view: NodeContext, phase: Phase, reason: str, message: str) -> Move:
    """End the operation: give the node back first, then rest in `phase`."""
    ending = Ending(phase=phase, reason=reason, message=message)
    status = with_operation(
        view.status, step=Step.RELEASE.value, step_since=view.now, deadline=None, ending=ending
    )
    return Move(status.model_copy(update={"message": f"giving the node back; {message}"}))


def moved(view: NodeContext, status: NodeStateStatus) -> NodeContext:
    """The same pass after a move."""
    return replace(view, status=status)
