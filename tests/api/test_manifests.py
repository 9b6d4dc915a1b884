"""The shipped manifests, judged by a real API server: accepted, and as narrow as they say."""

import copy
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.api import names
from cni_upgrade.cni.sources import KNOWN
from cni_upgrade.fleet.config import OperatorConfig, parse
from cni_upgrade.fleet.workloads import agent_job, proof_pod
from cni_upgrade.kube.rights import needed as asked_for
from cni_upgrade.node.operation import FileOrder, Kind, Operation, Paths
from tests.api.conftest import Kubectl
from tests.api.server import MERGE_PATCH, Answer, Server
from tests.api.waiting import eventually
from tests.cluster.control import ControlPlane

ROOT = Path(__file__).parents[2]
SYSTEM, AGENTS, PROOF = "cni-upgrade-system", "cni-upgrade-agents", "cni-upgrade-proof"
CONTROLLER = f"system:serviceaccount:{SYSTEM}:cni-upgrade-operator"
NODE = "/api/v1/nodes/shipped-node"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
Object = dict[str, Any]
Spoil = Callable[[Object], object]


def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def try_pod(server: Server, pod: Object) -> Answer:
    path = f"{pods(pod['metadata']['namespace'])}?dryRun=All&fieldValidation=Strict"
    return server.request("POST", path, pod)


def config() -> OperatorConfig:
    shipped = yaml.safe_load((ROOT / "manifests/config.yaml").read_text(encoding="utf-8"))
    return parse(yaml.safe_load(shipped["data"]["config.yaml"]))


def agent_pod(kind: Kind = Kind.APPLY, preset: str = "auto") -> Object:
    """The pod that the controller's own Job makes."""
    found = config().preset(preset)
    assert found is not None
    first = Paths(
        conf_dirs=found.conf_dirs if kind is Kind.AUDIT else found.conf_dirs[-1:],
        bin_dirs=found.bin_dirs,
        cache_dir=found.cache_dir,
        state_dir=config().state_dir,
    )
    operation = Operation(
        id=f"{kind}-0123456789abcdef0123",
        kind=kind,
        node="node-a",
        runtime="containerd://1.6.2",
        root="/host",
        paths=first,
        files=(FileOrder("10-x.conflist", "0" * 64, "1.0.0"),) if kind is Kind.APPLY else (),
        backup="20261123T225404Z-3f2a9c1b" if kind is Kind.RESTORE else None,
    )
    template = agent_job(operation.id, operation, found, config(), cache=True)["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": AGENTS, **template["metadata"]},
        "spec": template["spec"],
    }


class Controller(Server):
    """The API server, as the controller's service account."""

    def patch_node(self, patch: Object) -> str:
        """What the API server says against it; nothing if it is done."""
        return self.patch(NODE, patch)

    def patch(self, path: str, patch: Object) -> str:
        """The same of any object."""
        headers = {
            "Content-Type": MERGE_PATCH,
            "Impersonate-User": CONTROLLER,
            "Impersonate-Group": "system:serviceaccounts",
        }
        self._connection.request("PATCH", path, json.dumps(patch), headers)
        response = self._connection.getresponse()
        said = json.loads(response.read())
        return "" if response.status == 200 else str(said["message"])


@pytest.fixture(scope="session")
def controller(plane: ControlPlane) -> Controller:
    return Controller(plane.kubeconfig)


@pytest.fixture(scope="session")
def shipped(server: Server, kubectl: Kubectl, controller: Controller) -> Server:
    """The API server with all that `kubectl apply -k .` installs, its fence in force."""
    done = kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT))
    assert done.returncode == 0, done.stderr
    spoiled = agent_pod()
    spoiled["spec"]["containers"][0]["image"] = "elsewhere.example/agent:1"
    eventually(
        lambda: "the image must be" in try_pod(server, spoiled).message, "admission is in force"
    )
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "shipped-node"}}
    assert server.request("POST", "/api/v1/nodes", node).ok
    eventually(
        lambda: (
            "cniupgrade.dev alone"
            in controller.patch_node({"metadata": {"annotations": {"x.example/a": "1"}}})
        ),
        "admission of nodes is in force",
    )
    return server


def test_all_is_accepted_without_a_warning(shipped: Server, kubectl: Kubectl) -> None:
    assert shipped
    done = kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", str(ROOT))
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    for example in ("audit", "enforce", "rollout"):
        path = ROOT / "manifests" / "examples" / f"{example}.yaml"
        done = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
        assert done.returncode == 0, done.stderr


def test_applying_again_changes_nothing(shipped: Server, kubectl: Kubectl) -> None:
    assert shipped
    done = kubectl("diff", "--server-side", "--force-conflicts", "-k", str(ROOT))
    assert done.returncode == 0, done.stdout + done.stderr


# --- rights ---------------------------------------------------------------------------------------

Right = tuple[str, str, str, str, str]  # verb, group, resource, namespace ("" for all), name


def rights(verbs: str, resource: str, namespace: str = "", name: str = "") -> list[Right]:
    """`verbs` by spaces, `resource` as `resource.group/subresource`."""
    plain, slash, sub = resource.partition("/")
    plural, _, group = plain.partition(".")
    return [(verb, group, plural + slash + sub, namespace, name) for verb in verbs.split()]


NEEDED: list[Right] = [
    *(
        (
            right.verb,
            right.resource.group,
            right.resource.plural + (f"/{right.sub}" if right.sub else ""),
            right.namespace or "",
            right.name,
        )
        for right in asked_for(SYSTEM, AGENTS, PROOF)
    ),
    *rights("create", "pods/eviction", "kube-system"),
    *rights("create", "selfsubjectaccessreviews.authorization.k8s.io"),
    *(
        right
        for source in KNOWN
        if source.namespace == "kube-system"
        for right in rights("list", "configmaps", "kube-system", source.name)
    ),
]
FORBIDDEN = [
    *rights("get list watch create update patch delete", "secrets"),
    *rights("get list", "secrets", SYSTEM),
    *rights("create update delete deletecollection", "nodes"),
    *rights("get create", "nodes/proxy"),
    *rights("update patch", "nodes/status"),
    *rights("create update patch delete deletecollection", "pods"),
    *rights("create update patch delete deletecollection", "pods", "kube-system"),
    *rights("create update patch delete", "pods", SYSTEM),
    *rights("create update patch delete", "pods", AGENTS),
    *rights("update patch deletecollection", "pods", PROOF),
    *rights("create get", "pods/exec"),
    *rights("create get", "pods/exec", AGENTS),
    *rights("create get", "pods/attach", AGENTS),
    *rights("update patch", "pods/ephemeralcontainers", AGENTS),
    *rights("get", "pods/log"),
    *rights("create", "jobs.batch"),
    *rights("create", "jobs.batch", SYSTEM),
    *rights("create", "jobs.batch", PROOF),
    *rights("update patch deletecollection", "jobs.batch", AGENTS),
    *rights("create update delete", "cniupgradepolicies.cniupgrade.dev"),
    *rights("update", "cninodestates.cniupgrade.dev"),
    *rights("get create update patch delete", "configmaps", SYSTEM, "cni-upgrade-operator"),
    *rights("list", "configmaps", SYSTEM),
    *rights("list", "configmaps"),
    *rights("get list watch update patch delete", "configmaps", "kube-system"),
    *rights("get watch update patch delete", "configmaps", "kube-system", "calico-config"),
    *rights("list", "configmaps", "kube-system", "coredns"),
    *rights("list", "configmaps", "default", "calico-config"),
    *rights("get update", "leases.coordination.k8s.io", "kube-node-lease", "node-a"),
    *rights("get patch", "leases.coordination.k8s.io", SYSTEM, "another"),
    *rights("list watch delete update", "leases.coordination.k8s.io", SYSTEM),
    *rights("get list watch", "namespaces"),
    *rights("get update patch", "namespaces", name=AGENTS),
    *rights("get", "pods/log", AGENTS),
    *rights("get", "pods", SYSTEM),
    *rights("update patch delete", "events", "default"),
    *rights("create", "serviceaccounts/token", SYSTEM),
    *rights("impersonate", "users"),
    *rights("create update patch", "deployments.apps", SYSTEM),
    *rights("create update patch", "daemonsets.apps"),
    *rights("create update patch bind escalate", "clusterroles.rbac.authorization.k8s.io"),
    *rights("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    *rights(
        "create update patch delete",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
    ),
    *rights("update patch delete", "poddisruptionbudgets.policy"),
    *rights("create update patch delete", "namespaces"),
    *rights("create update patch delete", "customresourcedefinitions.apiextensions.k8s.io"),
]


def allowed(server: Server, right: Right) -> bool:
    verb, group, resource, namespace, name = right
    plural, _, sub = resource.partition("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": CONTROLLER,
            "groups": [
                "system:serviceaccounts",
                f"system:serviceaccounts:{SYSTEM}",
                "system:authenticated",
            ],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": plural,
                "subresource": sub,
                "namespace": namespace,
                "name": name,
            },
        },
    }
    answer = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.ok, answer.message
    return bool(answer.body["status"]["allowed"])


def said(right: Right) -> str:
    verb, group, resource, namespace, name = right
    return f"{verb}-{resource}{'.' if group else ''}{group}-{namespace or 'all'}-{name or 'any'}"


@pytest.mark.parametrize("right", NEEDED, ids=said)
def test_the_controller_may(shipped: Server, right: Right) -> None:
    eventually(lambda: allowed(shipped, right), said(right))


@pytest.mark.parametrize("right", FORBIDDEN, ids=said)
def test_the_controller_may_not(shipped: Server, right: Right) -> None:
    assert not allowed(shipped, right)


@pytest.mark.parametrize("namespace", [SYSTEM, AGENTS, PROOF])
def test_other_accounts_get_nothing(shipped: Server, kubectl: Kubectl, namespace: str) -> None:
    assert shipped
    done = kubectl(
        *("auth", "can-i", "list", "pods", "-n", namespace),
        f"--as=system:serviceaccount:{namespace}:default",
    )
    assert done.stdout.strip() == "no"


# --- nodes ----------------------------------------------------------------------------------------


def test_the_controller_cordons_and_gives_back(shipped: Server, controller: Controller) -> None:
    assert shipped
    mark = "cniupgrade.dev/cordoned-by"
    cordon = {"metadata": {"annotations": {mark: "policy"}}, "spec": {"unschedulable": True}}
    assert controller.patch_node(cordon) == ""
    assert shipped.request("GET", NODE).body["spec"]["unschedulable"] is True
    uncordon = {"metadata": {"annotations": {mark: None}}, "spec": {"unschedulable": None}}
    assert controller.patch_node(uncordon) == ""
    assert "unschedulable" not in shipped.request("GET", NODE).body["spec"]


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"metadata": {"annotations": {"x.example/a": "1"}}}, "cniupgrade.dev alone"),
        ({"metadata": {"annotations": {"kept.example/a": "2"}}}, "cniupgrade.dev alone"),
        ({"metadata": {"annotations": {"kept.example/a": None}}}, "cniupgrade.dev alone"),
        ({"metadata": {"labels": {"role": "x"}}}, "labels"),
        ({"metadata": {"labels": {"kept": None}}}, "labels"),
        ({"metadata": {"finalizers": ["x.example/hold"]}}, "finalizers"),
        ({"spec": {"taints": [{"key": "x", "effect": "NoExecute"}]}}, "unschedulable alone"),
        ({"spec": {"providerID": "x://y"}}, "unschedulable alone"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_the_controller_changes_nothing_else_of_a_node(
    shipped: Server, controller: Controller, patch: Object, why: str
) -> None:
    kept = {"metadata": {"annotations": {"kept.example/a": "1"}, "labels": {"kept": "1"}}}
    assert shipped.request("PATCH", NODE, kept, content=MERGE_PATCH).ok
    assert why in controller.patch_node(patch)


# --- the fence around policies --------------------------------------------------------------------

POLICY = f"/apis/{names.API_VERSION}/{names.POLICY_PLURAL}/fenced"


@pytest.fixture
def fenced(shipped: Server, controller: Controller) -> Iterator[Server]:
    body = {
        "apiVersion": names.API_VERSION,
        "kind": names.POLICY_KIND,
        "metadata": {
            "name": "fenced",
            "labels": {"kept": "1"},
            "finalizers": ["x.example/hold"],
        },
        "spec": {"nodeSelector": {}},
    }
    assert shipped.request("POST", POLICY.rpartition("/")[0], body).ok
    eventually(
        lambda: controller.patch(POLICY, {"spec": {"mode": "Enforce"}}),
        "admission of policies is in force",
    )
    yield shipped
    shipped.request("PATCH", POLICY, {"metadata": {"finalizers": None}}, content=MERGE_PATCH)
    shipped.request("DELETE", POLICY)


def test_the_controller_adds_and_takes_away_its_own_finalizer(
    fenced: Server, controller: Controller
) -> None:
    for kept in (["x.example/hold", names.FINALIZER], ["x.example/hold"]):
        assert controller.patch(POLICY, {"metadata": {"finalizers": kept}}) == ""
        assert fenced.request("GET", POLICY).body["metadata"]["finalizers"] == kept


def test_a_policy_that_is_deleted_goes_with_the_last_finalizer(
    fenced: Server, controller: Controller
) -> None:
    alone = {"metadata": {"finalizers": [names.FINALIZER]}}
    assert fenced.request("PATCH", POLICY, alone, content=MERGE_PATCH).ok
    assert fenced.request("DELETE", POLICY).ok
    assert fenced.request("GET", POLICY).body["metadata"]["deletionTimestamp"]
    assert controller.patch(POLICY, {"metadata": {"finalizers": []}}) == ""
    assert fenced.request("GET", POLICY).status == 404


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"spec": {"mode": "Enforce"}}, "for people to say"),
        ({"spec": {"deletionPolicy": "Restore"}}, "for people to say"),
        ({"metadata": {"annotations": {names.LET_GO: ""}}}, "labels, annotations"),
        ({"metadata": {"labels": {"kept": None}}}, "labels, annotations"),
        ({"metadata": {"finalizers": []}}, "restore alone"),
        ({"metadata": {"finalizers": ["x.example/hold", "y.example/hold"]}}, "restore alone"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_the_controller_changes_nothing_else_of_a_policy(
    fenced: Server, controller: Controller, patch: Object, why: str
) -> None:
    assert fenced
    assert why in controller.patch(POLICY, patch)


# --- the fence around agents ----------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["auto", *config().presets])
@pytest.mark.parametrize("kind", list(Kind))
def test_the_controllers_own_agents_are_let_in(shipped: Server, kind: Kind, preset: str) -> None:
    answer = try_pod(shipped, agent_pod(kind, preset))
    assert answer.ok, answer.message
    assert answer.warnings == ()


def test_the_controllers_own_proof_pods_are_let_in(shipped: Server) -> None:
    answer = try_pod(shipped, proof_pod("proof", "apply-0", "node-a", config()))
    assert answer.ok, answer.message


def first(pod: Object) -> Object:
    container: Object = pod["spec"]["containers"][0]
    return container


def host(pod: Object, path: str, **volume: object) -> None:
    """Mount one more host folder, as an agent would."""
    source = {"path": path, "type": "Directory", **volume}
    pod["spec"]["volumes"].append({"name": "more", "hostPath": source})
    mount = {"name": "more", "mountPath": f"/host{path}", "readOnly": True}
    first(pod)["volumeMounts"].append(mount)


def volume(pod: Object, **source: object) -> None:
    pod["spec"]["volumes"].append({"name": "more", **source})


def secure(pod: Object, **members: object) -> None:
    first(pod)["securityContext"].update(members)


def writable_plugins(pod: Object) -> None:
    """The folder of the plugins, whose programs root starts."""
    [name] = [v["name"] for v in pod["spec"]["volumes"] if v["hostPath"]["path"] == "/opt/cni/bin"]
    for mount in first(pod)["volumeMounts"]:
        if mount["name"] == name:
            mount["readOnly"] = False


def second_mount(pod: Object, **members: object) -> None:
    mount = dict(first(pod)["volumeMounts"][0])
    mount.update(members)
    first(pod)["volumeMounts"].append(mount)


def other_container(pod: Object, member: str) -> None:
    pod["spec"].setdefault(member, []).append({**copy.deepcopy(first(pod)), "name": "other"})


COMMAND = {"exec": {"command": ["/usr/bin/python3"]}}
BREAK_OUTS: dict[str, tuple[Spoil, str]] = {
    "another image": (
        lambda p: first(p).update(image="elsewhere.example/agent:1"),
        "the image must be cniupgrade.dev/agent:dev",
    ),
    "an image that begins alike": (
        lambda p: first(p).update(image="cniupgrade.dev/agent:dev-evil"),
        "the image must be",
    ),
    "a second container": (lambda p: other_container(p, "containers"), "one container"),
    "an init container": (lambda p: other_container(p, "initContainers"), "one container"),
    "a command": (lambda p: first(p).update(command=["python3", "-c", ""]), "entry point"),
    "arguments": (lambda p: first(p).update(args=["-c", ""]), "entry point"),
    "a working folder": (lambda p: first(p).update(workingDir="/host"), "entry point"),
    "a hook": (lambda p: first(p).update(lifecycle={"preStop": COMMAND}), "entry point"),
    "a probe": (lambda p: first(p).update(livenessProbe=COMMAND), "entry point"),
    "code by environment": (
        lambda p: first(p)["env"].append({"name": "PYTHONPATH", "value": "/host/etc"}),
        "environment",
    ),
    "a secret by environment": (
        lambda p: first(p).update(
            env=[
                {
                    "name": "CNI_UPGRADE_OPERATION",
                    "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}},
                }
            ]
        ),
        "environment",
    ),
    "a whole secret by environment": (
        lambda p: first(p).update(envFrom=[{"secretRef": {"name": "x"}}]),
        "environment",
    ),
    "host PID": (lambda p: p["spec"].update(hostPID=True), "host's namespaces"),
    "host IPC": (lambda p: p["spec"].update(hostIPC=True), "host's namespaces"),
    "the pod network": (lambda p: p["spec"].pop("hostNetwork"), "host's namespaces"),
    "a token by default": (
        lambda p: p["spec"].pop("automountServiceAccountToken"),
        "automountServiceAccountToken",
    ),
    "a token": (
        lambda p: p["spec"].update(automountServiceAccountToken=True),
        "automountServiceAccountToken",
    ),
    "a projected token": (
        lambda p: volume(p, projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}),
        "volumes are",
    ),
    "a secret": (lambda p: volume(p, secret={"secretName": "x"}), "volumes are"),
    "an emptyDir": (lambda p: volume(p, emptyDir={}), "volumes are"),
    "the host's root": (lambda p: host(p, "/"), "volumes are"),
    "an empty path": (lambda p: host(p, ""), ""),
    "root's home": (lambda p: host(p, "/root"), "volumes are"),
    "a parent of a folder": (lambda p: host(p, "/var/lib/rancher"), "volumes are"),
    "a folder below": (lambda p: host(p, "/etc/kubernetes"), "volumes are"),
    "a folder by another spelling": (lambda p: host(p, "/etc/"), "volumes are"),
    "a way out": (lambda p: host(p, "/etc/cni/net.d/../../../root"), ""),
    "the runtime's socket": (
        lambda p: host(p, "/run/containerd/containerd.sock", type="Socket"),
        "volumes are",
    ),
    "an untyped folder": (lambda p: host(p, "/etc", type=""), "volumes are"),
    "a folder made on the node": (
        lambda p: host(p, "/etc", type="DirectoryOrCreate"),
        "volumes are",
    ),
    "the plugins, writable": (writable_plugins, "under /host"),
    "a mount over the interpreter": (
        lambda p: second_mount(p, mountPath="/usr/lib/python3.11"),
        "under /host",
    ),
    "a part of a mount": (lambda p: second_mount(p, subPath="x", mountPath="/host/x"), "under"),
    "mounts that reach the host": (
        lambda p: first(p)["volumeMounts"][0].update(mountPropagation="HostToContainer"),
        "under /host",
    ),
    "privileged": (
        lambda p: secure(p, privileged=True, allowPrivilegeEscalation=True),
        "not privileged",
    ),
    "privilege escalation": (
        lambda p: secure(p, allowPrivilegeEscalation=True),
        "no privilege escalation",
    ),
    "privilege escalation by default": (
        lambda p: first(p)["securityContext"].pop("allowPrivilegeEscalation"),
        "no privilege escalation",
    ),
    "a capability": (
        lambda p: secure(p, capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        "every capability",
    ),
    "capabilities kept": (
        lambda p: secure(p, capabilities={"drop": ["NET_RAW"]}),
        "every capability",
    ),
    "capabilities by default": (
        lambda p: first(p)["securityContext"].pop("capabilities"),
        "every capability",
    ),
    "no security context": (lambda p: first(p).pop("securityContext"), "every capability"),
    "a writable root": (lambda p: secure(p, readOnlyRootFilesystem=False), "read-only"),
    "a writable root by default": (
        lambda p: first(p)["securityContext"].pop("readOnlyRootFilesystem"),
        "read-only",
    ),
    "no seccomp": (
        lambda p: secure(p, seccompProfile={"type": "Unconfined"}),
        "seccomp",
    ),
    "another SELinux type": (lambda p: secure(p, seLinuxOptions={"type": "spc_t"}), "SELinux"),
    "no AppArmor": (lambda p: secure(p, appArmorProfile={"type": "Unconfined"}), "AppArmor"),
    "no AppArmor, by annotation": (
        lambda p: p["metadata"]["annotations"].update(
            {"container.apparmor.security.beta.kubernetes.io/agent": "unconfined"}
        ),
        "AppArmor",
    ),
    "a group of the host": (
        lambda p: p["spec"].update(securityContext={"supplementalGroups": [6]}),
        "groups",
    ),
    "an answer into a mount": (
        lambda p: first(p).update(terminationMessagePath="/host/etc/x"),
        "/dev/termination-log",
    ),
    "a device": (
        lambda p: first(p).update(volumeDevices=[{"name": "host-0", "devicePath": "/dev/x"}]),
        "",
    ),
    "a device by its name": (
        lambda p: first(p).update(resources={"limits": {"vendor.example/device": "1"}}),
        "resources are",
    ),
    "huge pages": (
        lambda p: first(p).update(
            resources={"limits": {"hugepages-2Mi": "2Mi", "memory": "1Mi", "cpu": "1"}}
        ),
        "resources are",
    ),
    "a claim to a device": (
        lambda p: (
            p["spec"].update(resourceClaims=[{"name": "more", "resourceClaimName": "x"}]),
            first(p).update(resources={"claims": [{"name": "more"}]}),
        ),
        "without devices",
    ),
    "huge pages for the whole pod": (
        lambda p: p["spec"].update(resources={"limits": {"hugepages-2Mi": "2Mi", "cpu": "1"}}),
        "resources are",
    ),
    "a pod that stays": (lambda p: p["spec"].update(restartPolicy="Always"), "runs once"),
    "another priority": (
        lambda p: p["spec"].update(
            priorityClassName="system-node-critical", preemptionPolicy="PreemptLowerPriority"
        ),
        "priorityClassName",
    ),
}


@pytest.mark.parametrize("name", BREAK_OUTS)
def test_a_break_out_is_refused(shipped: Server, name: str) -> None:
    spoil, why = BREAK_OUTS[name]
    pod = agent_pod()
    spoil(pod)
    answer = try_pod(shipped, pod)
    assert not answer.ok
    assert why in answer.message
    # Refused for what was done to it, not for a policy that cannot be evaluated.
    assert "expression" not in answer.message


def test_an_agent_may_be_given_room(shipped: Server) -> None:
    """As a LimitRange or an autoscaler of the cluster does."""
    pod = agent_pod()
    given = {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "10Mi"}
    first(pod)["resources"] = {"requests": given, "limits": given}
    answer = try_pod(shipped, pod)
    assert answer.ok, answer.message


def test_where_the_agents_image_stands_is_shown_as_the_manual_says(
    shipped: Server, kubectl: Kubectl
) -> None:
    assert shipped
    manual = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    lines = [line for line in manual.splitlines() if re.match(r"kubectl.*agentImage", line)]
    assert len(lines) == 2
    for line in lines:
        done = kubectl(*shlex.split(line.partition(" | ")[0])[1:])
        assert config().agent_image in done.stdout, done.stderr


@pytest.fixture
def admitted(shipped: Server) -> Iterator[Server]:
    """An agent's pod that was let in, with the Job controller's finalizer on it."""
    pod = agent_pod()
    pod["metadata"]["name"] = "admitted"
    pod["metadata"]["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    answer = shipped.request("POST", pods(AGENTS), pod)
    assert answer.ok, answer.message
    yield shipped
    unhook(shipped)
    shipped.request("DELETE", f"{pods(AGENTS)}/admitted?gracePeriodSeconds=0")


def unhook(server: Server) -> Answer:
    return server.request(
        "PATCH",
        f"{pods(AGENTS)}/admitted",
        {"metadata": {"finalizers": None}},
        content=MERGE_PATCH,
    )


def test_a_pod_that_was_let_in_stays_what_it_was(admitted: Server) -> None:
    patch = {"spec": {"containers": [{"name": "agent", "image": "elsewhere.example/agent:1"}]}}
    content = "application/strategic-merge-patch+json"
    path = f"{pods(AGENTS)}/admitted"
    answer = admitted.request("PATCH", path, patch, content=content)
    assert "keeps its image" in answer.message
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "x"}]}}
    answer = admitted.request("PATCH", f"{path}/ephemeralcontainers", debug, content=content)
    assert "no other container" in answer.message


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "way",
    [
        "exec?command=python3&stdout=true",
        "attach?stdout=true",
        "portforward?ports=8080",
        # An agent is on the node's network: what listens there for the node alone would answer.
        "proxy",
        "proxy/healthz",
    ],
)
def test_nobody_enters_an_agent(admitted: Server, way: str, method: str) -> None:
    answer = admitted.request(method, f"{pods(AGENTS)}/admitted/{way}")
    assert "agents are not entered" in answer.message


def test_agents_come_in_after_the_fence_was_taken_down_and_put_up_again(
    admitted: Server,
) -> None:
    """With ConfigMap parameters they do not, for good (kubernetes#130887)."""
    binding = f"{BINDINGS}/cni-upgrade-agent-pods"
    saved = admitted.request("GET", binding).body
    assert admitted.request("DELETE", binding).ok
    bad = agent_pod()
    first(bad)["image"] = "elsewhere.example/agent:1"
    try:
        eventually(lambda: try_pod(admitted, bad).ok, "the fence is down")
        time.sleep(2)  # a refresh of the API server's policies: 1 s by default
    finally:
        del saved["metadata"]["resourceVersion"], saved["metadata"]["uid"]
        restored = admitted.request("POST", BINDINGS, saved)
    assert restored.ok, restored.message
    eventually(lambda: not try_pod(admitted, bad).ok, "the fence stands again")
    answer = try_pod(admitted, agent_pod())
    assert answer.ok, answer.message


def test_the_fence_stands_around_agents_alone(shipped: Server) -> None:
    pod = agent_pod()
    pod["metadata"]["namespace"] = "default"
    first(pod)["image"] = "elsewhere.example/agent:1"
    pod["spec"].pop("priorityClassName")
    pod["spec"].pop("preemptionPolicy")
    answer = try_pod(shipped, pod)
    assert answer.ok, answer.message


def test_a_proof_pod_on_the_host_network_is_refused(shipped: Server) -> None:
    pod = proof_pod("proof", "apply-0", "node-a", config())
    pod["spec"]["hostNetwork"] = True
    assert "violates PodSecurity" in try_pod(shipped, pod).message
