"""`manifests/uninstall.sh` against a real API server with the controllers that deleting needs."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cni_upgrade.api import names
from tests.api.objects import node_state, policy
from tests.api.server import MERGE_PATCH, Server
from tests.api.spaces import AGENTS, OPERATOR, PROOF, SYSTEM
from tests.api.waiting import eventually
from tests.cluster import process
from tests.cluster.control import ControlPlane

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "manifests" / "uninstall.sh"
OURS, KUBECTL = names.FIELD_MANAGER, "kubectl-cordon"
API = f"/apis/{names.API_VERSION}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{OPERATOR}"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/medik8s-leases/leases"
MEDIK8S = "node-maintenance"
Object = dict[str, Any]


class Cluster:
    """A control plane with a person's kubectl."""

    def __init__(self, plane: ControlPlane, home: Path) -> None:
        self.server = Server(plane.kubeconfig)
        self._env = {
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
        done = subprocess.run(
            [self._kubectl, *words], env=self._env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    @contextmanager
    def uninstalling(
        self, wait: int, patience: int = 60, kubectl: Path | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """The script while it runs; it has ended after the block."""
        env = {**self._env, "WAIT": str(wait), "PATIENCE": str(patience)}
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server of its own, for everything is taken out of it."""
    home = tmp_path_factory.mktemp("uninstall")
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
            yield Cluster(plane, home)
        finally:
            process.stop(pidfile)


def said_until(running: subprocess.Popen[str], text: str) -> None:
    """Reads what it says up to that."""
    said = [""]
    while text not in said[-1]:
        assert running.stdout is not None
        assert running.poll() is None, said
        said.append(running.stdout.readline())


def test_nothing_is_left_and_foreign_cordons_stay(cluster: Cluster) -> None:
    cluster.node("ours", cordoned=OURS, owner="cni")
    cluster.node("given-back-by-hand", owner="cni")
    cluster.node("mark-taken-off", cordoned=OURS)
    cluster.node("cordoned-anew", cordoned=KUBECTL, owner="cni")
    cluster.node("somebody-elses", cordoned=KUBECTL)
    cluster.node("without-notes", cordoned=OURS, owner="cni", noted=False)
    cluster.install()
    cluster.at_work("ours", "apply")
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "apply-0", "namespace": AGENTS},
        "spec": {
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "agent", "image": "x"}],
                }
            }
        },
    }
    cluster.create(f"/apis/batch/v1/namespaces/{AGENTS}/jobs", job)
    code, said = cluster.uninstall()
    assert code == 0, said
    waited = "cordoned-anew given-back-by-hand mark-taken-off ours without-notes"
    assert f"no controller is running that could finish with: {waited}" in said
    assert "cordoned-anew: somebody else has cordoned it since; only our mark goes" in said
    assert said.splitlines()[-1] == (
        "uninstall: done: no cordon, no Job and no finalizer of the operator is left"
    )
    assert cluster.left() == []
    assert cluster.cordon("ours") == (False, None)
    for node in ("given-back-by-hand", "mark-taken-off", "without-notes"):
        assert cluster.cordon(node) == (False, None), node
    assert cluster.cordon("cordoned-anew") == (True, None)
    assert cluster.cordon("somebody-elses") == (True, None)


def test_a_policy_that_nobody_is_left_to_give_back_for_is_let_go(cluster: Cluster) -> None:
    """Our finalizer goes, one of somebody else stays theirs."""
    cluster.install()
    cluster.gives_back("ours")
    cluster.gives_back("shared", "x.example/hold")
    code, said = cluster.uninstall(patience=20)
    assert code == 1, said
    assert "no controller is running that could finish with: ours shared" in said
    assert "policy ours: nobody is left to give back what it changed; its nodes keep it" in said
    path = f"{API}/{names.POLICY_PLURAL}"
    assert not cluster.server.request("GET", f"{path}/ours").ok
    shared = cluster.server.request("GET", f"{path}/shared").body["metadata"]
    assert shared["finalizers"] == ["x.example/hold"]
    let = {"metadata": {"finalizers": None}}
    assert cluster.server.request("PATCH", f"{path}/shared", let, content=MERGE_PATCH).ok
    code, said = cluster.uninstall()
    assert code == 0, said
    assert cluster.left() == []


def test_what_was_deleted_like_any_other_manifest_is_healed(cluster: Cluster) -> None:
    """By `kubectl delete -k .`, or pruned from Git: the rights and the controller go first."""
    cluster.node("ours", cordoned=OURS, owner="cni")
    cluster.install()
    cluster.gives_back("ours")
    cluster.kubectl("delete", "-k", str(ROOT), "--wait=false")
    eventually(lambda: not cluster.server.request("GET", DEPLOYMENT).ok, "the controller is gone")
    policies = f"crd {names.POLICY_PLURAL}.{names.GROUP}"
    eventually(lambda: cluster.left() == [policies], lambda: f"what hangs: {cluster.left()}")
    assert cluster.cordon("ours") == (True, "cni"), "as the manual warns"
    code, said = cluster.uninstall()
    assert code == 0, said
    assert "policy ours: nobody is left to give back what it changed; its nodes keep it" in said
    assert cluster.left() == []
    assert cluster.cordon("ours") == (False, None)


def test_a_controller_that_gives_back_gets_the_time(cluster: Cluster) -> None:
    cluster.install()
    cluster.gives_back("ours")
    cluster.controller_ready()
    with cluster.uninstalling(wait=120) as running:
        said_until(running, "finishing with: ours")
        # What the controller does once every node is settled.
        done = {"metadata": {"finalizers": None}}
        path = f"{API}/{names.POLICY_PLURAL}/ours"
        assert cluster.server.request("PATCH", path, done, content=MERGE_PATCH).ok
        rest, _ = running.communicate(timeout=400)
    assert running.returncode == 0, rest
    assert "nobody is left" not in rest
    assert cluster.left() == []


def test_it_is_safe_to_repeat(cluster: Cluster) -> None:
    cluster.uninstall()
    code, said = cluster.uninstall()
    assert code == 0, said
    assert cluster.left() == []


@pytest.mark.parametrize("gone", [AGENTS, PROOF, SYSTEM])
def test_one_run_is_enough_where_a_namespace_is_gone_already(cluster: Cluster, gone: str) -> None:
    cluster.install()
    cluster.kubectl("delete", "namespace", gone)
    code, said = cluster.uninstall()
    assert code == 0, said
    assert cluster.left() == []


def test_the_controller_gets_the_time_to_finish(cluster: Cluster) -> None:
    cluster.node("ours", cordoned=OURS, owner="cni")
    cluster.install()
    cluster.at_work("ours", "apply")
    cluster.controller_ready()
    with cluster.uninstalling(wait=120) as running:
        said_until(running, "finishing")
        assert cluster.server.request("GET", DEPLOYMENT).ok
        # What the controller does at the end of an operation.
        cluster.status(f"{API}/{names.NODE_STATE_PLURAL}/ours", {"operation": None})
        patch = {
            "metadata": {"annotations": {names.CORDONED_BY: None}},
            "spec": {"unschedulable": None},
        }
        cluster.server.request("PATCH", "/api/v1/nodes/ours", patch, content=MERGE_PATCH)
        rest, _ = running.communicate(timeout=400)
    assert running.returncode == 0, rest
    assert "not finished" not in rest
    assert "uncordoning" not in rest
    assert cluster.left() == []


@pytest.fixture
def leased(cluster: Cluster) -> Iterator[Cluster]:
    """With the namespace of the Leases on nodes, as medik8s' operators make it."""
    cluster.kubectl("apply", "-f", str(ROOT / "manifests/leases/medik8s.yaml"))
    yield cluster
    cluster.kubectl("delete", "namespace", "medik8s-leases")


def test_nobody_is_uncordoned_in_the_middle_of_their_drain(leased: Cluster) -> None:
    leased.node("a.b", cordoned=OURS, owner="cni")
    leased.node("theirs", cordoned=OURS, owner="cni")
    leased.node("mark-taken-off", cordoned=OURS)
    # Of a node whose name is another one's as a pattern.
    leased.lease("node-a-b", MEDIK8S)
    leased.lease("node-theirs", MEDIK8S)
    leased.lease("node-mark-taken-off", MEDIK8S)
    leased.install()
    code, said = leased.uninstall()
    assert code == 0, said
    assert "uninstall: theirs: node-maintenance drains it: the cordon is left to them\n" in said
    assert leased.cordon("a.b") == (False, None)
    assert leased.cordon("theirs") == (True, None)
    assert leased.cordon("mark-taken-off") == (True, None)
    assert leased.leases() == {"node-a-b", "node-theirs", "node-mark-taken-off"}
    assert leased.left() == []
    # Once they have given the nodes back, the next run does.
    leased.server.request("DELETE", LEASES)
    code, said = leased.uninstall()
    assert code == 0, said
    assert leased.cordon("theirs") == (False, None)
    assert leased.cordon("mark-taken-off") == (False, None)


def test_our_leases_on_nodes_go_and_no_other(leased: Cluster) -> None:
    leased.node("ours", cordoned=OURS, owner="cni")
    leased.lease("node-ours", OPERATOR)
    leased.lease("node-theirs", MEDIK8S)
    leased.lease("node-of-somebody", f"{OPERATOR}-of-somebody")
    leased.lease("nothing-of-a-node", OPERATOR)
    leased.install()
    code, said = leased.uninstall()
    assert code == 0, said
    assert leased.cordon("ours") == (False, None)
    assert leased.leases() == {"node-theirs", "node-of-somebody", "nothing-of-a-node"}


def test_a_controller_that_does_not_finish_is_stopped(cluster: Cluster) -> None:
    cluster.node("ours", cordoned=OURS, owner="cni")
    cluster.install()
    cluster.controller_ready()
    started = time.monotonic()
    code, said = cluster.uninstall(wait=6)
    assert code == 0, said
    assert time.monotonic() - started > 5
    assert "not finished within 6 s: ours" in said
    assert cluster.cordon("ours") == (False, None)
    assert cluster.left() == []


def test_an_audit_is_not_waited_for(cluster: Cluster) -> None:
    cluster.node("ours")
    cluster.install()
    cluster.at_work("ours", "audit")
    cluster.controller_ready()
    code, said = cluster.uninstall(wait=600)
    assert code == 0, said
    assert "finishing" not in said


def test_what_kubectl_says_beside_a_list_is_none_of_its_lines(
    cluster: Cluster, tmp_path: Path
) -> None:
    """As where metrics-server is down, which is a pod and needs the network that is broken."""
    cluster.node("ours", cordoned=OURS, owner="cni")
    cluster.install()
    cluster.at_work("ours", "audit")
    complaint = (
        "E1125 21:00:00.000000 1 memcache.go:287] couldn't get resource list for "
        "metrics.k8s.io/v1beta1: the server is currently unable to handle the request"
    )
    kubectl = cluster.wrapped(tmp_path / "kubectl", f'echo "{complaint}" >&2')
    code, said = cluster.uninstall(wait=20, kubectl=kubectl)
    assert code == 0, said
    assert "no controller is running that could finish with: ours \n" in said
    assert not [line for line in said.splitlines() if "uninstall:" in line and "E1125" in line]
    assert cluster.cordon("ours") == (False, None)
    assert cluster.left() == []


def test_a_list_that_fails_for_a_while_is_asked_for_again(cluster: Cluster, tmp_path: Path) -> None:
    cluster.node("ours", cordoned=OURS, owner="cni")
    cluster.install()
    once = tmp_path / "once"
    kubectl = cluster.wrapped(
        tmp_path / "kubectl",
        f'case $* in "get nodes"*) [ -e {once} ] || {{ touch {once}; '
        'echo "etcd is away" >&2; exit 1; } ;; esac',
    )
    code, said = cluster.uninstall(wait=60, kubectl=kubectl)
    assert code == 0, said
    assert "etcd is away\nuninstall: the API server does not tell what is left" in said
    assert cluster.cordon("ours") == (False, None)
    assert cluster.left() == []


def test_a_list_that_keeps_failing_stops_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.install()
    kubectl = cluster.wrapped(
        tmp_path / "kubectl",
        'case $* in "get nodes"*) echo "etcd is away" >&2; exit 1 ;; esac',
    )
    code, said = cluster.uninstall(kubectl=kubectl)
    assert code == 1, said
    assert said.splitlines()[-1] == "uninstall: ended early; run it again"
    assert cluster.server.request("GET", DEPLOYMENT).ok
    code, said = cluster.uninstall()
    assert code == 0, said


def test_policies_that_cannot_be_listed_are_not_none(cluster: Cluster, tmp_path: Path) -> None:
    """Their finalizers would hold the custom resources for ever."""
    cluster.install()
    cluster.gives_back("ours")
    stopped = tmp_path / "stopped"
    kubectl = cluster.wrapped(
        tmp_path / "kubectl",
        f'case $* in *"delete deployment"*) touch {stopped} ;; "get cniupgradepolicies"*) '
        f'[ ! -e {stopped} ] || {{ echo "etcd is away" >&2; exit 1; }} ;; esac',
    )
    code, said = cluster.uninstall(patience=10, kubectl=kubectl)
    assert code == 1, said
    assert said.splitlines()[-1] == "uninstall: ended early; run it again"
    assert "deleting the rest" not in said
    code, said = cluster.uninstall()
    assert code == 0, said
    assert cluster.left() == []


def test_what_is_left_is_said(cluster: Cluster) -> None:
    cluster.node("ours")
    cluster.install()
    cluster.at_work("ours", "audit")
    path = f"{API}/{names.NODE_STATE_PLURAL}/ours"
    hold = {"metadata": {"finalizers": ["x.example/hold"]}}
    assert cluster.server.request("PATCH", path, hold, content=MERGE_PATCH).ok
    code, said = cluster.uninstall(patience=20)
    assert code == 1
    assert said.splitlines()[-1] == (
        "uninstall: left: customresourcedefinition cninodestates.cniupgrade.dev"
    )
    let = {"metadata": {"finalizers": None}}
    assert cluster.server.request("PATCH", path, let, content=MERGE_PATCH).ok
    code, said = cluster.uninstall()
    assert code == 0, said
    assert cluster.left() == []


def test_no_cluster_is_one_line(cluster: Cluster, tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(json.dumps({"apiVersion": "v1", "kind": "Config"}))
    done = subprocess.run(
        ["sh", str(SCRIPT)],
        env={**cluster._env, "KUBECONFIG": str(nowhere)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.strip() == "uninstall: the cluster cannot be reached"
