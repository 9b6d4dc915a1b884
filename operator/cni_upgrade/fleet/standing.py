"""Where an Enforce policy stands, in one word and one sentence: the gravest thing first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.course import Course
from cni_upgrade.fleet.phases import AT_WORK, GOOD
from cni_upgrade.fleet.selection import paused
from cni_upgrade.fleet.waiting import Waiting

PATIENCE = timedelta(minutes=10)
"""How long nothing may move because of others before a person is called: a node reboots, or is
maintained by another program, and that is nothing to call anybody for."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a policy is: at most one of the last two is set."""

    ready: bool
    reason: str
    message: str
    reconciling: bool = False
    stalled: bool = False


def held_since(
    policy: CNIUpgradePolicy, waiting: Waiting, phases: Counter[str], now: datetime
) -> datetime | None:
    """Since when nothing moves because of nodes that nobody works on; None where it is not so."""
    if _working(phases) or waiting.looked_at or waiting.held() is None:
        return None
    known = policy.status.rollout
    # What is to come is of a clock that was set back: it counts from now on.
    return min((known.held_since if known else None) or now, now)


def _working(phases: Counter[str]) -> int:
    return sum(phases[str(phase)] for phase in AT_WORK if phase is not Phase.AUDITING)


def enforced(
    policy: CNIUpgradePolicy,
    waiting: Waiting,
    phases: Counter[str],
    elsewhere: int,
    looking: int,
    since: datetime | None,
    now: datetime,
    text: str,
) -> Verdict:
    """The verdict on a policy that enforces.

    `elsewhere` are nodes that belong to other policies, `looking` those that are to be looked at,
    `since` is when it began that nothing moves, if so; `text` has the counts.
    """
    working = _working(phases)
    course, canary = waiting.course, waiting.course.waves.canary
    waits = waiting.waits_for()
    told = f"{waits}; {text}" if waits else text
    if stopped := _stopped(course, working):
        return Verdict(False, stopped, f"stopped: {told}", stalled=True)
    if paused(policy):
        return Verdict(False, "Paused", f"paused; {text}", reconciling=bool(working))
    if working or looking or phases[str(Phase.WAITING)]:
        if not working and not looking and elsewhere and not waiting.due:
            return Verdict(False, "ClaimedByOther", text, stalled=True)
        if not working and not waiting.looked_at:
            if since is not None and (held := waiting.held()) is not None:
                late = now - since >= PATIENCE
                return Verdict(False, held[0], f"{held[1]}; {text}", stalled=late)
            if (closed := waiting.closed()) is not None and waiting.able:
                if closed[0] is None:
                    return Verdict(False, "WindowTooShort", told, stalled=True)
                return Verdict(False, "OutsideWindow", told)
        wave = f"wave {course.waves.name}: " if course.waves.count > 1 or canary else ""
        return Verdict(False, "RollingOut", f"{wave}{told}", reconciling=True)
    if elsewhere:
        return Verdict(False, "ClaimedByOther", text, stalled=True)
    if sum(phases[str(p)] for p in GOOD) == sum(phases.values()):
        if canary is not None and canary.status.soak_since and not canary.passed:
            return Verdict(False, "RollingOut", told, reconciling=True)
        return Verdict(True, "Enforced", text)
    if failed := [m.node.name for m in course.members if m.failed]:
        names = ", ".join(failed[:3])
        return Verdict(
            False, "NodeFailed", f"{names} failed or was rolled back; {text}", stalled=True
        )
    return Verdict(False, "NodesBlocked", text, stalled=True)


def _stopped(course: Course, working: int) -> str:
    """Why no node will begin without a person."""
    canary = course.waves.canary
    if course.stopped:
        return course.stopped
    if course.window_error:
        return "WindowsInvalid"
    if canary is not None and canary.trouble and not working:
        return canary.trouble
    return ""
