"""Who leads: the rules of a Lease as client-go's leaderelection has them, on a clock passed in.

Source: k8s.io/client-go v0.37 tools/leaderelection/leaderelection.go. The times that stand in the
Lease are for people: no two machines' clocks have to agree. What counts is how long *we* have seen
the same record, on our own monotonic clock. One rule is stricter than there: a write carries how
long it may take, so that none of ours is under way when another one may take the lease.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cni_upgrade.kube.rights import LEASE

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. The defaults are those of most controllers."""

    duration: float = 15.0
    """A lease that was not renewed for so long may be taken."""
    renew: float = 10.0
    """A leader that could not renew for so long begins no write any more."""
    retry: float = 2.0
    """Between two tries to renew or to take it."""

    @classmethod
    def of(cls, duration: float) -> Timing:
        """The other times in the usual proportion to the lease's duration."""
        return cls(duration, duration * 2 / 3, duration * 2 / 15)


class Election:
    """What one replica knows of the lease. Every `now` is in seconds of its monotonic clock."""

    def __init__(self, identity: str, timing: Timing) -> None:
        self.identity = identity
        self.timing = timing
        self._lease: Raw | None = None
        self._record: Raw = {}
        self._seen_at = 0.0
        self._renewed: float | None = None
        self.terms = 0
        """How often the lease was won. Between two terms another replica may have led."""

    @property
    def holder(self) -> str:
        """Who has the lease, as last seen; empty for nobody."""
        return str(self._record.get("holderIdentity") or "")

    def saw(self, lease: Raw | None, now: float) -> None:
        """The lease as it was just read; None where there is none.

        One that was deleted is held for as long as if it had just been renewed: who had it learns
        of that only with its next renewal.
        """
        # By its version, not by what it says: a clock that was set back may say the same twice.
        if _version(lease) != _version(self._lease):
            self._seen_at = now
        self._lease = lease
        if lease is not None:
            self._record = lease.get("spec") or {}
        if self.holder != self.identity:
            self._renewed = None

    def bid(self, now: float, wall: datetime) -> dict[str, Any] | None:
        """What to write to have the lease from now on; None while it is another one's."""
        ours = self.holder == self.identity
        if self.holder and not ours and now < self._seen_at + self._held_for():
            return None
        stamp = micro_time(wall)
        before = int(self._record.get("leaseTransitions") or 0)
        spec = {
            "holderIdentity": self.identity,
            # Whole ones: with fewer than ours it could be taken while we still write.
            "leaseDurationSeconds": math.ceil(self.timing.duration),
            "acquireTime": self._record.get("acquireTime") if ours else stamp,
            "renewTime": stamp,
            "leaseTransitions": before if ours or not self._record else before + 1,
        }
        return self._written(spec)

    def release(self, wall: datetime) -> dict[str, Any] | None:
        """What to write to give the lease back at once; None where it is not ours."""
        if self._renewed is None:
            return None
        self._renewed = None
        stamp = micro_time(wall)
        return self._written(
            {
                "holderIdentity": "",
                "leaseDurationSeconds": 1,
                "acquireTime": stamp,
                "renewTime": stamp,
                "leaseTransitions": int(self._record.get("leaseTransitions") or 0),
            }
        )

    def won(self, lease: Raw, sent: float) -> None:
        """Our write was accepted. It counts from when it was sent: others saw it no earlier."""
        renewed = self.leads(sent)
        self.saw(lease, sent)
        if self.holder == self.identity:
            self._renewed = sent
            self.terms += not renewed

    def leads(self, now: float) -> bool:
        """Whether a write may begin."""
        return self._renewed is not None and now < self._renewed + self.timing.renew

    def left(self, now: float) -> float:
        """Seconds that a write which begins now may take; 0 where none may begin."""
        if self._renewed is None or not self.leads(now):
            return 0.0
        return self._renewed + self.timing.duration - now

    def _held_for(self) -> float:
        return float(self._record.get("leaseDurationSeconds") or self.timing.duration)

    def _written(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Guarded by the version that was read; a new lease needs no guard, its name is one."""
        if self._lease is None:
            return {"metadata": {"name": LEASE}, "spec": spec}
        version = self._lease["metadata"]["resourceVersion"]
        return {"metadata": {"resourceVersion": version}, "spec": spec}


def _version(lease: Raw | None) -> str | None:
    return None if lease is None else str(lease["metadata"]["resourceVersion"])


def micro_time(wall: datetime) -> str:
    """A metav1.MicroTime, which takes exactly six digits."""
    return wall.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
