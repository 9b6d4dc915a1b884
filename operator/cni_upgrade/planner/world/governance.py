"""Which policy has a say on which node: label selectors, and who claims a node first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cni_upgrade.api.label_selector import (
    LabelSelector,
    LabelSelectorRequirement,
    SelectorOperator,
)
from cni_upgrade.api.names import PAUSED
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.planner.world.kubernetes_objects import Node


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector takes a set of labels; the empty selector takes every one.

    Source: k8s.io/apimachinery pkg/labels/selector.go, Requirement.Matches: NotIn and
    DoesNotExist also take an object without the key.
    """
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    return all(_taken(each, labels.get(each.key)) for each in selector.match_expressions)


def _taken(wanted: LabelSelectorRequirement, value: str | None) -> bool:
    """Whether one requirement takes the value of its label; None where there is no such label."""
    match wanted.operator:
        case SelectorOperator.IN:
            return value is not None and value in wanted.values
        case SelectorOperator.NOT_IN:
            return value is None or value not in wanted.values
        case SelectorOperator.EXISTS:
            return value is not None
        case SelectorOperator.DOES_NOT_EXIST:
            return value is None


def paused(policy: CNIUpgradePolicy) -> bool:
    """By field, or by annotation (docs/how-to/gitops.md); `"false"` is not paused."""
    annotation = policy.metadata.annotations.get(PAUSED)
    return policy.spec.paused or (annotation is not None and annotation.lower() != "false")


def seniority(policy: CNIUpgradePolicy) -> tuple[float, str]:
    """Older policies come first; the name decides between those of one second."""
    created = policy.metadata.creation_timestamp
    return (created.timestamp() if created else 0.0, policy.metadata.name)


@dataclass(frozen=True, slots=True)
class Governance:
    """Who decides about one node."""

    policy: CNIUpgradePolicy | None
    """The policy that acts: the Enforce policy with the claim, else the oldest Audit policy."""
    rivals: tuple[str, ...]
    """Other Enforce policies that select the node and have to stand back."""
    watchers: tuple[str, ...]
    """Every policy that selects the node."""


def govern(
    node: Node, state: CNINodeState | None, policies: Iterable[CNIUpgradePolicy]
) -> Governance:
    """The policy that has a say on a node.

    A claim holds until its policy is gone, does not select the node any more or leaves Enforce;
    until an operation that is under way has ended it holds in any case.
    """
    selecting = [
        p
        for p in policies
        if not p.metadata.deletion_timestamp and matches(p.spec.node_selector, node.labels)
    ]
    if len(selecting) > 1:
        selecting.sort(key=seniority)
    enforcing = [p for p in selecting if p.spec.mode == Mode.ENFORCE]
    claim = state.spec.policy_ref if state else None
    held = next((p for p in enforcing if claim and p.metadata.uid == claim.uid), None)
    acting = held or next(iter(enforcing), None) or next(iter(selecting), None)
    return Governance(
        policy=acting,
        rivals=tuple(p.metadata.name for p in enforcing if p is not acting),
        watchers=tuple(p.metadata.name for p in selecting),
    )
