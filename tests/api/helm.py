"""Helm against one control plane, as a person would run it, and what the chart renders."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.api.shipped import ROOT
from tests.cluster import build

CHART = ROOT / "charts" / "cni-upgrade-operator"
RELEASE = ("cni-upgrade", "--namespace", "kube-system")
Objects = dict[tuple[str, str], dict[str, Any]]


def helm(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it; `home` keeps what it keeps of its own, its exit code is for you."""
    build.ensure(["helm"])
    return subprocess.run(
        [str(build.home("helm") / "helm"), *words],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def rendered(home: Path, *words: str) -> Objects:
    """The objects of the chart, with values as `--set` and the like."""
    done = helm(home, "template", *RELEASE, str(CHART), *words)
    assert done.returncode == 0, done.stderr
    return by_name(done.stdout)


def by_name(text: str) -> Objects:
    """By kind, and namespace and name; texts are `folded`."""
    found = [obj for obj in yaml.safe_load_all(text) if obj]
    named = {
        (o["kind"], f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}"): folded(o)
        for o in found
    }
    assert len(named) == len(found)
    return named


def folded(value: Any) -> Any:
    """Without blank lines: kustomize doubles the line ends of folded texts; CEL does not care."""
    if isinstance(value, dict):
        return {key: folded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [folded(each) for each in value]
    if isinstance(value, str):
        return "\n".join(line for line in value.splitlines() if line.strip())
    return value
