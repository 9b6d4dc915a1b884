"""Which pods hang, and which only look like it."""

from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.planner.node.stuck_pods import hanging, wants_pods
from cni_upgrade.planner.world.operator_config import Namespaces
from tests.unit.planner.api_model import stamp
from tests.unit.planner.samples import NOW, operation, pod, state

LONG_AGO, JUST_NOW = stamp(NOW - timedelta(seconds=30)), stamp(NOW - timedelta(seconds=29))


def leaving(since: str = LONG_AGO, **more: Any) -> dict[str, Any]:
    return {"metadata": {"deletionTimestamp": since}, **more}


def coming(since: str = LONG_AGO, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": since},
        "status": {"phase": "Pending", **status},
    }


@pytest.mark.parametrize(
    "patch",
    [leaving(), leaving(status={"phase": "Succeeded"}), coming()],
    ids=["leaving", "leaving though it ran to its end", "coming"],
)
def test_it_hangs(patch: dict[str, Any]) -> None:
    assert hanging([pod("web", **patch)], Namespaces(), NOW) == ("default/web",)


@pytest.mark.parametrize(
    "patch",
    [
        {},
        leaving(JUST_NOW),
        leaving(spec={"hostNetwork": True}),
        coming(JUST_NOW),
        coming(podIP="10.0.0.1"),
        coming(phase="Failed"),
        {**coming(), "spec": {"hostNetwork": True}},
    ],
    ids=[
        "it runs",
        "leaving since a moment",
        "leaving, the host's network",
        "coming since a moment",
        "it pulls its image",
        "the kubelet refused it",
        "coming, the host's network",
    ],
)
def test_it_does_not(patch: dict[str, Any]) -> None:
    assert hanging([pod("web", **patch)], Namespaces(), NOW) == ()


@pytest.mark.parametrize("needed", [True, False])
def test_an_agent_that_writes_needs_the_pods_only_where_they_had_to_go(needed: bool) -> None:
    record = state(operation=operation(), after={"needsDrain": needed})
    assert wants_pods(record) is needed


@pytest.mark.parametrize("space", ["cni-upgrade-agents", "cni-upgrade-proof", "cni-upgrade-system"])
def test_pods_of_ours_do_not_count(space: str) -> None:
    assert hanging([pod("web", space, **leaving())], Namespaces(), NOW) == ()
