"""Figures for Prometheus: what the fleet looks like, and what the controller costs."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cni_upgrade.api.condition import STALLED
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.label_values import OTHER, LabelValues
from cni_upgrade.kube.client import Client
from cni_upgrade.planner.index.incremental import catch_up
from cni_upgrade.planner.node.restore_request import PAUSED
from cni_upgrade.planner.status.unreadable_policy import NOT_UNDERSTOOD
from cni_upgrade.planner.world.governance import paused, seniority
from cni_upgrade.planner.world.kubernetes_objects import Job
from cni_upgrade.planner.world.phases import AT_WORK, FAILED
from cni_upgrade.planner.world.snapshot import Snapshot

# When a counter began is of no use to Prometheus, and a series more for each.
disable_created_metrics()  # type: ignore[no-untyped-call]


class _Counted(Collector):
    """Counters that others keep, read at the moment of the scrape."""

    def __init__(self, client: Client, executor: Executor, recorder: EventRecorder) -> None:
        self._client = client
        self._executor = executor
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "cni_upgrade_api_requests",
            "Requests to the API server; code 0 is no answer.",
            labels=("verb", "resource", "code"),
        )
        for (verb, resource, code), count in self._client.requests.items():
            requests.add_metric((verb, resource, str(code)), count)
        yield requests
        decisions = CounterMetricFamily(
            "cni_upgrade_decisions", "Decisions carried out.", labels=("kind",)
        )
        for kind, count in self._executor.carried_out.items():
            decisions.add_metric((kind,), count)
        yield decisions
        refused = CounterMetricFamily(
            "cni_upgrade_refusals", "Writes that the API server refused.", labels=("reason",)
        )
        for reason, count in self._executor.refused.items():
            refused.add_metric((reason,), count)
        yield refused
        skew = GaugeMetricFamily(
            "cni_upgrade_clock_skew_seconds",
            "How far the API server's clock is ahead of this node's.",
        )
        skew.add_metric((), self._client.skew)
        yield skew
        lost = CounterMetricFamily("cni_upgrade_events_lost", "Events that were given up.")
        lost.add_metric((), self._recorder.lost)
        yield lost


_MOST_POLICIES, _MOST_REASONS, _MOST_VERSIONS = 200, 100, 50
"""More than any fleet has that is not under attack."""

_TROUBLE = FAILED | {Phase.BLOCKED, Phase.MANAGED_ELSEWHERE}


class Metrics:
    """One registry of our own, so that a test may have two.

    What the fleet looks like is told by the replica that leads alone, so that a sum over replicas
    is right; it is taken from the records, so that it is right after a restart too.
    """

    def __init__(
        self, client: Client, executor: Executor, recorder: EventRecorder, leads: Callable[[], bool]
    ) -> None:
        """`leads`: whether this replica is the one that plans and writes, at a scrape."""
        self._leads = leads
        self._registry = CollectorRegistry()
        self._registry.register(_Counted(client, executor, recorder))
        self._fleet: list[Gauge] = []
        self._phases = self._of_fleet("cni_upgrade_nodes", "Nodes by phase.", "phase")
        self._versions = self._of_fleet(
            "cni_upgrade_node_versions",
            "Nodes by the CNI version of their active config.",
            "version",
        )
        self._trouble = self._of_fleet(
            "cni_upgrade_nodes_in_trouble",
            "Nodes that failed, were rolled back or are blocked, by reason.",
            "phase",
            "reason",
        )
        self._jobs = self._of_fleet(
            "cni_upgrade_jobs", "Jobs of agents that are there, by kind and state.", "kind", "state"
        )
        self._paused = self._of_fleet("cni_upgrade_policy_paused", "1 while paused.", "policy")
        self._paused_since = self._of_fleet(
            "cni_upgrade_policy_paused_since_timestamp_seconds",
            "When a policy was paused; absent while it is not.",
            "policy",
        )
        self._stalled = self._of_fleet(
            "cni_upgrade_policy_stalled",
            "1 while a policy needs a person; absent while it does not.",
            "policy",
            "reason",
        )
        self._stopped = self._of_fleet(
            "cni_upgrade_stopped", "1 while everything is stopped by annotation.", "namespace"
        )
        self._stopped_since = self._of_fleet(
            "cni_upgrade_stopped_since_timestamp_seconds",
            "When everything was stopped; absent while it is not.",
            "namespace",
        )
        self._leader = Gauge(
            "cni_upgrade_leader", "1 while this replica leads.", registry=self._registry
        )
        self._denied = Gauge(
            "cni_upgrade_missing_rights",
            "Rights that the API server refuses the controller.",
            registry=self._registry,
        )
        self._loose = Gauge(
            "cni_upgrade_missing_admission_policies",
            "Admission policies of ours that are not there, or do not deny, as far as we may look.",
            registry=self._registry,
        )
        self._unreadable = Gauge(
            "cni_upgrade_unreadable_objects",
            "Policies and node states that make no sense to this release, as those of a newer one "
            "do not; their nodes are left alone.",
            registry=self._registry,
        )
        self._failed = Counter(
            "cni_upgrade_failed_passes",
            "Passes that ended in an error of the controller's own; its log has it.",
            registry=self._registry,
        )
        self._planning = Histogram(
            "cni_upgrade_planning_seconds",
            "Time of one pass of the planner.",
            registry=self._registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
        )
        self._durations = Histogram(
            "cni_upgrade_phase_seconds",
            "How long nodes were in a phase of work; not counted where this replica did not see "
            "them enter it.",
            ("phase",),
            registry=self._registry,
            buckets=(1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600),
        )
        self._failures = Counter(
            "cni_upgrade_failures",
            "Looks and changes that failed, by the phase that the node came to; not counted where "
            "this replica did not see it come there.",
            ("phase", "reason"),
            registry=self._registry,
        )
        self._policies = LabelValues(_MOST_POLICIES)
        self._reasons = LabelValues(_MOST_REASONS)
        self._found = LabelValues(_MOST_VERSIONS)
        self._entered: dict[str, tuple[str, datetime | None]] = {}
        self._states: dict[str, CNINodeState] = {}
        """Those that have been looked at."""
        self._world: Snapshot | None = None
        """What the fleet looks like; None while another replica leads."""

    def _of_fleet(self, name: str, text: str, *labels: str) -> Gauge:
        made = Gauge(name, text, labels, registry=self._registry)
        self._fleet.append(made)
        return made

    def planning(self) -> AbstractContextManager[object]:
        """Times one pass."""
        return self._planning.time()

    def failed(self) -> None:
        """A pass ended in an error of our own."""
        self._failed.inc()

    def loose(self, count: int) -> None:
        """So many admission policies do not hold, as each replica sees for itself."""
        self._loose.set(count)

    def follow(self, denied: int) -> None:
        """This replica does not lead: it says nothing of the fleet."""
        self._denied.set(denied)
        self._forget()

    def _forget(self) -> None:
        self._unreadable.set(0)
        self._entered.clear()
        self._states.clear()
        self._world = None

    def observe(self, world: Snapshot, unreadable: int) -> None:
        """Take the figures of a snapshot; what is only a count of it is counted for a scrape."""
        self._unreadable.set(unreadable)
        self._denied.set(len(world.denied))
        self._observe_moves(world)
        self._world = world

    def _count(self, world: Snapshot) -> None:
        phases = collections.Counter(str(state.status.phase) for state in world.states.values())
        for phase in Phase:
            self._phases.labels(phase.value).set(phases[phase.value])
        self._found.keep(s.status.found or "none" for s in world.states.values())
        versions = collections.Counter(
            self._found.named(s.status.found or "none") for s in world.states.values()
        )
        for version, count in versions.items():
            self._versions.labels(version).set(count)
        trouble = collections.Counter(
            (str(s.status.phase), self._reasons.named(s.status.reason))
            for s in world.states.values()
            if s.status.phase in _TROUBLE
        )
        for labels, count in trouble.items():
            self._trouble.labels(*labels).set(count)
        jobs = collections.Counter(
            (name.partition("-")[0], _state(job)) for name, job in world.jobs.items()
        )
        for labels, count in jobs.items():
            self._jobs.labels(*labels).set(count)
        self._observe_halts(world)

    def _observe_halts(self, world: Snapshot) -> None:
        agents = world.config.namespaces.agents
        self._stopped.labels(agents).set(bool(world.stopped))
        if world.stopped and world.stopped_since is not None:
            self._stopped_since.labels(agents).set(world.stopped_since.timestamp())
        self._policies.keep({*world.policies, *world.unread})
        for policy in sorted(world.policies.values(), key=seniority):
            name = self._policies.named(policy.metadata.name)
            # Of several that are told as one, what is true of any is told.
            if paused(policy) or name != OTHER:
                self._paused.labels(name).set(paused(policy))
            since = [c.last_transition_time for c in policy.status.conditions if c.type == PAUSED]
            if paused(policy) and since:
                self._paused_since.labels(name).set(since[0].timestamp())
            for condition in policy.status.conditions:
                if condition.type == STALLED and condition.status == "True":
                    reason = self._reasons.named(condition.reason)
                    self._stalled.labels(name, reason).set(1)
        for name in world.unread:
            self._stalled.labels(self._policies.named(name), NOT_UNDERSTOOD).set(1)

    def _observe_moves(self, world: Snapshot) -> None:
        for name in catch_up(self._states, world.states):
            if (state := world.states.get(name)) is None:
                self._entered.pop(name, None)
                continue
            phase = str(state.status.phase)
            known = self._entered.get(name)
            if known is not None and known[0] == phase:
                continue
            if known is not None and known[1] is not None and known[0] in AT_WORK:
                seconds = (world.now - known[1]).total_seconds()
                self._durations.labels(known[0]).observe(max(0.0, seconds))
            if known is not None and _failed(known[0], state.status):
                self._failures.labels(phase, self._reasons.named(state.status.reason)).inc()
            self._entered[name] = (phase, None if known is None else world.now)

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        if not self._leads():
            # The lease may be lost while no pass comes to its end, for the API server is away.
            self._forget()
        self._leader.set(self._world is not None)
        for gauge in self._fleet:
            gauge.clear()
        if self._world is not None:
            self._count(self._world)
        return generate_latest(self._registry)


def _failed(before: str, status: NodeStateStatus) -> bool:
    """Whether what a node did in the phase before has failed; the verdict of a look is none."""
    if status.phase == Phase.PENDING:
        return before == Phase.AUDITING and status.next_attempt_at is not None
    if status.phase == Phase.BLOCKED:
        return before in AT_WORK - {Phase.AUDITING}
    return status.phase in FAILED


def _state(job: Job) -> str:
    return "failed" if job.failed else "complete" if job.complete else "active"
