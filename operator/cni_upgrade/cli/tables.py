"""Tables that explain themselves: a title that says what is shown, reasons beneath their row.

A look leads with its verdict, and ends with the command that comes next.
"""

import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence

from cni_upgrade.agent.discovery.sandboxes import MISSING, MOST_NAMED
from cni_upgrade.agent.files.backup import Backup
from cni_upgrade.agent.protocol.contract import Kind
from cni_upgrade.agent.protocol.paths import PRESET
from cni_upgrade.agent.protocol.report import Report, Source
from cni_upgrade.agent.protocol.result import Outcome, Result
from cni_upgrade.cli.finding_groups import grouped_findings
from cni_upgrade.cli.look import Look
from cni_upgrade.cli.stories import STORIES
from cni_upgrade.cli.wrapping import BENEATH, width, wrapped
from cni_upgrade.cni.facts import Sandbox
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.judgement import Action, FileReport, Verdict

_SHORT_ID = 12  # as `crictl ps` shows them

_VERDICTS = {
    Verdict.COMPATIBLE: "nothing is to be done",
    Verdict.REWRITE: "a rewrite helps; `cni-upgrade diff` shows it, `cni-upgrade apply` does it",
    Verdict.BLOCKED: "something is wrong or not known, and no rewrite is safe as things are",
    Verdict.MANAGED: "another program writes the file and would put it back; mend its source",
    Verdict.NO_CONFIG: "there is no config that the runtime would read",
    Verdict.NOT_CNI: "pods get their network without CNI: nothing is to be done",
}
_DRAIN_FIRST = (
    "a rewrite helps once the node is drained; `cni-upgrade diff` shows it, and until then "
    "`cni-upgrade apply` refuses it"
)
_LOOSE_REWRITE = "another version is to be written; `cni-upgrade diff FILE` shows it as a patch"
_NOT_KNOWN = "nothing is to be written; whether pods come and go with it is not known"
_STUCK = "nothing is to be written; pods that were added before cannot be deleted all the same"
_SOURCES = {
    Source.VERSION: "its own answer",
    Source.BUILDINFO: "the library built in: at most",
    Source.UNKNOWN: "-",
}
_ACTIONS = {
    Action.NONE: "leave",
    Action.REWRITE: "rewrite",
    Action.REFUSE: "refuse",
    Action.MANAGED: "leave to its writer",
}

Row = tuple[Sequence[str], Sequence[str]]
"""The cells, and what is to be said beneath them."""


def of_look(look: Look) -> Iterator[str]:
    """What was found, what works, what is wrong, and the verdict."""
    report = look.report
    yield from _verdict(look)
    yield from _head(look)
    if report.files:
        yield from _table(
            "Config files; USED: the runtime reads it, TO: the version to reach",
            ("FILE", "USED", "VERSION", "TO", "ACTION"),
            [
                (
                    (
                        file.name,
                        "yes" if file.active else "no",
                        _version(file, report.findings),
                        _to(file),
                        _ACTIONS[file.action],
                    ),
                    (file.why,),
                )
                for file in report.files
            ],
        )
    if report.plugins:
        yield from _table(
            "Plugins, and the CNI versions that each supports",
            ("PLUGIN", "SUPPORTS", "KNOWN FROM"),
            [
                ((each.type, _range(each.supported, each.max), _SOURCES[each.source]), ())
                for each in report.plugins
            ],
        )
    yield from _pods(report)
    if report.readiness:
        yield from _table(
            "Would pods come and go under another runtime, with the files as they are?",
            ("RUNTIME", "READY"),
            [
                ((each.runtime, _word(each.ready, "yes", "no")), (each.why,))
                for each in report.readiness
            ],
        )
    yield from grouped_findings(report.findings)
    yield from _more(look)


def of_story(told: Sequence[str]) -> Iterator[str]:
    """What a code means: each paragraph wrapped, the sources as they are."""
    for line in told:
        yield from [line] if line.startswith(" ") or not line else wrapped(line, "")


def of_plan(look: Look) -> Iterator[str]:
    """Only the files for which something is to be done, or would be."""
    files = [file for file in look.report.files if file.action is not Action.NONE]
    if look.path is not None:
        yield f"{look.path}:"
    if files:
        yield from _plan(files, look.report.findings)
    elif look.blocked:
        yield from (line for each in look.faults[:1] for line in wrapped(each.message, ""))
        yield ""
    yield from _verdict(look)
    yield from _more(look)


def _plan(files: Sequence[FileReport], findings: Sequence[Finding]) -> Iterator[str]:
    rows = [
        ((file.name, _version(file, findings), _to(file), _ACTIONS[file.action]), (file.why,))
        for file in files
    ]
    yield from _table("What is to be done", ("FILE", "VERSION", "TO", "ACTION"), rows)


def _version(file: FileReport, findings: Sequence[Finding]) -> str:
    """Missing is a fault of its own (F1): not what is there and cannot be read."""
    if file.version:
        return file.version
    if file.network is None:
        return "not read"
    bad = any((each.code, each.component) == (Code.BAD_VERSION, file.name) for each in findings)
    return "invalid" if bad else "missing"


def _to(file: FileReport) -> str:
    return f"{file.to or 'none'}" + (f" as {file.becomes}" if file.becomes else "")


def of_changes(result: Result, where: str) -> Iterator[str]:
    """How an apply or a restore ended; `where`: the options that a command takes to come there."""
    yield f"{result.kind} {result.id}: {result.outcome}"
    if result.error is not None:
        yield from wrapped(f"{result.error.code}: {result.error.message}", "")
    for change in result.changes:
        yield change.told
        yield from (line.expandtabs() for line in change.diff.splitlines())
    if result.backup is not None and result.kind is Kind.APPLY:
        yield f"backup {result.backup}; `cni-upgrade restore {result.backup}{where}` puts it back"
    report = result.report
    if report is not None and result.outcome is not Outcome.REFUSED:  # else it is as it was
        yield ""
        yield from grouped_findings(
            [each for each in report.findings if each.severity != Severity.INFO]
        )
        yield from _label("Verdict", f"{report.verdict}: {_meaning(report)}")


def of_backups(
    backups: Sequence[Backup], damaged: Mapping[str, str], folder: str, where: str
) -> Iterator[str]:
    """The backups, the newest last, what is wrong with them by id, and where they are.

    `where`: the options that a command takes to come there.
    """
    if not backups and not damaged:
        yield f"no backups in {folder}"
        return
    rows: list[Row] = [
        (
            (
                backup.id,
                time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(backup.created // 10**9)),
                backup.folder,
            ),
            [f"{saved.name}, as it was before {saved.to} was written" for saved in backup.files]
            + [f"DAMAGED: {why}" for why in (damaged.get(backup.id),) if why],
        )
        for backup in backups
    ]
    listed = {backup.id for backup in backups}
    # First: how old they are is not known.
    unlisted = [name for name in damaged if name not in listed]
    rows = [((name, "-", "-"), [f"DAMAGED: {damaged[name]}"]) for name in unlisted] + rows
    yield from _table("Backups, the newest last", ("BACKUP", "MADE", "OF"), rows)
    yield f"Plain copies: {folder}/<BACKUP>/files/"
    if " --runtime " not in where:  # without it nothing is known of how the pods there are deleted
        where += " --runtime <RUNTIME>"
    yield f"`cni-upgrade restore <BACKUP>{where}` puts one back"


def _head(look: Look) -> Iterator[str]:
    report, runtime = look.report, look.report.runtime
    if runtime.libcni is not None:
        known = f"carries libcni {runtime.libcni}, which reads CNI versions up to {runtime.max}"
    elif runtime.name:
        known = "it is not known which libcni it carries, so nothing can be promised"
    else:
        known = "not named, so nothing can be promised: --runtime containerd://1.6.2"
    if look.path is not None:
        yield from _label("Config", f"{look.path}, on no machine")
    yield from _label("Runtime", f"{f'{runtime.name} {runtime.version}'.strip() or '-'}: {known}")
    if look.path is None:
        source = report.paths.known.source
        by = "a usual place" if source == PRESET else f"known from {source}"
        folder = report.paths.conf_dir
        yield from _label("Configs", f"{folder} ({by})" if folder else "no folder")
    bins = ", ".join(report.paths.bin_dirs)
    yield from _label("Plugins", bins or ("not looked at" if look.path else "no folder"))
    for version, count in report.sandboxes.items():
        alike = [each for each in look.survey.sandboxes if (each.version or MISSING) == version]
        yield from _label("Pods", f"in the results cache: {_added(version, count)}{_who(alike)}")
    yield ""


def _added(version: str, count: int) -> str:
    return f"{count} added {'with no version' if version == MISSING else f'at {version}'}"


def _who(sandboxes: Sequence[Sandbox]) -> str:
    """Which pods they are, as many as a person reads; one that is not named by its container."""
    names = dict.fromkeys(
        shown(each.pod) if each.pod else f"container {shown(each.container_id[:_SHORT_ID])}"
        for each in sandboxes
        if each.pod or each.container_id
    )
    some = list(names)[:MOST_NAMED]
    more = len(names) - len(some)
    return f": {', '.join(some)}{f' and {more} more' if more else ''}" if some else ""


def _label(name: str, text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        width(),
        initial_indent=f"{name:<7}  ",
        subsequent_indent=" " * 9,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _pods(report: Report) -> Iterator[str]:
    """With a column of its own for what a rewrite would change, where one is planned."""
    before, after = report.baseline, report.after
    rewriting = any(file.action is Action.REWRITE for file in report.files)
    rows: list[tuple[list[str], list[str]]] = [
        (["creating a pod", _word(before.add)], [before.add_why or ""]),
        (["deleting a pod", _word(before.delete)], [before.delete_why or ""]),
    ]
    if rewriting:
        rows[0][0].append(_word(after.add))
        rows[1][0].append(_word(after.delete))
        existing = f"after the rewrite: {after.why}" if after.why else ""
        rows.append((["deleting one from before", "", _word(after.existing_delete)], [existing]))
        yield from _table(
            "What works today, and once the files carry TO",
            ("", "TODAY", "AFTER THE REWRITE"),
            rows,
        )
    else:
        yield from _table("What works today", ("", "TODAY"), rows)


def _verdict(look: Look) -> Iterator[str]:
    verdict, meaning = look.report.verdict, _meaning(look.report)
    if look.path is not None and verdict is Verdict.REWRITE:
        meaning = _LOOSE_REWRITE
    elif verdict is Verdict.REWRITE and look.named:
        meaning = f"{meaning}; give each the options that were given here"
    yield from _label("Verdict", f"{verdict}: {meaning}")


def _more(look: Look) -> Iterator[str]:
    """Where the first finding is told at length."""
    told = next((each.code for each in look.report.findings if each.code in STORIES), None)
    if told is not None:
        yield f"`cni-upgrade explain {told}` tells more"
    if look.path is not None:
        yield ""


def _meaning(report: Report) -> str:
    """Compatible is said of the files: that all is well is not, where pods stay or may."""
    works = (report.baseline.add, report.baseline.delete)
    if report.verdict is Verdict.COMPATIBLE and False in works:
        return _STUCK
    if report.verdict is Verdict.COMPATIBLE and None in works:
        return _NOT_KNOWN
    if report.verdict is Verdict.REWRITE and report.after.needs_drain:
        return _DRAIN_FIRST
    return _VERDICTS[report.verdict]


def _range(supported: Sequence[str], highest: str | None) -> str:
    if supported:
        return f"{supported[0]} to {highest}" if highest else ", ".join(supported)
    return f"at most {highest}" if highest else "unknown"


def _word(works: bool | None, yes: str = "works", no: str = "fails") -> str:
    return {True: yes, False: no, None: "unknown"}[works]


def _table(title: str, header: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Columns as wide as their widest cell, reasons beneath, and a blank line at the end."""
    yield title
    widths = [max(map(len, column)) for column in zip(header, *(r for r, _ in rows), strict=True)]
    for cells, notes in ((header, ()), *rows):
        padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
        yield f"  {'  '.join(padded)}".rstrip()
        for note in notes:
            yield from wrapped(note, BENEATH)
    yield ""
