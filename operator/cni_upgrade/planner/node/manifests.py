"""The bodies of what we run in the cluster: agent Jobs and proof pods.

Host folders and images come from the operator's configuration alone; a ValidatingAdmissionPolicy
(`manifests/`) holds agent pods to the same rules, whoever creates them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.api import names
from cni_upgrade.planner.world.node_affinity import only_on
from cni_upgrade.planner.world.operator_config import OperatorConfig, Preset

HOST = "/host"
"""Where an agent finds the host's folders."""

PRIORITY_CLASS = "cni-upgrade-agent"
"""Of our own, `preemptionPolicy: Never`: an agent waits for room, it evicts nobody."""


NEVER_READY = "cniupgrade.dev/serves"
"""A gate that nobody opens. Nothing is to be served by an agent, and the Job controller writes a
Job's status for each pod of it that becomes ready, and again when it is ready no more."""


def _on(node: str) -> dict[str, Any]:
    """Pinned by name, past cordons and taints."""
    return {"affinity": only_on(node), "tolerations": [{"operator": "Exists"}]}


def _labels(component: str, operation: str, node: str) -> dict[str, str]:
    labels = {names.LABEL_COMPONENT: component, names.LABEL_OPERATION: operation}
    # A node's name may be 253 characters long, a label's value 63.
    return labels | ({names.LABEL_NODE: node} if len(node) <= 63 else {})


def _mounts(
    operation: Operation, preset: Preset, config: OperatorConfig, cache: bool
) -> list[tuple[str, bool, str]]:
    """(host folder, writable, hostPath type) of what this operation needs, and nothing else."""
    if operation.kind == "audit":
        return [(folder, False, "Directory") for folder in preset.mounts]
    paths = operation.paths
    wanted = [(folder, True, "Directory") for folder in paths.conf_dirs]
    dirs = (*paths.bin_dirs, *paths.delegate_dirs)
    plugins = {config.plugin_mounts.get(folder, folder) for folder in dirs}
    wanted += [(folder, False, "Directory") for folder in sorted(plugins)]
    if folder := paths.cache_dir if cache else _above(paths.cache_dir, preset):
        wanted.append((folder, False, "Directory"))
    # Ours to make: the one folder that may not be there yet.
    wanted.append((config.state_dir, True, "DirectoryOrCreate"))
    return wanted


def _written(writable: bool) -> dict[str, Any]:
    """The members of a mount that say so. What is mounted beneath a folder comes with it."""
    if writable:
        return {"readOnly": False}
    # Where runtime and kernel can: a kubelet that asks one that cannot has the top alone read-only.
    return {"readOnly": True, "recursiveReadOnly": "IfPossible"}


def _above(folder: str, preset: Preset) -> str | None:
    """The folder of the audit's mounts that a missing one would appear in, None where none would.

    A pod that was added since the audit has made the results cache, and an agent that does not see
    it would judge a rewrite without the sandboxes that it is about.
    """
    holders = [each for each in preset.mounts if f"{folder}/".startswith(f"{each.rstrip('/')}/")]
    return max(holders, key=len, default=None)


def agent_job(
    name: str, operation: Operation, preset: Preset, config: OperatorConfig, *, cache: bool
) -> dict[str, Any]:
    """The Job that carries out one operation on one node; `cache`: its results cache was found."""
    mounts = _mounts(operation, preset, config, cache)
    deadline = (
        config.audit_deadline_seconds
        if operation.kind == "audit"
        else config.apply_deadline_seconds
    )
    container: Mapping[str, Any] = {
        "name": "agent",
        "image": config.agent_image,
        "imagePullPolicy": config.image_pull_policy,
        "env": [
            {
                "name": "CNI_UPGRADE_OPERATION",
                "value": json.dumps(operation.to_json(), separators=(",", ":")),
            }
        ],
        "securityContext": {
            "runAsUser": 0,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": f"host-{i}", "mountPath": f"{HOST}{folder}", **_written(writable)}
            for i, (folder, writable, _) in enumerate(mounts)
        ],
    }
    labels = _labels("agent", operation.id, operation.node)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": config.namespaces.agents,
            "labels": labels,
            "annotations": {names.LABEL_NODE: operation.node},
        },
        "spec": {
            # The controller decides about another attempt, under another id.
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            "ttlSecondsAfterFinished": config.job_ttl_seconds,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"labels": labels, "annotations": {names.LABEL_NODE: operation.node}},
                "spec": {
                    **_on(operation.node),
                    "restartPolicy": "Never",
                    "readinessGates": [{"conditionType": NEVER_READY}],
                    # Where CNI is broken the pod network is not there to run in.
                    "hostNetwork": True,
                    "dnsPolicy": "Default",
                    "enableServiceLinks": False,
                    "automountServiceAccountToken": False,
                    "serviceAccountName": "default",
                    "priorityClassName": PRIORITY_CLASS,
                    "preemptionPolicy": "Never",
                    "terminationGracePeriodSeconds": 30,
                    "containers": [container],
                    "volumes": [
                        {"name": f"host-{i}", "hostPath": {"path": folder, "type": kind}}
                        for i, (folder, _, kind) in enumerate(mounts)
                    ],
                },
            },
        },
    }


def proof_pod(name: str, operation: str, node: str, config: OperatorConfig) -> dict[str, Any]:
    """A pod on the pod network of one node whose life and death show that ADD and DEL work."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": config.namespaces.proof,
            "labels": _labels("proof", operation, node),
            "annotations": {names.LABEL_NODE: node},
        },
        "spec": {
            **_on(node),
            "restartPolicy": "Never",
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "priorityClassName": PRIORITY_CLASS,
            "preemptionPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "proof",
                    "image": config.image_of_proofs,
                    "imagePullPolicy": config.image_pull_policy,
                    "command": list(config.proof_command),
                    # No requests: a proof must find room on a full node.
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
