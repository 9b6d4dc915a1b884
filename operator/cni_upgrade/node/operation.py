"""The operation: what the controller asks of one node, and what the node answers.

The contract is docs/operation.md; the JSON members there are these fields in camelCase. Reading
is strict on types (`MemberError` names the member) and lenient on unknown members. Both sides
import these types, so there is no second description to drift from.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.cni.succession import list_name
from cni_upgrade.node.members import MemberError, Members, kind_of

SCHEMA = 1
"""The version of both documents. Raised only when an old reader would misunderstand a new one."""

_ID = re.compile(r"(audit|apply|restore)-[0-9a-f]{20}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BACKUP = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")
_MOST_RUNTIMES = 8
_LONGEST_NODE_NAME = 253  # a DNS subdomain, RFC 1123


class Kind(StrEnum):
    """What is to be done."""

    AUDIT = "audit"
    APPLY = "apply"
    RESTORE = "restore"


class Selection(StrEnum):
    """How the version to write follows from the target."""

    HIGHEST_COMPATIBLE = "HighestCompatible"
    EXACT = "Exact"


class RewriteMode(StrEnum):
    """Which files are to be rewritten: all that are below the target, or only those at fault."""

    TO_TARGET = "ToTarget"
    ONLY_FAULTY = "OnlyFaulty"


class Form(StrEnum):
    """What becomes of a single-plugin config: it stays one, or is made a list."""

    KEEP = "Keep"
    LIST = "List"


class ManagedFiles(StrEnum):
    """What happens to a file whose writer would put it back."""

    SKIP = "Skip"
    OVERRIDE = "Override"


class Outcome(StrEnum):
    """How an operation ended. Refused: nothing was touched."""

    DONE = "Done"
    REFUSED = "Refused"
    FAILED = "Failed"


class Action(StrEnum):
    """What is to be done with one file."""

    NONE = "None"
    REWRITE = "Rewrite"
    REFUSE = "Refuse"
    MANAGED = "Managed"


class Verdict(StrEnum):
    """What is to be done with one node."""

    COMPATIBLE = "Compatible"
    REWRITE = "Rewrite"
    BLOCKED = "Blocked"
    MANAGED = "Managed"
    NO_CONFIG = "NoConfig"
    NOT_CNI = "NotCni"


class Source(StrEnum):
    """How it is known what a plugin supports."""

    VERSION = "VERSION"
    BUILDINFO = "buildinfo"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """The CNI version to reach, and how strictly."""

    version: str = "1.0.0"
    selection: Selection = Selection.HIGHEST_COMPATIBLE
    rewrite: RewriteMode = RewriteMode.TO_TARGET
    form: Form = Form.KEEP

    @classmethod
    def read(cls, members: Members) -> "Target":
        """From the `target` member of an operation."""
        return cls(
            version=members.text("version"),
            selection=members.choice("selection", Selection, Selection.HIGHEST_COMPATIBLE),
            rewrite=members.choice("rewrite", RewriteMode, RewriteMode.TO_TARGET),
            form=members.choice("format", Form, Form.KEEP),
        )

    def to_json(self) -> dict[str, object]:
        """The `target` member of an operation."""
        return {
            "version": self.version,
            "selection": str(self.selection),
            "rewrite": str(self.rewrite),
            # Left out where nothing is asked, so that an operation is what it was before this.
            **({} if self.form is Form.KEEP else {"format": str(self.form)}),
        }


PRESET = "preset"
"""Folders that are known from the operator's configuration alone."""


@dataclass(frozen=True, slots=True)
class Known:
    """How the folders are known, and what the runtime's own configuration says beside them."""

    source: str = PRESET
    """preset, or `runtime config` with its files."""
    max_conf_num: int | None = None
    default_network: str | None = None
    conf_template: str | None = None

    @classmethod
    def read(cls, members: Members) -> "Known":
        """From the `paths` member of an operation or a report; all of it may be absent."""
        return cls(
            source=members.text_or_none("source") or PRESET,
            max_conf_num=members.integer_or_none("maxConfNum"),
            default_network=members.text_or_none("defaultNetwork"),
            conf_template=members.text_or_none("confTemplate"),
        )

    def to_json(self) -> dict[str, object]:
        """Members of `paths`; what the configuration does not say is left out."""
        members = {
            "source": self.source,
            "maxConfNum": self.max_conf_num,
            "defaultNetwork": self.default_network,
            "confTemplate": self.conf_template,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Paths:
    """Where to look on the node, as the host names its folders; all absolute."""

    conf_dirs: tuple[str, ...] = ("/etc/cni/net.d",)
    bin_dirs: tuple[str, ...] = ("/opt/cni/bin", "/usr/lib/cni")
    cache_dir: str = "/var/lib/cni"
    state_dir: str = "/var/lib/cni-upgrade"
    known: Known | None = None
    """What an earlier look found out; then the folders are used as they are, in this order."""

    @classmethod
    def read(cls, members: Members) -> "Paths":
        """From the `paths` member of an operation. Raises MemberError for a path that is not
        absolute or climbs with `..`: the folders come from an allow-list of whole paths."""
        paths = cls(
            conf_dirs=members.texts("confDirs"),
            bin_dirs=members.texts("binDirs"),
            cache_dir=members.text("cacheDir"),
            state_dir=members.text("stateDir"),
            known=Known.read(members) if members.text_or_none("source") else None,
        )
        if not paths.conf_dirs:
            raise members.wrong("confDirs", "at least one folder")
        for path in (*paths.conf_dirs, *paths.bin_dirs, paths.cache_dir, paths.state_dir):
            if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
                raise MemberError(
                    f"{members.path('')}{path!r:.200}: expected an absolute path without `..`"
                )
        return paths

    def to_json(self) -> dict[str, object]:
        """The `paths` member of an operation."""
        return {
            "confDirs": list(self.conf_dirs),
            "binDirs": list(self.bin_dirs),
            "cacheDir": self.cache_dir,
            "stateDir": self.state_dir,
            **(self.known.to_json() if self.known else {}),
        }


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
            members.text("name"),
            members.text("sha256"),
            members.text("to"),
            members.text_or_none("becomes"),
        )
        if "/" in order.name or "\0" in order.name or order.name in ("", ".", ".."):
            raise MemberError(
                f"{members.path('name')}: expected the name of a file in the config "
                f"folder, got {order.name!r:.200}"
            )
        if not _SHA256.fullmatch(order.sha256):
            raise MemberError(
                f"{members.path('sha256')}: expected 64 hex digits, got {order.sha256!r:.80}"
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

    @classmethod
    def from_json(cls, document: object) -> "Operation":
        """From the decoded JSON of `CNI_UPGRADE_OPERATION`.

        Raises MemberError: another schema, a member of the wrong type, an id of another kind or
        shape, a file name or path that could lead out of its folder, `keep` below 1.
        """
        members = Members(document)
        _check_schema(members)
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
            backup=members.text_or_none("backup"),
            keep=members.integer("keep", 5),
            readiness_for=members.texts("readinessFor"),
        )
        operation._check()
        return operation

    def _check(self) -> None:
        if not _ID.fullmatch(self.id) or not self.id.startswith(f"{self.kind}-"):
            raise MemberError(f"id: expected {self.kind}-<20 hex digits>, got {self.id!r:.80}")
        if len(self.node) > _LONGEST_NODE_NAME:
            raise MemberError(
                f"node: expected at most {_LONGEST_NODE_NAME} characters, got {len(self.node)}"
            )
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
        if self.backup is not None:
            check_backup_id(self.backup)

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
        }


def check_backup_id(backup: str) -> None:
    """Raises MemberError unless `backup` can only name a folder directly under the backups."""
    if not _BACKUP.fullmatch(backup):
        raise MemberError(
            f"backup: expected the id of a backup such as "
            f"20261123T225404Z-3f2a9c1b, got {backup!r:.80}"
        )


def _check_schema(members: Members) -> None:
    schema = members.integer("schema")
    if schema != SCHEMA:
        raise MemberError(
            f"schema: expected {SCHEMA}, got {schema}; "
            "controller and agent must be at most one version apart"
        )


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


@dataclass(frozen=True, slots=True)
class OperationError:
    """Why an operation was refused or failed: a code to count by, a text to act on."""

    code: str
    message: str

    @classmethod
    def read(cls, members: Members) -> "OperationError":
        """From the `error` member of a result."""
        return cls(members.text("code"), members.text("message"))

    def to_json(self) -> dict[str, object]:
        """The `error` member of a result."""
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class RuntimeReport:
    """The runtime as the node's status names it, and what follows; None where unknown."""

    name: str
    version: str
    libcni: str | None
    max: str | None

    @classmethod
    def read(cls, members: Members) -> "RuntimeReport":
        """From the `runtime` member of a report."""
        return cls(
            members.text("name"),
            members.text("version"),
            members.text_or_none("libcni"),
            members.text_or_none("max"),
        )

    def to_json(self) -> dict[str, object]:
        """The `runtime` member of a report."""
        return {
            "name": self.name,
            "version": self.version,
            "libcni": self.libcni,
            "max": self.max,
        }


@dataclass(frozen=True, slots=True)
class FoundPaths:
    """The folders that exist, as the host names them; None for one that does not."""

    conf_dir: str | None
    bin_dirs: tuple[str, ...]
    cache_dir: str | None
    known: Known = field(default_factory=Known)

    @classmethod
    def read(cls, members: Members) -> "FoundPaths":
        """From the `paths` member of a report."""
        return cls(
            members.text_or_none("confDir"),
            members.texts("binDirs"),
            members.text_or_none("cacheDir"),
            Known.read(members),
        )

    def to_json(self) -> dict[str, object]:
        """The `paths` member of a report."""
        return {
            "confDir": self.conf_dir,
            "binDirs": list(self.bin_dirs),
            "cacheDir": self.cache_dir,
            **self.known.to_json(),
        }


@dataclass(frozen=True, slots=True)
class FileReport:
    """One config file: what it is, and what is to be done with it and why.

    `version` is the effective one, None when missing; `to` the one to reach, equal to `version`
    when nothing is to be done and None when refused; `plugins` every binary of the chain;
    `becomes` the list that is to take the place of a single-plugin config.
    """

    name: str
    sha256: str
    kind: str
    network: str | None
    version: str | None
    active: bool
    plugins: tuple[str, ...]
    to: str | None
    action: Action
    why: str
    managed_by: str | None = None
    becomes: str | None = None
    owner: str | None = None
    """`uid:gid`"""
    modified: str | None = None
    """RFC 3339, in UTC."""

    @classmethod
    def read(cls, members: Members) -> "FileReport":
        """From an entry of `files` of a report."""
        return cls(
            name=members.text("name"),
            sha256=members.text("sha256"),
            kind=members.text("kind"),
            network=members.text_or_none("network"),
            version=members.text_or_none("version"),
            active=members.flag("active"),
            plugins=members.texts("plugins"),
            to=members.text_or_none("to"),
            action=members.choice("action", Action),
            why=members.text("why", ""),
            managed_by=members.text_or_none("managedBy"),
            becomes=members.text_or_none("becomes"),
            owner=members.text_or_none("owner"),
            modified=members.text_or_none("modified"),
        )

    def to_json(self) -> dict[str, object]:
        """An entry of `files` of a report."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "kind": self.kind,
            "network": self.network,
            "version": self.version,
            "active": self.active,
            "plugins": list(self.plugins),
            "to": self.to,
            "action": str(self.action),
            "why": self.why,
            "managedBy": self.managed_by,
            **({} if self.becomes is None else {"becomes": self.becomes}),
            **({"owner": self.owner} if self.owner else {}),
            **({"modified": self.modified} if self.modified else {}),
        }


@dataclass(frozen=True, slots=True)
class PluginReport:
    """What one plugin binary supports, and how that is known."""

    type: str
    supported: tuple[str, ...]
    max: str | None
    source: Source

    @classmethod
    def read(cls, members: Members) -> "PluginReport":
        """From an entry of `plugins` of a report."""
        return cls(
            members.text("type"),
            members.texts("supported"),
            members.text_or_none("max"),
            members.choice("source", Source),
        )

    def to_json(self) -> dict[str, object]:
        """An entry of `plugins` of a report."""
        return {
            "type": self.type,
            "supported": list(self.supported),
            "max": self.max,
            "source": str(self.source),
        }


@dataclass(frozen=True, slots=True)
class Baseline:
    """What works today on the next creation (`add`) and deletion (`delete`); None is unknown."""

    add: bool | None
    delete: bool | None
    add_why: str | None = None
    delete_why: str | None = None

    @classmethod
    def read(cls, members: Members) -> "Baseline":
        """From the `baseline` member of a report."""
        return cls(
            members.flag_or_none("add"),
            members.flag_or_none("del"),
            members.text_or_none("addWhy"),
            members.text_or_none("delWhy"),
        )

    def to_json(self) -> dict[str, object]:
        """The `baseline` member of a report."""
        return {
            "add": self.add,
            "del": self.delete,
            "addWhy": self.add_why,
            "delWhy": self.delete_why,
        }


@dataclass(frozen=True, slots=True)
class After:
    """What will work once the files carry `to`.

    `existing_delete`: pods that run now can be deleted; `needs_drain`: they must go first.
    """

    add: bool | None
    delete: bool | None
    existing_delete: bool | None
    needs_drain: bool = False
    why: str | None = None

    @classmethod
    def read(cls, members: Members) -> "After":
        """From the `after` member of a report."""
        return cls(
            members.flag_or_none("add"),
            members.flag_or_none("del"),
            members.flag_or_none("existingDel"),
            members.flag("needsDrain", False),
            members.text_or_none("why"),
        )

    def to_json(self) -> dict[str, object]:
        """The `after` member of a report."""
        return {
            "add": self.add,
            "del": self.delete,
            "existingDel": self.existing_delete,
            "needsDrain": self.needs_drain,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Whether pods would come and go as the node is, if its runtime were that; None: not known."""

    runtime: str
    ready: bool | None
    why: str = ""

    @classmethod
    def read(cls, members: Members) -> "ReadinessReport":
        """From an entry of `readiness` of a report."""
        return cls(members.text("runtime"), members.flag_or_none("ready"), members.text("why", ""))

    def to_json(self) -> dict[str, object]:
        """An entry of `readiness` of a report."""
        return {"runtime": self.runtime, "ready": self.ready, "why": self.why}


@dataclass(frozen=True, slots=True)
class Report:
    """One node as it was found. `sandboxes` counts running ones by the version of their ADD."""

    runtime: RuntimeReport
    paths: FoundPaths
    files: tuple[FileReport, ...]
    plugins: tuple[PluginReport, ...]
    sandboxes: Mapping[str, int]
    baseline: Baseline
    after: After
    verdict: Verdict
    findings: tuple[Finding, ...]
    readiness: tuple[ReadinessReport, ...] = ()

    @classmethod
    def read(cls, members: Members) -> "Report":
        """From the `report` member of a result."""
        return cls(
            runtime=members.one("runtime", RuntimeReport.read),
            paths=members.one("paths", FoundPaths.read),
            files=members.many("files", FileReport.read),
            plugins=members.many("plugins", PluginReport.read),
            sandboxes=members.counts("sandboxes"),
            baseline=members.one("baseline", Baseline.read),
            after=members.one("after", After.read),
            verdict=members.choice("verdict", Verdict),
            findings=members.many("findings", _read_finding),
            readiness=members.many("readiness", ReadinessReport.read),
        )

    def to_json(self) -> dict[str, object]:
        """The `report` member of a result."""
        return {
            "runtime": self.runtime.to_json(),
            "paths": self.paths.to_json(),
            "files": [file.to_json() for file in self.files],
            "plugins": [plugin.to_json() for plugin in self.plugins],
            "sandboxes": dict(self.sandboxes),
            "baseline": self.baseline.to_json(),
            "after": self.after.to_json(),
            "verdict": str(self.verdict),
            "findings": [_finding_to_json(finding) for finding in self.findings],
            "readiness": [each.to_json() for each in self.readiness],
        }


def _read_finding(members: Members) -> Finding:
    return Finding(
        code=members.text("code"),
        severity=members.choice("severity", Severity),
        component=members.text("component", ""),
        message=members.text("message", ""),
        action=members.text("action", ""),
    )


def _finding_to_json(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "component": finding.component,
        "message": finding.message,
        "action": finding.action,
    }


@dataclass(frozen=True, slots=True)
class Change:
    """One file that was written. `from_version` None: it was missing; hashes are sha256 in hex.

    `before` None: there was no such file (`from_version` is then that of the file whose place it
    takes); `after` None: the file was removed, for another has taken its place.
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
        if self.after is None:
            return f"{self.name}: removed"
        made = ", a new file" if self.before is None else ""
        return f"{self.name}: {self.from_version or 'missing'} -> {self.to or 'missing'}{made}"

    @classmethod
    def read(cls, members: Members) -> "Change":
        """From an entry of `changes` of a result."""
        return cls(
            name=members.text("name"),
            from_version=members.text_or_none("from"),
            to=members.text_or_none("to"),
            before=members.text_or_none("before"),
            after=members.text_or_none("after"),
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
    """What became of an operation. `report` is None only if the node could not be read at all."""

    id: str
    kind: Kind
    node: str
    outcome: Outcome
    error: OperationError | None = None
    report: Report | None = None
    changes: tuple[Change, ...] = ()
    backup: str | None = None
    truncated: bool = False

    @classmethod
    def from_json(cls, document: object) -> "Result":
        """From the decoded JSON of a result. Raises MemberError: another schema, a wrong type."""
        if not isinstance(document, dict):
            raise MemberError(f"result: expected an object, got {kind_of(document)}")
        members = Members(document)
        _check_schema(members)
        return cls(
            id=members.text("id"),
            kind=members.choice("kind", Kind),
            node=members.text("node"),
            outcome=members.choice("outcome", Outcome),
            error=members.one_or_none("error", OperationError.read),
            report=members.one_or_none("report", Report.read),
            changes=members.many("changes", Change.read),
            backup=members.text_or_none("backup"),
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
            "truncated": self.truncated,
        }
