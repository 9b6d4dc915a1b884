"""Nodes without machines: Node objects of a real one's size, and kwok, which plays their kubelets.

A pod of ours takes as long as `Pace` says, which is all that the figures know of a kubelet: an
agent's pod runs and ends with its message, a proof pod gets its network, a deleted one goes.
Where nobody looks at them Leases are not renewed (5,000 of them use two cores by themselves, and
no Lease reaches the controller); the Node's own status is written every five minutes, as by a
kubelet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.bench.answers import RUNTIME, Answers
from tests.cluster import build, process

Object = dict[str, Any]

LABEL = "bench.cniupgrade.dev/fleet"
"""On every node that is ours."""

PREFIX = "node-"
"""Of a node's name."""

_KUBELET = "v1.34.4"
_BEFORE_OTHERS = -10
"""The niceness of its session among others (sched(7), autogroup), where we may set it."""
_REGISTERED = "2026-01-02T03:04:05Z"
"""When a Node's status says that its kubelet was last heard, until the first time that it is."""


@dataclass(frozen=True)
class Pace:
    """Seconds that a node's kubelet takes."""

    start: float = 0.5
    """Until a pod's sandbox stands and its containers run."""
    run: float = 0.5
    """That an agent runs."""
    stop: float = 0.5
    """Until a deleted pod is gone."""

    @property
    def agent(self) -> float:
        return self.start + self.run

    @property
    def proof(self) -> float:
        """A pod from before that goes, and a fresh one that comes and goes."""
        return 2 * (self.start + self.stop)


def node(number: int) -> Object:
    """A Node of about 10 KB, Ready, as a kubelet of a cloud registers it and keeps it."""
    name = f"{PREFIX}{number:05}"
    zone = f"eu-1{'abc'[number % 3]}"
    conditions = [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "reason": reason,
            "message": f"kubelet says that {reason}",
            "lastHeartbeatTime": _REGISTERED,
            "lastTransitionTime": _REGISTERED,
        }
        for kind, reason in (
            ("Ready", "KubeletReady"),
            ("MemoryPressure", "KubeletHasSufficientMemory"),
            ("DiskPressure", "KubeletHasNoDiskPressure"),
            ("PIDPressure", "KubeletHasSufficientPID"),
        )
    ]
    room = {"cpu": "16", "memory": "65536Mi", "pods": "110", "ephemeral-storage": "200Gi"}
    images = [
        {
            "names": [
                f"registry.example.com/team-{n % 7}/service-{n}@sha256:{n:064x}",
                f"registry.example.com/team-{n % 7}/service-{n}:2026.1.{n}",
            ],
            "sizeBytes": 50_000_000 + n,
        }
        for n in range(45)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                LABEL: "true",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": "m-16",
                "topology.kubernetes.io/region": "eu-1",
                "topology.kubernetes.io/zone": zone,
            },
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0",
                "csi.volume.kubernetes.io/nodeid": json.dumps({"disk.example.com": f"i-{number}"}),
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": {"podCIDR": f"10.{number // 256}.{number % 256}.0/24", "providerID": f"x://{name}"},
        "status": {
            "phase": "Running",
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "capacity": room,
            "allocatable": room,
            "conditions": conditions,
            "images": images,
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": f"boot-{number}",
                "containerRuntimeVersion": RUNTIME,
                "kernelVersion": "6.1.0",
                "kubeProxyVersion": _KUBELET,
                "kubeletVersion": _KUBELET,
                "machineID": f"{number:032x}",
                "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux 12 (bookworm)",
                "systemUUID": f"{number:032x}",
            },
        },
    }


def _stage(name: str, kind: str, where: list[Object], seconds: float, then: Object) -> Object:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": where},
            "delay": {"durationMilliseconds": round(1000 * seconds)},
            "next": then,
        },
    }


def _is(key: str, *values: str) -> Object:
    return {"key": key, "operator": "In", "values": list(values)}


_COMPONENT = '.metadata.labels["cniupgrade.dev/component"]'
_GONE = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
_WANTED = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}

_STARTED = """
{{ $now := Now }}
{{ $gated := .spec.readinessGates }}
conditions:
{{ range $_, $type := list "PodReadyToStartContainers" "Initialized" "ContainersReady" "Ready" }}
- lastTransitionTime: {{ $now | Quote }}
  {{ if and (eq $type "Ready") $gated }}
  status: "False"
  {{ else }}
  status: "True"
  {{ end }}
  type: {{ $type }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  started: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
hostIP: 127.0.0.1
podIP: 10.0.0.1
phase: Running
startTime: {{ $now | Quote }}
"""

_ENDED = """
{{ $now := Now }}
{{ $id := index .metadata.labels "cniupgrade.dev/operation" }}
{{ $node := index .metadata.annotations "cniupgrade.dev/node" }}
{{ $message := %(apply)s }}
{{ if hasPrefix "audit-" $id }}{{ $message = %(audit)s }}{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
      message: {{ $message | replace "@ID@" $id | replace "@NODE@" $node | Quote }}
{{ end }}
phase: Succeeded
"""

_HEARTBEAT = """
{{ $now := Now }}
conditions:
{{ range .status.conditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ .lastTransitionTime | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
"""


def stages(answers: Answers, pace: Pace, heartbeat: float) -> list[Object]:
    """What a kubelet does, as kwok reads it."""
    pending = _is(".status.phase", "Pending")
    running = _is(".status.phase", "Running")
    # A string of JSON is one of Go as well, as long as it needs no pair of surrogates.
    ended = _ENDED % {"audit": json.dumps(answers.audit), "apply": json.dumps(answers.apply)}
    beat = {"statusTemplate": _HEARTBEAT}
    silent = _is(".status.conditions[0].lastHeartbeatTime", _REGISTERED)
    # From the first minute on as many in a second as ever: what is measured first has them too.
    first = _stage("node-first-heartbeat", "Node", [silent], 0, beat)
    again = _stage(
        "node-heartbeat", "Node", [{**silent, "operator": "NotIn"}], 0.75 * heartbeat, beat
    )
    # kwok takes a time between the two.
    first["spec"]["delay"]["jitterDurationMilliseconds"] = round(1000 * heartbeat)
    again["spec"]["delay"]["jitterDurationMilliseconds"] = round(1250 * heartbeat)
    return [
        # Ours alone: a DaemonSet's pod that were Ready here would be sent what others ask for.
        _stage(
            "pod-start",
            "Pod",
            [_WANTED, pending, _is(_COMPONENT, "agent", "proof")],
            pace.start,
            {"statusTemplate": _STARTED},
        ),
        _stage(
            "agent-end",
            "Pod",
            [_WANTED, running, _is(_COMPONENT, "agent")],
            pace.run,
            {"statusTemplate": ended},
        ),
        _stage(
            "pod-stop", "Pod", [_GONE], pace.stop, {"finalizers": {"empty": True}, "delete": True}
        ),
        first,
        again,
    ]


@contextmanager
def playing(
    folder: Path, kubeconfig: Path, played: list[Object], lease_seconds: int
) -> Iterator[int]:
    """Run kwok for the length of a block; answers its pid."""
    build.ensure(("kwok",))
    options = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "podPlayStageParallelism": 32,
            "nodePlayStageParallelism": 8,
            "podsOnNodeSyncParallelism": 8,
            "nodeLeaseDurationSeconds": lease_seconds,
        },
    }
    config = folder / "kwok.yaml"
    config.write_text(yaml.safe_dump_all([options, *played]))
    pidfile = folder / "kwok.pid"
    pid = process.spawn(
        [
            build.home("kwok") / "kwok",
            f"--kubeconfig={kubeconfig}",
            f"--config={config}",
            f"--manage-nodes-with-label-selector={LABEL}=true",
        ],
        log=folder / "kwok.log",
        pidfile=pidfile,
    )
    # Kubelets have machines of their own. One that plays all of them and is late has its watch of
    # all pods ended by the API server, and with thousands of them there it never catches up again.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_BEFORE_OTHERS))
    try:
        yield pid
    finally:
        process.stop(pidfile, grace=3)
