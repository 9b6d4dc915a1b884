"""The benchmark in somebody's cluster: what it refuses, and that all is left as it was found."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.kube.resources import LEASES, NAMESPACES, NODES, PODS
from tests.api.spaces import SYSTEM
from tests.api.waiting import eventually
from tests.bench.cluster import NODE_LEASES, Cluster
from tests.bench.figures import Case, Figures, table
from tests.bench.fleet import measure
from tests.bench.foreign import PREFIX, RefusedError, found, node
from tests.bench.installation import ROOT
from tests.bench.kwok import LABEL
from tests.bench.target import RAISED, controllers
from tests.bench.visit import LeftError, visit
from tests.cluster.control import ControlPlane

NODE_COUNT = 5
THEIRS = "somebodys"
KINDS = (
    "nodes,pods,jobs,daemonsets,leases,namespaces,serviceaccounts,configmaps,customresourcedefinitions,"
    "clusterroles,clusterrolebindings,roles,rolebindings,priorityclasses,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)
SAID = "custom-columns=:.kind,:.metadata.namespace,:.metadata.name,:.metadata.uid"
Object = dict[str, Any]


def their_objects() -> Object:
    """A node, a pod on it that nobody starts, and a DaemonSet that no taint keeps away."""
    kept = {"name": THEIRS, "annotations": {"node.alpha.kubernetes.io/ttl": "0"}}
    containers = [{"name": "it", "image": "example.com/it"}]
    template = {
        "metadata": {"labels": {"app": THEIRS}},
        "spec": {"containers": containers, "tolerations": [{"operator": "Exists"}]},
    }
    room = {"pods": "110"}
    status = {"capacity": room, "allocatable": room}
    items: list[Object] = [
        {"apiVersion": "v1", "kind": "Node", "metadata": kept, "status": status},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": THEIRS, "namespace": "default"},
            "spec": {"containers": containers, "nodeName": THEIRS},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": f"{THEIRS}-all", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": THEIRS}}, "template": template},
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane.temporary(controllers(RAISED)) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """As an administrator of it sees it, with what is theirs."""
    with closing(Cluster(plane.kubeconfig, tmp_path_factory.mktemp("theirs"))) as made:
        made.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        made.kubectl("create", "-f", "-", stdin=their_objects())
        eventually(lambda: len(on(made, THEIRS)) == 2, "both pods are on their node")
        yield made


def on(cluster: Cluster, prefix: str) -> list[Object]:
    """Pods in the default namespace on nodes of such names."""
    pods = cluster.named(PODS, "default", "")
    return [each for each in pods if each["spec"].get("nodeName", "").startswith(prefix)]


def shown(cluster: Cluster) -> set[str]:
    """All that is there, but Events: they go by themselves."""
    lines = cluster.kubectl("get", KINDS, "-A", "--no-headers", "-o", SAID).splitlines()
    return {" ".join(each.split()) for each in lines}


def versions(cluster: Cluster) -> list[str]:
    """Which version of their node and pod it is: another one with each write."""
    node = cluster.named(NODES, None, THEIRS)
    pods = [each for each in on(cluster, THEIRS) if each["metadata"]["name"] == THEIRS]
    return [each["metadata"]["resourceVersion"] for each in node + pods]


@pytest.fixture(scope="module")
def kubeconfig(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An administrator's, by token; with its authority in a file, and another cluster before it."""
    return written(cluster, tmp_path_factory.mktemp("given"), "cluster-admin")


def written(cluster: Cluster, folder: Path, role: str) -> Path:
    """The kubeconfig of an account named as its role."""
    cluster.kubectl("create", "serviceaccount", role)
    words = ("create", "clusterrolebinding", f"{THEIRS}-{role}", f"--clusterrole={role}")
    cluster.kubectl(*words, f"--serviceaccount=default:{role}")
    admins = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    (folder / "ca.crt").write_bytes(base64.b64decode(admins["certificate-authority-data"]))
    here = {"server": admins["server"], "certificate-authority": "ca.crt"}
    nowhere = {"server": "https://127.0.0.1:1"}
    token = cluster.kubectl("create", "token", role).strip()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "nowhere", "cluster": nowhere}, {"name": "here", "cluster": here}],
        "users": [{"name": "me", "user": {"token": token}}],
        "contexts": [
            {"name": each, "context": {"cluster": each, "user": "me"}}
            for each in ("nowhere", "here")
        ],
        "current-context": "here",
    }
    made = folder / "config"
    made.write_text(yaml.safe_dump(config))
    return made


def refused(plane: ControlPlane, kubeconfig: Path, folder: Path) -> tuple[str, ...]:
    """Why it is; nothing was written by then."""
    before = writes(plane)
    with pytest.raises(RefusedError) as error:
        found(kubeconfig, folder)
    assert writes(plane) == before
    return error.value.lines


def writes(plane: ControlPlane) -> list[str]:
    """Those of the accounts that kubeconfigs were made for; questions about rights are none."""
    events = map(json.loads, plane.audit_log.read_text().splitlines())
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in events
        if event["user"]["username"].startswith("system:serviceaccount:default:")
        and event["verb"] not in ("get", "list", "watch")
        and event["objectRef"]["resource"] != "selfsubjectaccessreviews"
    ]


def test_where_an_operator_may_be_at_work_it_is_refused(
    plane: ControlPlane, cluster: Cluster, kubeconfig: Path, tmp_path: Path
) -> None:
    files = [f"--filename={each}" for each in sorted((ROOT / "crds").glob("*.yaml"))]
    policy = f"--filename={ROOT / 'manifests/examples/audit.yaml'}"
    cluster.kubectl("create", *files)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all")
    cluster.kubectl("create", policy)
    cluster.kubectl("create", "namespace", SYSTEM)
    try:
        crds = "customresourcedefinition.apiextensions.k8s.io"
        assert sorted(refused(plane, kubeconfig, tmp_path)) == [
            "CNIUpgradePolicy fleet is there",
            f"{crds}/cninodestates.cniupgrade.dev is there: an operator may be at work",
            f"{crds}/cniupgradepolicies.cniupgrade.dev is there: an operator may be at work",
            f"namespace/{SYSTEM} is there: an operator may be at work",
        ]
    finally:
        cluster.kubectl("delete", "namespace", SYSTEM)
        cluster.kubectl("delete", *files)


@pytest.mark.parametrize("how", [{"name": f"{PREFIX}7"}, {"name": "other", "labels": {LABEL: ""}}])
def test_where_a_node_would_be_taken_for_ours_it_is_refused(
    plane: ControlPlane, cluster: Cluster, kubeconfig: Path, tmp_path: Path, how: Object
) -> None:
    cluster.kubectl(
        "create", "-f", "-", stdin={"apiVersion": "v1", "kind": "Node", "metadata": how}
    )
    try:
        assert refused(plane, kubeconfig, tmp_path) == (
            f"node {how['name']} is there: its name or label is of our nodes",
        )
    finally:
        cluster.kubectl("delete", "node", how["name"])


def test_whoever_may_not_do_everything_is_refused(
    plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    assert refused(plane, written(cluster, tmp_path, "edit"), tmp_path) == (
        "the rights of a cluster administrator are needed: every verb on everything",
    )


def test_what_leads_nowhere_is_refused(tmp_path: Path) -> None:
    lost = tmp_path / "config"
    for text, said in (
        (None, f"--kubeconfig {lost}: there is no such file"),
        ("{}", "current-context must exist"),
        (yaml.safe_dump(NOWHERE), "no answer from the API server"),
    ):
        if text:
            lost.write_text(text)
        with pytest.raises(RefusedError, match=said) as error:
            found(lost, tmp_path)
        assert len(error.value.lines) == 1


NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "it", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "me", "user": {"token": "x"}}],
    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
    "current-context": "it",
}


def test_of_two_that_begin_at_once_one_is_refused_and_the_other_is_let_alone(
    cluster: Cluster,
) -> None:
    before = shown(cluster)
    with visit(cluster):
        with pytest.raises(RefusedError, match="already exists"), visit(cluster):
            pass
        assert cluster.named(NAMESPACES, None, SYSTEM)
    assert shown(cluster) ^ before == set()


def test_what_cannot_be_taken_away_is_said(cluster: Cluster) -> None:
    held = node(0)
    held["metadata"]["finalizers"] = ["example.com/held"]
    with pytest.raises(LeftError) as error, visit(cluster):
        cluster.kubectl("create", "-f", "-", stdin=held)
    assert error.value.lines[0] == f"nodes/{PREFIX}00000"
    # As long as it is there, so is the pod of their DaemonSet.
    assert [each.split("-")[0] for each in error.value.lines[1:]] == [f"pods/{THEIRS}"]
    free = '{"metadata": {"finalizers": null}}'
    cluster.kubectl("patch", "node", f"{PREFIX}00000", "--type=merge", "-p", free)
    # Of a node that is gone, pods are let be for 40 s by the cluster's own controller.
    for each in on(cluster, PREFIX):
        cluster.kubectl("delete", "pod", each["metadata"]["name"], "--grace-period=0", "--force")


@pytest.fixture(scope="module")
def figures(cluster: Cluster, kubeconfig: Path) -> Figures:
    """Of a run that ended; what was there before is there after it, and nothing else."""
    before, theirs = shown(cluster), versions(cluster)
    case = Case(NODE_COUNT, "enforce", qps=None, parallel=5, steady=3, jobs=5)
    made = measure(case, kubeconfig)
    assert shown(cluster) ^ before == set()
    assert versions(cluster) == theirs
    return made


def test_requests_are_what_the_controller_counts(figures: Figures) -> None:
    once = ("create cninodestates", "create jobs", "create pods", "delete pods", "patch nodes")
    ours = figures.requests["controller"]
    assert {what: ours[what] / NODE_COUNT for what in once} == {
        "create cninodestates": 1,
        "create jobs": 2,
        "create pods": 2,
        "delete pods": 2,
        "patch nodes": 2,
    }
    assert list(figures.requests) == ["controller"]
    assert figures.counted == "own metric"
    assert figures.reads > 0
    assert figures.steady_writes == 0


def test_what_is_not_known_is_not_told(figures: Figures) -> None:
    assert (figures.first, figures.idle, figures.limits) == (None, None, "the cluster's")
    cells = figures.cells()
    assert (cells["first write s"], cells["cores idle"]) == ("?", "?")
    assert "the cluster's" in table([figures])


def test_whoever_is_interrupted_leaves_nothing(cluster: Cluster, kubeconfig: Path) -> None:
    before, theirs = shown(cluster), versions(cluster)
    words = ("3", "--flow", "enforce", "--kubeconfig", str(kubeconfig))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.fleet", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "operator"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: at_work(cluster), "the controller is at work", pause=0.5)
        assert len(cluster.named(LEASES, NODE_LEASES, PREFIX)) == 3
        # One more controller would act as well.
        assert cluster.kubectl("get", "deployments", "-A", "-o", "name") == ""
        # Where a DaemonSet's pod were Ready, a Service would send it what others ask for.
        pods = on(cluster, PREFIX)
        assert [each["status"]["phase"] for each in pods] == 3 * ["Pending"]
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    assert said.endswith("interrupted\n")
    assert shown(cluster) ^ before == set()
    assert versions(cluster) == theirs


def at_work(cluster: Cluster) -> bool:
    """Whether a node is cordoned by now."""
    nodes = cluster.named(NODES, None, PREFIX)
    return any(each["spec"].get("unschedulable") for each in nodes)
