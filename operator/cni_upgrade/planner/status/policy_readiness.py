"""Where a policy stands, in one word and one sentence: the gravest thing first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.limits.emergency_stop import STOPPED, stopped
from cni_upgrade.planner.limits.maintenance_windows import CLOSED
from cni_upgrade.planner.node import unanswered_audits
from cni_upgrade.planner.node.stalled import HELD, PATIENCE, describe_nodes, named
from cni_upgrade.planner.rollout.failure_budget import NODE_FAILED
from cni_upgrade.planner.rollout.progress import Progress
from cni_upgrade.planner.status.policy_facts import PolicyFacts
from cni_upgrade.planner.world.governance import paused
from cni_upgrade.planner.world.phases import AT_WORK, GOOD, HELD_FOR_A_PERSON, OUTDATED
from cni_upgrade.planner.world.snapshot import Snapshot, Unjudged

NO_NODE_MATCHES = "NoNodeMatches"
RECORDS_NOT_UNDERSTOOD = "RecordsNotUnderstood"
NODES_SILENT = "NodesSilent"
"""The condition of an audit that waits for nothing but nodes that are silent, or that others have
in the midst of a change: its time is since when."""
ENDING = "Ending"
"""Where a policy only audits, or selects a node no more: what it has begun there before is brought
to its end."""

_MOST_OF_A_PROBLEM = 200  # characters: the message has more to say than what one field holds


@dataclass(frozen=True, slots=True)
class PolicyReadiness:
    """Where a policy is: at most one of the last two is set."""

    ready: bool
    reason: str
    message: str
    reconciling: bool = False
    stalled: bool = False


def held_since(
    policy: CNIUpgradePolicy, waiting: Progress, around: PolicyFacts, now: datetime
) -> datetime | None:
    """Since when nothing moves because of nodes that nobody works on; None where it is not so.

    A node that the policy selects no more is one of them, where its change has not ended.
    """
    if waiting.working or waiting.looked_at:
        return None
    canary = waiting.course.waves.canary
    goes_on = around.ending or waiting.due or (canary is not None and canary.soaks)
    if waiting.held() is None and (goes_on or not around.stuck):
        return None
    known = policy.status.rollout
    # What is to come is of a clock that was set back: it counts from now on.
    return min((known.held_since if known else None) or now, now)


def silent_since(
    policy: CNIUpgradePolicy, around: PolicyFacts, phases: Counter[str], now: datetime
) -> datetime | None:
    """Since when an audit waits for nothing but nodes on which nothing of ours can go on; None
    where it is not so."""
    looking = around.looking(phases)
    if around.ending or len(around.silent) < looking or not (looking or around.stuck):
        return None
    known = (c.last_transition_time for c in policy.status.conditions if c.type == NODES_SILENT)
    return next(known, now)


def verdict(
    policy: CNIUpgradePolicy,
    matched: Collection[str],
    phases: Counter[str],
    around: PolicyFacts,
    waiting: Progress | None,
    since: datetime | None,
    world: Snapshot,
) -> PolicyReadiness:
    """Where the policy is; `since` is when it began that nothing moves, if so."""
    if world.config.preset(policy.spec.paths) is None:
        allowed = ", ".join(("auto", *sorted(world.config.presets)))
        text = f"spec.paths {policy.spec.paths!r} is not allowed here; expected one of {allowed}"
        return PolicyReadiness(False, "PathsNotAllowed", text, stalled=True)
    deleted = f"being deleted: {named(around.deleted)}" if around.deleted else ""
    if len(around.deleted) == len(matched):
        text = "spec.nodeSelector matches no node"
        text += f" but such as are {deleted}" if deleted else ""
        return _begun(around, since, world.now, text) or PolicyReadiness(
            False, NO_NODE_MATCHES, text
        )
    text = f"{len(matched)} nodes: {_counted(phases)}" if len(matched) != 1 else _counted(phases)
    if around.lost:
        text += f"; {unanswered_audits.describe_audits(around.lost, world.states)}"
    text += "".join(f"; {each}" for each in (around.barrier, deleted) if each)
    beside = f"{describe_nodes(around.stuck)}; {text}" if around.stuck else text
    if world.stopped:
        at_work = sum(phases[str(phase)] for phase in AT_WORK)
        # What is begun comes to its end, here or where the policy selects no node any more.
        busy = at_work > sum(node.name in matched for node in around.stuck) or bool(around.ending)
        return PolicyReadiness(False, STOPPED, f"{stopped(world)}; {beside}", reconciling=busy)
    if waiting is None:
        return _audited(phases, around, since, world.now, text, beside)
    if around.elsewhere:
        count, node = len(around.elsewhere), around.elsewhere[0]
        text += f"; {count} claimed by others, first {node} by policy {around.claimant}"
    return _enforced(policy, waiting, phases, around, since, world.now, text)


def _audited(
    phases: Counter[str],
    around: PolicyFacts,
    since: datetime | None,
    now: datetime,
    text: str,
    beside: str,
) -> PolicyReadiness:
    """The verdict on a policy that only audits; `text` has the counts, `beside` what is stuck too.

    A node that failed is no work that is left to an audit, but it is named.
    """
    if around.failed:
        failed = f"{named(around.failed)} failed or was rolled back"
        text, beside = f"{failed}; {text}", f"{failed}; {beside}"
    if around.looking(phases) and since is None:
        return PolicyReadiness(False, "Auditing", beside, reconciling=True)
    if around.ending:
        return _ending(around, beside)
    if any(phases[reason] for reason in HELD_FOR_A_PERSON) or around.barred:
        return PolicyReadiness(False, "NodesBlocked", beside, stalled=True)
    if around.lost:
        return PolicyReadiness(False, unanswered_audits.AUDITS_FAIL, beside, stalled=True)
    if since is not None:
        held = f"nothing moves: {around.in_the_way}; {text}"
        return PolicyReadiness(False, HELD, held, stalled=now - since >= PATIENCE)
    return PolicyReadiness(True, "Audited", _outdated(phases) + text)


def _outdated(phases: Counter[str]) -> str:
    """What is left to do after an audit, and what a person does about it."""
    count, of = sum(phases[str(phase)] for phase in OUTDATED), sum(phases.values())
    if not count:
        return ""
    need = "nodes need" if of != 1 else "node needs"
    return f"{count} of {of} {need} a change; set spec.mode: Enforce to apply; "


def _ending(around: PolicyFacts, text: str) -> PolicyReadiness:
    told = f"brings to its end what was begun on {named(around.ending)}; {text}"
    return PolicyReadiness(False, ENDING, told, reconciling=True)


def _begun(
    around: PolicyFacts, since: datetime | None, now: datetime, text: str
) -> PolicyReadiness | None:
    """The verdict where nothing is left but changes that were begun before on some nodes, whether
    the policy selects them today or not; None where all have ended."""
    stuck = describe_nodes(around.stuck)
    if around.ending:
        return _ending(around, f"{stuck}; {text}" if stuck else text)
    if not stuck:
        return None
    late = since is not None and now - since >= PATIENCE
    return PolicyReadiness(False, HELD, f"nothing moves: {stuck}; {text}", stalled=late)


def not_all(verdict: PolicyReadiness, apart: Mapping[str, Unjudged]) -> PolicyReadiness:
    """The verdict on the other nodes, where the records of some are not understood.

    What those nodes are is not known, so the policy is not there; what else keeps it goes first.
    """
    one, shown = len(apart) == 1, ", ".join(list(apart)[:3])
    told = (
        f"{'1 node' if one else f'{len(apart)} nodes'} left alone, whose "
        f"{'record is' if one else 'records are'} not understood, as a newer operator writes "
        f"{'it' if one else 'them'}: {shown}{'' if len(apart) <= 3 else ', ...'}"
    )
    if problem := next((each.problem for each in apart.values() if each.problem), ""):
        told += f" ({problem[:_MOST_OF_A_PROBLEM]})"
    if verdict.ready:
        told = f"{told}; of the others: {verdict.message}"
    elif verdict.reason != NO_NODE_MATCHES:
        return replace(verdict, message=f"{verdict.message}; {told}")
    return PolicyReadiness(False, RECORDS_NOT_UNDERSTOOD, told, stalled=True)


def _enforced(
    policy: CNIUpgradePolicy,
    waiting: Progress,
    phases: Counter[str],
    around: PolicyFacts,
    since: datetime | None,
    now: datetime,
    text: str,
) -> PolicyReadiness:
    """The verdict on a policy that enforces; `text` has the counts."""
    working, looking = waiting.working, around.looking(phases)
    course, canary = waiting.course, waiting.course.waves.canary
    waits = waiting.waits_for()
    told = f"{waits}; {text}" if waits else text
    beside = f"{describe_nodes(around.stuck)}; " if around.stuck else ""
    if why := _stopped(waiting, working):
        return PolicyReadiness(False, why, f"stopped: {beside}{told}", stalled=True)
    if paused(policy):
        busy = bool(working or around.ending)
        return PolicyReadiness(False, "Paused", f"paused; {beside}{text}", reconciling=busy)
    well = sum(phases[str(p)] for p in GOOD) == sum(phases.values())
    soaks = canary is not None and canary.soaks
    if not (working or looking or waiting.due or waiting.stuck or (soaks and not around.ending)):
        # Who claims a node, and that all are good, is no word on a change that has not ended.
        begun = _begun(around, since, now, text)
        if begun is not None and (begun.reconciling or around.elsewhere or well):
            return begun
    if working or looking or phases[str(Phase.WAITING)] or waiting.stuck:
        if around.elsewhere and not (working or looking or waiting.due or waiting.stuck):
            return PolicyReadiness(False, "ClaimedByOther", text, stalled=True)
        if not working and not waiting.looked_at:
            if since is not None and (held := waiting.held()) is not None:
                late = now - since >= PATIENCE
                return PolicyReadiness(False, held[0], f"{held[1]}; {text}", stalled=late)
            if (closed := waiting.closed()) is not None and waiting.able:
                if closed[0] is None:
                    return PolicyReadiness(False, "WindowTooShort", told, stalled=True)
                return PolicyReadiness(False, CLOSED, told)
        wave = f"wave {course.waves.name}: " if course.waves.count > 1 or canary else ""
        return PolicyReadiness(False, "RollingOut", f"{wave}{told}", reconciling=True)
    if around.elsewhere:
        return PolicyReadiness(False, "ClaimedByOther", text, stalled=True)
    if well:
        if soaks:
            return PolicyReadiness(False, "RollingOut", f"{beside}{told}", reconciling=True)
        return PolicyReadiness(True, "Enforced", text)
    if failed := [m.node.name for m in course.members if m.failed]:
        names = ", ".join(failed[:3])
        failed_text = f"{names} failed or was rolled back; {beside}{text}"
        return PolicyReadiness(False, NODE_FAILED, failed_text, stalled=True)
    if around.lost:
        return PolicyReadiness(
            False, unanswered_audits.AUDITS_FAIL, f"{beside}{text}", stalled=True
        )
    return PolicyReadiness(False, "NodesBlocked", f"{beside}{text}", stalled=True)


def _stopped(waiting: Progress, working: int) -> str:
    """Why no node will begin without a person."""
    course = waiting.course
    canary, failures = course.waves.canary, course.failures
    # A record that cannot be acted on stops others; where none is due it is a node that is blocked.
    alone = not waiting.due and failures.count == len(failures.stuck)
    if course.stopped and not (course.stopped == NODE_FAILED and alone):
        return course.stopped
    if course.window_error:
        return "WindowsInvalid"
    if canary is not None and canary.trouble and not working:
        return canary.trouble
    return ""


def _counted(phases: Counter[str]) -> str:
    return ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()) if count)
