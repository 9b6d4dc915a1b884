"""The report: what the engine makes of a survey, with what stands in the way of writing.

An order that would be refused on the node anyway is better not given: what an apply refuses by
name, the audit already says.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import replace

from cni_upgrade.agent import file_io, other_releases
from cni_upgrade.agent.discovery import sandboxes
from cni_upgrade.agent.files import journal, state, write_obstacles
from cni_upgrade.agent.files.metadata import Metadata
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.report import (
    After,
    Baseline,
    PluginReport,
    ReadinessReport,
    Report,
    RuntimeReport,
    Source,
)
from cni_upgrade.agent.survey import Survey
from cni_upgrade.cni import moves, runtimes, verdict
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Target as EngineTarget
from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.cni.judgement import Action, FileReport, Judgement, Verdict
from cni_upgrade.cni.readiness import Elsewhere, UnknownRuntimeError, readiness, together

_LARGE = file_io.CONFIG_LIMIT // 4
"""Bytes below which no rewrite comes near to the limit: it adds a gap and a colon at most."""

_LINES = 16
"""More than what a conversion adds of lines of its own."""

_YEAR_10000 = 253402300800
"""In seconds since 1970: the first that RFC 3339 cannot write."""

_RANKS = {Severity.FAULT: 0, Severity.WARNING: 1, Severity.INFO: 2}


def judge(survey: Survey, configs: tuple[Config, ...] | None = None) -> Judgement:
    """What the engine makes of the survey. Raises UnknownVersionError for a target that is none."""
    target = survey.operation.target
    return verdict.judge(
        survey.facts(configs),
        EngineTarget(target.version, str(target.selection), str(target.rewrite), str(target.form)),
    )


def make(survey: Survey, judgement: Judgement) -> Report:
    """The node's report. Raises nothing."""
    runtime = runtimes.lookup(survey.operation.runtime, survey.operation.libcni)
    traces = _traces(survey)
    listed = [_traced(file, traces) for file in judgement.files]
    outcome = judgement.verdict
    findings = [*judgement.findings, *survey.findings]
    if outcome is Verdict.NOT_CNI:  # no folder matters
        findings = list(judgement.findings)
    elif survey.folders.conf_dir is None:  # then it is the folder that must be spoken of first
        findings = [*survey.findings, *judgement.findings]
    later = other_releases.of(survey)
    told = survey.own is None or survey.own.elsewhere is None
    # What is wrong with the configuration already is a finding of today, and none of a move.
    findings += moves.breaks(survey.facts(), judgement, later if told else moves.no_other)
    findings += other_releases.cri_off(survey)
    after, baseline = _after(judgement), _baseline(judgement)
    for place, file in enumerate(listed):
        error = _obstacle(survey, file)
        if error is not None:
            listed[place] = replace(
                file, action=Action.REFUSE, to=None, why=str(error), becomes=None
            )
            findings.append(_refused(file, error))
            outcome = Verdict.BLOCKED
            after = After(baseline.add, baseline.delete, None, why=str(error))
    return Report(
        runtime=RuntimeReport(runtime.name, runtime.version, runtime.libcni, runtime.max),
        paths=replace(survey.folders.report(), delegate_dirs=survey.delegate_dirs),
        files=tuple(listed),
        plugins=_plugins(survey),
        sandboxes=sandboxes.count(survey.sandboxes),
        pods=sandboxes.named(survey.sandboxes),
        baseline=baseline,
        after=after,
        verdict=outcome,
        findings=tuple(sorted(dict.fromkeys(findings), key=lambda each: _RANKS[each.severity])),
        readiness=tuple(
            _readiness(survey, wanted, later) for wanted in survey.operation.readiness_for
        ),
    )


def _after(judgement: Judgement) -> After:
    """What will work once the rewrite is made."""
    then = (
        (judgement.after.del_, judgement.after.leaks),
        (judgement.after.existing_del, judgement.after.existing_leaks),
    )
    leaking = [leaks for works, leaks in then if works is False]
    return After(
        judgement.after.add,
        judgement.after.del_,
        judgement.after.existing_del,
        judgement.after.needs_drain,
        judgement.after.why,
        True in leaking if leaking and (True in leaking or None not in leaking) else None,
    )


def _baseline(judgement: Judgement) -> Baseline:
    """What works now."""
    return Baseline(
        judgement.baseline.add,
        judgement.baseline.del_,
        judgement.baseline.add_why,
        judgement.baseline.del_why,
        judgement.baseline.leaks if judgement.baseline.del_ is False else None,
    )


def _refused(file: FileReport, error: OperationRefusedError) -> Finding:
    action = "the file cannot be rewritten as long as this holds"
    return Finding(error.code, Severity.FAULT, file.name, str(error), action)


def _plugins(survey: Survey) -> tuple[PluginReport, ...]:
    return tuple(
        PluginReport(
            binary,
            support.supported or (),
            support.max,
            Source.UNKNOWN if support.source == "missing" else Source(support.source),
        )
        for binary, support in survey.supports.items()
    )


def _readiness(survey: Survey, wanted: str, later: Elsewhere) -> ReadinessReport:
    """The node as it is, before any rewrite, under each release of that runtime."""
    try:
        found = readiness(survey.facts(), wanted, elsewhere=later)
    except UnknownRuntimeError as error:
        return ReadinessReport(wanted, None, str(error))
    whys = [f"{each.releases}: {each.why}" for each in found.obstacles]
    others = "; ".join(together(found.elsewhere))
    if others:
        whys.append(others)
    whys += together(found.unanswered)
    if found.ready is None and not whys:
        what = "what a plugin or this runtime supports, what a placeholder stands for, or how a pod"
        whys = [f"{what} was added, is not known: see the findings"]
    return ReadinessReport(wanted, found.ready, "; ".join(whys), others)


def _time(seconds: int) -> str | None:
    """RFC 3339; None for a year that it cannot write, as a file system may hold one."""
    if not 0 <= seconds < _YEAR_10000:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _traces(survey: Survey) -> dict[str, tuple[str, str | None]]:
    """By file: whose it is, and when its content was changed. It says who else writes there."""
    if survey.folders.conf_dir is None:
        return {}
    found: dict[str, tuple[str, str | None]] = {}
    try:
        with file_io.opened_folder(survey.folders.conf_dir[1]) as folder:
            for config in survey.configs:
                with contextlib.suppress(OSError):
                    entry = os.stat(config.name, dir_fd=folder, follow_symlinks=False)
                    owner = f"{entry.st_uid}:{entry.st_gid}"
                    found[config.name] = (owner, _time(entry.st_mtime_ns // 10**9))
    except OSError:
        return found  # the findings say that it cannot be read
    return found


def _traced(file: FileReport, traces: Mapping[str, tuple[str, str | None]]) -> FileReport:
    owner, modified = traces.get(file.name, (None, None))
    return replace(file, owner=owner, modified=modified)


def _obstacle(survey: Survey, file: FileReport) -> OperationRefusedError | None:
    if file.action is not Action.REWRITE or survey.folders.conf_dir is None:
        return None
    try:
        with file_io.opened_folder(survey.folders.conf_dir[1]) as folder:
            error = write_obstacles.of_flags(folder, survey.folders.conf_dir[0])
            error = error or write_obstacles.of_file(folder, file.name)
            if error is not None:
                return error
            if file.becomes in survey.names:  # as it is to be, and a plain file?
                return write_obstacles.of_file(folder, str(file.becomes))
            error = _grown(survey, file)
            error = error or _taken(survey, folder, file_io.ready_name(file.becomes or file.name))
            return error or write_obstacles.of_metadata(
                folder, file.name, _metadata(folder, file.name)
            )
    except (OSError, file_io.UnreadableError) as error:
        return OperationRefusedError("Unreadable", f"{file.name} cannot be reached: {error}")


def _taken(survey: Survey, folder: int, name: str) -> OperationRefusedError | None:
    """Why the name is not free for us: what a killed run made ready, the next one removes."""
    taken = write_obstacles.of_new(folder, name)
    if taken is not None and name in _left(survey):
        return write_obstacles.of_leftover(folder, name)
    return taken


def _left(survey: Survey) -> tuple[str, ...]:
    """The names under which a killed run made files ready, as far as that is on record here."""
    try:
        place = state.find(survey.operation)
        left = None if place is None else journal.load(place)
    except (OSError, ValueError):
        return ()
    if left is None or survey.folders.conf_dir is None or left.folder != survey.folders.conf_dir[0]:
        return ()
    return left.ready_names()


def _grown(survey: Survey, file: FileReport) -> OperationRefusedError | None:
    """Why what the rewrite makes of a file is too large; usual ones are not even rewritten here."""
    config = survey.config(file.name)
    if config is None or not _may_grow(config.data, as_list=file.becomes is not None):
        return None
    from cni_upgrade.cni.rewrite import RewriteError

    try:
        made = survey.rewritten(file)
    except RewriteError:
        return None  # the apply says why
    return (
        None if made is None else write_obstacles.of_size(file.becomes or file.name, len(made.data))
    )


def _may_grow(data: bytes, *, as_list: bool) -> bool:
    """Whether its rewrite could be larger than the limit. A list holds each line of the file two
    steps further in, and no step is longer than the longest line."""
    if not as_list:
        return len(data) >= _LARGE
    lines = data.split(b"\n")
    moved = 2 * max(map(len, lines)) * (len(lines) + _LINES)
    return len(data) + moved > file_io.CONFIG_LIMIT


def _metadata(folder: int, name: str) -> Metadata:
    with file_io.opened_file(folder, name) as descriptor:
        return Metadata.of(descriptor)
