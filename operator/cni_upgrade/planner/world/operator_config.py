"""The operator's own configuration: images, host folders and limits that no policy may choose.

Whoever edits a policy is not root on the nodes, so what is mounted and what is run there stands in
a ConfigMap of the operator's namespace (`manifests/config.yaml`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from cni_upgrade.cni import runtimes
from cni_upgrade.cni.sources import Source
from cni_upgrade.planner.world.image_reference import Image

GRACE_SECONDS = 60
"""Added to the deadline of an agent's Job: its pod must be scheduled, and its answer be read."""


class ConfigError(ValueError):
    """The operator's configuration cannot be used; the text names each field."""


def _of_the_host(folder: str) -> str:
    if not folder.startswith("/") or ".." in folder.split("/"):
        raise ValueError(f"{folder!r} is not an absolute path without '..'")
    return folder


def _label(text: str) -> str:
    if len(text) > 63 or not re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", text):
        raise ValueError(
            f"{text!r} is no namespace: expected 1 to 63 of a-z, 0-9 and '-', "
            "the first and the last one no '-'"
        )
    return text


Folder = Annotated[str, AfterValidator(_of_the_host)]
Room = Annotated[str, AfterValidator(_label)]
"""The name of a namespace."""


class _Section(BaseModel):
    # A typo in the configuration must not silently mean a default.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Preset(_Section):
    """Where one kind of platform keeps its CNI files, as the host names the folders."""

    conf_dirs: tuple[Folder, ...] = Field(min_length=1)
    bin_dirs: tuple[Folder, ...] = Field(min_length=1)
    cache_dir: Folder = "/var/lib/cni"
    mounts: tuple[Folder, ...] = ("/etc", "/lib", "/opt", "/usr", "/var/lib")
    """Existing parents that an audit mounts read-only: the folders above are looked for there, and
    what systemd starts the runtime with."""


class Namespaces(_Section):
    """The three rooms in the cluster: the controller's, the agents', the proof pods'."""

    system: Room = "cni-upgrade-system"
    agents: Room = "cni-upgrade-agents"
    proof: Room = "cni-upgrade-proof"


class ConfigSource(_Section):
    """A ConfigMap of an installation that goes by other names than `cni/sources.py` knows."""

    namespace: Room
    name: str = Field(min_length=1)
    key: str = Field(min_length=1)
    files: tuple[str, ...] = Field(min_length=1)
    """What the file is called on the nodes, e.g. `10-mynet.conflist`."""
    placeholders: tuple[str, ...] = ()
    """What the installer fills in on each node, e.g. `__CNI_MTU__`."""

    @model_validator(mode="after")
    def _readable(self) -> ConfigSource:
        for placeholder in self.placeholders:
            if len(placeholder) < 5:
                raise ValueError(f"placeholder {placeholder!r} is shorter than 5 characters")
        return self

    def source(self) -> Source:
        """As the table has them."""
        return Source(
            writer="",
            namespace=self.namespace,
            name=self.name,
            key=self.key,
            files=self.files,
            takes_effect="when the program that writes the file does so again",
            placeholders=self.placeholders,
            configured=True,
        )


class CarriedLibcni(_Section):
    """A runtime of which whoever installs the operator knows more than cni/runtimes.py."""

    runtime: str = Field(pattern=r"^(containerd|cri-o)://[^ ]+$")
    """As `kubectl get node -o wide` shows it, or a line of releases: containerd://2.5"""
    libcni: str
    """The release of containernetworking/cni in its go.mod, e.g. 1.3.1."""

    @model_validator(mode="after")
    def _known(self) -> CarriedLibcni:
        if not runtimes.reads(self.libcni):
            lines = ", ".join(runtimes.MAX_BY_LIBCNI)
            raise ValueError(f"libcni {self.libcni!r}: expected a release of one of {lines}")
        return self


class OperatorConfig(_Section):
    """What the operator may do, set by whoever installs it."""

    agent_image: Image
    proof_image: Image | None = None
    """None: the agent's, which is on each node already when a proof starts."""
    proof_command: tuple[str, ...] = ("sleep", "3600")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    namespaces: Namespaces = Namespaces()
    auto: Preset
    """What `paths: auto` means: every folder that is looked at, the first that exists wins."""
    presets: dict[str, Preset] = Field(default_factory=dict)
    state_dir: Folder = "/var/lib/cni-upgrade"
    """On each node: backups, results, the journal. Written by apply and restore only."""
    plugin_mounts: dict[Folder, Folder] = Field(default_factory=dict)
    """Plugin folders whose entries are links, each with the folder to mount that holds both."""
    audit_parallel: int = Field(default=20, ge=1)
    audit_deadline_seconds: int = Field(default=180, ge=10)
    apply_deadline_seconds: int = Field(default=300, ge=10)
    job_ttl_seconds: int = Field(default=3600, ge=3600)
    """The report must be readable for an hour at least: it is the record until it is copied."""
    reaudit_seconds: int = Field(default=21600, ge=60)
    """A node at rest is looked at again after half of this to all of it, each node at its own time,
    since no event tells of a changed file."""
    reaudit_parallel: int = Field(default=5, ge=1)
    """How many such looks at once, of the places of `auditParallel`: new nodes never queue behind
    them."""
    retry_seconds: int = Field(default=60, ge=1)
    """First pause before a failed step is tried again; doubled each time, an hour at most."""
    restore_patience_seconds: int = Field(default=3600, ge=60)
    """A deleted policy that gives back is let go once nothing went on for so long."""
    lease_namespace: Annotated[str, AfterValidator(lambda text: text and _label(text))] = ""
    """Where a Lease keeps two drainers off one node, `medik8s-leases` where the operators of
    medik8s are used (manifests/leases/medik8s.yaml); empty: no Lease is taken or looked at."""
    attempts: int = Field(default=3, ge=1)
    """How often an agent that ended without an answer is sent again."""

    runtimes: tuple[CarriedLibcni, ...] = ()
    """Runtimes that are not known here, or were built with another libcni than their release."""
    sources: tuple[ConfigSource, ...] = ()
    """ConfigMaps that are looked at beside the known ones; each needs a right of its own."""

    @model_validator(mode="after")
    def _held(self) -> OperatorConfig:
        for folder, mount in self.plugin_mounts.items():
            if not f"{folder}/".startswith(f"{mount.rstrip('/')}/"):
                raise ValueError(f"pluginMounts: {folder!r} is not in {mount!r}, which is mounted")
        return self

    def libcni(self, runtime: str) -> str | None:
        """What is said of the runtime of a node; the most exact entry counts. None: nothing is."""
        meant = [
            each
            for each in self.runtimes
            if runtime == each.runtime or runtime.startswith(f"{each.runtime}.")
        ]
        return max(meant, key=lambda each: len(each.runtime)).libcni if meant else None

    @property
    def image_of_proofs(self) -> str:
        """What the proof pods run."""
        return self.proof_image or self.agent_image

    def preset(self, name: str) -> Preset | None:
        """The folders that a policy's `paths` stands for; None where it is not allowed here."""
        return self.auto if name == "auto" else self.presets.get(name)


def parse(data: Any) -> OperatorConfig:
    """The configuration from its YAML or JSON document.

    Raises ConfigError that names each wrong field.
    """
    try:
        return OperatorConfig.model_validate(data)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the document'}: {e['msg']}" for e in error.errors()
        )
        raise ConfigError(f"operator configuration: {wrong}") from error
