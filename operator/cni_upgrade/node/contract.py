"""What operation and result have in common: the version of the contract, and the kind of work."""

from enum import StrEnum

from cni_upgrade.node.members import MemberError, Members

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
