"""Serves metrics, and whether the controller is ready; kopf serves whether it is alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from aiohttp import web

METRICS_PORT = 8080
HEALTH_PORT = 8081


class PortError(Exception):
    """A port that we are to serve on cannot be had; the text names it."""

    def __init__(self, port: int, error: OSError) -> None:
        why = os.strerror(error.errno or 0)
        super().__init__(f"port {port} of the host cannot be listened on: {why}")


def check(port: int) -> None:
    """Raise PortError where kopf could not listen on that port: it would end with a traceback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((os.environ.get("POD_IP", ""), port))
        except OSError as error:
            raise PortError(port, error) from error


async def serve(port: int, unready: Callable[[], str], page: Callable[[], bytes]) -> web.AppRunner:
    """Start to serve /metrics from `page` and /readyz, which is ready while `unready` is empty.

    Raises PortError where the port is taken.
    """

    async def readyz(_: web.Request) -> web.Response:
        reason = unready()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=page(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
    except OSError as error:
        await runner.cleanup()
        raise PortError(port, error) from error
    return runner
