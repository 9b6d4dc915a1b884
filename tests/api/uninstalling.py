"""`manifests/uninstall.sh` as a person runs it, in a cluster from which all is taken out."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cni_upgrade.api import names
from tests.api.objects import node_state, policy
from tests.api.server import MERGE_PATCH, Server
from tests.api.spaces import OPERATOR, SYSTEM
from tests.api.waiting import eventually
from tests.cluster import process
from tests.cluster.control import ControlPlane

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "manifests" / "uninstall.sh"
OURS, KUBECTL = names.FIELD_MANAGER, "kubectl-cordon"
API = f"/apis/{names.API_VERSION}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{OPERATOR}"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/medik8s-leases/leases"
Object = dict[str, Any]


class Cluster:
    """A control plane with a person's kubectl."""

    def __init__(self, plane: ControlPlane, home: Path) -> None:
        self.server = Server(plane.kubeconfig)
        self.env = {
            **os.environ,
            "HOME": str(home),
            "KUBECONFIG": str(plane.kubeconfig),
            "KUBECTL": str(plane.kubectl),
        }
        self._kubectl = str(plane.kubectl)

    def wrapped(self, path: Path, first: str) -> Path:
        """A kubectl at that path that does something first; `$*` is what it was asked for."""
        path.write_text(f'#!/bin/sh\n{first}\nexec "{self._kubectl}" "$@"\n')
        path.chmod(0o755)
        return path

    def kubectl(self, *words: str) -> None:
        done = self.tried(*words)
        assert done.returncode == 0, done.stderr

    def tried(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run kubectl; its exit code is for you."""
        return subprocess.run(
            [self._kubectl, *words], env=self.env, capture_output=True, text=True, check=False
        )

    def refused(self, path: str) -> str:
        """Why an object may not be deleted now; empty where it may. It is not deleted."""
        answer = self.server.request("DELETE", f"{path}?dryRun=All")
        return "" if answer.ok else answer.message

    @contextmanager
    def uninstalling(
        self, wait: int, patience: int = 60, kubectl: Path | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """The script while it runs; it has ended after the block."""
        env = {**self.env, "WAIT": str(wait), "PATIENCE": str(patience)}
        if kubectl:
            env["KUBECTL"] = str(kubectl)
        with subprocess.Popen(
            ["sh", str(SCRIPT)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            try:
                yield running
            finally:
                running.kill()

    def uninstall(
        self, wait: int = 0, patience: int = 60, kubectl: Path | None = None
    ) -> tuple[int, str]:
        with self.uninstalling(wait, patience, kubectl) as running:
            said, _ = running.communicate(timeout=400)
        return running.returncode, said

    def create(self, path: str, obj: Object) -> None:
        answer = self.server.request("POST", path, obj)
        assert answer.ok, answer.message

    def status(self, path: str, status: Object) -> None:
        answer = self.server.request(
            "PATCH", f"{path}/status", {"status": status}, content=MERGE_PATCH
        )
        assert answer.ok, answer.message

    def node(
        self, name: str, *, cordoned: str = "", owner: str | None = None, noted: bool = True
    ) -> None:
        """A node; `cordoned`: the field manager that has done it, and if that is `noted`."""
        self.server.request("DELETE", f"/api/v1/nodes/{name}")
        # The API server keeps notes of an object only if it could note something when it was made.
        metadata = {"name": name, **({"labels": {"made": "by-kubelet"}} if noted else {})}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        self.create("/api/v1/nodes?fieldManager=kubelet", body)
        if owner is not None:
            self.write(name, OURS, {"metadata": {"annotations": {names.CORDONED_BY: owner}}})
        if cordoned:
            self.write(name, cordoned, {"spec": {"unschedulable": True}})

    def write(self, node: str, manager: str, patch: Object) -> None:
        """What a field manager writes on a node."""
        path = f"/api/v1/nodes/{node}?fieldManager={manager}"
        answer = self.server.request("PATCH", path, patch, content=MERGE_PATCH)
        assert answer.ok, answer.message

    def cordon(self, name: str) -> tuple[bool, str | None]:
        node = self.server.request("GET", f"/api/v1/nodes/{name}").body
        annotations = node["metadata"].get("annotations", {})
        return node["spec"].get("unschedulable", False), annotations.get(names.CORDONED_BY)

    def lease(self, name: str, holder: str) -> None:
        """A Lease as medik8s' operators and ours take it on a node."""
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 900}
        body = {"metadata": {"name": name}, "spec": spec}
        self.create(LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body})

    def leases(self) -> set[str]:
        """The Leases on nodes that there are."""
        found = self.server.request("GET", LEASES).body["items"]
        return {lease["metadata"]["name"] for lease in found}

    def install(self) -> None:
        self.kubectl("apply", "--server-side", "-k", str(ROOT))
        self.policy()

    def policy(self) -> None:
        """A policy that enforces, once our kinds are served."""
        served = f"{API}/{names.NODE_STATE_PLURAL}"
        eventually(lambda: self.server.request("GET", served).ok, "the node states are served")
        self.kubectl("apply", "-f", str(ROOT / "manifests" / "examples" / "enforce.yaml"))

    def at_work(self, node: str, kind: str) -> None:
        """A node state with an operation under way."""
        path = f"{API}/{names.NODE_STATE_PLURAL}"
        self.create(path, node_state(node, nodeUID="0a0a0a0a-0000-4000-8000-000000000000"))
        self.status(f"{path}/{node}", {"operation": {"id": f"{kind}-0", "kind": kind}})

    def gives_back(self, name: str, *others: str) -> None:
        """A policy with our finalizer, and those of others, on it."""
        body = policy(name, deletionPolicy="Restore")
        body["metadata"]["finalizers"] = [*others, names.FINALIZER]
        self.create(f"{API}/{names.POLICY_PLURAL}", body)

    def controller_ready(self) -> None:
        self.status(DEPLOYMENT, {"replicas": 1, "readyReplicas": 1})

    def left(self) -> list[str]:
        """Everything of ours that the cluster still has."""
        groups = {
            "/api/v1/namespaces": "namespace",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": "crd",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles": "cluster role",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings": "cluster role binding",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles": "role",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings": "role binding",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles": "role",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings": (
                "role binding"
            ),
            "/apis/scheduling.k8s.io/v1/priorityclasses": "priority class",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies": "policy",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings": "binding",
        }
        return [
            f"{kind} {name}"
            for path, kind in groups.items()
            for obj in self.server.request("GET", path).body["items"]
            if "cni-upgrade" in (name := obj["metadata"]["name"]) or "cniupgrade" in name
        ]

    @classmethod
    @contextmanager
    def temporary(cls, home: Path) -> Iterator["Cluster"]:
        """An API server of its own, and of the controllers those that deleting needs."""
        with ControlPlane.temporary() as plane:
            pidfile = home / "kube-controller-manager.pid"
            process.spawn(
                [
                    plane.kubectl.with_name("kube-controller-manager"),
                    f"--kubeconfig={plane.kubeconfig}",
                    "--controllers=namespace-controller,garbage-collector-controller,job-controller",
                    "--leader-elect=false",
                    "--secure-port=0",
                ],
                log=home / "kube-controller-manager.log",
                pidfile=pidfile,
            )
            try:
                yield cls(plane, home)
            finally:
                process.stop(pidfile)
