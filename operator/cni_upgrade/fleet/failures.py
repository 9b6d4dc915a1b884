"""The failure budget: how many failed nodes a rollout bears before no other node begins."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from cni_upgrade.api.node_state import LastChange, Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, CountFailures
from cni_upgrade.fleet.budget import limit
from cni_upgrade.fleet.roster import Member


@dataclass(frozen=True, slots=True)
class Failures:
    """The failed nodes that count, and how many stop the rollout."""

    nodes: tuple[str, ...]
    most: int

    @property
    def reached(self) -> bool:
        return len(self.nodes) >= self.most


def counted(policy: CNIUpgradePolicy, members: Collection[Member], matched: int) -> Failures:
    """The failures of one policy; `matched` is of how many nodes a percentage is meant."""
    rollout = policy.spec.rollout
    failed = [m for m in members if m.failed]
    if failed and rollout.count_failures == CountFailures.CONSECUTIVE:
        newest = max(
            (
                change.at
                for m in members
                if (change := _last(m)) is not None
                and change.outcome == Phase.DONE
                and change.policy == policy.metadata.uid
            ),
            default=None,
        )
        # Within one second nobody knows which was first: it counts.
        failed = [
            m
            for m in failed
            if newest is None or (change := _last(m)) is None or change.at >= newest
        ]
    return Failures(tuple(m.node.name for m in failed), limit(rollout.max_failures, matched))


def _last(member: Member) -> LastChange | None:
    return member.state.status.last_change if member.state else None
