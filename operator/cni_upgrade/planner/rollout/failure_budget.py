"""The failure budget: how many failed nodes a rollout bears before no other node begins.

What has failed is kept in the policy's status. A node that breaks is deleted by whoever replaces
machines, is relabelled, or loses its record to a person, and what failed on it is true all the
same: it counts until somebody asks for another try, or a change has gone well there. Of a node that
the policy acts on no more that is so whoever has the change made: no other look at it will come.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cni_upgrade.api.history import LastChange
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.rollout import CountFailures
from cni_upgrade.api.rollout_status import FailedNode
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.limits.max_unavailable import limit
from cni_upgrade.planner.rollout.waves import plan_of
from cni_upgrade.planner.world import retry_annotation
from cni_upgrade.planner.world.governance import matches
from cni_upgrade.planner.world.phases import FAILED

NODE_FAILED = "NodeFailed"
"""The reason of a policy that goes no further without a person because of what failed."""
MOST_NAMED = 32
"""Failed nodes whose names the status keeps: it has to stay small whatever the budget."""


@dataclass(frozen=True, slots=True)
class Failures:
    """The failed nodes that count, and how many stop the rollout."""

    nodes: tuple[str, ...]
    most: int
    kept: tuple[FailedNode, ...] = ()
    """All that failed and were not asked for again, those first that do not show it any more."""
    gone: frozenset[str] = frozenset()
    """The names of those."""
    apart: Mapping[str, str] = field(default_factory=dict)
    """By name: what became of those of them that have a record and are not the policy's."""
    stuck: frozenset[str] = frozenset()
    """Nodes whose records cannot be acted on in the midst of a change: they count meanwhile."""
    unseen: int = 0
    """How many more count whose names were cut, and that nothing shows any more."""

    @property
    def count(self) -> int:
        """All that count."""
        return len(self.nodes) + self.unseen

    @property
    def reached(self) -> bool:
        return self.count >= self.most

    @property
    def unnamed(self) -> int:
        """How many of all that failed the status has no name for."""
        return max(0, len(self.kept) - MOST_NAMED) + self.unseen

    @property
    def canaries(self) -> frozenset[str]:
        """Canaries among them."""
        return frozenset(each.node for each in self.kept if each.canary)

    def recorded(self) -> dict[str, Any]:
        """What the policy's status.rollout says of them."""
        return {
            "failures": self.count,
            "failed": self.kept[:MOST_NAMED],
            "unnamed": self.unnamed,
            "max_failures": self.most,
        }

    def told(self, name: str) -> str:
        """A node's name, and that nothing is to be seen there any more, or only its record."""
        if name in self.stuck:
            return f"{name} (stays as it is: see its record)"
        return (
            f"{name} ({self.apart.get(name, 'its record is gone')})" if name in self.gone else name
        )


def counted(
    policy: CNIUpgradePolicy,
    members: Collection[RolloutMember],
    matched: int,
    asked: str,
    now: datetime,
    records: Mapping[str, CNINodeState],
) -> Failures:
    """The failures of one policy; `matched` is of how many nodes a percentage is meant.

    `asked` is the digest of what it asks of every node, `records` are those of all nodes, by name.
    """
    rollout = policy.spec.rollout
    before = policy.status.rollout
    same = before if before is not None and before.asked == asked else None
    known = same.failed if same is not None else ()
    by_name = {m.node.name: m for m in members} if known else {}
    failed = [m for m in members if m.failed]
    found = {
        each.node: each
        for each in known
        if not _settled(each, by_name.get(each.node), records.get(each.node), policy)
    }
    gone = frozenset(name for name in found if name not in by_name or not by_name[name].failed)
    apart = {
        name: _apart(record, policy)
        for name in gone
        if name not in by_name and (record := records.get(name)) is not None
    }
    newest = None
    if (failed or found) and rollout.count_failures == CountFailures.CONSECUTIVE:
        newest = _newest_success(members, policy)
    # A success that is still to come was before this: the clock was set back since.
    least = newest if newest is not None and newest > now else None
    for m in failed:
        earlier = found.get(m.node.name)
        found[m.node.name] = _noted(m, policy, earlier, _failed_at(m, earlier, now, least))
    stuck = frozenset(m.node.name for m in members if m.stuck)
    kept = sorted(found.values(), key=lambda each: (each.node not in gone, each.node))
    # Within one second nobody knows which was first, nor where it is not recorded: it counts.
    timeless = {m.node.name for m in failed if _last(m.state) is None}
    nodes = sorted(
        stuck.union(
            each.node
            for each in kept
            if newest is None or each.at >= newest or each.node in timeless
        )
    )
    # After a success in a row nobody knows which of those without a name were before it.
    cut = same.unnamed if same is not None and newest is None else 0
    unseen = _unseen(cut, members, {each.node for each in known}) if cut else 0
    most = limit(rollout.max_failures, matched)
    return Failures(tuple(nodes), most, tuple(kept), gone, apart, stuck, unseen)


def _unseen(cut: int, members: Collection[RolloutMember], named: Collection[str]) -> int:
    """How many of so many without a name nothing shows any more.

    One that was retried is no failure any more, but nobody knows which of those that carry a retry
    had a name. Where with them all are accounted for, none is gone. Else they take nothing off: in
    pass after pass a few of them would take off all whose machines were replaced.
    """
    others = [m for m in members if m.node.name not in named]
    failed = sum(m.failed for m in others)
    retried = sum(not m.failed and _retry(m.state) != "" for m in others)
    return 0 if failed + retried >= cut else cut - failed


def _newest_success(
    members: Collection[RolloutMember], policy: CNIUpgradePolicy
) -> datetime | None:
    return max(
        (
            change.at
            for m in members
            if (change := _last(m.state)) is not None
            and change.outcome == Phase.DONE
            and change.policy == policy.metadata.uid
        ),
        default=None,
    )


def _last(state: CNINodeState | None) -> LastChange | None:
    return state.status.last_change if state else None


def _settled(
    failed: FailedNode,
    member: RolloutMember | None,
    record: CNINodeState | None,
    policy: CNIUpgradePolicy,
) -> bool:
    """Whether somebody has asked for another try there, or a change has gone well since."""
    state = member.state if member is not None else record
    if state is None or (member is not None and member.failed):
        return False
    if member is not None and state.status.phase in FAILED:
        return True
    if _retry(state) not in ("", failed.retry):
        return True
    last = _last(state)
    if last is None or last.outcome != Phase.DONE:
        return False
    if member is None:
        return last.at > failed.at
    return last.policy == policy.metadata.uid and last.at >= failed.at


def _apart(record: CNINodeState, policy: CNIUpgradePolicy) -> str:
    """What became of a node that the policy acts on no more."""
    claim = record.spec.policy_ref
    if claim is not None and claim.uid != policy.metadata.uid:
        return "has another policy now"
    return "not this policy's any more"


def _noted(
    member: RolloutMember, policy: CNIUpgradePolicy, known: FailedNode | None, at: datetime
) -> FailedNode:
    return FailedNode(
        node=member.node.name,
        at=at,
        canary=_canary(member, policy) or (known is not None and known.canary),
        retry=_retry(member.state),
    )


def _failed_at(
    member: RolloutMember, known: FailedNode | None, now: datetime, least: datetime | None
) -> datetime:
    """`least`: a failure that was not known before is no earlier than that."""
    last = _last(member.state)
    at = last.at if last else known.at if known else now
    if known is not None and known.at >= at:
        return known.at
    return at if least is None else max(at, least)


def _canary(member: RolloutMember, policy: CNIUpgradePolicy) -> bool:
    """Whether the node is a canary of what is to be reached today."""
    canary = policy.spec.rollout.canary
    if canary is None:
        return False
    if canary.node_selector is not None:
        return matches(canary.node_selector, member.node.labels)
    return member.state is not None and member.state.status.canary == plan_of(policy)


def _retry(state: CNINodeState | None) -> str:
    """Digest of a person's retry on the record; empty without one."""
    return retry_annotation.standing(state.metadata.annotations, "") if state else ""
