"""The operation: what the controller asks of one node, and what the node answers.

The contract is docs/reference/agent-protocol.md; the JSON members there are these fields in
camelCase. Reading is strict on types (`MemberError` names the member) and lenient on unknown
members. Both sides import these types, so there is no second description to drift from.
"""

import hashlib
import json
from dataclasses import field
from enum import StrEnum

from cni_upgrade.agent.protocol.contract import SCHEMA, Kind, check_id, check_schema
from cni_upgrade.agent.protocol.json_members import MemberError, Members
from cni_upgrade.agent.protocol.paths import PRESET, FoundPaths, Known, Paths
from cni_upgrade.agent.protocol.report import (
    After,
    Baseline,
    PluginReport,
    ReadinessReport,
    Report,
    RuntimeReport,
    Source,
    Standing,
    StandingFile,
)
from cni_upgrade.agent.protocol.result import Change, OperationError, Outcome, Result
from cni_upgrade.agent.protocol.target import Form, RewriteMode, Selection, Target
from cni_upgrade.cni import runtimes
from cni_upgrade.cni.judgement import Action, FileReport, Verdict
from cni_upgrade.cni.succession import list_name
from cni_upgrade.cni.value import dataclass

__all__ = [
    "PRESET",
    "SCHEMA",
    "Action",
    "After",
    "Baseline",
    "Change",
    "FileOrder",
    "FileReport",
    "Form",
    "FoundPaths",
    "Kind",
    "Known",
    "ManagedFiles",
    "Operation",
    "OperationError",
    "Outcome",
    "Paths",
    "PluginReport",
    "ReadinessReport",
    "Report",
    "Result",
    "RewriteMode",
    "RuntimeReport",
    "Selection",
    "Source",
    "Standing",
    "StandingFile",
    "Target",
    "Verdict",
    "check_backup_id",
    "digest",
    "operation_id",
]
"""Both sides of the contract, for those who speak it."""

_MOST_RUNTIMES = 9
_LONGEST_NODE_NAME = 253  # a DNS subdomain, RFC 1123
_LONGEST_UID = 128


class ManagedFiles(StrEnum):
    """What happens to a file whose writer would put it back."""

    SKIP = "Skip"
    OVERRIDE = "Override"


@dataclass(frozen=True, slots=True)
class FileOrder:
    """One file that an apply may write: the bytes that the audit saw, and the version to reach.

    `becomes`: the name of the list that is to take the place of a single-plugin config.
    """

    name: str
    sha256: str
    to: str
    becomes: str | None = None

    @classmethod
    def read(cls, members: Members) -> "FileOrder":
        """From an entry of `files`. Raises MemberError for a name that is not a plain file name."""
        order = cls(
            members.file_name("name"),
            members.sha256("sha256"),
            members.text("to"),
            members.text_or_none("becomes"),
        )
        if order.becomes not in (None, list_name(order.name)):
            raise MemberError(
                f"{members.path('becomes')}: expected {list_name(order.name)!r:.200}, "
                f"got {order.becomes!r:.200}"
            )
        return order

    def to_json(self) -> dict[str, object]:
        """An entry of `files`."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "to": self.to,
            **({} if self.becomes is None else {"becomes": self.becomes}),
        }


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do on one node. `root` is where the host's folders are mounted, "" for none."""

    id: str
    kind: Kind
    node: str
    runtime: str
    target: Target = field(default_factory=Target)
    managed_files: ManagedFiles = ManagedFiles.SKIP
    root: str = ""
    paths: Paths = field(default_factory=Paths)
    files: tuple[FileOrder, ...] = ()
    backup: str | None = None
    keep: int = 5
    readiness_for: tuple[str, ...] = ()
    """Runtimes that the node might move to, such as containerd>=2.0: is it ready for them?"""
    rollback: bool = False
    """Of a restore: it undoes a change that made the node worse, so that pods which hung before the
    change may hang again."""
    libcni: str | None = None
    """What the runtime carries, where the operator's configuration says so."""
    policy: str = ""
    """UID of the policy for which is written, kept with the backup; empty where there is none."""

    @classmethod
    def from_json(cls, document: object) -> "Operation":
        """From the decoded JSON of `CNI_UPGRADE_OPERATION`.

        Raises MemberError: another schema, a member of the wrong type, an id of another kind or
        shape, a file name or path that could lead out of its folder, `keep` below 1.
        """
        members = Members(document)
        check_schema(members)
        operation = cls(
            id=members.text("id"),
            kind=members.choice("kind", Kind),
            node=members.text("node"),
            runtime=members.text("runtime", ""),
            target=members.one("target", Target.read),
            managed_files=members.choice("managedFiles", ManagedFiles, ManagedFiles.SKIP),
            root=members.text("root", ""),
            paths=members.one("paths", Paths.read),
            files=members.many("files", FileOrder.read),
            backup=members.backup_or_none("backup"),
            keep=members.integer("keep", 5),
            readiness_for=members.texts("readinessFor"),
            rollback=members.flag("rollback", False),
            libcni=members.text_or_none("libcni"),
            policy=members.text("policy", ""),
        )
        operation._check()
        return operation

    def _check(self) -> None:
        check_id(self.id, self.kind)
        if len(self.node) > _LONGEST_NODE_NAME:
            raise MemberError(
                f"node: expected at most {_LONGEST_NODE_NAME} characters, got {len(self.node)}"
            )
        if len(self.policy) > _LONGEST_UID:
            raise MemberError(
                f"policy: expected at most {_LONGEST_UID} characters, got {len(self.policy)}"
            )
        if self.libcni is not None and not runtimes.reads(self.libcni):
            raise MemberError(f"libcni: expected a known release, got {self.libcni!r:.80}")
        if self.keep < 1:
            raise MemberError(f"keep: expected at least 1, got {self.keep}")
        if len(self.readiness_for) > _MOST_RUNTIMES:
            raise MemberError(
                f"readinessFor: expected at most {_MOST_RUNTIMES} runtimes, "
                f"got {len(self.readiness_for)}"
            )
        if self.root and not self.root.startswith("/"):
            raise MemberError(f"root: expected an absolute path or nothing, got {self.root!r:.200}")
        names = [order.name for order in self.files]
        if len(set(names)) != len(names):
            raise MemberError("files: expected each name once")
        if self.kind is Kind.APPLY and not self.files:
            raise MemberError("files: expected at least one for an apply")
        if self.kind is Kind.RESTORE and self.backup is None:
            raise MemberError("backup: expected the id of the backup to restore, got nothing")
        if self.rollback and self.kind is not Kind.RESTORE:
            raise MemberError(f"rollback: expected none for {self.kind}, got true")

    def to_json(self) -> dict[str, object]:
        """The document for `CNI_UPGRADE_OPERATION`; `from_json` gives back an equal value."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "kind": str(self.kind),
            "node": self.node,
            "runtime": self.runtime,
            "target": self.target.to_json(),
            "managedFiles": str(self.managed_files),
            "root": self.root,
            "paths": self.paths.to_json(),
            "files": [order.to_json() for order in self.files],
            "backup": self.backup,
            "keep": self.keep,
            # Left out where nothing is asked, so that an operation is what it was before this.
            **({"readinessFor": list(self.readiness_for)} if self.readiness_for else {}),
            **({"rollback": True} if self.rollback else {}),
            **({"libcni": self.libcni} if self.libcni else {}),
            **({"policy": self.policy} if self.policy else {}),
        }


def check_backup_id(backup: str) -> None:
    """Raises MemberError unless `backup` can only name a folder directly under the backups."""
    Members({"backup": backup}).backup("backup")


def digest(operation: Operation) -> str:
    """sha256 (64 hex digits) of everything that the node will do, whatever id it will carry."""
    document = operation.to_json()
    del document["id"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def operation_id(kind: Kind, policy_uid: str, node_uid: str, digest: str, attempt: int) -> str:
    """`<kind>-<20 hex digits>`: the same work for the same policy, node and attempt is one id."""
    text = f"{policy_uid}|{node_uid}|{kind}|{digest}|{attempt}"
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
