"""The story of the demo, in order; each part checks on the cluster what it says it shows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster
from tests.demo.kube import Kubectl, NotSeenError, until
from tests.demo.screen import heading, note, typed

ROOT = Path(__file__).resolve().parents[2]
NODES = ("node-a", "node-b", "node-c", "node-d")
SYSTEM = "cni-upgrade-system"
POLICY = "fleet"
F1 = "the version is empty"
F2 = "incompatible CNI versions"


def workload(name: str, node: str) -> str:
    """A pod on the pod network of one node, as YAML (JSON is YAML)."""
    container = {
        "name": "main",
        "image": "lab.local/busybox:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "100000"],
    }
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    return json.dumps(pod)


def policy(mode: str) -> str:
    """The one policy of the demo."""
    return f"""apiVersion: cniupgrade.dev/v1alpha1
kind: CNIUpgradePolicy
metadata:
  name: {POLICY}
spec:
  mode: {mode}
  nodeSelector: {{}}        # every node
  target:
    cni:
      version: "1.0.0"     # not above what each node's runtime and plugins take
"""


def up(name: str) -> Cluster:
    """The cluster, with its faults; one that was cured by an earlier demo gets them back."""
    heading("A real cluster: four nodes, three of them broken as in the wild")
    fresh = not Cluster(name).exists
    cluster = Cluster.up(name, NODES)
    kubectl = Kubectl(cluster)
    if not fresh:
        note("this cluster is from an earlier demo: the nodes get their first config back")
        remove_operator(kubectl)
        for node in NODES:
            cluster.reset_node(node)
    kubectl.show("get", "nodes", "-o", "wide")
    return cluster


def remove_operator(kubectl: Kubectl) -> None:
    """What an earlier demo installed and left."""
    if not kubectl.get("namespace", SYSTEM):
        return
    kubectl.run("delete", "pods", "--all", "--force", "--grace-period=0", "-n", "default")
    kubectl.run("delete", "-k", str(ROOT), "--ignore-not-found", "--wait=true")


def images(cluster: Cluster) -> None:
    """Both images, built from the Dockerfile and brought to every node."""
    heading("The operator's images, built from the Dockerfile")
    built = subprocess.run(
        [sys.executable, str(ROOT / "hack/image.py")],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise NotSeenError("the images could not be built; the lines above say why")
    for line in built.stdout.splitlines():
        target, _, archive = line.partition(" ")
        tags = cluster.load_image(Path(archive))
        note(f"{target}: {', '.join(tags)} is on every node")


def install(kubectl: Kubectl) -> None:
    """Exactly what is shipped, rights included."""
    heading("Installing the operator, exactly as shipped")
    typed("kubectl apply -k .")
    print(kubectl.run("apply", "-k", str(ROOT)).rstrip())
    kubectl.run(
        "rollout", "status", "-n", SYSTEM, "deployment/cni-upgrade-operator", "--timeout=180s"
    )
    kubectl.show("get", "pods", "-n", SYSTEM, "-o", "wide")


def _warning(kubectl: Kubectl, pod: str, text: str) -> str:
    for event in kubectl.items(
        "events", "--field-selector", f"involvedObject.name={pod},type=Warning"
    ):
        if text in event.get("message", ""):
            return str(event["message"])
    return ""


def break_things(kubectl: Kubectl) -> None:
    """Both faults, seen before anything is cured."""
    heading("What is broken: F1 (no cniVersion) and F2 (a version that the plugins do not speak)")
    for node in NODES:
        name = f"before-{node[-1]}"
        kubectl.show("apply", "-f", "-", stdin=workload(name, node))
    until("before-a and before-d run", 60, lambda: _running(kubectl, "before-a", "before-d"))
    note("node-a: pods run, until one is deleted")
    kubectl.show("delete", "pod", "before-a", "--wait=false")
    for pod, text in (("before-a", F1), ("before-b", F2), ("before-c", F1)):
        message = until(f"{pod}: {text}", 90, partial(_warning, kubectl, pod, text))
        print(f"    {message}")
    if _running(kubectl, "before-b") or _running(kubectl, "before-c"):
        raise NotSeenError("before-b or before-c runs: the nodes are not broken")
    kubectl.show("get", "pods", "-o", "wide")


def _running(kubectl: Kubectl, *pods: str) -> bool:
    found = {p["metadata"]["name"]: p for p in kubectl.items("pods")}
    return all(
        name in found
        and "deletionTimestamp" not in found[name]["metadata"]
        and any(s.get("ready") for s in found[name]["status"].get("containerStatuses", ()))
        for name in pods
    )


def _state(kubectl: Kubectl, node: str) -> dict[str, Any]:
    status: dict[str, Any] = kubectl.get("cninodestate", node).get("status", {})
    return status


def audit(kubectl: Kubectl, cluster: Cluster) -> None:
    """Audit looks and changes nothing."""
    heading("A policy in mode Audit: it looks, and changes nothing on the nodes")
    before = {node: config(cluster, node) for node in NODES}
    kubectl.show("apply", "-f", "-", stdin=policy("Audit"))
    until("the policy is Ready: every node was audited", 120, lambda: _ready(kubectl))
    kubectl.show("get", "cniupgradepolicies", "-o", "wide")
    kubectl.show("get", "cninodestates", "-o", "wide")
    for node, code in (("node-a", "F1"), ("node-b", "F2"), ("node-c", "F1")):
        findings = _state(kubectl, node).get("findings", ())
        told = next((f for f in findings if f["code"] == code), None)
        if told is None:
            raise NotSeenError(f"{node}: no finding {code} among {[f['code'] for f in findings]}")
        note(f"{node}: {code}, {told['message']}")
    if (phase := _state(kubectl, "node-d").get("phase")) != "Compatible":
        raise NotSeenError(f"node-d is healthy, expected Compatible, it is {phase}")
    if {node: config(cluster, node) for node in NODES} != before:
        raise NotSeenError("an audit changed a file")
    note("no byte changed in any /etc/cni/net.d")


def _ready(kubectl: Kubectl) -> bool:
    found = kubectl.get("cniupgradepolicy", POLICY)
    status = found.get("status", {})
    return status.get("observedGeneration") == found.get("metadata", {}).get("generation") and any(
        c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())
    )


def config(cluster: Cluster, node: str) -> str:
    """Every file of the node's config folder, name and text."""
    return cluster.exec(
        node, ["sh", "-c", 'cd /etc/cni/net.d && for f in *; do echo "== $f"; cat "$f"; done']
    ).stdout


def enforce(kubectl: Kubectl) -> None:
    """The same policy acts; its way is followed line by line."""
    heading("The same policy in mode Enforce: one node at a time, backed up, proved")
    kubectl.show("apply", "-f", "-", stdin=policy("Enforce"))
    told: dict[str, str] = {}
    begun = time.monotonic()
    while time.monotonic() - begun < 300:
        for state in kubectl.items("cninodestates"):
            name, status = state["metadata"]["name"], state.get("status", {})
            line = f"{status.get('phase', ''):<11} {status.get('message', '')}"
            if told.get(name) != line:
                told[name] = line
                note(f"{name}  {line[:150]}")
        if _ready(kubectl):
            break
        time.sleep(0.4)
    else:
        raise NotSeenError("the policy is not Ready after 300 s")
    for node in NODES:
        hung = _state(kubectl, node).get("hung", {})
        for pod in hung.get("before", ()):
            note(f"{node}: {pod} hung" + (" on" if pod in hung["after"] else ", and is free"))
    kubectl.show("get", "cniupgradepolicies", "-o", "wide")
    kubectl.show("get", "cninodestates", "-o", "wide")


def cured(kubectl: Kubectl, cluster: Cluster) -> None:
    """The hung pods are gone or run, new ones come and go, and what was done can be read."""
    heading("What is cured")
    until(
        "before-a, which hung in Terminating, is gone",
        90,
        lambda: not kubectl.get("pod", "before-a"),
    )
    until(
        "before-b and before-c, which hung in ContainerCreating, run",
        120,
        lambda: _running(kubectl, "before-b", "before-c"),
    )
    for node in NODES:
        kubectl.run("apply", "-f", "-", stdin=workload(f"after-{node[-1]}", node))
    names = tuple(f"after-{node[-1]}" for node in NODES)
    until("a new pod runs on each node", 90, lambda: _running(kubectl, *names))
    kubectl.show("get", "pods", "-o", "wide")
    kubectl.show("delete", "pod", *names)
    cordoned = [
        n["metadata"]["name"] for n in kubectl.items("nodes") if n["spec"].get("unschedulable")
    ]
    if cordoned:
        raise NotSeenError(f"still cordoned: {', '.join(cordoned)}")
    note("no node is left cordoned")

    heading("What was changed, and where the old files are")
    for node in ("node-a", "node-b", "node-c"):
        changed(kubectl, cluster, node)
    stranded(kubectl)


def changed(kubectl: Kubectl, cluster: Cluster, node: str) -> None:
    """One node's diff, backup against file."""
    last = next(e for e in reversed(_state(kubectl, node)["history"]) if e["kind"] == "apply")
    folder = f"/var/lib/cni-upgrade/backups/{last['backup']}"
    note(f"{node}: {last['message']}, backup {folder}")
    script = f'cd {folder}/files && for f in *; do diff -u "$f" "/etc/cni/net.d/$f"; done; true'
    typed(f"on {node}: diff -u {folder}/files/* /etc/cni/net.d/")
    diff = cluster.exec(node, ["sh", "-c", script]).stdout
    print(diff.rstrip())
    lines = [x for x in diff.splitlines() if x[:1] in "+-" and x[:3] not in ("+++", "---")]
    if not lines or any("cniVersion" not in line for line in lines):
        raise NotSeenError(f"{node}: expected a diff of cniVersion alone, got {lines}")


def stranded(kubectl: Kubectl) -> None:
    """On CRI-O the runtime decides about sandboxes from before; the node state says so."""
    findings = _state(kubectl, "node-c").get("findings", ())
    told = next((f for f in findings if f["code"] == "CachedDel"), None)
    if told is None:
        note("node-c: no sandbox from before is left that CRI-O could not delete")
    else:
        note(f"node-c: {told['message']}; {told.get('action', '')}")
