"""The switch is heard at once, and looked for again without storming the API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.controller import emergency_stop
from tests.unit.controller.kube_model import Made, silence
from tests.unit.planner.cluster_model import AGENTS


def space(made: Made, **annotations: str) -> Any:
    """The agents' namespace as it is from now on."""
    meta = {"name": AGENTS, "annotations": annotations}
    api = made.kube.cluster.api
    if api.find("Namespace", AGENTS) is None:
        return api.create("Namespace", {"metadata": meta})
    return api.patch("Namespace", AGENTS, {"metadata": meta})


async def heard(made: Made, seconds: float) -> list[str]:
    """Why everything was stopped, each time that this was told of within so many seconds."""
    told: list[str] = []
    following = emergency_stop.follow(
        made.kube, made.store, lambda: told.append(made.store.stopped)
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(following, seconds)
    return told


async def test_it_is_heard_by_a_list_and_by_a_watch(made: Made) -> None:
    space(made, **{names.STOP: "by a list"})
    meta = {"name": AGENTS, "uid": "2", "resourceVersion": "999", "annotations": {}}
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "1000"}}}
    event = {"type": "MODIFIED", "object": {"metadata": meta}}
    made.kube.told["namespaces"] += [bookmark, event, event]
    assert await heard(made, 0.2) == ["by a list", ""]


@pytest.mark.parametrize("ends", ["well", "badly", "at once"])
async def test_an_api_server_that_ends_each_watch_is_not_stormed(made: Made, ends: str) -> None:
    space(made)
    made.kube.patient = False
    if ends == "badly":
        made.kube.told["namespaces"] += [silence() for _ in range(100)]
    if ends == "at once":
        made.kube.refuse = lambda verb, plural, name: silence()
    await heard(made, 0.2)
    assert len(made.kube.asked) <= 2, "one list, one watch, then a pause"
