"""The Helm chart: what kustomize installs, and what its values change."""

import re
from pathlib import Path

import pytest
import yaml

from cni_upgrade.planner.world import operator_config
from tests.api.conftest import Kubectl
from tests.api.helm import CHART, RELEASE, by_name, helm, rendered
from tests.api.server import Server
from tests.api.shipped import ROOT

CONFIG = ("ConfigMap", "cni-upgrade-system/cni-upgrade-operator")
DEPLOYMENT = ("Deployment", "cni-upgrade-system/cni-upgrade-operator")
FENCE = ("ValidatingAdmissionPolicy", "/cni-upgrade-agent-pods")
KEEP = "helm.sh/resource-policy"


def test_objects_are_those_of_kustomize(kubectl: Kubectl, tmp_path: Path) -> None:
    made = kubectl("kustomize", str(ROOT))
    assert made.returncode == 0, made.stderr
    ours = by_name(made.stdout)
    charts = rendered(tmp_path, "--set", "crds.keep=false")
    hooks = {name for _, name in charts if name.endswith("cni-upgrade-retire")}
    assert hooks == {"/cni-upgrade-retire", "cni-upgrade-system/cni-upgrade-retire"}
    assert {key: o for key, o in charts.items() if key[1] not in hooks} == ours


def test_helm_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    done = helm(tmp_path, "lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


def test_the_api_server_takes_each_object(
    shipped: Server, kubectl: Kubectl, tmp_path: Path
) -> None:
    """In place of kubeconform: the real schema, strictly."""
    assert shipped
    done = helm(tmp_path, "template", *RELEASE, str(CHART))
    (tmp_path / "all.yaml").write_text(done.stdout)
    words = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    tried = kubectl("apply", *words, "-f", str(tmp_path / "all.yaml"))
    assert tried.returncode == 0, tried.stderr
    assert "Warning" not in tried.stderr


def test_crds_outlive_an_uninstall_unless_told_otherwise(tmp_path: Path) -> None:
    for words, kept in (((), {"keep"}), (("--set", "crds.keep=false"), {None})):
        crds = [o for (kind, _), o in rendered(tmp_path, *words).items() if "CustomRes" in kind]
        assert len(crds) == 2
        assert {o["metadata"]["annotations"].get(KEEP) for o in crds} == kept


def test_values_reach_their_places(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        """
images: {operator: "r.example/o:1", agent: "r.example/a:2"}
replicas: 1
logFormat: json
podDisruptionBudget: false
roles: false
medik8sLeases: true
config: {stateDir: /var/lib/cni-upgrade}
presets: {mine: {confDirs: [/srv/net.d], binDirs: [/srv/bin], mounts: [/srv]}}
folders: {writable: [/srv/net.d], readable: [/srv]}
monitoring: {podMonitor: true, rules: true, dashboard: true}
"""
    )
    made = rendered(tmp_path, "-f", str(values))
    plain = rendered(tmp_path)
    gone = {(kind, name.rpartition("/")[2]) for kind, name in plain.keys() - made.keys()}
    assert gone == {
        ("PodDisruptionBudget", "cni-upgrade-operator"),
        ("ClusterRole", "cni-upgrade-view"),
        ("ClusterRole", "cni-upgrade-edit"),
    }
    assert made.keys() - plain.keys() == {
        ("PodMonitor", "cni-upgrade-system/cni-upgrade-operator"),
        ("PrometheusRule", "cni-upgrade-system/cni-upgrade-operator"),
        ("ConfigMap", "cni-upgrade-system/cni-upgrade-dashboard"),
        ("Role", "medik8s-leases/cni-upgrade-operator"),
        ("RoleBinding", "medik8s-leases/cni-upgrade-operator"),
    }
    spec = made[DEPLOYMENT]["spec"]
    [container] = spec["template"]["spec"]["containers"]
    assert (spec["replicas"], container["image"]) == (1, "r.example/o:1")
    assert container["args"] == ["--log-format=json"]
    assert made[CONFIG]["data"]["agentImage"] == "r.example/a:2"
    written = yaml.safe_load(made[CONFIG]["data"]["config.yaml"])
    read = operator_config.parse({**written, "agentImage": "r.example/a:2"})
    assert read.lease_namespace == "medik8s-leases"
    assert read.preset("kubeadm"), "the shipped presets stay"
    mine = read.preset("mine")
    assert mine
    assert mine.conf_dirs == ("/srv/net.d",)
    variables = {v["name"]: v["expression"] for v in made[FENCE]["spec"]["variables"]}
    assert variables["agentImage"] == "'r.example/a:2'"
    assert variables["writable"].endswith("] + [variables.stateFolder] + ['/srv/net.d']")
    assert variables["readable"].endswith("] + variables.writable + ['/srv']")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "replica=3"), "replica"),
        (("--set", "images.agent="), "/images/agent"),
        (("--set-json", 'folders.writable=["etc"]'), "/folders/writable/0"),
        (("--set", "config.agentImage=x"), "agentImage"),
        (("--namespace", "cni-upgrade-system"), "install with --namespace kube-system"),
    ],
)
def test_a_mistake_is_refused_by_its_name(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = helm(tmp_path, "template", *RELEASE, str(CHART), *words)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_policy_of_the_notes_is_taken(shipped: Server, kubectl: Kubectl) -> None:
    """Taken whole from the screen, EOF at the start of its line: else the shell waits for more."""
    assert shipped
    notes = (CHART / "templates/NOTES.txt").read_text(encoding="utf-8")
    found = re.search(r"<<EOF\n(.*?)\nEOF\n", notes, re.S)
    assert found
    policy = yaml.safe_load(found[1])
    done = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=policy)
    assert done.returncode == 0, done.stderr
