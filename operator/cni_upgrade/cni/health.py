"""Predicts what happens to the next pod created and deleted, at a given version of one config.

Each prediction is True, False with a finding that says why, or None when something that decides
it is not known. Sources beside those of `compat` and `check`: libcni `pkg/invoke/find.go` (a
missing binary fails ADD and DEL), `pkg/version/reconcile.go` (F2), ocicni `ocicni.go` (CRI-O asks
the status of a pod that it creates, which runs CHECK and so fails on a missing version up to libcni
1.0.1, containernetworking/cni#882), go-cni `cni.go` (containerd runs the loopback plugin for every
pod).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from cni_upgrade.cni import check, compat, faults, kept, no_address, versions
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import UNKNOWN, Sandbox, Support
from cni_upgrade.cni.findings import Code, Finding
from cni_upgrade.cni.node import Node
from cni_upgrade.cni.value import dataclass

CURABLE = frozenset(
    {
        Code.F1,
        Code.F2,
        Code.TOO_NEW,
        Code.VERSION_UNKNOWN,
        Code.BAD_VERSION,
        Code.SANDBOX_LIMIT,
        Code.VERSIONLESS_RESULT,
        Code.RESULT_MISREAD,
        Code.CHECK_BROKEN,
        Code.ADDRESSES,
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


def add(config: Config, version: str | None, node: Node) -> Outcome:
    """What the next creation of a pod will do with the file at that version."""
    known = _binaries_known(version, node) and _check_known(version, node)
    known = known and all(check.replaces_ifname(each) is not None for each in node.chain)
    return _outcome(_add_faults(config, version, node), known)


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
        found = [*_delegates_stay(version, node), *_cached_faults(config, node)]
        known = _binaries_known(version, node) and _pods_known(config, version, node)
        return _outcome(found, known)
    by_file = delete_by_file(config, version, node)
    found = [*by_file.causes, *kept.refusals(config, node)]
    return _outcome(found, by_file.works is True and kept.known(node))


def delete_by_file(config: Config, version: str | None, node: Node) -> Outcome:
    """The same, as far as the file has to do with it: what plugins kept of an ADD they keep."""
    them = kept.by_file(node)
    known = _binaries_known(version, them) and _pods_known(config, version, them)
    return _outcome(_del_faults(config, version, them), known)


def delete_of_others(config: Config, node: Node, sandboxes: Sequence[Sandbox]) -> Outcome:
    """What the deletion of these would do, were they the runtime's, which deletes with what it
    cached; works when there are none."""
    them = replace(node, sandboxes=sandboxes)
    return _outcome(_cached_faults(config, them), _pods_known(config, config.version, them))


def delete_next(config: Config, version: str | None, node: Node) -> Outcome:
    """What the deletion of a pod that is added at that version will do."""
    return delete(config, version, replace(node, sandboxes=()))


def _outcome(found: Iterable[Finding], known: bool) -> Outcome:
    causes = tuple(dict.fromkeys(found))
    if causes:
        return Outcome(False, causes)
    return Outcome(True if known else None)


def _binaries_known(version: str | None, node: Node) -> bool:
    """Whether all is known of the runtime and the binaries, so that no fault means none."""
    return node.runtime.libcni is not None and not node.doubts(version)


def _check_known(version: str | None, node: Node) -> bool:
    """Whether it is known that CHECK passes where it is asked, so that no fault means none."""
    asks = check.asked(node.runtime, version)
    if asks is None and check.refusing(node.chain):
        return False
    return asks is False or not (node.check_doubted and check.unproved(node.chain))


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
    return kept.known(node) and not compat.stuck_at(node.runtime, unseen, version)


def _add_faults(config: Config, version: str | None, node: Node) -> Iterator[Finding]:
    yield from (note for note in config.notes if note.code == Code.MISSING_NAME)
    yield from faults.missing_binaries(node)
    yield from faults.loopback_breaks(node)
    runtime = node.runtime
    if runtime.f1 and not version and runtime.name == "cri-o":
        yield faults.f1(config, runtime)
    yield from _version_faults(config, version, node)
    limit = versions.order(runtime.max) if runtime.max else None
    if (
        version
        and limit is not None
        and versions.known(version)
        and versions.order(version) > limit
    ):
        yield faults.too_new(config, version, runtime)
    none = [*no_address.faults(config, node, at_del=False)]
    yield from none or faults.addresses(config, version, node, at_del=False)
    yield from _versionless_results(config, version, node, "ADD")
    for support in node.chain:
        if at := compat.misread_result(runtime, support, version):
            yield faults.misread_result(config, at, support, runtime)
    if check.asked(runtime, version):
        for answer in check.refusing(node.chain):
            yield faults.check_broken(config, version, answer, runtime)
    for support in node.chain:
        if support.source != "missing" and check.replaces_ifname(support) is False:
            yield faults.sysctl_ifname(config, support)
    if runtime.f3:
        for support in node.chain:
            if support.type in compat.RESULT_WITHOUT_VERSION:
                yield faults.f3(support, runtime)


def _del_faults(config: Config, version: str | None, node: Node) -> Iterator[Finding]:
    yield from (note for note in config.notes if note.code == Code.MISSING_NAME)
    runtime = node.runtime
    refused = runtime.f1 and not version
    if refused:
        yield faults.f1(config, runtime)
    yield from faults.missing_binaries(node)
    yield from faults.loopback_breaks(node)
    yield from _version_faults(config, version, node)
    none = [*no_address.faults(config, node, at_del=True)]
    yield from none or faults.addresses(config, version, node, at_del=True)
    yield from _versionless_results(config, version, node, "DEL")
    yield from _delegates_stay(version, node)
    if runtime.deletes_with == "cached":
        yield from _cached_faults(config, node)
        return
    if not refused and (stuck := compat.stuck_at(runtime, _seen(node), version)):
        yield faults.stuck_sandboxes(config, stuck, version)
    yield from kept.refusals(config, node)


def _delegates_stay(version: str | None, node: Node) -> Iterator[Finding]:
    """Networks that multus' own libcni does not delete from, whatever the runtime's does."""
    for network in node.undeletable(version):
        yield faults.delegate_stays(network, node.plugins[network.multus])


def _seen(node: Node) -> list[Sandbox]:
    """The pods of which it is known at which version they were added."""
    return [each for each in node.sandboxes if each.version != UNKNOWN]


def _cached_faults(config: Config, node: Node) -> Iterator[Finding]:
    """What the configs that the runtime cached at ADD meet on DEL, each with its own plugins."""
    runtime, seen = node.runtime, _seen(node)
    versionless = [each for each in seen if runtime.f1 and not each.version]
    if versionless:
        yield faults.cached_without_version(config, versionless, runtime)
    stuck: dict[tuple[str, str], tuple[Support, list[Sandbox]]] = {}
    for each in seen:
        if each.version or not runtime.f1:
            chain = _cached_chain(config, node, each) or ()
            refusing = next((one for one in chain if one.takes(each.version) is False), None)
            if refusing is not None:
                key = (each.version or "", refusing.type)
                stuck.setdefault(key, (refusing, []))[1].append(each)
    for (version, _), (refusing, pods) in sorted(stuck.items(), key=lambda item: item[0]):
        yield faults.cached_refused(config, version, pods, refusing, runtime)


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
    apart = [each for each in refusing if not _follows(each, version)]
    yield from faults.told_otherwise(config, apart)
    for each in apart:
        if each.called is None or not each.called.key:
            yield faults.delegate_refuses(each)
    refusing = [each for each in refusing if _follows(each, version)]
    if refusing:
        yield faults.f2(config, version, refusing)
    elif version and not versions.known(version):
        yield faults.unknown_version(config, version)


def _follows(support: Support, version: str | None) -> bool:
    """Whether it is called at the config's version, so that another one there would reach it."""
    called = support.called
    return called is None or (not called.file and called.at(version) == (version or "",))


def _versionless_results(
    config: Config, version: str | None, node: Node, command: str
) -> Iterator[Finding]:
    """Results without a version that this libcni bears at other versions of the config."""
    for support in node.chain:
        if compat.loses_result(node.runtime, support.type, version) == command:
            yield faults.versionless_result(config, version, support, node.runtime, command)
