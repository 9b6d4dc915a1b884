"""Figures for Prometheus: what the fleet looks like, and what the controller costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from cni_upgrade.api.node_state import Phase
from cni_upgrade.controller.executor import Executor
from cni_upgrade.fleet.selection import paused
from cni_upgrade.fleet.snapshot import Snapshot
from cni_upgrade.kube.client import Client


class _Counted(Collector):
    """Counters that others keep, read at the moment of the scrape."""

    def __init__(self, client: Client, executor: Executor) -> None:
        self._client = client
        self._executor = executor

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


class Metrics:
    """One registry of our own, so that a test may have two."""

    def __init__(self, client: Client, executor: Executor) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Counted(client, executor))
        self._phases = Gauge(
            "cni_upgrade_nodes", "Nodes by phase.", ("phase",), registry=self._registry
        )
        self._versions = Gauge(
            "cni_upgrade_node_versions",
            "Nodes by the CNI version of their active config.",
            ("version",),
            registry=self._registry,
        )
        self._paused = Gauge(
            "cni_upgrade_policy_paused", "1 while paused.", ("policy",), registry=self._registry
        )
        self._denied = Gauge(
            "cni_upgrade_missing_rights",
            "Rights that the API server refuses the controller.",
            registry=self._registry,
        )
        self._unreadable = Gauge(
            "cni_upgrade_unreadable_objects",
            "Policies and node states that a newer controller wrote; their nodes are left alone.",
            registry=self._registry,
        )
        self._planning = Histogram(
            "cni_upgrade_planning_seconds",
            "Time of one pass of the planner.",
            registry=self._registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
        )

    def planning(self) -> AbstractContextManager[object]:
        """Times one pass."""
        return self._planning.time()

    def observe(self, world: Snapshot, unreadable: int) -> None:
        """Take the figures of a snapshot."""
        self._unreadable.set(unreadable)
        phases = Counter(str(state.status.phase) for state in world.states.values())
        for phase in Phase:
            self._phases.labels(phase.value).set(phases[phase.value])
        versions = Counter(s.status.found or "none" for s in world.states.values())
        self._versions.clear()
        for version, count in versions.items():
            self._versions.labels(version).set(count)
        self._paused.clear()
        for policy in world.policies.values():
            self._paused.labels(policy.metadata.name).set(paused(policy))
        self._denied.set(len(world.denied))

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)
