"""What is said of a node and its files: the values, from which the report is made."""

from dataclasses import dataclass

from cni_upgrade.cni.findings import Finding


@dataclass(frozen=True, slots=True)
class FileJudgement:
    """One file: what it is, what is to be done with it, and why."""

    name: str
    sha256: str
    kind: str
    network: str | None
    version: str | None
    active: bool
    plugins: tuple[str, ...]
    to: str | None
    action: str
    """None, Rewrite, Refuse or Managed."""
    why: str
    managed_by: str | None = None
    becomes: str | None = None
    """The name of the list that is to take the place of a single-plugin config."""


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

    files: tuple[FileJudgement, ...]
    baseline: Baseline
    after: After
    verdict: str
    """Compatible, Rewrite, Blocked, Managed, NoConfig or NotCni."""
    findings: tuple[Finding, ...]
