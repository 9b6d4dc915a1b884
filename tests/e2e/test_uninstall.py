"""Taken out in the middle of a rollout, the operator leaves real nodes whole and schedulable."""

from __future__ import annotations

import os
import subprocess

from tests.e2e.api import CORE
from tests.e2e.world import ROOT, World

_KINDS = (
    "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,priorityclasses,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)


def test_uninstalled_in_the_middle(world: World) -> None:
    nodes = {"node-a": "1.0.0", "node-b": "0.4.0"}
    busy = world.at_work(*nodes)
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
    # The controller has finished with it, before the script asked who is at work or meanwhile.
    for missed in ("not finished within", "no controller is running", "uncordoning"):
        assert missed not in done.stdout, f"{busy} was to be finished: {done.stdout}"
    for name, to in nodes.items():
        machine = world.machine(name)
        assert machine.config.read_text() in {machine.faulty(), machine.at_version(to)}
        assert [p.name for p in machine.configs.iterdir()] == [machine.config.name]
    world.not_cordoned(*nodes)
    left = world.kubectl("get", _KINDS, "-o", "name").stdout
    assert [x for x in left.splitlines() if "cni-upgrade" in x or "cniupgrade" in x] == []
    pods = world.api.items(f"{CORE}/pods")
    assert [p for p in pods if p["metadata"]["namespace"].startswith("cni-upgrade")] == []
