"""`preflight`: may this cluster take the operator?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.kubectl import preflight
from cni_upgrade.kubectl.preflight import Facts, Grade, checks
from cni_upgrade.kubectl.preflight_facts import INSTALLED
from cni_upgrade.kubectl.terminal import Terminal

ROOT = Path(__file__).parents[3]
SERVED = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")


def node(name: str, runtime: str = "containerd://2.0.0", **info: str) -> dict[str, Any]:
    known = {"operatingSystem": "linux", "architecture": "amd64", **info}
    known["containerRuntimeVersion"] = runtime
    return {"metadata": {"name": name}, "status": {"nodeInfo": known}}


def pod(node: str, *, name: str = "web", port: str = "hostPort", **labels: str) -> dict[str, Any]:
    meta = {"namespace": "shop", "name": name, "labels": labels}
    containers = [{"ports": [{port: 8080}]}]
    spec = {"nodeName": node, "hostNetwork": port == "containerPort", "containers": containers}
    return {"metadata": meta, "spec": spec}


def facts(**more: Any) -> Facts:
    good: dict[str, Any] = {
        "version": {"major": "1", "minor": "34+", "gitVersion": "v1.34.4"},
        "admission": SERVED,
        "nodes": [node("node-a"), node("node-b")],
        "pods": [],
    }
    return Facts(**{**good, **more})


def grades(**more: Any) -> dict[str, Grade]:
    return {check.about: check.grade for check in checks(facts(**more))}


def test_a_good_cluster() -> None:
    assert set(grades().values()) == {Grade.OK}
    last = preflight.lines(checks(facts()), Terminal(80))[-1]
    assert last == "The cluster may take the operator: 6 well, 0 to be looked at, 0 failed."


def test_an_old_api_server() -> None:
    old = grades(version={"major": "1", "minor": "29", "gitVersion": "v1.29.1"}, admission=())
    assert (old["API server"], old["admission"]) == (Grade.FAIL, Grade.FAIL)
    assert grades(version={})["API server"] is Grade.WARN


def test_rights_that_are_missing_are_named() -> None:
    [check] = [c for c in checks(facts(denied=["clusterroles"])) if c.about == "rights"]
    assert check.grade is Grade.FAIL
    assert "clusterroles" in check.text


@pytest.mark.parametrize(("level", "grade"), [("baseline", Grade.FAIL), ("privileged", None)])
def test_pod_security_of_a_namespace_that_is_there(level: str, grade: Grade | None) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    assert grades(namespaces={"cni-upgrade-agents": labels}).get("pod security") is grade


@pytest.mark.parametrize("port", ["hostPort", "containerPort"])
def test_ports(port: str) -> None:
    some = grades(pods=[pod("node-a", port=port)])
    both = grades(pods=[pod("node-a", port=port), pod("node-b", port=port)])
    ours = {"app.kubernetes.io/name": "cni-upgrade-operator"}
    mine = grades(pods=[pod("node-a", port=port, **ours)])
    found = [each["ports 8080, 8081"] for each in (some, both, mine)]
    assert found == [Grade.WARN, Grade.FAIL, Grade.OK]


def test_nodes() -> None:
    assert grades(nodes=[node("w", operatingSystem="windows")])["nodes"] is Grade.FAIL
    assert grades(nodes=[node("node-a")])["nodes"] is Grade.WARN
    arms = [node("node-a"), node("node-b", architecture="arm64")]
    assert grades(nodes=arms)["architectures"] is Grade.WARN
    docker = [node("node-a"), node("node-b", runtime="docker://20.10.1")]
    assert grades(nodes=docker)["runtimes"] is Grade.WARN


def test_what_could_not_be_read_is_said() -> None:
    unread = ["pods of all namespaces: forbidden"]
    found = grades(pods=None, unread=unread)
    assert found["not known"] is Grade.WARN
    assert "ports 8080, 8081" not in found


def test_all_kinds_that_are_installed_are_asked_for() -> None:
    paths = [*(ROOT / "manifests").glob("*.yaml"), *(ROOT / "crds").glob("*.yaml")]
    kinds = {
        document["kind"].lower()
        for path in paths
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    } - {"kustomization"}
    asked = {resource for _, resource, _ in INSTALLED}
    plural = {f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s" for kind in kinds}
    plural = {"priorityclasses" if each == "priorityclasss" else each for each in plural}
    assert plural == asked


def test_the_levels_are_those_of_the_manifests() -> None:
    text = (ROOT / "manifests/namespaces.yaml").read_text(encoding="utf-8")
    label = "pod-security.kubernetes.io/enforce"
    shipped = {
        each["metadata"]["name"]: each["metadata"]["labels"][label]
        for each in yaml.safe_load_all(text)
    }
    assert shipped == preflight.NAMESPACES
