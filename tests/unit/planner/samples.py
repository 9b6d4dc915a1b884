"""Small values of everything that the planner reads, for tests of one function at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from cni_upgrade.agent.protocol.operation import Kind, Operation, Outcome, Report, Result
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.parse import parse_node_state, parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.limits.max_unavailable import Budget
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world.governance import Governance
from cni_upgrade.planner.world.kubernetes_objects import Job, Lease, Node, Pod
from cni_upgrade.planner.world.node_affinity import only_on
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.planner.api_model import merged, stamp
from tests.unit.planner.cluster_model import AGENTS, CONFIG, START
from tests.unit.planner.node_model import SimNode

NOW = START
ID = "apply-0123456789abcdef0123"


def node(
    name: str = "node-a", *, ready: str = "True", cordoned: bool = False, **labels: str
) -> Node:
    return Node.of(
        {
            "metadata": {"name": name, "uid": f"{name}-uid", "labels": labels},
            "spec": {"unschedulable": cordoned},
            "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "nodeInfo": {"containerRuntimeVersion": "containerd://1.7.0"},
            },
        }
    )


def policy(name: str = "cure", uid: str = "", **spec: Any) -> CNIUpgradePolicy:
    return parse_policy(
        {
            "metadata": {"name": name, "uid": uid or f"{name}-uid", "generation": 1},
            "spec": {"nodeSelector": {}, "mode": "Enforce", **spec},
        }
    )


def budget(
    of: CNIUpgradePolicy,
    nodes: Iterable[Node],
    states: Iterable[CNINodeState] = (),
    working: Iterable[str] = (),
) -> Budget:
    """The places of a policy that selects these nodes."""
    there = {each.name: each for each in nodes}
    down = [each.name for each in there.values() if each.down]
    return Budget(of, there, down, {each.metadata.name: each for each in states}, working)


def state(name: str = "node-a", claim: str | None = None, **status: Any) -> CNINodeState:
    """A node state; status members as the API has them."""
    ref = {"policyRef": {"name": claim, "uid": f"{claim}-uid"}} if claim else {}
    return parse_node_state(
        {
            "metadata": {"name": name, "uid": f"{name}-state", "generation": 1},
            "spec": {"nodeUID": f"{name}-uid", **ref},
            "status": status,
        }
    )


def member(
    name: str = "node-a",
    *,
    seen: bool = True,
    ready: str = "True",
    cordoned: bool = False,
    labels: Any = (),
    made: CNIUpgradePolicy | None = None,
    **status: Any,
) -> RolloutMember:
    """A node that policy cure governs, or `made`; without a record where no status is said."""
    record = state(name, "cure", **status) if status else None
    there = node(name, ready=ready, cordoned=cordoned, **dict(labels))
    return RolloutMember.of(there, record, seen, made or policy(), CONFIG)


def operation(kind: str = "apply", **more: Any) -> dict[str, Any]:
    name = f"{kind}-0123456789abcdef0123"
    ref = {"name": "cure", "uid": "cure-uid"}
    return {"id": name, "kind": kind, "job": name, "step": "Apply", "policy": ref, **more}


def pod(name: str = "web", namespace: str = "default", **patch: Any) -> Pod:
    """A running pod of a ReplicaSet on node-a, changed by a merge patch of its raw members."""
    raw = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{name}-uid",
            "ownerReferences": [{"kind": "ReplicaSet", "controller": True}],
        },
        "spec": {"nodeName": "node-a"},
        "status": {"phase": "Running"},
    }
    return Pod.of(merged(raw, patch))


UNSCHEDULED: dict[str, Any] = {
    "spec": {"nodeName": None, "affinity": only_on("node-a")},
    "status": {"phase": "Pending"},
}
"""What a pod of ours for node-a differs in before the scheduler has bound it."""


DELETED = {"deletionTimestamp": stamp(NOW)}


def agent(message: str | None = None, code: int = 0, **status: Any) -> Pod:
    """An agent's pod, ended with a message or still running."""
    ended = {"terminated": {"exitCode": code, "reason": "Completed", "message": message}}
    states = [{"state": {"running": {}} if message is None else ended}]
    spec = {"affinity": only_on("node-a")}
    return pod(f"{ID}-x", AGENTS, spec=spec, status={"containerStatuses": states, **status})


def job(*conditions: str, name: str = ID) -> Job:
    said = [{"type": c, "status": "True", "reason": "DeadlineExceeded"} for c in conditions]
    made = {"metadata": {"name": name, "uid": "job-uid"}, "status": {"conditions": said}}
    return Job.of({**made, "spec": {"template": {"spec": {"affinity": only_on("node-a")}}}})


def lease(holder: str, ago: int = 0, seconds: int = 600) -> Lease:
    """The Lease on node-a, renewed so many seconds ago, and valid for so many from then on."""
    spec = {
        "holderIdentity": holder,
        "renewTime": stamp(NOW - timedelta(seconds=ago)),
        "leaseDurationSeconds": seconds,
    }
    return Lease.of({"metadata": {"name": "node-node-a", "uid": "lease-uid"}, "spec": spec})


def report(disk: SimNode) -> Report:
    return disk.report(Operation(ID, Kind.APPLY, disk.name, disk.runtime), ())


def result(outcome: Outcome = Outcome.DONE, **more: Any) -> Result:
    return Result(**{"id": ID, "kind": Kind.APPLY, "node": "node-a", "outcome": outcome, **more})


def view(
    kind: str = "apply", seconds_left: int = 60, ready: str = "True", **world: Any
) -> NodeContext:
    """Node-a at work at a step with so many seconds left, after a look that `policy()` asks for."""
    end = stamp(NOW + timedelta(seconds=seconds_left))
    seen = {"auditKey": audit_key(node(), state(), policy(), CONFIG)}
    record = state(operation=operation(kind, id=ID, job=ID, deadline=end), observed=seen)
    return NodeContext(
        world=Snapshot(now=NOW, config=CONFIG, **world),
        node=node(ready=ready),
        state=record,
        status=record.status,
        governance=Governance(None, (), ()),
        may_audit=True,
        may_rotate=True,
        writer=None,
        leaving=None,
        asker=None,
        gate=lambda _: None,
        begin=lambda: "",
    )
