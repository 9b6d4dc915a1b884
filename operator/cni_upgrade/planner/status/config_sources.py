"""The writer at its source: what is wrong in an add-on's ConfigMap, for the nodes that use it.

A file that another program would put back is not ours to change; what to change instead is shown
on the policy, judged by the same engine for all of its nodes that get their file from there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from cni_upgrade.api.config_source import ConfigSource
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.report import FileReport, PluginReport
from cni_upgrade.cni import source_verdict
from cni_upgrade.cni.facts import Source as SupportSource
from cni_upgrade.cni.facts import Support, Target
from cni_upgrade.cni.source_verdict import SourceJudgement, User
from cni_upgrade.cni.sources import KNOWN, Source
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.snapshot import ConfigMap, Snapshot

Pair = tuple[str, str | None]
"""Name of a file on a node, and who manages it."""

RIGHT = "manifests/sources/kube-flannel.yaml shows the Role and RoleBinding that it takes"


@dataclass(frozen=True, slots=True)
class _Use:
    """The nodes whose file comes from one source."""

    count: int
    users: tuple[User, ...]


def known(config: OperatorConfig) -> tuple[Source, ...]:
    """Every ConfigMap that may be looked at: the table's, then the configuration's own."""
    return (*KNOWN, *(each.source() for each in config.sources))


def pairs(state: CNINodeState) -> frozenset[Pair]:
    """The files of one node, and who manages them."""
    return frozenset((file.name, file.managed_by) for file in state.status.files)


def wanted(pairs: Collection[Pair], config: OperatorConfig) -> tuple[str, ...]:
    """`namespace/name` of the ConfigMaps that some node's file comes from: the ones to read."""
    return tuple(
        dict.fromkeys(
            source.place
            for source in known(config)
            if any(source.writes(file, managed_by) for file, managed_by in pairs)
        )
    )


def shown(
    policy: CNIUpgradePolicy, matched: Iterable[str], world: Snapshot
) -> tuple[ConfigSource, ...]:
    """What a policy's status says of the sources of the files of the nodes that it selects."""
    if not world.configmaps:
        return ()
    states = [world.states[name] for name in matched if name in world.states]
    sources = [each for each in known(world.config) if each.place in world.configmaps]
    uses = _uses(sources, states, world)
    there = {s.writer for s in uses if s.writer and world.configmaps[s.place].data is not None}
    cni = policy.spec.target.cni
    target = Target(cni.version, cni.selection.value, cni.rewrite.value)
    found = (
        _shown(source, use, world.configmaps[source.place], target, source.writer in there)
        for source, use in uses.items()
    )
    return tuple(each for each in found if each is not None)


def _uses(
    sources: Sequence[Source], states: Sequence[CNINodeState], world: Snapshot
) -> dict[Source, _Use]:
    """Which nodes use which source, alike ones told by one of them."""
    by_pair: dict[Pair, tuple[Source, ...]] = {}
    counts: dict[Source, int] = dict.fromkeys(sources, 0)
    alike: dict[Source, dict[object, CNINodeState]] = {source: {} for source in sources}
    for state in states:
        met: dict[Source, None] = {}
        for file in state.status.files:
            pair = (file.name, file.managed_by)
            if pair not in by_pair:
                by_pair[pair] = tuple(each for each in sources if each.writes(*pair))
            met.update(dict.fromkeys(by_pair[pair]))
        if met:
            kind = _kind(state, world)
            for source in met:
                counts[source] += 1
                alike[source].setdefault(kind, state)
    return {
        source: _Use(count, tuple(_user(state, world) for state in alike[source].values()))
        for source, count in counts.items()
        if count
    }


def _runtime(state: CNINodeState, world: Snapshot) -> str:
    node, report = world.nodes.get(state.metadata.name), state.status.runtime
    if node is not None:
        return node.runtime
    return f"{report.name}://{report.version}" if report else ""


def _kind(state: CNINodeState, world: Snapshot) -> object:
    """Nodes of one kind are judged alike."""
    status = state.status
    plugins = tuple((p.type, p.supported, p.max, p.source) for p in status.plugins)
    return _runtime(state, world), plugins, frozenset(status.sandboxes), _master(status.files)


def _user(state: CNINodeState, world: Snapshot) -> User:
    status = state.status
    return User(
        node=state.metadata.name,
        runtime=_runtime(state, world),
        plugins=tuple(_support(each) for each in status.plugins),
        sandboxes=tuple(
            (None if version == "missing" else version, count)
            for version, count in sorted(status.sandboxes.items())
        ),
        master=_master(status.files),
    )


def _support(plugin: PluginReport) -> Support:
    source = cast(SupportSource, plugin.source or "unknown")
    return Support(plugin.type, plugin.supported or None, plugin.max, source)


def _master(files: Sequence[FileReport]) -> str | None:
    """The version of the file that multus takes for its master: the first that is not its own.

    k8snetworkplumbingwg/multus-cni pkg/server/config/generator.go, findMasterPlugin.
    """
    names = sorted(
        (file for file in files if not file.name.startswith("00-multus") and file.kind != "other"),
        key=lambda file: file.name.encode("utf-8", "surrogateescape"),
    )
    return names[0].version if names else None


@lru_cache(maxsize=64)
def _judged(source: Source, text: str, users: tuple[User, ...], target: Target) -> SourceJudgement:
    """The same question is asked in every pass."""
    return source_verdict.judge_source(source, text, users, target)


def _shown(
    source: Source, use: _Use, seen: ConfigMap, target: Target, elsewhere: bool
) -> ConfigSource | None:
    """None for a ConfigMap that there need not be, as where k3s itself writes flannel's config."""
    about = ConfigSource(
        namespace=source.namespace,
        name=source.name,
        key=source.key,
        writer=source.writer,
        nodes=use.count,
    )
    text = (seen.data or {}).get(source.key)
    if text is None:
        why = _unread(source, seen, elsewhere)
        return about.model_copy(update={"action": "Unknown", "message": why}) if why else None
    found = _judged(source, text, use.users, target)
    message = found.why
    if found.action == "Rewrite":
        message = f"{found.version or 'missing'} -> {found.to}: {found.why}"
    patch = None
    if found.text is not None:
        patch = json.dumps(source_verdict.configmap_patch(source.key, text, found.text))
    return about.model_copy(
        update={
            "network": found.network,
            "version": found.version,
            "to": found.to,
            "action": found.action,
            "message": message,
            "findings": tuple(f"{each.code}: {each.message}" for each in found.findings),
            "diff": found.diff or None,
            "patch": patch,
            "takes_effect": source.takes_effect if found.text is not None else "",
        }
    )


def _unread(source: Source, seen: ConfigMap, elsewhere: bool) -> str:
    """Why there is no text, where that is worth saying."""
    if seen.refused:
        if elsewhere:
            return ""
        return f"the operator may not read ConfigMap {source.place}; {RIGHT}"
    if not source.configured:
        return ""
    if seen.data is None:
        return f"there is no ConfigMap {source.place}, which the operator's configuration names"
    keys = ", ".join(sorted(seen.data)[:5]) or "none"
    return f"ConfigMap {source.place} has no key {source.key}, its keys are: {keys}"


def trimmed(data: Mapping[str, str] | None, place: str, config: OperatorConfig) -> ConfigMap:
    """A ConfigMap as the store keeps it: the keys that are looked at, the others by name."""
    if data is None:
        return ConfigMap(None)
    keys = {source.key for source in known(config) if source.place == place}
    return ConfigMap({key: text if key in keys else "" for key, text in data.items()})
