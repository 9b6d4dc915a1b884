"""What the Events of a node state tell: only what is news, for the record has it all."""

from __future__ import annotations

from collections.abc import Iterator

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api import names
from cni_upgrade.api.drift import DriftStatus
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.node import drift
from cni_upgrade.planner.node.applied_change import RESTORED
from cni_upgrade.planner.node.operations import planned
from cni_upgrade.planner.world.decisions import Emit
from cni_upgrade.planner.world.phases import AT_WORK, FAILED

_QUIET = frozenset({Phase.PENDING, Phase.AUDITING, Phase.WAITING})
"""Phases that are not worth an Event each time, but for a node whose change was called off."""

_BAD = FAILED | {Phase.BLOCKED, Phase.MANAGED_ELSEWHERE}


def news(state: CNINodeState, status: NodeStateStatus) -> Iterator[Emit]:
    """The Events of a node that goes from what its state says to this status."""
    before = state.status

    def emit(good: bool, reason: str, text: str) -> Emit:
        name, uid = state.metadata.name, state.metadata.uid
        return Emit(names.NODE_STATE_KIND, name, uid, "Normal" if good else "Warning", reason, text)

    if status.phase != before.phase and not _seen_before(before, status):
        if status.phase not in _QUIET:
            yield emit(status.phase not in _BAD, str(status.phase), _change_message(status))
        elif before.phase in AT_WORK - _QUIET and not _restored(before, status):
            yield emit(True, *_called_off(before, status))
    known, seen = (each.drift or DriftStatus() for each in (before, status))
    if seen.found and seen.found[-1:] != known.found[-1:]:
        told = [entry.message for entry in status.history if entry.kind == drift.KIND]
        if told:
            yield emit(False, "Drift", told[-1])
    settled = status.changed.restored if status.changed else None
    if status.changed and settled and settled != (before.changed and before.changed.restored):
        good = settled == RESTORED
        yield emit(good, settled if good else "NotRestored", status.changed.message)


def _seen_before(before: NodeStateStatus, now: NodeStateStatus) -> bool:
    """Whether a look found what the one before it had found: every six hours, on every node."""
    found = [(s.verdict, s.found, s.target, s.findings) for s in (before, now)]
    return before.phase == Phase.AUDITING and before.observed is not None and found[0] == found[1]


def _change_message(status: NodeStateStatus) -> str:
    """What an Event says of a phase: what is done in it, rather than what is waited for first."""
    last = status.history[-1] if status.history else None
    if status.phase == Phase.APPLYING and status.operation is not None:
        return f"{planned(status)} (operation {status.operation.id})"
    if status.phase == Phase.PROVING and last is not None:
        return f"written: {last.message} (backup {last.backup}); to be proved with pods"
    return status.message


def _restored(before: NodeStateStatus, now: NodeStateStatus) -> bool:
    """Whether it ends the giving back of a node, of which an Event of its own tells."""
    given_back = before.operation is not None and before.operation.kind == Kind.RESTORE
    return given_back and now.changed is not None and now.changed.restored is not None


def _called_off(before: NodeStateStatus, now: NodeStateStatus) -> tuple[str, str]:
    """(phase, why): as the operation ended, for the node may be on its way again by now."""
    ending = before.operation.ending if before.operation else None
    return (ending.phase, ending.message) if ending else (str(now.phase), now.message)
