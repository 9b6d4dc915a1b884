"""What each verb reads of the cluster, and which rendering it hands that to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.parse import UnreadableResourceError, parse_node_state
from cni_upgrade.kube.resources import NODE_STATES, NODES, POLICIES
from cni_upgrade.kubectl import status as status_lines
from cni_upgrade.kubectl import why as why_lines
from cni_upgrade.kubectl.cluster import Cluster
from cni_upgrade.kubectl.errors import NotFoundError, PluginError
from cni_upgrade.kubectl.fleet import Fleet, by_labels, fleet
from cni_upgrade.kubectl.terminal import Terminal
from cni_upgrade.kubectl.watch import watch


@dataclass(frozen=True, slots=True)
class Ask:
    """What a verb is given: a way to the cluster, and what the output is like now."""

    cluster: Callable[[], Cluster]
    terminal: Callable[[], Terminal]


def show(lines: Iterable[str]) -> int:
    """Print lines; the exit code of a verb that has done what it was asked."""
    for line in lines:
        print(line)
    sys.stdout.flush()
    return 0


def status(ask: Ask, options: argparse.Namespace) -> int:
    """The fleet at a glance, once or again and again."""
    cluster = ask.cluster()

    def answer() -> list[str]:
        return status_lines.lines(read_fleet(cluster), ask.terminal())

    if not options.watch:
        return show(answer())
    watch(answer, sys.stdout, max(options.interval, 1.0))
    return 0


def why(ask: Ask, options: argparse.Namespace) -> int:
    """One node: why it is where it is."""
    state = read_state(ask.cluster(), options.node)
    return show(why_lines.lines(state, datetime.now(UTC), ask.terminal()))


def read_fleet(cluster: Cluster) -> Fleet:
    """All policies and node states; Nodes only where the waves go by their labels."""
    policies = cluster.all(POLICIES)
    labelled = cluster.metadata(NODES) if by_labels(policies) else []
    return fleet(cluster.table(NODE_STATES), policies, labelled)


def read_state(cluster: Cluster, node: str) -> CNINodeState:
    """The record of one node."""
    try:
        return parse_node_state(cluster.get(NODE_STATES, node))
    except UnreadableResourceError as error:
        raise PluginError(f"{error}. This command and the operator differ in release.") from error
    except NotFoundError as error:
        raise NotFoundError(_no_state(cluster, node, error)) from error


def _no_state(cluster: Cluster, node: str, error: NotFoundError) -> str:
    """Whether it is the node that is not there, or only its record."""
    if "not serve" in str(error):
        return str(error)
    try:
        cluster.get(NODES, node)
    except PluginError:
        return f"node {node}: there is none of that name. List them: kubectl get nodes"
    return (
        f"node {node} has no record: no policy selects it, or the controller has not seen it yet. "
        "Compare: kubectl get cup -o wide; kubectl get node --show-labels " + node
    )
