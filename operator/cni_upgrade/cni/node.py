"""What of a node decides whether pods come and go: its runtime, its binaries, the pods that run."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from cni_upgrade.cni import chain, compat, daemons
from cni_upgrade.cni.chain import Called, Versionless
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts, Sandbox, Support
from cni_upgrade.cni.findings import Code, Severity, shown
from cni_upgrade.cni.runtime_config import release
from cni_upgrade.cni.runtimes import Runtime
from cni_upgrade.cni.value import dataclass

LOOPBACK = "loopback"
"""The plugin that containerd runs for every pod, whatever the config folder holds."""

LOOPBACK_NETWORK = "cni-loopback"
"""The network that containerd and CRI-O add to every sandbox themselves; no file configures it."""


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
    defaults: Sequence[str] = ()
    """Such ones of multus' `defaultNetworks`."""
    versionless: Sequence[Versionless] = ()
    """Networks that multus adds and deletes with no version."""
    check_doubted: bool = True
    """As of the facts."""
    plugins: Mapping[str, Support] = field(default_factory=dict)
    """All that were asked, those of the configs in the results cache too; by the whole path those
    that multus runs and that stand where it looks first."""

    @classmethod
    def of(
        cls, config: Config, runtime: Runtime, facts: Facts, sandboxes: Sequence[Sandbox]
    ) -> "Node":
        """What concerns that config; a binary of which nothing is said is one not known."""
        calls, elsewhere, defaults, versionless = _calls(config, facts)
        if config.check_disabled:
            runtime = replace(runtime, asks_check=False)
        node = cls(
            runtime,
            (),
            loopback(runtime, facts),
            sandboxes,
            elsewhere,
            defaults,
            versionless,
            facts.check_doubted,
            facts.plugins,
        )
        return replace(node, chain=[node.called(each) for each in calls])

    def called(self, call: Called) -> Support:
        """What is known of a binary, for that call of it."""
        apart = self.plugins.get(call.path)
        known = apart or self.plugins.get(call.binary) or Support(call.binary)
        return replace(known, called=call, path=call.path if apart and call.folder else "")

    @property
    def binaries(self) -> Sequence[Support]:
        """All that run for a pod."""
        return [*self.chain, *([self.loopback] if self.loopback else [])]

    @property
    def silent(self) -> list[str]:
        """The binaries that are there and do not say which versions they support."""
        return list(dict.fromkeys(each.type for each in self._unknown if not _out_of_sight(each)))

    @property
    def _unknown(self) -> list[Support]:
        return [b for b in self.binaries if b.supported is None and b.source != "missing"]

    def undeletable(self, version: str | None) -> list[Versionless]:
        """Networks with no version that multus adds and surely cannot delete."""
        return [each for each in self.versionless if self._deletes(each, version) is False]

    def _deletes(self, network: Versionless, version: str | None) -> bool | None:
        """Whether multus, called at that version, deletes what it has added to that network."""
        if network.is_list and version:
            return None
        multus = self.plugins.get(network.multus)
        return compat.deletes_versionless(multus.libcni if multus else None)

    def told_otherwise(self, version: str | None) -> list[Support]:
        """Those that a key of their own tells another version than the config's."""
        return [
            each
            for each in self.chain
            if each.called and each.called.key and each.called.at(version) != (version or "",)
        ]

    def _misread(self, version: str | None) -> list[str]:
        """The result of multus' first delegate, where an old libcni may misread it."""
        by_multus = (
            each for each in self.chain if each.called and each.called.keeper in chain.MULTUS
        )
        first = next(by_multus, None)
        if first is None or not compat.hands_on_another(self.runtime.libcni, first, version):
            return []
        at = compat.either(first.called.at(version) if first.called else ())
        return [
            f"multus hands on the result of {first.type} at {at}, which libcni "
            f"{self.runtime.libcni} reads as one at {shown(version or 'no version')}: it is not "
            "known whether pods come and go"
        ]

    def doubts(self, version: str | None) -> list[str]:
        """What is not known and decides whether a pod comes and goes."""
        return [*self.grave(version), *self.slight(version)]

    def slight(self, version: str | None) -> list[str]:
        """The doubts that a node may rest with where nothing is to be written: they are about
        multus alone, and nothing that is done to the node's files would clear them up."""
        unseen = dict.fromkeys(each.label for each in self._unknown if _out_of_sight(each))
        doubts = [f"it is not known what {each} supports, if it is there" for each in unseen]
        doubts += map(_unseen, self.defaults)
        doubts += [
            _not_deleted(each, version)
            for each in self.versionless
            if self._deletes(each, version) is None
        ]
        return list(dict.fromkeys(doubts))

    def grave(self, version: str | None) -> list[str]:
        """The doubts with which no node is called Compatible."""
        doubts = [f"it is not known what {', '.join(self.silent)} supports"] if self.silent else []
        doubts += [
            f"it is not known whether {each.type} is called at "
            f"{compat.either(called.at(version))}, and it supports "
            f"{compat.supported_range(each.supported)}"
            for each in self.chain
            if (called := each.called) and each.supported and each.takes(version) is None
        ]
        doubts += [
            f"{each.type} is told {compat.told_at(each)}, and the config's cniVersion is "
            f"{shown(version or 'missing')}"
            for each in self.told_otherwise(version)
            if each.supported and each.takes(version)
        ]
        doubts += daemons.refusals(self.chain, version)
        doubts += map(_unseen, self.elsewhere)
        doubts += self._misread(version)
        return list(dict.fromkeys(doubts))


def _out_of_sight(support: Support) -> bool:
    """Whether it may stand where multus looks first, which cannot be looked at."""
    finding = support.finding
    return bool(
        support.path
        and finding
        and finding.code == Code.FOLDER_NOT_ALLOWED
        and finding.severity == Severity.WARNING
    )


def loopback(runtime: Runtime, facts: Facts) -> Support | None:
    """The loopback plugin, where that runtime runs it; as facts alone have it, it is not known.

    A containerd before 2.0 does not know that it could be told to do without.
    """
    told = facts.internal_loopback and (release(runtime.version) or (0, 0)) >= (2, 0)
    if runtime.loopback_at is None or told:
        return None
    return facts.plugins.get(LOOPBACK) or Support(LOOPBACK)


def _not_deleted(network: Versionless, version: str | None) -> str:
    """Why it is not known whether multus deletes what it has added to that network."""
    name = shown(network.name)
    if network.is_list and version:
        return (
            f"{name}, which {network.multus} delegates to, has no version: a pod is added to it "
            f"with none and deleted at {shown(version)}, of its plugins' settings those alone "
            "that every plugin has, and it is not known whether they bear that"
        )
    return (
        f"{name}, which {network.multus} delegates to, has no version: libcni below 1.1.0 adds a "
        f"pod with that and does not delete it, and which one {network.multus} carries is not "
        "known"
    )


def _unseen(network: str) -> str:
    """Why it is not known what runs for a cluster or default network of multus.

    A name is no file's before the cluster has been asked (multus-cni `pkg/k8sclient/k8sclient.go`
    getNetDelegate: first a NetworkAttachmentDefinition, then a network of that name in its
    confDir), which an agent on a node cannot do. A path is one in multus' own mounts.
    """
    if not network:
        return "it is not known which plugins the multus daemon runs"
    if "/" in network:
        return (
            f"it is not known which plugins {shown(network)} runs, for it is no file of the config "
            "folder that could be read"
        )
    return (
        f"it is not known which plugins {shown(network)} runs: multus takes a "
        "NetworkAttachmentDefinition of that name before any file, and a node does not show those"
    )


def _calls(
    config: Config, facts: Facts
) -> tuple[list[Called], list[str], list[str], list[Versionless]]:
    """Who is called by a config and by those of the folder that it names, what it names else, what
    as a default network, and which of all these have no version.

    multus loads a cluster network that is a path from there, as the agent's own mount names it
    (`/host/etc/cni/net.d/10-flannel.conflist`).
    """
    calls, elsewhere, versionless = list(config.calls), list[str](), list(config.versionless)
    defaults = list[str]()
    multus = next((each for each in config.mains if each in chain.MULTUS), "")
    networks = [(path, elsewhere) for path in config.elsewhere]
    networks += [(path, defaults) for path in config.defaults]
    for path, unseen in networks:
        named = next(
            (
                each
                for each in facts.configs
                if facts.conf_dir and path.endswith(f"{facts.conf_dir}/{each.name}")
            ),
            None,
        )
        if named is None or named.error is not None or named.elsewhere:
            unseen.append(path)
        else:
            calls += chain.alone(named.calls, named.version, config.delegate_dir, multus)
            if not named.version:
                versionless.append(Versionless(multus, named.name, named.kind == "conflist"))
    return calls, elsewhere, defaults, versionless
