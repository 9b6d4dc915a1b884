"""The phases: where a node is on its way, in the words that people see."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, WithJsonSchema

from cni_upgrade.api.base import Word


class Phase(StrEnum):
    """Where a node is on its way."""

    PENDING = "Pending"
    AUDITING = "Auditing"
    COMPATIBLE = "Compatible"
    WAITING = "Waiting"
    DRAINING = "Draining"
    APPLYING = "Applying"
    UPGRADING = "Upgrading"
    PROVING = "Proving"
    DONE = "Done"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    BLOCKED = "Blocked"
    MANAGED_ELSEWHERE = "ManagedElsewhere"


ShownPhase = Annotated[
    Phase | Word,
    Field(union_mode="left_to_right"),
    WithJsonSchema({"type": "string", "maxLength": 256}),
]
"""A phase, or the word for one that only a newer controller knows: shown, never refused."""
