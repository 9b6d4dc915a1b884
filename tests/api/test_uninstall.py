"""What `manifests/uninstall.sh` leaves in a real API server, whatever it finds there: nothing."""

import subprocess
from pathlib import Path

import pytest

from cni_upgrade.api import names
from tests.api.helm import CHART, RELEASE, helm
from tests.api.server import MERGE_PATCH
from tests.api.spaces import AGENTS, OPERATOR, PROOF, SYSTEM
from tests.api.uninstalling import API, DEPLOYMENT, KUBECTL, OURS, ROOT, Cluster
from tests.api.waiting import eventually

KEPT = (
    *(f"/api/v1/namespaces/{space}" for space in (SYSTEM, AGENTS, PROOF)),
    *(
        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{names.GROUP}"
        for plural in (names.POLICY_PLURAL, names.NODE_STATE_PLURAL)
    ),
    f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{OPERATOR}",
    f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{OPERATOR}",
    f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{OPERATOR}",
    f"/api/v1/namespaces/{SYSTEM}/configmaps/{OPERATOR}",
)
"""What the controller cannot do without."""


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


def test_what_is_deleted_in_the_midst_of_a_change_is_kept(cluster: Cluster) -> None:
    """The controller with its rights and its kinds stays, and says how to go on."""
    cluster.install()
    policy = f"{API}/{names.POLICY_PLURAL}/fleet"
    cluster.status(policy, {"nodes": {"matched": 2, "byPhase": {"Done": 1, "Applying": 1}}})
    said = eventually(lambda: cluster.refused(DEPLOYMENT), "the guard is in force")
    assert "nodes of policy fleet are being changed (Applying)" in said
    assert "run manifests/uninstall.sh" in said
    done = cluster.tried("delete", "-k", str(ROOT), "--wait=false")
    assert done.returncode != 0
    for kept in (*KEPT, DEPLOYMENT):
        assert cluster.server.request("GET", kept).body["metadata"].get("deletionTimestamp") is None
    # The policies of admission go at once, the guard as well: nothing can hold those.
    cluster.kubectl("apply", "--server-side", "-k", str(ROOT))
    eventually(lambda: cluster.refused(DEPLOYMENT), "the guard is in force once more")
    cluster.status(policy, {"nodes": {"matched": 2, "byPhase": {"Done": 2, "Applying": None}}})
    done = cluster.tried("delete", "deployment", "-n", SYSTEM, OPERATOR, "--dry-run=server")
    assert done.returncode == 0, done.stderr
    code, said = cluster.uninstall()
    assert code == 0, said
    assert cluster.left() == []


def test_a_chart_that_is_taken_out_without_its_hook_is_kept(
    cluster: Cluster, tmp_path: Path
) -> None:
    def tried(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        config = f"--kubeconfig={cluster.env['KUBECONFIG']}"
        return helm(tmp_path, verb, *RELEASE, *words, config, "--no-hooks")

    done = tried("install", str(CHART))
    assert done.returncode == 0, done.stderr
    cluster.policy()
    policy = f"{API}/{names.POLICY_PLURAL}/fleet"
    cluster.status(policy, {"nodes": {"matched": 1, "byPhase": {"Upgrading": 1}}})
    eventually(lambda: cluster.refused(DEPLOYMENT), "the guard is in force")
    done = tried("uninstall")
    assert done.returncode != 0
    # Helm keeps the guard's reason to itself.
    assert "failed to delete release" in done.stderr
    assert "nodes of policy fleet are being changed (Upgrading)" in cluster.refused(DEPLOYMENT)
    for kept in (*KEPT, DEPLOYMENT):
        assert cluster.server.request("GET", kept).body["metadata"].get("deletionTimestamp") is None
    code, said = cluster.uninstall()
    assert code == 0, said
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
