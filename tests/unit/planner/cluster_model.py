"""A cluster in memory that plays on by itself: Jobs, pods, kubelets, budgets and failing nodes.

Deterministic: `tick` moves the clock and lets every part do what is due. Nothing in it is a mock;
the planner sees only the raw objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cni_upgrade.agent.protocol.operation import Kind, Operation
from cni_upgrade.agent.protocol.termination_message import encode
from cni_upgrade.api import names
from cni_upgrade.planner.world.kubernetes_objects import Lease
from cni_upgrade.planner.world.operator_config import OperatorConfig, Preset
from tests.unit.planner.api_model import Api, ApiError, Raw, stamp
from tests.unit.planner.node_model import SimNode

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
AGENTS, PROOF, APPS = "cni-upgrade-agents", "cni-upgrade-proof", "default"
CONFIG = OperatorConfig(
    agent_image="agent:1",
    proof_image="agent:1",
    auto=Preset(conf_dirs=("/etc/cni/net.d",), bin_dirs=("/opt/cni/bin",)),
)


LEASES = "medik8s-leases"
LEASED = CONFIG.model_copy(update={"lease_namespace": LEASES})
"""Where a Lease keeps two drainers apart."""


class Cluster:
    """The cluster, its nodes' disks, and everything of Kubernetes that is not the operator."""

    def __init__(self) -> None:
        self.api = Api(START)
        self.disks: dict[str, SimNode] = {}
        self.warnings: dict[str, str] = {}
        """The newest Warning event by the uid of its pod."""
        self.added: dict[str, str] = {}
        """The version at which a pod got its network, by uid."""
        self.budgets: set[str] = set()
        """Names of pods that a disruption budget keeps."""
        self.orphans: set[str] = set()
        """Names of pods whose DaemonSet is gone."""
        self.held: set[str] = set()
        """Names of pods that a finalizer keeps."""
        self.foreign_cordons: set[str] = set()
        self.full: set[str] = set()
        """Nodes to which no pod is scheduled."""
        self.room: dict[str, int] = {}
        """How many pods of the pod network a node takes, where that is bounded."""
        self.quota: str = ""
        """Why no proof pod may be created, if so."""
        self.jobs_refused: str = ""
        """Why no Job may be created, if so."""
        self.proofs_kept: str = ""
        """Why no proof pod may be deleted, if so."""
        self.unlisted: dict[str, str] = {}
        """By node: why its pods may not be listed."""
        self.stopped: str = ""
        """Why everything is stopped, if so: the annotation on the agents' namespace."""
        self._spawned: set[str] = set()
        self._stages: dict[str, str] = {}

    @property
    def now(self) -> datetime:
        return self.api.now

    # What people do.

    def add_node(self, disk: SimNode, *, pods: int = 1, labels: Mapping[str, str] = {}) -> None:
        """A node with its disk, and some pods of a ReplicaSet on it."""
        self.disks[disk.name] = disk
        self.api.create(
            "Node",
            {
                "metadata": {"name": disk.name, "labels": {"zone": "a", **labels}},
                "spec": {},
                "status": {
                    "conditions": [self._ready("True")],
                    "nodeInfo": {
                        "containerRuntimeVersion": disk.runtime,
                        "kubeletVersion": "v1.34.4",
                        "bootID": "boot-1",
                        "operatingSystem": "linux",
                    },
                },
            },
        )
        for number in range(pods):
            self.add_pod(disk.name, f"web-{disk.name}-{number}")

    def add_pod(
        self,
        node: str,
        name: str,
        *,
        owner: str = "ReplicaSet",
        empty_dir: bool = False,
        fresh: bool = False,
        ended: bool = False,
    ) -> None:
        """A running pod, a fresh one that is to get its network first, or one that has ended.

        Without an owner nobody would create it again; the kubelet's own is owned by its Node.
        """
        ref = {"apiVersion": "apps/v1", "kind": owner, "name": "x"}
        owners = [{**ref, "uid": f"{owner}-uid", "controller": True}]
        mirror = {"kubernetes.io/config.mirror": "x"} if owner == "Node" else {}
        made = self.api.create(
            "Pod",
            {
                "metadata": {
                    "name": name,
                    "namespace": APPS,
                    "labels": {"app": name},
                    "annotations": mirror,
                    "ownerReferences": owners if owner else [],
                },
                "spec": {
                    "nodeName": node,
                    "volumes": [{"name": "v", "emptyDir": {}}] if empty_dir else [],
                },
                "status": {"phase": "Pending" if fresh else "Succeeded" if ended else "Running"},
            },
        )
        if ended:
            self._stages[made["metadata"]["uid"]] = "ended"
        if fresh or ended:
            return
        self.added[made["metadata"]["uid"]] = self.disks[node].version or "missing"
        self._stages[made["metadata"]["uid"]] = "up"

    def remove_node(self, name: str) -> None:
        """The machine is gone: its Node, the records that it owns, and its pods."""
        self.disks.pop(name)
        self.foreign_cordons.discard(name)
        self.api.remove("Node", name)
        for pod in list(self.api.all("Pod")):
            if pod["spec"].get("nodeName") == name:
                self.api.remove("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])

    def set_ready(self, name: str, status: str) -> None:
        """`Unknown`: the kubelet is silent and does nothing any more."""
        self.disks[name].silent = status == "Unknown"
        [before] = self.node(name)["status"]["conditions"]
        if before["status"] != status:
            self._set_status(name, {"conditions": [self._ready(status)]})

    def _ready(self, status: str) -> Raw:
        return {"type": "Ready", "status": status, "lastTransitionTime": stamp(self.now)}

    def reboot(self, name: str, boot: str) -> None:
        self._set_status(name, {"nodeInfo": {"bootID": boot}})

    def upgrade(self, name: str, *, runtime: str = "", kubelet: str = "") -> None:
        """Another runtime, or kubelet, works there from now on; pods go on."""
        if runtime:
            self.disks[name].runtime = runtime
            self._set_status(name, {"nodeInfo": {"containerRuntimeVersion": runtime}})
        if kubelet:
            self._set_status(name, {"nodeInfo": {"kubeletVersion": kubelet}})

    def set_system(self, name: str, system: str) -> None:
        """The operating system that its kubelet tells."""
        self._set_status(name, {"nodeInfo": {"operatingSystem": system}})

    def _set_status(self, name: str, status: Raw) -> None:
        self.api.patch("Node", name, {"status": status})

    def cordon(self, name: str) -> None:
        """Somebody else cordons: no effect on a node that is cordoned already."""
        if not (self.api.get("Node", name)["spec"].get("unschedulable")):
            self.foreign_cordons.add(name)
            spec = {"unschedulable": True}
            self.api.patch("Node", name, {"spec": spec}, manager="kubectl")

    def share_cordon(self, name: str) -> None:
        """Somebody else applies the cordon that is there, server-side: it has two owners then."""
        meta = self.node(name)["metadata"]
        entries = [e for e in meta.get("managedFields", ()) if e["fieldsV1"]]
        if entries:
            self.foreign_cordons.add(name)
            theirs = {**entries[0], "manager": "maintenance", "operation": "Apply"}
            self.api.patch("Node", name, {"metadata": {"managedFields": [*entries, theirs]}})

    def uncordon(self, name: str) -> None:
        """Somebody uncordons, as kubectl does: our mark stays."""
        self.foreign_cordons.discard(name)
        spec = {"unschedulable": None}
        self.api.patch("Node", name, {"spec": spec}, manager="kubectl")

    def apply_policy(
        self, name: str, spec: Mapping[str, Any], annotations: Mapping[str, str | None] = {}
    ) -> None:
        """As `kubectl apply`: create or patch."""
        body = {"metadata": {"name": name, "annotations": dict(annotations)}, "spec": dict(spec)}
        if self.api.find("CNIUpgradePolicy", name):
            self.api.patch("CNIUpgradePolicy", name, body)
        else:
            full = {"nodeSelector": {}, **spec}
            self.api.create(
                "CNIUpgradePolicy",
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.POLICY_KIND,
                    **body,
                    "spec": full,
                },
            )

    def annotate(self, kind: str, name: str, key: str, value: str | None) -> None:
        self.api.patch(kind, name, {"metadata": {"annotations": {key: value}}})

    def take_lease(self, node: str, holder: str, seconds: int) -> None:
        """Somebody else takes the Lease on a node, if it is free, as medik8s' operators do."""
        there = self.api.find("Lease", f"node-{node}", LEASES)
        if there is not None:
            until = Lease.of(there).until()
            if until is not None and until < self.now:
                self.api.remove("Lease", f"node-{node}", LEASES)
        if self.api.find("Lease", f"node-{node}", LEASES) is None:
            at = self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds}
            meta = {
                "name": f"node-{node}",
                "namespace": LEASES,
                "ownerReferences": [
                    {"kind": "Node", "name": node, "uid": self.node(node)["metadata"]["uid"]}
                ],
            }
            times = {"acquireTime": at, "renewTime": at, "leaseTransitions": 0}
            self.api.create("Lease", {"metadata": meta, "spec": {**spec, **times}})

    def drop_lease(self, node: str, holder: str) -> None:
        """They give it back."""
        lease = self.api.find("Lease", f"node-{node}", LEASES)
        if lease is not None and lease["spec"]["holderIdentity"] == holder:
            self.api.remove("Lease", f"node-{node}", LEASES)

    def evict(self, namespace: str, name: str, uid: str) -> None:
        """The eviction API."""
        pod = self.api.get("Pod", name, namespace)
        if pod["metadata"]["uid"] != uid:
            raise ApiError(409, "the UID in the precondition is another one")
        if name in self.budgets:
            raise ApiError(429, "The disruption budget web needs 1 healthy pods and has 1")
        self.api.delete("Pod", name, uid, namespace)

    # What is to be seen.

    def node(self, name: str) -> Raw:
        return self.api.get("Node", name)

    def state(self, name: str) -> Raw | None:
        return self.api.find("CNINodeState", name)

    def status(self, name: str) -> Raw:
        """The status of a node state; empty before there is one."""
        state = self.state(name)
        status: Raw = state["status"] if state else {}
        return status

    def policy(self, name: str) -> Raw:
        return self.api.get("CNIUpgradePolicy", name)

    def pods_on(self, node: str, namespace: str) -> list[Raw]:
        return [
            p
            for p in self.api.all("Pod")
            if p["spec"].get("nodeName") == node and p["metadata"]["namespace"] == namespace
        ]

    # What goes on by itself.

    def tick(self, seconds: int = 1) -> None:
        """Let time pass, and everybody do what is due."""
        self.api.now += timedelta(seconds=seconds)
        for job in list(self.api.all("Job")):
            self._job(job)
        for pod in list(self.api.all("Pod")):
            self._pod(pod)
        self._collect()

    def _collect(self) -> None:
        """Remove records whose Node is gone: one may have been created a moment after it went."""
        nodes = {node["metadata"]["uid"] for node in self.api.all("Node")}
        for state in list(self.states()):
            owners = state["metadata"].get("ownerReferences") or ()
            if owners and not any(owner["uid"] in nodes for owner in owners):
                self.api.remove("CNINodeState", state["metadata"]["name"])

    def _job(self, job: Raw) -> None:
        meta, name = job["metadata"], job["metadata"]["name"]
        conditions = {c["type"]: c for c in (job.get("status") or {}).get("conditions", ())}
        age = (self.now - datetime.fromisoformat(meta["creationTimestamp"])).total_seconds()
        if "Complete" in conditions or "Failed" in conditions:
            if age >= job["spec"]["ttlSecondsAfterFinished"] + job["spec"]["activeDeadlineSeconds"]:
                self.api.delete("Job", name, namespace=AGENTS)
            return
        pods = [
            p
            for p in self.api.all("Pod")
            if p["metadata"]["namespace"] == AGENTS
            and any(o["uid"] == meta["uid"] for o in p["metadata"].get("ownerReferences", ()))
        ]
        if meta["uid"] not in self._spawned:
            self._spawned.add(meta["uid"])
            self._spawn(job)
        elif any(p["status"].get("phase") == "Succeeded" for p in pods):
            self._end_job(job, "Complete")
        elif not pods or all(p["status"].get("phase") == "Failed" for p in pods):
            failed = conditions.get("FailureTarget")
            reason = failed["reason"] if failed else "BackoffLimitExceeded"
            self._end_job(job, "Failed", reason)
        elif age >= job["spec"]["activeDeadlineSeconds"]:
            if "FailureTarget" not in conditions:
                self._end_job(job, "FailureTarget", "DeadlineExceeded")
            for pod in pods:
                self.api.delete("Pod", pod["metadata"]["name"], namespace=AGENTS)

    def _spawn(self, job: Raw) -> None:
        template, meta = job["spec"]["template"], job["metadata"]
        # All that a control plane before 1.27 writes; a newer one adds a second label.
        labels = {**template["metadata"]["labels"], "job-name": meta["name"]}
        # Another Job of that name may have left its pod behind.
        first = self.api.find("Pod", f"{meta['name']}-x7k2p", AGENTS) is None
        suffix = "x7k2p" if first else meta["uid"]
        self.api.create(
            "Pod",
            {
                "metadata": {
                    **template["metadata"],
                    "labels": labels,
                    "name": f"{meta['name']}-{suffix}",
                    "namespace": AGENTS,
                    "ownerReferences": [
                        {
                            "apiVersion": "batch/v1",
                            "kind": "Job",
                            "name": meta["name"],
                            "uid": meta["uid"],
                            "controller": True,
                        }
                    ],
                },
                "spec": dict(template["spec"]),
                "status": {"phase": "Pending"},
            },
        )

    def _end_job(self, job: Raw, kind: str, reason: str = "") -> None:
        done = [*(job.get("status") or {}).get("conditions", ())]
        done.append({"type": kind, "status": "True", "reason": reason})
        patch = {"status": {"conditions": done}}
        self.api.patch("Job", job["metadata"]["name"], patch, namespace=AGENTS)

    def _pod(self, pod: Raw) -> None:
        if (node := pod["spec"].get("nodeName")) is None:
            self._schedule(pod)
            return
        disk = self.disks.get(node)
        if disk is None or disk.silent:
            return
        if "deletionTimestamp" in pod["metadata"]:
            self._take_down(pod, disk)
        elif pod["metadata"]["namespace"] == AGENTS:
            self._run_agent(pod, disk)
        elif self._stages.get(pod["metadata"]["uid"]) is None:
            self._bring_up(pod, disk)

    def _schedule(self, pod: Raw) -> None:
        affinity = pod["spec"]["affinity"]["nodeAffinity"]
        [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        [node] = term["matchFields"][0]["values"]
        if node not in self.disks or node in self.full:
            return
        taken = len(self.pods_on(node, APPS)) + len(self.pods_on(node, PROOF))
        if pod["metadata"]["namespace"] == PROOF and taken >= self.room.get(node, taken + 1):
            text = "FailedScheduling: 0/1 nodes are available: 1 Too many pods."
            self.warnings[pod["metadata"]["uid"]] = text
            return
        self._patch_pod(pod, {"spec": {"nodeName": node}})

    def _patch_pod(self, pod: Raw, patch: Raw) -> None:
        meta = pod["metadata"]
        self.api.patch("Pod", meta["name"], patch, namespace=meta["namespace"])

    def _bring_up(self, pod: Raw, disk: SimNode) -> None:
        uid = pod["metadata"]["uid"]
        if not disk.adds():
            self.warnings[uid] = "FailedCreatePodSandBox: plugin type=bridge failed (add)"
            return
        self._stages[uid] = "up"
        self.added[uid] = disk.version or "missing"
        self._patch_pod(pod, {"status": {"phase": "Running", "podIP": "10.0.0.1"}})

    def _take_down(self, pod: Raw, disk: SimNode) -> None:
        meta = pod["metadata"]
        if meta["name"] in self.held:
            return
        added = self.added.get(meta["uid"])
        if added is not None and not disk.deletes(added):
            self.warnings[meta["uid"]] = "FailedKillPod: plugin type=bridge failed (delete)"
            return
        self.api.remove("Pod", meta["name"], meta["namespace"])

    def _run_agent(self, pod: Raw, disk: SimNode) -> None:
        uid = pod["metadata"]["uid"]
        stage = self._stages.get(uid, "new")
        if stage == "new":
            fault = disk.faults.pop(0) if disk.faults else "none"
            self._stages[uid] = fault
            waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
            state = {"waiting": waiting} if fault == "pull" else {"running": {}}
            phase = "Pending" if fault == "pull" else "Running"
            made = {} if fault == "pull" else {"containerID": "containerd://1"}
            self._patch_pod(
                pod, {"status": {"phase": phase, "containerStatuses": [{"state": state, **made}]}}
            )
        elif stage in ("none", "killed", "killed-after-write", "hangs", "garbled"):
            if stage == "hangs":
                return
            message, code = "", 137
            if stage != "killed":
                [env] = pod["spec"]["containers"][0]["env"]
                operation = Operation.from_json(json.loads(env["value"]))
                if operation.kind is Kind.AUDIT:
                    self.on_look(disk.name, operation)
                else:
                    self.on_write(disk.name, operation)
                uids = [p["metadata"]["uid"] for p in self.pods_on(disk.name, APPS)]
                result = disk.run(operation, [self.added[u] for u in uids if u in self.added])
                if stage in ("none", "garbled"):
                    message, code = encode(result).decode(), 0
                    if disk.lie is not None:
                        message = disk.lie(result.to_json())
                    message = message[: len(message) // 2] if stage == "garbled" else message
            ended = {"exitCode": code, "reason": "Completed" if code == 0 else "OOMKilled"}
            terminated = {"terminated": {**ended, "message": message}}
            container = {"containerID": "containerd://1", "state": terminated}
            self._stages[uid] = "ended" if code == 0 else "died"
            # The message is there a second before the pod's phase.
            self._patch_pod(pod, {"status": {"containerStatuses": [container]}})
        elif stage in ("ended", "died"):
            phase = "Succeeded" if stage == "ended" else "Failed"
            if pod["status"]["phase"] != phase:
                self._patch_pod(pod, {"status": {"phase": phase}})

    def pull(self, node: str) -> None:
        """The image that agents wait for comes in: they start."""
        for pod in self.pods_on(node, AGENTS):
            if self._stages.get(pod["metadata"]["uid"]) == "pull":
                self._stages[pod["metadata"]["uid"]] = "new"

    def on_write(self, node: str, operation: Operation) -> None:
        """Called as an agent is about to write; invariants listen here."""

    def on_look(self, node: str, operation: Operation) -> None:
        """Called as an agent is about to look."""

    def states(self) -> Iterable[Raw]:
        return self.api.all("CNINodeState")
