"""The fleet at a glance, as values: nodes, policies and their waves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cni_upgrade.api import condition
from cni_upgrade.api.order import OrderBy
from cni_upgrade.api.parse import UnreadableResourceError, parse_policy
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.index.ordering import arranged
from cni_upgrade.planner.world.governance import matches
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.phases import AT_WORK, FAILED, GOOD

NEEDS_PERSON = frozenset({*FAILED, Phase.BLOCKED, Phase.MANAGED_ELSEWHERE})
"""Phases of nodes that do not go on as they are."""

CHANGING = AT_WORK - {Phase.AUDITING}
"""Phases of nodes that are changed now."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node, as its record's columns have it."""

    name: str
    phase: str
    since: str
    reason: str
    found: str
    target: str
    policy: str
    message: str

    @classmethod
    def of(cls, cells: Mapping[str, Any]) -> NodeRow:
        """From a row of the table that `kubectl get cns -o wide` shows."""
        words = [
            str(cells.get(key) or "")
            for key in (
                "Name", "Phase", "Since", "Reason", "Found", "Target", "Policy", "Message",
            )
        ]  # fmt: skip
        return cls(*words)

    @property
    def well(self) -> bool:
        return self.phase in GOOD

    @property
    def stuck(self) -> bool:
        return self.phase in NEEDS_PERSON

    @property
    def changing(self) -> bool:
        return self.phase in CHANGING


@dataclass(frozen=True, slots=True)
class WaveRow:
    """A wave of a rollout, and how far it is."""

    name: str
    nodes: int
    well: int
    stuck: int
    present: bool


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy."""

    name: str
    mode: str
    matched: int
    state: str
    """The reason of its condition Ready."""
    message: str
    waits_for: str = ""
    flags: tuple[str, ...] = ()
    """Conditions that hold and that a person wants to know: Stalled, Paused, Stopped."""
    waves: tuple[WaveRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of it at one instant."""

    nodes: tuple[NodeRow, ...]
    policies: tuple[PolicyRow, ...]

    def counts(self, column: str) -> list[tuple[str, int]]:
        """How many nodes have each value of a column, most first."""
        values = Counter(getattr(node, column) or "(none)" for node in self.nodes)
        return sorted(values.items(), key=lambda each: (-each[1], each[0]))


def fleet(
    rows: Iterable[Mapping[str, Any]],
    policies: Iterable[Mapping[str, Any]],
    labelled: Sequence[Mapping[str, Any]],
) -> Fleet:
    """From the table of node states, whole policies, and the metadata of Nodes.

    `labelled` is asked for the waves that go by labels, and may be empty where none does.
    """
    nodes = tuple(NodeRow.of(row) for row in rows)
    known = {node.name: node for node in nodes}
    there = [Node.of(dict(each)) for each in labelled]
    return Fleet(nodes, tuple(_policy(each, known, there) for each in policies))


def by_labels(policies: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the waves of a policy depend on the labels of nodes."""
    orders = [(each.get("spec") or {}).get("rollout", {}).get("order", {}) for each in policies]
    return any(order.get("by", OrderBy.NAME) != OrderBy.NAME for order in orders)


def _policy(raw: Mapping[str, Any], known: Mapping[str, NodeRow], there: list[Node]) -> PolicyRow:
    try:
        policy = parse_policy(raw)
    except UnreadableResourceError as error:
        return PolicyRow(error.name, "?", 0, "NotUnderstood", error.text)
    status = policy.status
    holds = {each.type: each for each in status.conditions if each.status == "True"}
    ready = next((each for each in status.conditions if each.type == condition.READY), None)
    flags: list[str] = [n for n in (condition.STALLED, "Paused", "Stopped") if n in holds]
    if policy.metadata.deletion_timestamp:
        flags.insert(0, "Deleting")
    rollout = status.rollout
    stalled = holds.get(condition.STALLED)
    return PolicyRow(
        name=policy.metadata.name,
        mode=policy.spec.mode.value,
        matched=status.summary.matched if status.summary else 0,
        state=ready.reason if ready else "NotSeen",
        message=(stalled.message if stalled else status.message)
        or "the controller has not looked at it yet",
        waits_for=rollout.waits_for if rollout else "",
        flags=tuple(flags),
        waves=_waves(policy, known, there),
    )


def _waves(
    policy: CNIUpgradePolicy, known: Mapping[str, NodeRow], there: list[Node]
) -> tuple[WaveRow, ...]:
    """The canary, and then each wave; none of a policy that never rolled out."""
    rollout = policy.status.rollout
    if rollout is None:
        return ()
    rows = []
    if rollout.canary is not None:
        canary = rollout.canary
        rows.append(WaveRow("canary", canary.nodes, canary.well, 0, canary.passed_at is None))
    testing = rollout.wave == "canary"
    if policy.spec.rollout.order.by == OrderBy.NAME:
        name = policy.metadata.name
        parts = [("all nodes", [row for row in known.values() if row.policy == name])]
    else:
        selector = policy.spec.node_selector
        ours = [node for node in there if matches(selector, node.labels)]
        parts = [
            (wave.name, [known[name] for name in wave.nodes if name in known])
            for wave in arranged(policy, ours).waves
        ]
    for name, nodes in parts:
        well, stuck = sum(row.well for row in nodes), sum(row.stuck for row in nodes)
        present = not testing and (name == rollout.wave or len(parts) == 1)
        rows.append(WaveRow(name, len(nodes), well, stuck, present))
    return tuple(rows)
