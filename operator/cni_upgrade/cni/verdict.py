"""Judges a node: what works today, which version each file is to reach, and what will work then.

The members of a Judgement are those of a Report in docs/operation.md; the rooms above only
serialise them. What is not known is never taken for good, what works is never lowered, and no
file is written that the node's own binaries, runtime and running pods do not take.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cni_upgrade.cni import compat, folder, health, managed, runtimes, succession, versions
from cni_upgrade.cni.config import Config, read
from cni_upgrade.cni.facts import Facts, Sandbox, Support, Target
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.runtimes import Runtime

__all__ = [
    "After",
    "Baseline",
    "Facts",
    "FileJudgement",
    "Judgement",
    "Sandbox",
    "Support",
    "Target",
    "judge",
]

LOOPBACK = "loopback"


@dataclass(frozen=True, slots=True)
class FileJudgement:
    """One file: what it is, what is to be done with it, and why."""

    name: str
    sha256: str
    kind: str
    network: str | None
    version: str | None
    active: bool
    plugins: tuple[str, ...]
    to: str | None
    action: str
    """None, Rewrite, Refuse or Managed."""
    why: str
    managed_by: str | None = None
    becomes: str | None = None
    """The name of the list that is to take the place of a single-plugin config."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What works today on the next creation and deletion; None is unknown."""

    add: bool | None
    del_: bool | None
    add_why: str | None = None
    del_why: str | None = None


@dataclass(frozen=True, slots=True)
class After:
    """What will work once the files carry the version to reach."""

    add: bool | None
    del_: bool | None
    existing_del: bool | None
    needs_drain: bool = False
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The whole answer about one node."""

    files: tuple[FileJudgement, ...]
    baseline: Baseline
    after: After
    verdict: str
    """Compatible, Rewrite, Blocked, Managed, NoConfig or NotCni."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    """One active file with the predictions that the node's answer is put together from."""

    file: FileJudgement
    before: tuple[health.Outcome, health.Outcome]
    after: tuple[health.Outcome, health.Outcome, health.Outcome]
    needs_drain: bool
    findings: tuple[Finding, ...]


def judge(facts: Facts, target: Target) -> Judgement:
    """Judge a node from what is known of it.

    Raises UnknownVersionError when the target is no released version.
    """
    versions.order(target.version)
    runtime = runtimes.lookup(facts.runtime)
    if facts.without_cni is not None:
        return _not_cni(facts.configs, runtime, facts.without_cni)
    libcni = runtime.libcni
    configs = [each.under(libcni) if libcni else each for each in facts.configs]
    loaded = folder.in_use(configs, runtime, facts)
    bad = {each.name: each.error for each in configs if each.mendable}
    if bad and not loaded.files:
        # Nothing is loaded, and a rewrite mends these: what would the runtime take then?
        configs = [replace(each, error=None) if each.mendable else each for each in configs]
        loaded = folder.in_use(configs, runtime, facts)
    findings = list(_runtime_findings(runtime))
    if not loaded.files:
        findings += [each for each in bad.values() if each is not None]
    invalid = [each for each in configs if each.error is not None and each.kind != "other"]
    failed = loaded.failed or (invalid[0] if invalid and not loaded.files else None)
    if failed is not None and failed.error is not None:
        return _not_loaded(configs, failed, failed.error, runtime, [*loaded.findings, *findings])
    if not loaded.files:
        finding = _no_config(configs, runtime, facts)
        files = tuple(_bystander(config, runtime) for config in configs)
        return Judgement(
            files,
            Baseline(False, None, f"{finding.code}: {finding.message}"),
            After(False, None, None),
            "NoConfig",
            (finding, *findings),
        )
    judged = [
        _judge_active(config, _Folder(configs, runtime, facts), target, bad.get(config.name))
        for config in loaded.files
    ]
    by_name = {each.file.name: each.file for each in judged}
    files = tuple(
        _templated(by_name.get(config.name) or _bystander(config, runtime), runtime, facts)
        for config in configs
    )
    findings += _template_findings(files, facts)
    for each in judged:
        findings += each.findings
    findings += loaded.findings
    findings += _loopback_findings(runtime, facts.plugins.get(LOOPBACK))
    return Judgement(
        files, _baseline(judged), _after(judged), _verdict(judged, runtime), _ranked(findings)
    )


@dataclass(frozen=True, slots=True)
class _Folder:
    """What one file of the folder is judged beside: the others, and who reads them."""

    configs: Sequence[Config]
    runtime: Runtime
    facts: Facts

    def load(self, configs: Sequence[Config]) -> Sequence[Config]:
        """What the runtime would use if these were the files."""
        return folder.in_use(configs, self.runtime, self.facts).files


TEMPLATED = "10-containerd-net.conflist"
"""What containerd calls the file that it makes (`pkg/cri/server/update_runtime_config.go`)."""


def _no_config(configs: Sequence[Config], runtime: Runtime, facts: Facts) -> Finding:
    """Why the runtime takes nothing of the folder, as far as that can be told."""
    message = "there is no CNI config that the runtime would take: no pod can get a network"
    action = (
        "see whether the network add-on runs on this node, for it writes the file, or install one; "
        "paths.source tells how the folder is known"
    )
    if facts.conf_template and runtime.name != "cri-o":
        message += (
            f"; containerd makes {TEMPLATED} from {facts.conf_template} once the kubelet tells it "
            "the pod CIDR of the node"
        )
        action = (
            "see whether the node has a spec.podCIDR, which the controller manager gives "
            "(--allocate-node-cidrs), and whether containerd's log complains about the template"
        )
    elif runtime.name == "cri-o" and facts.default_network and configs:
        networks = ", ".join(shown(str(each.network)) for each in configs if each.network)
        message += (
            f"; cni_default_network is {shown(facts.default_network)}, and the folder has "
            f"{networks or 'no network that could be read'}"
        )
        action = "set cni_default_network in CRI-O's configuration, or install that network"
    return Finding(Code.NO_CONFIG, Severity.FAULT, "", message, action)


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
        files, Baseline(None, None), After(None, None, None, why=why), "NotCni", (finding,)
    )


def _templated(file: FileJudgement, runtime: Runtime, facts: Facts) -> FileJudgement:
    if not facts.conf_template or runtime.name == "cri-o" or file.name != TEMPLATED:
        return file
    source = f"containerd: conf_template {facts.conf_template}"
    return replace(file, managed_by=file.managed_by or source)


def _template_findings(files: Sequence[FileJudgement], facts: Facts) -> Iterator[Finding]:
    """A rewrite holds: containerd makes the file again only where it can load no config."""
    for file in files:
        if facts.conf_template and file.name == TEMPLATED and file.action == "Rewrite":
            yield Finding(
                Code.CONF_TEMPLATE,
                Severity.WARNING,
                file.name,
                f"containerd makes this file from {facts.conf_template} where it finds no config: "
                "on a new node, or if it were removed",
                f"write cniVersion {file.to} into {facts.conf_template} too",
            )


def _not_loaded(
    configs: Sequence[Config],
    failed: Config,
    fault: Finding,
    runtime: Runtime,
    findings: Sequence[Finding],
) -> Judgement:
    """The runtime cannot load what is there: nothing is written, the file must be mended."""
    why = f"{fault.code}: {failed.name}: {fault.message}"
    files = []
    for config in configs:
        file = _bystander(config, runtime)
        if config is failed:
            file = replace(file, active=True, to=None, action="Refuse", why=why)
        files.append(file)
    return Judgement(
        tuple(files),
        Baseline(False, False, why, why),
        After(False, False, False, why=why),
        "Blocked",
        _ranked([fault, *findings]),
    )


def _bystander(config: Config, runtime: Runtime) -> FileJudgement:
    """A file that the runtime does not use: left alone."""
    why = (
        "not a name that libcni loads"
        if config.kind == "other"
        else f"{runtime.label} does not use this file"
    )
    writer = managed.writer(config)
    return FileJudgement(
        config.name,
        hashlib.sha256(config.data).hexdigest(),
        config.kind,
        config.network,
        config.version,
        active=False,
        plugins=config.plugins,
        to=config.version,
        action="None",
        why=why,
        managed_by=str(writer) if writer else None,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do with one active file."""

    action: str
    to: str | None
    why: str
    findings: tuple[Finding, ...] = ()
    needs_drain: bool = False
    becomes: str | None = None


def _judge_active(
    config: Config, beside: _Folder, target: Target, fault: Finding | None
) -> _Judged:
    """`fault` is why the file is not loaded today; a rewrite to any version takes it away."""
    runtime, facts = beside.runtime, beside.facts
    node = health.Node(
        runtime,
        [facts.plugins.get(binary) or Support(binary) for binary in config.plugins],
        facts.plugins.get(LOOPBACK) if runtime.loopback_at else None,
        [
            each
            for each in facts.sandboxes
            if each.may_be_on(config.network) or runtime.deletes_with == "cached"
            if each.network != "cni-loopback"
        ],
    )
    not_loaded = health.Outcome(False, (fault,) if fault else ())
    before = (
        not_loaded if fault else health.add(config, config.version, node),
        not_loaded if fault else health.delete(config, config.version, node),
    )
    plan = _plan(config, node, target, before)
    writer = managed.writer(config)
    if writer and plan.action == "Rewrite" and facts.managed_files != "Override":
        plan = replace(
            plan,
            action="Managed",
            why=f"{plan.why}; {writer.name} would put its own back",
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
        plan = _as_list(config, beside, target, plan, writer)
    reached = plan.to if plan.action == "Rewrite" else config.version
    after = (
        health.add(config, reached, node),
        health.delete_next(config, reached, node),
        health.delete_existing(config, reached, node),
    )
    if fault and plan.action != "Rewrite":
        after = (not_loaded, not_loaded, not_loaded)
    file = replace(
        _bystander(config, runtime),
        active=True,
        to=plan.to,
        action=plan.action,
        why=plan.why,
        becomes=plan.becomes,
    )
    findings = (
        *_causes(before),
        *plan.findings,
        *(_causes((after[2],)) if runtime.deletes_with == "cached" else ()),
        *_incurable(before, config),
        *_support_findings(node.chain),
        *config.notes,
        *(() if fault else _remarks(config, node, reached, plan)),
    )
    return _Judged(file, before, after, plan.needs_drain, findings)


def _plan(
    config: Config,
    node: health.Node,
    target: Target,
    before: tuple[health.Outcome, health.Outcome],
) -> _Plan:
    """Choose the version to reach, or say why none may be chosen."""
    version = config.version
    said = _said(config, before)
    faulty = any(outcome.curable for outcome in before)
    exact = target.selection == "Exact"
    if template := next((n for n in config.notes if n.code == Code.TEMPLATE_NOT_RENDERED), None):
        return _Plan("Refuse", None, f"{template.code}: {template.message}")
    if any(outcome.has(Code.MISSING_NAME) for outcome in before):
        return _Plan("Refuse", None, f"{said}; the network's name must be mended first")
    if not faulty:
        if version == target.version:
            return _Plan("None", version, f"{version} is the target already")
        if target.rewrite == "OnlyFaulty":
            return _Plan("None", version, f"{said} works here, and only faulty files are rewritten")
        if version and not exact and versions.order(version) > versions.order(target.version):
            return _left_above(config, version, target)
    if node.runtime.libcni is None:
        return _refused(config, f"it is not known what {node.runtime.label} supports")
    return _reach(config, node, target, faulty, before)


def _said(config: Config, before: tuple[health.Outcome, health.Outcome]) -> str:
    """What the version is today, as a reason begins."""
    if before[0].has(Code.BAD_VERSION):
        return "not loaded"
    return shown(config.version) if config.version else "missing"


def _reach(
    config: Config,
    node: health.Node,
    target: Target,
    faulty: bool,
    before: tuple[health.Outcome, health.Outcome],
) -> _Plan:
    version = config.version
    said = _said(config, before)
    exact = target.selection == "Exact"
    open_without_pods = compat.reach(node.runtime, node.chain, (), target.version, exact=exact)
    reach = compat.reach(node.runtime, node.chain, node.sandboxes, target.version, exact=exact)
    if reach.version is None and exact and open_without_pods.version and before[1].works:
        why = f"{said}; {reach.why}: drain the node first, for the target is to be met exactly"
        return _Plan("Rewrite", open_without_pods.version, why, needs_drain=True)
    if reach.version is None:
        if not faulty and version and not exact and _all_known(node):
            return _Plan("None", version, f"{version} works and cannot be raised: {reach.why}")
        return _refused(config, reach.why)
    if reach.version == version:
        return _Plan("None", version, f"{version} is {reach.why}", _limit(config, reach))
    if (
        not faulty
        and not exact
        and version
        and versions.order(reach.version) < versions.order(version)
    ):
        return _Plan("None", version, f"{version} works and cannot be raised: {reach.why}")
    return _Plan("Rewrite", reach.version, f"{said}; {reach.why}", _limit(config, reach))


def _as_list(
    config: Config,
    beside: _Folder,
    target: Target,
    plan: _Plan,
    writer: managed.Writer | None,
) -> _Plan:
    """The same plan with a list in the file's place; unchanged, with the reason, where none may be.

    What is not to be touched for its version is not touched for its form either.
    """
    if plan.to is None or plan.action not in ("None", "Rewrite"):
        return plan
    if plan.action == "None" and target.rewrite == "OnlyFaulty":
        return plan
    name = succession.list_name(config.name)
    reason = _kept(config, beside, plan.to, name, writer)
    if reason is None:
        why = f"{plan.why}; {shown(name)} takes its place"
        return replace(plan, action="Rewrite", why=why, becomes=name)
    finding = Finding(
        Code.KEPT_AS_CONF,
        Severity.WARNING,
        config.name,
        f"it does not become {shown(name)}: {reason}",
        "take away what stands in the way, or leave it: its version is cared for all the same",
    )
    return replace(plan, findings=(*plan.findings, finding))


def _kept(
    config: Config, beside: _Folder, to: str, name: str, writer: managed.Writer | None
) -> str | None:
    """Why a single-plugin config stays one; None when it may become the list of that name."""
    from cni_upgrade.cni.conversion import convert  # jsonpatch, which as a rule no audit needs
    from cni_upgrade.cni.patch import RewriteError

    if writer is not None and beside.facts.managed_files != "Override":
        return f"{writer.name} would put its own file back beside it"
    try:
        made = convert(config.data, to, alone=config.network in beside.facts.names)
    except RewriteError as error:
        return str(error)
    there = next((each for each in beside.configs if each.name == name), None)
    if name in beside.facts.names and (there is None or there.data != made.data):
        return f"{shown(name)} is there already, and is not what it would become"
    new = read(name, made.data, beside.runtime.libcni)
    return succession.obstacle(beside.load, beside.configs, config, new)


def _all_known(node: health.Node) -> bool:
    return all(each.supported is not None for each in node.chain)


def _left_above(config: Config, version: str, target: Target) -> _Plan:
    why = f"{version} works, and what works is not lowered to {target.version}"
    finding = Finding(
        Code.ABOVE_TARGET, Severity.INFO, config.name, why, "nothing, or raise the target"
    )
    return _Plan("None", version, why, (finding,))


def _refused(config: Config, why: str) -> _Plan:
    finding = Finding(
        Code.NO_VERSION_FITS,
        Severity.FAULT,
        config.name,
        f"no version can be written safely: {why}",
        "change what stands in the way, or the target",
    )
    return _Plan("Refuse", None, why, (finding,))


def _limit(config: Config, reach: compat.Reach) -> tuple[Finding, ...]:
    if not reach.held_by_sandboxes:
        return ()
    return (
        Finding(
            Code.SANDBOX_LIMIT,
            Severity.INFO,
            config.name,
            f"{reach.version} is chosen for the pods that run now: {reach.why}",
            "once those pods are gone, another run raises it",
        ),
    )


def _causes(outcomes: Iterable[health.Outcome]) -> list[Finding]:
    return [cause for outcome in outcomes for cause in outcome.causes]


def _incurable(outcomes: Iterable[health.Outcome], config: Config) -> Iterator[Finding]:
    for cause in _causes(outcomes):
        if cause.code not in health.CURABLE and cause.code != Code.CACHED_DEL:
            yield Finding(
                Code.CANNOT_CURE,
                Severity.INFO,
                config.name,
                f"no cniVersion cures {cause.code} ({cause.component})",
                cause.action,
            )


def _support_findings(chain: Sequence[Support]) -> Iterator[Finding]:
    for support in chain:
        if support.finding is not None and support.source != "missing":
            yield support.finding
        elif support.supported is None and support.source != "missing":
            yield Finding(
                Code.PLUGIN_UNKNOWN,
                Severity.WARNING,
                support.type,
                f"it is not known which versions {support.type} supports",
                f"run {support.type} with CNI_COMMAND=VERSION to see what it answers",
            )


def _remarks(
    config: Config, node: health.Node, reached: str | None, plan: _Plan
) -> Iterator[Finding]:
    if not config.version and not node.runtime.libcni:
        yield Finding(
            Code.VERSION_MISSING,
            Severity.WARNING,
            config.name,
            "cniVersion is missing: containerd up to 1.6.3 cannot delete pods with that, and CRI-O "
            "up to 1.23 cannot create them either",
            "write a cniVersion that every plugin and the runtime support",
        )
    elif not config.version and not node.runtime.f1:
        yield Finding(
            Code.VERSION_MISSING,
            Severity.WARNING,
            config.name,
            f"cniVersion is missing; {node.runtime.label} (libcni {node.runtime.libcni}) forgives "
            "it, older runtimes and some plugins do not",
            "write a cniVersion",
        )
    if not reached or not versions.known(reached):
        return
    old = [each for each in node.sandboxes if not each.version]
    if old and reached != config.version and versions.order(reached) >= versions.order("0.4.0"):
        yield Finding(
            Code.CHECK_FAILS,
            Severity.INFO,
            config.name,
            f"CHECK of {compat.pods(len(old))} added with no version fails after the rewrite "
            "(Interface name missing); no runtime here asks for it",
            "nothing, unless something of your own runs CHECK",
        )
    lasts = config.kind != "conf" or plan.becomes is not None
    if not lasts and versions.order(reached) >= versions.order("1.0.0"):
        yield Finding(
            Code.CONF_AT_1,
            Severity.INFO,
            config.name,
            f"a single-plugin file at {reached} is outside the specification; libcni takes it",
            "nothing now; a .conflist is the form that lasts (ask for it: format List)",
        )


def _runtime_findings(runtime: Runtime) -> Iterator[Finding]:
    if runtime.libcni is None:
        yield Finding(
            Code.RUNTIME_UNKNOWN,
            Severity.FAULT,
            runtime.name or "runtime",
            f"it is not known which libcni {runtime.label} carries",
            "extend the table in operator/cni_upgrade/cni/runtimes.py"
            if runtime.name
            else "name the runtime and its version, as the node's status has them",
        )


def _loopback_findings(runtime: Runtime, loopback: Support | None) -> Iterator[Finding]:
    """An old loopback that works today: containerd >= 1.6 is said to want 1.0.0."""
    if loopback is None or loopback.supported is None or runtime.loopback_at is None:
        return
    if runtime.max == "0.4.0" or "1.0.0" in loopback.supported:
        return
    if loopback.takes(runtime.loopback_at):
        yield Finding(
            Code.LOOPBACK,
            Severity.WARNING,
            LOOPBACK,
            f"loopback supports up to {loopback.max}; {runtime.label} runs it at "
            f"{runtime.loopback_at}, so it works; under containerd 1.6.3 it would not",
            "install loopback 1.0.0 or later",
        )


def _combined(outcomes: Iterable[health.Outcome]) -> health.Outcome:
    """Of several networks that every pod joins: one that fails decides, then one unknown."""
    all_of = list(outcomes)
    failing = next((each for each in all_of if each.works is False), None)
    unknown = next((each for each in all_of if each.works is None), None)
    return failing or unknown or health.Outcome(True)


def _baseline(judged: Sequence[_Judged]) -> Baseline:
    add = _combined(each.before[0] for each in judged)
    delete = _combined(each.before[1] for each in judged)
    return Baseline(add.works, delete.works, add.why, delete.why)


def _after(judged: Sequence[_Judged]) -> After:
    add, delete, existing = (_combined(each.after[i] for each in judged) for i in range(3))
    return After(
        add.works,
        delete.works,
        existing.works,
        any(each.needs_drain for each in judged),
        add.why or delete.why or existing.why,
    )


def _verdict(judged: Sequence[_Judged], runtime: Runtime) -> str:
    actions = {each.file.action for each in judged}
    if "Refuse" in actions or runtime.libcni is None:
        return "Blocked"
    if "Managed" in actions:
        return "Managed"
    if "Rewrite" in actions:
        return "Rewrite"
    broken = any(each.after[i].works is False for each in judged for i in range(2))
    return "Blocked" if broken else "Compatible"


def _ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, faults first, otherwise in the order in which they were made."""
    ranks = {Severity.FAULT: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda each: ranks[each.severity]))
