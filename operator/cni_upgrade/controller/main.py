"""Starts the controller: reads the configuration, connects, and runs kopf until it ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from aiohttp import ClientError

from cni_upgrade import __version__
from cni_upgrade.controller import config_file, http_server, kopf_handlers, log_format
from cni_upgrade.controller.config_file import CONFIG
from cni_upgrade.controller.controller import Controller
from cni_upgrade.controller.event_recorder import COMPONENT
from cni_upgrade.controller.leader_lease import Timing
from cni_upgrade.controller.log_format import LogFormat
from cni_upgrade.kube.client import NoCredentialsError, connect
from cni_upgrade.planner.world.operator_config import ConfigError, OperatorConfig

log = logging.getLogger(__name__)

_LITTER = 50_000
"""Objects made and kept before Python looks for circles among them. With its own 700 a rollout over
4,000 nodes spent an eighth of its CPU on looking, and our values make none."""


async def run(config: OperatorConfig, arguments: argparse.Namespace) -> None:
    """Run until a signal, another configuration, or an error of our own, which is raised."""
    controller = Controller(await connect(COMPONENT, arguments.kubeconfig), config, arguments)
    # kopf listens on one address alone: the one that the kubelet's probes go to.
    address = os.environ.get("POD_IP") or "0.0.0.0"  # noqa: S104 - the port is the node's anyway
    host = f"[{address}]" if ":" in address else address
    try:
        await controller.serve()
        liveness = f"http://{host}:{arguments.health_port}/healthz"
        await kopf_handlers.operate(controller, config.namespaces.agents, liveness)
        controller.outcome()
    finally:
        await controller.close()


def _lease_seconds(text: str) -> float:
    """No lease is shorter than a second: its duration is written down in whole ones, rounded up."""
    with contextlib.suppress(ValueError):
        if 1 <= (seconds := float(text)) <= 3600:
            return seconds
    raise argparse.ArgumentTypeError(f"expected 1 to 3600 seconds, got {text}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cni-upgrade-controller", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"default {CONFIG}")
    parser.add_argument("--kubeconfig", help="default: the pod's service account")
    parser.add_argument("--metrics-port", type=int, default=http_server.METRICS_PORT)
    parser.add_argument("--health-port", type=int, default=http_server.HEALTH_PORT)
    parser.add_argument(
        "--log-format",
        choices=[each.value for each in LogFormat],
        default=LogFormat.TEXT.value,
        help="lines for people, or a JSON object a line; default %(default)s",
    )
    parser.add_argument(
        "--lease-seconds",
        type=_lease_seconds,
        default=Timing().duration,
        help="a replica that is gone is replaced after so long; default %(default)s",
    )
    return parser


def main() -> None:
    """The controller's command: exit 0 on SIGTERM or SIGINT, 2 where it cannot start.

    It exits 1 over an error that the next start may not meet.
    """
    arguments = _parser().parse_args()
    gc.set_threshold(_LITTER, 20, 50)
    chosen = LogFormat(arguments.log_format)
    log_format.set_up(chosen)
    try:
        asyncio.run(run(config_file.read(arguments.config), arguments))
    except (ConfigError, http_server.PortError, NoCredentialsError) as error:
        _cannot_start(str(error), chosen)
    except ClientError as error:
        # kopf 1.45.2 asks again where a connection breaks, not where an answer does.
        log.error("an answer of the API server broke off, the kubelet starts us again: %s", error)
        sys.exit(1)
    except Exception:
        if chosen is LogFormat.TEXT:
            raise
        log.exception("the controller ends over an error of its own")
        sys.exit(1)


def _cannot_start(why: str, chosen: LogFormat) -> NoReturn:
    if chosen is LogFormat.JSON:
        log.error("%s", why)
    else:
        print(why, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
