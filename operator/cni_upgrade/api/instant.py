"""The times that Python's calendar holds: whoever edits an object may write any other.

It ends with the years 1 and 9999, a time zone leads beyond it, and what is raised then is no error
of a field. So both ways in stand here: of our own objects such a time is refused, of Kubernetes'
own, which a Go program may write with a year 0 or 10000, it is long ago or far ahead.
"""

from __future__ import annotations

from datetime import UTC, datetime

EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Of Kubernetes' own: centuries of room for sums on both sides."""


def whole_seconds(value: datetime) -> datetime:
    """Kubernetes keeps seconds: what is written compares equal to what is read back.

    Raises ValueError for a time beyond the calendar.
    """
    try:
        return value.astimezone(UTC).replace(microsecond=0)
    except OverflowError as error:
        raise ValueError("expected a time that is in the years 1 to 9999 in UTC") from error


def instant(text: str | None) -> datetime | None:
    """An RFC 3339 time as the API server writes it (`2026-01-02T03:04:05Z`), or None."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return LATEST if text[:5].isdigit() else EARLIEST
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    try:
        return min(max(at.astimezone(UTC), EARLIEST), LATEST)
    except OverflowError:
        return EARLIEST if at.year < EARLIEST.year else LATEST
