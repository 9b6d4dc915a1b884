"""What the API server fills in, and that the models take the same for granted."""

from typing import Any

import pytest

from cni_upgrade.api.label_selector import LabelSelector
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.parse import parse_node_state, parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy, PolicySpec
from tests.api.objects import NOT_SEEN, node_state, policy
from tests.api.server import Collection

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
    "upgrade": {"method": "Wait", "deadline": "1h", "settle": "30s"},
    "drift": {"maxReverts": 3, "within": "24h"},
    "backup": {"keep": 5},
    "verify": {"proof": True, "deadline": "2m"},
    "onFailure": "Rollback",
    "deletionPolicy": "Retain",
    "paused": False,
}


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
