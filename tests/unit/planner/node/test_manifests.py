"""What we run obeys the rules that the shipped admission policies hold agents to, and proofs too.

The rules of manifests/admission.yaml are CEL; here each is said again in Python, so that a body
that would be refused is known without a cluster. The real judge is in tests/api.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.agent.protocol.operation import FileOrder, Kind, Operation, Paths
from cni_upgrade.api import names
from cni_upgrade.planner.node.manifests import PRIORITY_CLASS, agent_job, proof_pod
from cni_upgrade.planner.world.operator_config import OperatorConfig, Preset
from tests import operator_config

MANIFESTS = Path(__file__).parents[4] / "manifests"
Body = dict[str, Any]


def objects(name: str) -> list[Body]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text(encoding="utf-8")))


def said(variable: str) -> set[str]:
    """The words in quotes of a variable of the policy for agent pods."""
    [policy] = [
        obj
        for obj in objects("admission.yaml")
        if obj["kind"] == "ValidatingAdmissionPolicy"
        and obj["metadata"]["name"] == "cni-upgrade-agent-pods"
    ]
    [text] = [v["expression"] for v in policy["spec"]["variables"] if v["name"] == variable]
    return set(re.findall(r"'([^']+)'", text))


CONFIG: OperatorConfig = operator_config.shipped()
PRESETS: dict[str, Preset] = {"auto": CONFIG.auto, **CONFIG.presets}
[IMAGE] = said("agentImage")
[STATE_FOLDER] = said("stateFolder")
WRITABLE = said("writable") | {STATE_FOLDER}
READABLE = said("readable") | WRITABLE


def operation(kind: Kind, preset: Preset, conf_dir: str) -> Operation:
    audit = kind is Kind.AUDIT
    return Operation(
        id=f"{kind}-0123456789abcdef0123",
        kind=kind,
        node="node-a",
        runtime="containerd://1.7.0",
        root="/host",
        paths=Paths(
            preset.conf_dirs if audit else (conf_dir,),
            preset.bin_dirs,
            preset.cache_dir,
            CONFIG.state_dir,
            delegate_dirs=() if audit else ("/opt/cni/bin",),
        ),
        files=(FileOrder("a.conflist", "0" * 64, "1.0.0"),) if kind is Kind.APPLY else (),
        backup="20260101T000000Z-0" if kind is Kind.RESTORE else None,
    )


CASES = [
    (name, conf_dir, kind)
    for name, preset in PRESETS.items()
    for conf_dir in preset.conf_dirs
    for kind in Kind
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def job(request: pytest.FixtureRequest) -> Body:
    name, conf_dir, kind = request.param
    preset = PRESETS[name]
    order = operation(kind, preset, conf_dir)
    return agent_job(order.id, order, preset, CONFIG, cache=True)


@pytest.fixture
def spec(job: Body) -> Body:
    found: Body = job["spec"]["template"]["spec"]
    return found


def test_an_agent_is_one_container_of_the_configured_image(spec: Body) -> None:
    [container] = spec["containers"]
    assert "initContainers" not in spec
    assert container["image"] == IMAGE
    for word in ("command", "args", "workingDir", "lifecycle", "envFrom", "livenessProbe"):
        assert word not in container


def test_its_environment_is_the_operation(job: Body, spec: Body) -> None:
    [env] = spec["containers"][0]["env"]
    assert env["name"] == "CNI_UPGRADE_OPERATION"
    read = Operation.from_json(json.loads(env["value"]))
    assert read.id == job["metadata"]["name"]


def test_it_shares_the_network_of_the_host_and_nothing_else(spec: Body) -> None:
    assert spec["hostNetwork"] is True
    assert not {"hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"} & spec.keys()


def test_it_has_no_credentials(spec: Body) -> None:
    assert spec["automountServiceAccountToken"] is False


def test_its_volumes_are_listed_folders_that_exist(spec: Body) -> None:
    for volume in spec["volumes"]:
        path, kind = volume["hostPath"]["path"], volume["hostPath"]["type"]
        assert path in READABLE
        assert kind == "Directory" or (kind == "DirectoryOrCreate" and path == STATE_FOLDER)


def test_each_is_mounted_at_its_own_path_and_written_only_where_listed(spec: Body) -> None:
    paths = {v["name"]: v["hostPath"]["path"] for v in spec["volumes"]}
    mounts = spec["containers"][0]["volumeMounts"]
    assert len(mounts) == len(paths)
    for mount in mounts:
        assert mount["mountPath"] == "/host" + paths[mount["name"]]
        assert mount["readOnly"] or paths[mount["name"]] in WRITABLE
        # Said of a mount that is written to, it is an error.
        below = {"recursiveReadOnly"} if mount["readOnly"] else set()
        assert mount.keys() == {"name", "mountPath", "readOnly"} | below
        assert mount.get("recursiveReadOnly", "IfPossible") == "IfPossible"


def test_an_audit_writes_nowhere(job: Body, spec: Body) -> None:
    writable = [m for m in spec["containers"][0]["volumeMounts"] if not m["readOnly"]]
    assert bool(writable) != job["metadata"]["name"].startswith("audit-")


def test_what_it_reads_is_mounted(job: Body, spec: Body) -> None:
    """Every folder of the operation lies in a mount; the cache and state folder where asked."""
    read = Operation.from_json(json.loads(spec["containers"][0]["env"][0]["value"]))
    mounted = [v["hostPath"]["path"] for v in spec["volumes"]]
    needed = [*read.paths.conf_dirs, *read.paths.bin_dirs, *read.paths.delegate_dirs]
    if read.kind is not Kind.AUDIT:
        needed += [read.paths.cache_dir, read.paths.state_dir]
    for folder in needed:
        assert any(folder == m or folder.startswith(m + "/") for m in mounted), folder


def test_it_has_no_rights_on_the_host(spec: Body) -> None:
    context = spec["containers"][0]["securityContext"]
    assert context == {
        "runAsUser": 0,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert "securityContext" not in spec


def test_it_runs_once_everywhere_and_evicts_nobody(job: Body, spec: Body) -> None:
    assert spec["restartPolicy"] == "Never"
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["ttlSecondsAfterFinished"] >= 3600
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert "nodeName" not in spec
    assert spec["priorityClassName"] == PRIORITY_CLASS
    assert spec["preemptionPolicy"] == "Never"
    assert not {"runtimeClassName", "resourceClaims"} & spec.keys()


def test_it_asks_for_no_room(spec: Body) -> None:
    """A node that is full is looked at all the same."""
    assert "resources" not in spec
    assert "resources" not in spec["containers"][0]


def pinned_to(spec: Body) -> str:
    affinity = spec["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    [field] = terms[0]["matchFields"]
    assert (field["key"], field["operator"]) == ("metadata.name", "In")
    [name] = field["values"]
    return str(name)


def test_it_is_pinned_by_name(spec: Body) -> None:
    assert pinned_to(spec) == "node-a"


def test_a_name_too_long_for_a_label_is_still_found() -> None:
    name = "a" * 100
    order = operation(Kind.AUDIT, CONFIG.auto, "/etc/cni/net.d")
    long = Operation(order.id, order.kind, name, order.runtime, paths=order.paths)
    job = agent_job(order.id, long, CONFIG.auto, CONFIG, cache=False)
    assert names.LABEL_NODE not in job["metadata"]["labels"]
    assert job["metadata"]["annotations"][names.LABEL_NODE] == name
    assert all(len(v) <= 63 for v in job["metadata"]["labels"].values())


def test_a_cache_that_is_not_there_is_not_mounted() -> None:
    """A hostPath of type Directory on a missing folder would hang the pod."""
    order = operation(Kind.APPLY, CONFIG.auto, "/etc/cni/net.d")
    job = agent_job(order.id, order, CONFIG.auto, CONFIG, cache=False)
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert order.paths.cache_dir not in [v["hostPath"]["path"] for v in volumes]


@pytest.mark.parametrize("name", PRESETS)
def test_a_cache_that_may_appear_is_seen_in_the_folder_above_it(name: str) -> None:
    """A pod that is added after the audit makes it; without it a rewrite is judged blindly."""
    preset = PRESETS[name]
    order = operation(Kind.APPLY, preset, preset.conf_dirs[-1])
    spec = agent_job(order.id, order, preset, CONFIG, cache=False)["spec"]["template"]["spec"]
    paths = {v["name"]: v["hostPath"]["path"] for v in spec["volumes"]}
    holders = [
        mount
        for mount in spec["containers"][0]["volumeMounts"]
        if order.paths.cache_dir.startswith(paths[mount["name"]] + "/")
    ]
    assert holders, f"{preset.cache_dir} would not be seen"
    assert all(mount["readOnly"] for mount in holders)
    assert {paths[mount["name"]] for mount in holders} <= READABLE


def test_a_proof_pod_passes_the_restricted_level() -> None:
    pod = proof_pod("proof-new-x", "apply-0123456789abcdef0123", "node-a", CONFIG)
    spec = pod["spec"]
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "volumes"} & spec.keys()
    assert "resources" not in container
    assert pinned_to(spec) == "node-a"
    assert spec["automountServiceAccountToken"] is False
    assert pod["metadata"]["namespace"] == "cni-upgrade-proof"
