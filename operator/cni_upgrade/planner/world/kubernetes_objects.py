"""What the planner needs to know of Kubernetes' own objects, trimmed on the way in.

A Node of a real fleet is 10 KB of JSON; the planner reads about ten of its members. Each class
has an `of()` that takes the object as the API server sends it and keeps nothing else alive.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from cni_upgrade.api.instant import instant
from cni_upgrade.api.names import STOP
from cni_upgrade.planner.world.node_affinity import only_node

Raw = Mapping[str, Any]

_LEVEL = 1
"""Of zlib: a message is packed up to four times, as often as its pod is written."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node: who it is, whether it answers, and what would make its last audit stale."""

    name: str
    uid: str
    resource_version: str = field(compare=False)
    """Guards our own writes; a Node that differs in nothing else is no news."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    unschedulable: bool
    cordoned_by: tuple[str, ...]
    """Field managers that have written `spec.unschedulable` last; none where it is not known."""
    ready: str
    """`True`, `False` or `Unknown`; `Unknown` too where the condition is missing."""
    ready_since: datetime | None
    """When that was last another one, by the clock of whoever wrote it: only to be compared, or
    where hours count and a time that is to come does no harm."""
    runtime: str
    kubelet: str
    boot_id: str
    system: str
    """The operating system, `linux` or `windows`; empty before the kubelet has said it."""
    created: datetime | None
    deleting: bool

    @property
    def down(self) -> bool:
        """Whether it counts as unavailable, whoever took it out."""
        return self.ready != "True" or self.unschedulable

    @classmethod
    def of(cls, raw: Raw) -> Self:
        meta = raw["metadata"]
        status = raw.get("status") or {}
        info = status.get("nodeInfo") or {}
        ready: Raw = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            resource_version=meta.get("resourceVersion", ""),
            labels=meta.get("labels") or {},
            annotations={
                key: value
                for key, value in (meta.get("annotations") or {}).items()
                if key.startswith("cniupgrade.dev/")
            },
            unschedulable=bool((raw.get("spec") or {}).get("unschedulable")),
            cordoned_by=tuple(
                entry.get("manager", "")
                for entry in meta.get("managedFields") or ()
                if "f:unschedulable" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
            ),
            ready=ready.get("status", "Unknown"),
            ready_since=instant(ready.get("lastTransitionTime")),
            runtime=info.get("containerRuntimeVersion", ""),
            kubelet=info.get("kubeletVersion", ""),
            boot_id=info.get("bootID", ""),
            system=info.get("operatingSystem", ""),
            created=instant(meta.get("creationTimestamp")),
            deleting="deletionTimestamp" in meta,
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease on a node: who has it, and until when."""

    name: str
    uid: str
    resource_version: str
    holder: str
    renewed: datetime | None
    seconds: int | None
    transitions: int

    def until(self) -> datetime | None:
        """When it expires; None where it never was valid."""
        if self.renewed is None or self.seconds is None:
            return None
        try:
            return self.renewed + timedelta(seconds=self.seconds)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        meta, spec = raw["metadata"], raw.get("spec") or {}
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            resource_version=meta.get("resourceVersion", ""),
            holder=spec.get("holderIdentity") or "",
            renewed=instant(spec.get("renewTime")),
            seconds=spec.get("leaseDurationSeconds"),
            transitions=spec.get("leaseTransitions") or 0,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended: `status.containerStatuses[].state.terminated`."""

    exit_code: int
    reason: str
    packed: bytes
    """The message, an agent's answer of up to 4 KB, as zlib has it: kept as long as its Job lives,
    an hour, and read once."""

    @property
    def message(self) -> str:
        return zlib.decompress(self.packed).decode("utf-8", "surrogatepass")

    @classmethod
    def of(cls, raw: Raw) -> Self:
        message = (raw.get("message") or "").encode("utf-8", "surrogatepass")
        return cls(
            exit_code=raw.get("exitCode", -1),
            reason=raw.get("reason", ""),
            packed=zlib.compress(message, _LEVEL),
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod: for agents its end and its message, for proofs its sandbox, for drains its ties."""

    namespace: str
    name: str
    uid: str
    node: str
    phase: str
    reason: str
    labels: Mapping[str, str]
    created: datetime | None
    deleted: datetime | None
    """Since when it is to be gone (its grace period included), None while it is wanted."""
    controller: str
    """Kind of the controlling owner (`ReplicaSet`, `DaemonSet`, `Job`), or empty."""
    daemonset: str
    """Name of the DaemonSet that controls it, of Kubernetes' own group; empty for others."""
    mirror: bool
    host_network: bool
    empty_dir: bool
    addressed: bool
    """Its sandbox stands and its network was added.

    The condition that says so is not known to kubelets before 1.29, and those are what this
    operator is most needed on; the address (`status.podIP`) every kubelet tells.
    """
    waiting: str
    """`reason: message` of the first container that waits, empty where none does."""
    ended: Ended | None
    began: bool
    """A container of it was created, if only to be killed."""
    job: str
    """The name of the Job that controls it, empty for a pod of none. Not from a label: the API
    server lets `pods/status` rewrite labels and annotations, and never owners or the spec."""
    only_node: str
    """The node that its affinity names, empty where that leaves a choice."""
    orphaned: bool | None = None
    """Its DaemonSet is not there; None where nobody has looked, for no pod tells."""
    doubt: str = ""
    """Why that could not be learned, though somebody has looked."""

    @property
    def deleting(self) -> bool:
        return self.deleted is not None

    @property
    def finished(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def judged(self) -> bool:
        """Whether it is known if a DaemonSet brings it back; one that has ended may go anyway."""
        return not self.daemonset or self.finished or self.orphaned is not None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def for_node(self) -> str:
        """The node that a pod of ours runs on, or is meant for before it is scheduled."""
        return self.node or self.only_node

    @classmethod
    def of(cls, raw: Raw) -> Self:
        meta = raw["metadata"]
        spec = raw.get("spec") or {}
        status = raw.get("status") or {}
        containers = status.get("containerStatuses") or ()
        states = [c.get("state") or {} for c in containers]
        waiting: Raw = next((s["waiting"] for s in states if "waiting" in s), {})
        ended = next((s["terminated"] for s in states if "terminated" in s), None)
        owners = meta.get("ownerReferences") or ()
        owner: Raw = next((each for each in owners if each.get("controller")), {})
        kind = owner.get("kind", "")
        by_daemonset = kind == "DaemonSet" and owner.get("apiVersion") == "apps/v1"
        by_job = kind == "Job" and owner.get("apiVersion") == "batch/v1"
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            node=spec.get("nodeName", ""),
            phase=status.get("phase", "Pending"),
            reason=status.get("reason", ""),
            labels=meta.get("labels") or {},
            created=instant(meta.get("creationTimestamp")),
            deleted=instant(meta.get("deletionTimestamp")),
            controller=kind,
            daemonset=owner["name"] if by_daemonset else "",
            mirror="kubernetes.io/config.mirror" in (meta.get("annotations") or {}),
            host_network=bool(spec.get("hostNetwork")),
            empty_dir=any("emptyDir" in volume for volume in spec.get("volumes") or ()),
            addressed=bool(status.get("podIP")),
            waiting=": ".join(filter(None, (waiting.get("reason"), waiting.get("message")))),
            ended=None if ended is None else Ended.of(ended),
            # A kubelet that gives a pod up says "terminated" of a container that never was; only
            # the runtime gives it an id.
            began=any(c.get("containerID") for c in containers),
            job=owner["name"] if by_job else "",
            only_node=only_node(spec),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A Job: only whether Kubernetes has given up on it; the answer is read off its pod."""

    name: str
    uid: str
    for_node: str
    """The node that its template names: the API server keeps that of a Job that was started."""
    failed: str
    """`reason: message` once the Job failed or is about to (FailureTarget), empty before."""
    complete: bool
    deleting: bool
    created: datetime | None

    @classmethod
    def of(cls, raw: Raw) -> Self:
        meta = raw["metadata"]
        conditions = {
            c["type"]: c
            for c in (raw.get("status") or {}).get("conditions") or ()
            if c["status"] == "True"
        }
        template = (raw.get("spec") or {}).get("template") or {}
        failed = conditions.get("Failed") or conditions.get("FailureTarget") or {}
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            for_node=only_node(template.get("spec") or {}),
            failed=": ".join(filter(None, (failed.get("reason"), failed.get("message")))),
            complete="Complete" in conditions,
            deleting="deletionTimestamp" in meta,
            created=instant(meta.get("creationTimestamp")),
        )


@dataclass(frozen=True, slots=True)
class Namespace:
    """The namespace of the agents: only whether it carries the switch that stops everything."""

    name: str
    stopped: str
    """Why everything is stopped, in the words of who did it; empty while it is not."""
    since: datetime | None
    """When that annotation was last written, by the API server's clock."""

    @classmethod
    def of(cls, raw: Raw) -> Self:
        meta = raw["metadata"]
        said = (meta.get("annotations") or {}).get(STOP)
        stopped = said is not None and said.lower() != "false"
        written = [
            instant(entry.get("time"))
            for entry in meta.get("managedFields") or ()
            if f"f:{STOP}"
            in ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations", {})
        ]
        return cls(
            name=meta["name"],
            stopped=(said or "no reason was given") if stopped else "",
            since=max(filter(None, written), default=None) if stopped else None,
        )
