"""Starts the controller: configuration, connection, rights, then watching and planning."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import yaml

from cni_upgrade.controller import watching, web
from cni_upgrade.controller.executor import COMPONENT, Executor
from cni_upgrade.controller.login import login
from cni_upgrade.controller.loop import Loop
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.store import Store
from cni_upgrade.fleet.config import ConfigError, OperatorConfig, parse
from cni_upgrade.kube import rights
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.port import KubeError

log = logging.getLogger("cni_upgrade")

CONFIG = Path("/etc/cni-upgrade-operator/config.yaml")
RECHECK = 30.0  # seconds between two looks at rights that are missing


def read_config(path: Path) -> OperatorConfig:
    """The operator's configuration. Raises ConfigError that names the file or the fields."""
    try:
        return parse(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise ConfigError(f"operator configuration {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"operator configuration {path}: not YAML: {error}") from error


async def _check_rights(client: Client, store: Store) -> None:
    spaces = store.config.namespaces
    missing = await rights.missing(client, spaces.agents, spaces.proof)
    store.denied = tuple(str(right) for right in missing)
    for right in missing:
        log.error("missing right: %s; manifests/rbac.yaml grants it", right)


async def _watch_and_check(
    client: Client, store: Store, loop: Loop, api_login: watching.Login
) -> None:
    """Watch while every right is there; while one is missing, say so and ask again.

    Returns when kopf was told to end, by SIGTERM or SIGINT.
    """
    while True:
        try:
            await _check_rights(client, store)
        except KubeError as error:
            log.warning("rights could not be asked for: %s", error)
            await asyncio.sleep(2)
            continue
        loop.wake()
        if store.denied:
            await asyncio.sleep(RECHECK)
            continue
        await watching.watch(store, loop.wake, api_login)
        return


async def run(config: OperatorConfig, arguments: argparse.Namespace) -> None:
    """Until SIGTERM. Nothing has to be tidied: the next process goes on from the cluster."""
    api = await connect(COMPONENT, arguments.kubeconfig)
    client = Client(api)
    store = Store(config, os.environ.get("NODE_NAME", ""))
    executor = Executor(client, store)
    metrics = Metrics(client, executor)
    loop = Loop(client, store, executor, metrics)
    runners = await web.serve(loop, store, metrics, arguments.metrics_port, arguments.health_port)
    try:
        async with asyncio.TaskGroup() as tasks:
            planning = tasks.create_task(loop.run())
            await _watch_and_check(client, store, loop, login(api))
            log.info("told to end")
            planning.cancel()
    finally:
        for runner in runners:
            await runner.cleanup()
        await client.close()


def main() -> None:
    """The controller's command: exit 0 on SIGTERM, 2 where it cannot start."""
    parser = argparse.ArgumentParser(prog="cni-upgrade-controller", description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"default {CONFIG}")
    parser.add_argument("--kubeconfig", help="default: the pod's service account")
    parser.add_argument("--metrics-port", type=int, default=web.METRICS_PORT)
    parser.add_argument("--health-port", type=int, default=web.HEALTH_PORT)
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        config = read_config(arguments.config)
    except ConfigError as error:
        sys.exit(f"{error}")
    asyncio.run(_until_told(config, arguments))


async def _until_told(config: OperatorConfig, arguments: argparse.Namespace) -> None:
    """Until a signal. kopf takes the handlers over once it runs; before that they are ours."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("not inside a task")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await run(config, arguments)


if __name__ == "__main__":
    main()
