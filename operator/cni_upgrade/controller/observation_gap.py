"""Since when this process looks at the cluster without a gap: only that time counts against a node.

A controller that was away cannot tell whether the cluster was there meanwhile, so what a node or a
person was given time for gets it anew. Of one process: another one begins anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

GAP = timedelta(seconds=120)
"""Longer than the pause after any failure, and than any one request; a machine that was suspended,
or an API server that was away, shows as more."""


class ObservationGap:
    """The passes of one process, and what it reads for each."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._last: datetime | None = None
        self._heard: datetime | None = None

    def starts(self) -> None:
        """Reading for a pass starts. What was read for one that was given up was no look: an API
        server that lists policies, and fails at the nodes for an hour, shows nothing of them.
        """
        self._heard = self._last

    def hears(self, now: datetime) -> None:
        """Something was read. While one answer follows another we look, however slow they are."""
        last, heard = self._last, self._heard
        if last is None or heard is None or not last <= now <= heard + GAP:
            # Not from now on: what is judged by its time has it anew from the pass to come.
            self._since = None
            self._heard = now
        else:
            # A pass reads on after the time was taken that it plans with.
            self._heard = max(now, heard)

    def begins(self, now: datetime) -> datetime:
        """A pass begins. Since when passes have followed each other; this one may be the first."""
        self.hears(now)
        if self._since is None:
            self._since = now
        self._last = now
        return self._since

    def ends(self, now: datetime) -> None:
        """It is over: while it was carried out we looked, however long that took."""
        self._last = self._heard = now
