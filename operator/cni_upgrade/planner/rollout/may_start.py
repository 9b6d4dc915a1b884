"""The course of one policy's rollout: may this node begin now, and if not, what is waited for.

Failures, changes that are not proved, windows, the order and the free places are asked in this
order, the one that lasts longest first. What a node is told does not change with every other node
that begins: in a fleet of 5,000 that would be 5,000 writes each time. The policy's status has the
particulars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from datetime import datetime
from functools import cached_property
from typing import Any

from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.planner.index.node_index import NodeIndex, unjudged
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.limits.change_duration import longest
from cni_upgrade.planner.limits.maintenance_windows import CLOSED, WindowError, windows_at
from cni_upgrade.planner.limits.max_unavailable import TURN, Budget, shared
from cni_upgrade.planner.node.audit_result import asked_of_all
from cni_upgrade.planner.node.pending_proof import written_anew
from cni_upgrade.planner.node.start_request import Refusal
from cni_upgrade.planner.rollout.failure_budget import NODE_FAILED, counted
from cni_upgrade.planner.rollout.unproved_groups import UnprovedGroups
from cni_upgrade.planner.rollout.waves import Waves
from cni_upgrade.planner.world.errors import NONSENSE
from cni_upgrade.planner.world.phases import HELD_FOR_A_PERSON, WAITS_FOR_PROOF
from cni_upgrade.planner.world.snapshot import Snapshot

STOPPED = "RolloutStopped"


def all_rollouts(
    world: Snapshot, roster: NodeIndex, leaving: Iterable[Budget]
) -> tuple[dict[str, RolloutPass], dict[str, Exception]]:
    """The courses of all Enforce policies by their records of now, by the policy's uid.

    Beside them what is wrong with those policies that have none. `leaving` are the budgets of
    deleted policies, whose limits hold until they are gone.
    """
    courses: dict[str, RolloutPass] = {}
    failed: dict[str, Exception] = {}
    for policy in world.policies.values():
        if policy.spec.mode != Mode.ENFORCE or policy.metadata.deletion_timestamp:
            continue
        try:
            courses[policy.metadata.uid] = RolloutPass(policy, world, roster)
        except NONSENSE as error:
            failed[policy.metadata.uid] = error
    shared((*(course.places for course in courses.values()), *leaving))
    return courses, failed


class RolloutPass:
    """The limits of one Enforce policy in one pass: `take` begins a node or says why not."""

    def __init__(
        self,
        policy: CNIUpgradePolicy,
        world: Snapshot,
        roster: NodeIndex,
    ) -> None:
        matched = roster.matched(policy)
        self.policy = policy
        self._config = world.config
        self.now = world.now
        members = roster.members(policy)
        self.members = tuple(members.values())
        self.asked = asked_of_all(policy)
        self.failures = counted(
            policy, self.members, len(matched), self.asked, world.now, world.states
        )
        self.waves = Waves(
            policy,
            members,
            roster.arrangement(policy),
            len(matched),
            self.failures.canaries,
            world.now,
        )
        apart = unjudged(policy, world)
        self.places = Budget(
            policy,
            matched.keys() | apart.keys(),
            roster.down(policy) | {name for name, each in apart.items() if each.node.down},
            roster.changing(),
            roster.working_for(policy) | {name for name, each in apart.items() if each.working},
        )
        self.at_work = frozenset(
            name
            for name, state in roster.changing().items()
            if name in matched
            and state.status.reason not in HELD_FOR_A_PERSON
            and (acting := roster.governance(name).policy) is not None
            and acting.metadata.uid == policy.metadata.uid
        )
        """Nodes of this policy, and of no other that it shares them with, that are changed."""
        # One that is written anew holds nobody before its turn: the canary of another target would
        # wait for it, and it for the canary.
        self.unproved = tuple(
            m
            for m in self.members
            if m.unproved and (proves(m) or self.waves.refusal(m.node.name) is None)
        )
        self.doubts = UnprovedGroups(policy, self.members)
        self.moved = False
        """Whether a node has begun since."""
        self._opens: dict[bool, datetime | None] = {}
        self.window_error = ""
        try:
            self.windows = windows_at(policy.spec.rollout.windows, world.now)
        except WindowError as error:
            self.window_error = str(error)

    @property
    def stopped(self) -> str:
        """Why nothing begins any more until a person looks; empty while it is not so."""
        canary = self.waves.canary
        if canary is not None and canary.trouble in ("CanaryFailed", "CanaryEmpty"):
            return canary.trouble
        return NODE_FAILED if self.failures.reached else ""

    def take(
        self, node: str, drained: bool, *, writes: bool = True, doubt: str = ""
    ) -> Refusal | None:
        """None and the place is taken; else what the node is told.

        `writes` is False where what stands there is only to be proved; `doubt` is what is not
        known of the node.
        """
        refused = self._told(node, drained, writes)
        if refused is None and writes:
            refused = self.doubts.refusal(node, doubt)
        if refused is not None:
            return refused
        if not self.places.free(node):
            return self.full
        self.places.take(node)
        self.doubts.take(node, doubt)
        self.moved = True
        return None

    @cached_property
    def full(self) -> Refusal:
        """What a node is told that lacks a place, and nothing else."""
        return (
            TURN,
            "waits for a place (spec.rollout.maxUnavailable and maxParallel of "
            f"{self.name}, whose status says who has them)",
        )

    def stage(self, drained: bool) -> tuple[object, ...]:
        """What a node is told depends on this and on the node, but for whether there is a place.

        `drained`: of changes that drain their node, or of those that do not.
        """
        if self.stopped:
            return STOPPED, self._why_stopped()
        opened = not self.window_error and self.opens(drained) == self.now
        return self._unproved, opened, self.waves.stage, self.waves.chooses, self.doubts.stage

    @cached_property
    def _unproved(self) -> object:
        """Who is not proved, and what the others are told of it."""
        if not self.unproved:
            return None
        return self._unproved_told, frozenset(m.node.name for m in self.unproved)

    def nearest(self, nodes: Set[str], rank: Callable[[str], Any]) -> Set[str]:
        """Of nodes that lack a place, and nothing else, those that may be given one in this pass;
        `rank` is how they have their turn."""
        # The places of a canary that is not chosen yet may be gone before those of the rollout are.
        return nodes if self.waves.chooses else self.places.nearest(nodes, rank)

    def begin(self, node: str) -> str:
        """The node that `take` has let through begins: its mark as a canary, or nothing."""
        return self.waves.begin(node)

    def _told(self, node: str, drained: bool, writes: bool) -> Refusal | None:
        if self.stopped:
            return STOPPED, f"{self.name} has stopped: {self._why_stopped()}"
        if not self.proved_but(node):
            return WAITS_FOR_PROOF, self._unproved_told
        if self.window_error or self.opens(drained) != self.now:
            return CLOSED, f"waits for a maintenance window of {self.name}; its status says when"
        # What is written is proved whatever its wave: that may wait for this very proof.
        refused = self.waves.refusal(node) if writes else None
        return (refused[0], f"{refused[1]} ({self.name})") if refused else None

    @cached_property
    def _unproved_told(self) -> str:
        """What the others are told while something is not proved."""
        first = self.unproved[0]
        last = first.state.status.last_change if first.state else None
        perhaps = last is not None and last.written is False
        why = "where a change may be written" if perhaps else "which is written"
        return f"waits until {first.node.name} is proved, {why} ({self.name})"

    def proved_but(self, node: str) -> bool:
        """Whether all is proved that is written, or this node is among what is not."""
        return not self.unproved or any(m.node.name == node for m in self.unproved)

    def turn_of(self, member: RolloutMember) -> bool:
        """Whether a change may begin there by canary, wave and what is not known of its like."""
        name = member.node.name
        told = self.doubts.refusal(name, member.doubt)
        return told is None and self.waves.refusal(name) is None

    def _why_stopped(self) -> str:
        """Short, and the same while more nodes fail that were under way."""
        canary = self.waves.canary
        if canary is not None and canary.trouble:
            return canary.waits_for
        first = min(self.failures.nodes, default="a node whose name is not kept")
        return f"{first} failed or was rolled back; its status says what to do"

    @property
    def name(self) -> str:
        return f"policy {self.policy.metadata.name}"

    def opens(self, drained: bool) -> datetime | None:
        """When a change may begin at the earliest, now included; None: no window is long enough."""
        if drained not in self._opens:
            self._opens[drained] = self.windows.opens(self.needs(drained))
        return self._opens[drained]

    def needs(self, drained: bool) -> int:
        """Seconds that a change may take."""
        return longest(self.policy.spec, self._config, drained)


def proves(member: RolloutMember) -> bool:
    """Whether what stands on a node is only to be proved, as far as its record says by now."""
    status = member.state.status if member.state is not None else None
    anew = status is not None and status.phase == Phase.WAITING and written_anew(status)
    return member.unproved and not anew
