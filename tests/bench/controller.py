"""The controller as a process, with what it uses and what its metrics say."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.bench.usage import Usage

ROOT = Path(__file__).parents[2]


class Controller:
    """The controller's process."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "controller.log"
        self._metrics, health = _free_port(), _free_port()
        words = ["--config", folder / "config.yaml", "--kubeconfig", folder / "kubeconfig"]
        words += ["--metrics-port", self._metrics, "--health-port", health]
        self.began = time.time()
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cni_upgrade.controller", *map(str, words)],
                env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
                stdout=out,
                stderr=subprocess.STDOUT,
                # As the parts of the control plane: in a session of its own Linux gives it a share
                # of its own (sched(7), autogroup), as a pod has. In a shell's it has whatever that
                # shell's niceness is, and waited for a core three quarters of the time.
                start_new_session=True,
            )

    def usage(self) -> Usage:
        if self.process.poll() is not None:
            raise RuntimeError(f"the controller has ended:\n{self.log.read_text()[-2000:]}")
        return Usage.of(self.process.pid)

    def page(self) -> str:
        """Its metrics."""
        url = f"http://127.0.0.1:{self._metrics}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode())

    def passes(self) -> dict[float, float]:
        """Passes of the planner by the upper bound of their seconds, cumulated."""
        found = re.findall(
            r'^cni_upgrade_planning_seconds_bucket\{le="([^"]+)"\} (\S+)$',
            self.page(),
            re.MULTILINE,
        )
        return {float(bound): float(count) for bound, count in found}

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quantile(buckets: dict[float, float], share: float) -> float:
    """The upper bound that so many of the passes kept."""
    total = max(buckets.values(), default=0)
    return min((b for b, n in buckets.items() if total and n >= share * total), default=0.0)
