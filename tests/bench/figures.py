"""One run of the fleet's benchmark, and what it has shown."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench import kwok

PACE = kwok.Pace()


@dataclass(frozen=True)
class Case:
    """One run."""

    nodes: int
    flow: str
    """`audit` or `enforce`."""
    raised: bool
    """The limits of controller-manager and scheduler are raised, see RAISED in fleet.py."""
    parallel: int
    """auditParallel, maxParallel and maxUnavailable alike."""
    steady: float = 30
    """Seconds for which nothing is to happen afterwards."""
    jobs: int = 300
    """Bare Jobs that are run first, to see how many a second the control plane makes."""
    heartbeat: float = 300
    """Seconds between two writes of a Node's status, as a kubelet's `nodeStatusReportFrequency`."""
    pace: kwok.Pace = PACE


@dataclass(frozen=True)
class Figures:
    """What one run has shown; seconds and MB (10^6 bytes)."""

    nodes: int
    flow: str
    limits: str
    parallel: int
    load: float
    """Load average over a minute, just before the controller was started."""
    wall: float
    ideal: float
    """The larger of nodes x pod time / parallel, and Jobs / the rate measured just before."""
    job_rate: float
    first: float
    """From the start of the process to its first write."""
    cpu: float
    peak: float
    resting: float
    """Memory after the steady time."""
    requests: dict[str, dict[str, int]]
    """By client, then `verb resource`; the controller's while it worked, the others' as well."""
    a_node: float
    """The controller's requests by node, without Events, rights and what it reads at its start."""
    reads: int
    events: int
    steady_seconds: float
    steady_writes: int
    steady_cpu: float
    passes: int
    pass_p50: float
    pass_p99: float
    """Of the planner in the controller, as upper bounds of its histogram."""
    plan_p50: float
    plan_p99: float
    """Of the planner alone over the fleet as it is at the end, here and now; the longest is that of
    a process that has just begun."""

    def row(self) -> str:
        """For people."""
        return (
            f"{self.nodes:6} {self.flow:8} {self.limits:8} {self.parallel:8} {self.load:5.1f} "
            f"{self.wall:7.1f} {self.ideal:7.1f} {self.wall / self.ideal:6.2f} "
            f"{self.job_rate:7.1f} {self.first:6.1f} {self.a_node:7.2f} {self.reads:6} "
            f"{self.events:7} {self.peak:6.0f} {self.resting:6.0f} {self.cpu:7.1f} "
            f"{self.steady_writes:6} {self.steady_cpu:7.3f} {self.pass_p50:8.3f} "
            f"{self.pass_p99:8.3f} {self.plan_p50:8.3f} {self.plan_p99:8.3f}"
        )

    HEAD = (
        "                                        load    wall   ideal  wall/    Jobs  first  "
        "writes                  peak   rest     CPU  writes   CPU/s planner in it     "
        "planner alone\n"
        " nodes flow     limits   parallel      before       s       s  ideal      /s      s "
        " a node  reads  events     MB     MB       s at rest at rest    p50 s    p99 s    p50 s"
        "    p99 s"
    )
