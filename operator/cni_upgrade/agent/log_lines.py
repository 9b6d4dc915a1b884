"""A result as lines for a person who reads the log of an agent's pod, or a terminal."""

from collections.abc import Iterator

from cni_upgrade.agent.protocol.report import Report
from cni_upgrade.agent.protocol.result import Result
from cni_upgrade.cni.judgement import Action


def of(result: Result) -> Iterator[str]:
    """What was asked, how it ended, what the node is like, what was changed."""
    yield f"{result.kind} {result.id} on {result.node or 'this machine'}: {result.outcome}"
    if result.error is not None:
        yield f"  {result.error.code}: {result.error.message}"
    if result.report is not None:
        yield from of_report(result.report)
    for change in result.changes:
        yield f"changed {change.told}"
        yield from (f"  {line}" for line in change.diff.splitlines())
    if result.backup is not None:
        yield f"backup {result.backup}"


def of_report(report: Report) -> Iterator[str]:
    """The node: runtime, files, plugins, sandboxes, what works, findings."""
    runtime = report.runtime
    known = f"libcni {runtime.libcni}, up to {runtime.max}" if runtime.libcni else "not known"
    yield f"runtime {runtime.name or 'not given'} {runtime.version} ({known})"
    yield f"folder {report.paths.conf_dir or 'none'}, plugins in " + (
        ", ".join(report.paths.bin_dirs) or "no folder"
    )
    for file in report.files:
        mark = "*" if file.active else " "
        step = f" -> {file.to}" if file.action is Action.REWRITE else ""
        step += f" as {file.becomes}" if file.becomes else ""
        yield f"{mark} {file.name}: {file.version or 'missing'}{step} {file.action}: {file.why}"
    for plugin in report.plugins:
        yield f"  plugin {plugin.type}: up to {plugin.max or 'unknown'} ({plugin.source})"
    if report.sandboxes:
        counts = ", ".join(f"{count} at {version}" for version, count in report.sandboxes.items())
        yield f"sandboxes: {counts}"
    yield (
        f"works today: ADD {_word(report.baseline.add)}, DEL {_word(report.baseline.delete)}; "
        f"afterwards: ADD {_word(report.after.add)}, DEL {_word(report.after.delete)}, "
        f"DEL of what runs {_word(report.after.existing_delete)}"
    )
    for each in report.readiness:
        reason = f": {each.why}" if each.why else ""
        yield f"ready for {each.runtime}: {_word(each.ready)}{reason}"
    for finding in report.findings:
        yield (
            f"{finding.severity} {finding.code} {finding.component}: {finding.message}. "
            f"Do: {finding.action}"
        )
    yield f"verdict: {report.verdict}"


def _word(works: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown"}[works]
