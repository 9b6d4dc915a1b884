"""What is said of a node and its files: the values, from which the report is made."""

from enum import StrEnum

from cni_upgrade.cni.findings import Finding
from cni_upgrade.cni.value import dataclass


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


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: what it is, what is to be done with it and why.

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
    """`uid:gid`; like the next one, known to who has the folder before them."""
    modified: str | None = None
    """RFC 3339, in UTC."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What works today on the next creation and deletion; None is unknown."""

    add: bool | None
    del_: bool | None
    add_why: str | None = None
    del_why: str | None = None
    leaks: bool | None = None
    """Whether the address of a pod whose deletion fails stays taken; None is unknown."""


@dataclass(frozen=True, slots=True)
class After:
    """What will work once the files carry the version to reach."""

    add: bool | None
    del_: bool | None
    existing_del: bool | None
    needs_drain: bool = False
    why: str | None = None
    leaks: bool | None = None
    """As of the baseline, for a pod that is added at that version."""
    existing_leaks: bool | None = None
    """The same for the pods that run now."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The whole answer about one node."""

    files: tuple[FileReport, ...]
    baseline: Baseline
    after: After
    verdict: Verdict
    findings: tuple[Finding, ...]
