"""Makes operations: what exactly one node is asked to do, under an id that no other order has."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from cni_upgrade.agent.protocol.operation import (
    FileOrder,
    Form,
    Kind,
    Known,
    ManagedFiles,
    Operation,
    Paths,
    RewriteMode,
    Selection,
    Target,
    digest,
    operation_id,
)
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.operation_status import OperationStatus, Ordered
from cni_upgrade.api.policy import CNIUpgradePolicy, PolicySpec
from cni_upgrade.api.policy_ref import PolicyRef
from cni_upgrade.api.report import NodePaths
from cni_upgrade.planner.node import upgrade_target
from cni_upgrade.planner.node.audit_result import audit_key
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.node.manifests import HOST
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.operator_config import OperatorConfig, Preset
from cni_upgrade.planner.world.phases import UPGRADE, Step

_NOT_YET = "audit-00000000000000000000"


def _draft(node: Node, policy: CNIUpgradePolicy, paths: Paths, config: OperatorConfig) -> Operation:
    """What every order says: who is asked, and what the policy wants. As it is, it is a look."""
    return Operation(
        id=_NOT_YET,
        kind=Kind.AUDIT,
        node=node.name,
        runtime=node.runtime,
        target=_target(policy.spec),
        managed_files=ManagedFiles(policy.spec.managed_files.value),
        root=HOST,
        paths=paths,
        libcni=config.libcni(node.runtime),
    )


def audit(
    node: Node,
    state: CNINodeState,
    policy: CNIUpgradePolicy,
    preset: Preset,
    config: OperatorConfig,
    serial: int | None = None,
) -> Operation:
    """Look at the node; nothing is written.

    Its id tells all that the answer depends on: a look that was asked for before a reboot, or
    before a person's retry, is another one. `serial`: of one that was asked for already.
    """
    paths = Paths(preset.conf_dirs, preset.bin_dirs, preset.cache_dir, config.state_dir)
    draft = replace(
        _draft(node, policy, paths, config),
        readiness_for=upgrade_target.readiness_asked(policy.spec),
    )
    count = state.status.serial + 1 if serial is None else serial
    return _named(
        draft, policy.metadata.uid, node, state, count, audit_key(node, state, policy, config)
    )


def apply(
    node: Node,
    state: CNINodeState,
    policy: CNIUpgradePolicy,
    config: OperatorConfig,
    now: datetime,
) -> Operation:
    """Write what the last audit found to be due. Raises ValueError where that is nothing, or what
    no agent would take."""
    status = state.status
    files = tuple(
        FileOrder(file.name, file.sha256, file.to, file.becomes)
        for file in status.files
        if file.action == "Rewrite" and file.sha256 and file.to
    )
    paths = status.paths
    if not files or paths is None or paths.conf_dir is None:
        raise ValueError(f"node {node.name}: the last audit names nothing to write")
    draft = replace(
        _draft(node, policy, _paths(paths, paths.conf_dir, policy, config), config),
        kind=Kind.APPLY,
        files=files,
        keep=policy.spec.backup.keep,
        readiness_for=upgrade_target.readiness_asked(policy.spec),
        policy=policy.metadata.uid,
    )
    serial = status.serial + 1
    return _taken(_named(draft, policy.metadata.uid, node, state, serial, _begun(now)))


def _taken(operation: Operation) -> Operation:
    """The operation, once it reads as its agent will read it. Raises ValueError: a record that
    was edited may name what cannot be ordered, and would be found out on a cordoned node."""
    return Operation.from_json(json.loads(json.dumps(operation.to_json())))


def restore(view: NodeContext, backup: str, *, rollback: bool = False) -> Operation:
    """Put a backup back that the operation under way has made.

    `rollback`: the change made the node worse, so pods that hung before it may hang again.
    """
    current = view.operation
    given = Operation.from_json(json.loads(current.input or "{}"))
    draft = replace(given, kind=Kind.RESTORE, files=(), backup=backup, rollback=rollback)
    policy_uid = current.policy.uid if current.policy else ""
    count = view.status.serial + 1
    return _named(draft, policy_uid, view.node, view.state, count, _begun(view.now))


def give_back(
    node: Node,
    state: CNINodeState,
    status: NodeStateStatus,
    policy: CNIUpgradePolicy,
    config: OperatorConfig,
    backup: str,
    now: datetime,
    *,
    rollback: bool = False,
) -> Operation:
    """Put back a backup of before a policy. Raises ValueError where its folder is not known, or
    no agent would take the order.

    `rollback`: as of `restore`.
    """
    paths = status.paths
    if paths is None or paths.conf_dir is None:
        raise ValueError(f"node {node.name}: the last look names no folder of configs")
    draft = replace(
        _draft(node, policy, _paths(paths, paths.conf_dir, policy, config), config),
        kind=Kind.RESTORE,
        backup=backup,
        rollback=rollback,
    )
    serial = status.serial + 1
    return _taken(_named(draft, policy.metadata.uid, node, state, serial, _begun(now)))


def own_id(view: NodeContext, policy: CNIUpgradePolicy, kind: str) -> str:
    """The id of an operation for which no agent is sent: what it makes is named by it."""
    identity = f"{_identity(view.node, view.state)}/{_begun(view.now)}"
    count = view.status.serial + 1
    made = operation_id(Kind.APPLY, policy.metadata.uid, identity, kind, count)
    return f"{kind}-{made.rpartition('-')[2]}"


def upgrade(view: NodeContext, policy: CNIUpgradePolicy) -> OperationStatus:
    """The record of an operation, beginning now, during which somebody else upgrades the node."""
    return OperationStatus(
        id=own_id(view, policy, UPGRADE),
        kind=UPGRADE,
        attempt=view.status.serial + 1,
        step=Step.CORDON.value,
        policy=view.ref(policy),
        started_at=view.now,
        step_since=view.now,
        ordered=ordered(policy.spec),
    )


def opened(
    operation: Operation,
    step: Step,
    policy: PolicyRef | None,
    serial: int,
    now: datetime,
    seconds: int | None,
    wanted: PolicySpec | Ordered | None = None,
) -> OperationStatus:
    """The record of an operation that begins now. `serial` is the one that its id was made with.

    `wanted`: how the node is to be worked on, where that is more than a look.
    """
    return OperationStatus(
        id=operation.id,
        kind=operation.kind.value,
        digest=digest(operation),
        attempt=serial,
        step=step.value,
        policy=policy,
        started_at=now,
        step_since=now,
        deadline=None if seconds is None else now + timedelta(seconds=seconds),
        job=operation.id,
        input=json.dumps(operation.to_json(), separators=(",", ":")),
        ordered=ordered(wanted),
    )


def ordered(wanted: PolicySpec | Ordered | None) -> Ordered | None:
    """What of a policy holds once it is gone, for the operation that it has begun."""
    if wanted is None or isinstance(wanted, Ordered):
        return wanted
    return Ordered(
        on_failure=wanted.on_failure,
        verify=wanted.verify,
        drain=wanted.drain,
        paths=wanted.paths,
    )


def read(status: OperationStatus, node: str) -> Operation:
    """The operation as it was recorded, so that a restarted controller sends the same.

    Raises ValueError for that of another node: the record of one node sends no agent to another.
    """
    found = Operation.from_json(json.loads(status.input or "{}"))
    if found.node != node:
        raise ValueError(f"status.operation.input: expected node {node}, found {found.node}")
    return found


def planned(status: NodeStateStatus) -> str:
    """What would be written, file by file."""
    return ", ".join(
        f"{f.name}: {f.version or 'missing'} -> {f.to}"
        for f in status.files
        if f.action == "Rewrite"
    )


def _paths(
    found: NodePaths, conf_dir: str, policy: CNIUpgradePolicy, config: OperatorConfig
) -> Paths:
    """The folders that the last look has found, for one that writes."""
    known = None
    if found.source:
        known = Known(
            found.source,
            found.max_conf_num,
            found.default_network,
            found.conf_template,
            bool(found.internal_loopback),
        )
    return Paths(
        (conf_dir,),
        found.bin_dirs,
        found.cache_dir or (config.preset(policy.spec.paths) or config.auto).cache_dir,
        config.state_dir,
        # What the audit read is not mounted for those who write.
        known,
        found.delegate_dirs,
    )


def _target(spec: PolicySpec) -> Target:
    cni = spec.target.cni
    return Target(
        cni.version,
        Selection(cni.selection.value),
        RewriteMode(cni.rewrite.value),
        Form(cni.format.value),
    )


def _named(
    draft: Operation, policy_uid: str, node: Node, state: CNINodeState, count: int, told: str
) -> Operation:
    identity = f"{_identity(node, state)}/{told}"
    return replace(draft, id=operation_id(draft.kind, policy_uid, identity, digest(draft), count))


def _identity(node: Node, state: CNINodeState) -> str:
    # The record's own uid is part of it: a record that was deleted by hand starts to count anew,
    # and must not be given an old answer.
    return f"{node.uid}/{state.metadata.uid}"


def _begun(now: datetime) -> str:
    """Tells an order to write from one of before: a record that was wiped, or came back with an old
    etcd, counts the same numbers once more, and the node would answer what it did then."""
    return now.isoformat()
