"""Plays what a bare API server lacks: nodes, their kubelets, a scheduler and a Job controller.

Only as far as the controller looks: an agent's Job gets a pod whose termination message is a real
encoded result, a proof pod is bound, gets its network, and goes when it is deleted, as a
workload's pod does when it is evicted.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.agent.protocol.termination_message import encode
from tests.api.server import MERGE_PATCH, Answer, Server
from tests.api.spaces import AGENTS, PROOF, pods
from tests.unit.planner.node_model import SimNode

JOBS = f"/apis/batch/v1/namespaces/{AGENTS}/jobs"
NODES = "/api/v1/nodes"
Object = dict[str, Any]


def pod_spec() -> Object:
    """The least that the API server takes."""
    return {"containers": [{"name": "proof", "image": "x"}]}


def job_of(pod: Object) -> str | None:
    """The name of the Job that made a pod."""
    owners = pod["metadata"].get("ownerReferences") or []
    return next((each["name"] for each in owners if each["kind"] == "Job"), None)


class Patient:
    """A Server that outlives its API server: asks again until that is back."""

    def __init__(self, kubeconfig: Path, seconds: float = 60) -> None:
        self._kubeconfig = kubeconfig
        self._server = Server(kubeconfig)
        self._seconds = seconds

    def request(self, method: str, path: str, body: object = None, **more: Any) -> Answer:
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                answer = self._server.request(method, path, body, **more)
            except (OSError, http.client.HTTPException):
                self._server = Server(self._kubeconfig)
                starting = True
            else:
                # While it starts it refuses: what it authorizes by is not read yet.
                starting = answer.status in (403, 429) or answer.status >= 500
                if not starting:
                    return answer
            assert time.monotonic() < deadline, f"{method} {path}: no answer"
            time.sleep(0.1)

    def items(self, path: str) -> list[Object]:
        answer = self.request("GET", path)
        return answer.body["items"] if answer.ok else []

    def create(self, path: str, body: object) -> None:
        answer = self.request("POST", path, body)
        assert answer.ok or answer.status == 409, answer.message

    def patch(self, path: str, body: object) -> None:
        answer = self.request("PATCH", path, body, content=MERGE_PATCH)
        assert answer.ok or answer.status in (404, 409), answer.message


def add_node(api: Patient, name: str) -> None:
    """A Ready node."""
    labels = {"kubernetes.io/hostname": name}
    api.create(
        NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    )
    info = {
        "containerRuntimeVersion": "containerd://1.6.20",
        "kubeletVersion": "v1.34.4",
        "bootID": "boot-1",
    }
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "."}
    api.patch(f"{NODES}/{name}/status", {"status": {"conditions": [ready], "nodeInfo": info}})


class Fleet:
    """Nodes with disks, played by a thread of its own until the end of the block."""

    def __init__(self, kubeconfig: Path) -> None:
        self.disks: dict[str, SimNode] = {}
        self.hold: Callable[[Operation], bool] = lambda operation: False
        """Whether an agent is still at work."""
        self.hold_proof: Callable[[Object], bool] = lambda pod: False
        """Whether a proof pod gets no network yet, or does not go yet."""
        self.agents: list[str] = []
        """Every agent that ran, by the name of its Job."""
        self.workloads: dict[str, tuple[str, str]] = {}
        """By pod of the namespace default: its node, and the version at which it was added."""
        self._kubeconfig = kubeconfig
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._died: Exception | None = None

    def __enter__(self) -> Fleet:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._died is not None:
            raise self._died  # what a test waited for in vain is no news beside it

    def add(self, api: Patient, *names: str, **kind: Any) -> None:
        for name in names:
            self.disks[name] = SimNode(name, **{"version": None, **kind})
            add_node(api, name)

    def run_pod(
        self,
        api: Patient,
        name: str,
        node: str,
        kind: str = "ReplicaSet",
        *,
        owner: str = "web",
        phase: str = "Running",
    ) -> None:
        """A pod of somebody's workload comes up on a node, or has ended there; of nobody's: ""."""
        ref = {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": owner}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"app": name},
                "ownerReferences": [{**ref, "controller": True}] if kind else [],
            },
            "spec": {"nodeName": node, **pod_spec()},
        }
        self.workloads[name] = (node, self.disks[node].version or "missing")
        api.create(pods("default"), body)
        path = f"{pods('default')}/{name}"
        self._status(api, path, phase, {"running": {}}, podIP="10.0.0.2")

    def _play(self) -> None:
        api = Patient(self._kubeconfig, seconds=120)
        try:
            while not self._stop.is_set():
                self._jobs(api)
                self._proofs(api)
                self._workloads(api)
                time.sleep(0.1)
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise it to
            self._died = error

    def _jobs(self, api: Patient) -> None:
        there = {job_of(pod): pod for pod in api.items(pods(AGENTS))}
        for job in api.items(JOBS):
            meta, [container] = job["metadata"], job["spec"]["template"]["spec"]["containers"]
            operation = Operation.from_json(json.loads(container["env"][0]["value"]))
            pod, path = there.get(meta["name"]), f"{pods(AGENTS)}/{meta['name']}-x"
            if operation.node not in self.disks or (pod and pod["status"]["phase"] == "Succeeded"):
                continue
            if pod is None:
                self._start(api, job, operation)
            if self.hold(operation):
                continue
            running = [added for node, added in self.workloads.values() if node == operation.node]
            result = self.disks[operation.node].run(operation, running)
            self.agents.append(meta["name"])
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            ended = {
                "exitCode": 0,
                "reason": "Completed",
                "message": encode(result).decode(),
                "startedAt": at,
                "finishedAt": at,
            }
            self._status(api, path, "Succeeded", {"terminated": ended})

    def _start(self, api: Patient, job: Object, operation: Operation) -> None:
        """The agent's pod comes up on its node: from now on it may be writing."""
        name, template = job["metadata"]["name"], job["spec"]["template"]
        names = {"batch.kubernetes.io/job-name": name, "job-name": name}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "uid": job["metadata"]["uid"]}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-x",
                "labels": {**template["metadata"]["labels"], **names},
                "annotations": template["metadata"]["annotations"],
                "ownerReferences": [{**owner, "name": name, "controller": True}],
            },
            "spec": {**template["spec"], "nodeName": operation.node},
        }
        api.create(pods(AGENTS), body)
        self._status(api, f"{pods(AGENTS)}/{name}-x", "Running", {"running": {}})

    def _proofs(self, api: Patient) -> None:
        for pod in api.items(pods(PROOF)):
            meta, path = pod["metadata"], f"{pods(PROOF)}/{pod['metadata']['name']}"
            disk = self.disks.get(meta["annotations"]["cniupgrade.dev/node"])
            if disk is None or self.hold_proof(pod):
                continue
            if "deletionTimestamp" in meta:
                if disk.deletes("1.0.0"):
                    api.request("DELETE", f"{path}?gracePeriodSeconds=0")
            elif not pod["spec"].get("nodeName"):
                target = {"apiVersion": "v1", "kind": "Node", "name": disk.name}
                body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}}
                api.create(f"{path}/binding", {**body, "target": target})
            elif pod["status"]["phase"] == "Pending" and disk.adds():
                self._status(api, path, "Running", {"running": {}}, podIP="10.0.0.1")

    def _workloads(self, api: Patient) -> None:
        """One that was asked to leave goes where its network can be taken away."""
        for pod in api.items(pods("default")) if self.workloads else ():
            name = pod["metadata"]["name"]
            node, added = self.workloads.get(name, ("", ""))
            if node and "deletionTimestamp" in pod["metadata"] and self.disks[node].deletes(added):
                api.request("DELETE", f"{pods('default')}/{name}?gracePeriodSeconds=0")
                del self.workloads[name]

    def _status(self, api: Patient, path: str, phase: str, state: Object, **more: str) -> None:
        container = {
            "name": "agent" if AGENTS in path else "proof",
            "containerID": "containerd://1",
            "image": "x",
            "imageID": "x",
            "ready": False,
            "restartCount": 0,
            "state": state,
        }
        status = {"phase": phase, "containerStatuses": [container], **more}
        api.patch(f"{path}/status", {"status": status})
