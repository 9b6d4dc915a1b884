"""Takes the operator out with its script, and looks at what is left of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from tests.e2e.api import CORE
from tests.e2e.world import ROOT, World

_KINDS = (
    "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,priorityclasses,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)


def by_script(world: World) -> str:
    """Take it out with `manifests/uninstall.sh`; what the script said."""
    kubectl = f"{world.cluster.kubectl} --kubeconfig={world.cluster.kubeconfig}"
    done = subprocess.run(
        ["sh", str(ROOT / "manifests/uninstall.sh")],
        env={**os.environ, "KUBECTL": kubectl},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def left(world: World) -> list[str]:
    """What there is of ours outside of namespaces, and our pods."""
    found = world.kubectl("get", _KINDS, "-o", "name").stdout.splitlines()
    pods = [pod["metadata"] for pod in world.api.items(f"{CORE}/pods")]
    return [x for x in found if "cni-upgrade" in x or "cniupgrade" in x] + [
        f"{pod['namespace']}/{pod['name']}"
        for pod in pods
        if pod["namespace"].startswith("cni-upgrade")
    ]


def check_nodes(world: World, nodes: Mapping[str, str]) -> None:
    """Each config is as it was or as it was to be, alone in its folder; no node is cordoned."""
    for name, to in nodes.items():
        machine = world.machine(name)
        assert machine.config.read_text() in {machine.faulty(), machine.at_version(to)}
        assert [p.name for p in machine.configs.iterdir()] == [machine.config.name]
    world.not_cordoned(*nodes)
