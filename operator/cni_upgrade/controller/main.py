"""Starts the controller: configuration, connection, rights, then watching and planning."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import uuid
from pathlib import Path

from aiohttp.web import AppRunner

from cni_upgrade.controller import configuration, switch, watching, web
from cni_upgrade.controller.admission import Admission
from cni_upgrade.controller.clock import Clock
from cni_upgrade.controller.configuration import CONFIG
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.following import Follower
from cni_upgrade.controller.leading import Leading
from cni_upgrade.controller.lease import Election, Timing
from cni_upgrade.controller.login import login
from cni_upgrade.controller.loop import Loop
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.permissions import Permissions
from cni_upgrade.controller.recorder import COMPONENT, Recorder
from cni_upgrade.controller.store import Store
from cni_upgrade.fleet.config import ConfigError, OperatorConfig
from cni_upgrade.kube.client import Client, NoCredentialsError, connect
from cni_upgrade.kube.port import KubeError

log = logging.getLogger("cni_upgrade")

GOODBYE = 1.0  # seconds for the last Events to be told
AGAIN = 5.0  # seconds before watches that were ended are begun anew
_LITTER = 50_000
"""Objects made and kept before Python looks for circles among them. With its own 700 a rollout over
4,000 nodes spent an eighth of its CPU on looking, and our values make none."""


async def _watch(
    client: Client, store: Store, loop: Loop, granted: asyncio.Event, api_login: watching.Login
) -> None:
    """Watch policies while every right is there. A watch that ends, however, begins anew."""
    while True:
        await granted.wait()
        # kopf looks once, at its start, which kinds there are: after our own lists have worked.
        await loop.listed.wait()
        why = await watching.watch(store, loop.wake, api_login)
        log.warning("the watches have ended and begin anew in %.0f s: %s", AGAIN, why)
        client.doubted.set()
        loop.relist()
        await asyncio.sleep(AGAIN)


async def _lead(permissions: Permissions, leading: Leading, loop: Loop, recorder: Recorder) -> None:
    """Until cancelled; nothing of ours is written any more when the lease is given back."""

    async def stand() -> None:
        # Who does not know yet whether it may end what it begins leaves the lease to who does.
        await permissions.asked.wait()
        await leading.run()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stand())
            tasks.create_task(recorder.run())
            tasks.create_task(loop.run())
    finally:
        with contextlib.suppress(KubeError, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await recorder.send()
        recorder.end()
        await leading.release()


async def run(config: OperatorConfig, arguments: argparse.Namespace) -> None:
    """Until cancelled; the lease is given back then. There is no more to tidy."""
    api = await connect(COMPONENT, arguments.kubeconfig)
    client = Client(api)
    store = Store(config, os.environ.get("NODE_NAME", ""), Clock(client.now).now)
    recorder = Recorder(client, store.now)
    executor = Executor(client, store, recorder)
    metrics = Metrics(client, executor, recorder, lambda: leading.leads())
    # Not the pod's name alone: a container that was started again is another one.
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:12]}"
    election = Election(identity, Timing.of(arguments.lease_seconds))
    leading = Leading(client, config.namespaces.system, election, lambda: loop.elected())
    client.fence = leading.left
    loop = Loop(client, store, executor, metrics, leading.leads)
    permissions = Permissions(client, store, client.doubted, loop.relist)
    runners: list[AppRunner] = []
    try:
        runners = await web.serve(
            loop,
            leading,
            permissions,
            store,
            metrics,
            arguments.metrics_port,
            arguments.health_port,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(permissions.run())
            tasks.create_task(_lead(permissions, leading, loop, recorder))
            tasks.create_task(switch.follow(client, store, loop.wake))
            tasks.create_task(Admission(client, metrics.loose).run())
            tasks.create_task(_watch(client, store, loop, permissions.granted, login(api)))

            async def ready() -> None:
                await permissions.granted.wait()
                await loop.listed.wait()

            tasks.create_task(Follower(client, store, loop.wake, loop.relist, ready).run())
    finally:
        for runner in runners:
            await runner.cleanup()
        await client.close()


def _brief(record: logging.LogRecord) -> bool:
    """kopf says in 50 lines of its own insides that a watch was refused; one will do."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name == "asyncio" and type(error).__module__.startswith("kopf"):
        # Of a task that kopf has left behind: kopf has said so in a line of its own.
        return False
    if record.name.startswith("kopf"):
        record.exc_info = None
    return True


def _lease_seconds(text: str) -> float:
    """No lease is shorter than a second: its duration is written down in whole ones, rounded up."""
    with contextlib.suppress(ValueError):
        if 1 <= (seconds := float(text)) <= 3600:
            return seconds
    raise argparse.ArgumentTypeError(f"expected 1 to 3600 seconds, got {text}")


def main() -> None:
    """The controller's command: exit 0 on SIGTERM or SIGINT, 2 where it cannot start."""
    parser = argparse.ArgumentParser(
        prog="cni-upgrade-controller", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"default {CONFIG}")
    parser.add_argument("--kubeconfig", help="default: the pod's service account")
    parser.add_argument("--metrics-port", type=int, default=web.METRICS_PORT)
    parser.add_argument("--health-port", type=int, default=web.HEALTH_PORT)
    parser.add_argument(
        "--lease-seconds",
        type=_lease_seconds,
        default=Timing().duration,
        help="a replica that is gone is replaced after so long; default %(default)s",
    )
    arguments = parser.parse_args()
    gc.set_threshold(_LITTER, 20, 50)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(_brief)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It says at each start that signals are not its own: they are ours.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    try:
        asyncio.run(_until_told(configuration.read(arguments.config), arguments))
    except (ConfigError, web.PortError, NoCredentialsError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


async def _until_told(config: OperatorConfig, arguments: argparse.Namespace) -> None:
    """Until a signal, or another configuration: whoever starts us again starts us with that."""
    running = asyncio.ensure_future(run(config, arguments))
    changed = asyncio.ensure_future(configuration.changed(arguments.config, config))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    await asyncio.wait((running, changed), return_when=asyncio.FIRST_COMPLETED)
    if changed.done():
        log.info("the configuration was changed: it counts from the next start on")
        running.cancel()
    changed.cancel()
    try:
        await running
    except asyncio.CancelledError:
        log.info("told to end")


if __name__ == "__main__":
    main()
