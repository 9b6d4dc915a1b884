"""In which wave each node of a policy is, and in which order: by name, labels and age alone.

So it is kept from pass to pass for as long as no node comes, goes, is made anew or labelled anew:
nodes by the thousand are not sorted for each of them that is cordoned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from cni_upgrade.api.order import OrderBy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.world.governance import matches
from cni_upgrade.planner.world.kubernetes_objects import Node

ZONE = "topology.kubernetes.io/zone"
OTHERS = "others"
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wave:
    """Nodes that are changed together, in their order, by name."""

    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Ordering:
    """The waves that have a node, in their order."""

    waves: tuple[Wave, ...]

    @cached_property
    def places(self) -> dict[str, int]:
        """By node: its place in the order of all."""
        names = (name for wave in self.waves for name in wave.nodes)
        return {name: place for place, name in enumerate(names)}

    @cached_property
    def later(self) -> dict[str, int]:
        """The number, from 0, of the wave of each node that is not in the first one."""
        later = enumerate(self.waves[1:], 1)
        return {name: number for number, wave in later for name in wave.nodes}


def arranged(policy: CNIUpgradePolicy, nodes: Iterable[Node]) -> Ordering:
    """The nodes as the order of a policy's rollout has them."""
    order = policy.spec.rollout.order
    if order.by == OrderBy.NAME:
        names = tuple(sorted(node.name for node in nodes))
        return Ordering((Wave("all nodes", names),))
    found: dict[tuple[int, str], list[Node]] = {}
    for node in nodes:
        found.setdefault(_place(policy, node), []).append(node)
    return Ordering(
        tuple(
            Wave(name, tuple(node.name for node in sorted(found[number, name], key=_age)))
            for number, name in sorted(found)
        )
    )


def stands_as(one: Node, other: Node) -> bool:
    """Whether a node has the place in every order that it had before."""
    return one.created == other.created and one.labels == other.labels


def _age(node: Node) -> tuple[datetime, str]:
    return node.created or _BEFORE_ALL, node.name


def _place(policy: CNIUpgradePolicy, node: Node) -> tuple[int, str]:
    """Sorts as the waves do, and names them."""
    order, labels = policy.spec.rollout.order, node.labels
    if order.by == OrderBy.ZONE:
        zone = labels.get(ZONE)
        return (0, f"zone {zone}") if zone else (1, "no zone")
    if order.by == OrderBy.LABEL and order.label is not None:
        value = labels.get(order.label.key)
        if value in order.label.values:
            return order.label.values.index(value), f"{order.label.key}={value}"
        return len(order.label.values), OTHERS
    for number, selector in enumerate(order.selectors):
        if matches(selector, labels):
            return number, f"selector {number + 1}"
    return len(order.selectors), OTHERS
