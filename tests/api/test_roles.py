"""Whoever has `view` or `edit` of the cluster reaches policies and node states."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.server import Server
from tests.api.waiting import eventually
from tests.cluster import process
from tests.cluster.control import ControlPlane

STATES, POLICIES = "cninodestates", "cniupgradepolicies"


@pytest.fixture
def aggregation(plane: ControlPlane, tmp_path: Path) -> Iterator[None]:
    """kube-controller-manager with the one controller that fills `view` and `edit`."""
    pidfile = tmp_path / "kube-controller-manager.pid"
    process.spawn(
        [
            plane.kubectl.with_name("kube-controller-manager"),
            f"--kubeconfig={plane.kubeconfig}",
            "--controllers=clusterrole-aggregation-controller",
            "--leader-elect=false",
            "--secure-port=0",
        ],
        log=tmp_path / "kube-controller-manager.log",
        pidfile=pidfile,
    )
    yield
    process.stop(pidfile)


def may(server: Server, user: str, verb: str, resource: str) -> bool:
    plural, _, sub = resource.partition("/")
    wanted = {"verb": verb, "group": "cniupgrade.dev", "resource": plural, "subresource": sub}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": wanted},
    }
    answer = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.ok, answer.message
    return bool(answer.body["status"]["allowed"])


def bind(server: Server, user: str, role: str) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"test-{user}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    assert server.request("POST", path, binding).ok


@pytest.mark.usefixtures("aggregation")
def test_view_reads_and_edit_writes_policies(shipped: Server) -> None:
    bind(shipped, "viewer", "view")
    bind(shipped, "editor", "edit")
    eventually(lambda: may(shipped, "viewer", "list", POLICIES), "view has our rules")
    eventually(lambda: may(shipped, "editor", "create", POLICIES), "edit has our rules")
    assert may(shipped, "viewer", "watch", STATES)
    for verb in ("create", "update", "patch", "delete"):
        assert not may(shipped, "viewer", verb, POLICIES)
        assert not may(shipped, "viewer", verb, STATES)
        assert may(shipped, "editor", verb, POLICIES)
    assert may(shipped, "editor", "patch", STATES)
    for verb, resource in (
        ("patch", f"{STATES}/status"),
        ("patch", f"{POLICIES}/status"),
        ("update", STATES),
        ("delete", STATES),
        ("create", STATES),
    ):
        assert not may(shipped, "editor", verb, resource), (verb, resource)
