"""The report: one node as it was found. The contract is docs/reference/agent-protocol.md."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from cni_upgrade.agent.protocol.json_members import MemberError, Members
from cni_upgrade.agent.protocol.paths import FoundPaths
from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.cni.judgement import Action, FileReport, Verdict
from cni_upgrade.cni.succession import list_name
from cni_upgrade.cni.value import dataclass


class FileKind(StrEnum):
    """What a config file is by its name."""

    CONF = "conf"
    CONFLIST = "conflist"
    OTHER = "other"


class Source(StrEnum):
    """How it is known what a plugin supports."""

    VERSION = "VERSION"
    BUILDINFO = "buildinfo"
    UNKNOWN = "unknown"


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
            members.version_or_none("max"),
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
            members.version_or_none("max"),
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
    delete_leaks: bool | None = None
    """Where a deletion fails: whether the pod's address stays taken."""

    @classmethod
    def read(cls, members: Members) -> "Baseline":
        """From the `baseline` member of a report."""
        return cls(
            members.flag_or_none("add"),
            members.flag_or_none("del"),
            members.text_or_none("addWhy"),
            members.text_or_none("delWhy"),
            members.flag_or_none("delLeaks"),
        )

    def to_json(self) -> dict[str, object]:
        """The `baseline` member of a report."""
        return {
            "add": self.add,
            "del": self.delete,
            "addWhy": self.add_why,
            "delWhy": self.delete_why,
            **({} if self.delete_leaks is None else {"delLeaks": self.delete_leaks}),
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
    delete_leaks: bool | None = None
    """Where one of these deletions fails: whether the pod's address stays taken."""

    @classmethod
    def read(cls, members: Members) -> "After":
        """From the `after` member of a report."""
        return cls(
            members.flag_or_none("add"),
            members.flag_or_none("del"),
            members.flag_or_none("existingDel"),
            members.flag("needsDrain", False),
            members.text_or_none("why"),
            members.flag_or_none("delLeaks"),
        )

    def to_json(self) -> dict[str, object]:
        """The `after` member of a report."""
        return {
            "add": self.add,
            "del": self.delete,
            "existingDel": self.existing_delete,
            "needsDrain": self.needs_drain,
            "why": self.why,
            **({} if self.delete_leaks is None else {"delLeaks": self.delete_leaks}),
        }


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Whether pods would come and go as the node is, if its runtime were that; None: not known."""

    runtime: str
    ready: bool | None
    why: str = ""
    other_folders: str = ""
    """Which releases read other folders than the runtime of today, or may; as `why` says it too."""

    @classmethod
    def read(cls, members: Members) -> "ReadinessReport":
        """From an entry of `readiness` of a report."""
        return cls(
            members.text("runtime"),
            members.flag_or_none("ready"),
            members.text("why", ""),
            members.text("otherFolders", ""),
        )

    def to_json(self) -> dict[str, object]:
        """An entry of `readiness` of a report."""
        return {
            "runtime": self.runtime,
            "ready": self.ready,
            "why": self.why,
            **({"otherFolders": self.other_folders} if self.other_folders else {}),
        }


@dataclass(frozen=True, slots=True)
class StandingFile:
    """A file that is not as it was before a policy: the backup that holds it as it was then.

    `from_version` None: it was missing, or is not known any more; `to` and `sha256` (hex) are what
    was written last, None and empty for a file whose place a list has taken. `newest` is the backup
    that was made for that; empty in what an older agent says.
    """

    name: str
    backup: str
    from_version: str | None
    to: str | None
    sha256: str
    newest: str = ""

    @classmethod
    def read(cls, members: Members) -> "StandingFile":
        """From an entry of `files` of `standing`."""
        return cls(
            members.file_name("name"),
            members.backup("backup"),
            members.text_or_none("from"),
            members.text_or_none("to"),
            members.sha256("sha256") if members.text("sha256", "") else "",
            members.backup("newest") if members.text("newest", "") else "",
        )

    def to_json(self) -> dict[str, object]:
        """An entry of `files` of `standing`."""
        return {
            "name": self.name,
            "backup": self.backup,
            "from": self.from_version,
            "to": self.to,
            "sha256": self.sha256,
            "newest": self.newest,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """What the policy that wrote last has changed and nobody has given back, by the backups.

    `policy` is its UID; None, and no files: the newest backup cannot be read, so it is not known.
    """

    policy: str | None
    files: tuple[StandingFile, ...] = ()

    @classmethod
    def read(cls, members: Members) -> "Standing":
        """From the `standing` member of a report."""
        return cls(members.uid_or_none("policy"), members.many("files", StandingFile.read))

    def to_json(self) -> dict[str, object]:
        """The `standing` member of a report."""
        return {"policy": self.policy, "files": [file.to_json() for file in self.files]}


@dataclass(frozen=True, slots=True)
class Report:
    """One node as it was found. `sandboxes` counts running ones by the version of their ADD, `pods`
    names some of them.

    `standing`: only of an audit, and only where a policy has changed something.
    """

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
    standing: Standing | None = None
    pods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, members: Members) -> "Report":
        """From the `report` member of a result."""
        return cls(
            runtime=members.one("runtime", RuntimeReport.read),
            paths=members.one("paths", FoundPaths.read),
            files=members.many("files", _read_file),
            plugins=members.many("plugins", PluginReport.read),
            sandboxes=members.counts("sandboxes"),
            baseline=members.one("baseline", Baseline.read),
            after=members.one("after", After.read),
            verdict=members.choice("verdict", Verdict),
            findings=members.many("findings", _read_finding),
            readiness=members.many("readiness", ReadinessReport.read),
            standing=members.one_or_none("standing", Standing.read),
            pods=members.one_or_none("pods", Members.all_lists) or {},
        )

    def to_json(self) -> dict[str, object]:
        """The `report` member of a result."""
        return {
            "runtime": self.runtime.to_json(),
            "paths": self.paths.to_json(),
            "files": [file_to_json(file) for file in self.files],
            "plugins": [plugin.to_json() for plugin in self.plugins],
            "sandboxes": dict(self.sandboxes),
            **({"pods": {at: list(who) for at, who in self.pods.items()}} if self.pods else {}),
            "baseline": self.baseline.to_json(),
            "after": self.after.to_json(),
            "verdict": str(self.verdict),
            "findings": [_finding_to_json(finding) for finding in self.findings],
            "readiness": [each.to_json() for each in self.readiness],
            **({"standing": self.standing.to_json()} if self.standing else {}),
        }


def _read_file(members: Members) -> FileReport:
    action = members.choice("action", Action)
    file = FileReport(
        name=members.file_name("name"),
        sha256=members.sha256("sha256"),
        kind=str(members.choice("kind", FileKind)),
        network=members.text_or_none("network"),
        version=members.text_or_none("version"),
        active=members.flag("active"),
        plugins=members.texts("plugins"),
        to=members.version("to") if action is Action.REWRITE else members.text_or_none("to"),
        action=action,
        why=members.text("why", ""),
        managed_by=members.text_or_none("managedBy"),
        becomes=members.text_or_none("becomes"),
        owner=members.owner_or_none("owner"),
        modified=members.time_or_none("modified"),
    )
    if file.becomes not in (None, list_name(file.name)):
        raise MemberError(
            f"{members.path('becomes')}: expected {list_name(file.name)!r:.200}, "
            f"got {file.becomes!r:.200}"
        )
    return file


def file_to_json(file: FileReport) -> dict[str, object]:
    """An entry of `files` of a report."""
    return {
        "name": file.name,
        "sha256": file.sha256,
        "kind": file.kind,
        "network": file.network,
        "version": file.version,
        "active": file.active,
        "plugins": list(file.plugins),
        "to": file.to,
        "action": str(file.action),
        "why": file.why,
        "managedBy": file.managed_by,
        **({} if file.becomes is None else {"becomes": file.becomes}),
        **({"owner": file.owner} if file.owner else {}),
        **({"modified": file.modified} if file.modified else {}),
    }


def _read_finding(members: Members) -> Finding:
    return Finding(
        code=members.code("code"),
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
