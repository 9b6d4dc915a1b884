"""The maintenance window: when nodes may be changed, in a time zone that is named."""

from typing import Annotated

from pydantic import Field

from cni_upgrade.api.base import Model
from cni_upgrade.api.duration import Duration


class MaintenanceWindow(Model):
    """A time in which nodes may be changed."""

    schedule: Annotated[
        str, Field(max_length=100, pattern=r"^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$")
    ] = Field(
        description="When the window opens: a cron expression of five fields (minute, hour, day "
        "of month, month, day of week), for example 0 22 * * 1-5. A time that a change of clocks "
        "leaves out is taken right after it, one that comes twice is taken once."
    )
    duration: Duration = Field(
        description="How long it stays open, for example 4h. No change begins that could not end "
        "by then, by its deadlines."
    )
    # Without a default in the schema: kubectl apply sends a list whole, and would never be done.
    time_zone: (
        Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$")]
        | None
    ) = Field(
        default=None,
        description="Time zone of the schedule, as the IANA database names it, for example "
        "Europe/Berlin. Default UTC.",
    )
