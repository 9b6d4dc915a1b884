"""What operation and result have in common: the version of the contract, and the kind of work."""

import re
from enum import StrEnum

from cni_upgrade.agent.protocol.json_members import MemberError, Members

SCHEMA = 1
"""The version of both documents. Raised only when an old reader would misunderstand a new one."""


class Kind(StrEnum):
    """What is to be done."""

    AUDIT = "audit"
    APPLY = "apply"
    RESTORE = "restore"


def check_schema(members: Members) -> None:
    schema = members.integer("schema")
    if schema != SCHEMA:
        raise MemberError(
            f"schema: expected {SCHEMA}, got {schema}; "
            "controller and agent must be at most one version apart"
        )


def check_id(operation_id: str, kind: Kind) -> None:
    """Raises MemberError unless it is an id as that kind of operation has it, and so names a file
    of its own among the results."""
    if not re.fullmatch(f"{kind}-[0-9a-f]{{20}}", operation_id):
        raise MemberError(f"id: expected {kind}-<20 hex digits>, got {operation_id!r:.80}")
