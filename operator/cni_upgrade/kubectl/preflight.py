"""May this cluster take the operator? Facts in, verdicts out; `preflight_facts.py` reads them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cni_upgrade.cni.runtimes import JUDGED, NAMES
from cni_upgrade.kubectl.terminal import Terminal

OLDEST: Final = (1, 30)
"""The first release that serves ValidatingAdmissionPolicy v1 by default."""

PORTS: Final = (8080, 8081)
NAMESPACES: Final = {
    "cni-upgrade-system": "privileged",
    "cni-upgrade-agents": "privileged",
    "cni-upgrade-proof": "restricted",
}
"""Each with the pod security level that manifests/namespaces.yaml asks for."""

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_OURS: Final = {"app.kubernetes.io/name": "cni-upgrade-operator"}


class Grade(StrEnum):
    """How one check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, how it came out, and what would cure it."""

    grade: Grade
    about: str
    text: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of the cluster. None stands for what could not be read."""

    version: Mapping[str, Any]
    admission: Sequence[str] = ()
    """Resources of admissionregistration.k8s.io/v1."""
    denied: Sequence[str] = ()
    """What the person may not create."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of those of our namespaces that are there."""
    nodes: Sequence[Mapping[str, Any]] | None = None
    pods: Sequence[Mapping[str, Any]] | None = None
    unread: Sequence[str] = ()
    """What could not be read, and why."""


def checks(facts: Facts) -> list[Check]:
    """Every check, in the order in which an installation would meet it."""
    found = [_version(facts.version), _admission(facts.admission), _rights(facts.denied)]
    found += _pod_security(facts.namespaces)
    if facts.nodes is not None:
        found += _nodes(facts.nodes)
        if facts.pods is not None:
            found.append(_ports(facts.nodes, facts.pods))
    found += [Check(Grade.WARN, "not known", text) for text in facts.unread]
    return found


def lines(found: Iterable[Check], terminal: Terminal) -> list[str]:
    """One line for each check, its cure below it, and the sum."""
    told: list[str] = []
    counts: Counter[Grade] = Counter()
    colours = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "red"}
    for check in found:
        counts[check.grade] += 1
        head = f"{check.grade:<5} {check.about}: {check.text}"
        first, *rest = terminal.wrap(head, 0, 6)
        told.append(terminal.paint(f"{check.grade:<5}", colours[check.grade]) + first[5:])
        told += rest
        told += terminal.wrap(f"-> {check.cure}", 6, 9) if check.cure else []
    may = "may not take" if counts[Grade.FAIL] else "may take"
    told += ["", f"The cluster {may} the operator: {_sum(counts)}."]
    return told


def _sum(counts: Mapping[Grade, int]) -> str:
    words = {Grade.OK: "well", Grade.WARN: "to be looked at", Grade.FAIL: "failed"}
    return ", ".join(f"{counts.get(grade, 0)} {word}" for grade, word in words.items())


def _version(version: Mapping[str, Any]) -> Check:
    text = str(version.get("gitVersion") or "unknown")
    parts = [re.match(r"\d+", str(version.get(key) or "")) for key in ("major", "minor")]
    known = tuple(int(part[0]) for part in parts if part)
    if len(known) < 2:
        return Check(Grade.WARN, "API server", f"its version {text} is none that is understood")
    if known < OLDEST:
        cure = "agents would run without the fence of admission.yaml: upgrade the control plane"
        return Check(Grade.FAIL, "API server", f"{text} is older than 1.30", cure)
    return Check(Grade.OK, "API server", text)


def _admission(resources: Sequence[str]) -> Check:
    wanted = {"validatingadmissionpolicies", "validatingadmissionpolicybindings"}
    missing = sorted(wanted - set(resources))
    if missing:
        text = f"admissionregistration.k8s.io/v1 has no {' and no '.join(missing)}"
        cure = "switch on the feature gate ValidatingAdmissionPolicy of the API server"
        return Check(Grade.FAIL, "admission", text, cure)
    return Check(Grade.OK, "admission", "ValidatingAdmissionPolicy v1 is served")


def _rights(denied: Sequence[str]) -> Check:
    if denied:
        text = f"you may not create {', '.join(denied)}"
        return Check(Grade.FAIL, "rights", text, "install it as a cluster-admin")
    return Check(Grade.OK, "rights", "you may create all that is installed")


def _pod_security(namespaces: Mapping[str, Mapping[str, str]]) -> Iterator[Check]:
    for name, level in NAMESPACES.items():
        has = namespaces.get(name, {}).get(_ENFORCE)
        if name in namespaces and level == "privileged" and has not in (None, "privileged"):
            text = f"namespace {name} enforces {has}, and its pods need {level}"
            cure = f"kubectl label namespace {name} --overwrite {_ENFORCE}={level}"
            yield Check(Grade.FAIL, "pod security", text, cure)
    there = ", ".join(sorted(set(namespaces) & set(NAMESPACES)))
    text = f"there already: {there}" if there else "our namespaces are not there yet"
    yield Check(Grade.OK, "namespaces", text)


def _nodes(nodes: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    infos = [(each.get("status") or {}).get("nodeInfo") or {} for each in nodes]
    linux = [info for info in infos if (info.get("operatingSystem") or "linux") == "linux"]
    if not linux:
        yield Check(Grade.FAIL, "nodes", "no Linux node is there", "add one")
        return
    other = len(infos) - len(linux)
    more = f", and {other} that no agent is sent to" if other else ""
    grade = Grade.WARN if len(linux) == 1 else Grade.OK
    cure = "scale the operator to 1: both replicas need the same ports" if len(linux) == 1 else ""
    yield Check(grade, "nodes", f"{len(linux)} Linux nodes{more}", cure)
    machines = Counter(info.get("architecture") or "unknown" for info in linux)
    if set(machines) != {"amd64"}:
        text = ", ".join(f"{count} {name}" for name, count in sorted(machines.items()))
        cure = "images for each architecture under one name (an image index); amd64 alone was tried"
        yield Check(Grade.WARN, "architectures", text, cure)
    unknown = Counter(
        info.get("containerRuntimeVersion") or "unknown"
        for info in linux
        if NAMES.get(str(info.get("containerRuntimeVersion")).partition("://")[0]) not in JUDGED
    )
    if unknown:
        text = ", ".join(f"{count} nodes with {name}" for name, count in sorted(unknown.items()))
        yield Check(Grade.WARN, "runtimes", text, "only containerd and CRI-O are judged")


def _ports(nodes: Sequence[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]]) -> Check:
    """Whether the ports of the host network are free: the scheduler passes over nodes where a pod
    has declared them. What runs on a node without a pod is not seen."""
    taken: dict[str, list[str]] = defaultdict(list)
    for pod in pods:
        labels = (pod.get("metadata") or {}).get("labels") or {}
        ours = all(labels.get(key) == value for key, value in _OURS.items())
        ports = [] if ours else sorted(set(_host_ports(pod)) & set(PORTS))
        node = (pod.get("spec") or {}).get("nodeName")
        if ports and node:
            meta = pod["metadata"]
            named = ", ".join(map(str, ports))
            taken[node].append(f"{meta.get('namespace')}/{meta.get('name')} ({named})")
    free = len(nodes) - len(taken)
    if not taken:
        return Check(Grade.OK, "ports 8080, 8081", "no pod has them on any node")
    node, holders = sorted(taken.items())[0]
    text = f"taken on {len(taken)} of {len(nodes)} nodes, on {node} by {', '.join(holders)}"
    cure = "move those pods, or give the operator other ports (--metrics-port, --health-port)"
    if free < 1:
        return Check(Grade.FAIL, "ports 8080, 8081", text, cure)
    return Check(Grade.WARN, "ports 8080, 8081", text, f"the operator takes one of {free} others")


def _host_ports(pod: Mapping[str, Any]) -> Iterator[int]:
    """Ports of the node that a pod has declared; on the host network each of its ports is one."""
    spec = pod.get("spec") or {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for port in container.get("ports") or ():
            number = port.get("hostPort")
            if number is None and spec.get("hostNetwork"):
                number = port.get("containerPort")
            if isinstance(number, int):
                yield number
