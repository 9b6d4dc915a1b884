"""The controller as a process, around an API server with the operator's manifests."""

from __future__ import annotations

import base64
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

import yaml

from cni_upgrade.api import names
from tests import operator_config
from tests.api import kubectl, objects
from tests.api.audit_log import AuditLog
from tests.api.nodes import JOBS, NODES, Fleet, Object, Patient
from tests.api.server import Server
from tests.api.spaces import ACCOUNT, AGENTS, OPERATOR, PROOF, SYSTEM, pods
from tests.api.waiting import eventually
from tests.cluster.control import ControlPlane

ROOT = Path(__file__).parents[2]
POLICIES = f"/apis/{names.API_VERSION}/{names.POLICY_PLURAL}"
STATES = f"/apis/{names.API_VERSION}/{names.NODE_STATE_PLURAL}"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLE = f"{_RBAC}/clusterroles/{OPERATOR}"
AGENTS_ROLE = f"{_RBAC}/namespaces/{AGENTS}/roles/{OPERATOR}"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{OPERATOR}"
LEASE_SECONDS = 3.0
"""A fifth of what is shipped, so that the tests wait less."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Controller:
    """One process of it, as the operator's service account."""

    def __init__(
        self,
        config: Path,
        kubeconfig: Path,
        log: Path,
        name: str,
        lease_seconds: float,
        *,
        program: tuple[str, ...] = ("-m", "cni_upgrade.controller"),
    ) -> None:
        self.name, self.kubeconfig = name, kubeconfig
        self.metrics, self.health = _free_port(), _free_port()
        self._log = log
        words = ["--config", config, "--kubeconfig", kubeconfig]
        words += ["--metrics-port", self.metrics, "--health-port", self.health]
        words += ["--lease-seconds", lease_seconds]
        with log.open("a") as out:
            self.process = subprocess.Popen(
                [sys.executable, *program, *map(str, words)],
                env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "POD_NAME": name},
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
        self.server = Server(plane.kubeconfig)
        self.kubectl("apply", "-k", str(ROOT))
        self.config = folder / "config.yaml"
        self.config.write_text(operator_config.text())
        self._tokens = 0
        self._started = 0
        self._audit_log = AuditLog(plane.audit_log)
        self._asked: list[Object] = []
        self._writes: list[tuple[str, str, str, int]] = []
        self.kubeconfig = self.as_operator()

    def as_operator(self, server: str = "") -> Path:
        """A kubeconfig of the operator's service account, with a token of its own."""
        self._tokens += 1
        token = self.kubectl("create", "token", "-n", SYSTEM, OPERATOR).strip()
        ours = yaml.safe_load(self.plane.kubeconfig.read_text())
        ours["users"][0]["user"] = {"token": token}
        if server:
            ours["clusters"][0]["cluster"] = {"server": server}
        made = self.folder / f"kubeconfig-{self._tokens}"
        made.write_text(yaml.safe_dump(ours))
        return made

    def asked_with(self, it: Controller) -> list[Object]:
        """Requests so far of one replica, which had a token of its own."""
        token = yaml.safe_load(it.kubeconfig.read_text())["users"][0]["user"]["token"]
        claims = token.split(".")[1]
        number = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"]
        key = "authentication.kubernetes.io/credential-id"
        return [
            event
            for event in self.asked()
            if event["user"].get("extra", {}).get(key) == [f"JTI={number}"]
        ]

    def kubectl(self, *words: str) -> str:
        done = kubectl.run(self.plane, self.folder, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def controller(
        self,
        kubeconfig: Path | None = None,
        config: Path | None = None,
        *,
        traceback: bool = False,
    ) -> Iterator[Controller]:
        """A replica that is killed at the end; kopf's own `traceback` may be expected."""
        self._started += 1
        made = Controller(
            config or self.config,
            kubeconfig or self.kubeconfig,
            self.folder / f"{self._started}.log",
            f"replica-{self._started}",
            LEASE_SECONDS,
        )
        try:
            yield made
        except AssertionError:
            # All that a failure on a machine that is gone leaves to look at.
            print("\n".join(made.log.splitlines()[-60:]))
            raise
        finally:
            made.process.kill()
            made.process.wait()
        assert traceback == ("Traceback" in made.log), made.log

    def restart_api(self) -> None:
        """The API server is killed and started again; etcd stays."""
        pid = self.plane.programs()["kube-apiserver"]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.plane.programs()["kube-apiserver"] is None, "it is dead")
        self.plane.up()

    def policy(self, name: str = "cure", mode: str = "Enforce", **spec: Any) -> None:
        self.api.create(POLICIES, objects.policy(name, mode=mode, **spec))

    def condition(self, kind: str, policy: str = "cure") -> Object:
        status = self.api.request("GET", f"{POLICIES}/{policy}").body.get("status") or {}
        return next((c for c in status.get("conditions") or [] if c["type"] == kind), {})

    def await_reason(self, reason: str, kind: str = "Ready", seconds: float = 120) -> Object:
        def there() -> Object | None:
            found = self.condition(kind)
            return found if found.get("reason") == reason else None

        def wanted() -> str:
            return f"{kind} says {reason}, not {self.condition(kind)}"

        found: Object = eventually(there, wanted, seconds)
        return found

    def lease(self) -> Object:
        """What the lease says."""
        answer = self.api.request("GET", LEASE)
        return answer.body["spec"] if answer.ok else {}

    def leader(self) -> str:
        """Name of the replica that has the lease, empty for nobody."""
        return str(self.lease().get("holderIdentity", "")).partition("_")[0]

    def status(self, node: str) -> Object:
        answer = self.api.request("GET", f"{STATES}/{node}")
        return (answer.body.get("status") or {}) if answer.ok else {}

    def asked(self) -> list[Object]:
        """Requests of the operator so far, by the audit log."""
        self._read_on()
        return list(self._asked)

    def writes(self) -> list[tuple[str, str, str, int]]:
        """(verb, resource, name, status) of everything that was not read, but the lease."""
        self._read_on()
        return list(self._writes)

    def _read_on(self) -> None:
        for line in self._audit_log.lines():
            if ACCOUNT.encode() not in line:
                continue
            event = json.loads(line)
            if event["user"]["username"] == ACCOUNT:
                self._asked.append(event)
                self._writes += _written(event)

    def settled(self, seconds: float = 3.0) -> int:
        """How many writes there were when for so long there was no further one."""
        count, since = len(self.writes()), time.monotonic()
        while time.monotonic() < since + seconds:
            time.sleep(0.2)
            if (now := len(self.writes())) != count:
                count, since = now, time.monotonic()
        return count

    def clean(self) -> None:
        self.kubectl("annotate", "namespace", AGENTS, f"{names.STOP}-")
        for path in (POLICIES, STATES, JOBS, NODES, LEASE):
            self.api.request("DELETE", f"{path}?propagationPolicy=Background")
        for policy in self.api.items(POLICIES):
            # Of a test that failed; no controller is left that would take it off.
            free = {"metadata": {"finalizers": None}}
            self.api.patch(f"{POLICIES}/{policy['metadata']['name']}", free)
        for space in (AGENTS, PROOF, "default"):
            self.api.request("DELETE", f"{pods(space)}?gracePeriodSeconds=0")
        left = (POLICIES, STATES, JOBS, NODES, pods(AGENTS), pods(PROOF), pods("default"))
        eventually(lambda: not any(self.api.items(path) for path in left), "all is gone")


def _written(event: Object) -> Iterator[tuple[str, str, str, int]]:
    """What `World.writes` has of one request."""
    ref = event.get("objectRef") or {}
    what = "/".join(filter(None, (ref.get("resource"), ref.get("subresource"))))
    reads = event["verb"] in ("get", "list", "watch") or "accessreviews" in what
    if not reads and what != "leases":
        yield event["verb"], what, ref.get("name", ""), event["responseStatus"]["code"]


def applied(world: World, since: int) -> Counter[str]:
    """How often each apply Job was asked for and made, by name.

    One may be missing: whoever goes away before the answer, or takes the API server with them, is
    noted as a 504 or not at all, also where the Job was made (22 of 300 by a client that hung up).
    """
    return Counter(
        name
        for verb, what, name, code in world.writes()[since:]
        if verb == "create" and what == "jobs" and name.startswith("apply-") and code == 201
    )


def check_cured(world: World, fleet: Fleet, since: int, writers: int | None = None) -> None:
    """Every node is cured, by one agent, once, and given back; `writers` if fewer needed it."""
    expected = len(fleet.disks) if writers is None else writers
    world.await_reason("Enforced")
    assert {d.version for d in fleet.disks.values()} == {"1.0.0"}
    assert sum(len(d.writes) for d in fleet.disks.values()) == expected
    assert max(len(d.writes) for d in fleet.disks.values()) == 1
    ran = Counter(name for name in fleet.agents if name.startswith("apply-"))
    assert list(ran.values()) == [1] * expected
    asked = applied(world, since)
    assert set(asked) <= set(ran)
    assert all(times == 1 for times in asked.values())
    assert given_back(world)


def given_back(world: World) -> bool:
    nodes = world.api.items(NODES)
    marks = [node["metadata"].get("annotations") or {} for node in nodes]
    cordons = [node["spec"].get("unschedulable") for node in nodes]
    return not any(cordons) and not any(names.CORDONED_BY in mark for mark in marks)
