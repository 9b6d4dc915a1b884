"""Figures of the fleet, counted from a snapshot for one scrape."""

from __future__ import annotations

import collections
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge

from cni_upgrade.api.condition import STALLED
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.controller import metric_table as table
from cni_upgrade.controller.label_values import OTHER, LabelValues, most
from cni_upgrade.controller.metric_table import Described
from cni_upgrade.planner.node.restore_request import PAUSED
from cni_upgrade.planner.status.unreadable_policy import NOT_UNDERSTOOD
from cni_upgrade.planner.world.governance import paused, seniority
from cni_upgrade.planner.world.kubernetes_objects import Job
from cni_upgrade.planner.world.phases import FAILED
from cni_upgrade.planner.world.snapshot import Snapshot

_MOST_POLICIES, _MOST_REASONS, _MOST_VERSIONS, _MOST_RUNTIMES = 200, 100, 50, 50
"""More than any fleet has that is not under attack."""
_MOST_SERIES = 500
"""Of one metric whose labels are combined freely by whoever writes records."""

_TROUBLE = FAILED | {Phase.BLOCKED, Phase.MANAGED_ELSEWHERE}


class FleetMetrics:
    """Gauges that the leader alone has, so that a sum over replicas is right.

    They are taken from the records, so that they are right after a restart too.
    """

    def __init__(self, registry: CollectorRegistry, reasons: LabelValues) -> None:
        self._gauges = {
            each.name: Gauge(each.name, each.about, each.labels, registry=registry)
            for each in table.TABLE
            if each.teller is table.Teller.LEADER and each.labels
        }
        self._reasons = reasons
        self._policies = LabelValues(_MOST_POLICIES)
        self._found = LabelValues(_MOST_VERSIONS)
        self._runtimes = LabelValues(_MOST_RUNTIMES)

    def clear(self) -> None:
        """Tell nothing: this replica does not lead."""
        for gauge in self._gauges.values():
            gauge.clear()

    def count(self, world: Snapshot) -> None:
        """Tell what this snapshot says, and nothing of before."""
        self.clear()
        policies = sorted(world.policies.values(), key=seniority)
        self._policies.keep({*world.policies, *world.unread})
        for policy in policies:
            # The oldest first: whoever adds many policies does not take a name from these.
            self._policies.named(policy.metadata.name)
        self._count_nodes(world)
        self._count_jobs(world)
        for policy in policies:
            name = self._policies.named(policy.metadata.name)
            self._count_halts(name, policy)
            if name != OTHER:
                self._count_rollout(name, policy)
        for name in world.unread:
            self._set(table.STALLED, 1, self._policies.named(name), NOT_UNDERSTOOD)
        agents = world.config.namespaces.agents
        self._set(table.STOPPED, bool(world.stopped), agents)
        if world.stopped and world.stopped_since is not None:
            self._set(table.STOPPED_SINCE, world.stopped_since.timestamp(), agents)

    def _set(self, metric: Described, value: float, *labels: str) -> None:
        self._gauges[metric.name].labels(*labels).set(value)

    def _count_nodes(self, world: Snapshot) -> None:
        states = world.states.values()
        acting = {state.metadata.name: self._policies.named(acts_on(state)) for state in states}
        phases = collections.Counter((acting[s.metadata.name], str(s.status.phase)) for s in states)
        shown = {self._policies.named(name) for name in world.policies} or {""}
        for name in shown | {policy for policy, _ in phases}:
            for phase in Phase:
                self._set(table.NODES, phases[name, phase.value], name, phase.value)
        self._found.keep(s.status.found or "none" for s in states)
        versions = collections.Counter(
            (acting[s.metadata.name], self._found.named(s.status.found or "none")) for s in states
        )
        for labels, count in most(versions, _MOST_SERIES):
            self._set(table.VERSIONS, count, *labels)
        trouble = collections.Counter(
            (acting[s.metadata.name], str(s.status.phase), self._reasons.named(s.status.reason))
            for s in states
            if s.status.phase in _TROUBLE
        )
        for labels, count in most(trouble, _MOST_SERIES):
            self._set(table.TROUBLE, count, *labels)

    def _count_jobs(self, world: Snapshot) -> None:
        jobs = collections.Counter(
            (name.partition("-")[0], _state(job)) for name, job in world.jobs.items()
        )
        for labels, count in jobs.items():
            self._set(table.JOBS, count, *labels)

    def _count_halts(self, name: str, policy: CNIUpgradePolicy) -> None:
        # Of several that are told as one, what is true of any is told.
        if paused(policy) or name != OTHER:
            self._set(table.PAUSED, paused(policy), name)
        since = [c.last_transition_time for c in policy.status.conditions if c.type == PAUSED]
        if paused(policy) and since:
            self._set(table.PAUSED_SINCE, since[0].timestamp(), name)
        for condition in policy.status.conditions:
            if condition.type == STALLED and condition.status == "True":
                self._set(table.STALLED, 1, name, self._reasons.named(condition.reason))

    def _count_rollout(self, name: str, policy: CNIUpgradePolicy) -> None:
        if (rollout := policy.status.rollout) is not None:
            self._set(table.WAVE, rollout.number, name)
            self._set(table.WAVES, rollout.of, name)
            self._set(table.WAVE_NODES, rollout.nodes, name)
            self._set(table.WAVE_FINISHED, rollout.finished, name)
            self._set(table.FAILURES_COUNTED, rollout.failures, name)
            self._set(table.FAILURES_BORNE, rollout.max_failures, name)
        for verdict, runtime, count in _readiness(policy):
            self._set(table.READINESS, count, name, self._runtimes.named(runtime), verdict)


def acts_on(state: CNINodeState) -> str:
    """The policy that acts on a node: the one with the claim, else the oldest that audits."""
    if state.spec.policy_ref is not None:
        return state.spec.policy_ref.name
    return next(iter(state.status.policies), "")


def _readiness(policy: CNIUpgradePolicy) -> Iterator[tuple[str, str, int]]:
    for each in policy.status.readiness:
        yield "ready", each.runtime, each.ready
        yield "not_ready", each.runtime, each.not_ready
        yield "unknown", each.runtime, each.unknown


def _state(job: Job) -> str:
    return "failed" if job.failed else "complete" if job.complete else "active"
