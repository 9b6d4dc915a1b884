"""Figures for Prometheus: what the fleet looks like, and what the controller costs."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cni_upgrade import __version__
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.controller import metric_table as table
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.fleet_metrics import FleetMetrics
from cni_upgrade.controller.label_values import LabelValues
from cni_upgrade.controller.metric_table import Described
from cni_upgrade.kube.client import Client
from cni_upgrade.planner.index.incremental import catch_up
from cni_upgrade.planner.world.phases import AT_WORK, FAILED
from cni_upgrade.planner.world.snapshot import Snapshot

# When a counter began is of no use to Prometheus, and a series more for each.
disable_created_metrics()  # type: ignore[no-untyped-call]

_MOST_REASONS = 100
"""More than any fleet has that is not under attack."""


class _Counted(Collector):
    """Counters that others keep, read at the moment of the scrape."""

    def __init__(self, client: Client, executor: Executor, recorder: EventRecorder) -> None:
        self._client = client
        self._executor = executor
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        executor = self._executor
        requests = (
            ((verb, resource, str(code)), count)
            for (verb, resource, code), count in self._client.requests.items()
        )
        yield _family(table.REQUESTS, requests)
        yield _family(table.DECISIONS, (((k,), n) for k, n in executor.carried_out.items()))
        yield _family(table.REFUSALS, (((k,), n) for k, n in executor.refused.items()))
        yield _family(table.SKEW, [((), self._client.skew)])
        yield _family(table.EVENTS_LOST, [((), self._recorder.lost)])


def _family(metric: Described, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    counts = metric.type is table.Type.COUNTER
    of = CounterMetricFamily if counts else GaugeMetricFamily
    family = of(metric.name, metric.about, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


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
        ProcessCollector(registry=self._registry)
        self._reasons = LabelValues(_MOST_REASONS)
        self._fleet = FleetMetrics(self._registry, self._reasons)
        self._gauge(table.BUILD_INFO).labels(__version__, platform.python_version()).set(1)
        self._leader = self._gauge(table.LEADER)
        self._denied = self._gauge(table.DENIED)
        self._loose = self._gauge(table.LOOSE)
        self._unreadable = self._gauge(table.UNREADABLE)
        self._failed = self._counter(table.FAILED_PASSES)
        self._failures = self._counter(table.FAILURES)
        self._planning = self._histogram(table.PLANNING)
        self._durations = self._histogram(table.PHASE_SECONDS)
        self._entered: dict[str, tuple[str, datetime | None]] = {}
        self._states: dict[str, CNINodeState] = {}
        """Those that have been looked at."""
        self._world: Snapshot | None = None
        """What the fleet looks like; None while another replica leads."""

    def _gauge(self, of: Described) -> Gauge:
        return Gauge(of.name, of.about, of.labels, registry=self._registry)

    def _counter(self, of: Described) -> Counter:
        return Counter(of.name, of.about, of.labels, registry=self._registry)

    def _histogram(self, of: Described) -> Histogram:
        return Histogram(of.name, of.about, of.labels, buckets=of.buckets, registry=self._registry)

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
        if self._world is None:
            self._fleet.clear()
        else:
            self._fleet.count(self._world)
        return generate_latest(self._registry)


def _failed(before: str, status: NodeStateStatus) -> bool:
    """Whether what a node did in the phase before has failed; the verdict of a look is none."""
    if status.phase == Phase.PENDING:
        return before == Phase.AUDITING and status.next_attempt_at is not None
    if status.phase == Phase.BLOCKED:
        return before in AT_WORK - {Phase.AUDITING}
    return status.phase in FAILED
