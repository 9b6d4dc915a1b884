"""`kubectl cni-upgrade` as a person runs it: by kubectl, against a real API server."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from cni_upgrade.api import names
from tests.api.kubectl_plugin import Plugin
from tests.api.objects import AT, node_state, policy
from tests.api.server import Collection, Server
from tests.api.shipped import ROOT
from tests.cluster import pki
from tests.cluster.control import ControlPlane


@pytest.fixture
def fleet(policies: Collection, node_states: Collection) -> str:
    """A policy with two nodes: one failed, one waits. The name of the policy."""
    uid = policies.create(policy("cure", mode="Enforce"))["metadata"]["uid"]
    status = {
        "observedGeneration": 1,
        "message": "1 of at most 1 nodes failed: nothing begins",
        "summary": {"matched": 2, "failed": 1, "waiting": 1},
        "rollout": {"wave": "all nodes", "number": 1, "of": 1, "nodes": 2, "waitsFor": "a person"},
        "conditions": [
            {
                "type": kind,
                "status": held,
                "reason": "NodeFailed",
                "message": "node-a failed",
                "lastTransitionTime": AT,
            }
            for kind, held in (("Ready", "False"), ("Stalled", "True"))
        ],
    }
    assert policies.patch("cure", {"status": status}, subresource="/status").ok
    for name, phase, reason in (
        ("node-a", "Failed", "StillBroken"),
        ("node-b", "Waiting", "RolloutStopped"),
    ):
        node_states.create(node_state(name, policyRef={"name": "cure", "uid": uid}))
        state = {
            "phase": phase,
            "reason": reason,
            "phaseSince": AT,
            "found": "0.4.0",
            "target": "1.0.0",
            "message": f"{name} says so",
            "findings": [{"code": "F1", "severity": "Fault", "message": "no version"}],
        }
        assert node_states.patch(name, {"status": state}, subresource="/status").ok
    return "cure"


class TestStatus:
    def test_shows_policy_wave_versions_and_who_blocks(self, plugin: Plugin, fleet: str) -> None:
        done = plugin("status")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == "POLICY  cure  Enforce  2 nodes  NodeFailed  Stalled"
        assert any("all nodes [" in line and "0/2 well, 1 stuck" in line for line in lines)
        assert any(line.split()[:2] == ["0.4.0", "2"] for line in lines)
        assert "  Next: kubectl cni-upgrade why node-a" in lines
        assert any(line.split()[:2] == ["RolloutStopped", "1"] for line in lines)
        assert max(map(len, lines)) <= 80
        assert "\x1b" not in done.stdout

    def test_watch_shows_it_anew_when_it_changes(
        self, plane: ControlPlane, fleet: str, node_states: Collection, tmp_path: Path
    ) -> None:
        words = [sys.executable, "-u", "-m", "cni_upgrade.kubectl.main", "status", "--watch"]
        env = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "COLUMNS": "80"}
        words += ["--interval=1", f"--kubeconfig={plane.kubeconfig}"]
        with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            first = next(line for line in watching.stdout if line.startswith("Waiting"))
            done = {"status": {"phase": "Done", "reason": "Done"}}
            assert node_states.patch("node-b", done, subresource="/status").ok
            second = next(line for line in watching.stdout if line.startswith("Done"))
            watching.terminate()
        assert (first.split()[1], second.split()[1]) == ("1", "1")

    def test_nothing_there(
        self, plugin: Plugin, policies: Collection, node_states: Collection
    ) -> None:
        done = plugin("status")
        assert done.returncode == 0, done.stderr
        assert "No node state is there yet." in done.stdout


class TestWhy:
    def test_says_why_and_what_next(self, plugin: Plugin, fleet: str) -> None:
        done = plugin("why", "node-a")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("node-a  Failed  StillBroken  for ")
        assert "The change was made, and pods fail as before: another cause." in done.stdout
        assert "Fault F1" in done.stdout
        assert f"kubectl annotate --overwrite cns node-a {names.RETRY}=$(date +%s)" in done.stdout

    def test_a_node_that_is_not_there(self, plugin: Plugin, fleet: str) -> None:
        done = plugin("why", "node-x")
        assert done.returncode == 1
        assert (
            "node node-x: there is none of that name. List them: kubectl get nodes" in done.stderr
        )

    def test_a_node_that_no_policy_selects(self, plugin: Plugin, server: Server) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lonely"}}
        assert server.request("POST", "/api/v1/nodes", node).ok
        done = plugin("why", "lonely")
        assert server.request("DELETE", "/api/v1/nodes/lonely").ok
        assert done.returncode == 1
        assert "node lonely has no record: no policy selects it" in done.stderr

    def test_what_can_be_no_name(self, plugin: Plugin, fleet: str) -> None:
        done = plugin("why", "../nodes")
        assert done.returncode == 1
        assert "cannot be a name" in done.stderr


class TestTrouble:
    def test_no_kubeconfig(self, plugin: Plugin, tmp_path: Path) -> None:
        done = plugin("status", kubeconfig=tmp_path / "none")
        assert done.returncode == 1
        assert "Set KUBECONFIG, or give --kubeconfig and --context." in done.stderr

    def test_no_such_context(self, plugin: Plugin) -> None:
        done = plugin("status", "--context=elsewhere")
        assert done.returncode == 1
        assert "elsewhere" in done.stderr

    def test_no_api_server(self, plugin: Plugin, plane: ControlPlane, tmp_path: Path) -> None:
        away = tmp_path / "away"
        away.write_text(plane.kubeconfig.read_text().replace(plane.url, "https://127.0.0.1:1"))
        done = plugin("status", kubeconfig=away)
        assert done.returncode == 1
        assert "https://127.0.0.1:1 does not answer" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_cluster_without_the_operator(self, tmp_path: Path, plugin: Plugin) -> None:
        with ControlPlane.temporary() as bare:
            done = plugin("status", kubeconfig=bare.kubeconfig)
        assert done.returncode == 1
        assert f"does not serve {names.API_VERSION} {names.POLICY_PLURAL}" in done.stderr


class TestPreflight:
    def test_what_the_api_server_says(self, plugin: Plugin, plane: ControlPlane) -> None:
        done = plugin("preflight")
        assert "API server: v1." in done.stdout
        assert "you may create all that is installed" in done.stdout
        assert "ValidatingAdmissionPolicy v1 is served" in done.stdout

    def test_somebody_without_rights(
        self, plugin: Plugin, plane: ControlPlane, tmp_path: Path
    ) -> None:
        poor = pki.issue(plane.pki, "poor", user="poor")
        path = tmp_path / "poor"
        pki.kubeconfig(path, server=plane.url, ca=pki.authority(plane.pki), pair=poor)
        done = plugin("preflight", kubeconfig=path)
        assert done.returncode == 1
        assert "you may not create customresourcedefinitions, namespaces" in " ".join(
            done.stdout.split()
        )
        assert "not known: nodes:" in done.stdout


class TestCollect:
    PLANTED = "hunter2-hunter2"

    def test_a_bundle_without_secrets(
        self, plugin: Plugin, fleet: str, node_states: Collection, server: Server, tmp_path: Path
    ) -> None:
        diff = f'+    "k8s_auth_token": "{self.PLANTED}",'
        entry = {"at": AT, "kind": "apply", "diff": diff, "outcome": "Done"}
        status = {"status": {"history": [entry]}}
        assert node_states.patch("node-a", status, subresource="/status").ok
        space_name = "cni-upgrade-agents"
        path = f"/api/v1/namespaces/{space_name}"
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space_name}}
        assert server.request("POST", "/api/v1/namespaces", space).status in (201, 409)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
        secret["stringData"] = {"token": self.PLANTED}
        assert server.request("POST", f"{path}/secrets", secret).ok
        bundle = tmp_path / "b.tar.gz"
        told = plugin.did("collect", "--output", str(bundle))
        assert "without Secrets" in told
        assert bundle.stat().st_mode & 0o777 == 0o600
        with tarfile.open(bundle) as archive:
            members = [m for m in archive.getmembers() if archive.extractfile(m)]
            texts = {m.name: archive.extractfile(m).read().decode() for m in members}  # type: ignore[union-attr]
        assert {"b/policies.json", "b/nodestates.json", "b/nodes.json"} <= texts.keys()
        assert "StillBroken" in texts["b/nodestates.json"]
        assert "k8s_auth_token" in texts["b/nodestates.json"]
        assert not [name for name, text in texts.items() if self.PLANTED in text]
        again = plugin("collect", "--output", str(bundle))
        assert again.returncode == 1
        assert "is there already" in again.stderr
        assert server.request("DELETE", f"{path}/secrets/s").ok
