"""A controller that kopf runs, in the event loop of a test."""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cni_upgrade.controller import config_file, kopf_handlers
from cni_upgrade.controller.controller import Controller
from cni_upgrade.kube.client import connect
from tests import operator_config


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(
    folder: Path, kubeconfig: Path | None = None
) -> AsyncIterator[tuple[Controller, asyncio.Task[None], int]]:
    """The controller, kopf's task and the port of its liveness probe."""
    path = folder / "config.yaml"
    path.write_text(operator_config.text())
    words = argparse.Namespace(config=path, lease_seconds=15.0, metrics_port=0, health_port=0)
    api = await connect("test", str(kubeconfig) if kubeconfig else None)
    controller = Controller(api, config_file.read(path), words)
    port = free_port()
    liveness = f"http://127.0.0.1:{port}/healthz"
    task = asyncio.create_task(kopf_handlers.operate(controller, "cni-upgrade-agents", liveness))
    try:
        yield controller, task, port
    finally:
        controller.ended.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(task, 20)
        await controller.close()
