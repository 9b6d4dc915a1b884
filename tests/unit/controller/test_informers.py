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

from cni_upgrade.controller import informers
from cni_upgrade.controller.informers import Informers, kinds
from cni_upgrade.kube import client as clients
from cni_upgrade.kube.interface import KubeError, Object
from tests.unit.controller.kube_model import Made
from tests.unit.controller.passes import becomes
from tests.unit.controller.test_client import serving
from tests.unit.planner.cluster_model import AGENTS, PROOF


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informers, "PAUSES", (0.01,))


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
    it = Informers(made.kube, made.store, heard.changed, heard.relist, heard.ready)
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
        made.kube.told["nodes"].append(KubeError(status, "x", "too old"))
        heard.listed.set()
        await becomes(lambda: heard.missed == 1)
        watched = len(asked(made, "nodes"))
        await asyncio.sleep(0.05)
        assert len(asked(made, "nodes")) == watched, "not before the list"
        made.store.nodes.as_of = "77"
        heard.listed.set()
        await becomes(lambda: asked(made, "nodes")[-1] == "77")


def warning(version: int, text: str, kind: str = "ADDED") -> Object:
    event = {
        "metadata": {"resourceVersion": str(version)},
        "type": "Warning",
        "reason": "Failed",
        "message": text,
        "involvedObject": {"kind": "Pod", "uid": "pod"},
    }
    return {"type": kind, "object": event}


def believed(made: Made) -> dict[str, str]:
    return made.store.warnings.believed(lambda uid, name: "")


def listed(made: Made) -> list[str]:
    """What Events were listed for: all Warnings, or one name that none has."""
    return [name for verb, what, name in made.kube.asked if (verb, what) == ("list", "events")]


async def test_warnings_are_heard_anew_after_a_gap(made: Made) -> None:
    api = made.kube.cluster.api
    api.version = 4
    async with followed(made) as heard:
        says = made.kube.told["events"]
        says += [warning(5, "first"), warning(6, "expired", "DELETED")]
        heard.listed.set()
        await becomes(lambda: heard.news == 1)
        assert believed(made) == {"pod": "Failed: first"}
        api.version = 8
        for namespace in (AGENTS, PROOF):  # whichever of the two is told of the gap
            about = {"kind": "Pod", "uid": f"pod in {namespace}"}
            event = warning(0, "second")["object"]
            meta = {"name": "second", "namespace": namespace}
            api.create("Event", {**event, "metadata": meta, "involvedObject": about})
        await becomes(lambda: not says)
        says.append(KubeError(410, "Expired", "too old"))
        await becomes(lambda: heard.news == 2)
        assert believed(made)["pod"] == "Failed: first"
        # Two namespaces, and one of them again.
        assert listed(made) == ["Warning"] * 3
        await becomes(lambda: asked(made, "events")[2:] == ["10"])
        assert heard.missed == 0


async def test_a_watch_of_events_in_quiet_goes_on_where_events_have_come_to(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informers, "LISTEN", 0)
    made.kube.patient = False
    made.kube.cluster.api.version = 20
    async with followed(made) as heard:
        heard.listed.set()
        await becomes(lambda: "20" in asked(made, "events")[2:])
        made.kube.cluster.api.version = 30
        await becomes(lambda: asked(made, "events").count("30") >= 2)
        assert listed(made).count("Warning") == 2
    assert heard.news == heard.missed == 0


async def test_a_watch_of_events_that_ended_early_may_have_told_too_little(made: Made) -> None:
    """As an API server ends its watches when it is told to end."""
    made.kube.patient = False
    made.kube.cluster.api.version = 20
    async with followed(made) as heard:
        heard.listed.set()
        await becomes(lambda: asked(made, "events").count("20") >= 2)
        made.kube.cluster.api.version = 30
        looks = len(listed(made))
        await becomes(lambda: len(listed(made)) >= looks + 6)
        assert set(asked(made, "events")) == {"20"}


async def test_a_watch_of_events_that_broke_goes_on_after_the_last_one(made: Made) -> None:
    made.kube.cluster.api.version = 20
    async with followed(made) as heard:
        heard.listed.set()
        await becomes(lambda: len(asked(made, "events")) == 2)
        made.kube.cluster.api.version = 30
        made.kube.told["events"] += [warning(25, "first"), KubeError(0, "NoAnswer", "it was lost")]
        await becomes(lambda: len(asked(made, "events")) == 3)
        assert asked(made, "events")[2:] == ["25"]
        assert listed(made)[2:] == ["cni-upgrade-none"]


async def test_warnings_of_a_restored_etcd_are_heard(made: Made) -> None:
    """A watch that goes on from a version to come would tell nothing until then."""
    api = made.kube.cluster.api
    api.version = 20
    async with followed(made) as heard:
        heard.listed.set()
        await becomes(lambda: len(asked(made, "events")) == 2)
        says = made.kube.told["events"]
        says.append(warning(25, "what never happened"))
        await becomes(lambda: believed(made))
        api.version = 15
        says += [KubeError(0, "NoAnswer", "the connection was lost")] * 2
        await becomes(lambda: asked(made, "events")[2:] == ["15", "15"])
        says.append(warning(16, "what did"))
        await becomes(lambda: believed(made) == {"pod": "Failed: what did"})


async def test_a_quiet_watch_of_events_is_not_taken_for_dead(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They have no watch cache, and so no bookmarks. The API server's seconds last 10 ms here."""
    monkeypatch.setattr(clients, "_QUIET", clients._QUIET / 100)
    after: list[str] = []

    async def quiet(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            version = "9" if after else "7"
            return web.json_response({"metadata": {"resourceVersion": version}, "items": []})
        response = web.StreamResponse()
        await response.prepare(request)
        if request.path == f"/api/v1/namespaces/{AGENTS}/events":
            after.append(request.query["resourceVersion"])
            if len(after) == 1:
                await response.write(json.dumps(warning(8, "first")).encode() + b"\n")
        await asyncio.sleep(int(request.query["timeoutSeconds"]) / 100)
        return response

    async def ready() -> None:
        """All was listed."""

    async with serving(quiet, tmp_path) as client:
        follower = Informers(client, made.store, lambda: None, lambda: None, ready)
        task = asyncio.create_task(follower.run())
        await becomes(lambda: len(after) == 2)
        task.cancel()
        await asyncio.wait([task])
    assert after == ["7", "8"]
    assert "the watch of events ended" not in caplog.text


async def test_a_warning_that_the_api_server_has_forgotten_is_no_trouble(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody could listen for longer than etcd remembers."""
    lost, too_old = KubeError(0, "NoAnswer", "it was lost"), KubeError(410, "Expired", "too old")
    made.kube.cluster.api.version = 7
    async with followed(made) as heard:
        heard.listed.set()
        await becomes(lambda: len(asked(made, "events")) == 2)
        made.kube.told["events"] += [lost, lost]
        await becomes(lambda: len(asked(made, "events")) == 4)
        caplog.clear()
        made.kube.told["events"].append(too_old)
        await becomes(lambda: len(asked(made, "events")) == 5)
        assert listed(made).count("Warning") == 3
        assert caplog.text == ""
        # Of what was listed a moment ago it is trouble.
        made.kube.told["events"] += [too_old, too_old]
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
