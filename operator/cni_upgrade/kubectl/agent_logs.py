"""The logs of the agents that worked on a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cni_upgrade.api import names
from cni_upgrade.kube.resources import PODS
from cni_upgrade.kubectl.cluster import Cluster
from cni_upgrade.kubectl.errors import PluginError

_LONGEST_LABEL = 63


def agent_pods(cluster: Cluster, namespace: str, node: str) -> list[str]:
    """The names of the pods that worked there, the oldest first. Raises PluginError for none."""
    selector = f"{names.LABEL_COMPONENT}=agent"
    if len(node) <= _LONGEST_LABEL:
        selector += f",{names.LABEL_NODE}={node}"
    pods = [
        pod
        for pod in cluster.all(PODS, namespace, labelSelector=selector)
        if _node(pod["metadata"]) == node
    ]
    if not pods:
        raise PluginError(
            f"no agent's pod is there for node {node}: they go an hour after they ended. "
            f"Its record stays: kubectl cni-upgrade why {node}"
        )
    pods.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
    return [str(pod["metadata"]["name"]) for pod in pods]


def _node(meta: Mapping[str, Any]) -> str:
    annotated = (meta.get("annotations") or {}).get(names.LABEL_NODE)
    return str(annotated or (meta.get("labels") or {}).get(names.LABEL_NODE) or "")
