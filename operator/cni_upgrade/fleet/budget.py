"""How many nodes of a policy may be worked on at once: two limits that are never exceeded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.objects import Node
from cni_upgrade.fleet.phases import FAILED
from cni_upgrade.fleet.selection import matches


def limit(value: int | str, total: int) -> int:
    """`maxUnavailable` as a number of nodes: a percentage is rounded down, but is at least one."""
    if isinstance(value, int):
        return value
    return max(1, total * int(value.removesuffix("%")) // 100)


def changing(state: CNINodeState | None) -> bool:
    """Whether an operation that writes is under way; an audit makes no node unavailable."""
    operation = state.status.operation if state else None
    return operation is not None and operation.kind != "audit"


def works_for(state: CNINodeState | None, policy: CNIUpgradePolicy) -> bool:
    """Whether the operation under way is this policy's."""
    operation = state.status.operation if state else None
    ref = operation.policy if operation else None
    return ref is not None and ref.uid == policy.metadata.uid


class Budget:
    """The places of one policy in one pass: `take` gives one away, or says why not."""

    def __init__(
        self,
        policy: CNIUpgradePolicy,
        nodes: Iterable[Node],
        states: Mapping[str, CNINodeState],
    ) -> None:
        """`nodes` are all that exist; those that the policy selects are counted."""
        there = {node.name: node for node in nodes}
        selector = policy.spec.node_selector
        self._nodes = {name: n for name, n in there.items() if matches(selector, n.labels)}
        # A node that is not selected any more, but is still worked on for us, keeps its place.
        self._working = {
            name
            for name in there
            if changing(state := states.get(name))
            and (name in self._nodes or works_for(state, policy))
        }
        self._unavailable = self._working | {
            node.name for node in self._nodes.values() if node.ready != "True" or node.unschedulable
        }
        self._failed = sorted(
            name
            for name in self._nodes
            if (state := states.get(name)) is not None
            and state.status.phase in FAILED
            # Another policy's failure stops that one; a retry of ours could not mend it.
            and (state.spec.policy_ref is None or state.spec.policy_ref.uid == policy.metadata.uid)
        )
        self._max_parallel = policy.spec.rollout.max_parallel
        self._max_unavailable = limit(policy.spec.rollout.max_unavailable, len(self._nodes))
        self._name = policy.metadata.name

    def take(self, node: str) -> tuple[str, str] | None:
        """None and the place is taken; else (reason, message).

        A node that is unavailable already costs nothing more: curing it makes none worse.
        """
        if self._failed:
            return (
                "RolloutStopped",
                f"no node begins while {', '.join(self._failed[:3])} is failed or rolled back; "
                f"look there, then annotate it or policy {self._name} with cniupgrade.dev/retry",
            )
        if len(self._working) >= self._max_parallel:
            return (
                "MaxParallel",
                f"{len(self._working)} of at most {self._max_parallel} nodes are worked on "
                "(spec.rollout.maxParallel)",
            )
        if node not in self._unavailable and len(self._unavailable) >= self._max_unavailable:
            return (
                "MaxUnavailable",
                f"{len(self._unavailable)} of at most {self._max_unavailable} nodes are "
                f"unavailable: {', '.join(sorted(self._unavailable)[:3])} "
                "(spec.rollout.maxUnavailable)",
            )
        self._working.add(node)
        self._unavailable.add(node)
        return None
