"""Writes the CRDs from the models, so that the API and the code that reads it cannot differ.

python -m cni_upgrade.api.crd crds/
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cni_upgrade.api import names
from cni_upgrade.api.base import Model
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.schema import Schema, UnsayableError, structural_schema


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; the wide ones are shown with `-o wide`."""

    name: str
    type: str
    path: str
    description: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """What a CRD says beside the schema."""

    model: type[Model]
    kind: str
    plural: str
    singular: str
    short: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    """Fields that `kubectl get --field-selector` takes. Source: KEP-4358, on by default since
    Kubernetes 1.31; older API servers leave them out, and select by labels only."""

    @property
    def file_name(self) -> str:
        return f"{names.GROUP}_{self.plural}.yaml"


_READY: Final = '.status.conditions[?(@.type=="Ready")].'
_AGE: Final = Column("Age", "date", ".metadata.creationTimestamp", "Time since creation.")

POLICY: Final = Resource(
    CNIUpgradePolicy,
    names.POLICY_KIND,
    names.POLICY_PLURAL,
    names.POLICY_SINGULAR,
    names.POLICY_SHORT,
    (
        Column("Mode", "string", ".spec.mode", "Audit looks, Enforce changes."),
        Column("Ready", "string", _READY + "status", "Whether the policy has done its work."),
        Column("Reason", "string", _READY + "reason", "Why it is ready, or what it waits for."),
        Column("Nodes", "integer", ".status.summary.matched", "Nodes selected."),
        Column("UpToDate", "integer", ".status.summary.upToDate", "Nodes that need no change."),
        Column("Outdated", "integer", ".status.summary.outdated", "Nodes that need a change."),
        Column("Failed", "integer", ".status.summary.failed", "Failed or rolled back."),
        Column("Working", "integer", ".status.summary.working", "Being worked on.", True),
        Column("Waiting", "integer", ".status.summary.waiting", "Waiting to begin.", True),
        Column("Blocked", "integer", ".status.summary.blocked", "Cannot be changed safely.", True),
        Column("Target", "string", ".spec.target.cni.version", "CNI version to reach.", True),
        _AGE,
        Column("Message", "string", ".status.message", "Where the rollout is.", True),
    ),
)
NODE_STATE: Final = Resource(
    CNINodeState,
    names.NODE_STATE_KIND,
    names.NODE_STATE_PLURAL,
    names.NODE_STATE_SINGULAR,
    names.NODE_STATE_SHORT,
    (
        Column("Phase", "string", ".status.phase", "Where the node is on its way."),
        Column("Since", "date", ".status.phaseSince", "How long it has been there."),
        Column("Reason", "string", ".status.reason", "Why it is there."),
        Column("Found", "string", ".status.found", "CNI version of the active config."),
        Column("Target", "string", ".status.target", "CNI version to reach, or reached."),
        Column("Runtime", "string", ".status.observed.runtimeVersion", "Container runtime."),
        Column("Policy", "string", ".spec.policyRef.name", "Policy that has claimed it.", True),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since creation.", True),
        Column("Message", "string", ".status.message", "What is waited for.", True),
    ),
    # No labels: metadata and status are two writes, and these change with every step.
    (".status.phase", ".status.reason", ".status.found", ".status.verdict"),
)
RESOURCES: Final = (POLICY, NODE_STATE)


def crd(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition; raises UnsayableError on what a CRD cannot express."""
    schema = structural_schema(resource.model)
    for path in (*(column.path for column in resource.columns), *resource.selectable):
        _require(schema, path)
    selectable = [{"jsonPath": path} for path in resource.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Cluster",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.singular,
                "shortNames": [resource.short],
                "categories": [names.CATEGORY],
            },
            "conversion": {"strategy": "None"},
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(c) for c in resource.columns],
                    **({"selectableFields": selectable} if selectable else {}),
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    shown = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return shown | {"priority": 1} if column.wide else shown


def _require(schema: Schema, path: str) -> None:
    """A column of a field that is not there would be silently empty."""
    if path.startswith(".metadata."):
        return
    for name in re.sub(r"\[.*?\]", "", path).removeprefix(".").split("."):
        schema = schema.get("items", schema)
        if name not in schema.get("properties", {}):
            raise UnsayableError(path, "a printer column shows a field that does not exist")
        schema = schema["properties"][name]


class _Dumper(yaml.SafeDumper):
    """Without anchors, which kubectl reads and people do not."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def render(resource: Resource) -> str:
    """The file in `crds/`."""
    head = "# Generated from the models: python -m cni_upgrade.api.crd crds/\n---\n"
    return head + yaml.dump(
        crd(resource), Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True
    )


def main(arguments: Sequence[str]) -> int:
    """Write every CRD into the folder that is named."""
    if len(arguments) != 1:
        print("usage: python -m cni_upgrade.api.crd FOLDER", file=sys.stderr)
        return 2
    for resource in RESOURCES:
        path = Path(arguments[0]) / resource.file_name
        path.write_text(render(resource), encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
