"""Tables that explain themselves: what a person reads first stands first, in whole sentences."""

import time
from collections.abc import Iterator, Sequence

from cni_upgrade.node.backup import Backup
from cni_upgrade.node.operation import Action, Kind, Report, Result, Verdict

_VERDICTS = {
    Verdict.COMPATIBLE: "nothing is to be done",
    Verdict.REWRITE: "a rewrite helps; `cni-upgrade diff` shows it, `cni-upgrade apply` does it",
    Verdict.BLOCKED: "what must be done cannot be done safely; the first fault says why",
    Verdict.MANAGED: "another program writes the file; mend its source",
    Verdict.NO_CONFIG: "there is no config to read",
    Verdict.NOT_CNI: "pods get their network without CNI: nothing is to be done",
}


def of_report(report: Report) -> Iterator[str]:
    """A node's report: runtime, files, plugins, pods, what works, findings, verdict."""
    runtime = report.runtime
    if runtime.libcni is not None:
        known = f"carries libcni {runtime.libcni}, which reads up to {runtime.max}"
    elif runtime.name:
        known = "it is not known which libcni it carries"
    else:
        known = "not given, so nothing can be promised: --runtime containerd://1.6.2"
    yield f"Runtime  {f'{runtime.name} {runtime.version}'.strip() or '-'}: {known}"
    yield f"Configs  {report.paths.conf_dir or 'no folder'}"
    yield f"Plugins  {', '.join(report.paths.bin_dirs) or 'no folder'}"
    yield f"Known    from {report.paths.known.source}"
    if report.sandboxes:
        counts = ", ".join(f"{count} at {version}" for version, count in report.sandboxes.items())
        yield f"Pods     added to a network and running: {counts}"
    if report.files:
        yield ""
        yield from _table(
            ("FILE", "USED", "VERSION", "TO", "ACTION", "WHY"),
            [
                (
                    file.name,
                    "yes" if file.active else "no",
                    file.version or "missing",
                    file.to or "-",
                    str(file.action),
                    file.why,
                )
                for file in report.files
            ],
        )
    if report.plugins:
        yield ""
        yield from _table(
            ("PLUGIN", "SUPPORTS", "KNOWN FROM"),
            [
                (plugin.type, _range(plugin.supported, plugin.max), str(plugin.source))
                for plugin in report.plugins
            ],
        )
    baseline, after = report.baseline, report.after
    yield ""
    yield from _table(
        ("", "TODAY", "AFTER THE REWRITE", "WHY"),
        [
            ("creating a pod", _word(baseline.add), _word(after.add), baseline.add_why or ""),
            ("deleting a pod", _word(baseline.delete), _word(after.delete),
             baseline.delete_why or ""),
            ("deleting those that run", "", _word(after.existing_delete), after.why or ""),
        ],
    )  # fmt: skip
    if report.findings:
        yield ""
        for finding in report.findings:
            yield f"{finding.severity} {finding.code}  {finding.component}: {finding.message}"
            yield f"    {finding.action}"
    yield ""
    yield f"Verdict  {report.verdict}: {_VERDICTS[report.verdict]}"


def of_plan(report: Report) -> Iterator[str]:
    """Only the files for which something is to be done, or would be."""
    rows = [
        (file.name, file.version or "missing", file.to or "-", str(file.action), file.why)
        for file in report.files
        if file.action is not Action.NONE
    ]
    if rows:
        yield from _table(("FILE", "VERSION", "TO", "ACTION", "WHY"), rows)
    else:
        yield f"{report.verdict}: {_VERDICTS[report.verdict]}"


def of_changes(result: Result) -> Iterator[str]:
    """How an apply or a restore ended."""
    yield f"{result.kind} {result.id}: {result.outcome}"
    if result.error is not None:
        yield f"{result.error.code}: {result.error.message}"
    for change in result.changes:
        yield f"{change.name}: {change.from_version or 'missing'} -> {change.to or 'missing'}"
        yield from change.diff.splitlines()
    if result.backup is not None and result.kind is Kind.APPLY:
        yield f"backup {result.backup}; `cni-upgrade restore {result.backup}` puts it back"


def of_backups(backups: Sequence[Backup], folder: str) -> Iterator[str]:
    """The backups, the newest last, and where they are."""
    if not backups:
        yield f"no backups in {folder}"
        return
    rows = [
        (
            backup.id,
            time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(backup.created // 10**9)),
            backup.folder,
            ", ".join(f"{saved.name} (before {saved.to})" for saved in backup.files),
        )
        for backup in backups
    ]
    yield from _table(("BACKUP", "MADE", "OF", "FILES"), rows)
    yield ""
    yield f"Plain copies: {folder}/<BACKUP>/files/"


def _range(supported: Sequence[str], highest: str | None) -> str:
    if supported:
        return f"{supported[0]} to {highest}" if highest else ", ".join(supported)
    return f"at most {highest}" if highest else "unknown"


def _word(works: bool | None) -> str:
    return {True: "works", False: "fails", None: "unknown"}[works]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell; the last one runs on."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()
