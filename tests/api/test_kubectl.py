"""What a person sees with kubectl: columns, selections, explanations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cni_upgrade.api import names
from tests.api.conftest import Kubectl
from tests.api.objects import AT, node_state, policy
from tests.api.server import Collection, Server
from tests.api.waiting import eventually


class TestColumns:
    def test_of_policies(self, policies: Collection) -> None:
        policies.create(policy())
        status = {
            "message": "half way",
            "summary": {"matched": 9, "upToDate": 3, "outdated": 5, "compatible": 1, "done": 2,
                        "working": 3, "waiting": 1, "blocked": 1, "failed": 1},
            "conditions": [
                {"type": "Reconciling", "status": "True", "reason": "R", "message": "",
                 "lastTransitionTime": AT},
                {"type": "Ready", "status": "False", "reason": "Why", "message": "",
                 "lastTransitionTime": AT},
            ],
        }  # fmt: skip
        assert policies.patch("p", {"status": status}, subresource="/status").ok
        shown = cells(policies.table())
        age = shown.pop("Age")
        assert age.endswith("s")
        assert shown == {
            "Name": "p", "Mode": "Audit", "Ready": "False", "Reason": "Why", "Nodes": 9,
            "UpToDate": 3, "Outdated": 5, "Failed": 1, "Working": 3, "Waiting": 1, "Blocked": 1,
            "Target": "1.0.0", "Message": "half way",
        }  # fmt: skip
        hidden = ["Working", "Waiting", "Blocked", "Target", "Message"]
        assert wide(policies.table()) == hidden

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
        assert wide(node_states.table()) == ["Policy", "Age", "Message"]

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
        """As docs/how-to/find-nodes.md has it; one without a time comes first."""
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
