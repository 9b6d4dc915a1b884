"""Who waits in one policy's rollout, for what, and who keeps it from going on: for its status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property

from cni_upgrade.api.phase import Phase
from cni_upgrade.api.rollout_status import RolloutStatus
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.limits.change_duration import hours
from cni_upgrade.planner.limits.max_unavailable import changing
from cni_upgrade.planner.node import node_lease, stalled
from cni_upgrade.planner.node.pods_to_evict import drains
from cni_upgrade.planner.node.stalled import HELD, SILENT, describe_nodes, named, stuck
from cni_upgrade.planner.rollout.may_start import RolloutPass, proves
from cni_upgrade.planner.rollout.waves import Waves
from cni_upgrade.planner.world import retry_annotation
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.phases import WAITS_FOR_PROOF, WRITING
from cni_upgrade.planner.world.snapshot import Snapshot

_UNDECIDED = frozenset({Phase.PENDING, Phase.AUDITING, Phase.WAITING})


class Progress:
    """The nodes of a course that wait, and what for."""

    def __init__(self, course: RolloutPass, world: Snapshot) -> None:
        """`world` is the one that the course is of."""
        self.course = course
        self._world = world

    @cached_property
    def due(self) -> list[RolloutMember]:
        """Nodes for which a change is due and not begun, in their order."""
        return [m for m in self.course.waves.members if m.waits]

    @cached_property
    def able(self) -> list[RolloutMember]:
        """Those of them that nothing about themselves keeps from beginning."""
        leased = self._leased
        return [
            m
            for m in self.due
            if m.node.ready != "Unknown" and not m.node.unschedulable and m.node.name not in leased
        ]

    @cached_property
    def _leased(self) -> set[str]:
        """Nodes on which somebody else has a Lease."""
        return {
            m.node.name
            for m in (self.course.members if self._world.leases else ())
            if node_lease.foreign(m.node.name, self._world) is not None
        }

    @cached_property
    def _next(self) -> RolloutMember | None:
        """The first of them whose turn it is by canary and wave; what is not proved goes before
        all."""
        course = self.course
        return next(
            (
                m
                for m in self.able
                if course.proved_but(m.node.name) and (proves(m) or course.turn_of(m))
            ),
            None,
        )

    @cached_property
    def looked_at(self) -> bool:
        """Whether some node is being audited, or will be without anybody's help."""
        return any(m.open for m in self.course.members)

    def drained(self, member: RolloutMember) -> bool:
        """Whether a node would be drained."""
        after = member.state.status.after if member.state else None
        return drains(self.course.policy.spec.drain, bool(after and after.needs_drain))

    def closed(self) -> tuple[datetime | None, str] | None:
        """None while a window is open that is long enough for some node that waits.

        Else when the next one opens (None: none is long enough), and that in words.
        """
        course = self.course
        if not course.policy.spec.rollout.windows or course.window_error:
            return None
        wanted = {self.drained(m) for m in self.able} or {False}
        times = {drained: course.opens(drained) for drained in sorted(wanted)}
        if course.now in times.values():
            return None
        coming = [at for at in times.values() if at is not None]
        need = course.needs(min(wanted))
        if not coming:
            text = (
                f"no maintenance window is long enough: a change may take {hours(need)}, by its "
                f"deadlines, and the longest window is {hours(course.windows.longest)}"
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
        if self.stuck and not self._goes_on:
            return HELD, f"nothing moves: {describe_nodes(self.stuck)}"
        if self.due and self._unproved_rest:
            now = "annotate it with cniupgrade.dev/retry to try at once"
            return WAITS_FOR_PROOF, f"nothing else begins: {self._told_unproved()}; {now}"
        if self._next is not None:
            first, places = self._next.node.name, self.course.places
            refused = places.refusal(first)
            lost = self._lost.keys() | self._held_for_a_person
            holders = places.held_by(first, lost) if refused is not None else ()
            if refused is None or not holders:
                return None
            left = [name for name in holders if name not in self._lost]
            told = describe_nodes([self._lost[name] for name in holders if name in self._lost])
            nobody = ", ".join(self._why_down(name) for name in left[:3])
            told += (
                f"{' and ' if told and nobody else ''}nobody works on {nobody}" if nobody else ""
            )
            return HELD, f"nothing moves: {refused[1]}, and {told}"
        if self.able:
            return self._turn_held()
        silent = [
            m
            for m in self.course.members
            if m.node.ready == "Unknown"
            and (m.state is None or m.state.status.phase in _UNDECIDED or m.stale)
            and not m.waits
        ]
        told = self._in_the_way([*self.due, *silent])
        return (HELD, f"nothing moves: {told}") if told else None

    @cached_property
    def stuck(self) -> list[Node]:
        """Nodes at work on which only others can do something now."""
        held = self._held(self.course.at_work)
        return [node for node in held.values() if not node.deleting]

    @property
    def working(self) -> int:
        """How many nodes of this policy are worked on where something of ours can go on."""
        return len(self.course.at_work) - len(self.stuck)

    @cached_property
    def _lost(self) -> dict[str, Node]:
        """Nodes at work, for whomever, on which only others can do something now."""
        return self._held(self.course.places.working)

    @cached_property
    def _held_for_a_person(self) -> set[str]:
        """Nodes at work, for whomever, that stay as they are until a person acts."""
        states = self._world.states
        return {
            name for name in self.course.places.working if stalled.needs_person(states.get(name))
        }

    def _held(self, names: Iterable[str]) -> dict[str, Node]:
        """Those of the nodes, in the order of their names."""
        world = self._world
        return {
            name: node
            for name in sorted(names)
            if (node := world.nodes.get(name)) is not None
            and stuck(node, world.states.get(name), node_lease.foreign(name, world) is not None)
        }

    @property
    def _goes_on(self) -> bool:
        """Whether another node is worked on, or may begin now."""
        course = self.course
        if self.working:
            return True
        if self._next is None or course.places.refusal(self._next.node.name) is not None:
            return False
        return not course.stopped and self.closed() is None

    def _turn_held(self) -> tuple[str, str] | None:
        """Who keeps the canary or the wave from its end, where nobody but others can do something.

        None too while a canary soaks, or cannot pass for a reason of its own.
        """
        canary = self.course.waves.canary
        if canary is not None and not canary.passed and (canary.trouble or canary.soaks):
            return None
        holders = self.course.waves.holders
        if not holders or not all(self._left_to_others(m) for m in holders):
            return None
        return HELD, f"nothing moves: {self._turn_waits()}: {self._in_the_way(holders)}"

    def _left_to_others(self, member: RolloutMember) -> bool:
        """Whether only what is not ours keeps a node that is waited for from going on."""
        node = member.node
        if changing(member.state):
            return False
        if node.ready == "Unknown" or member.lost or member.postponed:
            return True
        if member.open or not member.seen:
            return False
        if member.waits:
            return node.unschedulable or node.name in self._leased
        return node.ready != "True"

    def _in_the_way(self, members: Iterable[RolloutMember]) -> str:
        """What is not ours and keeps nodes from going on, by their names; empty where nothing."""
        every = list(members)
        foreign = [m for m in every if m.waits and m.node.unschedulable]
        silent = [m for m in every if m.node.ready == "Unknown"]
        lost = [m for m in every if m.node.ready != "Unknown" and m.lost]
        later = [m for m in every if m.node.ready != "Unknown" and m.postponed]
        others = [
            m
            for m in every
            if m.node.ready != "Unknown"
            and not (m.lost or m.postponed or (m.waits and m.node.unschedulable))
        ]
        leased = [m for m in others if m.waits]
        down = [m for m in others if not m.waits]
        told = (
            (foreign, "cordoned by somebody else"),
            (leased, "leased by somebody else"),
            (silent, SILENT),
            (down, "not Ready"),
            (lost, "not audited (AuditLost)"),
            (later, f"to be tried again ({_said(later)})"),
        )
        return " and ".join(
            f"{named([m.node.name for m in nodes])} {why}" for nodes, why in told if nodes
        )

    @property
    def _unproved_rest(self) -> bool:
        """Whether something is not proved, and cannot be tried again right now."""
        course = self.course
        return bool(course.unproved) and not any(course.proved_but(m.node.name) for m in self.able)

    def _told_unproved(self) -> str:
        first = self.course.unproved[0]
        status = first.state.status if first.state else None
        names = named([m.node.name for m in self.course.unproved])
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
            order=recorded.by,
            wave=recorded.name,
            number=0 if recorded.testing else min(recorded.current + 1, recorded.count),
            of=recorded.count,
            nodes=size,
            finished=finished,
            waits_for=self.waits_for(),
            held_since=held_since,
            asked=self.course.asked,
            retry=retry_annotation.of_all(self.course.policy),
            next_window=closed[0] if closed else None,
            canary=recorded.canary.status if recorded.canary else None,
            **self.course.failures.recorded(),
        )

    def waits_for(self) -> str:
        """What is waited for before more can begin; empty where there is nothing to begin, and no
        agent that is kept out."""
        return "; ".join(filter(None, (self._waits_for(), self._kept_out())))

    def _kept_out(self) -> str:
        """What a node at work says whose agent's Job is not taken: that may last for hours."""
        for name in sorted(self.course.places.mine):
            state = self._world.states.get(name)
            operation = state.status.operation if state is not None else None
            if state is None or operation is None or not operation.blockers:
                continue
            if operation.step in WRITING:
                return f"{name}: {state.status.message}"
        return ""

    def _waits_for(self) -> str:
        course, canary = self.course, self.course.waves.canary
        if canary is not None and canary.trouble:
            return canary.waits_for
        if (failures := course.failures).reached:
            told = named([failures.told(name) for name in failures.nodes])
            if failures.unseen:
                # A number, not so many words: the status that it is from may have been edited.
                told += f"{' and ' if told else ''}{failures.unseen} whose names are not kept"
            return (
                f"{failures.count} of at most {failures.most} nodes failed or were "
                f"rolled back: {told}; look there, then annotate one or "
                f"{course.name} with cniupgrade.dev/retry"
            )
        if course.window_error:
            return course.window_error
        if canary is not None and canary.soaks:
            return canary.waits_for
        if self._unproved_rest:
            return self._told_unproved() if self.due else ""
        if self._next is None and (held := self.held()) is not None:
            return held[1]
        if not self.able:
            return canary.waits_for if canary and not canary.passed else ""
        if closed := self.closed():
            return closed[1]
        if self._next is None:
            return canary.waits_for if canary and not canary.passed else self._turn_waits()
        refused = course.places.refusal(self._next.node.name)
        return refused[1] if refused else ""

    def _turn_waits(self) -> str:
        """How much of the canary or the wave is not there yet."""
        waves = self.course.waves
        size, finished = waves.size
        if waves.testing:
            return f"{finished} of {size} canaries are well"
        return f"{size - finished} of {size} nodes of {waves.name} are not finished"

    def _why_down(self, name: str) -> str:
        """A node that takes a place, and why it does."""
        if (node := self._world.nodes.get(name)) is not None and node.deleting:
            return f"{name} (being deleted)"
        if node is None:
            return name
        why = "cordoned" if node.unschedulable else "not Ready"
        if (state := self._world.states.get(name)) is None:
            return f"{name} ({why})"
        return f"{name} ({why}, {state.status.phase}: {state.status.reason})"


def _said(members: Sequence[RolloutMember]) -> str:
    """What the first of them says of itself."""
    state = members[0].state if members else None
    return f"{state.status.reason}: {state.status.message}" if state is not None else ""
