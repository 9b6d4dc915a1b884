"""What an audit found on a node, as the node state shows it.

The shape is that of docs/reference/agent-protocol.md.

Values that name one of a few things (`action`, `verdict`, `severity`) are plain strings here:
a newer agent may know more of them, and they are shown then, not refused.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from cni_upgrade.api.base import Count, Counts, Line, Model, Time, Word, Words, first


class RuntimeInfo(Model):
    """The container runtime, and which CNI versions it takes."""

    name: Word = Field(description="The container runtime, for example containerd or cri-o.")
    version: Word = Field(description="Version of the container runtime.")
    libcni: Word | None = Field(
        default=None,
        description="Version of libcni built into this runtime; absent when unknown.",
    )
    max: Word | None = Field(
        default=None,
        description="Highest CNI version that this runtime takes; absent when unknown.",
    )


class NodePaths(Model):
    """The folders that were found on the node."""

    conf_dir: Line | None = Field(
        default=None,
        description="Folder of the CNI configs on the node; absent when none of the candidates "
        "exists.",
    )
    bin_dirs: Annotated[tuple[Line, ...], Field(max_length=16), BeforeValidator(first(16))] = Field(
        default=(),
        description="Folders of the plugins that exist on the node, in the order of search.",
    )
    delegate_dirs: Annotated[tuple[Line, ...], Field(max_length=16), BeforeValidator(first(16))] = (
        Field(
            default=(),
            description="Folders of plugins that multus runs from where it looks first (binDir), "
            "before the runtime's.",
        )
    )
    cache_dir: Line | None = Field(
        default=None,
        description="Folder in which libcni keeps results of running pods; absent when it does "
        "not exist.",
    )
    source: Line | None = Field(
        default=None,
        description='How the folders are known: "runtime config" and its files, with what is the '
        "runtime's own default where they are silent, or "
        '"preset" for the usual ones of the operator\'s configuration.',
    )
    max_conf_num: Count | None = Field(
        default=None,
        description="How many config files containerd loads, 0 meaning all; absent when its own "
        "configuration does not say, which means 1.",
    )
    default_network: Line | None = Field(
        default=None,
        description="The network that CRI-O takes by name; absent when its own configuration "
        "names none.",
    )
    conf_template: Line | None = Field(
        default=None,
        description="The template from which containerd makes a config where it finds none; "
        "absent when its own configuration names none.",
    )
    internal_loopback: bool | None = Field(
        default=None,
        description="True where containerd's own configuration has it bring up the loopback "
        "without a plugin; absent else.",
    )


class FileReport(Model):
    """One config file."""

    name: Word = Field(description="Name of the file in the folder of configs.")
    sha256: Word | None = Field(
        default=None,
        description="SHA-256 of the bytes that the audit read; an apply refuses the file if it "
        "has changed since.",
    )
    kind: Word | None = Field(
        default=None,
        description="conf (one plugin), conflist (a chain) or other (not read by the runtime).",
    )
    network: Word | None = Field(default=None, description="Name of the network in the file.")
    version: Word | None = Field(
        default=None,
        description="The cniVersion that takes effect; absent when the file has none.",
    )
    active: bool = Field(
        default=False,
        description="True for the file that this runtime loads for the pods of the node.",
    )
    plugins: Words = Field(
        default=(),
        description="Every plugin binary of the chain, IPAM and delegates included.",
    )
    to: Word | None = Field(
        default=None,
        description="The version to reach: equal to version when nothing is to be done, absent "
        "when the file is refused.",
    )
    action: Word | None = Field(
        default=None,
        description="What is to be done: None, Rewrite, Refuse (not safe or not understood) or "
        "Managed (another program would put it back).",
    )
    why: Line | None = Field(
        default=None, description="Why this version and not a higher one, or why it is refused."
    )
    owner: Word | None = Field(
        default=None, description="Owner and group of the file, as numbers (0:0 is root)."
    )
    modified: Time | None = Field(
        default=None, description="When its content was last changed, by the node's clock."
    )
    managed_by: Line | None = Field(
        default=None,
        description="The program that writes this file, and where its source is, if known.",
    )
    becomes: Word | None = Field(
        default=None,
        description="The list that is to take the place of this single-plugin config; absent when "
        "it keeps its form.",
    )


class PluginReport(Model):
    """One plugin binary, and what it says of itself."""

    type: Word = Field(description="Name of the plugin binary, for example bridge.")
    supported: Words = Field(
        default=(), description="CNI versions that the plugin supports; empty when unknown."
    )
    max: Word | None = Field(
        default=None, description="Highest CNI version that the plugin supports."
    )
    source: Word | None = Field(
        default=None,
        description="How that is known: VERSION (the plugin was asked), buildinfo (read from the "
        "binary) or unknown.",
    )


class Baseline(Model):
    """What works on the node before anything is changed."""

    add: bool | None = Field(
        default=None,
        description="Whether the next pod gets its network with the files as they are; absent "
        "when unknown.",
    )
    delete: bool | None = Field(
        default=None,
        alias="del",
        description="Whether the next deletion of a pod ends with the files as they are; absent "
        "when unknown.",
    )
    add_why: Line | None = Field(default=None, description="Why a new pod gets no network.")
    delete_why: Line | None = Field(
        default=None, alias="delWhy", description="Why the deletion of a pod does not end."
    )
    delete_leaks: bool | None = Field(
        default=None,
        alias="delLeaks",
        description="Where a deletion does not end, whether the pod's address stays taken; absent "
        "when unknown.",
    )


class After(Model):
    """What will work once the files carry the version to reach."""

    add: bool | None = Field(
        default=None, description="Whether a new pod will get its network; absent when unknown."
    )
    delete: bool | None = Field(
        default=None,
        alias="del",
        description="Whether a pod created after the change can be deleted; absent when unknown.",
    )
    existing_delete: bool | None = Field(
        default=None,
        alias="existingDel",
        description="Whether the pods that run now can be deleted after the change; absent when "
        "unknown.",
    )
    needs_drain: bool | None = Field(
        default=None,
        description="Whether the node must be drained for this change to be safe; absent when "
        "unknown.",
    )
    why: Line | None = Field(default=None, description="Why a drain is needed, or what fails.")
    delete_leaks: bool | None = Field(
        default=None,
        alias="delLeaks",
        description="Where a deletion will not end, whether the pod's address will stay taken; "
        "absent when unknown.",
    )


MOST_FINDINGS = 128


class Finding(Model):
    """One thing that is wrong or worth knowing, and what to do about it."""

    code: Word = Field(
        description="Stable code of the finding; cni-upgrade explain CODE tells more."
    )
    severity: Word = Field(
        default="Info",
        description="Fault (pods are or will be affected), Warning or Info.",
    )
    component: Line | None = Field(
        default=None, description="The file, plugin or runtime that it is about."
    )
    message: Line = Field(default="", description="What was found.")
    action: Line | None = Field(default=None, description="What a person can do about it.")


class Readiness(Model):
    """Whether the node could move to another runtime as it is."""

    runtime: Word = Field(description="The runtime that was asked about, as the policy names it.")
    ready: bool | None = Field(
        default=None,
        description="Whether pods would be created and deleted under every release of it, with "
        "the files as they are; absent when unknown.",
    )
    why: Line = Field(
        default="", description="What would fail under which releases, or why it is not known."
    )
    other_folders: Line | None = Field(
        default=None,
        description="Which releases would read other folders than today's runtime, or may; "
        "absent where none would. An apply sees the folders alone and leaves it as it was found.",
    )


class Report(Model):
    """Everything that an audit tells of a node."""

    runtime: RuntimeInfo | None = Field(
        default=None, description="The container runtime of the node and the versions it takes."
    )
    paths: NodePaths | None = Field(
        default=None, description="The folders of configs, plugins and cache on the node."
    )
    files: Annotated[tuple[FileReport, ...], Field(max_length=128), BeforeValidator(first(128))] = (
        Field(
            default=(),
            description="The config files: the version found, the version to reach, and why not a "
            "higher one.",
        )
    )
    plugins: Annotated[
        tuple[PluginReport, ...], Field(max_length=128), BeforeValidator(first(128))
    ] = Field(
        default=(),
        description="The plugins that the configs use, the versions they support and how that "
        "is known.",
    )
    sandboxes: Counts = Field(
        default_factory=dict,
        description="Number of running pod sandboxes by the CNI version they were added with; "
        'the key "missing" counts those added without one.',
    )
    baseline: Baseline | None = Field(
        default=None,
        description="What works on the node before anything is changed; a change that makes it "
        "worse is taken back.",
    )
    after: After | None = Field(
        default=None, description="What will work once the files carry the version to reach."
    )
    verdict: Word | None = Field(
        default=None,
        description="Of the whole node: Compatible, Rewrite, Blocked, Managed, NoConfig or NotCni "
        "(pods get their network without CNI).",
    )
    findings: Annotated[
        tuple[Finding, ...],
        Field(max_length=MOST_FINDINGS),
        BeforeValidator(first(MOST_FINDINGS)),
    ] = Field(default=(), description="What is wrong or worth knowing, and what to do about it.")
    readiness: Annotated[tuple[Readiness, ...], Field(max_length=9), BeforeValidator(first(9))] = (
        Field(
            default=(),
            description="Whether the node could move to the runtimes of the policy's readinessFor, "
            "and to that of its target.",
        )
    )
