"""The two lines of the README that ask whether a cluster is affected, typed into a real shell."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.objects import warning
from tests.api.server import Server
from tests.cluster.control import ControlPlane

ROOT = Path(__file__).parents[2]
F2 = 'plugin type="bridge" failed (add): incompatible CNI versions; config is "1.0.0", plugin'
SEEN = {
    "hangs": f"Failed to create pod sandbox: {F2}",
    "goes-not": 'failed to destroy network for sandbox "8b": invalid version "": '
    "the version is empty",
    "fine": "no image",
}


def lines() -> list[str]:
    """The lines of the block that follows the question."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## Am I affected?", 1)[1]
    match = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert match
    return match[1].splitlines()


@pytest.fixture
def affected(bare_server: Server) -> Iterator[Server]:
    """A cluster with a node, and Events of pods that hang or do not."""
    for name, message in SEEN.items():
        event = warning("default", name) | {"message": message}
        assert bare_server.request("POST", "/api/v1/namespaces/default/events", event).ok
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "readme-node"},
        "status": {"nodeInfo": {"containerRuntimeVersion": "containerd://1.6.2"}},
    }
    assert bare_server.request("POST", "/api/v1/nodes", node).ok
    yield bare_server
    bare_server.request("DELETE", "/api/v1/nodes/readme-node")
    for name in SEEN:
        bare_server.request("DELETE", f"/api/v1/namespaces/default/events/{name}")


def typed(plane: ControlPlane, home: Path, line: str) -> str:
    """What a shell answers."""
    path = f"{plane.kubectl.parent}:{os.environ['PATH']}"
    env = {**os.environ, "HOME": str(home), "KUBECONFIG": str(plane.kubeconfig), "PATH": path}
    done = subprocess.run(
        ["sh", "-c", line], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_lines_answer(affected: Server, plane: ControlPlane, tmp_path: Path) -> None:
    assert affected
    events, nodes = lines()
    shown = typed(plane, tmp_path, events).splitlines()
    assert sorted(name for name in SEEN for line in shown if f"pod/{name} " in line) == [
        "goes-not",
        "hangs",
    ]
    assert len(shown) == 2
    rows = [line.split() for line in typed(plane, tmp_path, nodes).splitlines()]
    assert rows[0] == ["NODE", "RUNTIME"]
    assert ["readme-node", "containerd://1.6.2"] in rows
