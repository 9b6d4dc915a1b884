"""The canary: which nodes go first, whether they are well, and since when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from cni_upgrade.agent.protocol.operation import Verdict
from cni_upgrade.api import duration
from cni_upgrade.api.canary import Canary as CanarySpec
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.rollout_status import CanaryStatus
from cni_upgrade.planner.index.rollout_member import RolloutMember
from cni_upgrade.planner.limits.max_unavailable import limit
from cni_upgrade.planner.node.stalled import named
from cni_upgrade.planner.world.governance import matches
from cni_upgrade.planner.world.phases import GOOD

_LOOKED_AT_AGAIN = frozenset({Phase.AUDITING, Phase.PENDING})
_CANNOT_BE_CHANGED = frozenset({Phase.BLOCKED, Phase.MANAGED_ELSEWHERE})
_NOTHING_TO_DO = frozenset({Verdict.COMPATIBLE.value, Verdict.NOT_CNI.value})


@dataclass(frozen=True, slots=True)
class Canary:
    """How far a canary is."""

    names: frozenset[str]
    """Nodes that are canaries, begun ones where they are chosen by number."""
    places: int
    """How many more may begin as canaries, of those that no selector names."""
    status: CanaryStatus
    waits_for: str
    """What it waits for; empty once it has passed, and where there is nothing to change."""
    trouble: str = ""
    """Why it cannot pass without a person, as one CamelCase word."""
    ill: tuple[RolloutMember, ...] = ()
    """Those that it waits for, where neither a soak nor a person is what it waits for."""

    @property
    def passed(self) -> bool:
        return self.status.passed_at is not None

    @property
    def soaks(self) -> bool:
        return self.status.soak_since is not None and not self.passed


def well(member: RolloutMember) -> bool:
    """Whether a canary is as it should be: nothing to do, for what is wanted today, and Ready.

    A look from time to time interrupts nothing, as long as it finds the same.
    """
    if member.state is None or not member.seen or member.unproved:
        return False
    if member.node.ready != "True" or _back(member):
        return False
    status = member.state.status
    routine = status.phase in _LOOKED_AT_AGAIN and status.verdict in _NOTHING_TO_DO
    return status.phase in GOOD or routine


def _back(member: RolloutMember) -> bool:
    """Whether it was not Ready since it was looked at, perhaps while the controller was away."""
    seen = member.state.status.observed if member.state else None
    known, since = seen.ready_since if seen else None, member.node.ready_since
    return known is not None and since is not None and known != since


def canary(
    spec: CanarySpec,
    plan: str,
    members: Collection[RolloutMember],
    waiting: Collection[str],
    failed: Collection[str],
    matched: int,
    before: CanaryStatus | None,
    now: datetime,
) -> Canary:
    """The canary of a rollout.

    `waiting` are the nodes that may yet be changed, `failed` the canaries that failed, those that
    are gone included; `before` is what was written down of this plan's canary: a soak that is under
    way, or that it has passed, which holds from then on.
    """
    if spec.node_selector is not None:
        chosen = [m for m in members if matches(spec.node_selector, m.node.labels)]
        places, complete = 0, True
    else:
        chosen = [m for m in members if m.state is not None and m.state.status.canary == plan]
        already = {m.node.name for m in chosen}
        places = max(0, limit(spec.nodes or 1, matched) - len(chosen))
        complete = places == 0 or not any(name not in already for name in waiting)
    fine = sum(well(m) for m in chosen)
    rests = complete and bool(chosen) and fine == len(chosen) and not failed
    soak_since = (before and before.soak_since) or now
    changes = [m.state.status.last_change for m in chosen if m.state]
    if soak_since > now or any(last and soak_since < last.at <= now for last in changes):
        # The clock was set back; or one was changed since, though nobody wrote down that it was.
        soak_since = now
    until = soak_since + timedelta(seconds=duration.seconds(spec.soak))
    passed_at = before.passed_at if before else None
    if passed_at is None and rests and now >= until:
        passed_at = now
    status = CanaryStatus(
        nodes=len(chosen),
        well=fine,
        soak_since=soak_since if rests or passed_at else None,
        passed_at=passed_at,
    )
    names = frozenset(m.node.name for m in chosen)
    if passed_at is not None:
        return Canary(names, 0, status, "")
    if failed:
        text = (
            f"canary {named(sorted(failed))} failed or was rolled back; no node begins before it "
            "was looked at and annotated with cniupgrade.dev/retry"
        )
        return Canary(names, 0, status, text, "CanaryFailed")
    if spec.node_selector is not None and not chosen:
        text = (
            "spec.rollout.canary.nodeSelector takes none of this policy's nodes, so no canary can "
            "pass; nothing begins"
        )
        return Canary(names, 0, status, text, "CanaryEmpty")
    if rests:
        return Canary(names, 0, status, f"soak of the canary until {until:%Y-%m-%dT%H:%M:%SZ}")
    if complete and not chosen:
        return Canary(names, places, status, "")
    stuck = sorted(
        f"{m.node.name} ({m.state.status.phase}: {m.state.status.reason})"
        for m in chosen
        if m.seen and m.state and m.state.status.phase in _CANNOT_BE_CHANGED and not m.postponed
    )
    if stuck:
        text = f"canary {named(stuck)} cannot be changed, so the canary cannot pass"
        return Canary(names, places, status, text, "CanaryBlocked")
    ill = tuple(sorted((m for m in chosen if not well(m)), key=lambda m: m.node.name))
    text = f"{fine} of {len(chosen) + places} canaries are well"
    if ill:
        text += f"; waits for {named([f'{m.node.name} ({_state(m)})' for m in ill])}"
    return Canary(names, places, status, text, ill=ill)


def _state(member: RolloutMember) -> str:
    if member.node.ready != "True":
        return "not Ready"
    if member.seen and _back(member):
        return "not looked at since it is Ready again"
    if member.state is None:
        return "Pending"
    status = member.state.status
    return f"{status.phase}: {status.message}" if member.postponed else str(status.phase)
