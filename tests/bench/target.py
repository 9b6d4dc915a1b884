"""The cluster that a run is made in, as far as a run differs by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import kwok
from tests.bench.cores import halves, within
from tests.cluster.control import Controllers, ControlPlane

RAISED = 1000
"""Requests a second that controller-manager and scheduler may make where their limits are raised:
more than two cores carry out."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """Where it is, and what is known of it."""

    kubeconfig: Path
    limits: str
    """Of controller-manager and scheduler, in a word for the table."""
    node: Callable[[int], Object]
    """The nodes that are added, by their number."""
    prefix: str
    """Of their names."""
    audit_log: Path | None = None
    """Where it is not at hand, the controller says itself what it has asked for."""
    cores: frozenset[int] | None = None
    """Those that its control plane has to itself; None where it shares all that there are."""
    lease_seconds: int = 0
    """How long a Lease of a node lasts; 0 where nobody looks at them."""

    @property
    def given(self) -> bool:
        """Whether it is somebody's, and is to be left as it was found."""
        return self.audit_log is None

    def name(self, number: int) -> str:
        """Of a node."""
        return f"{self.prefix}{number:05}"


def controllers(qps: int | None) -> Controllers:
    """With limits raised, ten times as many Jobs are worked on at a time as by default."""
    return Controllers(qps, job_syncs=50) if qps else Controllers()


@contextmanager
def own(qps: int | None, *, apart: bool = False) -> Iterator[Target]:
    """A control plane for this run alone, which goes with all that is in it.

    Its controller-manager and scheduler make `qps` requests a second; None is their own default.
    `apart` gives it half of the cores, and what is started meanwhile the others. Raises
    RuntimeError where there are not two.
    """
    limits = f"{qps}/s" if qps else "default"
    cores, others = halves() if apart else (None, None)
    with ExitStack() as ended:
        with within(cores):
            plane = ended.enter_context(ControlPlane.temporary(controllers(qps)))
        ended.enter_context(within(others))
        limits += " apart" if apart else ""
        log = plane.audit_log
        yield Target(plane.kubeconfig, limits, kwok.node, kwok.PREFIX, log, cores)
