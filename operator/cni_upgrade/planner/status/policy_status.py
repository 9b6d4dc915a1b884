"""A policy's status: counts, conditions and the first failures, from the records of its nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from cni_upgrade.api import names
from cni_upgrade.api.condition import READY, STALLED, Condition
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.policy_status import (
    NodeCounts,
    NodeFailure,
    PolicyStatus,
    PolicySummary,
    ReadinessCounts,
)
from cni_upgrade.api.rollout_status import RolloutStatus
from cni_upgrade.planner.index.counts import Counts, Share
from cni_upgrade.planner.index.node_index import NodeIndex, unjudged
from cni_upgrade.planner.node import unanswered_audits, upgrade_target
from cni_upgrade.planner.node.restore_request import gives_back
from cni_upgrade.planner.restore import policy_restore
from cni_upgrade.planner.rollout.may_start import RolloutPass, all_rollouts
from cni_upgrade.planner.rollout.progress import Progress
from cni_upgrade.planner.rollout.suspended import kept
from cni_upgrade.planner.status import config_sources, policy_facts
from cni_upgrade.planner.status.policy_conditions import conditions
from cni_upgrade.planner.status.policy_facts import PolicyFacts
from cni_upgrade.planner.status.policy_readiness import (
    PolicyReadiness,
    held_since,
    not_all,
    silent_since,
    verdict,
)
from cni_upgrade.planner.status.unreadable_policy import NOT_UNDERSTOOD
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.decisions import Decision, Emit, SetStatus
from cni_upgrade.planner.world.errors import NONSENSE, unplannable
from cni_upgrade.planner.world.governance import seniority
from cni_upgrade.planner.world.merge_patch import merge_patch
from cni_upgrade.planner.world.phases import AT_WORK, FAILED, GOOD, OUTDATED
from cni_upgrade.planner.world.snapshot import Snapshot

COUNTED = timedelta(seconds=2)
"""How old the counts of a rollout may become: each node that ends changes them, and a status that
was written for each of them would be a third of all requests (docs/dev/scale.md)."""
NEVER = datetime.min.replace(tzinfo=UTC)

_MOST_FAILURES = 10


def turns(
    world: Snapshot,
    roster: NodeIndex | None = None,
    courses: Mapping[str, RolloutPass] | None = None,
    reached: tuple[Mapping[str, RolloutPass], Mapping[str, Exception]] | None = None,
) -> Iterator[Batch]:
    """The writes that bring every policy's status up to date; none where nothing changed.

    `roster` and `courses`, by the policy's uid, are those that the pass began with; `reached` are
    where they are by now, and the policies that have none, as far as that is known.
    """
    roster = roster or NodeIndex(world)
    there, failed = reached or ({}, {})
    if reached is None and not world.denied:
        going = policy_restore.all_leaving(world).values()
        there, failed = all_rollouts(world, roster, (each.places for each in going))
    for policy in sorted(world.policies.values(), key=seniority):
        blind = bool(world.denied) and gives_back(policy)
        if policy.metadata.deletion_timestamp and not blind:
            continue  # policy_restore.py says what becomes of it, where that can be known
        uid = policy.metadata.uid
        try:
            if uid in failed:
                raise failed[uid]
            status = _status(policy, world, roster, (courses or {}).get(uid), there.get(uid))
        except NONSENSE as error:
            status = unplannable(policy, world, error)
        name = policy.metadata.name
        if status == policy.status:
            continue
        patch = merge_patch(policy.status.to_api(), status.to_api())
        if not patch:
            continue
        fresh = world.told.get(name, NEVER) > world.now - COUNTED
        if fresh and not _weighty(policy.status, status):
            continue
        decisions: list[Decision] = [SetStatus(names.POLICY_KIND, name, patch)]
        now, stalled = _reason(status.conditions), _stalled(status.conditions)
        # What was to pass by itself, and has not for ten minutes, is by then a person's to end.
        late = stalled and not _stalled(policy.status.conditions)
        if late or now != _reason(policy.status.conditions):
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
            decisions.append(Emit(names.POLICY_KIND, name, uid, "Normal", "WaveStarted", wave))
        yield Batch(f"policy {name}", tuple(decisions))


def _weighty(before: PolicyStatus, now: PolicyStatus) -> bool:
    """Whether more than counts has changed, the texts that tell them, and audits that are lost."""

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
            # They change with each step of each next look, which brings no answer either.
            "failures": tuple(f for f in status.failures if not unanswered_audits.behind(f)),
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


def _stalled(conditions: tuple[Condition, ...]) -> bool:
    return any(c.type == STALLED for c in conditions)


def _status(
    policy: CNIUpgradePolicy,
    world: Snapshot,
    roster: NodeIndex,
    began: RolloutPass | None,
    course: RolloutPass | None,
) -> PolicyStatus:
    """`began` is the course that the pass began with, `course` where it is by now."""
    if world.denied:
        return _blind(policy, world)
    matched, tally = roster.matched(policy), roster.tally(policy)
    counts = tally.counts
    apart = unjudged(policy, world)
    count = len(matched) + len(apart)
    phases, moving, versions, stuck = Counter[str](), Counter[str](), Counter[str](), 0
    deleted = Counter[str]()
    for share, number in counts.items():
        phases[share.phase] += number
        versions[share.found] += number
        if share.stuck:
            stuck += number
            moving[share.stuck] += number
        else:
            moving[share.phase] += number
        if share.deleted:
            deleted[share.phase] += number
    around = policy_facts.found(policy, matched, tally, world, roster)
    # A routine look is no work: until it has found something, the last answer holds.
    resting = moving - deleted + Counter({str(Phase.COMPATIBLE): around.again})
    resting[str(Phase.AUDITING)] -= around.again
    waiting = Progress(course, world) if course is not None else None
    since = (
        held_since(policy, waiting, around, world.now)
        if waiting is not None
        else silent_since(policy, around, resting, world.now)
    )
    stands = verdict(policy, matched, resting, around, waiting, since, world)
    if apart:
        stands = not_all(stands, apart)
        phases[NOT_UNDERSTOOD] = len(apart)

    freed = sum(share.freed * number for share, number in counts.items())
    return PolicyStatus(
        observed_generation=policy.metadata.generation,
        conditions=conditions(policy, count, around, stands, world),
        message=stands.message,
        nodes=NodeCounts(matched=count, by_phase={p: n for p, n in sorted(phases.items()) if n}),
        summary=_summary(count, moving, stuck + len(apart), freed),
        versions={version: number for version, number in sorted(versions.items()) if version},
        readiness=tuple(
            _readiness(runtime, counts, count)
            for runtime in upgrade_target.readiness_asked(policy.spec)
        ),
        failures=_failures(tally, world) if any(s.needs_a_person for s in counts) else (),
        rollout=waiting.status(since, (began or waiting.course).waves)
        if waiting is not None
        else kept(policy, any(phases[str(phase)] for phase in FAILED), world, roster),
        sources=config_sources.shown(policy, matched, world),
    )


def _summary(count: int, moving: Counter[str], stuck: int, freed: int) -> PolicySummary:
    """`count` nodes are matched; `moving` has the phases of those whose records can be acted on,
    and `stuck` of them cannot."""

    def total(phases: Iterable[Phase]) -> int:
        return sum(moving[str(phase)] for phase in phases)

    return PolicySummary(
        matched=count,
        up_to_date=total(GOOD),
        outdated=total(OUTDATED),
        compatible=total({Phase.COMPATIBLE}),
        done=total({Phase.DONE}),
        working=total(AT_WORK),
        waiting=total({Phase.WAITING, Phase.PENDING}),
        blocked=total({Phase.BLOCKED, Phase.MANAGED_ELSEWHERE}) + stuck,
        failed=total(FAILED),
        freed=freed,
    )


def _blind(policy: CNIUpgradePolicy, world: Snapshot) -> PolicyStatus:
    """What can be said while nodes may not be listed: the reason, and the counts of before."""
    text = f"the API server refuses the operator: {', '.join(world.denied)}; see manifests/rbac"
    stands = PolicyReadiness(False, "PermissionDenied", text, stalled=True)
    return policy.status.model_copy(
        update={
            "observed_generation": policy.metadata.generation,
            "conditions": conditions(policy, None, PolicyFacts(), stands, world),
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


def _failures(tally: Counts, world: Snapshot) -> tuple[NodeFailure, ...]:
    grave = sorted((s.gravity, name) for name, s in tally.entries.items() if s.needs_a_person)
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
        for name, state in ((name, world.states[name]) for _, name in grave[:_MOST_FAILURES])
    )
