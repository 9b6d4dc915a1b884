"""Before the operator goes: the policies go first, and every node is finished."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cni_upgrade.controller.retire import AGAIN, left, retire
from cni_upgrade.kube.interface import KubeError
from tests.unit.controller.kube_model import Made, silence
from tests.unit.controller.passes import at_step, until
from tests.unit.planner.node_model import SimNode


class Time:
    """Seconds that pass while one sleeps; a controller works meanwhile where there is one."""

    def __init__(self, controller: Made | None = None) -> None:
        self.now = 0.0
        self.controller = controller

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.controller:
            await self.controller.pass_()


async def in_the_middle(made: Made) -> None:
    """node-a is written to and cordoned, node-b waits."""
    cluster = made.kube.cluster
    for name in ("node-a", "node-b"):
        cluster.add_node(SimNode(name, None))
    cluster.apply_policy("cure", {"mode": "Enforce", "rollout": {"maxParallel": 1}})
    await at_step(made, "ProveDelete")


async def test_where_nothing_is_left_it_looks_twice(made: Made) -> None:
    time = Time()
    assert await retire(made.kube, 60, time.clock, time.sleep)
    assert time.now == AGAIN


async def test_a_node_in_the_middle_is_finished_and_given_back(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    await in_the_middle(made)
    time = Time(made)
    assert await retire(made.kube, 600, time.clock, time.sleep)
    said = capsys.readouterr().out
    assert said.startswith("retire: deleting policy cure\n")
    assert "waiting for the controller to finish with node node-a (apply)" in said
    for name in ("node-a", "node-b"):
        node = made.kube.cluster.node(name)
        assert not node["spec"].get("unschedulable"), name
        assert "cniupgrade.dev/cordoned-by" not in node["metadata"].get("annotations", {}), name
    assert not list(made.kube.cluster.api.all("CNIUpgradePolicy"))


async def test_without_a_controller_it_gives_up_and_says_what_is_left(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    await in_the_middle(made)
    time = Time()
    assert not await retire(made.kube, 60, time.clock, time.sleep)
    assert time.now == 60
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "node node-a (apply), node node-a (cordoned)" in line] == [
        said[-1]
    ], "it is said once"


async def test_a_policy_that_gives_back_holds_it_up(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", None))
    cluster.apply_policy("cure", {"mode": "Enforce", "deletionPolicy": "Restore"})
    await until(made, lambda: cluster.status("node-a").get("phase") == "Done")
    time = Time()
    assert not await retire(made.kube, 20, time.clock, time.sleep)
    assert await left(made.kube) == ["policy cure"]
    time = Time(made)
    assert await retire(made.kube, 600, time.clock, time.sleep)
    assert not list(cluster.api.all("CNIUpgradePolicy"))


async def test_an_audit_holds_nothing_up(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", None))
    cluster.apply_policy("look", {"mode": "Audit"})
    await until(made, lambda: cluster.status("node-a").get("verdict"))
    audit = {"status": {"operation": {"id": "audit-1", "kind": "audit"}}}
    cluster.api.patch("CNINodeState", "node-a", audit, sub="status")
    time = Time()
    assert await retire(made.kube, 60, time.clock, time.sleep)


async def test_silence_of_the_api_server_is_not_nothing_left(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    made.kube.refuse = lambda verb, plural, name: silence() if plural == "nodes" else None
    time = Time()
    assert not await retire(made.kube, 30, time.clock, time.sleep)
    assert "the API server does not tell what is left, asking again" in capsys.readouterr().out


async def test_a_missing_right_ends_it_at_once(made: Made) -> None:
    made.kube.refuse = lambda verb, plural, name: (
        KubeError(403, "Forbidden", "no") if plural == "nodes" else None
    )
    time = Time()
    with pytest.raises(KubeError):
        await retire(made.kube, 60, time.clock, time.sleep)
    assert time.now == 0


def test_no_way_to_the_cluster_is_one_line_and_exit_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cni_upgrade.controller.retire"]
    command += ["--kubeconfig", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.startswith("retire: no way to reach the API server: ")
    assert done.stdout.count("\n") == 1
