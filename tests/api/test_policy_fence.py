"""The fence around policies: the controller puts its finalizer on and off, and changes no more."""

import json
from collections.abc import Iterator

import pytest

from cni_upgrade.api import names
from tests.api.objects import policy
from tests.api.server import MERGE_PATCH, Server
from tests.api.shipped import Controller, Object
from tests.api.waiting import eventually

POLICY = f"/apis/{names.API_VERSION}/{names.POLICY_PLURAL}/fenced"


@pytest.fixture
def fenced(shipped: Server, controller: Controller) -> Iterator[Server]:
    body = policy("fenced")
    body["metadata"] |= {"labels": {"kept": "1"}, "finalizers": ["x.example/hold"]}
    assert shipped.request("POST", POLICY.rpartition("/")[0], body).ok
    eventually(
        lambda: controller.patch(POLICY, {"spec": {"mode": "Enforce"}}),
        "admission of policies is in force",
    )
    yield shipped
    shipped.request("PATCH", POLICY, {"metadata": {"finalizers": None}}, content=MERGE_PATCH)
    shipped.request("DELETE", POLICY)


def test_the_controller_adds_and_takes_away_its_own_finalizer(
    fenced: Server, controller: Controller
) -> None:
    for kept in (["x.example/hold", names.FINALIZER], ["x.example/hold"]):
        assert controller.patch(POLICY, {"metadata": {"finalizers": kept}}) == ""
        assert fenced.request("GET", POLICY).body["metadata"]["finalizers"] == kept


def test_a_policy_that_is_deleted_goes_with_the_last_finalizer(
    fenced: Server, controller: Controller
) -> None:
    alone = {"metadata": {"finalizers": [names.FINALIZER]}}
    assert fenced.request("PATCH", POLICY, alone, content=MERGE_PATCH).ok
    assert fenced.request("DELETE", POLICY).ok
    assert fenced.request("GET", POLICY).body["metadata"]["deletionTimestamp"]
    assert controller.patch(POLICY, {"metadata": {"finalizers": []}}) == ""
    assert fenced.request("GET", POLICY).status == 404


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"spec": {"mode": "Enforce"}}, "for people to say"),
        ({"spec": {"deletionPolicy": "Restore"}}, "for people to say"),
        ({"metadata": {"annotations": {names.LET_GO: ""}}}, "labels, annotations"),
        ({"metadata": {"labels": {"kept": None}}}, "labels, annotations"),
        ({"metadata": {"finalizers": []}}, "restore alone"),
        ({"metadata": {"finalizers": ["x.example/hold", "y.example/hold"]}}, "restore alone"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_the_controller_changes_nothing_else_of_a_policy(
    fenced: Server, controller: Controller, patch: Object, why: str
) -> None:
    assert fenced
    assert why in controller.patch(POLICY, patch)
