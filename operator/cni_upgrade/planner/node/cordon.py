"""Whose cordon a node carries: ours to undo, or somebody else's to leave.

Our mark, an annotation, goes on in one write with the cordon; anybody can take it off again, or
uncordon the node and cordon it anew beneath it. So who has written `spec.unschedulable` last is
what counts, by the API server's own notes (`metadata.managedFields`); the mark where there are
none. A write that changes nothing leaves the notes as they are: who cordons a node that is cordoned
is not seen.
"""

from __future__ import annotations

from cni_upgrade.api import names
from cni_upgrade.planner.world.decisions import Uncordon, Unmark
from cni_upgrade.planner.world.kubernetes_objects import Node


def marked(node: Node) -> bool:
    """Whether the node carries our mark."""
    return names.CORDONED_BY in node.annotations


def announced(node: Node) -> str:
    """The operation for which the node is said to be ready for its upgrade, empty for none."""
    return node.annotations.get(names.READY_FOR_UPGRADE, "")


def ours(node: Node) -> bool:
    """Whether the cordon is ours; or only our mark is left, where somebody uncordoned the node."""
    if node.unschedulable and node.cordoned_by:
        return set(node.cordoned_by) == {names.FIELD_MANAGER}
    return marked(node)


def give_back(node: Node) -> Uncordon | Unmark | None:
    """What takes everything of ours off the node: our cordon, or our mark on somebody else's."""
    if ours(node):
        return Uncordon(node.name, node.resource_version)
    left = marked(node) or announced(node)
    return Unmark(node.name, node.resource_version) if left else None
