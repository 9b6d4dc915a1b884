"""What is worth saying about a node beside the plan: its runtime, its plugins, its form."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from cni_upgrade.cni import check, compat, daemons, health, status, versions
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts, Sandbox, Support
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.judgement import Action, FileReport
from cni_upgrade.cni.node import LOOPBACK, Node
from cni_upgrade.cni.plan import Plan
from cni_upgrade.cni.runtimes import JUDGED, Runtime


def incurable(outcomes: Iterable[health.Outcome], config: Config) -> Iterator[Finding]:
    """Causes that no version takes away."""
    for cause in causes(outcomes):
        if cause.code not in (*health.CURABLE, Code.CACHED_DEL, Code.KEPT_DEL):
            yield Finding(
                Code.CANNOT_CURE,
                Severity.INFO,
                config.name,
                f"no cniVersion cures {cause.code} ({cause.component})",
                cause.action,
            )


def of_another_engine(
    config: Config, runtime: Runtime, foreign: Sequence[Sandbox], deleted: health.Outcome
) -> Iterator[Finding]:
    """Containers that are no pods: `deleted` is what would become of them, were they the runtime's.

    Who finds them in the cache might take them for what the runtime cannot delete.
    """
    if deleted.works is not True:
        yield Finding(
            Code.NOT_OURS,
            Severity.INFO,
            config.name,
            f"the results cache has {len(foreign)} entr{'y' if len(foreign) == 1 else 'ies'} of "
            f"containers that are no pods{_because(deleted)}: they are another engine's, as podman "
            f"keeps its results in the same folder, and {runtime.label} does not delete them",
            "nothing",
        )


def _because(deleted: health.Outcome) -> str:
    return f" ({'; '.join(cause.message for cause in deleted.causes)})" if deleted.causes else ""


def perhaps_not_ours(
    config: Config, runtime: Runtime, others: Sequence[Sandbox], deleted: health.Outcome
) -> Iterator[Finding]:
    """Containers of which it is not known whose they are: `deleted` is what would become of them,
    were they the runtime's."""
    if deleted.works is True:
        return
    yield Finding(
        Code.NOT_OURS,
        Severity.INFO,
        config.name,
        f"it is not known whether {runtime.label} can delete {compat.told(others)} of containers "
        f"that are not on {shown(str(config.network))}{_because(deleted)}: they are another "
        "engine's, as podman keeps its results in the same folder, or pods of before this file was "
        "the one in use",
        "nothing, where `crictl pods` does not know them; else bring back the plugins with which "
        "they were added, or restart the node",
    )


def support_findings(binaries: Sequence[Support]) -> Iterator[Finding]:
    """Binaries that run for a pod and about which not enough is known, or not for certain."""
    for support in binaries:
        if support.interpreter:
            yield Finding(
                Code.PLUGIN_SCRIPT,
                Severity.INFO,
                support.type,
                f"{support.type} is a script for {shown(support.interpreter)}, and has no build "
                "info that bounds what it supports: what it answers hangs on that interpreter, "
                "which the runtime takes from the node and an agent from its image",
                "nothing, if it answers VERSION on the node as well (see `plugins`); else install "
                f"a compiled {support.type}, or bring the interpreter into the agent's image",
            )
        if check.replaces_ifname(support) is None:
            yield Finding(
                Code.SYSCTL_IFNAME,
                Severity.WARNING,
                support.type,
                f"the name of a sysctl holds IFNAME, which {support.type} replaces from 1.1.0 on: "
                "whether it is that new is not known, so neither is whether ADD works",
                f"install {support.type} 1.6.0 or later, or take that sysctl out",
            )
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


def delegate_findings(config: Config, node: Node) -> Iterator[Finding]:
    """Whom the config delegates to in a way that cannot be told from here."""
    told = node.told_otherwise(config.version)  # which the file's own notes say
    for doubt in daemons.refusals(node.chain, config.version):
        yield Finding(
            Code.DAEMON_REFUSES,
            Severity.WARNING,
            config.name,
            doubt,
            "write a cniVersion that every plugin and the runtime support",
        )
    quiet = (*told, *(each for each in node.chain if each.type in daemons.REFUSE_NO_VERSION))
    chain = [each for each in node.chain if each.supported and each not in quiet]
    known = replace(node, chain=chain, loopback=None)
    for doubt in known.doubts(config.version):
        yield Finding(
            Code.DELEGATE_VERSION,
            Severity.WARNING,
            config.name,
            doubt,
            "see what the plugin delegates to, and that each binary of it supports the version at "
            "which it is called",
        )


def remarks(config: Config, node: Node, reached: str | None, plan: Plan) -> Iterator[Finding]:
    """What holds of the file as it is, and of what it is to be."""
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
    old = [each for each in node.sandboxes if _without_interfaces(each.version)]
    if old and reached != config.version and versions.order(reached) >= versions.order("0.4.0"):
        yield Finding(
            Code.CHECK_FAILS,
            Severity.INFO,
            config.name,
            f"CHECK of {compat.told(old)} added with no version, or below 0.3.0, fails after the "
            "rewrite (Interface name missing); no runtime here asks for it",
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


def check_findings(config: Config, node: Node, plan: Plan) -> Iterator[Finding]:
    """That CHECK is asked of plugins of which it is not known whether it passes there."""
    unproved = check.unproved(node.chain)
    written = plan.action in (Action.REWRITE, Action.MANAGED)
    asks = check.asked(node.runtime, plan.to if written else config.version)
    if not unproved or asks is False:
        return
    plugins = ", ".join(each.plugin for each in unproved)
    begins = written and check.asked(node.runtime, config.version) is False
    # The same words before a change and after it: one node that was proved speaks for its like.
    message = (
        f"at {plan.to if written else config.version} {node.runtime.label} "
        f"{'asks' if asks else 'may ask'} CHECK of every pod that it creates: whether {plugins} "
        "answers is not known, and if not, no pod can be created: "
        f"{'; '.join(each.why for each in unproved)}"
    )
    action = (
        "have the change proved by a pod (a policy does, and takes it back; after an apply by "
        "hand create one, and restore if it fails), or set the target to 0.3.1, or "
        "`disableCheck: true` in the list"
        if begins
        else "see whether pods start on this node; where none does, write 0.3.1, or "
        "`disableCheck: true` into the list"
    )
    severity = Severity.WARNING if begins else Severity.INFO
    yield Finding(Code.CHECK_UNPROVED, severity, config.name, message, action)


def status_findings(config: Config, node: Node, plan: Plan) -> Iterator[Finding]:
    """That a plugin decides about the readiness of the node, once the list is at 1.1.0."""
    asks = status.asked(node.runtime, plan.to)
    if asks is False:
        return
    begins = plan.to != config.version
    yield Finding(
        Code.STATUS_ASKED,
        Severity.WARNING if begins else Severity.INFO,
        config.name,
        f"at {plan.to} {node.runtime.label} {'asks' if asks else 'may ask'} STATUS of "
        f"{', '.join(config.mains)}, and while one of them refuses the node is NotReady; that it "
        "supports the version does not say that it answers",
        "see that each answers (change one node first), or set the target to 1.0.0"
        if begins
        else "nothing while the node is Ready; else ask each plugin for STATUS",
    )


def _without_interfaces(added: str | None) -> bool:
    """Whether the result of ADD, at that version, names no interfaces, which CHECK wants."""
    return not added or (versions.known(added) and versions.order(added) < versions.order("0.3.0"))


def runtime_findings(runtime: Runtime) -> Iterator[Finding]:
    """A runtime that is not in the table, or is taken for one that is."""
    if runtime.libcni is None:
        yield Finding(
            Code.RUNTIME_UNKNOWN,
            Severity.FAULT,
            runtime.name or "runtime",
            f"it is not known which libcni {runtime.label} carries",
            "if you know it, say it: `runtimes` of the operator's configuration, or --libcni"
            if runtime.name in JUDGED
            else "move to another runtime, for only containerd and CRI-O are known here; "
            "`spec.readinessFor` or --readiness tells whether pods would come and go there"
            if runtime.name
            else "name the runtime and its version, as the node's status has them",
        )
    elif runtime.assumed is not None:
        yield Finding(
            Code.RUNTIME_ASSUMED,
            Severity.WARNING if runtime.unseen else Severity.INFO,
            runtime.label,
            f"taken for granted: {runtime.assumed}",
            "see its go.mod for github.com/containernetworking/cni, and say it: `runtimes` of the "
            "operator's configuration, or --libcni"
            if runtime.unseen
            else "nothing, unless whoever built it has put another libcni into it",
        )


def loopback_findings(runtime: Runtime, loopback: Support | None) -> Iterator[Finding]:
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


def unused(configs: Sequence[Config], used: Sequence[Config]) -> Iterator[Finding]:
    """Files of the folder that the runtime does not use today, and could not if it came to them."""
    names = {each.name for each in used}
    for config in configs:
        if config.error is None or config.kind == "other" or config.name in names:
            continue
        yield Finding(
            Code.UNUSED_FILE,
            Severity.INFO,
            config.name,
            f"the runtime does not use this file now; {config.error.code}: {config.error.message}",
            "mend it, or move it out of the folder: it counts once those before it are gone",
        )


def template_findings(files: Sequence[FileReport], facts: Facts) -> Iterator[Finding]:
    """A rewrite holds: containerd makes the file again only where it can load no config.

    The template itself is not read, so nothing tells whether somebody has mended it.
    """
    for file in files:
        if facts.conf_template and file.name == TEMPLATED and file.active and file.to:
            rewrite = file.action is Action.REWRITE
            too = f"write cniVersion {file.to} into {facts.conf_template} too"
            yield Finding(
                Code.CONF_TEMPLATE,
                Severity.WARNING if rewrite else Severity.INFO,
                file.name,
                f"containerd makes this file from {facts.conf_template} where it finds no config: "
                "on a new node, or if it were removed",
                too if rewrite else f"{too}, if it has another one or none: that is not looked at",
            )


def no_config(configs: Sequence[Config], runtime: Runtime, facts: Facts) -> Finding:
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


TEMPLATED = "10-containerd-net.conflist"
"""What containerd calls the file that it makes (`pkg/cri/server/update_runtime_config.go`)."""


def causes(outcomes: Iterable[health.Outcome]) -> list[Finding]:
    """Why commands fail, all of them."""
    return [cause for outcome in outcomes for cause in outcome.causes]


def left_behind(runtime: Runtime, existing: health.Outcome) -> list[Finding]:
    """Why pods that run now are not deleted after the change either, where no file has to do with
    that: they are deleted with what was cached or kept of their ADD."""
    cached = runtime.deletes_with == "cached"
    return [each for each in existing.causes if cached or each.code == Code.KEPT_DEL]
