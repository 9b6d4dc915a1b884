"""From an agent's report to a node's record: what was seen, and the phase to rest in."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from cni_upgrade.agent.protocol.operation import Report, Verdict
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus, Observed
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.report import FileReport
from cni_upgrade.api.report import Report as ApiReport
from cni_upgrade.api.target import Target
from cni_upgrade.cni.findings import Code, Severity
from cni_upgrade.planner.node import upgrade_target
from cni_upgrade.planner.world import retry_annotation
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.operator_config import OperatorConfig, Preset


def audit_key(
    node: Node, state: CNINodeState, policy: CNIUpgradePolicy, config: OperatorConfig
) -> str:
    """Digest of everything that an audit's answer depends on, as far as it shows without asking.

    A person's `cniupgrade.dev/retry` is part of it: another value asks for another audit.
    """
    spec = policy.spec
    preset = config.preset(spec.paths)
    asked = _asked(
        spec.target, spec.managed_files.value, preset, upgrade_target.readiness_asked(spec)
    )
    libcni = config.libcni(node.runtime) or ""
    return _digest(
        (node.uid, node.boot_id, node.runtime, node.kubelet, libcni),
        asked,
        retry_annotation.of_node(policy, state),
    )


def answered(
    node: Node, state: CNINodeState, policy: CNIUpgradePolicy, config: OperatorConfig
) -> bool:
    """Whether the node's last audit answers what the policy asks today."""
    known = state.status.observed
    return known is not None and known.audit_key == audit_key(node, state, policy, config)


def asked_of_all(policy: CNIUpgradePolicy) -> str:
    """Digest of what people ask for on each node of a policy, a retry of all included."""
    return _asked_key(policy, retry_annotation.of_all(policy))


def asked_key(policy: CNIUpgradePolicy) -> str:
    """Digest of what people want of a node, whatever else an audit's answer depends on.

    The folders that an operator's release looks at are no question of theirs, nor is the runtime
    that a node might move to one that a failed node would be tried again for.
    """
    return _asked_key(policy, "")


def _asked_key(policy: CNIUpgradePolicy, retry: str) -> str:
    spec = policy.spec
    return _asked_digest(spec.target, spec.managed_files.value, spec.paths, retry)


@lru_cache(maxsize=4096)
def _asked_digest(target: Target, managed_files: str, paths: str, retry: str) -> str:
    parts = (_words(target), managed_files, paths, retry)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


@lru_cache(maxsize=256)
def _asked(
    target: Target, managed_files: str, preset: Preset | None, readiness_for: tuple[str, ...]
) -> tuple[str, ...]:
    """A policy's part of the key, as JSON: the same for all of its nodes."""
    parts = (
        _words(target),
        managed_files,
        preset.model_dump(mode="json", exclude_defaults=True) if preset else None,
        readiness_for,
    )
    return tuple(json.dumps(part, sort_keys=True) for part in parts)


def _words(target: Target) -> dict[str, Any]:
    """The target without what has its default: a member that comes later asks nothing of nodes."""
    rest = target.model_dump(mode="json", exclude_defaults=True, exclude={"cni"})
    return {**target.cni.model_dump(mode="json", exclude_defaults=True), **rest}


@lru_cache(maxsize=32768)
def _digest(node: tuple[str, ...], asked: tuple[str, ...], retry: str) -> str:
    """The key is asked for in every pass, for every node, and hardly ever changes."""
    text = json.dumps((node, asked, retry))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def asked_again(state: CNINodeState, policy: CNIUpgradePolicy) -> bool:
    """Whether a person asks for another audit of a failed node, by a retry or another target.

    A reboot, perhaps because the node is broken now, does not ask, nor does another release.
    """
    seen = state.status.observed
    if seen is None:
        return False
    retry = retry_annotation.of_node(policy, state)
    return seen.asked_key != asked_key(policy) or seen.retry != retry


def failed(state: CNINodeState, policy: CNIUpgradePolicy) -> Observed | None:
    """The last audit's record where a change has failed since.

    Who asked before it failed did not ask because of that.
    """
    seen = state.status.observed
    if seen is None:
        return None
    return seen.model_copy(update={"retry": retry_annotation.of_node(policy, state)})


def seen(status: NodeStateStatus, report: Report) -> NodeStateStatus:
    """The status with a report's facts in it; phase, operation and history stay."""
    facts = ApiReport.model_validate(report.to_json())
    active = next((file for file in facts.files if file.active), None)
    update: dict[str, Any] = {name: getattr(facts, name) for name in ApiReport.model_fields}
    update["found"] = None if active is None else _found(active, facts)
    update["target"] = None if active is None else active.to
    return status.model_copy(update=update)


_NO_CONFIG = frozenset(
    {
        Code.UNPARSABLE,
        Code.INVALID,
        Code.BAD_VERSION,
        Code.CRASHES,
        Code.TEMPLATE_NOT_RENDERED,
    }
)
"""Findings about a file of which libcni reads nothing, its version included."""


def _found(active: FileReport, facts: ApiReport) -> str:
    """The version as people count it; a file without one may just as well be no config at all."""
    about = (finding for finding in facts.findings if finding.component == active.name)
    codes = {finding.code for finding in about if finding.severity == Severity.FAULT}
    if active.version is not None:
        return active.version
    if codes & {Code.FILE_UNREADABLE, Code.TOO_DEEP}:
        return "unreadable"
    return "invalid" if codes & _NO_CONFIG else "missing"


def observed(
    node: Node, key: str, asked: str, retries: str, at: datetime | None, truncated: bool
) -> Observed:
    """What the audit was made from; `at` is None for one that brought no answer."""
    return Observed(
        audit_key=key,
        asked_key=asked,
        retry=retries,
        audited_at=at,
        boot_id=node.boot_id,
        runtime_version=node.runtime,
        kubelet_version=node.kubelet,
        ready_since=node.ready_since,
        truncated=truncated,
    )


def verdict_phase(report: Report) -> tuple[Phase, str, str]:
    """(phase, reason, message) in which a node rests after an audit."""
    faults = [f for f in report.findings if f.severity == "Fault"]
    worst = faults[0] if faults else None
    match report.verdict:
        case Verdict.COMPATIBLE:
            active = next((f for f in report.files if f.active), None)
            found = f"{active.name} is at {active.version or 'no version'}" if active else ""
            text = f"nothing to do: {active.why}" if active and active.why else "nothing to do"
            if report.baseline.delete is False:  # by what was cached at ADD: no file cures that
                text = f"nothing to write, but {report.baseline.delete_why or 'deleting fails'}"
            return Phase.COMPATIBLE, "Compatible", f"{found}; {text}" if found else text
        case Verdict.REWRITE:
            return Phase.WAITING, "ChangeNeeded", planned(report)
        case Verdict.MANAGED:
            # Where to mend it is what a person needs here, rather than what a rewrite would do.
            owned = next((f for f in report.findings if f.code == "Managed"), None)
            writer = next((f.managed_by for f in report.files if f.managed_by), "another program")
            said = worst or owned
            text = _said(said) if said else f"written by {writer}"
            return Phase.MANAGED_ELSEWHERE, "ManagedElsewhere", _with_action(text, owned or worst)
        case Verdict.NO_CONFIG:
            text = _said(worst) if worst else "no CNI config was found"
            return Phase.BLOCKED, "NoConfig", _with_action(text, worst)
        case Verdict.NOT_CNI:
            text = report.after.why or "pods of this node get their network without CNI"
            return Phase.COMPATIBLE, "NotCni", text
        case _:
            refused = next((f.why for f in report.files if f.action == "Refuse"), None)
            text = _said(worst) if worst else refused or "cannot be done safely"
            return Phase.BLOCKED, worst.code if worst else "Refused", _with_action(text, worst)


def _said(finding: Any) -> str:
    """What a finding says, with the file or plugin that it is about."""
    about, message = str(finding.component), str(finding.message)
    return message if about in message else f"{about}: {message}"


def _with_action(text: str, finding: Any) -> str:
    return f"{text}; {finding.action}" if finding is not None and finding.action else text


def planned(report: Report) -> str:
    """What would be written, file by file."""
    return ", ".join(
        f"{f.name}: {f.version or 'missing'} -> {f.to}" + (f" as {f.becomes}" if f.becomes else "")
        for f in report.files
        if f.action == "Rewrite"
    )
