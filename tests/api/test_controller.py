"""The controller as a process against a real API server: killed, cut off, alone and in pairs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.api import names
from tests.api.conftest import eventually
from tests.api.nodes import AGENTS, JOBS, NODES, PROOF, SYSTEM, Fleet, Object, Patient, pods
from tests.api.server import MERGE_PATCH
from tests.cluster.control import ControlPlane

ROOT = Path(__file__).parents[2]
OPERATOR = "cni-upgrade-operator"
USER = f"system:serviceaccount:{SYSTEM}:{OPERATOR}"
POLICIES = f"/apis/{names.API_VERSION}/{names.POLICY_PLURAL}"
STATES = f"/apis/{names.API_VERSION}/{names.NODE_STATE_PLURAL}"
ROLE = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{OPERATOR}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Controller:
    """One process of it, as the operator's service account."""

    def __init__(self, config: Path, kubeconfig: Path, log: Path) -> None:
        self.metrics, self.health = _free_port(), _free_port()
        self._log = log
        words = ["--config", config, "--kubeconfig", kubeconfig]
        words += ["--metrics-port", self.metrics, "--health-port", self.health]
        with log.open("a") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cni_upgrade.controller", *map(str, words)],
                env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def get(self, port: int, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


class World:
    """An API server with the operator's manifests, and nodes that are played."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.api = Patient(plane.kubeconfig)
        self.kubectl("apply", "-k", str(ROOT))
        shipped = yaml.safe_load((ROOT / "manifests/config.yaml").read_text())
        self.config = folder / "config.yaml"
        self.config.write_text(shipped["data"]["config.yaml"])
        token = self.kubectl("create", "token", "-n", SYSTEM, OPERATOR).strip()
        ours = yaml.safe_load(plane.kubeconfig.read_text())
        ours["users"][0]["user"] = {"token": token}
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(ours))
        self._started = 0

    def kubectl(self, *words: str) -> str:
        done = subprocess.run(
            [str(self.plane.kubectl), f"--kubeconfig={self.plane.kubeconfig}", *words],
            env={**os.environ, "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def controller(self) -> Iterator[Controller]:
        self._started += 1
        made = Controller(self.config, self.kubeconfig, self.folder / f"{self._started}.log")
        try:
            yield made
        finally:
            made.process.kill()
            made.process.wait()
        assert "Traceback" not in made.log, made.log

    def restart_api(self) -> None:
        """The API server is killed and started again; etcd stays."""
        pid = self.plane.programs()["kube-apiserver"]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.plane.programs()["kube-apiserver"] is None, "it is dead")
        self.plane.up()

    def policy(self, name: str = "cure", mode: str = "Enforce", **spec: Any) -> None:
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.POLICY_KIND,
            "metadata": {"name": name},
            "spec": {"nodeSelector": {}, "mode": mode, **spec},
        }
        self.api.create(POLICIES, body)

    def condition(self, kind: str, policy: str = "cure") -> Object:
        status = self.api.request("GET", f"{POLICIES}/{policy}").body.get("status") or {}
        return next((c for c in status.get("conditions") or [] if c["type"] == kind), {})

    def await_reason(self, reason: str, kind: str = "Ready") -> Object:
        def there() -> Object | None:
            found = self.condition(kind)
            return found if found.get("reason") == reason else None

        found: Object = eventually(there, f"{kind} says {reason}, not {self.condition(kind)}")
        return found

    def status(self, node: str) -> Object:
        answer = self.api.request("GET", f"{STATES}/{node}")
        return (answer.body.get("status") or {}) if answer.ok else {}

    def asked(self) -> list[Object]:
        """Requests of the operator so far, by the audit log."""
        lines = self.plane.audit_log.read_text().splitlines()
        events = [json.loads(line) for line in lines if USER in line]
        return [e for e in events if e["user"]["username"] == USER]

    def writes(self) -> list[tuple[str, str, str, int]]:
        """(verb, resource, name, status) of everything that was not read."""
        found = []
        for event in self.asked():
            ref = event.get("objectRef") or {}
            what = "/".join(filter(None, (ref.get("resource"), ref.get("subresource"))))
            if event["verb"] not in ("get", "list", "watch") and "accessreviews" not in what:
                name, code = ref.get("name", ""), event["responseStatus"]["code"]
                found.append((event["verb"], what, name, code))
        return found

    def clean(self) -> None:
        for path in (POLICIES, STATES, JOBS, NODES):
            self.api.request("DELETE", f"{path}?propagationPolicy=Background")
        for space in (AGENTS, PROOF, "default"):
            self.api.request("DELETE", f"{pods(space)}?gracePeriodSeconds=0")
        left = (POLICIES, STATES, JOBS, NODES, pods(AGENTS), pods(PROOF), pods("default"))
        eventually(lambda: not any(self.api.items(path) for path in left), "all is gone")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ControlPlane.temporary() as plane:
        yield World(plane, tmp_path_factory.mktemp("controller"))


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.clean()


@pytest.fixture
def fleet(world: World) -> Iterator[Fleet]:
    with Fleet(world.plane.kubeconfig) as playing:
        yield playing


def _applied(world: World, since: int) -> Counter[str]:
    """How often each apply Job was asked for and made, by name."""
    return Counter(
        name
        for verb, what, name, code in world.writes()[since:]
        if verb == "create" and what == "jobs" and name.startswith("apply-") and code == 201
    )


def _given_back(world: World) -> bool:
    nodes = world.api.items(NODES)
    marks = [node["metadata"].get("annotations") or {} for node in nodes]
    cordons = [node["spec"].get("unschedulable") for node in nodes]
    return not any(cordons) and not any(names.CORDONED_BY in mark for mark in marks)


def test_a_rollout_and_the_silence_after_it(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a", "node-b")
    fleet.add(world.api, "node-c", version="1.0.0")
    before = len(world.writes())
    with world.controller() as it:
        eventually(lambda: it.get(it.health, "/readyz")[0] == 200, "it is ready")
        world.policy()
        world.await_reason("Enforced")
        assert {n: d.version for n, d in fleet.disks.items()} == dict.fromkeys(fleet.disks, "1.0.0")
        assert list(_applied(world, before).values()) == [1, 1]
        assert _given_back(world)
        said = Counter((verb, what) for verb, what, _, code in world.writes()[before:])
        assert {code for *_, code in world.writes()[before:]} <= {200, 201}
        assert set(said) == {
            ("create", "cninodestates"),
            ("patch", "cninodestates"),
            ("patch", "cninodestates/status"),
            ("patch", "cniupgradepolicies/status"),
            ("create", "jobs"),
            ("patch", "nodes"),
            ("create", "pods"),
            ("delete", "pods"),
            ("create", "events"),
        }, "kopf was to write nothing of its own"
        assert said["patch", "nodes"] == 4, "a cordon and an uncordon for two nodes"
        for path in (POLICIES, STATES, NODES, JOBS):
            for thing in world.api.items(path):
                meta = thing["metadata"]
                assert not any("kopf" in key for key in meta.get("annotations") or {})
                assert not [f for f in meta.get("finalizers") or [] if "kopf" in f]
        settled = len(world.writes())
        # What a kubelet does all day: each heartbeat is news and a pass, and nothing is written.
        for beat in range(4):
            patch = {"status": {"conditions": [{"type": "Ready", "message": f"beat {beat}"}]}}
            world.api.request(
                "PATCH",
                f"{NODES}/node-a/status",
                patch,
                content="application/strategic-merge-patch+json",
            )
            time.sleep(0.5)
        assert world.writes()[settled:] == []
        page = it.get(it.metrics, "/metrics")[1]
        for line in (
            'cni_upgrade_nodes{phase="Done"} 2.0',
            'cni_upgrade_nodes{phase="Compatible"} 1.0',
            'cni_upgrade_node_versions{version="1.0.0"} 3.0',
            'cni_upgrade_policy_paused{policy="cure"} 0.0',
            "cni_upgrade_missing_rights 0.0",
            "cni_upgrade_unreadable_objects 0.0",
            'cni_upgrade_decisions_total{kind="CreateJob"} 5.0',
            'cni_upgrade_api_requests_total{code="201",resource="jobs",verb="POST"} 5.0',
        ):
            assert line in page
        assert "\ncni_upgrade_planning_seconds_count " in page
        assert it.get(it.health, "/healthz") == (200, "ok\n")
        assert it.end() == 0
        assert "told to end" in it.log


def test_controller_and_api_server_killed_at_every_turn(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a", "node-b", "node-c")
    before = len(world.writes())
    world.policy()
    for step in ("Job", "Baseline", "Apply", "ProveAdd"):
        held = step
        fleet.hold = lambda operation, step=held: (  # type: ignore[misc]
            operation.kind == {"Job": "audit", "Apply": "apply"}.get(step)
        )
        kept = {"Baseline": "proof-old-", "ProveAdd": "proof-new-"}.get(step, "no pod")
        fleet.hold_proof = lambda pod, kept=kept: pod["metadata"]["name"].startswith(kept)  # type: ignore[misc]
        with world.controller() as it:

            def there(step: str = held) -> bool:
                operations = [world.status(node).get("operation") or {} for node in fleet.disks]
                return any(o.get("step") == step for o in operations)

            eventually(there, f"a node is at step {step}")
            it.end(signal.SIGKILL)
    # The last life lives through the API server's death, while a proof pod is waited for.
    with world.controller() as it:
        eventually(lambda: it.get(it.health, "/readyz")[0] == 200, "it is ready")
        world.restart_api()
        fleet.hold = lambda operation: False
        fleet.hold_proof = lambda pod: False
        world.await_reason("Enforced")
        assert it.get(it.health, "/healthz")[0] == 200
        assert it.process.poll() is None
    assert {n: d.version for n, d in fleet.disks.items()} == dict.fromkeys(fleet.disks, "1.0.0")
    assert [len(d.writes) for d in fleet.disks.values()] == [1, 1, 1]
    # The audit log of the API server that was killed may lack its last lines, never have more.
    assert all(times == 1 for times in _applied(world, before).values())
    assert len([name for name in fleet.agents if name.startswith("apply-")]) == 3
    assert _given_back(world)


def test_a_status_by_an_old_view_is_refused(world: World) -> None:
    """What keeps two controllers apart; the executor sends it so with every status."""
    world.policy()
    path = f"{POLICIES}/cure"
    seen = world.api.request("GET", path).body["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": seen}, "status": {"message": "first"}}
    assert world.api.request("PATCH", f"{path}/status", patch, content=MERGE_PATCH).ok
    patch["status"] = {"message": "second"}
    assert world.api.request("PATCH", f"{path}/status", patch, content=MERGE_PATCH).status == 409


def test_two_at_once_are_harmless(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, *(f"node-{n}" for n in range(4)))
    before = len(world.writes())
    with world.controller() as one, world.controller() as two:
        for it in (one, two):
            eventually(lambda it=it: it.get(it.health, "/readyz")[0] == 200, "it is ready")  # type: ignore[misc]
        world.policy(rollout={"maxUnavailable": 2, "maxParallel": 2})
        world.await_reason("Enforced")
        assert one.process.poll() is None
        assert two.process.poll() is None
        time.sleep(1)  # the last Event follows the status that it tells of
        settled = len(world.writes())
        time.sleep(3)
        assert world.writes()[settled:] == [], "they do not answer each other for ever"
    written = world.writes()[before:settled]
    assert [len(d.writes) for d in fleet.disks.values()] == [1, 1, 1, 1]
    assert sorted(_applied(world, before).values()) == [1, 1, 1, 1]
    for node in fleet.disks:
        phases = [entry["kind"] for entry in world.status(node)["history"]]
        assert phases == ["apply"], "what was done once is told once"
        cordons = [w for w in written if w[:3] == ("patch", "nodes", node) and w[3] == 200]
        assert len(cordons) == 2, f"{node}: one cordon, one uncordon"
    assert _given_back(world)
    assert len(written) < 400


def test_rights_that_are_missing_and_rights_that_are_taken(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a")
    rules = world.api.request("GET", ROLE).body["rules"]
    without = [r for r in rules if r["resources"] != ["nodes"]]
    assert len(without) == len(rules) - 1
    world.api.patch(ROLE, {"rules": without})
    try:
        with world.controller() as it:
            world.policy(mode="Audit")
            stalled = world.await_reason("PermissionDenied", "Stalled")
            for right in ("list nodes", "watch nodes", "patch nodes"):
                assert right in stalled["message"]
                assert it.log.count(f"missing right: {right};") == 1
            status, text = it.get(it.health, "/readyz")
            assert (status, text.startswith("missing rights: list nodes")) == (503, True)
            assert it.get(it.health, "/healthz")[0] == 200
            world.api.patch(ROLE, {"rules": rules})
            world.await_reason("Audited")
            assert it.get(it.health, "/readyz")[0] == 200
            # Now while it runs: the right to cordon, when it is needed next.
            seen = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}
            world.api.patch(ROLE, {"rules": [*without, seen]})
            world.api.patch(f"{POLICIES}/cure", {"spec": {"mode": "Enforce"}})
            stalled = world.await_reason("PermissionDenied", "Stalled")
            assert stalled["message"].count("patch nodes") == 1
            world.api.patch(ROLE, {"rules": rules})
            world.await_reason("Enforced")
            assert it.process.poll() is None, "it was to wait, not to exit"
            assert _given_back(world)
    finally:
        world.api.patch(ROLE, {"rules": rules})


def test_kinds_that_come_after_the_controller(world: World, fleet: Fleet) -> None:
    world.kubectl("delete", "-f", str(ROOT / "crds"))
    try:
        with world.controller() as it:
            eventually(lambda: "the pass was given up" in it.log, "it looked in vain")
            world.kubectl("apply", "-f", str(ROOT / "crds"))
            eventually(lambda: it.get(it.health, "/readyz")[0] == 200, "it found them")
            # A node whose Event no list brings: the watches must have found the kinds too.
            fleet.add(world.api, "node-a")
            world.policy()
            world.await_reason("Enforced")
    finally:
        world.kubectl("apply", "-f", str(ROOT / "crds"))


def without_cel(schema: Any) -> Any:
    """A CRD as an API server before 1.25 reads it."""
    if isinstance(schema, dict):
        kept = {k: v for k, v in schema.items() if k != "x-kubernetes-validations"}
        return {key: without_cel(value) for key, value in kept.items()}
    return [without_cel(each) for each in schema] if isinstance(schema, list) else schema


def test_a_policy_that_an_older_api_server_lets_in(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a")
    crd = yaml.safe_load((ROOT / "crds/cniupgrade.dev_cniupgradepolicies.yaml").read_text())
    older = world.folder / "without-cel.yaml"
    older.write_text(yaml.safe_dump(without_cel(crd)))
    requirement = {"key": "zone", "operator": "NotIn", "values": []}
    selector = {"matchExpressions": [requirement]}
    world.kubectl("apply", "-f", str(older))

    try:
        eventually(lambda: _accepts(world, selector), "the CEL rules are gone")
        with world.controller() as it:
            world.policy(nodeSelector=selector)
            stalled = world.await_reason("NotUnderstood", "Stalled")
            assert "values: at least one is needed" in stalled["message"]
            assert world.condition("Ready")["status"] == "False"
            time.sleep(1)
            assert world.api.items(STATES) == [], "NotIn of nothing is not every node"
            world.api.patch(
                f"{POLICIES}/cure", {"spec": {"nodeSelector": {"matchExpressions": []}}}
            )
            world.await_reason("Enforced")
            assert not world.condition("Stalled")
            assert it.process.poll() is None
    finally:
        world.kubectl("apply", "-f", str(ROOT / "crds"))


def _accepts(world: World, selector: Object) -> bool:
    body = {
        "apiVersion": names.API_VERSION,
        "kind": names.POLICY_KIND,
        "metadata": {"name": "tried"},
        "spec": {"nodeSelector": selector},
    }
    return world.api.request("POST", f"{POLICIES}?dryRun=All", body).ok


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_wherever_it_is(world: World, number: int) -> None:
    with world.controller() as it:
        eventually(lambda: it.get(it.health, "/healthz")[0], "it serves")
        began = time.monotonic()
        assert it.end(number) == 0
        assert time.monotonic() - began < 15
