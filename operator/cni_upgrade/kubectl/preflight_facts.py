"""Reads of a cluster what `preflight` judges; what may not be read is named, and stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from cni_upgrade.kube.resources import NAMESPACES as NAMESPACE
from cni_upgrade.kube.resources import NODES, PODS
from cni_upgrade.kubectl.cluster import Cluster, Object
from cni_upgrade.kubectl.errors import PluginError
from cni_upgrade.kubectl.preflight import NAMESPACES, Facts

INSTALLED: Final = (
    ("apiextensions.k8s.io", "customresourcedefinitions", ""),
    ("", "namespaces", ""),
    ("scheduling.k8s.io", "priorityclasses", ""),
    ("rbac.authorization.k8s.io", "clusterroles", ""),
    ("rbac.authorization.k8s.io", "clusterrolebindings", ""),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", ""),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", ""),
    ("", "serviceaccounts", "cni-upgrade-system"),
    ("", "configmaps", "cni-upgrade-system"),
    ("apps", "deployments", "cni-upgrade-system"),
    ("policy", "poddisruptionbudgets", "cni-upgrade-system"),
    ("rbac.authorization.k8s.io", "roles", "cni-upgrade-agents"),
    ("rbac.authorization.k8s.io", "rolebindings", "cni-upgrade-agents"),
)
"""Group, resource and namespace of all that `kubectl apply -k .` creates."""

_T = TypeVar("_T")


def facts(cluster: Cluster) -> Facts:
    """Everything that is judged. Raises PluginError where the API server does not answer at all."""
    version = cluster.raw("/version")
    unread: list[str] = []

    def tried(what: str, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except PluginError as error:
            unread.append(f"{what}: {error}")
            return None

    def served() -> list[str]:
        found = cluster.raw("/apis/admissionregistration.k8s.io/v1")
        return [str(each["name"]) for each in found.get("resources") or ()]

    def ours() -> dict[str, dict[str, str]]:
        found = cluster.all(NAMESPACE)
        return {
            each["metadata"]["name"]: each["metadata"].get("labels") or {}
            for each in found
            if each["metadata"]["name"] in NAMESPACES
        }

    return Facts(
        version=version,
        admission=tried("what the API server serves", served) or (),
        denied=tried("your rights", lambda: _denied(cluster)) or (),
        namespaces=tried("namespaces", ours) or {},
        nodes=tried("nodes", lambda: cluster.all(NODES)),
        pods=tried("pods of all namespaces", lambda: cluster.all(PODS)),
        unread=unread,
    )


def _denied(cluster: Cluster) -> list[str]:
    return [
        resource
        for group, resource, namespace in INSTALLED
        if not _allowed(cluster, group, resource, namespace)
    ]


def _allowed(cluster: Cluster, group: str, resource: str, namespace: str) -> bool:
    asked: Object = {"verb": "create", "group": group, "resource": resource}
    if namespace:
        asked["namespace"] = namespace
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    said = cluster.raw("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool((said.get("status") or {}).get("allowed"))
