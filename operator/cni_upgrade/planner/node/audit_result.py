"""From an agent's report to a node's record: what was seen, and the phase to rest in."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from cni_upgrade.agent.protocol.operation import Report, Verdict
from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus, Observed
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.report import FileReport
from cni_upgrade.api.report import Report as ApiReport
from cni_upgrade.api.target import CniTarget
from cni_upgrade.cni.findings import Code, Severity
from cni_upgrade.planner.world import retry_annotation
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.operator_config import OperatorConfig, Preset


def audit_key(
    node: Node, state: CNINodeState, policy: CNIUpgradePolicy, config: OperatorConfig
) -> str:
    """Digest of everything that an audit's answer depends on, as far as it shows without asking.

    A person's `cniupgrade.dev/retry` is part of it: another value asks for a new look. In a
    record of before it stands as it was annotated, and answers as long as nothing else is asked.
    """
    known, values = state.status.observed, retry_annotation.annotated(policy, state)
    if known is not None and values != (None, None):
        before = _look_key(node, policy, config, values)
        if before == known.audit_key:
            return before
    return _look_key(node, policy, config, _retries(policy, state))


def _retries(policy: CNIUpgradePolicy, state: CNINodeState) -> tuple[str | None, str | None]:
    """The digests of a policy and of one of its nodes, as keys are made with them."""
    of_policy, _, of_record = retry_annotation.of_node(policy, state).partition("/")
    return of_policy or None, of_record or None


def _look_key(
    node: Node, policy: CNIUpgradePolicy, config: OperatorConfig, retries: tuple[str | None, ...]
) -> str:
    spec = policy.spec
    asked = _asked(
        spec.target.cni, spec.managed_files.value, config.preset(spec.paths), spec.readiness_for
    )
    # Where nothing is said of the runtime the key is what it was before that could be.
    carried = filter(None, (config.libcni(node.runtime),))
    return _digest(
        (node.uid, node.boot_id, node.runtime, node.kubelet, *carried),
        asked,
        retries,
    )


def answered(
    node: Node, state: CNINodeState, policy: CNIUpgradePolicy, config: OperatorConfig
) -> bool:
    """Whether the node's last audit answers what the policy asks today."""
    known = state.status.observed
    return known is not None and known.audit_key == audit_key(node, state, policy, config)


def asked_of_all(policy: CNIUpgradePolicy) -> str:
    """Digest of what people ask for on each node of a policy, a retry of all included."""
    return _asked_key(policy, (retry_annotation.of_all(policy) or None,))


def same_of_all(policy: CNIUpgradePolicy, known: str, asked: str) -> bool:
    """Whether that was on record already, perhaps since before a retry was kept by its digest."""
    annotated = policy.metadata.annotations.get(names.RETRY)
    return known in (asked, _asked_key(policy, (annotated,)))


def asked_key(policy: CNIUpgradePolicy) -> str:
    """Digest of what people want of a node, whatever else an audit's answer depends on.

    The folders that an operator's release looks at are no question of theirs, nor is the runtime
    that a node might move to one that a failed node would be tried again for.
    """
    # Retries stood here before they were told apart; a digest without them stays as it was.
    return _asked_key(policy, (None, None))


def _asked_key(policy: CNIUpgradePolicy, retries: tuple[str | None, ...]) -> str:
    spec = policy.spec
    return _asked_digest(spec.target.cni, spec.managed_files.value, spec.paths, retries)


@lru_cache(maxsize=4096)
def _asked_digest(
    target: CniTarget, managed_files: str, paths: str, retries: tuple[str | None, ...]
) -> str:
    parts = (_words(target), managed_files, paths, *retries)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


@lru_cache(maxsize=256)
def _asked(
    target: CniTarget, managed_files: str, preset: Preset | None, readiness_for: tuple[str, ...]
) -> tuple[str, ...]:
    """A policy's part of the key, as JSON: the same for all of its nodes."""
    parts = (
        _words(target),
        managed_files,
        preset.model_dump(mode="json", exclude_defaults=True) if preset else None,
        readiness_for,
    )
    return tuple(json.dumps(part, sort_keys=True) for part in parts)


_ALWAYS = frozenset({"version", "selection", "rewrite"})


def _words(target: CniTarget) -> dict[str, Any]:
    """The target without members that came later and have their default.

    Those of the beginning always: the API server keeps what was their default when the policy was
    made, and another default of today changes nothing about it.
    """
    said = target.model_dump(mode="json", exclude_defaults=True)
    return {name: word for name, word in target.to_api().items() if name in _ALWAYS or name in said}


@lru_cache(maxsize=32768)
def _digest(node: tuple[str, ...], asked: tuple[str, ...], retries: tuple[str | None, ...]) -> str:
    """The key is asked for in every pass, for every node, and hardly ever changes."""
    parts = (*map(json.dumps, node), *asked, *map(json.dumps, retries))
    return hashlib.sha256(f"[{', '.join(parts)}]".encode()).hexdigest()[:20]


def asked_again(
    node: Node, state: CNINodeState, policy: CNIUpgradePolicy, config: OperatorConfig
) -> bool:
    """Whether a person asks for another look at a failed node, by a retry or another target.

    A reboot, perhaps because the node is broken now, does not ask, nor does another release.
    """
    seen = state.status.observed
    if seen is None:
        return False
    if seen.retry is None and _asked_before(seen, state, policy):
        return False
    if seen.asked_key != asked_key(policy):
        return True
    if seen.retry is None:
        # The API server does not keep it where the CRDs are those of before: a failing change would
        # be tried without end if the look that was asked for did not answer.
        return not answered(node, state, policy, config)
    return seen.retry != retry_annotation.of_node(policy, state)


def _asked_before(seen: Observed, state: CNINodeState, policy: CNIUpgradePolicy) -> bool:
    """Whether a record of before says that today's question was asked, its retries included."""
    return seen.asked_key == _asked_key(policy, retry_annotation.annotated(policy, state))


def of_today(
    node: Node, state: CNINodeState, policy: CNIUpgradePolicy, config: OperatorConfig
) -> Observed | None:
    """The last look's record with digests, where it was made with the values that are annotated.

    None where nothing is to be put down: what it was made with shows only while it is annotated.
    """
    known, values = state.status.observed, retry_annotation.annotated(policy, state)
    if known is None or values == (None, None):
        return None
    update: dict[str, Any] = {}
    if known.audit_key == _look_key(node, policy, config, values):
        update["audit_key"] = _look_key(node, policy, config, _retries(policy, state))
    if known.retry is None and _asked_before(known, state, policy):
        update["asked_key"] = asked_key(policy)
    if not update:
        return None
    return known.model_copy(update={**update, "retry": retry_annotation.of_node(policy, state)})


def failed(state: CNINodeState, policy: CNIUpgradePolicy) -> Observed | None:
    """The last look's record where a change has failed since.

    Who asked before it failed did not ask because of that.
    """
    seen = state.status.observed
    if seen is None:
        return None
    update = {"retry": retry_annotation.of_node(policy, state)}
    if seen.retry is None and _asked_before(seen, state, policy):
        update["asked_key"] = asked_key(policy)
    return seen.model_copy(update=update)


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
