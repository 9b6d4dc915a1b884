"""Predicts what happens to the next pod created and deleted, at a given version of one config.

Each prediction is True, False with a finding that says why, or None when something that decides
it is not known. Sources beside those of `compat`: libcni `pkg/invoke/find.go` (a missing binary
fails ADD and DEL), `pkg/version/reconcile.go` (F2), ocicni `ocicni.go` (CRI-O asks the status of a
pod that it creates, which runs CHECK and so fails on a missing version up to libcni 1.0.1,
containernetworking/cni#882), go-cni `cni.go` (containerd runs the loopback plugin for every pod).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cni_upgrade.cni import chain, compat, versions
from cni_upgrade.cni.chain import Called
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import UNKNOWN, Facts, Sandbox, Support
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.runtimes import Runtime

LOOPBACK = "loopback"
"""The plugin that containerd runs for every pod, whatever the config folder holds."""

CURABLE = frozenset(
    {
        Code.F1,
        Code.F2,
        Code.TOO_NEW,
        Code.VERSION_UNKNOWN,
        Code.BAD_VERSION,
        Code.SANDBOX_LIMIT,
        Code.VERSIONLESS_RESULT,
    }
)
"""Faults that another version in the file could take away."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command will do; `causes` is empty unless it fails."""

    works: bool | None
    causes: tuple[Finding, ...] = ()

    @property
    def why(self) -> str | None:
        """The first cause as one line that begins with its code."""
        return f"{self.causes[0].code}: {self.causes[0].message}" if self.causes else None

    @property
    def curable(self) -> bool:
        """Whether another version could take one of the causes away."""
        return any(cause.code in CURABLE for cause in self.causes)

    def has(self, code: Code) -> bool:
        """Whether that is one of the causes."""
        return any(cause.code == code for cause in self.causes)


@dataclass(frozen=True, slots=True)
class Node:
    """What decides the outcome beside the version: runtime, binaries, pods that run now."""

    runtime: Runtime
    chain: Sequence[Support]
    loopback: Support | None
    """None where the runtime does not run the plugin."""
    sandboxes: Sequence[Sandbox]
    elsewhere: Sequence[str] = ()
    """Networks that run with this one and of which nothing is known here."""
    plugins: Mapping[str, Support] = field(default_factory=dict)
    """All that were asked, those of the configs in the results cache too."""

    @classmethod
    def of(
        cls, config: Config, runtime: Runtime, facts: Facts, sandboxes: Sequence[Sandbox]
    ) -> "Node":
        """What concerns that config; a binary of which nothing is said is one not known."""
        calls, elsewhere = _calls(config, facts)
        loopback = facts.plugins.get(LOOPBACK) or Support(LOOPBACK)
        node = cls(
            runtime,
            (),
            loopback if runtime.loopback_at else None,
            sandboxes,
            elsewhere,
            facts.plugins,
        )
        return replace(node, chain=[node.called(each) for each in calls])

    def called(self, call: Called) -> Support:
        """What is known of a binary, for that call of it."""
        known = self.plugins.get(call.binary) or Support(call.binary)
        return replace(known, called=call)

    @property
    def binaries(self) -> Sequence[Support]:
        """All that run for a pod."""
        return [*self.chain, *([self.loopback] if self.loopback else [])]

    @property
    def silent(self) -> list[str]:
        """The binaries that are there and do not say which versions they support."""
        silent = [b.type for b in self.binaries if b.supported is None and b.source != "missing"]
        return list(dict.fromkeys(silent))

    def doubts(self, version: str | None) -> list[str]:
        """What is not known of the binaries and decides whether a pod comes and goes."""
        doubts = [f"it is not known what {', '.join(self.silent)} supports"] if self.silent else []
        doubts += [
            f"it is not known whether {each.type} is called at "
            f"{compat.either(called.at(version))}, and it supports "
            f"{compat.supported_range(each.supported)}"
            for each in self.chain
            if (called := each.called) and each.supported and each.takes(version) is None
        ]
        doubts += [
            f"it is not known which plugins {shown(each) if each else 'the multus daemon'} runs"
            for each in self.elsewhere
        ]
        return list(dict.fromkeys(doubts))


def _calls(config: Config, facts: Facts) -> tuple[list[Called], list[str]]:
    """Who is called by a config and by those of the folder that it names, and what it names else.

    multus loads a cluster network that is a path from there, as the agent's own mount names it
    (`/host/etc/cni/net.d/10-flannel.conflist`).
    """
    calls, elsewhere = list(config.calls), []
    for path in config.elsewhere:
        named = next(
            (
                each
                for each in facts.configs
                if facts.conf_dir and path.endswith(f"{facts.conf_dir}/{each.name}")
            ),
            None,
        )
        if named is None or named.error is not None or named.elsewhere:
            elsewhere.append(path)
        else:
            calls += chain.alone(named.calls, named.version)
    return calls, elsewhere


def add(config: Config, version: str | None, node: Node) -> Outcome:
    """What the next creation of a pod will do with the file at that version."""
    return _outcome(_add_faults(config, version, node), _binaries_known(version, node))


def delete(config: Config, version: str | None, node: Node) -> Outcome:
    """What the next deletion will do: of the pods that run now and of one added at that version."""
    return _outcome(
        _del_faults(config, version, node),
        _binaries_known(version, node) and _pods_known(config, version, node),
    )


def delete_existing(config: Config, version: str | None, node: Node) -> Outcome:
    """What the deletion of the pods that run now will do; works when there are none."""
    if not node.sandboxes:
        return Outcome(True)
    if node.runtime.deletes_with == "cached":
        faults = _cached_faults(config, node)
    else:
        faults = _del_faults(config, version, node)
    return _outcome(faults, _binaries_known(version, node) and _pods_known(config, version, node))


def delete_next(config: Config, version: str | None, node: Node) -> Outcome:
    """What the deletion of a pod that is added at that version will do."""
    return delete(config, version, replace(node, sandboxes=()))


def _outcome(faults: Iterator[Finding], known: bool) -> Outcome:
    causes = tuple(dict.fromkeys(faults))
    if causes:
        return Outcome(False, causes)
    return Outcome(True if known else None)


def _binaries_known(version: str | None, node: Node) -> bool:
    """Whether all is known of the runtime and the binaries, so that no fault means none."""
    return node.runtime.libcni is not None and not node.doubts(version)


def _pods_known(config: Config, version: str | None, node: Node) -> bool:
    """Whether it is known of every pod that runs now at which version it was added, or no matter.

    It matters on CRI-O, which deletes at that version and with the plugins of then, and where
    libcni has to convert the result.
    """
    unseen = [each for each in node.sandboxes if each.version == UNKNOWN]
    if node.runtime.deletes_with == "cached":
        chains = [(each, _cached_chain(config, node, each)) for each in node.sandboxes]
        return not unseen and all(
            chain is not None and all(one.takes(each.version) is not None for one in chain)
            for each, chain in chains
        )
    return not compat.stuck_at(node.runtime, unseen, version)


def _add_faults(config: Config, version: str | None, node: Node) -> Iterator[Finding]:
    yield from (note for note in config.notes if note.code == Code.MISSING_NAME)
    yield from missing_binaries(node)
    yield from _loopback_breaks(node)
    runtime = node.runtime
    if runtime.f1 and not version and runtime.name == "cri-o":
        yield f1(config, runtime)
    yield from _version_faults(config, version, node)
    limit = versions.order(runtime.max) if runtime.max else None
    if (
        version
        and limit is not None
        and versions.known(version)
        and versions.order(version) > limit
    ):
        yield too_new(config, version, runtime)
    yield from _versionless_results(config, version, node, "ADD")
    if runtime.f3:
        for support in node.chain:
            if support.type in compat.RESULT_WITHOUT_VERSION:
                yield f3(support, runtime)


def _del_faults(config: Config, version: str | None, node: Node) -> Iterator[Finding]:
    yield from (note for note in config.notes if note.code == Code.MISSING_NAME)
    runtime = node.runtime
    refused = runtime.f1 and not version
    if refused:
        yield f1(config, runtime)
    yield from missing_binaries(node)
    yield from _loopback_breaks(node)
    yield from _version_faults(config, version, node)
    yield from _versionless_results(config, version, node, "DEL")
    if runtime.deletes_with == "cached":
        yield from _cached_faults(config, node)
    elif not refused and (stuck := compat.stuck_at(runtime, _seen(node), version)):
        yield stuck_sandboxes(config, stuck, version)


def _seen(node: Node) -> list[Sandbox]:
    """The pods of which it is known at which version they were added."""
    return [each for each in node.sandboxes if each.version != UNKNOWN]


def _cached_faults(config: Config, node: Node) -> Iterator[Finding]:
    """What the configs that the runtime cached at ADD meet on DEL, each with its own plugins."""
    runtime, seen = node.runtime, _seen(node)
    deletes = f"{runtime.label} deletes with the config that it cached at ADD"
    versionless = [each for each in seen if runtime.f1 and not each.version]
    if versionless:
        yield Finding(
            Code.CACHED_DEL,
            Severity.WARNING,
            config.name,
            f"{deletes}: {compat.told(versionless)} added with no version cannot be deleted, "
            "whatever the file says",
            "after the rewrite restart the node, or correct the entries of the results cache",
        )
    stuck: dict[tuple[str, str], list[Sandbox]] = {}
    why: dict[str, str] = {}
    for each in seen:
        if each.version or not runtime.f1:
            for binary in _cached_chain(config, node, each) or ():
                if binary.takes(each.version) is False:
                    missing = binary.source == "missing"
                    why[binary.type] = "is not there" if missing else "does not support it"
                    stuck.setdefault((each.version or "", binary.type), []).append(each)
                    break
    for (version, kind), pods in sorted(stuck.items()):
        at = version or "no version"
        yield Finding(
            Code.CACHED_DEL,
            Severity.WARNING,
            config.name,
            f"{deletes}: {compat.told(pods)} added at {shown(at)} cannot be deleted, since "
            f"{kind} {why[kind]}",
            f"put a {kind} that supports {shown(at)} in the plugin folder",
        )


def _cached_chain(config: Config, node: Node, sandbox: Sandbox) -> Sequence[Support] | None:
    """The binaries that delete a pod where the config of its ADD is used; None if not known.

    CRI-O tears down every entry of a pod, on whichever network (ocicni `ocicni.go`
    getCachedNetworkInfo). Where the entry does not tell its binaries they are taken for those of
    the file, if it is the same network.
    """
    if sandbox.calls is not None:
        return [node.called(each) for each in sandbox.calls]
    return node.chain if sandbox.may_be_on(config.network) else None


def _version_faults(config: Config, version: str | None, node: Node) -> Iterator[Finding]:
    """F2: binaries that do not take the version, as it is spelled."""
    refusing = [
        each for each in node.chain if each.source != "missing" and each.takes(version) is False
    ]
    yield from map(delegate_refuses, (each for each in refusing if not _follows(each, version)))
    refusing = [each for each in refusing if _follows(each, version)]
    if refusing:
        yield f2(config, version, refusing)
    elif version and not versions.known(version):
        yield Finding(
            Code.VERSION_UNKNOWN,
            Severity.FAULT,
            config.name,
            f"cniVersion {shown(version)} is no released version; plugins compare it as a string",
            "write a released version",
        )


def _follows(support: Support, version: str | None) -> bool:
    """Whether it is called at the config's version, so that another one there would reach it."""
    return support.called is None or support.called.at(version) == (version or "",)


def _versionless_results(
    config: Config, version: str | None, node: Node, command: str
) -> Iterator[Finding]:
    """Results without a version that this libcni bears at other versions of the config."""
    for support in node.chain:
        if compat.loses_result(node.runtime, support.type, version) == command:
            yield Finding(
                Code.VERSIONLESS_RESULT,
                Severity.FAULT,
                config.name,
                f"{support.type} answers without a cniVersion: with a config at "
                f"{shown(version or 'no version')} {command} fails under {node.runtime.label} "
                f"(libcni {node.runtime.libcni})",
                "write a version at which both ADD and DEL understand the result, such as 0.3.1",
            )


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


def _loopback_breaks(node: Node) -> Iterator[Finding]:
    """Where the loopback that containerd runs for every pod makes ADD and DEL fail."""
    loopback, at = node.loopback, node.runtime.loopback_at
    if loopback is None or at is None:
        return
    if loopback.source == "missing":
        yield Finding(
            Code.LOOPBACK,
            Severity.FAULT,
            "loopback",
            f"{node.runtime.label} runs the loopback plugin for every pod, and it is not there",
            "install the loopback plugin of containernetworking/plugins 1.0.0 or later",
        )
    elif loopback.takes(at) is False:
        yield Finding(
            Code.LOOPBACK,
            Severity.FAULT,
            "loopback",
            f"{node.runtime.label} runs loopback at {at}, and this loopback supports up to "
            f"{loopback.max}: ADD and DEL fail, and no rewrite of a file cures that",
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
    by_range: dict[str, list[str]] = {}
    for support in refusing:
        supports = f"up to {support.max} at most"
        if support.supported is not None:
            supports = compat.supported_range(support.supported)
        by_range.setdefault(supports, []).append(support.type)
    ranges = "; ".join(
        f"{', '.join(dict.fromkeys(types))}: {supports}" for supports, types in by_range.items()
    )
    return Finding(
        Code.F2,
        Severity.FAULT,
        config.name,
        f"{said}, which is not supported by {ranges}: ADD and DEL fail (incompatible CNI versions)",
        f"write a version that all support, or install a newer {refusing[0].type}",
    )


def delegate_refuses(support: Support) -> Finding:
    """A version that stands in a delegate's own config, or is none, and that it does not take."""
    at = support.called.own if support.called else ()
    said = compat.either(at)
    supports = f"supports up to {support.max} at most"
    if support.supported is not None:
        supports = f"supports {compat.supported_range(support.supported)}"
    return Finding(
        Code.DELEGATE_VERSION,
        Severity.FAULT,
        support.type,
        f"{support.type} is delegated to at {said}, whatever the config's cniVersion is, and it "
        f"{supports}: ADD and DEL fail (incompatible CNI versions)",
        f"write a cniVersion that {support.type} supports into the delegate's own config",
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
