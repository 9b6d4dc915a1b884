"""Plans one file: which version it is to reach and in which form, or why none may be chosen."""

from collections.abc import Sequence
from dataclasses import replace

from cni_upgrade.cni import compat, folder, health, managed, succession, versions
from cni_upgrade.cni.config import Config, read
from cni_upgrade.cni.facts import Facts, Target
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.judgement import Action
from cni_upgrade.cni.node import Node
from cni_upgrade.cni.runtimes import Runtime
from cni_upgrade.cni.value import dataclass


@dataclass(frozen=True, slots=True)
class Beside:
    """What one file of the folder is judged beside: the others, and who reads them."""

    configs: Sequence[Config]
    runtime: Runtime
    facts: Facts

    def load(self, configs: Sequence[Config]) -> Sequence[Config]:
        """What the runtime would use if these were the files."""
        return folder.in_use(configs, self.runtime, self.facts).files


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with one active file."""

    action: Action
    to: str | None
    why: str
    findings: tuple[Finding, ...] = ()
    needs_drain: bool = False
    becomes: str | None = None


def plan(
    config: Config,
    node: Node,
    then: Node,
    target: Target,
    before: tuple[health.Outcome, health.Outcome],
) -> Plan:
    """Choose the version to reach, or say why none may be chosen.

    `then` is the node whose plugins are called as they are after a rewrite.
    """
    version = config.version
    said = _said(config, before)
    faulty = any(outcome.curable for outcome in before)
    exact = target.selection == "Exact"
    faults = (each for each in config.notes if each.severity == Severity.FAULT)
    if template := next((n for n in faults if n.code == Code.TEMPLATE_NOT_RENDERED), None):
        return Plan(Action.REFUSE, None, f"{template.code}: {template.message}")
    if any(outcome.has(Code.MISSING_NAME) for outcome in before):
        return Plan(Action.REFUSE, None, f"{said}; the network's name must be mended first")
    hidden = _hidden(config, node)
    if not faulty:
        if version == target.version and not hidden:
            return _at_target(config, version, node)
        if target.rewrite == "OnlyFaulty" and node.doubts(version):
            if hidden or not node.grave(version):
                return _not_known_to_fail(version, node)
        elif target.rewrite == "OnlyFaulty":
            fails = any(outcome.works is False for outcome in before)
            how = "is not what fails here" if fails else "works here"
            return Plan(Action.NONE, version, f"{said} {how}, and only faulty files are rewritten")
        above = version and versions.order(version) > versions.order(target.version)
        if version and above and not exact and not node.grave(version):
            return _left_above(config, version, target, node)
    if node.runtime.libcni is None:
        return _refused(config, f"it is not known what {node.runtime.label} supports")
    beside = replace(node, chain=()).grave(target.version)  # what no version has to do with
    beside += [
        f"{shown(each.name)} has no version, and {each.multus} cannot delete with that"
        for each in node.undeletable(target.version)
    ]
    if beside:
        return _refused(config, "; ".join(beside))
    found = _reach(config, node, then, target, faulty, before)
    if found.action is Action.REWRITE and (doubts := node.slight(target.version)):
        return _refused(config, "; ".join(doubts))
    return _doubted(found, node)


def _doubted(plan: Plan, node: Node) -> Plan:
    """The same plan, of a file that is not written, with what is not known of what it runs."""
    doubts = node.slight(plan.to) if plan.action is Action.NONE else ()
    return replace(plan, why="; ".join((plan.why, *doubts)))


def _hidden(config: Config, node: Node) -> bool:
    """Whether a plugin is told another version by a key that a rewrite removes."""
    told = node.told_otherwise(config.version)
    return any(each.called is not None and not each.called.file for each in told)


def _not_known_to_fail(version: str | None, node: Node) -> Plan:
    doubts = "; ".join(node.doubts(version))
    why = f"only faulty files are rewritten, and whether this is one is not known: {doubts}"
    return Plan(Action.NONE, version, why)


def _said(config: Config, before: tuple[health.Outcome, health.Outcome]) -> str:
    """What the version is today, as a reason begins."""
    if before[0].has(Code.BAD_VERSION):
        return "not loaded"
    return shown(config.version) if config.version else "missing"


def _reach(
    config: Config,
    node: Node,
    then: Node,
    target: Target,
    faulty: bool,
    before: tuple[health.Outcome, health.Outcome],
) -> Plan:
    version = config.version
    said = _said(config, before)
    exact = target.selection == "Exact"
    hidden = _hidden(config, node)
    open_without_pods = compat.reach(node.runtime, then.chain, (), target.version, exact=exact)
    reach = compat.reach(node.runtime, then.chain, node.sandboxes, target.version, exact=exact)
    if reach.version is None and exact and open_without_pods.version and before[1].works:
        why = f"{said}; {reach.why}: drain the node first, for the target is to be met exactly"
        return Plan(Action.REWRITE, open_without_pods.version, why, needs_drain=True)
    if reach.version is None and exact and open_without_pods.version and faulty:
        return _lowered_first(config, then, target, before)
    fails = any(outcome.works is False for outcome in before)
    if reach.version is None:
        if not faulty and version and not exact and not fails and _all_known(version, node):
            return Plan(Action.NONE, version, f"{version} works and cannot be raised: {reach.why}")
        return _refused(config, reach.why)
    if reach.version == version and not hidden:
        return Plan(Action.NONE, version, f"{version} is {reach.why}", _limit(config, reach))
    if (
        not faulty
        and not hidden
        and not exact
        and version
        and versions.order(reach.version) < versions.order(version)
    ):
        return Plan(Action.NONE, version, f"{version} works and cannot be raised: {reach.why}")
    return Plan(Action.REWRITE, reach.version, f"{said}; {reach.why}", _limit(config, reach))


def _lowered_first(
    config: Config, node: Node, target: Target, before: tuple[health.Outcome, health.Outcome]
) -> Plan:
    """Where deleting is what fails a drain would hang: first a version that deletes what runs.

    Asked again with that, the answer is a drain, and then the target.
    """
    reach = compat.reach(node.runtime, node.chain, node.sandboxes, target.version)
    not_now = compat.reach(node.runtime, node.chain, node.sandboxes, target.version, exact=True).why
    if reach.version is None or before[1].works is not False:
        return _refused(config, not_now)
    then = "" if target.rewrite == "OnlyFaulty" else f"{target.version} once they are gone, for "
    why = (
        f"{_said(config, before)}; first {reach.version}, with which the pods that run now can be "
        f"deleted; {then}now {not_now}"
    )
    return Plan(Action.REWRITE, reach.version, why, _limit(config, reach))


def as_list(
    config: Config,
    node: Node,
    beside: Beside,
    target: Target,
    plan: Plan,
    writer: managed.Writer | None,
) -> Plan:
    """The same plan with a list in the file's place; unchanged, with the reason, where none may be.

    What is not to be touched for its version is not touched for its form either.
    """
    if plan.to is None or plan.action not in (Action.NONE, Action.REWRITE):
        return plan
    if plan.action is Action.NONE and target.rewrite == "OnlyFaulty":
        return plan
    name = succession.list_name(config.name)
    doubts = "; ".join(node.slight(plan.to))
    reason = doubts or _kept(config, beside, plan.to, name, writer)
    if not reason:
        why = f"{plan.why}; {shown(name)} takes its place"
        return replace(plan, action=Action.REWRITE, why=why, becomes=name)
    finding = Finding(
        Code.KEPT_AS_CONF,
        Severity.WARNING,
        config.name,
        f"it does not become {shown(name)}: {reason}",
        "take away what stands in the way, or leave it: its version is cared for all the same",
    )
    return replace(plan, findings=(*plan.findings, finding))


def _kept(
    config: Config, beside: Beside, to: str, name: str, writer: managed.Writer | None
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


def _all_known(version: str | None, node: Node) -> bool:
    missing = any(each.source == "missing" for each in node.chain)
    return not missing and not node.doubts(version)


def _at_target(config: Config, version: str, node: Node) -> Plan:
    """There is nothing to write; where a binary does not answer that is all that can be said."""
    why = f"{version} is the target already"
    doubts = "; ".join(node.doubts(version))
    if not node.grave(version):
        return _doubted(Plan(Action.NONE, version, why), node)
    code = Code.DELEGATE_VERSION
    action = "give what is delegated to a cniVersion that its binaries support"
    if node.silent:
        code = Code.PLUGIN_UNKNOWN
        action = f"run {node.silent[0]} with CNI_COMMAND=VERSION to see what it answers"
    elif node.told_otherwise(version):
        code = Code.HIDDEN_VERSION
        action = "remove the key from the file of the network's folder: no rewrite of the list does"
    finding = Finding(
        code,
        Severity.FAULT,
        config.name,
        f"{why}, and nothing shows that pods come and go with it: {doubts}",
        action,
    )
    return Plan(Action.NONE, version, f"{why}; {doubts}", (finding,))


def _left_above(config: Config, version: str, target: Target, node: Node) -> Plan:
    why = f"{version} works, and what works is not lowered to {target.version}"
    if node.slight(version):
        why = f"{version} is not known to fail, and is not lowered to {target.version}"
    finding = Finding(
        Code.ABOVE_TARGET, Severity.INFO, config.name, why, "nothing, or raise the target"
    )
    return _doubted(Plan(Action.NONE, version, why, (finding,)), node)


def _refused(config: Config, why: str) -> Plan:
    finding = Finding(
        Code.NO_VERSION_FITS,
        Severity.FAULT,
        config.name,
        f"no version can be written safely: {why}",
        "change what stands in the way, or the target",
    )
    return Plan(Action.REFUSE, None, why, (finding,))


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
