"""The chart on real nodes: installed, upgraded, rolled back, and taken out in mid-rollout."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.api.helm import CHART, RELEASE, helm
from tests.e2e import taking_out
from tests.e2e.api import POLICIES, STATES
from tests.e2e.world import DEPLOYMENT, World

NODES = {"node-a": "1.0.0", "node-b": "0.4.0"}
KEPT = [
    f"customresourcedefinition.apiextensions.k8s.io/{kind}.cniupgrade.dev"
    for kind in ("cninodestates", "cniupgradepolicies")
]


class Chart:
    """The release of the chart in one cluster."""

    def __init__(self, world: World, home: Path) -> None:
        self._world = world
        self._helm = partial(helm, home)

    def __call__(self, verb: str, *words: str) -> str:
        """Run Helm on the release, waiting for the result; its output."""
        config = f"--kubeconfig={self._world.cluster.kubeconfig}"
        done = self._helm(verb, *RELEASE, *words, config, "--wait", "--timeout", "4m")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def chart(installed: World, tmp_path: Path) -> Chart:
    """Nothing of ours is installed yet."""
    taking_out.by_script(installed)
    return Chart(installed, tmp_path)


def arguments(world: World) -> list[str]:
    deployment = world.api.get(DEPLOYMENT)
    assert deployment is not None
    return list(deployment["spec"]["template"]["spec"]["containers"][0].get("args", []))


def test_from_install_to_uninstall(installed: World, chart: Chart) -> None:
    world = installed
    chart("install", str(CHART))
    world.tidy()
    world.policy("looks", nodes=["node-a"], mode="Audit")
    world.await_ready("looks", "Audited")
    before = world.api.get(f"{STATES}/node-a")
    chart("upgrade", str(CHART), "--set", "logFormat=json")
    world.await_controller()
    assert arguments(world) == ["--log-format=json"]
    chart("rollback")
    world.await_controller()
    assert arguments(world) == []
    # A live policy, and what was found by it, are those that were there before.
    world.await_ready("looks", "Audited")
    after = world.api.get(f"{STATES}/node-a")
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    world.api.delete(f"{POLICIES}/looks")

    world.at_work(*NODES)
    chart("uninstall")
    taking_out.check_nodes(world, NODES)
    assert taking_out.left(world) == KEPT
    assert world.api.items(POLICIES) == []
    kept = {state["metadata"]["name"] for state in world.api.items(STATES)}
    assert kept == set(NODES)

    chart("install", str(CHART))
    world.await_controller()
    assert {state["metadata"]["name"] for state in world.api.items(STATES)} >= kept
