"""The cluster under test, the operator in it: policies, node states, pods, what happened."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cni_upgrade.api import names
from tests.api import objects
from tests.api.spaces import AGENTS, OPERATOR, PROOF, SYSTEM
from tests.cluster.cluster import Cluster
from tests.e2e.api import CORE, POLICIES, STATES, Api, Object, condition, wait
from tests.e2e.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
NODES = ("node-a", "node-b", "node-c", "node-d")
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{OPERATOR}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{OPERATOR}"
CONTROLLER = "cni_upgrade.controller"
AGENT = "cni_upgrade.agent.agent"
PODS = f"{CORE}/namespaces/default/pods"
QUOTAS = f"{CORE}/namespaces/{PROOF}/resourcequotas"
SWITCH = f"{CORE}/namespaces/{AGENTS}"
"""What bears the annotation that stops everything."""
JOBS = f"/apis/batch/v1/namespaces/{AGENTS}/jobs"
RESTING = frozenset(
    {"Compatible", "Done", "RolledBack", "Failed", "Blocked", "ManagedElsewhere", "Waiting"}
)


def pod_body(name: str, node: str, *, labels: Object | None = None) -> Object:
    """A pod on the pod network of one node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {**pod_spec(), "nodeName": node},
    }


def pod_spec() -> Object:
    """What such a pod runs."""
    container = {
        "name": "main",
        "image": "lab.local/busybox:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap exit TERM; sleep 100000 & wait"],
    }
    return {"terminationGracePeriodSeconds": 1, "containers": [container]}


def on(nodes: Sequence[str]) -> Object:
    """A node selector that takes exactly these nodes."""
    wanted = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    return {"matchExpressions": [wanted]}


class World:
    """What a test works with."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.api = Api(cluster.kubeconfig)
        self._begin()

    def machine(self, name: str) -> Machine:
        return Machine(self.cluster, name)

    def kubectl(
        self, *words: str, stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a person would; its exit code is the caller's to judge."""
        command = [str(self.cluster.kubectl), f"--kubeconfig={self.cluster.kubeconfig}", *words]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )

    # -- policies and node states --

    def policy(self, name: str = "p", nodes: Sequence[str] = NODES, **spec: Any) -> Object:
        """Create a policy for these nodes; proofs are given up early, nodes go side by side."""
        made = objects.policy(
            name, **{"nodeSelector": on(nodes), "verify": {"deadline": "30s"}, **spec}
        )
        return self.api.create(POLICIES, made)

    def change(self, policy: str, **spec: Any) -> None:
        """Change some members of a policy's spec."""
        self.api.patch(f"{POLICIES}/{policy}", {"spec": spec})

    def at_work(self, *nodes: str) -> str:
        """Which of them is being written to, with plugins that make it last some seconds."""
        for name in nodes:
            self.machine(name).stand_in("bridge", version_takes=3)
        self.policy(nodes=nodes, mode="Enforce")
        busy = wait(lambda: [n for n in nodes if self.cordon(n)[1]], "a node is cordoned by us")
        self.await_step(busy[0], "Apply")
        return busy[0]

    def annotate(self, path: str, **annotations: str | None) -> None:
        """Set annotations of our group on an object."""
        marks = {f"{names.GROUP}/{key}": value for key, value in annotations.items()}
        self.api.patch(path, {"metadata": {"annotations": marks}})

    def policy_status(self, name: str = "p") -> Object:
        found = self.api.get(f"{POLICIES}/{name}") or {}
        status: Object = found.get("status") or {}
        return status

    def status(self, node: str) -> Object:
        found = self.api.get(f"{STATES}/{node}") or {}
        status: Object = found.get("status") or {}
        return status

    def operation(self, node: str) -> Object:
        """The operation that is under way; empty where none is."""
        return self.status(node).get("operation") or {}

    def await_phase(self, node: str, *phases: str, reason: str = "", seconds: float = 90) -> Object:
        """Wait until a node rests in one of these phases."""

        def there() -> Object | None:
            status = self.status(node)
            fits = status.get("phase") in phases and reason in ("", status.get("reason"))
            return status if fits and not status.get("operation") else None

        why = f" ({reason})" if reason else ""
        return wait(there, f"{node} rests in {' or '.join(phases)}{why}", seconds)

    def await_step(self, node: str, *steps: str, seconds: float = 60) -> Object:
        """Wait until the operation of a node is at one of these steps."""

        def there() -> Object | None:
            operation = self.operation(node)
            return operation if operation.get("step") in steps else None

        return wait(there, f"{node} is at step {' or '.join(steps)}", seconds)

    def await_ready(self, policy: str = "p", reason: str = "", seconds: float = 120) -> Object:
        """Wait until a policy says that all is well."""
        return self.await_condition(policy, "Ready", "True", reason, seconds)

    def await_condition(
        self, policy: str, kind: str, status: str, reason: str = "", seconds: float = 60
    ) -> Object:
        """Wait for a condition that is about the policy as it now is."""

        def there() -> Object | None:
            found = self.api.get(f"{POLICIES}/{policy}") or {}
            generation = found["metadata"]["generation"]
            for cond in (found.get("status") or {}).get("conditions") or []:
                holds = cond["type"] == kind and cond["status"] == status
                if holds and reason in ("", cond["reason"]):
                    return cond if cond["observedGeneration"] == generation else None
            return None

        return wait(there, f"policy {policy} says {kind}={status} {reason}", seconds)

    # -- nodes --

    def node(self, name: str) -> Object:
        found = self.api.get(f"{CORE}/nodes/{name}")
        assert found is not None, f"node {name} is gone"
        return found

    def cordon(self, name: str) -> tuple[bool, str | None]:
        """Whether a node is cordoned, and our mark on it."""
        node = self.node(name)
        marks = node["metadata"].get("annotations") or {}
        return bool(node["spec"].get("unschedulable")), marks.get(names.CORDONED_BY)

    def not_cordoned(self, *nodes: str) -> None:
        """Assert that nodes were given back."""
        for name in nodes:
            assert self.cordon(name) == (False, None), f"{name} was not given back"

    def call_silent(self, name: str) -> None:
        """Say of a node whose kubelet was stopped what the cluster says 50 s later, at once."""
        ready = condition(self.node(name), "Ready")
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        unknown = {
            **ready,
            "status": "Unknown",
            "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
            "lastTransitionTime": now,
        }
        others = [c for c in self.node(name)["status"]["conditions"] if c["type"] != "Ready"]
        body = {"status": {"conditions": [*others, unknown]}}
        self.api.patch(f"{CORE}/nodes/{name}/status", body)

    # -- pods --

    def run_pod(self, name: str, node: str) -> None:
        """Create a pod on the pod network, pinned past cordons."""
        self.api.create(PODS, pod_body(name, node))

    def pod(self, name: str) -> Object | None:
        return self.api.get(f"{PODS}/{name}")

    def await_running(self, name: str, seconds: float = 60) -> Object:
        def running() -> Object | None:
            pod = self.pod(name)
            return pod if pod and pod["status"].get("phase") == "Running" else None

        return wait(running, f"pod {name} runs", seconds)

    def delete_pod(self, name: str) -> None:
        self.api.delete(f"{PODS}/{name}")

    def await_gone(self, name: str, seconds: float = 60) -> None:
        wait(lambda: self.pod(name) is None, f"pod {name} is gone", seconds)

    def events(self, name: str, namespace: str = "default") -> list[Object]:
        """The events about an object, oldest first."""
        path = f"{CORE}/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3D{name}"
        found = self.api.items(path)
        return sorted(found, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime")))

    def await_warning(self, name: str, text: str, seconds: float = 60) -> str:
        """Wait for an event about a pod that says so."""

        def said() -> str:
            warnings = [e["message"] for e in self.events(name) if e["type"] == "Warning"]
            return next((m for m in warnings if text in m), "")

        return wait(said, f"an event about pod {name} says {text!r}", seconds)

    # -- the operator --

    def controller(self) -> Object | None:
        """The pod of the controller that leads and is not on its way out."""
        lease = self.api.get(LEASE) or {"spec": {}}
        leader = str(lease["spec"].get("holderIdentity", "")).partition("_")[0]
        path = f"{CORE}/namespaces/{SYSTEM}/pods"
        for pod in self.api.items(path):
            if pod["metadata"]["name"] == leader and "deletionTimestamp" not in pod["metadata"]:
                return pod
        return None

    def kill_controller(self) -> None:
        """Kill -9 the controller that leads."""
        pod = self.controller()
        assert pod is not None, "a controller was to lead"
        killed = self.machine(pod["spec"]["nodeName"]).kill(CONTROLLER)
        assert killed, "the process was to be there"

    def await_controller(self, seconds: float = 90) -> Object:
        """Wait until the controllers that the Deployment now asks for are ready, and one leads."""

        def ready() -> Object | None:
            deployment = self.api.get(DEPLOYMENT) or {}
            status = deployment.get("status", {})
            as_asked = (
                status.get("observedGeneration") == deployment["metadata"]["generation"]
                and status.get("updatedReplicas") == status.get("replicas")
                and status.get("readyReplicas") == deployment["spec"]["replicas"]
            )
            pod = self.controller() if as_asked else None
            return pod if pod and condition(pod, "Ready").get("status") == "True" else None

        return wait(ready, "the controller is ready", seconds)

    def asked(self, verb: str, resource: str, name: str = "", user: str = "") -> list[Object]:
        """Requests in the audit log since the test began; refused ones are left out."""
        return [
            entry
            for entry in self._audit_log()
            if entry["verb"] == verb
            and (ref := entry.get("objectRef") or {}).get("resource") == resource
            and ref.get("name", "").startswith(name)
            and user in ("", entry["user"]["username"])
            and entry.get("responseStatus", {}).get("code", 0) < 300
            and entry["stage"] == "ResponseComplete"
        ]

    def _begin(self) -> None:
        """Requests count from here on."""
        now = self.cluster.control.audit_log.stat()
        self._log_then = now.st_ino, now.st_size
        # After that: what was asked for from then on stands behind what the log has by now.
        self.began = datetime.now(UTC)

    def _audit_log(self) -> Iterable[Object]:
        """Of all that the session has asked for only what may be of this test is read."""
        log = self.cluster.control.audit_log
        for path in sorted(log.parent.glob(f"{log.stem}*{log.suffix}")):
            with path.open("rb") as lines:
                found = os.fstat(lines.fileno())
                number, size = self._log_then
                if found.st_ino == number:
                    # It may have another name by now. What is left of a line that was being
                    # written then is not of this test either.
                    lines.seek(max(0, size - 1))
                    if size:
                        lines.readline()
                elif found.st_mtime < self.began.timestamp() - 1:
                    continue
                for line in lines:
                    # The last line may still be being written.
                    if line.endswith(b"\n"):
                        entry = json.loads(line)
                        if datetime.fromisoformat(entry["requestReceivedTimestamp"]) >= self.began:
                            yield entry

    # -- a known state --

    def _no_states(self) -> bool:
        """Deleted once more where a controller had not heard yet that their policy is gone."""
        if self.api.items(STATES):
            self.api.delete(STATES)
        return not self.api.items(STATES)

    def tidy(self) -> None:
        """Undo all that a test or a killed run did: what is as it should be is left alone."""
        for policy in self.api.items(POLICIES):  # one that gives back would wait for that
            path = f"{POLICIES}/{policy['metadata']['name']}"
            self.api.patch(path, {"metadata": {"finalizers": None}})
        self.api.delete(POLICIES)
        self.annotate(SWITCH, stop=None)
        self.api.delete(STATES)
        self.api.delete(JOBS)
        self.api.delete("/apis/policy/v1/namespaces/default/poddisruptionbudgets")
        self.api.delete("/apis/apps/v1/namespaces/default/deployments")
        self.api.delete("/apis/apps/v1/namespaces/default/daemonsets")
        self.api.delete(QUOTAS)
        for name in NODES:
            machine = self.machine(name)
            for program in machine.node.daemons:
                machine.node.start(program)
            machine.mend_plugins()
        hostname = {"nodeSelector": {"kubernetes.io/hostname": None}}
        self.api.patch(DEPLOYMENT, {"spec": {"replicas": 2, "template": {"spec": hostname}}})
        self.await_controller()
        wait(self._no_states, "the node states are deleted")
        wait(lambda: not self._agents(), "the agents are gone", 90)
        for node in self.api.items(f"{CORE}/nodes"):
            marks = dict.fromkeys(self._ours(node))
            if marks or node["spec"].get("unschedulable"):
                body = {"metadata": {"annotations": marks}, "spec": {"unschedulable": None}}
                self.api.patch(f"{CORE}/nodes/{node['metadata']['name']}", body)
        self._tidy_nodes()
        self.api.delete(f"{CORE}/namespaces/default/events")
        self._begin()

    @staticmethod
    def _ours(node: Object) -> list[str]:
        marks = node["metadata"].get("annotations") or {}
        return [key for key in marks if key.startswith(names.GROUP)]

    def _agents(self) -> list[Object]:
        return self.api.items(f"{CORE}/namespaces/{AGENTS}/pods")

    def _pods_on(self, node: str) -> list[Object]:
        """Pods on the pod network of a node."""
        path = f"{CORE}/pods?fieldSelector=spec.nodeName%3D{node}"
        return [p for p in self.api.items(path) if not p["spec"].get("hostNetwork")]

    def _tidy_nodes(self) -> None:
        machines = [self.machine(name) for name in NODES]
        for machine in machines:
            machine.forget_static()
        busy = [machine for machine in machines if self._pods_on(machine.name)]
        for machine in busy:
            machine.write(machine.healthy())
        for name in self._pods_stay([machine.name for machine in busy], 40):
            self.cluster.reset_node(name)
        for machine in machines:
            config = machine.config
            if not config.exists() or config.read_text(encoding="utf-8") != machine.faulty():
                machine.write(machine.faulty())
            machine.forget_pods()
            machine.forget_operations()

    def _pods_stay(self, nodes: Sequence[str], seconds: float) -> list[str]:
        """Delete the pods of these nodes at once; those on which some are left after that time."""
        deadline = time.monotonic() + seconds
        while left := {node: pods for node in nodes if (pods := self._pods_on(node))}:
            if time.monotonic() > deadline:
                break
            for pod in (pod for pods in left.values() for pod in pods):
                meta = pod["metadata"]
                if "deletionTimestamp" not in meta:
                    self.api.delete(f"{CORE}/namespaces/{meta['namespace']}/pods/{meta['name']}")
            time.sleep(0.3)
        return list(left)

    # -- what a failure must show --

    def describe(self) -> str:
        """The cluster as a person would look at it."""
        parts = [
            self._shown("get", "nodes,cniupgradepolicies,cninodestates", "-o", "wide"),
            self._shown("get", "jobs,pods", "-A", "-o", "wide"),
        ]
        for state in self.api.items(STATES):
            status = dict(state.get("status") or {})
            for bulky in ("plugins", "conditions", "paths", "observed"):
                status.pop(bulky, None)
            parts.append(f"{state['metadata']['name']}: {json.dumps(status, indent=1)}")
        for policy in self.api.items(POLICIES):
            policy["metadata"].pop("managedFields", None)
            parts.append(f"policy {json.dumps(policy)}")
        parts.append(self._shown("get", "events", "-A", "--sort-by=.lastTimestamp", tail=40))
        log = ("logs", "-n", SYSTEM, f"deployment/{OPERATOR}", "--tail=80")
        parts += [self._shown(*log), self._shown(*log, "--previous")]
        for pod in self._agents():
            parts.append(self._shown("logs", "-n", AGENTS, pod["metadata"]["name"], "--tail=15"))
        return "\n\n".join(parts)

    def _shown(self, *words: str, tail: int = 200) -> str:
        done = self.kubectl(*words)
        lines = (done.stdout + done.stderr).rstrip().splitlines()[-tail:]
        return "\n".join([f"$ kubectl {' '.join(words)}", *lines])
