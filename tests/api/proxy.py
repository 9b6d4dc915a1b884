"""A proxy between the controller and a real API server, which does to requests what networks do."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

_PASSED_ON = ("Authorization", "Content-Type", "Accept", "User-Agent")
_GIVEN_BACK = ("Content-Type", "Retry-After")


@dataclass(frozen=True)
class Asked:
    """One request."""

    number: int
    """From 1, over the proxy's life."""
    method: str
    path: str
    query: str

    @property
    def watch(self) -> bool:
        return parse_qs(self.query).get("watch") in (["1"], ["true"])

    @property
    def write(self) -> bool:
        """Changes something of the fleet: no question, and not the lease."""
        quiet = "accessreviews" in self.path or "/leases" in self.path
        return self.method != "GET" and not quiet


@dataclass(frozen=True)
class Deed:
    """What is done to a request; by default it is passed on, and so is its answer."""

    answer: tuple[int, dict[str, str]] | None = None
    """Said instead of the API server, which hears nothing."""
    drop: bool = False
    """The connection is cut before the API server hears of it."""
    lose: bool = False
    """The connection is cut when the API server has done it, in the middle of its answer."""
    before: Callable[[], object] | None = None
    """Called before it is passed on; in a thread of its own."""
    after: Callable[[], object] | None = None
    """Called when the API server has done it, before its answer is given back."""
    expired: bool = False
    """Of a watch: the API server is asked for all since its first version: too old (410)."""
    mute: Callable[[], bool] | None = None
    """Of a watch: while true, nothing of it is passed on any more, and nothing is said."""


Fault = Callable[[Asked], Deed | None]


class Proxy:
    """Serves on a port of this machine in a thread of its own, until the end of the block."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._server, self._tls = cluster["server"], ssl.create_default_context(cadata=authority)
        self.fault: Fault = lambda asked: None
        self.asked: list[Asked] = []
        self.expired: set[str] = set()
        """Paths of which the API server has said that it does not know that far back."""
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            app = web.Application(client_max_size=2**26)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._end.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        number = len(self.asked) + 1
        asked = Asked(number, request.method, request.path, request.query_string)
        self.asked.append(asked)
        deed = self.fault(asked) or Deed()
        body = await request.read()
        if deed.answer is not None:
            status, headers = deed.answer
            said = {"kind": "Status", "status": "Failure", "reason": f"Fault{status}"}
            return web.json_response(
                {**said, "message": "as planned"}, status=status, headers=headers
            )
        if deed.before is not None:
            await asyncio.to_thread(deed.before)
        if deed.drop:
            return self._cut(request)
        try:
            return await self._pass(request, asked, deed, body)
        except aiohttp.ClientError:
            return self._cut(request)

    @staticmethod
    def _cut(request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _pass(
        self, request: web.Request, asked: Asked, deed: Deed, body: bytes
    ) -> web.StreamResponse:
        headers = {k: request.headers[k] for k in _PASSED_ON if k in request.headers}
        url = URL(f"{self._server}{request.path_qs}")
        if deed.expired:
            url = url.update_query(resourceVersion="1")
        async with self._session.request(
            request.method, url, data=body or None, headers=headers
        ) as told:
            answer = web.StreamResponse(
                status=told.status,
                headers={k: told.headers[k] for k in _GIVEN_BACK if k in told.headers},
            )
            if asked.watch:
                await answer.prepare(request)
                async for chunk in told.content.iter_any():
                    while deed.mute is not None and deed.mute():  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                    await answer.write(chunk)
                    if deed.expired and b'"code":410' in chunk:
                        self.expired.add(asked.path)
            else:
                whole = await told.read()
                if deed.after is not None:
                    await asyncio.to_thread(deed.after)
                if deed.lose:
                    answer.content_length = len(whole)
                    await answer.prepare(request)
                    await answer.write(whole[: len(whole) // 2])
                    return self._cut(request)
                await answer.prepare(request)
                await answer.write(whole)
            await answer.write_eof()
            return answer


def wait(seconds: float) -> Callable[[], None]:
    """For `before` and `after`: a slow network."""
    return lambda: time.sleep(seconds)


def status_of(code: int, retry_after: int | None = None) -> Deed:
    """An API server that refuses."""
    headers: dict[str, Any] = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Deed(answer=(code, headers))
