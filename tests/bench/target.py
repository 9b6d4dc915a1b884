"""The cluster that a run is made in, as far as a run differs by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import kwok
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
def own(qps: int | None) -> Iterator[Target]:
    """A control plane for this run alone, which goes with all that is in it.

    Its controller-manager and scheduler make `qps` requests a second; None is their own default.
    """
    with ControlPlane.temporary(controllers(qps)) as plane:
        limits = f"{qps}/s" if qps else "default"
        yield Target(plane.kubeconfig, limits, kwok.node, kwok.PREFIX, plane.audit_log)
