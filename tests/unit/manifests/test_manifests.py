"""What the shipped manifests promise, read from the files alone."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.agent.discovery import unit_files
from cni_upgrade.api import names
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.cni.sources import KNOWN
from cni_upgrade.controller import admission_policies
from cni_upgrade.controller.config_file import CONFIG
from cni_upgrade.kube import rights
from cni_upgrade.planner.node.manifests import PRIORITY_CLASS
from cni_upgrade.planner.world.operator_config import OperatorConfig, Preset
from tests import operator_config

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
Object = dict[str, Any]


def objects(path: Path) -> list[Object]:
    return [obj for obj in yaml.safe_load_all(path.read_text(encoding="utf-8")) if obj]


FILES = sorted(p for p in MANIFESTS.glob("*.yaml") if p.name != "kustomization.yaml")
ALL = [obj for path in FILES for obj in objects(path)]


def of_kind(kind: str) -> list[Object]:
    found = [obj for obj in ALL if obj["kind"] == kind]
    assert found, f"no {kind}"
    return found


def one(kind: str, name: str, namespace: str | None = None) -> Object:
    [found] = [
        obj
        for obj in of_kind(kind)
        if obj["metadata"]["name"] == name and obj["metadata"].get("namespace") == namespace
    ]
    return found


@pytest.fixture
def pod() -> Object:
    deployment = one("Deployment", "cni-upgrade-operator", "cni-upgrade-system")
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def data() -> dict[str, str]:
    found: dict[str, str] = one("ConfigMap", "cni-upgrade-operator", "cni-upgrade-system")["data"]
    return found


@pytest.fixture
def config() -> OperatorConfig:
    return operator_config.shipped()


def test_the_kustomizations_name_every_file() -> None:
    [top] = objects(ROOT / "kustomization.yaml")
    [inner] = objects(MANIFESTS / "kustomization.yaml")
    crds = {str(p.relative_to(ROOT)) for p in (ROOT / "crds").glob("*.yaml")}
    assert set(top["resources"]) == crds | {"manifests"}
    assert set(inner["resources"]) == {p.name for p in FILES}
    assert top["transformers"] == ["manifests/agent-image", "manifests/prune"]
    assert inner["configurations"] == ["agent-image/images.yaml"]


def test_no_two_objects_are_the_same() -> None:
    keys = [(o["kind"], o["metadata"]["name"], o["metadata"].get("namespace")) for o in ALL]
    assert len(keys) == len(set(keys))


def test_three_namespaces_with_their_pod_security() -> None:
    levels = {
        obj["metadata"]["name"]: obj["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for obj in of_kind("Namespace")
    }
    assert levels == {
        "cni-upgrade-system": "privileged",
        "cni-upgrade-agents": "privileged",
        "cni-upgrade-proof": "restricted",
    }


def test_agents_and_controller_preempt_nobody() -> None:
    classes = {obj["metadata"]["name"]: obj for obj in of_kind("PriorityClass")}
    assert set(classes) == {PRIORITY_CLASS, "cni-upgrade-controller"}
    assert all(obj["preemptionPolicy"] == "Never" for obj in classes.values())
    assert all(0 < obj["value"] < 1_000_000 for obj in classes.values())
    assert not any(obj.get("globalDefault") for obj in classes.values())


def test_the_controller_starts_where_every_pod_network_is_broken(pod: Object) -> None:
    assert pod["hostNetwork"] is True
    assert pod["dnsPolicy"] == "Default"
    assert pod["tolerations"][-1] == {"operator": "Exists"}
    assert pod["priorityClassName"] == "cni-upgrade-controller"


def minutes_on(pod: Object, taint: str) -> float | None:
    """How long the pod stays under a NoExecute taint, None for ever.

    As the taint manager sees it (Kubernetes 1.34): of the tolerations that match, the first one
    counts. Source: pkg/apis/core/v1/helper GetMatchingTolerations and
    pkg/controller/tainteviction getMinTolerationTime.
    """
    for toleration in pod["tolerations"]:
        if toleration.get("key", taint) == taint and toleration.get("effect") in (
            None,
            "NoExecute",
        ):
            seconds = toleration.get("tolerationSeconds")
            return None if seconds is None else seconds / 60
    return 0


def test_the_controller_leaves_a_node_that_does_not_answer_and_no_other(pod: Object) -> None:
    assert minutes_on(pod, "node.kubernetes.io/unreachable") == 1
    # Where every pod network is broken, every node is NotReady.
    assert minutes_on(pod, "node.kubernetes.io/not-ready") is None
    assert minutes_on(pod, "example.com/broken") is None


def test_the_controller_has_no_right_on_its_own_node(pod: Object) -> None:
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    [volume] = pod["volumes"]
    assert volume["configMap"]["name"] == "cni-upgrade-operator"
    [mount] = container["volumeMounts"]
    assert mount["readOnly"] is True
    assert f"{mount['mountPath']}/config.yaml" == str(CONFIG)
    assert "items" not in volume["configMap"], "both keys become files"
    assert not {"hostPID", "hostIPC"} & set(pod)


def test_two_controllers_on_two_nodes_are_probed(pod: Object) -> None:
    deployment = one("Deployment", "cni-upgrade-operator", "cni-upgrade-system")["spec"]
    assert deployment["replicas"] == 2
    # Their ports are the node's: a new one that comes first would wait for ever. And one of the
    # old ones goes on until a new one is ready.
    assert deployment["strategy"]["rollingUpdate"] == {
        "maxSurge": 0,
        "maxUnavailable": 1,
    }
    [apart] = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    labels = deployment["template"]["metadata"]["labels"]
    assert apart["labelSelector"]["matchLabels"].items() <= labels.items()
    [container] = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"metrics": 8080, "health": 8081}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def is_for_people(role: Object) -> bool:
    """The roles that kube-controller-manager aggregates; every other role is the controller's."""
    labels = role["metadata"].get("labels") or {}
    return any(name.startswith("rbac.authorization.k8s.io/aggregate-to-") for name in labels)


EVERY_ROLE = [*of_kind("ClusterRole"), *of_kind("Role")]
ROLES = [role for role in EVERY_ROLE if not is_for_people(role)]
PEOPLES_ROLES = [role for role in EVERY_ROLE if is_for_people(role)]
RULES = [
    pytest.param(role, rule, id=f"{role['metadata'].get('namespace', '*')}-{number}")
    for role in ROLES
    for number, rule in enumerate(role["rules"])
]


@pytest.mark.parametrize(("role", "rule"), RULES)
def test_a_rule_names_what_it_grants(role: Object, rule: Object) -> None:
    for member in ("apiGroups", "resources", "verbs"):
        assert rule[member], member
        assert "*" not in "".join(rule[member]), member
    assert "secrets" not in rule["resources"]
    assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
    deletes = {
        (role["metadata"].get("namespace"), name)
        for name in rule["resources"]
        if "delete" in rule["verbs"]
    }
    assert deletes <= {
        (None, "cninodestates"),
        ("cni-upgrade-agents", "jobs"),
        ("cni-upgrade-proof", "pods"),
    }


def test_what_is_granted_is_what_the_controller_asks_for() -> None:
    granted = {
        (verb, group, resource, role["metadata"].get("namespace"), name)
        for role in ROLES
        for rule in role["rules"]
        if rule["resources"] != ["configmaps"]
        if rule["apiGroups"] != ["admissionregistration.k8s.io"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }
    asked = {
        (
            right.verb,
            right.resource.group,
            right.resource.plural + (f"/{right.sub}" if right.sub else ""),
            right.namespace,
            right.name,
        )
        for right in rights.needed("cni-upgrade-system", "cni-upgrade-agents", "cni-upgrade-proof")
    }
    assert granted == asked


def test_the_controller_looks_at_its_own_admission_policies_by_name() -> None:
    [rule] = [
        rule
        for role in ROLES
        for rule in role["rules"]
        if rule["apiGroups"] == ["admissionregistration.k8s.io"]
    ]
    assert rule["verbs"] == ["get"]
    for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"):
        assert [obj["metadata"]["name"] for obj in of_kind(kind)] == rule["resourceNames"]
    assert tuple(rule["resourceNames"]) == admission_policies.POLICIES


def test_configmaps_are_read_by_name_and_where_they_are() -> None:
    optional = objects(MANIFESTS / "sources/kube-flannel.yaml")
    with_keys = objects(MANIFESTS / "sources/terway.yaml")
    granted = {
        f"{role['metadata']['namespace']}/{name}"
        for role in (*of_kind("Role"), *optional, *with_keys)
        for rule in role.get("rules") or ()
        if "configmaps" in rule["resources"]
        for name in rule["resourceNames"]
        if rule["verbs"] == ["list"]
    }
    assert granted == {source.place for source in KNOWN}
    ours = one("RoleBinding", "cni-upgrade-operator", "kube-system")["subjects"]
    for objs, namespace in ((optional, "kube-flannel"), (with_keys, "kube-system")):
        [role, binding] = objs
        assert binding["subjects"] == ours
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert {obj["metadata"]["namespace"] for obj in objs} == {namespace}


def test_a_configmap_that_can_hold_credentials_is_not_read_by_default() -> None:
    names = [
        name
        for role in of_kind("Role")
        for rule in role["rules"]
        if "configmaps" in rule["resources"]
        for name in rule.get("resourceNames", ())
    ]
    assert "eni-config" not in names


def test_people_are_granted_our_own_kinds_and_no_status() -> None:
    granted = {
        (role["metadata"]["name"], resource): set(rule["verbs"])
        for role in PEOPLES_ROLES
        for rule in role["rules"]
        if rule["apiGroups"] == ["cniupgrade.dev"]
        for resource in rule["resources"]
    }
    assert granted == {
        ("cni-upgrade-view", "cniupgradepolicies"): {"get", "list", "watch"},
        ("cni-upgrade-view", "cninodestates"): {"get", "list", "watch"},
        ("cni-upgrade-edit", "cniupgradepolicies"): {"create", "update", "patch", "delete"},
        ("cni-upgrade-edit", "cninodestates"): {"patch"},
    }


@pytest.mark.parametrize(
    ("file", "roles"), [("rbac.yaml", ROLES), ("roles.yaml", PEOPLES_ROLES)], ids=["rbac", "roles"]
)
def test_every_rule_says_why(file: str, roles: list[Object]) -> None:
    lines = (MANIFESTS / file).read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("  - apiGroups:")]
    assert len(starts) == sum(len(role["rules"]) for role in roles)
    assert not [f"line {i + 1}" for i in starts if not lines[i - 1].startswith("  #")]


def test_every_binding_leads_from_the_controller_to_a_role_that_is_there() -> None:
    roles = {(r["kind"], r["metadata"]["name"], r["metadata"].get("namespace")) for r in ROLES}
    bound = set()
    for binding in [*of_kind("ClusterRoleBinding"), *of_kind("RoleBinding")]:
        ref, namespace = binding["roleRef"], binding["metadata"].get("namespace")
        bound.add((ref["kind"], ref["name"], namespace))
        assert binding["subjects"] == [
            {
                "kind": "ServiceAccount",
                "name": "cni-upgrade-operator",
                "namespace": "cni-upgrade-system",
            }
        ]
    assert bound == roles
    [account] = of_kind("ServiceAccount")
    assert account["automountServiceAccountToken"] is False


def presets(config: OperatorConfig) -> dict[str, Preset]:
    return {"auto": config.auto, **config.presets}


def test_the_configuration_is_one_that_the_controller_takes(config: OperatorConfig) -> None:
    assert set(config.presets) == {"kubeadm", "debian", "k3s", "rke2", "microk8s", "openshift"}
    assert "auto" not in config.presets


def literals(variable: str, policy: str = "cni-upgrade-agent-pods") -> list[str]:
    """The quoted strings of a variable of an admission policy."""
    [spec] = [
        p["spec"] for p in of_kind("ValidatingAdmissionPolicy") if p["metadata"]["name"] == policy
    ]
    [expression] = [v["expression"] for v in spec["variables"] if v["name"] == variable]
    return re.findall(r"'([^']*)'", expression)


def test_an_agents_pod_is_made_kept_and_bound_with_the_same_annotations() -> None:
    """Admission policies share no variable, so the list stands in each."""
    allowed = literals("annotations")
    for way in ("fixed", "bound"):
        assert literals("annotations", f"cni-upgrade-agent-pods-{way}") == allowed
    assert names.LABEL_NODE in allowed


def mounted_plugins(preset: Preset, config: OperatorConfig) -> set[str]:
    """What an apply mounts to execute the plugins of a preset."""
    return {config.plugin_mounts.get(folder, folder) for folder in preset.bin_dirs}


def test_a_folder_mounted_for_links_holds_them(config: OperatorConfig) -> None:
    for folder, mounted in config.plugin_mounts.items():
        assert Path(folder).is_relative_to(mounted)


def test_what_admission_allows_covers_the_configuration_and_no_more(
    config: OperatorConfig,
) -> None:
    readable, writable = literals("readable"), literals("writable")
    assert literals("agentImage") == [config.agent_image]
    assert literals("stateFolder") == [config.state_dir]
    all_presets = presets(config).values()
    assert set(writable) == {folder for p in all_presets for folder in p.conf_dirs}
    before = {"/usr/lib"}  # mounted by older presets, which people have kept
    assert {*readable, *writable} - before == {
        folder
        for p in all_presets
        for folder in (*p.conf_dirs, *mounted_plugins(p, config), p.cache_dir, *p.mounts)
    }
    assert before <= set(readable)
    assert readable == sorted(readable)
    assert writable == sorted(writable)


def test_an_audit_sees_every_folder_of_its_preset(config: OperatorConfig) -> None:
    """A preset's folder that none of its mounts holds would look like one that is not there."""
    for name, preset in presets(config).items():
        for folder in (*preset.conf_dirs, *preset.bin_dirs, preset.cache_dir):
            held = any(Path(folder).is_relative_to(mount) for mount in preset.mounts)
            assert held, f"{name}: {folder}"


def test_an_audit_starts_on_every_node(config: OperatorConfig) -> None:
    """A mount that is missing keeps a pod from starting, one folder beneath it is a finding."""
    on_every_linux = {"/etc", "/lib", "/opt", "/usr", "/var", "/var/lib"}  # FHS 3.0
    for name, preset in presets(config).items():
        assert set(preset.mounts) <= on_every_linux, name


def test_an_audit_sees_what_the_runtime_is_started_with(config: OperatorConfig) -> None:
    """A unit that is not mounted looks like none, and a folder that it names is then missed."""
    unseen = Path("/run")  # with the sockets of those who rule the node
    for name, preset in presets(config).items():
        if name in ("k3s", "rke2", "microk8s"):
            continue  # they write what their containerd goes by, and systemd does not start it
        for folder in unit_files.FOLDERS:
            seen = any(Path(folder).is_relative_to(mount) for mount in preset.mounts)
            assert seen or Path(folder).is_relative_to(unseen), f"{name}: {folder}"
        assert not any(unseen.is_relative_to(mount) for mount in preset.mounts), name


def test_auto_knows_every_conf_folder_that_its_mounts_hold(config: OperatorConfig) -> None:
    for preset in config.presets.values():
        for folder in preset.conf_dirs:
            if any(Path(folder).is_relative_to(mount) for mount in config.auto.mounts):
                assert folder in config.auto.conf_dirs


def test_admission_fails_closed_and_exempts_nobody() -> None:
    policies = {p["metadata"]["name"]: p["spec"] for p in of_kind("ValidatingAdmissionPolicy")}
    bindings = {b["spec"]["policyName"]: b for b in of_kind("ValidatingAdmissionPolicyBinding")}
    assert set(policies) == set(bindings)
    for name, spec in policies.items():
        # The guard holds nobody in: broken, it would keep people from taking the operator out.
        guards = name == "cni-upgrade-guard"
        assert spec["failurePolicy"] == ("Ignore" if guards else "Fail")
        assert bindings[name]["spec"]["validationActions"] == ["Deny"]
        assert "matchResources" not in bindings[name]["spec"]
        constraints = spec["matchConstraints"]
        assert "excludeResourceRules" not in constraints
        assert "objectSelector" not in constraints
        if name.startswith("cni-upgrade-agent-pods"):
            assert "matchConditions" not in spec
            labels = constraints["namespaceSelector"]["matchLabels"]
            assert labels == {"kubernetes.io/metadata.name": "cni-upgrade-agents"}
        # An API server forgets ConfigMap parameters once they were unbound (kubernetes#130887).
        # The guard's are of a custom kind, and are read again (tests/api/test_uninstall.py).
        assert ("paramKind" in spec) == guards


@pytest.mark.parametrize("name", ["audit", "enforce"])
def test_an_example_is_a_policy(name: str) -> None:
    [example] = objects(MANIFESTS / "examples" / f"{name}.yaml")
    policy = CNIUpgradePolicy.model_validate(example)
    assert policy.spec.mode.value.lower() == name


def filled(schema: Object, given: Object) -> Object:
    """An object as the API server keeps it: with the defaults of a CRD's schema."""
    whole = dict(given)
    for name, part in schema.get("properties", {}).items():
        if name not in whole and "default" in part:
            whole[name] = part["default"]
        if isinstance(whole.get(name), dict):
            whole[name] = filled(part, whole[name])
    return whole


def test_the_examples_write_out_the_defaults() -> None:
    [crd] = objects(ROOT / "crds" / "cniupgrade.dev_cniupgradepolicies.yaml")
    [version] = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    [audit] = objects(MANIFESTS / "examples" / "audit.yaml")
    [enforce] = objects(MANIFESTS / "examples" / "enforce.yaml")
    assert enforce["spec"] == filled(schema, {**audit["spec"], "mode": "Enforce"})


def test_no_policy_may_name_a_preset_that_is_called_like_the_default(
    config: OperatorConfig,
) -> None:
    assert config.preset("auto") == config.auto
    assert config.preset("no-such-preset") is None


def test_uninstall_knows_every_cluster_wide_object() -> None:
    script = (MANIFESTS / "uninstall.sh").read_text(encoding="utf-8")
    for kind in ("Namespace", "PriorityClass", "ValidatingAdmissionPolicy", "ClusterRole"):
        for obj in of_kind(kind):
            assert obj["metadata"]["name"] in script, kind
    for path in (ROOT / "crds").glob("*.yaml"):
        assert objects(path)[0]["metadata"]["name"] in script
