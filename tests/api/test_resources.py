"""What the API server makes of our resources: defaults, statuses, columns, explanations."""

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.api.history import HistoryEntry
from cni_upgrade.api.label_selector import LabelSelector
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.parse import parse_node_state, parse_policy
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, PolicySpec
from tests.api.conftest import CRDS, Kubectl
from tests.api.objects import AT, node_state, policy
from tests.api.server import APPLY_PATCH, Answer, Collection, Server
from tests.api.waiting import eventually
from tests.unit.api.kstatus import Health, health

DEFAULTS = {
    "mode": "Audit",
    "nodeSelector": {},
    "target": {
        "cni": {
            "version": "1.0.0",
            "selection": "HighestCompatible",
            "rewrite": "ToTarget",
            "format": "Keep",
        }
    },
    "paths": "auto",
    "managedFiles": "Skip",
    "rollout": {
        "maxUnavailable": 1,
        "maxParallel": 10,
        "maxFailures": 1,
        "countFailures": "Total",
        "cordoned": "Wait",
        "order": {"by": "Name"},
    },
    "drain": {
        "policy": "IfRequired",
        "deadline": "15m",
        "deleteEmptyDirData": False,
        "force": False,
    },
    "drift": {"maxReverts": 3, "within": "24h"},
    "backup": {"keep": 5},
    "verify": {"proof": True, "deadline": "2m"},
    "onFailure": "Rollback",
    "deletionPolicy": "Retain",
    "paused": False,
}
NOT_SEEN = {"observedGeneration": -1}


def test_the_crds_are_taken_without_a_warning(installed: dict[str, Answer]) -> None:
    assert len(installed) == 2
    assert {name: answer.warnings for name, answer in installed.items()} == dict.fromkeys(
        installed, ()
    )


def test_the_crds_are_structural_and_their_names_free(server: Server) -> None:
    for plural in (names.POLICY_PLURAL, names.NODE_STATE_PLURAL):
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{names.GROUP}"
        conditions = server.request("GET", path).body["status"]["conditions"]
        assert {c["type"]: c["status"] for c in conditions} == {
            "NamesAccepted": "True",
            "Established": "True",
        }


def test_the_name_of_a_policy_fits_a_label(policies: Collection) -> None:
    assert policies.try_out(policy("x" * 63)).ok
    answer = policies.try_out(policy("x" * 64))
    assert answer.status == 422
    assert "metadata.name: at most 63 characters" in answer.message


def test_overlapping_policies_are_for_the_controller_to_judge(policies: Collection) -> None:
    policies.create(policy("first", mode="Enforce"))
    assert policies.try_out(policy("second", mode="Enforce")).ok


class TestDefaults:
    def test_of_a_policy(self, policies: Collection) -> None:
        created = policies.create(policy())
        assert created["spec"] == DEFAULTS
        assert created["status"] == NOT_SEEN

    def test_are_those_of_the_models(self, policies: Collection) -> None:
        read = parse_policy(policies.create(policy()))
        assert read.spec == PolicySpec(node_selector=LabelSelector())

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"target": {"cni": {"version": "0.4.0"}}}, {"version": "0.4.0"}),
            ({"target": {"cni": {"version": None}}}, {}),
            ({"target": None}, {}),
        ],
    )
    def test_fill_in_beside_what_is_given(
        self, policies: Collection, given: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        answer = policies.try_out(policy(**given))
        assert answer.ok, answer.message
        assert answer.body["spec"]["target"]["cni"] == {**DEFAULTS["target"]["cni"], **expected}  # type: ignore[index]

    def test_of_a_node_state(self, node_states: Collection) -> None:
        created = node_states.create(node_state())
        assert created["spec"] == {"nodeUID": "u"}
        assert created["status"] == {**NOT_SEEN, "phase": "Pending"}
        assert parse_node_state(created).status == NodeStateStatus()

    def test_what_the_model_writes_is_what_the_api_keeps(self, policies: Collection) -> None:
        written = CNIUpgradePolicy(
            metadata=ObjectMeta(name="p"),
            spec=PolicySpec(node_selector=LabelSelector(match_labels={"a": "b"})),
        )
        assert parse_policy(policies.create(written.to_api())).spec == written.spec


class TestSelector:
    def test_is_required(self, policies: Collection) -> None:
        wrong = policy()
        del wrong["spec"]["nodeSelector"]
        answer = policies.try_out(wrong)
        assert answer.status == 422
        assert "spec.nodeSelector: Required value" in answer.message

    def test_of_everything_is_said_aloud(self, policies: Collection) -> None:
        assert policies.try_out(policy(nodeSelector={})).ok

    def test_spec_is_required(self, policies: Collection, node_states: Collection) -> None:
        for collection, whole in ((policies, policy()), (node_states, node_state())):
            del whole["spec"]
            answer = collection.try_out(whole)
            assert answer.status == 422
            assert "spec: Required value" in answer.message

    def test_belongs_to_one_manager_as_a_whole(self, policies: Collection) -> None:
        """Merged from two appliers, a selector would be one that nobody wrote."""
        first = policy(nodeSelector={"matchLabels": {"a": "1"}})
        second = policy(nodeSelector={"matchLabels": {"b": "2"}})
        path = f"{policies.path}/p?force=true&fieldManager="
        for manager, whole in (("one", first), ("two", second)):
            answer = policies.server.request("PATCH", path + manager, whole, content=APPLY_PATCH)
            assert answer.ok, answer.message
        assert policies.get("p")["spec"]["nodeSelector"] == {"matchLabels": {"b": "2"}}


class TestMistakes:
    """What people get wrong; the rules themselves are walked through in test_rules.py."""

    @pytest.mark.parametrize(
        ("spec", "says"),
        [
            ({"mode": "enforce"}, 'supported values: "Audit", "Enforce"'),
            (
                {"target": {"cni": {"version": "1.0"}}},
                'supported values: "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"',
            ),
            (
                {"target": {"cni": {"selection": "Highest"}}},
                'supported values: "HighestCompatible", "Exact"',
            ),
            ({"target": {"cni": {"rewrite": "All"}}}, 'supported values: "ToTarget", "OnlyFaulty"'),
            ({"target": {"cni": {"format": "Conflist"}}}, 'supported values: "Keep", "List"'),
            ({"managedFiles": "Force"}, 'supported values: "Skip", "Override"'),
            ({"drain": {"policy": False}}, "spec.drain.policy in body must be of type string"),
            (
                {"drain": {"policy": "Maybe"}},
                'supported values: "Never", "IfRequired", "Always"',
            ),
            ({"drain": {"deadline": 15}}, "spec.drain.deadline in body must be of type string"),
            ({"onFailure": "Ignore"}, 'supported values: "Rollback", "Stop"'),
            ({"backup": {"keep": 0}}, "should be greater than or equal to 1"),
            ({"backup": {"keep": 51}}, "should be less than or equal to 50"),
            ({"rollout": {"maxParallel": 0}}, "should be greater than or equal to 1"),
            ({"rollout": {"maxParallel": "10%"}}, "must be of type integer"),
            ({"nodeSelector": None}, "spec.nodeSelector: Required value"),
            ({"nodeSelector": {"matchLabels": {"a": True}}}, "must be of type string"),
            ({"paused": "true"}, "must be of type boolean"),
        ],
    )
    def test_in_a_policy(self, policies: Collection, spec: dict[str, Any], says: str) -> None:
        answer = policies.try_out(policy(**spec))
        assert answer.status == 422
        assert says in answer.message

    @pytest.mark.parametrize(
        ("spec", "says"),
        [
            ({"nodeUID": ""}, "spec.nodeUID in body should be at least 1 chars long"),
            ({"policyRef": {"name": "p"}}, "spec.policyRef.uid: Required value"),
            ({"policyRef": {"uid": "v"}}, "spec.policyRef.name: Required value"),
        ],
    )
    def test_in_a_node_state(
        self, node_states: Collection, spec: dict[str, Any], says: str
    ) -> None:
        answer = node_states.try_out(node_state(**spec))
        assert answer.status == 422
        assert says in answer.message


class TestTypos:
    def test_strict_validation_names_the_field(self, policies: Collection) -> None:
        answer = policies.try_out(policy(maneged="Skip", drain={"polcy": "Never"}))
        assert answer.status == 400
        assert 'unknown field "spec.maneged"' in answer.message
        assert 'unknown field "spec.drain.polcy"' in answer.message

    def test_without_it_the_field_is_dropped_with_a_warning(self, policies: Collection) -> None:
        answer = policies.server.request(
            "POST", f"{policies.path}?fieldValidation=Warn", policy(maneged="Skip")
        )
        assert answer.ok
        assert "maneged" not in answer.body["spec"]
        assert any('unknown field \\"spec.maneged\\"' in warning for warning in answer.warnings)

    def test_kubectl_refuses_an_unknown_field(self, kubectl: Kubectl) -> None:
        ended = kubectl("apply", "-f", "-", stdin=policy(nodeSelektor={}))
        assert ended.returncode != 0
        assert 'unknown field "spec.nodeSelektor"' in ended.stderr

    def test_kubectl_names_a_wrong_value_and_the_right_ones(self, kubectl: Kubectl) -> None:
        ended = kubectl("apply", "-f", "-", stdin=policy(mode="Enforced"))
        assert ended.returncode != 0
        assert (
            'spec.mode: Unsupported value: "Enforced": supported values: "Audit", "Enforce"'
            in ended.stderr
        )


class TestStatus:
    def test_is_written_apart(self, policies: Collection) -> None:
        created = policies.create({**policy(), "status": {"observedGeneration": 7}})
        assert created["status"] == NOT_SEEN
        answer = policies.patch("p", {"spec": {"paused": True}, "status": {"message": "no"}})
        assert answer.body["spec"]["paused"] is True
        assert answer.body["status"] == NOT_SEEN
        assert answer.body["metadata"]["generation"] == 2

    def test_does_not_touch_the_spec(self, policies: Collection) -> None:
        policies.create(policy())
        answer = policies.patch(
            "p", {"spec": {"paused": True}, "status": {"message": "yes"}}, subresource="/status"
        )
        assert answer.ok, answer.message
        assert answer.body["spec"]["paused"] is False
        assert answer.body["status"] == {**NOT_SEEN, "message": "yes"}
        assert answer.body["metadata"]["generation"] == 1

    def test_whoever_puts_it_whole_must_bring_the_generation(self, policies: Collection) -> None:
        """Why the controller writes merge patches, or carries observedGeneration."""
        created = policies.create(policy())
        answer = policies.put("p", {**created, "status": {"message": "x"}}, subresource="/status")
        assert answer.ok, answer.message
        assert answer.body["status"] == {"message": "x"}

    def test_round_trip_of_a_node_state(self, node_states: Collection) -> None:
        node_states.create(node_state())
        status = NodeStateStatus(
            observed_generation=1,
            phase=Phase.DONE,
            sandboxes={"missing": 1},
            history=(HistoryEntry(at=AT, kind="apply", to="1.0.0"),),
        )
        answer = node_states.patch("n", {"status": status.to_api()}, subresource="/status")
        assert answer.ok, answer.message
        assert parse_node_state(node_states.get("n")).status == status

    def test_nulls_of_a_report_are_taken_for_absent(self, node_states: Collection) -> None:
        """The agent says null where it does not know."""
        node_states.create(node_state())
        report = {
            "files": [{"name": "f", "version": None, "managedBy": None, "active": True}],
            "paths": {"confDir": None, "binDirs": []},
        }
        answer = node_states.patch("n", {"status": report}, subresource="/status")
        assert answer.ok, answer.message
        assert answer.body["status"]["files"] == [{"name": "f", "active": True}]
        assert answer.body["status"]["paths"] == {"binDirs": []}

    def test_a_phase_that_only_a_newer_controller_knows_is_kept(
        self, node_states: Collection
    ) -> None:
        node_states.create(node_state())
        assert node_states.patch("n", {"status": {"phase": "Soaking"}}, subresource="/status").ok
        assert parse_node_state(node_states.get("n")).status.phase == "Soaking"

    def test_a_new_object_is_not_taken_for_healthy(
        self, policies: Collection, node_states: Collection
    ) -> None:
        assert health(policies.create(policy())) is Health.IN_PROGRESS
        assert health(node_states.create(node_state())) is Health.IN_PROGRESS


def test_a_node_may_own_its_state_without_blocking_its_deletion(
    server: Server, node_states: Collection
) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    uid = server.request("POST", "/api/v1/nodes", node).body["metadata"]["uid"]
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": "n",
        "uid": uid,
        "blockOwnerDeletion": False,
    }
    whole = node_state(nodeUID=uid)
    whole["metadata"]["ownerReferences"] = [owner]
    read = parse_node_state(node_states.create(whole))
    assert read.metadata.owner_references[0].uid == uid
    assert read.metadata.owner_references[0].block_owner_deletion is False
    assert server.request("DELETE", "/api/v1/nodes/n").ok


class TestColumns:
    def test_of_policies(self, policies: Collection) -> None:
        policies.create(policy())
        status = {
            "message": "half way",
            "summary": {"matched": 9, "compatible": 1, "done": 2, "working": 3, "waiting": 1,
                        "blocked": 1, "failed": 1},
            "conditions": [
                {"type": "Reconciling", "status": "True", "reason": "R", "message": "",
                 "lastTransitionTime": AT},
                {"type": "Ready", "status": "False", "reason": "R", "message": "",
                 "lastTransitionTime": AT},
            ],
        }  # fmt: skip
        assert policies.patch("p", {"status": status}, subresource="/status").ok
        shown = cells(policies.table())
        age = shown.pop("Age")
        assert age.endswith("s")
        assert shown == {
            "Name": "p", "Mode": "Audit", "Matched": 9, "Compatible": 1, "Done": 2, "Working": 3,
            "Waiting": 1, "Blocked": 1, "Failed": 1, "Ready": "False", "Message": "half way",
        }  # fmt: skip
        assert wide(policies.table()) == ["Waiting", "Message"]

    def test_of_node_states(self, node_states: Collection) -> None:
        node_states.create(node_state(policyRef={"name": "p", "uid": "v"}))
        status = {
            "phase": "Waiting", "reason": "Budget", "message": "for its turn", "found": "missing",
            "phaseSince": f"{datetime.now(UTC) - timedelta(minutes=7):%Y-%m-%dT%H:%M:%SZ}",
            "target": "1.0.0", "observed": {"runtimeVersion": "containerd://1.6.2"},
        }  # fmt: skip
        assert node_states.patch("n", {"status": status}, subresource="/status").ok
        shown = cells(node_states.table())
        shown.pop("Age")
        assert shown == {
            "Name": "n", "Phase": "Waiting", "Since": "7m", "Reason": "Budget",
            "Runtime": "containerd://1.6.2", "Found": "missing", "Target": "1.0.0",
            "Policy": "p", "Message": "for its turn",
        }  # fmt: skip
        assert wide(node_states.table()) == ["Message"]

    def test_short_names_and_category(
        self, kubectl: Kubectl, policies: Collection, node_states: Collection
    ) -> None:
        policies.create(policy())
        node_states.create(node_state())
        assert kubectl("get", "cup").stdout.split()[:2] == ["NAME", "MODE"]
        assert kubectl("get", "cns").stdout.split()[:2] == ["NAME", "PHASE"]
        both = kubectl("get", "cniupgrade", "-o", "name").stdout.split()
        assert both == ["cninodestate.cniupgrade.dev/n", "cniupgradepolicy.cniupgrade.dev/p"]


def cells(table: dict[str, Any]) -> dict[str, Any]:
    columns = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(columns, table["rows"][0]["cells"], strict=True))


def wide(table: dict[str, Any]) -> list[str]:
    return [c["name"] for c in table["columnDefinitions"] if c["priority"] > 0]


class TestSelecting:
    """What a person asks of thousands of node states."""

    def shown(self, kubectl: Kubectl, *words: str) -> list[str]:
        done = kubectl("get", "cns", "-o", "name", *words)
        assert done.returncode == 0, done.stderr
        return [line.partition("/")[2] for line in done.stdout.split()]

    def test_by_phase_reason_version_verdict_and_policy(
        self, node_states: Collection, kubectl: Kubectl
    ) -> None:
        for name, phase, found in (("a", "Failed", "1.0.0"), ("b", "Done", "0.4.0")):
            made = node_state(name)
            made["metadata"]["labels"] = {names.LABEL_POLICY: f"policy-{name}"}
            made = node_states.create(made)
            made["status"] = {
                "phase": phase,
                "reason": f"Why{phase}",
                "found": found,
                "verdict": "Compatible",
            }
            assert node_states.put(name, made, subresource="/status").ok
        assert self.shown(kubectl, "--field-selector=status.phase=Failed") == ["a"]
        assert self.shown(kubectl, "--field-selector=status.phase!=Done") == ["a"]
        assert self.shown(kubectl, "--field-selector=status.reason=WhyDone") == ["b"]
        assert self.shown(kubectl, "--field-selector=status.found=0.4.0") == ["b"]
        assert self.shown(kubectl, "--field-selector=status.verdict=Compatible") == ["a", "b"]
        both = (f"--selector={names.LABEL_POLICY}=policy-b", "--field-selector=status.phase=Failed")
        assert self.shown(kubectl, *both) == []

    def test_sorted_by_phase_and_by_how_long(
        self, node_states: Collection, kubectl: Kubectl
    ) -> None:
        """As docs/concepts.md has it; one without a time comes first."""
        for name, phase, since in (
            ("a", "Waiting", AT),
            ("b", "Failed", AT.replace("2026", "2025")),
            ("c", "Pending", None),
        ):
            made = node_states.create(node_state(name))
            made["status"] = {"phase": phase, **({"phaseSince": since} if since else {})}
            assert node_states.put(name, made, subresource="/status").ok
        assert self.shown(kubectl, "--sort-by=.status.phase") == ["b", "c", "a"]
        assert self.shown(kubectl, "--sort-by=.status.phaseSince") == ["c", "b", "a"]

    def test_by_a_field_that_is_none_of_them(self, server: Server, kubectl: Kubectl) -> None:
        assert server
        done = kubectl("get", "cns", "--field-selector=status.message=x")
        assert done.returncode != 0
        assert "field label not supported" in done.stderr


class TestExplain:
    def test_every_field_says_something(self, server: Server) -> None:
        schemas = eventually(lambda: published(server), "the API server publishes the schemas")
        for kind in (names.POLICY_KIND, names.NODE_STATE_KIND):
            (schema,) = (s for name, s in schemas.items() if name.endswith(f".{kind}"))
            assert len(schema["description"]) > 60
            silent = [path for path, field in fields(schema) if not field.get("description")]
            assert silent == []

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("cup", "Says which CNI version a set of nodes must speak"),
            ("cup.spec.mode", "Audit (default): look, report and change nothing."),
            ("cup.spec.rollout.maxUnavailable", "a number or a percentage"),
            ("cup.spec.drain.deadline", "for example 90s, 15m or 1h30m"),
            ("cns.status.operation.blockers", "disruption budgets"),
            ("cns.status.history.from", "The CNI version before"),
        ],
    )
    def test_as_kubectl_shows_it(self, kubectl: Kubectl, path: str, says: str) -> None:
        ended = eventually(lambda: answered(kubectl("explain", path)), f"kubectl explain {path}")
        assert says in " ".join(ended.split())


def answered(ended: Any) -> str | None:
    return ended.stdout if ended.returncode == 0 else None


def published(server: Server) -> dict[str, Any] | None:
    answer = server.request("GET", f"/openapi/v3/apis/{names.API_VERSION}")
    if not answer.ok:
        return None
    schemas: dict[str, Any] = answer.body["components"]["schemas"]
    ours = [name for name in schemas if name.startswith("dev.cniupgrade.")]
    return schemas if len(ours) >= 4 else None


def fields(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, inner in schema.get("properties", {}).items():
        found.append((f"{path}.{name}", inner))
        found += fields(inner.get("items", inner), f"{path}.{name}")
    return found


def test_applying_the_crds_again_changes_nothing(kubectl: Kubectl) -> None:
    for path in sorted(CRDS.glob("*.yaml")):
        assert kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path)).stdout
        shown = json.loads(kubectl("get", "-f", str(path), "-o", "json").stdout)
        again = kubectl("apply", "--server-side", "-f", str(path))
        assert again.returncode == 0, again.stderr
        after = json.loads(kubectl("get", "-f", str(path), "-o", "json").stdout)
        assert generation(shown) == generation(after)


def generation(obj: dict[str, Any]) -> Any:
    return copy.deepcopy(obj["metadata"]["generation"])
