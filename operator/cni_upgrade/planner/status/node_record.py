"""A node's record: how it begins, what follows from its status, and what is written of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.api.base import Model
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.policy import Mode
from cni_upgrade.api.policy_ref import PolicyRef
from cni_upgrade.planner.node.agent_job import pausing
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.node.context import NodeContext, moved
from cni_upgrade.planner.status import node_conditions, node_events
from cni_upgrade.planner.status.deferred_writes import may_wait
from cni_upgrade.planner.steps import garbage
from cni_upgrade.planner.world.decisions import Decision, KeepStatus, SetStatus
from cni_upgrade.planner.world.governance import Governance
from cni_upgrade.planner.world.kubernetes_objects import Node, Pod
from cni_upgrade.planner.world.merge_patch import merge_patch
from cni_upgrade.planner.world.phases import GOOD
from cni_upgrade.planner.world.snapshot import Snapshot


def new_state(node: Node, governance: Governance, world: Snapshot) -> dict[str, Any]:
    """The body of the record that a node begins with; an Enforce policy claims the node in it."""
    acting = governance.policy
    policy = acting.metadata.name if acting else ""
    spec: dict[str, Any] = {"nodeUID": node.uid}
    if acting is not None and acting.spec.mode == Mode.ENFORCE:
        ref = PolicyRef(name=policy, uid=acting.metadata.uid, since=world.now)
        spec["policyRef"] = ref.to_api()
    labels = {names.LABEL_POLICY: policy} if 0 < len(policy) <= 63 else {}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.NODE_STATE_KIND,
        "metadata": {
            "name": node.name,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "name": node.name,
                    "uid": node.uid,
                    # True is refused under OwnerReferencesPermissionEnforcement.
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": spec,
    }


def finished(view: NodeContext, status: NodeStateStatus, hanging: Sequence[Pod]) -> NodeStateStatus:
    """The status with all that follows from the rest of it."""
    watchers = view.governance.watchers
    acting = view.policy.metadata.name if view.policy else None
    status = status.model_copy(
        update={
            "observed_generation": view.state.metadata.generation,
            "phase_since": status.phase_since
            if status.phase == view.state.status.phase
            else view.now,
            "policies": tuple(name for name in watchers if name != acting)
            if view.state.spec.policy_ref
            else watchers,
            "leftovers": garbage.describe_garbage(hanging, status),
        }
    )
    conditions = node_conditions.conditions(
        status,
        view.state.status.conditions,
        view.state.metadata.generation,
        view.now,
        outdated=_outdated(view, status),
    )
    return status.model_copy(update={"conditions": conditions})


def _outdated(view: NodeContext, status: NodeStateStatus) -> bool:
    """Whether a good node waits for a look that may find it to be good no more."""
    if view.policy is None or status.next_attempt_at is None or status.phase not in GOOD:
        return False
    if pausing(moved(view, status)):
        return False
    seen, key = status.observed, audit_key(view.node, view.state, view.policy, view.world.config)
    return seen is None or seen.audit_key != key


def written(world: Snapshot, state: CNINodeState, status: NodeStateStatus) -> Iterator[Decision]:
    """What brings a record to this status, at once or later, and the Events that tell of it."""
    name = state.metadata.name
    behind = world.unwritten.get(name)
    recorded = behind.recorded if behind else state.status
    moved_on = status is not state.status and status != state.status
    if behind is None and not moved_on:
        pass
    elif status == recorded:
        yield KeepStatus(name, status)
    elif may_wait(recorded, status, behind.since if behind else world.now, world.now):
        if moved_on:
            yield KeepStatus(name, status)
    elif patch := _changes(recorded, status):
        yield SetStatus(names.NODE_STATE_KIND, name, patch)
    yield from node_events.news(state, status)


def _changes(old: Model, new: Model) -> dict[str, Any]:
    return merge_patch(old.to_api(), new.to_api())
