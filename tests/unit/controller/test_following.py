"""Following: what happens after a list, word for word, and what is done where words were missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cni_upgrade.controller import following
from cni_upgrade.controller.following import Follower, kinds
from cni_upgrade.kube import client as clients
from cni_upgrade.kube.port import KubeError, Object
from tests.unit.controller.kube_model import Made
from tests.unit.controller.passes import becomes
from tests.unit.controller.test_client import serving
from tests.unit.fleet.cluster_model import AGENTS, PROOF


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSES", (0.01,))


class Heard:
    """What a follower said to the loop."""

    def __init__(self) -> None:
        self.news = 0
        self.missed = 0
        self.listed = asyncio.Event()

    def changed(self) -> None:
        self.news += 1

    def relist(self) -> None:
        self.missed += 1
        self.listed.clear()

    async def ready(self) -> None:
        await self.listed.wait()


@asynccontextmanager
async def followed(made: Made) -> AsyncIterator[Heard]:
    heard = Heard()
    it = Follower(made.kube, made.store, heard.changed, heard.relist, heard.ready)
    task = asyncio.create_task(it.run())
    try:
        yield heard
    finally:
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])


def node(version: int, kind: str = "MODIFIED", **status: Any) -> Object:
    meta = {"name": "node-a", "uid": "1", "resourceVersion": str(version)}
    return {"type": kind, "object": {"metadata": meta, "status": status}}


def asked(made: Made, plural: str) -> list[str]:
    """The versions after which a kind was watched."""
    return [name for verb, what, name in made.kube.asked if (verb, what) == ("watch", plural)]


async def test_nothing_is_followed_before_it_was_listed(made: Made) -> None:
    async with followed(made) as heard:
        await asyncio.sleep(0.05)
        assert made.kube.asked == []
        made.kube.cluster.tick()
        await made.loop.resync()
        heard.listed.set()
        await becomes(lambda: asked(made, "nodes"))
        assert asked(made, "nodes") == [made.store.nodes.as_of]


async def test_what_is_kept_makes_news_and_a_heartbeat_does_not(made: Made) -> None:
    async with followed(made) as heard:
        heard.listed.set()
        says = made.kube.told["nodes"]
        says.append(node(5, "ADDED"))
        await becomes(lambda: heard.news == 1)
        says.append(node(6, conditions=[{"type": "Ready", "status": "True"}]))
        await becomes(lambda: heard.news == 2)
        beat = {"type": "Ready", "status": "True", "lastHeartbeatTime": "now"}
        says.append(node(7, conditions=[beat]))
        await becomes(lambda: made.store.nodes.as_of == "7")
        assert heard.news == 2
        assert made.store.nodes.items["node-a"].resource_version == "7", "it guards our cordon"
        says.append(node(8, "DELETED"))
        await becomes(lambda: heard.news == 3)
        assert made.store.nodes.items == {}


async def test_a_watch_that_ended_goes_on_where_it_was(made: Made) -> None:
    made.kube.patient = False
    async with followed(made) as heard:
        says = made.kube.told["nodes"]
        says += [node(5, "ADDED"), node(9, "BOOKMARK")]
        heard.listed.set()
        await becomes(lambda: asked(made, "nodes")[-1:] == ["9"])
        says.append(KubeError(0, "NoAnswer", "the connection was lost"))
        await becomes(lambda: not says)
        await asyncio.sleep(0.05)
        assert asked(made, "nodes")[-1] == "9"
        assert heard.missed == 0, "nothing was missed: what happens after 9 is still told"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_api_server_is_not_made_busier(made: Made, status: int) -> None:
    """It was to list the whole cluster to us for each watch that it had no room for."""
    async with followed(made) as heard:
        made.kube.told["nodes"] += [node(9, "BOOKMARK"), KubeError(status, "x", "too many")]
        heard.listed.set()
        await becomes(lambda: asked(made, "nodes")[1:] == ["9"])
        assert heard.missed == 0, "nothing was missed: what happens after 9 is still told"


@pytest.mark.parametrize("status", [410, 403, 404])
async def test_where_something_may_have_been_missed_all_is_listed_again(
    made: Made, status: int
) -> None:
    async with followed(made) as heard:
        made.kube.told["cninodestates"].append(KubeError(status, "x", "too old"))
        heard.listed.set()
        await becomes(lambda: heard.missed == 1)
        watched = len(asked(made, "cninodestates"))
        await asyncio.sleep(0.05)
        assert len(asked(made, "cninodestates")) == watched, "not before the list"
        made.store.states.as_of = "77"
        heard.listed.set()
        await becomes(lambda: asked(made, "cninodestates")[-1] == "77")


def warning(version: int, text: str, kind: str = "ADDED") -> Object:
    event = {
        "metadata": {"resourceVersion": str(version)},
        "type": "Warning",
        "reason": "Failed",
        "message": text,
        "involvedObject": {"kind": "Pod", "uid": "pod"},
    }
    return {"type": kind, "object": event}


async def test_warnings_are_heard_anew_after_a_gap(made: Made) -> None:
    async with followed(made) as heard:
        says = made.kube.told["events"]
        says += [warning(5, "first"), warning(6, "expired", "DELETED")]
        heard.listed.set()
        await becomes(lambda: heard.news == 1)
        assert made.store.warnings == {"pod": (5, "Failed: first")}
        says.append(KubeError(410, "Expired", "too old"))
        says += [warning(5, "first"), warning(8, "second")]
        await becomes(lambda: heard.news == 2)
        # Two namespaces, and one of them again.
        await becomes(lambda: asked(made, "events").count("") == 3)
        assert heard.missed == 0


async def test_a_quiet_watch_of_events_is_not_taken_for_dead(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They have no watch cache, and so no bookmarks. The API server's seconds last 10 ms here."""
    monkeypatch.setattr(clients, "_QUIET", clients._QUIET / 100)
    after: list[str] = []

    async def quiet(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if request.path == f"/api/v1/namespaces/{AGENTS}/events":
            after.append(request.query.get("resourceVersion", ""))
            if len(after) == 1:
                await response.write(json.dumps(warning(5, "first")).encode() + b"\n")
        await asyncio.sleep(int(request.query["timeoutSeconds"]) / 100)
        return response

    async def ready() -> None:
        """All was listed."""

    async with serving(quiet, tmp_path) as client:
        follower = Follower(client, made.store, lambda: None, lambda: None, ready)
        task = asyncio.create_task(follower.run())
        await becomes(lambda: len(after) == 2)
        task.cancel()
        await asyncio.wait([task])
    assert after == ["", "5"]
    assert "the watch of events ended" not in caplog.text


async def test_a_warning_that_the_api_server_has_forgotten_is_no_trouble(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """etcd forgets after five minutes, and nothing tells of a later version in quiet."""
    too_old = KubeError(410, "Expired", "too old")
    async with followed(made) as heard:
        made.kube.told["events"] += [warning(5, "first"), too_old]
        heard.listed.set()
        await becomes(lambda: asked(made, "events").count("") == 3)
        assert "the watch of events ended" not in caplog.text
        # Who names no version cannot be told that it is too old.
        made.kube.told["events"].append(too_old)
        await becomes(lambda: "the watch of events ended: too old" in caplog.text)


def test_each_kind_is_asked_for_where_it_counts(made: Made) -> None:
    """Who may create pods for proofs must not be able to answer for an agent."""
    component = "labelSelector=cniupgrade.dev/component="
    asked = [
        (kind.resource.plural, kind.namespace, "&".join(f"{k}={v}" for k, v in kind.query.items()))
        for kind in kinds(made.store)
    ]
    assert asked == [
        ("nodes", None, ""),
        ("cninodestates", None, ""),
        ("jobs", AGENTS, f"{component}agent"),
        ("pods", AGENTS, f"{component}agent"),
        ("pods", PROOF, f"{component}proof"),
    ]
    shelves = [kind.shelf for kind in kinds(made.store)]
    assert shelves[3] is made.store.agents
    assert shelves[4] is made.store.proofs
