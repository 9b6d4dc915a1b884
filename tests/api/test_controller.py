"""The controller as a process against a real API server: killed, cut off, alone and in pairs."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.agent.protocol.operation import Operation, PluginReport, Report, Source
from tests.api.controllers import (
    AGENTS_ROLE,
    LEASE_SECONDS,
    POLICIES,
    ROLE,
    ROOT,
    STATES,
    Controller,
    World,
    applied,
    check_cured,
    given_back,
)
from tests.api.nodes import JOBS, NODES, Fleet, Object, add_node
from tests.api.objects import policy
from tests.api.server import MERGE_PATCH
from tests.api.spaces import AGENTS
from tests.api.waiting import eventually
from tests.unit.cni import configmaps
from tests.unit.planner.node_model import SimNode


def test_a_rollout_and_the_silence_after_it(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a", "node-b")
    fleet.add(world.api, "node-c", version="1.0.0")
    before = len(world.writes())
    with world.controller() as it:
        eventually(lambda: it.get(it.metrics, "/readyz")[0] == 200, "it is ready")
        world.policy()
        check_cured(world, fleet, before, writers=2)
        assert list(applied(world, before).values()) == [1, 1]
        said = Counter((verb, what) for verb, what, _, code in world.writes()[before:])
        assert {code for *_, code in world.writes()[before:]} <= {200, 201}
        assert set(said) == {
            ("create", "cninodestates"),  # with the claim in it
            ("patch", "cninodestates/status"),
            ("patch", "cniupgradepolicies/status"),
            ("create", "jobs"),
            ("patch", "nodes"),
            ("create", "pods"),
            ("delete", "pods"),
            ("create", "events"),
        }, "kopf was to write nothing of its own"
        assert said["patch", "nodes"] == 4, "a cordon and an uncordon for two nodes"
        for path in (POLICIES, STATES, NODES, JOBS):
            for thing in world.api.items(path):
                meta = thing["metadata"]
                assert not any("kopf" in key for key in meta.get("annotations") or {})
                assert not [f for f in meta.get("finalizers") or [] if "kopf" in f]
        settled = world.settled()
        # What a kubelet does all day: each heartbeat is news and a pass, and nothing is written.
        for beat in range(4):
            patch = {"status": {"conditions": [{"type": "Ready", "message": f"beat {beat}"}]}}
            world.api.request(
                "PATCH",
                f"{NODES}/node-a/status",
                patch,
                content="application/strategic-merge-patch+json",
            )
            time.sleep(0.5)
        assert world.writes()[settled:] == []
        page = it.get(it.metrics, "/metrics")[1]
        for line in (
            'cni_upgrade_nodes{phase="Done",policy="cure"} 2.0',
            'cni_upgrade_nodes{phase="Compatible",policy="cure"} 1.0',
            'cni_upgrade_node_versions{policy="cure",version="1.0.0"} 3.0',
            'cni_upgrade_policy_paused{policy="cure"} 0.0',
            "cni_upgrade_missing_rights 0.0",
            "cni_upgrade_missing_admission_policies 0.0",
            "cni_upgrade_unreadable_objects 0.0",
            'cni_upgrade_decisions_total{kind="CreateJob"} 5.0',
            'cni_upgrade_api_requests_total{code="201",resource="jobs",verb="POST"} 5.0',
        ):
            assert line in page
        assert "\ncni_upgrade_planning_seconds_count " in page
        assert it.get(it.health, "/healthz") == (200, '{"loop": "ok"}')
        assert it.end() == 0
        assert "told to end" in it.log


def test_every_line_of_a_log_in_json_is_an_object(
    world: World, fleet: Fleet, tmp_path: Path
) -> None:
    """Of a rollout, an admission policy that is missing, and the end."""
    fleet.add(world.api, "node-a")
    binding = "cni-upgrade-agent-pods-closed"
    world.kubectl("delete", "validatingadmissionpolicybinding", binding)
    program = ("-m", "cni_upgrade.controller", "--log-format=json")
    log = tmp_path / "json.log"
    it = Controller(world.config, world.kubeconfig, log, "json", LEASE_SECONDS, program=program)
    try:
        world.policy()
        world.await_reason("Enforced")
        eventually(lambda: "admission policy" in it.log, "it names the one that is missing")
        assert it.end() == 0
    finally:
        it.process.kill()
        it.process.wait()
        world.kubectl("apply", "-k", str(ROOT))
    lines = [json.loads(line) for line in it.log.splitlines()]
    for line in lines:
        assert line.keys() - {"error"} == {"time", "level", "logger", "message"}
    [said] = [line for line in lines if line["level"] == "error"]
    assert binding in said["message"]
    assert "told to end" in {line["message"] for line in lines}


def test_a_rollout_that_keeps_the_leases_of_other_drainers(world: World, fleet: Fleet) -> None:
    """`leaseNamespace`: nobody else drains a node while an agent may write there; one that somebody
    has is waited for."""
    manifest = ROOT / "manifests/leases/medik8s.yaml"
    world.kubectl("apply", "-f", str(manifest))
    space = next(yaml.safe_load_all(manifest.read_text()))["metadata"]["name"]
    config = world.folder / "leased.yaml"
    config.write_text(f"leaseNamespace: {space}\n{world.config.read_text()}")
    path = f"/apis/coordination.k8s.io/v1/namespaces/{space}/leases"
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    theirs = {"holderIdentity": "somebody", "leaseDurationSeconds": 900, "renewTime": now}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": theirs}
    held: list[tuple[str, str]] = []

    def look(operation: Operation) -> bool:
        if operation.kind == "apply":
            found = world.api.request("GET", f"{path}/node-{operation.node}").body
            held.append((operation.node, (found.get("spec") or {}).get("holderIdentity", "")))
        return False

    fleet.hold = look
    fleet.add(world.api, "node-a", "node-b")
    world.api.create(path, {**body, "metadata": {"name": "node-node-a", "namespace": space}})
    before = len(world.writes())
    try:
        with world.controller(config=config):
            world.policy()
            eventually(
                lambda: world.status("node-b").get("phase") == "Done", "the free one is done"
            )
            assert world.status("node-a")["reason"] == "LeaseHeld"
            assert "somebody" in world.status("node-a")["message"]
            assert world.api.items(path)[0]["spec"]["holderIdentity"] == "somebody"
            world.api.request("DELETE", f"{path}/node-node-a")
            check_cured(world, fleet, before)
            eventually(lambda: not world.api.items(path), "both are given back")
    finally:
        world.api.request("DELETE", path)
    assert sorted(held) == [(node, "cni-upgrade-operator") for node in ("node-a", "node-b")]


def test_controller_killed_while_it_waits_and_then_the_api_server(
    world: World, fleet: Fleet
) -> None:
    fleet.add(world.api, "node-a", "node-b", "node-c")
    before = len(world.writes())
    world.policy()

    def killed_at(step: str) -> None:
        def there() -> bool:
            operations = [world.status(node).get("operation") or {} for node in fleet.disks]
            return any(o.get("step") == step for o in operations)

        with world.controller() as it:
            eventually(there, f"a node is at step {step}", 60)
            it.end(signal.SIGKILL)

    fleet.hold_proof = lambda pod: pod["metadata"]["name"].startswith("proof-old-")
    killed_at("Baseline")
    fleet.hold_proof = lambda pod: False
    fleet.hold = lambda operation: operation.kind == "apply"
    killed_at("Apply")
    # The last life lives through the API server's death, while an agent is waited for.
    with world.controller() as it:
        eventually(lambda: it.get(it.metrics, "/readyz")[0] == 200, "it is ready")
        world.restart_api()
        fleet.hold = lambda operation: False
        check_cured(world, fleet, before)
        assert it.get(it.health, "/healthz")[0] == 200
        assert it.process.poll() is None


def test_a_status_by_an_old_view_is_refused(world: World) -> None:
    """What keeps two controllers apart; the executor sends it so with every status."""
    world.policy()
    path = f"{POLICIES}/cure"
    seen = world.api.request("GET", path).body["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": seen}, "status": {"message": "first"}}
    assert world.api.request("PATCH", f"{path}/status", patch, content=MERGE_PATCH).ok
    patch["status"] = {"message": "second"}
    assert world.api.request("PATCH", f"{path}/status", patch, content=MERGE_PATCH).status == 409


def test_rights_that_are_missing_and_rights_that_are_taken(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a")
    rules = world.api.request("GET", ROLE).body["rules"]
    without = [r for r in rules if r["resources"] != ["nodes"]]
    assert len(without) == len(rules) - 1
    world.api.patch(ROLE, {"rules": without})
    try:
        with world.controller() as it:
            world.policy(mode="Audit")
            stalled = world.await_reason("PermissionDenied", "Stalled")
            for right in ("list nodes", "watch nodes", "patch nodes"):
                assert right in stalled["message"]
                assert it.log.count(f"missing right: {right};") == 1
            status, text = it.get(it.metrics, "/readyz")
            assert (status, text.startswith("missing rights: list nodes")) == (503, True)
            assert it.get(it.health, "/healthz")[0] == 200
            world.api.patch(ROLE, {"rules": rules})
            world.await_reason("Audited")
            assert it.get(it.metrics, "/readyz")[0] == 200
            # Now while it runs: the right to cordon, when it is needed next.
            seen = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}
            world.api.patch(ROLE, {"rules": [*without, seen]})
            world.api.patch(f"{POLICIES}/cure", {"spec": {"mode": "Enforce"}})
            stalled = world.await_reason("PermissionDenied", "Stalled")
            assert stalled["message"].count("patch nodes") == 1
            world.api.patch(ROLE, {"rules": rules})
            world.await_reason("Enforced")
            assert it.process.poll() is None, "it was to wait, not to exit"
            assert given_back(world)
    finally:
        world.api.patch(ROLE, {"rules": rules})


def test_an_admission_policy_that_is_missing_is_said(world: World) -> None:
    name = "cni-upgrade-agent-pods-closed"
    world.kubectl("delete", "validatingadmissionpolicybinding", name)
    try:
        with world.controller() as it:
            count = "\ncni_upgrade_missing_admission_policies 1.0\n"
            eventually(lambda: count in it.get(it.metrics, "/metrics")[1], "it is counted")
            assert it.log.count("admission policy") == 1
            assert f"admission policy {name} is not there" in it.log
            assert "missing right" not in it.log
    finally:
        world.kubectl("apply", "-k", str(ROOT))


@pytest.mark.parametrize(
    ("role", "resource", "verb", "named"),
    [
        (ROLE, "pods/eviction", "create", "create pods/eviction"),
        (AGENTS_ROLE, "jobs", "delete", f"delete jobs.batch in {AGENTS}"),
        (ROLE, "cninodestates/status", "patch", "patch cninodestates/status.cniupgrade.dev"),
    ],
    ids=["eviction", "deleting Jobs", "the record's status"],
)
def test_one_verb_that_is_missing_is_named_alone(
    world: World, fleet: Fleet, role: str, resource: str, verb: str, named: str
) -> None:
    fleet.add(world.api, "node-a")
    rules = world.api.request("GET", role).body["rules"]
    without = [
        {**r, "verbs": [v for v in r["verbs"] if v != verb]} if r["resources"] == [resource] else r
        for r in rules
    ]
    assert without != rules
    world.api.patch(role, {"rules": [rule for rule in without if rule["verbs"]]})
    try:
        with world.controller() as it:
            world.policy()
            stalled = world.await_reason("PermissionDenied", "Stalled")
            text = f"the API server refuses the operator: {named}; see manifests/rbac"
            assert stalled["message"] == text
            assert it.log.count("missing right:") == 1
            count = "cni_upgrade_missing_rights 1.0"
            eventually(lambda: count in it.get(it.metrics, "/metrics")[1], "it is counted")
            assert world.api.items(STATES) == [], "nothing begins"
            world.api.patch(role, {"rules": rules})
            world.await_reason("Enforced")
    finally:
        world.api.patch(role, {"rules": rules})


def test_kinds_that_come_after_the_controller(world: World, fleet: Fleet) -> None:
    world.kubectl("delete", "-f", str(ROOT / "crds"))
    try:
        with world.controller() as it:
            eventually(lambda: "the pass was given up" in it.log, "it looked in vain")
            world.kubectl("apply", "-f", str(ROOT / "crds"))
            eventually(lambda: it.get(it.metrics, "/readyz")[0] == 200, "it found them")
            # A node whose Event no list brings: the watches must have found the kinds too.
            fleet.add(world.api, "node-a")
            world.policy()
            world.await_reason("Enforced")
    finally:
        world.kubectl("apply", "-f", str(ROOT / "crds"))


def without_cel(schema: Any) -> Any:
    """A CRD as an API server before 1.25 reads it."""
    if isinstance(schema, dict):
        kept = {k: v for k, v in schema.items() if k != "x-kubernetes-validations"}
        return {key: without_cel(value) for key, value in kept.items()}
    return [without_cel(each) for each in schema] if isinstance(schema, list) else schema


def test_a_policy_that_an_older_api_server_lets_in(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, "node-a")
    crd = yaml.safe_load((ROOT / "crds/cniupgrade.dev_cniupgradepolicies.yaml").read_text())
    older = world.folder / "without-cel.yaml"
    older.write_text(yaml.safe_dump(without_cel(crd)))
    requirement = {"key": "zone", "operator": "NotIn", "values": []}
    selector = {"matchExpressions": [requirement]}
    world.kubectl("apply", "-f", str(older))

    try:
        eventually(lambda: _accepts(world, selector), "the CEL rules are gone")
        with world.controller() as it:
            world.policy(nodeSelector=selector)
            stalled = world.await_reason("NotUnderstood", "Stalled")
            assert "values: at least one is needed" in stalled["message"]
            assert world.condition("Ready")["status"] == "False"
            time.sleep(1)
            assert world.api.items(STATES) == [], "NotIn of nothing is not every node"
            world.api.patch(
                f"{POLICIES}/cure", {"spec": {"nodeSelector": {"matchExpressions": []}}}
            )
            world.await_reason("Enforced")
            assert not world.condition("Stalled")
            assert it.process.poll() is None
    finally:
        world.kubectl("apply", "-f", str(ROOT / "crds"))


def _accepts(world: World, selector: Object) -> bool:
    tried = policy("tried", nodeSelector=selector)
    return world.api.request("POST", f"{POLICIES}?dryRun=All", tried).ok


def test_a_record_with_a_time_beyond_all_calendars_ends_nobody(world: World, fleet: Fleet) -> None:
    """The API server takes it for a time; neither this process nor the next one ends over it."""
    fleet.add(world.api, "node-a", "node-b")
    with world.controller() as it:
        world.policy(mode="Audit")
        world.await_reason("Audited")
        uid = world.api.request("GET", f"{POLICIES}/cure").body["metadata"]["uid"]
        ref = {"name": "cure", "uid": uid, "since": "9999-12-31T23:59:59-05:00"}
        world.api.patch(f"{STATES}/node-a", {"spec": {"policyRef": ref}})
        told = world.await_reason("RecordsNotUnderstood")["message"]
        assert "node-a (spec.policyRef.since: expected a time that is in the years" in told
        assert it.process.poll() is None
    before = len(world.writes())
    with world.controller() as it:
        eventually(lambda: it.get(it.metrics, "/readyz")[0] == 200, "it is ready")
        world.settled()
        assert it.process.poll() is None
    assert not [write for write in world.writes()[before:] if write[1] == "cninodestates"]
    assert world.condition("Ready")["reason"] == "RecordsNotUnderstood"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_wherever_it_is(world: World, number: int) -> None:
    with world.controller() as it:
        eventually(lambda: it.get(it.health, "/healthz")[0], "it serves")
        began = time.monotonic()
        assert it.end(number) == 0
        assert time.monotonic() - began < 15


class Flannel(SimNode):
    """A node whose file flannel writes, and whose plugins are known."""

    def report(self, operation: Operation, pods: Sequence[str]) -> Report:
        found = super().report(operation, pods)
        supported = ("0.3.1", "0.4.0", "1.0.0")
        plugins = tuple(
            PluginReport(each, supported, "1.0.0", Source.VERSION)
            for each in ("flannel", "bridge", "host-local", "portmap")
        )
        return replace(found, plugins=plugins)


def _source(world: World, action: str) -> Object:
    """What the policy says of its one source, once it says that."""

    def there() -> Object | None:
        status = world.api.request("GET", f"{POLICIES}/cure").body.get("status") or {}
        found = status.get("sources") or [{}]
        return found[0] if len(found) == 1 and found[0].get("action") == action else None

    answer: Object = eventually(there, f"the source is {action}")
    return answer


def test_a_configmap_is_shown_mended_once_it_may_be_read(world: World, fleet: Fleet) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-flannel"}}
    world.api.create("/api/v1/namespaces", space)
    name, configmap = "kube-flannel-cfg", "/api/v1/namespaces/kube-flannel/configmaps"
    text = configmaps.FLANNEL_OLD
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"cni-conf.json": text, "net-conf.json": "{}"},
    }
    world.api.create(configmap, body)
    fleet.disks["node-a"] = Flannel("node-a", None, managed_by="flannel: ConfigMap")
    add_node(world.api, "node-a")
    before = len(world.asked())
    with world.controller() as it:
        world.policy()
        found = _source(world, "Unknown")
        assert f"may not read ConfigMap kube-flannel/{name}" in found["message"]
        assert world.await_reason("NodesBlocked")
        assert "list by that name is not granted" in it.log
    world.kubectl("apply", "-f", str(ROOT / "manifests/sources/kube-flannel.yaml"))
    # A new process looks at once.
    with world.controller():
        found = _source(world, "Rewrite")
        assert (found["to"], found["nodes"], found["network"]) == ("1.0.0", 1, "cbr0")
    # The command of docs/how-to/mend-a-configmap.md.
    path = f"{{.status.sources[?(@.name=='{name}')].patch}}"
    patch = world.kubectl("get", "cup", "cure", "-o", f"jsonpath={path}")
    words = ("-n", "kube-flannel", "patch", "configmap", name, "--type=json", "-p", patch)
    world.kubectl(*words)
    data = world.api.request("GET", f"{configmap}/{name}").body["data"]
    assert data["net-conf.json"] == "{}"
    assert json.loads(data["cni-conf.json"]) == {"cniVersion": "1.0.0", **json.loads(text)}
    with pytest.raises(AssertionError, match="the server rejected our request"):
        world.kubectl(*words)
    with world.controller():
        assert _source(world, "None")["version"] == "1.0.0"
    reads = []
    for event in world.asked()[before:]:
        ref = event.get("objectRef") or {}
        if ref.get("resource") == "configmaps":
            reads.append((event["verb"], ref.get("name"), event["responseStatus"]["code"]))
    assert set(reads) == {("list", name, 200)}, "by name, and never one that is refused"
    assert len(reads) <= 6
    assert not [write for write in world.writes() if write[1] == "configmaps"]
    world.api.request("DELETE", f"{configmap}/{name}")
