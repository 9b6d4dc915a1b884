"""The one node that a pod is bound to by its own spec, written and read.

A kubelet may rewrite labels and annotations of its pods through `pods/status`, never their spec.
So whose agent a pod is stands here, and not in what it is labelled with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_BY_NAME = {"key": "metadata.name", "operator": "In"}


def only_on(node: str) -> dict[str, Any]:
    """Affinity to one node by its name.

    `nodeName` would be rejected under a NoExecute taint; affinity on metadata.name is not.
    """
    terms = [{"matchFields": [{**_BY_NAME, "values": [node]}]}]
    return {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": terms}}}


def only_node(spec: Mapping[str, Any]) -> str:
    """The node that such affinity of a pod's spec names; empty where it leaves a choice."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms: list[Any] = (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    if len(terms) != 1:
        return ""
    named: list[list[str]] = [
        field.get("values") or []
        for field in terms[0].get("matchFields") or []
        if all(field.get(key) == wanted for key, wanted in _BY_NAME.items())
    ]
    return named[0][0] if len(named) == 1 and len(named[0]) == 1 else ""
