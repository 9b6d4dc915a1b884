"""The smallest objects that the API takes, for tests to add to."""

from typing import Any

from cni_upgrade.api import names

AT = "2026-01-02T03:04:05Z"
NOT_SEEN = {"observedGeneration": -1}
"""The status of an object that no controller has looked at."""


def policy(name: str = "p", **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.POLICY_KIND,
        "metadata": {"name": name},
        "spec": {"nodeSelector": {}, **spec},
    }


def node_state(name: str = "n", **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.NODE_STATE_KIND,
        "metadata": {"name": name},
        "spec": {"nodeUID": "u", **spec},
    }


def warning(namespace: str, name: str) -> dict[str, Any]:
    """An Event about a pod that has the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Warning",
        "reason": "Failed",
        "message": "no image",
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": name, "uid": name},
    }
