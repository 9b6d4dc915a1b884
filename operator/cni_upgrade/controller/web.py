"""Two small HTTP servers: metrics, and whether the controller is alive and ready."""

from __future__ import annotations

import os

from aiohttp import web

from cni_upgrade.controller.leading import Leading
from cni_upgrade.controller.loop import Loop
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.permissions import Permissions
from cni_upgrade.controller.store import Store

METRICS_PORT = 8080
HEALTH_PORT = 8081


class PortError(Exception):
    """A port that we are to serve on cannot be had; the text names it."""


def _text(reason: str) -> web.Response:
    return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)


async def serve(
    loop: Loop,
    leading: Leading,
    permissions: Permissions,
    store: Store,
    metrics: Metrics,
    metrics_port: int,
    health_port: int,
) -> list[web.AppRunner]:
    """Start both. Raises PortError where a port of the host is taken."""

    async def healthz(_: web.Request) -> web.Response:
        return _text(loop.alive())

    async def readyz(_: web.Request) -> web.Response:
        if unknown := permissions.unknown():
            return _text(unknown)
        if store.denied:
            return _text(f"missing rights: {', '.join(store.denied)}")
        # A replica that waits for the lease is ready too: it sees the cluster, and could take over.
        return _text(leading.waits() or loop.ready())

    async def figures(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.page(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    runners: list[web.AppRunner] = []
    for port, routes in (
        (metrics_port, [web.get("/metrics", figures)]),
        (health_port, [web.get("/healthz", healthz), web.get("/readyz", readyz)]),
    ):
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        runners.append(runner)
        try:
            await web.TCPSite(runner, port=port).start()
        except OSError as error:
            for started in runners:
                await started.cleanup()
            text = f"port {port} of the host cannot be listened on: {os.strerror(error.errno or 0)}"
            raise PortError(text) from error
    return runners
