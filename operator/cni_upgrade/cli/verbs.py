"""The verbs: each takes what was asked and gives an answer; none prints."""

import argparse
import shlex
from dataclasses import replace

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import backup, state
from cni_upgrade.agent.protocol.contract import SCHEMA, Kind
from cni_upgrade.agent.protocol.json_members import MemberError
from cni_upgrade.agent.protocol.operation import FileOrder, Operation, check_backup_id
from cni_upgrade.agent.protocol.paths import BY_HAND_CONFIGS, BY_HAND_PLUGINS, Paths
from cni_upgrade.agent.protocol.report import file_to_json
from cni_upgrade.agent.protocol.result import Outcome, Result
from cni_upgrade.cli import explained, loose, schema, tables
from cni_upgrade.cli.answer import COULD_NOT, FOUND, NOTHING_TO_DO, Answer, CannotError
from cni_upgrade.cli.look import GOOD, Look, at_machine, good, serious
from cni_upgrade.cli.options import named, operation, reason
from cni_upgrade.cni.judgement import Action


def audit(options: argparse.Namespace) -> Answer:
    """What works, what breaks, and why."""
    looks = _looks(options)
    lines = [line for look in looks for line in tables.of_look(look)]
    code = NOTHING_TO_DO if all(good(look.report) for look in looks) else FOUND
    if not options.files:
        asked = looks[0].survey.operation
        made = Result(asked.id, asked.kind, asked.node, Outcome.DONE, report=looks[0].report)
        return Answer(code, made.to_json(), lines)
    return Answer(
        code,
        {
            "schema": SCHEMA,
            "configs": [{"path": each.path, "report": each.report.to_json()} for each in looks],
        },
        lines,
    )


def plan(options: argparse.Namespace) -> Answer:
    """Which file would be written at which version."""
    looks = _looks(options)
    plans = [_plan(look) for look in looks]
    lines = [line for look in looks for line in tables.of_plan(look)]
    quiet = all(
        not look.blocked and all(file.action is Action.NONE for file in look.report.files)
        for look in looks
    )
    document = {"schema": SCHEMA, **({"configs": plans} if options.files else plans[0])}
    return Answer(NOTHING_TO_DO if quiet else FOUND, document, lines)


def _plan(look: Look) -> dict[str, object]:
    document: dict[str, object] = {} if look.path is None else {"path": look.path}
    document["verdict"] = str(look.report.verdict)
    document["needsDrain"] = look.needs_drain
    document["files"] = [
        {**file_to_json(file), "patch": change.patch if change else []}
        for file in look.report.files
        for change in [look.rewritten(file)]
    ]
    document["findings"] = look.report.to_json()["findings"]
    return document


def diff(options: argparse.Namespace) -> Answer:
    """The lines that an apply would change."""
    patches: dict[str, str] = {}
    refused: list[str] = []
    blocked = False
    looks = _looks(options)
    for look in looks:
        changes = {look.path or f.name: text for f in look.report.files if (text := look.patch(f))}
        patches |= changes
        blocked = blocked or look.blocked
        if look.blocked or (not changes and look.report.verdict not in GOOD):
            refused.append(_refusal(look))
        if look.needs_drain:
            refused.append(f"NeedsDrain: {look.report.after.why}: drain the node before an apply")
    code = COULD_NOT if blocked else FOUND if patches or refused else NOTHING_TO_DO
    return Answer(
        code,
        {"schema": SCHEMA, "needsDrain": any(look.needs_drain for look in looks), "diffs": patches},
        patch="".join(patches.values()),
        error="\n".join(refused),
    )


def _refusal(look: Look) -> str:
    refused = [
        f"{each.name}: {each.why}"
        for each in look.report.files
        if each.active and (each.to is None or each.action is Action.MANAGED)
    ]
    faults = [each.message for each in look.faults[:1]]
    where = "" if look.path is None else f"{look.path}: "
    return f"{where}{look.report.verdict}: {'; '.join(refused or faults)}"


def apply(options: argparse.Namespace) -> Answer:
    """Backs up and writes what the plan says."""
    look = at_machine(operation(options, Kind.AUDIT))
    if look.writes:
        orders = tuple(
            FileOrder(file.name, file.sha256, file.to, file.becomes)
            for file in look.report.files
            if file.action is Action.REWRITE and file.to is not None
        )
        return _carry_out(named(replace(look.survey.operation, kind=Kind.APPLY, files=orders)))
    asked = look.survey.operation
    done = look.report.verdict in GOOD
    return Answer(
        NOTHING_TO_DO if done else COULD_NOT,
        Result(asked.id, asked.kind, asked.node, Outcome.DONE, report=look.report).to_json(),
        list(tables.of_plan(look)),
        error="" if done else f"nothing was written: {_refusal(look)}",
    )


def restore(options: argparse.Namespace) -> Answer:
    """Puts a backup back."""
    try:
        check_backup_id(options.backup)
    except MemberError as error:
        raise CannotError(str(error)) from error
    asked = operation(options, Kind.RESTORE)
    return _carry_out(named(replace(asked, backup=options.backup, rollback=options.rollback)))


def _carry_out(asked: Operation) -> Answer:
    result = run(asked)
    lines = list(tables.of_changes(result, _where(asked)))
    if result.outcome is not Outcome.DONE or result.report is None:
        code = COULD_NOT
    elif (
        asked.kind is Kind.RESTORE
    ):  # that what came back could be raised again is why it was asked
        code = FOUND if serious(result.report) else NOTHING_TO_DO
    else:
        code = NOTHING_TO_DO if good(result.report) else FOUND
    return Answer(code, result.to_json(), lines, done=_done(result))


def _done(result: Result) -> str:
    """Empty where nothing was written."""
    told = "; ".join(change.told for change in result.changes)
    backup = f"; backup {result.backup}" if result.backup is not None else ""
    return f"{result.kind} {result.id} was {result.outcome}: {told}{backup}" if told else ""


def _where(asked: Operation) -> str:
    """The options by which a command comes to the same backups, and is refused nothing for want of
    what was said here."""
    paths, usual = asked.paths, Paths()
    named = [("--root", asked.root), ("--runtime", asked.runtime), ("--libcni", asked.libcni)]
    if BY_HAND_CONFIGS in paths.by_hand:
        named += [(BY_HAND_CONFIGS, each) for each in paths.conf_dirs]
    if BY_HAND_PLUGINS in paths.by_hand:
        named += [(BY_HAND_PLUGINS, each) for each in paths.bin_dirs]
    if paths.cache_dir != usual.cache_dir:
        named.append(("--cache-dir", paths.cache_dir))
    if paths.state_dir != usual.state_dir:
        named.append(("--state-dir", paths.state_dir))
    return "".join(f" {option} {shlex.quote(value)}" for option, value in named if value)


def backups(options: argparse.Namespace) -> Answer:
    """Lists the backups; what is damaged is something that was found."""
    asked = operation(options, Kind.AUDIT)
    folder = f"{asked.root}{asked.paths.state_dir}/{backup.FOLDER}"
    try:
        place = state.find(asked)
        found = [] if place is None else backup.everything(place)
        damaged = {} if place is None else backup.damaged(place)
    except OSError as error:
        raise CannotError(f"{folder}: {reason(error)}") from error
    document = {
        "schema": SCHEMA,
        "folder": folder,
        "backups": [each.to_json() for each in found],
        "damaged": [{"id": each, "why": why} for each, why in damaged.items()],
    }
    code = FOUND if damaged else NOTHING_TO_DO
    return Answer(code, document, list(tables.of_backups(found, damaged, folder, _where(asked))))


def explain(options: argparse.Namespace) -> Answer:
    """What a word of the catalogue means."""
    told = explained.lines(options.code) if options.code else explained.index()
    if told is None:
        near = explained.nearest(options.code)
        meant = f"did you mean {near}?" if near else "is it written as it was shown?"
        raise CannotError(
            f"there is no word {options.code!r}; {meant} `cni-upgrade explain` lists them all"
        )
    return Answer(NOTHING_TO_DO, None, list(tables.of_story(told)) if options.code else told)


def print_schema(_options: argparse.Namespace) -> Answer:
    """The JSON schema of what `-o json` and `-o yaml` show."""
    return Answer(NOTHING_TO_DO, schema.document())


def _looks(options: argparse.Namespace) -> list[Look]:
    if options.files:
        return loose.looks(options)
    return [at_machine(operation(options, Kind.AUDIT))]
