"""The result: how an operation ended, what was written, and the node as it is now."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from cni_upgrade.agent.protocol.contract import SCHEMA, Kind, check_schema
from cni_upgrade.agent.protocol.json_members import MemberError, Members, kind_of
from cni_upgrade.agent.protocol.report import Report
from cni_upgrade.cni.value import dataclass


class Outcome(StrEnum):
    """How an operation ended. Refused: nothing was touched."""

    DONE = "Done"
    REFUSED = "Refused"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class OperationError:
    """Why an operation was refused or failed: a code to count by, a text to act on."""

    code: str
    message: str

    @classmethod
    def read(cls, members: Members) -> "OperationError":
        """From the `error` member of a result."""
        return cls(members.code("code"), members.text("message"))

    def to_json(self) -> dict[str, object]:
        """The `error` member of a result."""
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class Change:
    """One file that was written. `from_version` None: it was missing; hashes are sha256 in hex.

    `before` None: there was no such file (`from_version` is then that of the file whose place it
    takes); `after` None: the file was removed, for another has taken its place. Both the same: a
    restore gave back mode, owner, group or extended attributes.
    """

    name: str
    from_version: str | None
    to: str | None
    before: str | None
    after: str | None
    diff: str

    @property
    def told(self) -> str:
        """What was done, in a few words."""
        if self.before == self.after:
            return f"{self.name}: mode, owner or extended attributes"
        if self.after is None:
            return f"{self.name}: removed"
        made = ", a new file" if self.before is None else ""
        return f"{self.name}: {self.from_version or 'missing'} -> {self.to or 'missing'}{made}"

    @classmethod
    def read(cls, members: Members) -> "Change":
        """From an entry of `changes` of a result."""
        return cls(
            name=members.file_name("name"),
            from_version=members.text_or_none("from"),
            to=members.text_or_none("to"),
            before=members.sha256_or_none("before"),
            after=members.sha256_or_none("after"),
            diff=members.text("diff", ""),
        )

    def to_json(self) -> dict[str, object]:
        """An entry of `changes` of a result."""
        return {
            "name": self.name,
            "from": self.from_version,
            "to": self.to,
            "before": self.before,
            "after": self.after,
            "diff": self.diff,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an operation. `report` is None only if the node could not be read at all.

    `replaced_by`: of a restore whose backup is gone, by file's name, the backups that were used in
    its place.
    """

    id: str
    kind: Kind
    node: str
    outcome: Outcome
    error: OperationError | None = None
    report: Report | None = None
    changes: tuple[Change, ...] = ()
    backup: str | None = None
    replaced_by: Mapping[str, str] = field(default_factory=dict)
    truncated: bool = False

    @classmethod
    def from_json(cls, document: object) -> "Result":
        """From the decoded JSON of a result. Raises MemberError: another schema, a wrong type."""
        if not isinstance(document, dict):
            raise MemberError(f"result: expected an object, got {kind_of(document)}")
        members = Members(document)
        check_schema(members)
        return cls(
            id=members.text("id"),
            kind=members.choice("kind", Kind),
            node=members.text("node"),
            outcome=members.choice("outcome", Outcome),
            error=members.one_or_none("error", OperationError.read),
            report=members.one_or_none("report", Report.read),
            changes=members.many("changes", Change.read),
            backup=members.backup_or_none("backup"),
            replaced_by=members.one_or_none("replacedBy", Members.all_backups) or {},
            truncated=members.flag("truncated", False),
        )

    def to_json(self) -> dict[str, object]:
        """The result's document; `from_json` gives back an equal value."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "kind": str(self.kind),
            "node": self.node,
            "outcome": str(self.outcome),
            "error": None if self.error is None else self.error.to_json(),
            "report": None if self.report is None else self.report.to_json(),
            "changes": [change.to_json() for change in self.changes],
            "backup": self.backup,
            **({"replacedBy": dict(self.replaced_by)} if self.replaced_by else {}),
            "truncated": self.truncated,
        }
