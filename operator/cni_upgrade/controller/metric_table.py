"""Every metric of the controller: its name, type, labels, and what it says.

`metrics.py` makes them from this table, and `metrics_page.py` writes the reference page from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Type(StrEnum):
    """The types of Prometheus that are used here."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Teller(StrEnum):
    """Which replicas have a value for a metric."""

    LEADER = "leader"
    EACH = "each"


@dataclass(frozen=True, slots=True)
class Described:
    """One metric. A counter's name ends in `_total`."""

    name: str
    type: Type
    teller: Teller
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _fleet(name: str, about: str, *labels: str) -> Described:
    return Described(f"cni_upgrade_{name}", Type.GAUGE, Teller.LEADER, about, labels)


def _gauge(name: str, about: str, *labels: str) -> Described:
    return Described(f"cni_upgrade_{name}", Type.GAUGE, Teller.EACH, about, labels)


def _counter(name: str, about: str, *labels: str) -> Described:
    return Described(f"cni_upgrade_{name}", Type.COUNTER, Teller.EACH, about, labels)


NODES: Final = _fleet(
    "nodes",
    "Nodes by the policy that acts on them and their phase; `policy` is empty where none does.",
    "policy",
    "phase",
)
VERSIONS: Final = _fleet(
    "node_versions", "Nodes by the CNI version of their active config.", "policy", "version"
)
TROUBLE: Final = _fleet(
    "nodes_in_trouble",
    "Nodes that failed, were rolled back, are blocked or are managed by another program.",
    "policy",
    "phase",
    "reason",
)
JOBS: Final = _fleet("jobs", "Jobs of agents that exist, by kind and state.", "kind", "state")
READINESS: Final = _fleet(
    "readiness_nodes",
    "Matched nodes by whether they could move to a runtime of `spec.readinessFor` as they are: "
    "`ready`, `not_ready` or `unknown`.",
    "policy",
    "runtime",
    "verdict",
)
WAVE: Final = _fleet(
    "rollout_wave", "Number of the present wave of a rollout, from 1; the canary is 0.", "policy"
)
WAVES: Final = _fleet(
    "rollout_waves", "How many waves a rollout has, without the canary.", "policy"
)
WAVE_NODES: Final = _fleet("rollout_wave_nodes", "Nodes of the present wave.", "policy")
WAVE_FINISHED: Final = _fleet(
    "rollout_wave_finished_nodes",
    "Nodes of the present wave that it does not wait for any more.",
    "policy",
)
FAILURES_COUNTED: Final = _fleet(
    "rollout_failed_nodes", "Failed nodes that count against `maxFailures`.", "policy"
)
FAILURES_BORNE: Final = _fleet(
    "rollout_max_failures", "At so many failed nodes the rollout stops.", "policy"
)
PAUSED: Final = _fleet("policy_paused", "1 while the policy is paused.", "policy")
PAUSED_SINCE: Final = _fleet(
    "policy_paused_since_timestamp_seconds",
    "When the policy was paused; absent while it is not.",
    "policy",
)
STALLED: Final = _fleet(
    "policy_stalled",
    "1 while the policy needs a person (its condition `Stalled`); absent while it does not.",
    "policy",
    "reason",
)
STOPPED: Final = _fleet(
    "stopped", "1 while the emergency stop is on, by the agents' namespace.", "namespace"
)
STOPPED_SINCE: Final = _fleet(
    "stopped_since_timestamp_seconds",
    "When the emergency stop was set, by the API server's clock; absent while it is off.",
    "namespace",
)
BUILD_INFO: Final = _gauge(
    "build_info", "1, with the versions of the operator and of Python.", "version", "python"
)
LEADER: Final = _gauge("leader", "1 while this replica leads.")
DENIED: Final = _gauge("missing_rights", "Rights that the API server refuses the controller.")
LOOSE: Final = _gauge(
    "missing_admission_policies",
    "Admission policies of the operator that do not exist or do not deny, asked every five "
    "minutes; the log names them. Policies that the replica may not read are not counted.",
)
UNREADABLE: Final = Described(
    "cni_upgrade_unreadable_objects",
    Type.GAUGE,
    Teller.LEADER,
    "Policies and node states that this release cannot read, as those of a newer one; their nodes "
    "are left alone.",
)
REQUESTS: Final = _counter(
    "api_requests_total", "Requests to the API server; code 0 is no answer.", "verb", "resource",
    "code",
)  # fmt: skip
DECISIONS: Final = _counter("decisions_total", "Decisions carried out.", "kind")
REFUSALS: Final = _counter(
    "refusals_total", "Writes that the API server refused; an eviction at each try.", "reason"
)
SKEW: Final = _gauge(
    "clock_skew_seconds", "How far the API server's clock is ahead of this node's."
)
EVENTS_LOST: Final = _counter("events_lost_total", "Events that were given up.")
FAILED_PASSES: Final = _counter(
    "failed_passes_total",
    "Passes that ended in an error of the controller's own; its log has it, and `/readyz` is 503 "
    "until a pass succeeds.",
)
FAILURES: Final = _counter(
    "failures_total",
    "Audits and changes that failed, by the phase that the node came to. Failed and RolledBack "
    "count against `maxFailures`; after Pending and Blocked the operator tries again.",
    "phase",
    "reason",
)
PLANNING: Final = Described(
    "cni_upgrade_planning_seconds",
    Type.HISTOGRAM,
    Teller.EACH,
    "Time of one pass of the planner.",
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
)
PHASE_SECONDS: Final = Described(
    "cni_upgrade_phase_seconds",
    Type.HISTOGRAM,
    Teller.EACH,
    "How long nodes were in a phase of work; counted where this replica saw them enter it.",
    ("phase",),
    (1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600),
)

TABLE: Final[tuple[Described, ...]] = (
    NODES,
    VERSIONS,
    TROUBLE,
    READINESS,
    WAVE,
    WAVES,
    WAVE_NODES,
    WAVE_FINISHED,
    FAILURES_COUNTED,
    FAILURES_BORNE,
    JOBS,
    PAUSED,
    PAUSED_SINCE,
    STALLED,
    STOPPED,
    STOPPED_SINCE,
    UNREADABLE,
    LEADER,
    BUILD_INFO,
    DENIED,
    LOOSE,
    FAILURES,
    PHASE_SECONDS,
    DECISIONS,
    REFUSALS,
    REQUESTS,
    EVENTS_LOST,
    FAILED_PASSES,
    SKEW,
    PLANNING,
)
"""All of them, in the order of the reference page."""
