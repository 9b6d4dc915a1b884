"""Uninstalling where the API server does not tell everything, or is not there."""

import json
import subprocess
from pathlib import Path

from tests.api.uninstalling import DEPLOYMENT, OURS, SCRIPT, Cluster


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


def test_no_cluster_is_one_line(cluster: Cluster, tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(json.dumps({"apiVersion": "v1", "kind": "Config"}))
    done = subprocess.run(
        ["sh", str(SCRIPT)],
        env={**cluster.env, "KUBECONFIG": str(nowhere)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.strip() == "uninstall: the cluster cannot be reached"
