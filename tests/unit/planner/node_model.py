"""One simulated node: its CNI file, what works with it, and the agent that reads and writes it.

The rules are tiny on purpose. They are not the agent's (those have tests of their own): they give
the planner reports of every kind and make the cluster behave as the reports say, or otherwise
where a test says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from cni_upgrade.agent.protocol.operation import (
    Action,
    After,
    Baseline,
    Change,
    FileReport,
    FoundPaths,
    Kind,
    Operation,
    OperationError,
    Outcome,
    ReadinessReport,
    Report,
    Result,
    RuntimeReport,
    Selection,
    Standing,
    StandingFile,
    Verdict,
)
from cni_upgrade.cni.findings import Finding, Severity

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
FILE = "10-net.conflist"


@dataclass(frozen=True)
class Made:
    """One backup: for which policy, of which bytes and version, and what was written then."""

    id: str
    policy: str
    before: str
    version: str | None
    to: str
    after: str


@dataclass
class SimNode:
    """What is on the node's disk, and how its runtime and plugins take it."""

    name: str
    version: str | None
    """cniVersion of the one config; None where it is missing."""
    runtime: str = "containerd://1.6.20"
    most: str = "1.0.0"
    """The highest version that runtime and plugins take."""
    add_without_version: bool = True
    """Whether a pod is added with a config that has no version (CRI-O: no). DEL never is."""
    cached_del: bool = False
    """Pods added without a version stay undeletable: the runtime deletes with what it cached."""
    drain_for: frozenset[str] = frozenset()
    """Versions that pods which run now could not be deleted at."""
    managed_by: str | None = None
    no_config: bool = False
    surprise: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    """(ADD, DEL) as they really are at a version, where the report does not know."""
    doubt: str = ""
    """What is not known of the node at its target, and a proof would tell."""
    not_ready: str = ""
    """Why pods would not work there under the runtime to reach, so that it is not ready."""
    silent: bool = False
    refuses: str = ""
    """The code with which an apply is refused for what no audit sees."""
    faults: list[str] = field(default_factory=list)
    """What goes wrong with the next agents, one each: see Kubelet."""
    writes: list[str] = field(default_factory=list)
    """Every write of the file: `missing -> 1.0.0 by apply-..`"""
    results: dict[str, Result] = field(default_factory=dict)
    backups: dict[str, str | None] = field(default_factory=dict)
    edits: int = 0
    made: list[Made] = field(default_factory=list)
    """The backups that are not given back, the oldest first."""
    unreadable: bool = False
    """The newest backup cannot be read."""
    lie: Callable[[dict[str, Any]], str] | None = None
    """The message that its agents leave in place of the result's document."""
    ours: set[str] = field(default_factory=set)
    """SHA-256 of everything that an agent saved or wrote."""

    def works(self, version: str | None) -> tuple[bool, bool]:
        """(ADD, DEL) as a report would say: F1, F2, or all well."""
        if self.no_config:
            return False, False
        if version is None:
            return self.add_without_version, False
        fits = VERSIONS.index(version) <= VERSIONS.index(self.most)
        return fits, fits

    def adds(self) -> bool:
        """Whether ADD works, really."""
        return self.surprise.get(self.version or "", self.works(self.version))[0]

    def deletes(self, added: str) -> bool:
        """Whether the DEL of a pod works, really, that was added at a version (`missing`)."""
        if self.cached_del and added == "missing":
            return False
        return self.surprise.get(self.version or "", self.works(self.version))[1]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self.version}/{self.edits}".encode()).hexdigest()

    def edit(self, version: str | None) -> None:
        """Somebody else writes the file."""
        self.version, self.edits = version, self.edits + 1

    def put_back(self, version: str | None) -> None:
        """Somebody else writes the file, and always the same."""
        self.version, self.edits = version, -1

    def reach(self, operation: Operation) -> str | None:
        """The version to write, or None where the target cannot be taken."""
        target = operation.target
        if VERSIONS.index(target.version) <= VERSIONS.index(self.most):
            return target.version
        return None if target.selection is Selection.EXACT else self.most

    def report(self, operation: Operation, pods: Sequence[str]) -> Report:
        """What the agent finds; `pods` are the versions at which the running ones were added."""
        to = self.reach(operation)
        add, delete = self.works(self.version)
        if pods and to in self.drain_for and operation.target.selection is Selection.EXACT:
            # A drain would hang: first a version that deletes those pods.
            lower = [v for v in VERSIONS[: VERSIONS.index(to)] if v not in self.drain_for]
            to = to if delete else lower[-1]
        healthy = to is not None and self.version == to
        action, verdict, why = Action.REWRITE, Verdict.REWRITE, "the highest that all take"
        findings: list[Finding] = []
        if self.doubt:
            findings.append(
                Finding("CheckUnproved", Severity.WARNING, FILE, self.doubt, "have it proved")
            )
        if healthy:
            action, verdict = Action.NONE, Verdict.COMPATIBLE
        elif self.managed_by and operation.managed_files == "Skip":
            action, verdict = Action.MANAGED, Verdict.MANAGED
        elif to is None:
            why = f"a plugin takes {self.most} at most, not {operation.target.version}"
            action, verdict = Action.REFUSE, Verdict.BLOCKED
        if not delete and self.version is None:
            findings.append(
                Finding("F1", Severity.FAULT, FILE, "F1: the version is empty", "give it one")
            )
        elif not delete and not self.no_config:
            text = f"F2: a plugin takes {self.most} at most"
            findings.append(Finding("F2", Severity.FAULT, FILE, text, "lower it"))
        found = FileReport(
            name=FILE,
            sha256=self.sha256,
            kind="conflist",
            network="net",
            version=self.version,
            active=True,
            plugins=("bridge",),
            to=to if action is not Action.REFUSE else None,
            action=action,
            why=why,
            managed_by=self.managed_by,
        )
        stuck = self.cached_del and "missing" in pods
        strands = bool(pods) and to in self.drain_for and not healthy
        name, _, version = self.runtime.partition("://")
        return Report(
            runtime=RuntimeReport(name, version, None, None),
            paths=FoundPaths("/etc/cni/net.d", ("/opt/cni/bin",), "/var/lib/cni"),
            files=() if self.no_config else (found,),
            plugins=(),
            sandboxes=Counter(pods),
            baseline=Baseline(add, delete, None, None if delete else "DEL fails"),
            after=After(
                add=True,
                delete=True,
                existing_delete=not (stuck or strands),
                # Where deleting is broken today a drain would hang, and is not asked for.
                needs_drain=strands and delete,
                why="pods that run now cannot be deleted afterwards" if stuck or strands else None,
            ),
            verdict=Verdict.NO_CONFIG if self.no_config else verdict,
            findings=tuple(findings),
            readiness=tuple(
                ReadinessReport(wanted, not self.not_ready, self.not_ready)
                for wanted in operation.readiness_for
            ),
        )

    def standing(self) -> Standing | None:
        """What the policy that wrote last has changed, by the backups."""
        if not self.made:
            return None
        if self.unreadable:
            return Standing(None)
        last = self.made[-1]
        mine = list(takewhile(lambda made: made.policy == last.policy, reversed(self.made)))
        first = mine[-1]
        file = StandingFile(FILE, first.id, first.version, last.to, last.after, last.id)
        return Standing(last.policy, (file,)) if self.sha256 != first.before else None

    def _against(self, operation: Operation, pods: Sequence[str]) -> OperationError | None:
        """What a restore is refused for: somebody else's file, pods that could not be deleted.

        A rollback bears those that were added with what comes back."""
        version = self.backups[operation.backup or ""]
        if self.sha256 not in self.ours:
            text = f"{FILE} was changed by somebody else since"
            return OperationError("ChangedSinceBackup", text)
        bears = {version or "missing"} if operation.rollback else set()
        lost = [added for added in pods if self.deletes(added) and added not in bears]
        if lost and (version is None or version in self.drain_for):
            text = f"{FILE} at {version or 'no version'} would strand {len(lost)} pods"
            return OperationError("Unsafe", f"{text}; drain the node, then restore")
        return None

    def run(self, operation: Operation, pods: Sequence[str]) -> Result:
        """What the agent does and answers; the same id gives the same answer."""
        if operation.id in self.results:
            return self.results[operation.id]
        draft = Result(operation.id, operation.kind, self.name, Outcome.DONE)
        if operation.kind is Kind.AUDIT:
            report = replace(self.report(operation, pods), standing=self.standing())
            return replace(draft, report=report)
        before, old = self.sha256, self.version
        if operation.kind is Kind.APPLY:
            [order] = operation.files
            if (found := self.report(operation, pods)).after.needs_drain:
                text = f"{found.after.why}: drain the node first"
                error = OperationError("NeedsDrain", text)
                return replace(draft, outcome=Outcome.REFUSED, error=error, report=found)
            if self.refuses:
                error = OperationError(self.refuses, "only the attempt shows it")
                refused = replace(draft, outcome=Outcome.REFUSED, error=error)
                return replace(refused, report=found)
            if order.sha256 != before:
                text = f"{FILE}: the file is not the one that the audit saw"
                error = OperationError("ChangedSinceAudit", text)
                refused = replace(draft, outcome=Outcome.REFUSED, error=error)
                return replace(refused, report=self.report(operation, pods))
            backup = f"20260101T000000Z-{len(self.backups):08x}"
            self.backups[backup] = old
            self.edit(order.to)
            self.ours |= {before, self.sha256}
            made = Made(backup, operation.policy, before, old, order.to, self.sha256)
            self.made.append(made)
        else:
            backup = operation.backup or ""
            if (against := self._against(operation, pods)) is not None:
                refused = replace(draft, outcome=Outcome.REFUSED, error=against, backup=backup)
                return replace(refused, report=self.report(operation, pods))
            self.edit(self.backups[backup])
            ids = [made.id for made in self.made]
            if backup in ids:
                del self.made[ids.index(backup) :]
            self.ours.add(self.sha256)
        self.writes.append(
            f"{old or 'missing'} -> {self.version or 'missing'} by {operation.kind.value}"
        )
        diff = f"-{old}\n+{self.version}"
        change = Change(FILE, old, self.version, before, self.sha256, diff)
        result = replace(
            draft, changes=(change,), backup=backup, report=self.report(operation, pods)
        )
        self.results[operation.id] = result
        return result
