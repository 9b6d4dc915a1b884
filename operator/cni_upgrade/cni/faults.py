"""Each way in which pods do not come or go, as a finding: what is seen, and what cures it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cni_upgrade.cni import check, compat
from cni_upgrade.cni.addresses import SEVERAL, refused_at_del
from cni_upgrade.cni.chain import Called, Versionless
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Sandbox, Support
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.node import LOOPBACK, Node
from cni_upgrade.cni.runtimes import Runtime


def missing_binaries(node: Node) -> Iterator[Finding]:
    """Binaries of the chain that are not there."""
    for support in node.chain:
        if support.source == "missing":
            yield support.finding or Finding(
                Code.PLUGIN_MISSING,
                Severity.FAULT,
                support.type,
                f"the binary {support.type} is not in the plugin folders: ADD and DEL fail",
                f"install {support.type}",
            )


def loopback_breaks(node: Node) -> Iterator[Finding]:
    """Where the loopback that containerd runs for every pod makes ADD and DEL fail."""
    loopback, at = node.loopback, node.runtime.loopback_at
    if loopback is None or at is None:
        return
    if loopback.source == "missing":
        yield Finding(
            Code.LOOPBACK,
            Severity.FAULT,
            LOOPBACK,
            f"{node.runtime.label} runs the loopback plugin for every pod, and it is not there",
            "install the loopback plugin of containernetworking/plugins 1.0.0 or later",
        )
    elif loopback.takes(at) is False:
        yield Finding(
            Code.LOOPBACK,
            Severity.FAULT,
            LOOPBACK,
            f"{node.runtime.label} runs loopback at {at}, and this loopback supports "
            f"{_supports(loopback)}: ADD and DEL fail, and no rewrite of a file cures that",
            "install loopback 1.0.0 or later, or move to containerd 1.6.4 or later",
        )


def f1(config: Config, runtime: Runtime) -> Finding:
    """A missing version under a libcni that does not forgive it."""
    if runtime.name == "cri-o":
        effect = "cannot create pods, for their status check fails, nor delete them"
    else:
        effect = "adds pods and cannot delete them"
    return Finding(
        Code.F1,
        Severity.FAULT,
        config.name,
        f"cniVersion is missing: {runtime.label} (libcni {runtime.libcni}) {effect} "
        '(invalid version "": the version is empty)',
        "write a cniVersion that every plugin and the runtime support",
    )


def f2(config: Config, version: str | None, refusing: Sequence[Support]) -> Finding:
    """A version that binaries of the chain do not support."""
    said = (
        f"cniVersion is {shown(version)}"
        if version
        else "cniVersion is missing, which counts as 0.1.0"
    )
    return Finding(
        Code.F2,
        Severity.FAULT,
        config.name,
        f"{said}, which is not supported by {_ranges(refusing)}: ADD and DEL fail "
        "(incompatible CNI versions)",
        f"write a version that all support, or install a newer {refusing[0].type}",
    )


def told_otherwise(config: Config, refusing: Sequence[Support]) -> Iterator[Finding]:
    """Versions that a key of a plugin's own tells, and that binaries do not support."""
    groups: dict[Called, list[Support]] = {}  # by all but the binary, for an IPAM plugin inherits
    for support in refusing:
        if support.called is not None and support.called.key:
            same = replace(support.called, binary="", ipam=False)
            groups.setdefault(same, []).append(support)
    for called, binaries in groups.items():
        types = ", ".join(dict.fromkeys(each.type for each in binaries))
        key = shown(ascii(called.key))
        told = (
            f"tells {types} {compat.either(called.own)}, whatever the config's cniVersion is, and "
            f"that is not supported by {_ranges(binaries)}: ADD and DEL fail (incompatible CNI "
            "versions)"
        )
        if not called.file:
            action = "remove that key, so that one cniVersion holds for all; a rewrite does"
            yield Finding(
                Code.F2,
                Severity.FAULT,
                config.name,
                f"the key {key} of a plugin's own {told}",
                action,
            )
            continue
        file = shown(called.file)
        yield Finding(
            Code.HIDDEN_VERSION,
            Severity.FAULT,
            config.name,
            f"{file} {told}",
            f"remove the key {key} from {file}: a rewrite of the list leaves it",
        )


def _ranges(refusing: Sequence[Support]) -> str:
    """Who supports what, those together that support the same."""
    by_range: dict[str, list[str]] = {}
    for support in refusing:
        by_range.setdefault(_supports(support), []).append(support.label)
    return "; ".join(
        f"{', '.join(dict.fromkeys(types))}: {supports}" for supports, types in by_range.items()
    )


def _supports(support: Support) -> str:
    """What a binary supports, by its own word or by what it was built from."""
    if support.supported is None:
        return f"up to {support.max} at most"
    return compat.supported_range(support.supported)


def delegate_refuses(support: Support) -> Finding:
    """A version that stands in a delegate's own config, or is none, and that it does not take."""
    at = support.called.own if support.called else ()
    return Finding(
        Code.DELEGATE_VERSION,
        Severity.FAULT,
        support.type,
        f"{support.label} is delegated to at {compat.either(at)}, whatever the config's cniVersion "
        f"is, and it supports {_supports(support)}: ADD and DEL fail (incompatible CNI versions)",
        f"write a cniVersion that {support.type} supports into the delegate's own config",
    )


def delegate_stays(network: Versionless, multus: Support) -> Finding:
    """A network with no version, under a multus whose libcni does not delete with that."""
    return Finding(
        Code.DELEGATE_VERSION,
        Severity.FAULT,
        network.name,
        f"{shown(network.name)}, which {multus.type} delegates to, has no version: {multus.type} "
        f"carries libcni {multus.libcni}, which adds a pod with that and cannot delete it "
        '(invalid version "": the version is empty)',
        "write a cniVersion that its plugins support into it",
    )


def f3(support: Support, runtime: Runtime) -> Finding:
    """A binary whose result has no version, and so is taken for one of 0.1.0."""
    return Finding(
        Code.F3,
        Severity.FAULT,
        support.type,
        f"{support.type} answers without a cniVersion: {runtime.label} (libcni {runtime.libcni}) "
        "takes that for 0.1.0 and loses the pod's addresses, so no pod can be created",
        "move to containerd 1.6.5 or later, or CRI-O 1.24.2 or later, with cniVersion 0.3.0 or "
        f"later; or replace {support.type}",
    )


def check_broken(
    config: Config, version: str | None, answer: check.Answer, runtime: Runtime
) -> Finding:
    """A CHECK that does not pass, under a runtime that asks it of each pod that it creates."""
    return Finding(
        Code.CHECK_BROKEN,
        Severity.FAULT,
        config.name,
        f"cniVersion is {shown(str(version))}: {runtime.label} asks CHECK of every pod that it "
        f"creates, and a pod that does not pass is not created: {answer.why}",
        f"write a cniVersion below {check.FIRST}, which has no CHECK, or `disableCheck: true` into "
        f"the list; or replace {answer.plugin}",
    )


def sysctl_ifname(config: Config, tuning: Support) -> Finding:
    """A sysctl that no node has, for this tuning leaves IFNAME in its name."""
    return Finding(
        Code.SYSCTL_IFNAME,
        Severity.FAULT,
        config.name,
        f"the name of a sysctl holds IFNAME, which {tuning.type} before 1.1.0 does not replace: "
        "ADD fails at every cniVersion (no such file or directory)",
        f"install {tuning.type} 1.1.0 or later, or take that sysctl out",
    )


def too_new(config: Config, version: str, runtime: Runtime) -> Finding:
    """A version above what the runtime's libcni reads in a result."""
    return Finding(
        Code.TOO_NEW,
        Severity.FAULT,
        config.name,
        f"cniVersion {version} is above {runtime.max}, the highest that {runtime.label} "
        f"(libcni {runtime.libcni}) reads: ADD fails on the plugin's result",
        f"write {runtime.max} or lower",
    )


def stuck_sandboxes(config: Config, stuck: Sequence[Sandbox], version: str | None) -> Finding:
    """Pods that run now and that libcni cannot delete at that version."""
    return Finding(
        Code.SANDBOX_LIMIT,
        Severity.FAULT,
        config.name,
        f"{compat.told(stuck)} added {compat.added_at(stuck)} cannot be deleted at "
        f"{shown(version or 'no version')}: "
        "libcni does not convert the cached result",
        "write a version at which they can be deleted",
    )


def addresses(
    config: Config, version: str | None, node: Node, *, at_del: bool
) -> Iterator[Finding]:
    """Plugins that give a pod no address, or several of a family, below 0.3.0."""
    for support in node.chain:
        what = compat.gives(support)
        if not compat.no_room(support, version):
            continue
        also = what == SEVERAL and refused_at_del(support.type)
        if at_del and not also:
            continue
        at = compat.either(support.called.at(version) if support.called else ())
        told = "CNI version does not support more than 1 address per family"
        yield Finding(
            Code.ADDRESSES,
            Severity.FAULT,
            config.name,
            f"{support.label} is called at {at} and gives {what}, which no result below "
            f"{compat.HAS_ROOM} can hold: ADD {'and DEL fail' if also else 'fails'} "
            f"({told if what == SEVERAL else 'cannot convert: no valid IP addresses'})",
            f"write {compat.HAS_ROOM} or later",
        )


def unknown_version(config: Config, version: str) -> Finding:
    """A version that was never released."""
    return Finding(
        Code.VERSION_UNKNOWN,
        Severity.FAULT,
        config.name,
        f"cniVersion {shown(version)} is no released version; plugins compare it as a string",
        "write a released version",
    )


def versionless_result(
    config: Config, version: str | None, support: Support, runtime: Runtime, command: str
) -> Finding:
    """A result without a version that this libcni bears at other versions of the config."""
    return Finding(
        Code.VERSIONLESS_RESULT,
        Severity.FAULT,
        config.name,
        f"{support.type} answers without a cniVersion: with a config at "
        f"{shown(version or 'no version')} {command} fails under {runtime.label} "
        f"(libcni {runtime.libcni})",
        "write a version at which both ADD and DEL understand the result, such as 0.3.1",
    )


def misread_result(config: Config, at: str, support: Support, runtime: Runtime) -> Finding:
    """A delegate's answer that libcni takes for one at the config's missing version."""
    return Finding(
        Code.RESULT_MISREAD,
        Severity.FAULT,
        config.name,
        f"cniVersion is missing, and {support.type} is delegated to at {at}: {runtime.label} "
        f"(libcni {runtime.libcni}) reads what it answers as 0.1.0 and loses the pod's addresses, "
        "so no pod can be created",
        "write a cniVersion that every plugin and the runtime support",
    )


def cached_without_version(config: Config, pods: Sequence[Sandbox], runtime: Runtime) -> Finding:
    """Pods whose cached config has no version, under a libcni that does not forgive it."""
    return _cached(
        config,
        runtime,
        f"{compat.told(pods)} added with no version cannot be deleted, whatever the file says",
        "after the rewrite restart the node, or correct the entries of the results cache",
    )


def cached_refused(
    config: Config, version: str, pods: Sequence[Sandbox], binary: Support, runtime: Runtime
) -> Finding:
    """Pods whose cached config is at a version that a binary of theirs does not take."""
    at = shown(version or "no version")
    why = "is not there" if binary.source == "missing" else "does not support it"
    return _cached(
        config,
        runtime,
        f"{compat.told(pods)} added at {at} cannot be deleted, since {binary.type} {why}",
        f"put a {binary.type} that supports {at} in the plugin folder",
    )


def _cached(config: Config, runtime: Runtime, effect: str, action: str) -> Finding:
    return Finding(
        Code.CACHED_DEL,
        Severity.WARNING,
        config.name,
        f"{runtime.label} deletes with the config that it cached at ADD: {effect}",
        action,
    )


def kept_refused(
    config: Config, keeper: Support, folder: str, pods: Sequence[Sandbox], binary: Support
) -> Finding:
    """Pods that a plugin deletes with what it kept of their ADD, and a binary that refuses that."""
    called = {at for pod in pods for at in (binary.called.at(pod.version) if binary.called else ())}
    back = binary.type
    if binary.source == "missing":
        why = f"{binary.label} is not there"
    elif binary.takes(pods[0].version) is False:
        at = compat.either(sorted(called))
        why = f"{binary.label} is called at {at} and supports {_supports(binary)}"
    else:
        back = keeper.type
        why = f"libcni {keeper.libcni}, which {back} carries, deletes nothing with no version"
    return Finding(
        Code.KEPT_DEL,
        Severity.WARNING,
        config.name,
        f"{keeper.type} deletes with the config that it kept of the ADD, whatever the file says: "
        f"{compat.told(pods)} added {compat.added_at(pods)} cannot be deleted, since {why}",
        f"put a {back} that takes it into the plugin folder until those pods are gone, or write a "
        f"version that is taken into what {keeper.type} keeps of each pod (its {folder})",
    )
