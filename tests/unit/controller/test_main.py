"""What cannot start says why in one line; the pages for probes and for Prometheus."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from cni_upgrade.api import names
from cni_upgrade.controller import config_file, http_server
from cni_upgrade.controller import controller as controlling
from cni_upgrade.controller.clock import utc_now
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.leader_election import LeaderElection
from cni_upgrade.controller.leader_lease import Election, Timing
from cni_upgrade.controller.main import main, run
from cni_upgrade.controller.permissions import Permissions
from cni_upgrade.kube.client import Client
from cni_upgrade.planner.world.decisions import Emit
from tests import operator_config
from tests.unit.controller.kube_model import KUBECONFIG, Made, silence
from tests.unit.controller.passes import becomes
from tests.unit.controller.under_kopf import free_port
from tests.unit.planner.node_model import SimNode


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> str:
    """What the command says as it refuses to start."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(sys, "argv", ["controller", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.count("\n") == 1, said
    return said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "config.yaml: No such file"),
        (b"a: [\n b", "config.yaml: not YAML: while parsing"),
        (b"\xff\xfe\x00", "config.yaml: not UTF-8 text: 'utf-8' codec"),
        (b"a: 2026-99-99", "config.yaml: not YAML: month must be"),
        (b"", "operator configuration: the document: "),
        (
            operator_config.text().encode() + b"agentImagee: x\n",
            "operator configuration: agentImagee: ",
        ),
        (
            operator_config.text().replace("/etc/cni/net.d", "etc/cni").encode(),
            "'etc/cni' is not an absolute",
        ),
    ],
)
def test_a_wrong_configuration(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    said: str,
) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    assert said in refused(monkeypatch, capsys, "--config", path)


def test_the_agents_image_may_stand_beside_the_rest(tmp_path: Path) -> None:
    """As the kubelet brings the ConfigMap: a file for each key."""
    for key, value in operator_config.data().items():
        (tmp_path / key).write_text(value)
    assert config_file.read(tmp_path / "config.yaml") == operator_config.shipped()
    (tmp_path / "agentImage").write_text("example.com/agent:2\n")
    assert config_file.read(tmp_path / "config.yaml").image_of_proofs == "example.com/agent:2"


def test_an_agents_image_that_stands_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(operator_config.text())
    (tmp_path / "agentImage").write_text("example.com/agent:2")
    said = refused(monkeypatch, capsys, "--config", tmp_path / "config.yaml")
    assert "agentImage stands in" in said
    assert "take it out of config.yaml" in said


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    config, kubeconfig = tmp_path / "config.yaml", tmp_path / "kubeconfig"
    config.write_text(operator_config.text())
    kubeconfig.write_text(KUBECONFIG.replace("SERVER", "http://127.0.0.1:9"))
    return config, kubeconfig


def test_no_credentials(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, kubeconfig = files
    text = "no way to reach the API server"
    assert text in refused(monkeypatch, capsys, "--config", config)
    kubeconfig.write_text("clusters: [\n\n")
    words = ["--config", config, "--kubeconfig", kubeconfig]
    assert text in refused(monkeypatch, capsys, *words)


async def test_another_configuration_ends_the_process(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A new agent's image is in the ConfigMap alone: nothing else starts the controller again."""
    config, kubeconfig = files
    monkeypatch.setattr(config_file, "AGAIN", 0.01)
    caplog.set_level("INFO")
    ports = {"metrics_port": 0, "health_port": free_port()}
    words = argparse.Namespace(
        config=config, kubeconfig=str(kubeconfig), lease_seconds=15.0, **ports
    )
    async with asyncio.timeout(20):
        living = asyncio.create_task(run(config_file.read(config), words))
        config.write_text("agentImage: [")
        await becomes(lambda: "the one before stays: operator configuration" in caplog.text)
        config.write_text(operator_config.text() + "\n")
        await asyncio.sleep(0.3)
        assert not living.done(), "neither a wrong one nor the same one"
        config.write_text(operator_config.text().replace("agent:dev", "agent:new"))
        await living
    assert "the configuration was changed: the process ends" in caplog.text


@pytest.mark.parametrize("which", ["--metrics-port", "--health-port"])
def test_a_port_that_is_taken(
    files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    which: str,
) -> None:
    config, kubeconfig = files
    words: list[object] = ["--config", config, "--kubeconfig", kubeconfig]
    words += ["--metrics-port", 0, "--health-port", 0]
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words[words.index(which) + 1] = port
        said = refused(monkeypatch, capsys, *words)
    assert said.startswith(f"port {port} of the host cannot be listened on: Address already in use")


@pytest.mark.parametrize("seconds", ["0", "-15", "0.5", "nan", "inf", "1e9", "soon"])
def test_a_lease_that_nobody_could_keep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["controller", f"--lease-seconds={seconds}"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    text = "argument --lease-seconds: expected 1 to 3600 seconds"
    assert f"{text}, got {seconds}" in capsys.readouterr().err


async def test_events_go_by_the_clock_of_the_records(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server's: a node whose clock is wrong tells neither a record nor an Event of it."""
    config, kubeconfig = files
    theirs, told = datetime(2031, 2, 3, tzinfo=UTC), list[datetime]()

    class Noted(EventRecorder):
        def __init__(self, kube: Client, now: Callable[[], datetime] = utc_now) -> None:
            super().__init__(kube, now)
            told.append(now())

    monkeypatch.setattr(Client, "now", lambda _: theirs)
    monkeypatch.setattr("cni_upgrade.controller.controller.EventRecorder", Noted)
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        # No further than to the first thing that is refused.
        ports = {"metrics_port": taken.getsockname()[1], "health_port": 0}
        words = argparse.Namespace(kubeconfig=str(kubeconfig), lease_seconds=15.0, **ports)
        with pytest.raises(http_server.PortError):
            await run(config_file.read(config), words)
    assert told == [theirs]


async def test_events_that_still_wait_at_the_end_are_lost(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    leading = LeaderElection(made.kube, "system", Election("one", Timing()), lambda: None)
    permissions = Permissions(made.kube, made.store, asyncio.Event(), lambda: None)
    made.kube.refuse = lambda verb, plural, name: silence()
    for node in ("node-a", "node-b"):
        made.recorder.say(Emit(names.NODE_STATE_KIND, node, "uid", "Warning", "Failed", node))
    task = asyncio.create_task(controlling.lead(permissions, leading, made.loop, made.recorder))
    await becomes(lambda: [asked for asked in made.kube.asked if asked[1] == "events"])
    assert (made.recorder.waiting, made.recorder.lost) == (2, 0)
    task.cancel()
    await asyncio.wait([task])
    assert (made.recorder.waiting, made.recorder.lost) == (0, 2)
    assert "2 events were lost" in caplog.text


async def test_readiness_and_metrics(made: Made) -> None:
    leading = LeaderElection(made.kube, "system", Election("one", Timing()), lambda: None)
    permissions = Permissions(made.kube, made.store, asyncio.Event(), lambda: None)

    def unready() -> str:
        return controlling.unready(permissions, leading, made.loop, made.store)

    runner = await http_server.serve(0, unready, made.metrics.page)
    # Port 0 is another one for each family of addresses; those of IPv4 are pairs.
    port = next(a[1] for a in runner.addresses if len(a) == 2)
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:

        async def get(url: str) -> tuple[int, str]:
            async with session.get(url) as answer:
                return answer.status, await answer.text()

        made.kube.refuse = lambda verb, plural, name: silence()
        assert await get(f"{url}/readyz") == (503, "the rights have not been asked for yet\n")
        await permissions.once()
        assert await get(f"{url}/readyz") == (
            503,
            "rights could not be asked for: no answer from the API server\n",
        )
        made.kube.refuse = lambda verb, plural, name: None
        await permissions.once()
        made.kube.refuse = lambda verb, plural, name: silence()
        await leading.once()
        status, text = await get(f"{url}/readyz")
        assert (status, text.startswith("the lease could not be read yet: no answer")) == (
            503,
            True,
        )
        made.kube.refuse = lambda verb, plural, name: None
        await leading.once()
        assert await get(f"{url}/readyz") == (503, "the cluster has not been listed yet\n")
        made.kube.cluster.add_node(SimNode("node-a", None))
        made.kube.cluster.apply_policy("cure", {"mode": "Audit", "paused": True})
        for _ in range(12):
            await made.pass_()
        assert await get(f"{url}/readyz") == (200, "ok\n")
        made.store.denied = ("list nodes", "watch nodes")
        assert await get(f"{url}/readyz") == (503, "missing rights: list nodes, watch nodes\n")
        status, page = await get(f"{url}/metrics")
        assert status == 200
        for line in (
            'cni_upgrade_nodes{phase="Waiting",policy="cure"} 1.0',
            'cni_upgrade_nodes{phase="Done",policy="cure"} 0.0',
            'cni_upgrade_node_versions{policy="cure",version="missing"} 1.0',
            'cni_upgrade_policy_paused{policy="cure"} 1.0',
            'cni_upgrade_decisions_total{kind="CreateJob"} 1.0',
        ):
            assert line in page
    await runner.cleanup()
