"""The course of one policy's rollout: may this node begin now, and if not, what is waited for.

Failures, changes that are not proved, windows, the order and the free places are asked in this
order, the one that lasts longest first. What a node is told does not change with every other node
that begins: in a fleet of 5,000 that would be 5,000 writes each time. The policy's status has the
particulars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from cni_upgrade.api import duration
from cni_upgrade.api.drain import DrainPolicy
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode, PolicySpec
from cni_upgrade.api.rollout_status import RolloutStatus
from cni_upgrade.api.verify import OnFailure
from cni_upgrade.fleet import node_lease
from cni_upgrade.fleet.budget import MAX_UNAVAILABLE, Budget, changing, shared
from cni_upgrade.fleet.config import OperatorConfig
from cni_upgrade.fleet.containing import NONSENSE
from cni_upgrade.fleet.failures import MOST_NAMED, counted
from cni_upgrade.fleet.gate import Refusal
from cni_upgrade.fleet.member import Member
from cni_upgrade.fleet.phases import UNPROVED
from cni_upgrade.fleet.roster import Roster, unjudged
from cni_upgrade.fleet.sending import GRACE_SECONDS
from cni_upgrade.fleet.settle import asked_of_all
from cni_upgrade.fleet.snapshot import Snapshot
from cni_upgrade.fleet.waves import Waves
from cni_upgrade.fleet.windows import WindowError, Windows

STOPPED = "RolloutStopped"
CLOSED = "OutsideWindow"
TURN = "Turn"
HELD = "NothingMoves"
SILENT = "silent (Ready is Unknown)"

_UNDECIDED = frozenset({Phase.PENDING, Phase.AUDITING, Phase.WAITING})


def all_courses(
    world: Snapshot, roster: Roster, leaving: Iterable[Budget]
) -> tuple[dict[str, Course], dict[str, Exception]]:
    """The courses of all Enforce policies by their records of now, by the policy's uid.

    Beside them what is wrong with those policies that have none. `leaving` are the budgets of
    deleted policies, whose limits hold until they are gone.
    """
    courses: dict[str, Course] = {}
    failed: dict[str, Exception] = {}
    for policy in world.policies.values():
        if policy.spec.mode != Mode.ENFORCE or policy.metadata.deletion_timestamp:
            continue
        try:
            courses[policy.metadata.uid] = Course(policy, world, roster, world.states)
        except NONSENSE as error:
            failed[policy.metadata.uid] = error
    shared((*(course.places for course in courses.values()), *leaving))
    return courses, failed


def drains(spec: PolicySpec, needs_drain: bool) -> bool:
    """Whether a node would be drained, before the change or after it."""
    policy = spec.drain.policy
    return policy == DrainPolicy.ALWAYS or (policy == DrainPolicy.IF_REQUIRED and needs_drain)


def longest(spec: PolicySpec, config: OperatorConfig, drained: bool) -> int:
    """How many seconds a change may take by its deadlines, the way back included.

    Drain, a pod from before the change, the agent, three steps of the proof, the soak with two of
    them again, time for pods that hung, and the agent once more where a change that makes a node
    worse is undone. An agent that is lost and sent again makes it longer, and so does a silent
    kubelet: docs/rollout.md says by how much. They are not counted, for windows that hold the worst
    of everything are few.
    """
    verify = spec.verify
    agent = config.apply_deadline_seconds + GRACE_SECONDS
    step = duration.seconds(verify.deadline)
    proof = 4 * step if verify.proof else 0
    soak = duration.seconds(verify.soak) + 2 * step if verify.proof and verify.soak else 0
    drain = duration.seconds(spec.drain.deadline) if drained else 0
    undo = agent if spec.on_failure == OnFailure.ROLLBACK else 0
    return drain + agent + proof + soak + step + undo


class Course:
    """The limits of one Enforce policy in one pass: `take` begins a node or says why not."""

    def __init__(
        self,
        policy: CNIUpgradePolicy,
        world: Snapshot,
        roster: Roster,
        states: Mapping[str, CNINodeState],
    ) -> None:
        """`states` are the records to go by, which may be newer than those of the snapshot."""
        matched = roster.matched(policy)
        self._policy = policy
        self._config = world.config
        self._now = world.now
        self.members = roster.members(policy, states)
        self._asked = asked_of_all(policy)
        self.failures = counted(policy, self.members, len(matched), self._asked, world.now)
        self.waves = Waves(policy, self.members, len(matched), self.failures.canaries, world.now)
        apart = unjudged(policy, world)
        self.places = Budget(
            policy,
            {**matched, **{name: each.node for name, each in apart.items()}},
            roster.changing(states),
            roster.working_for(policy) | {name for name, each in apart.items() if each.working},
        )
        self._deleted = frozenset(name for name, node in matched.items() if node.deleting)
        self.unproved = tuple(m for m in self.members if m.unproved)
        self._leased = {
            m.node.name
            for m in (self.members if world.leases else ())
            if node_lease.foreign(m.node.name, world) is not None
        }
        self._opens: dict[bool, datetime | None] = {}
        self.window_error = ""
        try:
            self._windows = Windows(policy.spec.rollout.windows, world.now)
        except WindowError as error:
            self.window_error = str(error)

    @property
    def stopped(self) -> str:
        """Why nothing begins any more until a person looks; empty while it is not so."""
        canary = self.waves.canary
        if canary is not None and canary.trouble in ("CanaryFailed", "CanaryEmpty"):
            return canary.trouble
        return "NodeFailed" if self.failures.reached else ""

    def take(self, node: str, drained: bool) -> Refusal | None:
        """None and the place is taken; else what the node is told."""
        refused = self._told(node, drained)
        if refused is None and self.places.take(node) is not None:
            refused = (
                TURN,
                "waits for a place (spec.rollout.maxUnavailable and maxParallel of "
                f"{self._name}, whose status says who has them)",
            )
        return refused

    def begin(self, node: str) -> str:
        """The node that `take` has let through begins: its mark as a canary, or nothing."""
        return self.waves.begin(node)

    def _told(self, node: str, drained: bool) -> Refusal | None:
        if self.stopped:
            return STOPPED, f"{self._name} has stopped: {self._why_stopped()}"
        if not self._proved_but(node):
            first = self.unproved[0]
            last = first.state.status.last_change if first.state else None
            perhaps = last is not None and last.written is False
            why = "where a change may be written" if perhaps else "which is written"
            return UNPROVED, f"waits until {first.node.name} is proved, {why} ({self._name})"
        if self.window_error or self.opens(drained) != self._now:
            return CLOSED, f"waits for a maintenance window of {self._name}; its status says when"
        # What is written is proved whatever its wave: that may wait for this very proof.
        refused = None if self.unproved else self.waves.refusal(node)
        return (refused[0], f"{refused[1]} ({self._name})") if refused else None

    def _proved_but(self, node: str) -> bool:
        """Whether all is proved that is written, or this node is among what is not."""
        return not self.unproved or any(m.node.name == node for m in self.unproved)

    def _why_stopped(self) -> str:
        """Short, and the same while more nodes fail that were under way."""
        canary = self.waves.canary
        if canary is not None and canary.trouble:
            return canary.waits_for
        first = min(self.failures.nodes, default="a node whose name is not kept")
        return f"{first} failed or was rolled back; its status says what to do"

    @property
    def _name(self) -> str:
        return f"policy {self._policy.metadata.name}"

    def opens(self, drained: bool) -> datetime | None:
        """When a change may begin at the earliest, now included; None: no window is long enough."""
        if drained not in self._opens:
            self._opens[drained] = self._windows.opens(self.needs(drained))
        return self._opens[drained]

    def needs(self, drained: bool) -> int:
        """Seconds that a change may take."""
        return longest(self._policy.spec, self._config, drained)

    # What the policy's status says of it.

    @cached_property
    def waiting(self) -> list[Member]:
        """Nodes for which a change is due and not begun, in their order."""
        found = [m for m in self.members if m.waits]
        return sorted(found, key=lambda m: self.waves.order[m.node.name])

    @cached_property
    def able(self) -> list[Member]:
        """Those of them that nothing about themselves keeps from beginning."""
        return [m for m in self._there if m.node.name not in self._leased]

    @cached_property
    def _there(self) -> list[Member]:
        """Those of them that answer and take pods."""
        return [m for m in self.waiting if m.node.ready != "Unknown" and not m.node.unschedulable]

    @cached_property
    def _next(self) -> list[Member]:
        """Those of them whose turn it is by canary and wave; what is not proved goes before all."""
        if self.unproved:
            return [m for m in self.able if self._proved_but(m.node.name)]
        return [m for m in self.able if self.waves.refusal(m.node.name) is None]

    @cached_property
    def looked_at(self) -> bool:
        """Whether some node is being audited, or will be without anybody's help."""
        return any(m.open for m in self.members)

    def drained(self, member: Member) -> bool:
        """Whether a node would be drained."""
        after = member.state.status.after if member.state else None
        return drains(self._policy.spec, bool(after and after.needs_drain))

    def closed(self) -> tuple[datetime | None, str] | None:
        """None while a window is open that is long enough for some node that waits.

        Else when the next one opens (None: none is long enough), and that in words.
        """
        if not self._policy.spec.rollout.windows or self.window_error:
            return None
        wanted = {self.drained(m) for m in self.able} or {False}
        times = {drained: self.opens(drained) for drained in sorted(wanted)}
        if self._now in times.values():
            return None
        coming = [at for at in times.values() if at is not None]
        need = self.needs(min(wanted))
        if not coming:
            text = (
                f"no maintenance window is long enough: a change may take {hours(need)}, by its "
                f"deadlines, and the longest window is {hours(self._windows.longest)}"
            )
            return None, text
        text = (
            f"the next maintenance window of {hours(need)} opens {min(coming):%Y-%m-%dT%H:%M:%SZ}"
        )
        return min(coming), text

    def held(self) -> tuple[str, str] | None:
        """(reason, message) where something is to be done, and only what is not ours is in its way.

        Nothing of ours is under way then: the nodes that are named are to be mended or given back.
        """
        if self.waiting and self._unproved_rest:
            now = "annotate it with cniupgrade.dev/retry to try at once"
            return UNPROVED, f"nothing else begins: {self._told_unproved()}; {now}"
        if self._next:
            first = self._next[0].node.name
            refused, holders = self.places.refusal(first), self.places.held_by(first)
            if refused is None or refused[0] != MAX_UNAVAILABLE or not holders:
                return None
            by_name = {m.node.name: m for m in self.members}
            told = ", ".join(
                f"{name} (being deleted)"
                if name in self._deleted
                else _why_down(name, by_name.get(name))
                for name in holders[:3]
            )
            return HELD, f"nothing moves: {refused[1]}, and nobody works on {told}"
        if self.able:
            return self._turn_held()
        silent = [
            m
            for m in self.members
            if m.node.ready == "Unknown"
            and (m.state is None or m.state.status.phase in _UNDECIDED or m.stale)
            and not m.waits
        ]
        told = self._in_the_way([*self.waiting, *silent])
        return (HELD, f"nothing moves: {told}") if told else None

    def _turn_held(self) -> tuple[str, str] | None:
        """Who keeps the canary or the wave from its end, where nobody but others can do something.

        None too while a canary soaks, or cannot pass for a reason of its own.
        """
        canary = self.waves.canary
        if (
            canary is not None
            and not canary.passed
            and (canary.trouble or canary.status.soak_since)
        ):
            return None
        holders = self.waves.holders
        if not holders or not all(self._left_to_others(m) for m in holders):
            return None
        return HELD, f"nothing moves: {self._turn_waits()}: {self._in_the_way(holders)}"

    def _left_to_others(self, member: Member) -> bool:
        """Whether only what is not ours keeps a node that is waited for from going on."""
        node = member.node
        if changing(member.state):
            return False
        if node.ready == "Unknown":
            return True
        if member.open or not member.seen:
            return False
        if member.waits:
            return node.unschedulable or node.name in self._leased
        return node.ready != "True"

    def _in_the_way(self, members: Iterable[Member]) -> str:
        """What is not ours and keeps nodes from going on, by their names; empty where nothing."""
        every = list(members)
        foreign = [m for m in every if m.waits and m.node.unschedulable]
        silent = [m for m in every if m.node.ready == "Unknown"]
        others = [
            m for m in every if m.node.ready != "Unknown" and not (m.waits and m.node.unschedulable)
        ]
        leased = [m for m in others if m.waits]
        down = [m for m in others if not m.waits]
        told = (
            (foreign, "cordoned by somebody else"),
            (leased, "leased by somebody else"),
            (silent, SILENT),
            (down, "not Ready"),
        )
        return " and ".join(
            f"{named([m.node.name for m in nodes])} {why}" for nodes, why in told if nodes
        )

    @property
    def _unproved_rest(self) -> bool:
        """Whether something is not proved, and cannot be tried again right now."""
        return bool(self.unproved) and not any(self._proved_but(m.node.name) for m in self.able)

    def _told_unproved(self) -> str:
        first = self.unproved[0]
        status = first.state.status if first.state else None
        names = named([m.node.name for m in self.unproved])
        why = f": {status.phase}, {status.message}" if status else ""
        return f"{names} to be proved before another node begins; {first.node.name}{why}"

    def status(self, held_since: datetime | None, recorded: Waves) -> RolloutStatus:
        """The part of the policy's status that is about the rollout.

        `recorded` are the waves by what the records say, without what this pass has decided and
        may yet fail to write: from them the next pass goes on.
        """
        size, finished = recorded.size
        closed = self.closed()
        return RolloutStatus(
            plan=recorded.plan,
            wave=recorded.name,
            number=0 if recorded.testing else min(recorded.current + 1, recorded.count),
            of=recorded.count,
            nodes=size,
            finished=finished,
            waits_for=self.waits_for(),
            held_since=held_since,
            failures=self.failures.count,
            failed=self.failures.kept[:MOST_NAMED],
            unnamed=self.failures.unnamed,
            asked=self._asked,
            max_failures=self.failures.most,
            next_window=closed[0] if closed else None,
            canary=recorded.canary.status if recorded.canary else None,
        )

    def waits_for(self) -> str:
        """What is waited for before more can begin; empty where there is nothing to begin."""
        canary = self.waves.canary
        if canary is not None and canary.trouble:
            return canary.waits_for
        if self.failures.reached:
            failures = self.failures
            told = named([failures.told(name) for name in failures.nodes])
            if failures.unseen:
                # A number, not so many words: the status that it is from may have been edited.
                told += f"{' and ' if told else ''}{failures.unseen} whose names are not kept"
            return (
                f"{failures.count} of at most {failures.most} nodes failed or were "
                f"rolled back: {told}; look there, then annotate one or "
                f"{self._name} with cniupgrade.dev/retry"
            )
        if self.window_error:
            return self.window_error
        soaking = canary is not None and canary.status.soak_since and not canary.passed
        if canary is not None and soaking:
            return canary.waits_for
        if self._unproved_rest:
            return self._told_unproved() if self.waiting else ""
        if not self._next and (held := self.held()) is not None:
            return held[1]
        if not self.able:
            return canary.waits_for if canary and not canary.passed else ""
        if closed := self.closed():
            return closed[1]
        if not self._next:
            return canary.waits_for if canary and not canary.passed else self._turn_waits()
        refused = self.places.refusal(self._next[0].node.name)
        return refused[1] if refused else ""

    def _turn_waits(self) -> str:
        """How much of the canary or the wave is not there yet."""
        size, finished = self.waves.size
        if self.waves.testing:
            return f"{finished} of {size} canaries are well"
        return f"{size - finished} of {size} nodes of {self.waves.name} are not finished"


def hours(seconds: int) -> str:
    """Whole minutes, rounded up, as people write them."""
    hours, minutes = divmod(-(-seconds // 60), 60)
    return f"{hours}h{minutes}m" if hours and minutes else f"{hours}h" if hours else f"{minutes}m"


def named(names: Sequence[str]) -> str:
    """The first three of them, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _why_down(name: str, member: Member | None) -> str:
    if member is None:
        return name
    why = "cordoned" if member.node.unschedulable else "not Ready"
    if member.state is None:
        return f"{name} ({why})"
    return f"{name} ({why}, {member.state.status.phase}: {member.state.status.reason})"
