"""A policy's status: counts, conditions and the first failures, from the records of its nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cni_upgrade.api import names
from cni_upgrade.api.condition import READY, RECONCILING, STALLED, Condition, keep_times
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.api.policy_status import (
    NodeCounts,
    NodeFailure,
    PolicyStatus,
    PolicySummary,
    ReadinessCounts,
)
from cni_upgrade.api.rollout_status import RolloutStatus
from cni_upgrade.fleet import leaving, node_lease, sources
from cni_upgrade.fleet.containing import NONSENSE, unplannable
from cni_upgrade.fleet.course import Course, all_courses
from cni_upgrade.fleet.decisions import Decision, Emit, SetStatus
from cni_upgrade.fleet.departure import PAUSED, gives_back
from cni_upgrade.fleet.objects import Node
from cni_upgrade.fleet.patch import merge_patch
from cni_upgrade.fleet.phases import AT_WORK, FAILED, UNPLANNABLE
from cni_upgrade.fleet.roster import Roster, unjudged
from cni_upgrade.fleet.selection import paused, seniority
from cni_upgrade.fleet.snapshot import Snapshot, Unjudged
from cni_upgrade.fleet.standing import PATIENCE, Verdict, enforced, held_since
from cni_upgrade.fleet.stopping import STOPPED, stopped
from cni_upgrade.fleet.tally import Share
from cni_upgrade.fleet.turn import LEFTOVER, Turn
from cni_upgrade.fleet.unread import NOT_UNDERSTOOD
from cni_upgrade.fleet.waiting import HELD, SILENT, Waiting, named

NODES_MATCHED = "NodesMatched"
OVERLAPPING = "Overlapping"
NODES_SILENT = "NodesSilent"
"""There while an audit waits for nothing but nodes that are silent: its time is since when."""
NO_NODE_MATCHES = "NoNodeMatches"
LEFTOVERS = "LeftoversRefused"
"""There while something that is to go from the policy's nodes may not be deleted."""
RECORDS_NOT_UNDERSTOOD = "RecordsNotUnderstood"

COUNTED = timedelta(seconds=2)
"""How old the counts of a rollout may become: each node that ends changes them, and a status that
was written for each of them would be a third of all requests (docs/scale.md)."""
NEVER = datetime.min.replace(tzinfo=UTC)

_MOST_FAILURES = 10
_MOST_OF_A_PROBLEM = 200  # characters: the message has more to say than what one field holds


@dataclass(frozen=True, slots=True)
class _Held:
    """Who stands in whose way on the nodes of one policy."""

    elsewhere: tuple[tuple[str, str], ...]
    """(node, policy that has it and since when) where this policy would enforce too."""
    wanted_by: tuple[str, ...]
    """Other Enforce policies that select nodes which this one has."""
    unseen: int
    """Nodes that look good, but for what was wanted before: they are to be audited again."""
    again: int = 0
    """Good nodes that are looked at again, though nothing that we know of has changed."""
    silent: tuple[str, ...] = ()
    """Nodes that are to be looked at, and that nothing can be sent to."""
    leftovers: tuple[tuple[str, str], ...] = ()
    """(what is to go from one of the nodes, why it was not deleted)."""


def turns(
    world: Snapshot, roster: Roster | None = None, courses: Mapping[str, Course] | None = None
) -> Iterator[Turn]:
    """The writes that bring every policy's status up to date; none where nothing changed.

    `roster` and `courses`, by the policy's uid, are those that the pass began with.
    """
    roster = roster or Roster(world)
    reached: Mapping[str, Course] = {}
    failed: Mapping[str, Exception] = {}
    if not world.denied:
        going = leaving.all_leaving(world).values()
        reached, failed = all_courses(world, roster, (each.places for each in going))
    for policy in sorted(world.policies.values(), key=seniority):
        blind = bool(world.denied) and gives_back(policy)
        if policy.metadata.deletion_timestamp and not blind:
            continue  # leaving.py says what becomes of it, where that can be known
        uid = policy.metadata.uid
        try:
            if uid in failed:
                raise failed[uid]
            status = _status(policy, world, roster, (courses or {}).get(uid), reached.get(uid))
        except NONSENSE as error:
            status = unplannable(policy, world, error)
        patch = merge_patch(policy.status.to_api(), status.to_api())
        name = policy.metadata.name
        if not patch:
            continue
        fresh = world.told.get(name, NEVER) > world.now - COUNTED
        if fresh and not _weighty(policy.status, status):
            continue
        decisions: list[Decision] = [SetStatus(names.POLICY_KIND, name, patch)]
        before = _reason(policy.status.conditions)
        now = _reason(status.conditions)
        if now != before:
            stalled = any(c.type == STALLED for c in status.conditions)
            decisions.append(
                Emit(
                    names.POLICY_KIND,
                    name,
                    policy.metadata.uid,
                    "Warning" if stalled else "Normal",
                    now,
                    status.message,
                )
            )
        if (wave := _next_wave(policy.status.rollout, status.rollout)) is not None:
            decisions.append(Emit(names.POLICY_KIND, name, uid, "Normal", "Wave", wave))
        yield Turn(f"policy {name}", tuple(decisions))


def _weighty(before: PolicyStatus, now: PolicyStatus) -> bool:
    """Whether more than counts has changed, and the texts that tell them."""

    def told(status: PolicyStatus) -> tuple[PolicyStatus, list[tuple[str, str, str]]]:
        rollout = status.rollout
        if rollout is not None:
            rollout = rollout.model_copy(update={"finished": 0, "waits_for": ""})
        counts: dict[str, object] = {
            "nodes": None,
            "summary": None,
            "versions": {},
            "readiness": (),
            "message": "",
        }
        rest = status.model_copy(update={**counts, "rollout": rollout, "conditions": ()})
        return rest, [(each.type, each.status, each.reason) for each in status.conditions]

    return told(before) != told(now)


def _next_wave(before: RolloutStatus | None, now: RolloutStatus | None) -> str | None:
    """What an Event says of a wave that begins."""
    if now is None or (before is not None and before.wave == now.wave):
        return None
    if not now.wave or (now.of < 2 and now.canary is None):
        return None
    number = f" ({now.number} of {now.of})" if now.number else ""
    nodes = f": {now.nodes} node{'s' if now.nodes != 1 else ''}" if now.nodes else ""
    return f"wave {now.wave}{number} begins{nodes}"


def _reason(conditions: tuple[Condition, ...]) -> str:
    return next((c.reason for c in conditions if c.type == READY), "")


def _status(
    policy: CNIUpgradePolicy,
    world: Snapshot,
    roster: Roster,
    began: Course | None,
    course: Course | None,
) -> PolicyStatus:
    """`began` is the course that the pass began with, `course` where it is by now."""
    if world.denied:
        return _blind(policy, world)
    matched = roster.matched(policy)
    apart = unjudged(policy, world)
    count = len(matched) + len(apart)
    records = {name: world.states[name] for name in matched if name in world.states}
    shares = {name: roster.share(name, state) for name, state in records.items()}
    counts = Counter(shares.values())
    phases: Counter[str] = Counter({str(Phase.PENDING): len(matched) - len(records)})
    moving, versions, stuck = phases.copy(), Counter[str](), 0
    for share, number in counts.items():
        phases[share.phase] += number
        versions[share.found] += number
        if share.stuck:
            stuck += number
        else:
            moving[share.phase] += number
    moving[UNPLANNABLE] = stuck
    held = _held(policy, matched, shares, world, roster)
    # A routine look is no work: until it has found something, the last answer holds.
    resting = moving + Counter({str(Phase.COMPATIBLE): held.again})
    resting[str(Phase.AUDITING)] -= held.again
    waiting = Waiting(course, world) if course is not None else None
    since = (
        held_since(policy, waiting, resting, world.now)
        if waiting is not None
        else _silent_since(policy, _looking(resting, held), held, world.now)
    )
    verdict = _verdict(policy, matched, resting, held, waiting, since, world)
    if apart:
        verdict = _not_all(verdict, apart)
        phases[NOT_UNDERSTOOD] = len(apart)

    def total(*wanted: Phase) -> int:
        return sum(moving[str(phase)] for phase in wanted)

    summary = PolicySummary(
        matched=count,
        compatible=total(Phase.COMPATIBLE),
        done=total(Phase.DONE),
        working=total(*AT_WORK),
        waiting=total(Phase.WAITING, Phase.PENDING),
        blocked=total(Phase.BLOCKED, Phase.MANAGED_ELSEWHERE) + stuck + len(apart),
        failed=total(*FAILED),
        freed=sum(share.freed * number for share, number in counts.items()),
    )
    return PolicyStatus(
        observed_generation=policy.metadata.generation,
        conditions=_conditions(policy, count, held, verdict, world),
        message=verdict.message,
        nodes=NodeCounts(matched=count, by_phase={p: n for p, n in sorted(phases.items()) if n}),
        summary=summary,
        versions={version: number for version, number in sorted(versions.items()) if version},
        readiness=tuple(
            _readiness(runtime, counts, count)
            for runtime in dict.fromkeys(policy.spec.readiness_for)
        ),
        failures=_failures(records, shares) if any(s.needs_a_person for s in counts) else (),
        rollout=waiting.status(since, (began or waiting.course).waves)
        if waiting is not None
        else None,
        sources=sources.shown(policy, tuple(records.values()), world),
    )


def _blind(policy: CNIUpgradePolicy, world: Snapshot) -> PolicyStatus:
    """What can be said while nodes may not be listed: the reason, and the counts of before."""
    text = f"the API server refuses the operator: {', '.join(world.denied)}; see manifests/rbac"
    verdict = Verdict(False, "PermissionDenied", text, stalled=True)
    return policy.status.model_copy(
        update={
            "observed_generation": policy.metadata.generation,
            "conditions": _conditions(policy, None, _Held((), (), 0), verdict, world),
            "message": text,
        }
    )


def _readiness(runtime: str, counts: Counter[Share], matched: int) -> ReadinessCounts:
    """A node that answers to another policy may not have been asked: it is unknown."""
    told: Counter[bool | None] = Counter()
    for share, number in counts.items():
        told[next((ready for asked, ready in share.readiness if asked == runtime), None)] += number
    ready, not_ready = told[True], told[False]
    return ReadinessCounts(
        runtime=runtime, ready=ready, not_ready=not_ready, unknown=matched - ready - not_ready
    )


def _held(
    policy: CNIUpgradePolicy,
    matched: Mapping[str, Node],
    shares: Mapping[str, Share],
    world: Snapshot,
    roster: Roster,
) -> _Held:
    elsewhere: list[tuple[str, str]] = []
    rivals: set[str] = set()
    silent: list[str] = []
    unseen = again = 0
    for name, node in matched.items():
        governance, share = roster.governance[name], shares.get(name)
        acting = governance.policy
        if acting is None:
            continue
        due = share is None or (share.phase == Phase.PENDING and not share.stuck)
        if share is not None and share.looked_at:
            known = roster.answered(node, world.states[name], acting)
            if share.phase == Phase.AUDITING:
                again += known and share.routine
            elif acting is policy:
                unseen += not known
                due = not known
        if due and node.ready == "Unknown":
            silent.append(name)
        if acting.spec.mode != Mode.ENFORCE:
            continue
        if acting.metadata.uid == policy.metadata.uid:
            rivals.update(governance.rivals)
        elif policy.metadata.name in governance.rivals:
            elsewhere.append((name, _claimant(acting, world.states.get(name))))
    left = tuple(_leftovers(matched, world))
    return _Held(tuple(elsewhere), tuple(sorted(rivals)), unseen, again, tuple(silent), left)


def _leftovers(matched: Mapping[str, Node], world: Snapshot) -> Iterator[tuple[str, str]]:
    for subject, error in sorted(world.errors.items()):
        if not subject.startswith(LEFTOVER):
            continue
        name = subject.removeprefix(LEFTOVER)
        left = world.proofs.get(name) or world.jobs.get(name)
        if left is not None:
            ours = left.for_node in matched
        else:
            ours = name in world.leases and any(node_lease.name(node) == name for node in matched)
        if ours:
            yield name, error


def _looking(phases: Counter[str], held: _Held) -> int:
    """How many nodes are being looked at, or are to be."""
    return phases[str(Phase.PENDING)] + phases[str(Phase.AUDITING)] + held.unseen


def _silent_since(
    policy: CNIUpgradePolicy, looking: int, held: _Held, now: datetime
) -> datetime | None:
    """Since when an audit waits for nothing but nodes that are silent; None where it is not so."""
    if not looking or len(held.silent) < looking:
        return None
    known = (c.last_transition_time for c in policy.status.conditions if c.type == NODES_SILENT)
    return next(known, now)


def _claimant(policy: CNIUpgradePolicy, state: CNINodeState | None) -> str:
    """The name of a policy that has a node, and since when it is claimed, as far as it is known."""
    claim = state.spec.policy_ref if state else None
    if claim is None or claim.uid != policy.metadata.uid or claim.since is None:
        return policy.metadata.name
    return f"{policy.metadata.name} (since {claim.since:%Y-%m-%dT%H:%M:%SZ})"


def _failures(
    records: Mapping[str, CNINodeState], shares: Mapping[str, Share]
) -> tuple[NodeFailure, ...]:
    grave = sorted((s.gravity, name) for name, s in shares.items() if s.needs_a_person)
    return tuple(
        NodeFailure(
            node=name,
            phase=str(state.status.phase),
            reason=state.status.reason,
            message=state.status.message,
            since=next(
                (c.last_transition_time for c in state.status.conditions if c.type == STALLED), None
            ),
        )
        for name, state in ((name, records[name]) for _, name in grave[:_MOST_FAILURES])
    )


def _counted(phases: Counter[str]) -> str:
    return ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()) if count)


def _verdict(
    policy: CNIUpgradePolicy,
    matched: Collection[str],
    phases: Counter[str],
    held: _Held,
    waiting: Waiting | None,
    since: datetime | None,
    world: Snapshot,
) -> Verdict:
    """Where the policy is, the gravest thing first."""
    if world.config.preset(policy.spec.paths) is None:
        allowed = ", ".join(("auto", *sorted(world.config.presets)))
        text = f"spec.paths {policy.spec.paths!r} is not allowed here; expected one of {allowed}"
        return Verdict(False, "PathsNotAllowed", text, stalled=True)
    if not matched:
        return Verdict(False, NO_NODE_MATCHES, "spec.nodeSelector matches no node")
    busy = any(phases[str(phase)] for phase in AT_WORK)
    looking = _looking(phases, held)
    text = f"{len(matched)} nodes: {_counted(phases)}" if len(matched) != 1 else _counted(phases)
    if world.stopped:
        # What is under way comes to its end.
        return Verdict(False, STOPPED, f"{stopped(world)}; {text}", reconciling=busy)
    if waiting is None:
        if looking and since is None:
            return Verdict(False, "Auditing", text, reconciling=True)
        if phases[UNPLANNABLE]:
            return Verdict(False, "NodesBlocked", text, stalled=True)
        if since is not None:
            late = world.now - since >= PATIENCE
            told = f"nothing moves: {named(held.silent)} {SILENT}; {text}"
            return Verdict(False, HELD, told, stalled=late)
        return Verdict(True, "Audited", text)
    if held.elsewhere:
        node, other = held.elsewhere[0]
        text += f"; {len(held.elsewhere)} claimed by others, first {node} by policy {other}"
    return enforced(policy, waiting, phases, len(held.elsewhere), looking, since, world.now, text)


def _not_all(verdict: Verdict, apart: Mapping[str, Unjudged]) -> Verdict:
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
    return Verdict(False, RECORDS_NOT_UNDERSTOOD, told, stalled=True)


def _conditions(
    policy: CNIUpgradePolicy, matched: int | None, held: _Held, verdict: Verdict, world: Snapshot
) -> tuple[Condition, ...]:
    """`matched` None: it is not known how many nodes there are."""

    def condition(kind: str, holds: bool | None, reason: str, message: str) -> Condition:
        return Condition.model_validate(
            {
                "type": kind,
                "status": "Unknown" if holds is None else "True" if holds else "False",
                "observedGeneration": policy.metadata.generation,
                "lastTransitionTime": world.now,
                "reason": reason,
                "message": message,
            }
        )

    found = [
        condition(READY, verdict.ready, verdict.reason, verdict.message),
        condition(NODES_MATCHED, None, verdict.reason, "not known: the nodes may not be looked at")
        if matched is None
        else condition(
            NODES_MATCHED,
            matched > 0,
            "NodesMatch" if matched else NO_NODE_MATCHES,
            f"spec.nodeSelector matches {matched} node{'s' if matched != 1 else ''}",
        ),
    ]
    if verdict.reconciling:
        found.append(condition(RECONCILING, True, verdict.reason, verdict.message))
    if verdict.stalled:
        found.append(condition(STALLED, True, verdict.reason, verdict.message))
    if world.stopped:
        found.append(condition(STOPPED, True, STOPPED, stopped(world)))
    if paused(policy):
        text = "no node begins; nodes that were written to are finished, the others given back"
        found.append(condition(PAUSED, True, PAUSED, text))
    if verdict.reason == HELD and policy.spec.mode == Mode.AUDIT:
        text = f"only silent nodes are left to be looked at: {named(held.silent)}"
        found.append(condition(NODES_SILENT, True, "NodeSilent", text))
    if held.leftovers:
        (name, why), count = held.leftovers[0], len(held.leftovers)
        text = f"{count} of what is left over could not be deleted, first {name}: {why}"
        found.append(condition(LEFTOVERS, True, "DeletionRefused", text))
    if held.elsewhere:
        node, other = held.elsewhere[0]
        count = len(held.elsewhere)
        text = f"{count} of the nodes belong to other policies, first {node} to {other}"
        found.append(condition(OVERLAPPING, True, "ClaimedByOther", text))
    elif held.wanted_by:
        text = f"also selected by {', '.join(held.wanted_by)}, which stand back"
        found.append(condition(OVERLAPPING, True, "HasTheClaim", text))
    return keep_times(policy.status.conditions, tuple(found))
