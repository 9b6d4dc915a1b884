"""The support bundle: what helps to understand a fleet, without secrets, as one archive."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cni_upgrade.kube.resources import (
    ADMISSION_BINDINGS,
    ADMISSION_POLICIES,
    BUDGETS,
    CONFIGMAPS,
    EVENTS,
    JOBS,
    LEASES,
    NODE_STATES,
    NODES,
    PODS,
    POLICIES,
    Resource,
)
from cni_upgrade.kubectl import redact
from cni_upgrade.kubectl.cluster import Cluster, Object
from cni_upgrade.kubectl.errors import PluginError

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments")
CONFIG: Final = "cni-upgrade-operator"
MOST_LOGS: Final = 100
"""Pods of a namespace whose logs are taken, the newest first."""


@dataclass
class Bundle:
    """Files by name, and what could not be had."""

    files: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, read: Callable[[], object]) -> None:
        """One file; what cannot be read is noted and stops nothing."""
        try:
            found = read()
        except PluginError as error:
            self.missing.append(f"{name}: {redact.text(str(error))}")
            return
        if isinstance(found, str):
            self.files[name] = redact.text(found)
        else:
            self.files[name] = json.dumps(redact.value(found), indent=1) + "\n"


def collect(cluster: Cluster, system: str, agents: str, proof: str) -> Bundle:
    """Everything of ours, the Nodes as far as they matter, and logs; no Secret is asked for."""
    bundle = Bundle()
    bundle.add("version.json", lambda: cluster.raw("/version"))
    bundle.add("policies.json", lambda: cluster.all(POLICIES))
    bundle.add("nodestates.json", lambda: cluster.all(NODE_STATES))
    bundle.add("nodes.json", lambda: [_node(each) for each in cluster.all(NODES)])
    bundle.add("budgets.json", lambda: cluster.all(BUDGETS))
    bundle.add("admission-policies.json", lambda: _ours(cluster.all(ADMISSION_POLICIES)))
    bundle.add("admission-bindings.json", lambda: _ours(cluster.all(ADMISSION_BINDINGS)))
    bundle.add("config.json", lambda: cluster.get(CONFIGMAPS, CONFIG, system))
    bundle.add("deployments.json", lambda: cluster.all(DEPLOYMENTS, system))
    bundle.add("leases.json", lambda: cluster.all(LEASES, system))
    bundle.add("jobs.json", lambda: cluster.all(JOBS, agents))
    for namespace in (system, agents, proof):
        bundle.add(f"{namespace}/events.json", _listed(cluster, EVENTS, namespace))
        bundle.add(f"{namespace}/pods.json", _listed(cluster, PODS, namespace))
        if namespace != proof:
            for name, read in _logs(cluster, namespace):
                bundle.add(name, read)
    if bundle.missing:
        bundle.files["missing.txt"] = "\n".join(bundle.missing) + "\n"
    return bundle


def write(bundle: Bundle, path: Path, now: datetime) -> None:
    """The archive, for its owner's eyes alone. Raises PluginError where it cannot be written."""
    folder = path.name.partition(".")[0]
    try:
        path.touch(mode=0o600, exist_ok=False)
        with tarfile.open(path, "w:gz") as archive:
            for name, text in sorted(bundle.files.items()):
                data = text.encode()
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(now.timestamp()), 0o600
                archive.addfile(entry, io.BytesIO(data))
    except FileExistsError as error:
        raise PluginError(f"{path} is there already: name another one with --output") from error
    except OSError as error:
        raise PluginError(f"{path}: {error.strerror or error}") from error


def _listed(cluster: Cluster, resource: Resource, namespace: str) -> Callable[[], list[Object]]:
    return lambda: cluster.all(resource, namespace)


def _logs(cluster: Cluster, namespace: str) -> Iterator[tuple[str, Callable[[], str]]]:
    try:
        pods = cluster.all(PODS, namespace)
    except PluginError:
        return  # pods.json has said so
    pods.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    for pod in pods[:MOST_LOGS]:
        name = str(pod["metadata"]["name"])
        yield f"{namespace}/logs/{name}.log", _log(cluster, namespace, name)


def _log(cluster: Cluster, namespace: str, name: str) -> Callable[[], str]:
    return lambda: cluster.log(namespace, name)


def _node(found: Object) -> Object:
    """A Node without its annotations, images and volumes: those are not ours to carry off."""
    meta, status = found["metadata"], found.get("status") or {}
    return {
        "metadata": {key: meta.get(key) for key in ("name", "uid", "labels", "creationTimestamp")},
        "spec": {key: (found.get("spec") or {}).get(key) for key in ("unschedulable", "taints")},
        "status": {key: status.get(key) for key in ("conditions", "nodeInfo")},
    }


def _ours(found: list[Object]) -> list[Object]:
    return [each for each in found if each["metadata"]["name"].startswith("cni-upgrade-")]
