"""What people are told to set exists: a field by its path, a value by its word."""

import ast
import re
from pathlib import Path
from typing import Any

import cni_upgrade
from cni_upgrade.api.crd import NODE_STATE, POLICY, crd

SOURCES = sorted(Path(str(cni_upgrade.__path__[0])).rglob("*.py"))
SCHEMAS: list[dict[str, Any]] = [
    crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for resource in (POLICY, NODE_STATE)
]
FIELD = re.compile(r"\b(?:spec|status)(?:\.[a-z][A-Za-z]+)+")
VALUE = re.compile(r"\b(spec(?:\.[a-z][A-Za-z]+)+)(?: be |: )([A-Z][A-Za-z]+)")
OF_OTHERS = {
    "spec.nodeName",
    "spec.podCIDR",
    "spec.unschedulable",
    "status.go",  # a file of containerd's
    "status.containerStatuses",
    "status.nodeInfo.containerRuntimeVersion",
    "status.podIP",
}
"""Fields of Nodes and pods, and what else looks like a field of ours."""


def said() -> list[str]:
    """Every string in the code that is no comment on it."""
    return [
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def field(path: str) -> dict[str, Any] | None:
    """The schema of a field of a policy or a node state."""
    for schema in SCHEMAS:
        for name in path.split("."):
            schema = schema.get("items", schema).get("properties", {}).get(name)
            if schema is None:
                break
        else:
            return dict(schema)
    return None


def test_every_field_that_is_named_exists() -> None:
    named = {path for text in said() for path in FIELD.findall(text)} - OF_OTHERS
    assert len(named) > 20
    assert [path for path in sorted(named) if field(path) is None] == []


def test_every_value_that_is_advised_can_be_set() -> None:
    advised = {pair for text in said() for pair in VALUE.findall(text)}
    assert len(advised) > 1
    wrong = [
        pair for pair in sorted(advised) if pair[1] not in (field(pair[0]) or {}).get("enum", ())
    ]
    assert wrong == []
