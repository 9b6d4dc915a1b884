"""What is looked at and what was made of it: a machine, or config files that are on none."""

import errno
import os
from dataclasses import dataclass, replace
from pathlib import Path

from cni_upgrade.agent import make_report
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.agent.protocol.paths import Paths
from cni_upgrade.agent.protocol.report import Report
from cni_upgrade.agent.survey import Survey, survey
from cni_upgrade.cli.answer import CannotError
from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.cni.judgement import Action, FileReport, Verdict
from cni_upgrade.cni.rewrite import RewriteError, Rewritten, diff

STDIN = "-"
GOOD = (Verdict.COMPATIBLE, Verdict.NOT_CNI)


def good(report: Report) -> bool:
    """Whether there is nothing that a person should do, or know before doing more."""
    ready = all(each.ready for each in report.readiness)
    return report.verdict in GOOD and not serious(report) and ready


def serious(report: Report) -> bool:
    """Whether something is found that is wrong, or may be."""
    return any(each.severity is not Severity.INFO for each in report.findings)


@dataclass(frozen=True, slots=True)
class Look:
    """A survey and its report; `path` is where the one config file stands, None for a machine."""

    survey: Survey
    report: Report
    path: str | None = None

    @property
    def named(self) -> bool:
        """Whether more was named than the runtime: another folder, or another machine's root."""
        asked = self.survey.operation
        usual = (Paths().cache_dir, Paths().state_dir)
        named = (asked.paths.cache_dir, asked.paths.state_dir) != usual
        return bool(asked.root or asked.paths.by_hand or named)

    @property
    def blocked(self) -> bool:
        """Whether something is to be done and cannot be."""
        return self.report.verdict in (Verdict.BLOCKED, Verdict.NO_CONFIG)

    @property
    def writes(self) -> bool:
        """Whether an apply would write: all that is to be written on a machine, or none of it."""
        return self.report.verdict is Verdict.REWRITE

    @property
    def needs_drain(self) -> bool:
        """Whether an apply refuses until the pods that run now are gone."""
        return self.writes and self.report.after.needs_drain

    @property
    def faults(self) -> list[Finding]:
        """What is wrong, the first first."""
        return [each for each in self.report.findings if each.severity is Severity.FAULT]

    def rewritten(self, file: FileReport) -> Rewritten | None:
        """The file as an apply would write it; None where it would not. Raises CannotError."""
        if not self.writes or file.action is not Action.REWRITE:
            return None
        try:
            return self.survey.rewritten(file)
        except RewriteError as error:
            raise CannotError(f"{file.name} cannot be written at {file.to}: {error}") from error

    def patch(self, file: FileReport) -> str:
        """What an apply would change of the file, as a unified diff; empty for nothing."""
        change, config = self.rewritten(file), self.survey.config(file.name)
        if change is None or config is None:
            return ""
        path = self._patched(file)
        becomes = f"{path.removesuffix(file.name)}{file.becomes}" if file.becomes else ""
        return diff(config.data, change.data, path, becomes)

    def _patched(self, file: FileReport) -> str:
        """The path in a patch: from here where the file is beneath, as `git apply` takes it."""
        if self.path is None or self.path == STDIN:
            return file.name
        path = Path(self.path)
        inside = path.is_absolute() and path.is_relative_to(Path.cwd())
        return str(path.relative_to(Path.cwd()) if inside else path).lstrip("/")


def at_machine(operation: Operation) -> Look:
    """The machine as it is. Raises CannotError where it could not be looked at by this user."""
    seen = survey(operation)
    denied = os.strerror(errno.EACCES)
    files = [each.error for each in seen.configs if each.error is not None]
    unread = [seen.unread] if seen.unread else []
    for finding in [*seen.findings, *unread, *files] if os.geteuid() else ():
        if denied in finding.message:
            raise CannotError(f"{finding.message}; run it as root")
    return Look(seen, make_report.make(seen, make_report.judge(seen)))


def without_pods(made: Report) -> Report:
    """A report of a file that is on no machine: whether running pods bear a rewrite is unknown."""
    why = made.after.why
    if made.verdict is Verdict.REWRITE:
        why = "it is not known here which pods run where the file is used, nor since which version"
    return replace(made, after=replace(made.after, existing_delete=None, why=why))
