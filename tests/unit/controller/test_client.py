"""The client against a server of our own that answers as a sick API server, or a proxy, does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cni_upgrade.kube import client as clients
from cni_upgrade.kube import retry_after
from cni_upgrade.kube.client import Client, NoCredentialsError, connect
from cni_upgrade.kube.interface import KubeError, Listed, tried
from cni_upgrade.kube.resources import EVENTS, JOBS, LEASES, NODES
from cni_upgrade.kube.rights import LEASE, Right, missing
from tests.unit.controller.kube_model import client_of

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer, folder: Path) -> AsyncIterator[Client]:
    """A client of a server that answers everything so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    client = await client_of(folder / "kubeconfig", f"http://127.0.0.1:{port}")
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def says(status: int, text: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type="application/json")

    return answer


STATUS = '{"kind":"Status","reason":"%s","message":"said it"}'


@pytest.mark.parametrize(
    ("status", "text", "reason", "message"),
    [
        (409, STATUS % "Conflict", "Conflict", "said it"),
        (410, STATUS % "Expired", "Expired", "said it"),
        (429, STATUS % "TooManyRequests", "TooManyRequests", "said it"),
        (500, STATUS % "InternalError", "InternalError", "said it"),
        (502, "<html>bad gateway</html>", "HTTPError", "GET /api/v1/nodes: HTTP 502: <html>"),
        (503, "null", "HTTPError", "GET /api/v1/nodes: HTTP 503: null"),
        (504, "{}", "HTTP504", "GET /api/v1/nodes: HTTP504"),
        (502, '{"details":"upstream","message":5}', "HTTP502", "5"),
        (502, '{"details":{"causes":"none"}}', "HTTP502", "GET /api/v1/nodes: HTTP502"),
        (200, "null", "NoAnswer", "GET /api/v1/nodes: HTTP 200 with an answer"),
        (200, "<html>log in</html>", "NoAnswer", "GET /api/v1/nodes: HTTP 200 with an answer"),
        (200, '{"error":"maintenance"}', "NoAnswer", "GET /api/v1/nodes: HTTP 200 with an answer"),
        (200, '{"metadata":{}}', "NoAnswer", "GET /api/v1/nodes: HTTP 200 with an answer"),
        (200, '{"metadata":{},"items":{}}', "NoAnswer", "GET /api/v1/nodes: HTTP 200 with an"),
        (200, '{"metadata":1,"items":[]}', "NoAnswer", "GET /api/v1/nodes: HTTP 200 with an"),
    ],
)
async def test_every_refusal_is_one_error_that_says_what(
    tmp_path: Path, status: int, text: str, reason: str, message: str
) -> None:
    async with serving(says(status, text), tmp_path) as client:
        with pytest.raises(KubeError) as refused:
            await client.list(NODES)
        error = refused.value
        assert error.status == (0 if status == 200 else status)
        assert error.reason == reason
        assert error.message.startswith(message)
        assert error.unreachable == (status not in (409, 410, 429))
        assert client.requests == {("GET", "nodes", status): 1}
        assert not client.doubted.is_set()


async def test_a_list_that_go_has_left_empty_is_one(tmp_path: Path) -> None:
    async with serving(
        says(200, '{"metadata":{"resourceVersion":"7"},"items":null}'), tmp_path
    ) as c:
        assert await c.list(NODES) == Listed([], "7")


async def test_what_thousands_of_objects_say_alike_is_kept_once(tmp_path: Path) -> None:
    alike = '"labels":{"zone":"eu-1"}},"status":{"phase":"Running"}}'
    nodes = ",".join(f'{{"metadata":{{"name":"node-{n}",{alike}' for n in (1, 2))
    async with serving(says(200, f'{{"metadata":{{}},"items":[{nodes}]}}'), tmp_path) as client:
        one, other = (await client.list(NODES)).items
    assert (one["metadata"]["name"], other["metadata"]["name"]) == ("node-1", "node-2")
    assert one["status"]["phase"] is other["status"]["phase"]
    assert one["metadata"]["labels"]["zone"] is other["metadata"]["labels"]["zone"]


async def test_what_is_forbidden_puts_the_rights_in_doubt(tmp_path: Path) -> None:
    async with serving(says(403, STATUS % "Forbidden"), tmp_path) as client:
        with pytest.raises(KubeError, match="said it"):
            await client.patch(NODES, None, "node-a", {})
        assert client.doubted.is_set()


async def test_a_server_that_is_silent_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_TIMEOUT", 0.2)

    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b'{"items"')
        await asyncio.sleep(60)
        return response

    async def torn(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    for answer in (never, half, torn):
        async with serving(answer, tmp_path) as client:
            with pytest.raises(KubeError, match="GET /api/v1/nodes: no answer") as refused:
                await client.list(NODES)
            assert refused.value.status == 0
            assert client.requests == {("GET", "nodes", 0): 1}


async def test_nobody_listens(client: Client) -> None:
    with pytest.raises(KubeError, match="no answer from the API server"):
        await client.list(NODES)


async def test_pages_are_put_together_and_a_page_that_expired_ends_the_list(
    tmp_path: Path,
) -> None:
    pages = {
        "": '{"metadata":{"resourceVersion":"7","continue":"second"},"items":[{"n":1}]}',
        "second": '{"metadata":{"resourceVersion":"7"},"items":[{"n":2}]}',
    }

    async def paged(request: web.Request) -> web.StreamResponse:
        assert request.query["limit"] == "250"
        assert request.query["labelSelector"] == "a=b"
        text = pages.get(request.query.get("continue", ""))
        return web.Response(status=200 if text else 410, text=text or STATUS % "Expired")

    async with serving(paged, tmp_path) as client:
        listed = await client.list(JOBS, "agents", labelSelector="a=b")
        assert (list(listed.items), listed.resource_version) == ([{"n": 1}, {"n": 2}], "7")
        del pages["second"]
        with pytest.raises(KubeError, match="said it"):
            await client.list(JOBS, "agents", labelSelector="a=b")


async def test_a_patch_is_a_merge_patch_and_a_deletion_names_the_uid(tmp_path: Path) -> None:
    heard: list[tuple[str, str, str, str | None, dict[str, object]]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        kind = request.headers["Content-Type"]
        token = request.headers.get("Authorization")
        heard.append((request.method, request.path, kind, token, await request.json()))
        return web.json_response({"kind": "Status"})

    async with serving(note, tmp_path) as client:
        await client.patch(NODES, None, "n", {"spec": {"unschedulable": None}}, "status")
        answer = await client.delete(JOBS, "agents", "j", "uid-1", "Background")
        await client.evict("default", "web", "uid-2")
    assert answer == {"kind": "Status"}
    patched, deleted, evicted = heard
    assert patched[:2] == ("PATCH", "/api/v1/nodes/n/status")
    assert patched[2:4] == ("application/merge-patch+json", "Bearer secret")
    assert patched[4] == {"spec": {"unschedulable": None}}, "null takes a member away"
    assert deleted[:2] == ("DELETE", "/apis/batch/v1/namespaces/agents/jobs/j")
    precise = {"preconditions": {"uid": "uid-1"}, "propagationPolicy": "Background"}
    assert deleted[4] == precise
    assert evicted[:2] == ("POST", "/api/v1/namespaces/default/pods/web/eviction")
    assert evicted[4]["deleteOptions"] == {"preconditions": {"uid": "uid-2"}}


async def test_rights_are_asked_for_one_by_one(tmp_path: Path) -> None:
    async def review(request: web.Request) -> web.StreamResponse:
        asked = (await request.json())["spec"]["resourceAttributes"]
        allowed = (asked["verb"], asked["resource"]) != ("patch", "nodes")
        return web.json_response({"status": {"allowed": allowed}}, status=201)

    async with serving(review, tmp_path) as client:
        lacking = await missing(client, "system", "agents", "proof")
        assert lacking == (Right("patch", NODES),)
        assert [str(right) for right in lacking] == ["patch nodes"]


@pytest.mark.parametrize("text", ["", "clusters: [", "clusters: []", "clusters: 3", "[]"])
async def test_a_kubeconfig_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(NoCredentialsError, match="no way to reach the API server: ") as refused:
        await connect("test", str(tmp_path / "kubeconfig"))
    assert "\n" not in str(refused.value)


async def test_outside_of_a_pod_without_a_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(NoCredentialsError, match="no way to reach the API server: "):
        await connect("test")


@pytest.mark.parametrize(("ahead", "skew"), [(0, 0), (1, 0), (600, 600), (-3600, -3600)])
async def test_the_api_server_s_clock_counts(tmp_path: Path, ahead: int, skew: int) -> None:
    async def dated(_: web.Request) -> web.StreamResponse:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
        return web.Response(text='{"metadata":{},"items":[]}', headers={"Date": date})

    async with serving(dated, tmp_path) as client:
        await client.list(NODES)
        assert client.skew == pytest.approx(skew, abs=2)
        off = (client.now() - datetime.now(UTC)).total_seconds()
        assert off == pytest.approx(skew, abs=2)


async def test_a_proxy_without_a_clock_is_none(tmp_path: Path) -> None:
    async def undated(_: web.Request) -> web.StreamResponse:
        return web.Response(text='{"metadata":{},"items":[]}', headers={"Date": "yesterday"})

    async with serving(undated, tmp_path) as client:
        await client.list(NODES)
        assert client.skew == 0


async def test_retry_after_is_waited_for_and_given_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_after, "LONGEST", 0.01)
    asked = 0
    good_after = 3

    async def busy(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked > good_after:
            return web.Response(text='{"metadata":{},"items":[]}')
        return web.Response(status=429, text="{}", headers={"Retry-After": "1"})

    async with serving(busy, tmp_path) as client:
        await client.list(NODES)
        assert asked == 4
        asked, good_after = 0, 99
        with pytest.raises(KubeError) as refused:
            await client.list(NODES)
        assert (refused.value.status, refused.value.retry_after, asked) == (429, 1, 6)


async def test_each_try_is_told_to_who_asked_and_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_after, "LONGEST", 0.01)
    answers = [429, 200, 503, 403, 0]

    async def next_one(request: web.Request) -> web.StreamResponse:
        if not (status := answers.pop(0) if answers else 0):  # aiohttp asks twice
            assert request.transport is not None
            request.transport.abort()
        later = {"Retry-After": "1"} if status in (429, 503) else {}
        page = {"metadata": {"continue": "more" if len(answers) > 2 else ""}, "items": []}
        return web.json_response(page, status=status or 200, headers=later)

    told = list[int]()

    async def loop() -> None:
        tried.set(lambda: told.append(len(answers)))
        for error in ("HTTP403", "NoAnswer"):
            with pytest.raises(KubeError) as refused:
                await asyncio.create_task(client.list(NODES))
            assert refused.value.reason == error

    async with serving(next_one, tmp_path) as client:
        await asyncio.create_task(loop())
        assert told == [4, 3, 2, 1, 0]
        answers = [200]
        await client.list(NODES)
        assert told == [4, 3, 2, 1, 0]


async def test_a_write_is_sent_once_for_who_planned_it_knows_whether_it_is_still_meant(
    tmp_path: Path,
) -> None:
    asked = 0

    async def busy(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=503, text="{}", headers={"Retry-After": "0"})

    async with serving(busy, tmp_path) as client:
        writes: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: client.create(JOBS, "agents", {"metadata": {"name": "apply-1"}}),
            lambda: client.patch(NODES, None, "node-a", {}),
            lambda: client.delete(JOBS, "agents", "apply-1", "uid", "Background"),
            # A disruption budget that says no is asked again by the planner.
            lambda: client.evict("default", "web", "uid"),
        )
        for number, write in enumerate(writes, 1):
            with pytest.raises(KubeError) as refused:
                await write()
            assert (refused.value.status, refused.value.retry_after, asked) == (503, 0, number)
        # The Lease that says who leads goes by no plan.
        with pytest.raises(KubeError):
            await client.patch(LEASES, "space", LEASE, {})
        assert asked == len(writes) + 6


async def test_a_write_begins_only_while_the_lease_lasts(tmp_path: Path) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with serving(never, tmp_path) as client:
        client.fence = lambda: 0.0
        with pytest.raises(KubeError, match="this replica does not lead") as refused:
            await client.patch(NODES, None, "node-a", {})
        assert refused.value.unreachable
        assert client.requests == {}, "nothing was sent"
        client.fence = lambda: 0.2
        async with asyncio.timeout(5):
            with pytest.raises(KubeError, match="no answer"):
                await client.patch(NODES, None, "node-a", {})


async def test_only_the_lease_that_says_who_leads_is_written_by_every_replica(
    tmp_path: Path,
) -> None:
    async def written(_: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {}})

    def named(name: str) -> dict[str, Any]:
        return {"metadata": {"name": name}}

    async with serving(written, tmp_path) as client:
        client.fence = lambda: 0.0
        await client.create(LEASES, "space", named(LEASE))
        await client.patch(LEASES, "space", LEASE, {})
        assert client.requests == {("POST", "leases", 200): 1, ("PATCH", "leases", 200): 1}
        # The one on a node: the next leader may have begun there.
        for write in (
            client.create(LEASES, "space", named("node-node-a")),
            client.patch(LEASES, "space", "node-node-a", {}),
            client.delete(LEASES, "space", "node-node-a", "uid", "Background"),
        ):
            with pytest.raises(KubeError, match="this replica does not lead"):
                await write


async def test_an_event_is_sent_by_who_leads_no_more(tmp_path: Path) -> None:
    """It tells of a write that was done while that replica led, and nobody else knows of it."""
    async with serving(says(201, "{}"), tmp_path) as client:
        client.fence = lambda: 0.0
        await client.create(EVENTS, "default", {"metadata": {"name": "node-a.1"}})
        assert client.requests == {("POST", "events", 201): 1}


def event(version: int) -> str:
    return f'{{"type":"ADDED","object":{{"metadata":{{"resourceVersion":"{version}"}}}}}}\n'


async def test_a_watch_is_read_line_by_line_however_it_is_cut(tmp_path: Path) -> None:
    long = '{"type":"ADDED","object":{"metadata":{"name":"%s"}}}\n' % ("x" * 300_000)

    async def told(request: web.Request) -> web.StreamResponse:
        assert request.query["watch"] == "1"
        assert request.query["resourceVersion"] == "7"
        assert request.query["labelSelector"] == "a=b"
        response = web.StreamResponse()
        await response.prepare(request)
        text = (event(8) + long + event(9)).encode()
        for first in range(0, len(text), 70_001):
            await response.write(text[first : first + 70_001])
        return response

    async with serving(told, tmp_path) as client:
        watched = client.watch(JOBS, "agents", "7", 9, labelSelector="a=b")
        events = [each async for each in watched]
        assert len(events) == 3
        assert events[2]["object"]["metadata"]["resourceVersion"] == "9"
        assert client.requests == {("WATCH", "jobs", 200): 1}


EXPIRED = '{"kind":"Status","code":410,"reason":"Expired","message":"too old"}'


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (200, event(8) + f'{{"type":"ERROR","object":{EXPIRED}}}\n', 410),
        (410, EXPIRED, 410),
        (403, STATUS % "Forbidden", 403),
        (200, event(8) + '{"type":"AD', 0),
        (200, "<html>log in</html>\n", 0),
        (200, event(8) + "null\n", 0),
        (200, event(8) + '{"kind":"Status"}\n', 0),
    ],
)
async def test_a_watch_that_goes_wrong_is_one_error(
    tmp_path: Path, status: int, text: str, code: int
) -> None:
    async with serving(says(status, text), tmp_path) as client:
        with pytest.raises(KubeError) as refused:
            async for _ in client.watch(NODES, None, "7", 60):
                pass
        assert refused.value.status == code
        assert client.doubted.is_set() == (code == 403)
        assert client.requests == {("WATCH", "nodes", status): 1}, "it was answered, and asked once"


async def test_a_watch_without_an_answer_is_counted_as_a_watch(tmp_path: Path) -> None:
    async def torn(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(torn, tmp_path) as client:
        with pytest.raises(KubeError, match="WATCH /api/v1/nodes: no answer"):
            async for _ in client.watch(NODES, None, "7", 60):
                pass
        assert client.requests == {("WATCH", "nodes", 0): 1}


async def test_a_watch_that_is_silent_without_a_bookmark_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_QUIET", 0.2)

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(event(8).encode())
        await asyncio.sleep(60)
        return response

    async with serving(silent, tmp_path) as client:
        events = client.watch(NODES, None, "7", 60)
        assert await anext(events)
        with pytest.raises(KubeError, match="no answer") as lost:
            await anext(events)
        assert lost.value.status == 0


async def test_a_refused_eviction_says_which_budget_keeps_the_pod(tmp_path: Path) -> None:
    """As `pkg/registry/core/pod/storage/eviction.go` of v1.34.4 answers; it is not sent again."""
    asked: list[str] = []
    cause = {
        "reason": "DisruptionBudget",
        "message": "The disruption budget web is still being processed by the server.",
    }
    body = {
        "kind": "Status",
        "status": "Failure",
        "reason": "TooManyRequests",
        "message": "Cannot evict pod as it would violate the pod's disruption budget.",
        "details": {"causes": [cause], "retryAfterSeconds": 10},
        "code": 429,
    }

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response(body, status=429, headers={"Retry-After": "10"})

    async with serving(answer, tmp_path) as client:
        with pytest.raises(KubeError) as refused:
            await client.evict("default", "web", "web-uid")
    assert asked == ["/api/v1/namespaces/default/pods/web/eviction"]
    assert refused.value.causes == (cause,)
    assert refused.value.retry_after == 10


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb", "../../secrets", "x" * 254])
async def test_what_cannot_be_a_name_is_not_asked_for(tmp_path: Path, name: str) -> None:
    async with serving(says(200, "{}"), tmp_path) as client:
        for asked in (
            client.get(NODES, None, name),
            client.get(JOBS, name, "x"),
            client.patch(NODES, None, name, {}),
            client.delete(NODES, None, name, "uid", "Background"),
            client.evict("default", name, "uid"),
            client.list(JOBS, name),
        ):
            with pytest.raises(KubeError, match="cannot be a name") as refused:
                await asked
            assert refused.value.status == 422
        assert client.requests == {}


@pytest.mark.parametrize("name", ["?watch=true", "a b", "a#b", "a\\b", "a;b", "ä", "a.b-c:d"])
async def test_a_name_is_one_segment_of_the_path_whatever_stands_in_it(
    tmp_path: Path, name: str
) -> None:
    seen = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.query_string))
        return web.json_response({})

    async with serving(answer, tmp_path) as client:
        await client.get(NODES, None, name)
        await client.evict("default", name, "uid")
    assert seen == [
        (f"/api/v1/nodes/{name}", ""),
        (f"/api/v1/namespaces/default/pods/{name}/eviction", ""),
    ]
