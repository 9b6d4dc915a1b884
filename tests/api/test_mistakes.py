"""What people get wrong, and what the API server and kubectl say of it."""

from typing import Any

import pytest

from tests.api.conftest import Kubectl
from tests.api.objects import node_state, policy
from tests.api.server import APPLY_PATCH, Collection


def test_the_name_of_a_policy_fits_a_label(policies: Collection) -> None:
    assert policies.try_out(policy("x" * 63)).ok
    answer = policies.try_out(policy("x" * 64))
    assert answer.status == 422
    assert "metadata.name: at most 63 characters" in answer.message


def test_overlapping_policies_are_for_the_controller_to_judge(policies: Collection) -> None:
    policies.create(policy("first", mode="Enforce"))
    assert policies.try_out(policy("second", mode="Enforce")).ok


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
