"""One run of the fleet's benchmark, and what it has shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import kwok

PACE = kwok.Pace()


@dataclass(frozen=True)
class Case:
    """One run."""

    nodes: int
    flow: str
    """`audit` or `enforce`."""
    qps: int | None
    """Requests a second of controller-manager and scheduler, None for their own default."""
    parallel: int
    """auditParallel, maxParallel and maxUnavailable alike."""
    steady: float = 30
    """Seconds for which nothing is to happen afterwards."""
    jobs: int = 300
    """Bare Jobs that are run first, to see how many a second the control plane makes."""
    heartbeat: float = 300
    """Seconds between two writes of a Node's status, as a kubelet's `nodeStatusReportFrequency`."""
    pace: kwok.Pace = PACE
    apart: bool = False
    """Whether the control plane has half of the cores to itself, and all else the others."""


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
    """The larger of nodes x pod time / parallel, and what Jobs and pods take by themselves: the
    mean of what was measured just before and just after."""
    job_rates: tuple[float, float]
    """Bare Jobs a second, just before and just after."""
    audit_rates: tuple[float, float]
    """Bare audits a second: a Job and the two writes of a record that it is for."""
    pod_rates: tuple[float, float]
    """Bare proof pods a second; 0 where the flow has none."""
    first: float | None
    """From the start of the process to its first write; None where only numbers are known."""
    idle: float | None
    """The share of the control plane's cores that had nothing to do while it worked; None where
    they are another machine's."""
    counted: str
    """By what requests are counted."""
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

    def _beside_audits(self) -> str:
        """The wall beside the time that the bare audits of all nodes take."""
        if self.flow != "audit":
            return ""
        one, other = self.audit_rates
        return f"{2 * self.wall / (self.nodes / one + self.nodes / other):.2f}"

    def cells(self) -> dict[str, str]:
        """For people: what each column of the table says."""
        return {
            "nodes": f"{self.nodes}",
            "flow": self.flow,
            "limits": self.limits,
            "parallel": f"{self.parallel}",
            "load before": f"{self.load:.1f}",
            "wall s": f"{self.wall:.1f}",
            "ideal s": f"{self.ideal:.1f}",
            "wall/ ideal": f"{self.wall / self.ideal:.2f}",
            "bare Jobs/s": "{:.1f}, {:.1f}".format(*self.job_rates),
            "bare audits/s": "{:.1f}, {:.1f}".format(*self.audit_rates),
            "wall/ audits": self._beside_audits(),
            "bare pods/s": "{:.1f}, {:.1f}".format(*self.pod_rates),
            "cores idle": "?" if self.idle is None else f"{self.idle:.0%}",
            "first write s": "?" if self.first is None else f"{self.first:.1f}",
            "requests by": self.counted,
            "requests a node": f"{self.a_node:.2f}",
            "reads": f"{self.reads}",
            "events": f"{self.events}",
            "peak MB": f"{self.peak:.0f}",
            "rest MB": f"{self.resting:.0f}",
            "CPU s": f"{self.cpu:.1f}",
            "writes at rest": f"{self.steady_writes}",
            "CPU/s at rest": f"{self.steady_cpu:.3f}",
            "planner p50 s": f"{self.pass_p50:.3f}",
            "planner p99 s": f"{self.pass_p99:.3f}",
            "alone p50 s": f"{self.plan_p50:.3f}",
            "alone p99 s": f"{self.plan_p99:.3f}",
        }


def table(runs: Sequence[Figures]) -> str:
    """One line a run; each column's head is broken at its last blank, so that it stays narrow."""
    columns = [
        [*(("", *head.rsplit(" ", 1))[-2:]), *(run.cells()[head] for run in runs)]
        for head in runs[0].cells()
    ]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
