"""Judges a node: what works today, which version each file is to reach, and what will work then.

The members of a Judgement are those of a Report in docs/reference/agent-protocol.md; the layers
above only serialise them. What is not known is never taken for good, what works is never lowered,
and no file is written that the node's own binaries, runtime and running pods do not take.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cni_upgrade.cni import folder, health, managed, remarks, runtimes, shared, versions
from cni_upgrade.cni import plan as planning
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts, Sandbox, Target, by_owner
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.judgement import Action, After, Baseline, FileReport, Judgement, Verdict
from cni_upgrade.cni.leaks import leaks as leaking
from cni_upgrade.cni.node import LOOPBACK_NETWORK, Node, loopback
from cni_upgrade.cni.plan import Beside
from cni_upgrade.cni.runtimes import Runtime
from cni_upgrade.cni.value import dataclass

__all__ = [
    "Facts",
    "Judgement",
    "Sandbox",
    "Target",
    "judge",
]


@dataclass(frozen=True, slots=True)
class _Judged:
    """One active file with the predictions that the node's answer is put together from."""

    file: FileReport
    unknown: bool
    """Whether too little is known of the binaries: nothing shows that pods come and go."""
    before: tuple[health.Outcome, health.Outcome]
    after: tuple[health.Outcome, health.Outcome, health.Outcome]
    leaks: tuple[bool | None, bool | None, bool | None]
    """Of a deletion today, of the next pod's after the change, of those that run now."""
    needs_drain: bool
    findings: tuple[Finding, ...]


def judge(facts: Facts, target: Target) -> Judgement:
    """Judge a node from what is known of it.

    Raises UnknownVersionError when the target is no released version.
    """
    versions.order(target.version)
    runtime = runtimes.lookup(facts.runtime, facts.libcni)
    if facts.without_cni is not None:
        return _not_cni(facts.configs, runtime, facts.without_cni)
    if facts.unread is not None:
        return _not_read(facts.unread, runtime)
    libcni = runtime.libcni
    configs = [each.under(libcni) if libcni else each for each in facts.configs]
    loaded = folder.in_use(configs, runtime, facts)
    bad = {each.name: each.error for each in configs if each.mendable}
    if bad and not loaded.files and loaded.unjudged is None:
        configs, loaded = folder.mended(configs, runtime, facts)
    findings = list(remarks.runtime_findings(runtime))
    if loaded.unjudged is not None and loaded.unjudged.error is not None:
        unseen, fault = loaded.unjudged, loaded.unjudged.error
        findings = [*loaded.findings, *findings, *remarks.unused(configs, [unseen])]
        return _not_loaded(configs, unseen, fault, runtime, findings, known=False)
    if not loaded.files:
        findings += [each for each in bad.values() if each is not None]
    invalid = [each for each in configs if each.error is not None and each.kind != "other"]
    failed = loaded.failed or (invalid[0] if invalid and not loaded.files else None)
    if failed is not None and failed.error is not None:
        findings = [*loaded.findings, *findings, *remarks.unused(configs, [failed])]
        return _not_loaded(configs, failed, failed.error, runtime, findings, known=True)
    if not loaded.files:
        finding = remarks.no_config(configs, runtime, facts)
        files = tuple(_bystander(config, runtime) for config in configs)
        return Judgement(
            files,
            Baseline(False, None, f"{finding.code}: {finding.message}"),
            After(False, None, None),
            Verdict.NO_CONFIG,
            (finding, *findings),
        )
    judged = [
        _judge_active(config, Beside(configs, runtime, facts), target, bad.get(config.name))
        for config in loaded.files
    ]
    by_name = {each.file.name: each.file for each in judged}
    files = tuple(
        _templated(by_name.get(config.name) or _bystander(config, runtime), runtime, facts)
        for config in configs
    )
    findings += remarks.template_findings(files, facts)
    for each in judged:
        findings += each.findings
    findings += loaded.findings
    findings += remarks.unused(configs, loaded.files)
    findings += remarks.loopback_findings(runtime, loopback(runtime, facts))
    return Judgement(
        files, _baseline(judged), _after(judged), _verdict(judged, runtime), _ranked(findings)
    )


def _not_cni(configs: Sequence[Config], runtime: Runtime, instead: str) -> Judgement:
    """kubenet of dockershim, or no plugin at all: no file of the folder is read."""
    why = f"pods of this node get their network without CNI: {instead}"
    finding = Finding(
        Code.NOT_CNI,
        Severity.INFO,
        runtime.label,
        why,
        "nothing; before this node moves to another runtime it needs a CNI network",
    )
    files = tuple(_bystander(config, runtime) for config in configs)
    return Judgement(
        files, Baseline(None, None), After(None, None, None, why=why), Verdict.NOT_CNI, (finding,)
    )


def _not_read(finding: Finding, runtime: Runtime) -> Judgement:
    """The runtime has its configs, and they cannot be looked at: nothing is known of the node."""
    return Judgement(
        (),
        Baseline(None, None),
        After(None, None, None, why=f"{finding.code}: {finding.message}"),
        Verdict.BLOCKED,
        (finding, *remarks.runtime_findings(runtime)),
    )


def _templated(file: FileReport, runtime: Runtime, facts: Facts) -> FileReport:
    if not facts.conf_template or runtime.name == "cri-o" or file.name != remarks.TEMPLATED:
        return file
    source = f"containerd: conf_template {facts.conf_template}"
    return replace(file, managed_by=file.managed_by or source)


def _not_loaded(
    configs: Sequence[Config],
    failed: Config,
    fault: Finding,
    runtime: Runtime,
    findings: Sequence[Finding],
    *,
    known: bool,
) -> Judgement:
    """The runtime cannot load what is there: nothing is written, the file must be mended.

    Unless `known` it may well load it, and it is we who did not read the file.
    """
    why = f"{fault.code}: {failed.name}: {fault.message}"
    files = []
    for config in configs:
        file = _bystander(config, runtime)
        if config is failed:
            of_file = f"{fault.code}: {fault.message}"
            file = replace(file, active=True, to=None, action=Action.REFUSE, why=of_file)
        files.append(file)
    return Judgement(
        tuple(files),
        Baseline(False, False, why, why) if known else Baseline(None, None),
        After(False, False, False, why=why) if known else After(None, None, None, why=why),
        Verdict.BLOCKED,
        _ranked([fault, *findings]),
    )


def _bystander(config: Config, runtime: Runtime) -> FileReport:
    """A file that the runtime does not use: left alone."""
    why = (
        "not a name that libcni loads"
        if config.kind == "other"
        else f"{runtime.label} does not use this file"
    )
    writer = managed.writer(config)
    return FileReport(
        config.name,
        hashlib.sha256(config.data).hexdigest(),
        config.kind,
        config.network,
        config.version,
        active=False,
        plugins=config.plugins,
        to=config.version,
        action=Action.NONE,
        why=why,
        managed_by=str(writer) if writer else None,
    )


def _judge_active(config: Config, beside: Beside, target: Target, fault: Finding | None) -> _Judged:
    """`fault` is why the file is not loaded today; a rewrite to any version takes it away."""
    runtime, facts = beside.runtime, beside.facts
    running = [each for each in facts.sandboxes if each.network != LOOPBACK_NETWORK]
    others, foreign = list[Sandbox](), list[Sandbox]()
    if runtime.deletes_with == "cached":
        running, others, foreign = by_owner(config.network, running)
    else:
        running = [each for each in running if each.may_be_on(config.network)]
    node = Node.of(config, runtime, facts, running)
    not_loaded = health.Outcome(False, (fault,) if fault else ())
    before = (
        not_loaded if fault else health.add(config, config.version, node),
        not_loaded if fault else health.delete(config, config.version, node),
    )
    fresh = not_loaded if fault else health.delete_next(config, config.version, node)
    existing = not_loaded if fault else health.delete_existing(config, config.version, node)
    if not node.sandboxes:
        existing = health.Outcome(True)
    theirs = health.delete_of_others(config, node, others)
    existing = _beside(existing, theirs)
    then = Node.of(config.rewritten(), runtime, facts, node.sandboxes)
    wanted = shared.wanted(config, target, facts)
    plan = planning.plan(config, node, then, wanted, before)
    writer = managed.writer(config)
    if writer and plan.action is Action.REWRITE and facts.managed_files != "Override":
        plan = replace(
            plan,
            action=Action.MANAGED,
            why=f"{plan.why}; {writer.name} would put its own back: mend {writer.source_of_truth}",
            findings=(
                Finding(
                    Code.MANAGED,
                    Severity.WARNING,
                    config.name,
                    f"{writer.name} writes this file and would put it back",
                    f"set cniVersion {plan.to} at its source: {writer.source_of_truth}",
                ),
                *plan.findings,
            ),
            needs_drain=False,
        )
    if target.form == "List" and config.kind == "conf":
        plan = planning.as_list(config, node, beside, wanted, plan, writer)
    reached, there = config.version, node
    if plan.action is Action.REWRITE:
        reached, there = plan.to, then
    after = (
        health.add(config, reached, there),
        health.delete_next(config, reached, there),
        _beside(health.delete_existing(config, reached, there), theirs),
    )
    if fault and plan.action is not Action.REWRITE:
        after = (not_loaded, not_loaded, not_loaded)
    # Its plugin takes a placeholder or refuses it, as no version tells. Not before: which version
    # the file is to have does not hang on what another value lacks.
    if any(note.code == Code.TEMPLATE_NOT_RENDERED for note in config.notes):
        before = (_doubted(before[0]), _doubted(before[1]))
        fresh, existing = _doubted(fresh), _doubted(existing)
        after = (_doubted(after[0]), _doubted(after[1]), _doubted(after[2]))
    today = [
        leaking(config, config.version, node, before[0], fresh),
        leaking(config, config.version, node, None, existing),
    ]
    leaks = (
        _either(today),
        leaking(config, reached, there, after[0], after[1]),
        leaking(config, reached, there, None, after[2]),
    )
    file = replace(
        _bystander(config, runtime),
        active=True,
        to=plan.to,
        action=plan.action,
        why=plan.why,
        becomes=plan.becomes,
    )
    findings = (
        *remarks.causes(before),
        *plan.findings,
        *remarks.left_behind(runtime, after[2]),
        *remarks.perhaps_not_ours(config, runtime, others, theirs),
        *remarks.of_another_engine(
            config, runtime, foreign, health.delete_of_others(config, node, foreign)
        ),
        *remarks.incurable(before, config),
        *remarks.support_findings(node.binaries),
        *remarks.delegate_findings(config, node),
        *config.notes,
        *remarks.check_findings(config, node, plan),
        *shared.finding(config, target, plan),
        *remarks.status_findings(config, node, plan),
        *(() if fault else remarks.remarks(config, node, reached, plan)),
    )
    # No version of the file has to do with theirs, so the plan was made without them.
    today_with_theirs = (before[0], _beside(before[1], theirs))
    unknown = bool(there.grave(reached))
    return _Judged(file, unknown, today_with_theirs, after, leaks, plan.needs_drain, findings)


def _doubted(outcome: health.Outcome) -> health.Outcome:
    """Where what works by its version may fail for a reason that no version tells: unknown."""
    return health.Outcome(None) if outcome.works else outcome


def _beside(deleted: health.Outcome, theirs: health.Outcome) -> health.Outcome:
    """`theirs`: of containers that may be another engine's, which is then no fault of the node."""
    return deleted if theirs.works else _doubted(deleted)


def _combined(outcomes: Iterable[health.Outcome]) -> health.Outcome:
    """Of several networks that every pod joins: one that fails decides, then one unknown."""
    all_of = list(outcomes)
    failing = next((each for each in all_of if each.works is False), None)
    unknown = next((each for each in all_of if each.works is None), None)
    return failing or unknown or health.Outcome(True)


def _baseline(judged: Sequence[_Judged]) -> Baseline:
    add = _combined(each.before[0] for each in judged)
    delete = _combined(each.before[1] for each in judged)
    leaks = _either(each.leaks[0] for each in judged)
    why = f"{delete.why}; its address stays taken" if delete.why and leaks else delete.why
    return Baseline(add.works, delete.works, add.why, why, leaks)


def _after(judged: Sequence[_Judged]) -> After:
    add, delete, existing = (_combined(each.after[i] for each in judged) for i in range(3))
    return After(
        add.works,
        delete.works,
        existing.works,
        any(each.needs_drain for each in judged),
        add.why or delete.why or existing.why,
        _either(each.leaks[1] for each in judged),
        _either(each.leaks[2] for each in judged),
    )


def _either(answers: Iterable[bool | None]) -> bool | None:
    """Whether one of them is so; unknown where one is unknown and none is known to be."""
    said = list(answers)
    return True if True in said else None if None in said else False


def _verdict(judged: Sequence[_Judged], runtime: Runtime) -> Verdict:
    actions = {each.file.action for each in judged}
    if Action.REFUSE in actions or runtime.libcni is None:
        return Verdict.BLOCKED
    if Action.MANAGED in actions:
        return Verdict.MANAGED
    if Action.REWRITE in actions:
        return Verdict.REWRITE
    broken = any(each.after[i].works is False for each in judged for i in range(2))
    unknown = any(each.unknown for each in judged)
    return Verdict.BLOCKED if broken or unknown else Verdict.COMPATIBLE


def _ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, faults first, otherwise in the order in which they were made."""
    ranks = {Severity.FAULT: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda each: ranks[each.severity]))
