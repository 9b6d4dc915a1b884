"""The fence around nodes: the controller cordons and marks them, and changes nothing else."""

import json

import pytest

from tests.api.server import MERGE_PATCH, Server
from tests.api.shipped import NODE, Controller, Object


def test_the_controller_cordons_and_gives_back(shipped: Server, controller: Controller) -> None:
    assert shipped
    mark = "cniupgrade.dev/cordoned-by"
    cordon = {"metadata": {"annotations": {mark: "policy"}}, "spec": {"unschedulable": True}}
    assert controller.patch_node(cordon) == ""
    assert shipped.request("GET", NODE).body["spec"]["unschedulable"] is True
    uncordon = {"metadata": {"annotations": {mark: None}}, "spec": {"unschedulable": None}}
    assert controller.patch_node(uncordon) == ""
    assert "unschedulable" not in shipped.request("GET", NODE).body["spec"]


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"metadata": {"annotations": {"x.example/a": "1"}}}, "cniupgrade.dev alone"),
        ({"metadata": {"annotations": {"kept.example/a": "2"}}}, "cniupgrade.dev alone"),
        ({"metadata": {"annotations": {"kept.example/a": None}}}, "cniupgrade.dev alone"),
        ({"metadata": {"labels": {"role": "x"}}}, "labels"),
        ({"metadata": {"labels": {"kept": None}}}, "labels"),
        ({"metadata": {"finalizers": ["x.example/hold"]}}, "finalizers"),
        ({"spec": {"taints": [{"key": "x", "effect": "NoExecute"}]}}, "unschedulable alone"),
        ({"spec": {"providerID": "x://y"}}, "unschedulable alone"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_the_controller_changes_nothing_else_of_a_node(
    shipped: Server, controller: Controller, patch: Object, why: str
) -> None:
    kept = {"metadata": {"annotations": {"kept.example/a": "1"}, "labels": {"kept": "1"}}}
    assert shipped.request("PATCH", NODE, kept, content=MERGE_PATCH).ok
    assert why in controller.patch_node(patch)
