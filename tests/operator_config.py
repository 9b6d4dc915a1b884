"""The configuration that the manifests bring, for tests and benchmarks."""

from pathlib import Path
from typing import Any

import yaml

from cni_upgrade.planner.world.operator_config import OperatorConfig, parse

MANIFEST = Path(__file__).parents[1] / "manifests/config.yaml"


def data() -> dict[str, str]:
    """The ConfigMap's keys, as the kubelet makes them files."""
    found: dict[str, str] = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["data"]
    return found


def text() -> str:
    """Both keys as one config.yaml, which the controller takes as well."""
    both = data()
    return f"agentImage: {both['agentImage']}\n{both['config.yaml']}"


def document() -> dict[str, Any]:
    """The same, read."""
    found: dict[str, Any] = yaml.safe_load(text())
    return found


def shipped() -> OperatorConfig:
    """The same, checked."""
    return parse(document())
