"""Starts etcd and the Kubernetes control plane: alone for API tests, or under a whole cluster."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.cluster import build, debian, lock, paths, pki, process
from tests.cluster.components import CONTROL_PLANE
from tests.cluster.errors import ClusterError
from tests.cluster.kubeapi import Api, read_json

SERVICE_CIDR = "10.96.0.0/16"
_SERVICE_ADDRESS = "10.96.0.1"
_READY_SECONDS = 90

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Controllers:
    """kube-controller-manager and kube-scheduler for nodes that are played, and their limits.

    None is the program's own default: 20 requests/s (burst 30) for each of the controllers,
    50 (100) for the scheduler, five Jobs worked on at a time.
    """

    qps: int | None = None
    job_syncs: int | None = None

    def limits(self) -> list[str]:
        """The options that both programs know."""
        if self.qps is None:
            return []
        return [f"--kube-api-qps={self.qps}", f"--kube-api-burst={2 * self.qps}"]


@dataclass(frozen=True)
class Ports:
    """The ports of one control plane; kept, so that its kubeconfig stays true over restarts."""

    api: int
    etcd: int
    etcd_peer: int
    controllers: int
    scheduler: int

    @classmethod
    def free(cls) -> Ports:
        """Choose ports that nobody listens on.

        Below the range from which the kernel gives out ports by itself, and at random: two that
        start at once (parallel test workers) then do not choose the same.
        """
        chosen: list[int] = []
        while len(chosen) < 5:
            port = random.randint(20000, 29999)  # noqa: S311 - no secret
            with socket.socket() as probe:
                if port not in chosen and probe.connect_ex(("127.0.0.1", port)) != 0:
                    chosen.append(port)
        return cls(*chosen)


def _sweep() -> None:
    """End temporary control planes whose owner was killed before it could."""
    for folder in paths.temporary_root().glob("*/"):
        if process.living_pid(folder / "owner") is None:
            ControlPlane(folder).down()
            shutil.rmtree(folder, ignore_errors=True)


class ControlPlane:
    """etcd and kube-apiserver in a folder; with `nodes_at`, all that real nodes need as well.

    With `controllers`, what makes pods of Jobs and brings them to nodes that somebody plays.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes_at: str | None = None,
        controllers: Controllers | None = None,
    ) -> None:
        """Take the folder of its state and the address at which nodes reach it, if there are any.

        Without either there is no controller that would make service accounts, so the admission
        plugin that asks for them is off. Without nodes nothing listens beyond this machine.
        """
        self.folder = folder
        self.pki = folder / "pki"
        self.logs = folder / "logs"
        self.audit_log = folder / "logs" / "audit.log"
        self.kubeconfig = folder / "kubeconfig"
        self._nodes_at = nodes_at
        self._controllers = Controllers() if nodes_at else controllers
        self._played = controllers is not None

    @classmethod
    @contextmanager
    def temporary(cls, controllers: Controllers | None = None) -> Iterator[ControlPlane]:
        """Run etcd and kube-apiserver for the length of a block, in a folder that goes with it."""
        debian.ensure()
        build.ensure(CONTROL_PLANE)
        with lock.held("temporary"):
            _sweep()
            root = paths.temporary_root()
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = Path(tempfile.mkdtemp(dir=root))
            process.record(os.getpid(), folder / "owner")
        plane = cls(folder, controllers=controllers)
        try:
            plane.up()
            yield plane
        finally:
            plane.down()
            shutil.rmtree(folder)

    @property
    def ports(self) -> Ports:
        """The ports, chosen when first asked for."""
        path = self.folder / "ports.json"
        known = read_json(path)
        if known is None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            known = asdict(Ports.free())
            path.write_text(json.dumps(known))
        return Ports(**known)

    @property
    def url(self) -> str:
        """Where the API server is, seen from this machine."""
        return f"https://127.0.0.1:{self.ports.api}"

    @property
    def kubectl(self) -> Path:
        """The kubectl that belongs to this control plane."""
        return build.home("kubernetes") / "kubectl"

    def api(self) -> Api:
        """Answer a client that acts as the administrator."""
        return Api(self.ports.api, pki.authority(self.pki), self._admin())

    def programs(self) -> dict[str, int | None]:
        """Answer each program's pid, or nothing for one that does not run."""
        names = ["etcd", "kube-apiserver"]
        if self._controllers:
            names += ["kube-controller-manager", "kube-scheduler"]
        return {name: process.living_pid(self._pidfile(name)) for name in names}

    def etcd(self, call: str, **body: Any) -> dict[str, Any]:
        """Ask the storage itself, by etcd's JSON gateway: `kv/compaction`, say."""
        url = f"http://127.0.0.1:{self.ports.etcd}/v3/{call}"
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def up(self) -> None:
        """Start what does not run, and wait until the API server is ready."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        pki.kubeconfig(
            self.kubeconfig, server=self.url, ca=pki.authority(self.pki), pair=self._admin()
        )
        self._ensure("etcd", self._start_etcd)
        self._ensure("kube-apiserver", self._start_apiserver)
        self._await_ready()
        if self._controllers:
            self._ensure("kube-controller-manager", self._start_controllers)
            self._ensure("kube-scheduler", self._start_scheduler)

    def down(self) -> None:
        """Stop everything, the storage last; the folder stays."""
        programs = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
        for name in programs:
            # An API server waits a minute for watches to end; nobody here is served by that.
            process.stop(self._pidfile(name), grace=3)

    def _admin(self) -> pki.Pair:
        return pki.issue(self.pki, "admin", user="admin", group="system:masters")

    def _pidfile(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _ensure(self, name: str, start: Callable[[], list[str | Path]]) -> None:
        if process.living_pid(self._pidfile(name)) is None:
            process.spawn(start(), log=self._log(name), pidfile=self._pidfile(name))

    def _await_ready(self) -> None:
        api = self.api()
        deadline = time.monotonic() + _READY_SECONDS
        while not api.is_ready():
            for name in ("etcd", "kube-apiserver"):
                if process.living_pid(self._pidfile(name)) is None:
                    raise ClusterError(
                        f"{name} ended at once; its log ({self._log(name)}) ends:\n"
                        f"{process.tail(self._log(name))}",
                        expected="it to run on",
                    )
            if time.monotonic() > deadline:
                log = self._log("kube-apiserver")
                raise ClusterError(
                    f"kube-apiserver is not ready; its log ({log}) ends:\n{process.tail(log)}",
                    expected=f"/readyz to answer 200 within {_READY_SECONDS} s",
                )
            time.sleep(0.2)

    def _start_etcd(self) -> list[str | Path]:
        client = f"http://127.0.0.1:{self.ports.etcd}"
        peer = f"http://127.0.0.1:{self.ports.etcd_peer}"
        return [
            build.home("etcd") / "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # A cluster that a power cut may cost is the price of a quick one.
            "--unsafe-no-fsync",
        ]

    def _start_apiserver(self) -> list[str | Path]:
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        hosts = [f"DNS:{name}" for name in ("localhost", *names)]
        addresses = ["127.0.0.1", _SERVICE_ADDRESS]
        if self._nodes_at:
            addresses.append(self._nodes_at)
        hosts += [f"IP:{address}" for address in addresses]
        serving = pki.issue(self.pki, "apiserver", user="kube-apiserver", hosts=hosts)
        client = pki.issue(
            self.pki, "apiserver-client", user="kube-apiserver", group="system:masters"
        )
        accounts = pki.service_account_keys(self.pki)
        ca = pki.authority(self.pki).certificate
        policy = self.folder / "audit-policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        argv: list[str | Path] = [
            build.home("kubernetes") / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}",
            f"--secure-port={self.ports.api}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={ca}",
            f"--service-account-key-file={accounts.certificate}",
            f"--service-account-signing-key-file={accounts.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--profiling=false",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            # Where requests are counted, none may be thrown away.
            f"--audit-log-maxsize={8000 if self._played else 50}",
            "--audit-log-maxbackup=2",
            "--enable-admission-plugins=NodeRestriction",
            f"--kubelet-certificate-authority={ca}",
            f"--kubelet-client-certificate={client.certificate}",
            f"--kubelet-client-key={client.key}",
            # Node names resolve nowhere; without this, `kubectl logs` fails on them.
            "--kubelet-preferred-address-types=InternalIP",
        ]
        if self._nodes_at:
            return [*argv, "--bind-address=0.0.0.0", f"--advertise-address={self._nodes_at}"]
        argv += [
            "--bind-address=127.0.0.1",
            # The endpoint of the `kubernetes` service may not be a loopback address.
            "--endpoint-reconciler-type=none",
            # As Kubernetes 1.35 has it: else the field is dropped before admission sees it.
            "--feature-gates=ContainerRestartRules=true",
        ]
        return argv if self._controllers else [*argv, "--disable-admission-plugins=ServiceAccount"]

    def _component_kubeconfig(self, name: str) -> Path:
        pair = pki.issue(self.pki, name, user=f"system:{name}")
        return pki.kubeconfig(
            self.pki / f"{name}.kubeconfig", server=self.url, ca=pki.authority(self.pki), pair=pair
        )

    def _start_controllers(self) -> list[str | Path]:
        name = "kube-controller-manager"
        ours = self._controllers or Controllers()
        argv: list[str | Path] = [
            build.home("kubernetes") / name,
            f"--kubeconfig={self._component_kubeconfig(name)}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports.controllers}",
            f"--service-account-private-key-file={pki.service_account_keys(self.pki).key}",
            f"--root-ca-file={pki.authority(self.pki).certificate}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--profiling=false",
            *ours.limits(),
        ]
        if ours.job_syncs is not None:
            argv.append(f"--concurrent-job-syncs={ours.job_syncs}")
        if self._played:
            # Nobody renews the Leases of nodes that are played.
            argv.append("--controllers=*,-node-lifecycle-controller")
        return argv

    def _start_scheduler(self) -> list[str | Path]:
        name = "kube-scheduler"
        return [
            build.home("kubernetes") / name,
            f"--kubeconfig={self._component_kubeconfig(name)}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports.scheduler}",
            "--leader-elect=false",
            "--profiling=false",
            *(self._controllers or Controllers()).limits(),
        ]
