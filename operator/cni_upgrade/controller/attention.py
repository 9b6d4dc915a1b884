"""Since when this process looks at the cluster without a gap: only that time counts against a node.

A controller that was away cannot tell whether the cluster was there meanwhile, so what a node or a
person was given time for gets it anew. Of one process: another one begins anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

GAP = timedelta(seconds=120)
"""Longer than the pause after any failure; a machine that was suspended, or an API server that was
away, shows as more."""


class Attention:
    """The passes of one process."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._last: datetime | None = None

    def begins(self, now: datetime) -> datetime:
        """A pass begins. Since when passes have followed each other; this one may be the first."""
        last = self._last
        if self._since is None or last is None or not last <= now <= last + GAP:
            self._since = now
        self._last = now
        return self._since

    def ends(self, now: datetime) -> None:
        """It is over: while it was carried out we looked, however long that took."""
        self._last = now
