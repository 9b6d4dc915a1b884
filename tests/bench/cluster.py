"""One API server, asked as whoever a kubeconfig names: by certificate, token or a program."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.resources import Resource
from tests.cluster import build

Object = dict[str, Any]
T = TypeVar("T")

NODE_LEASES = "kube-node-lease"
"""The namespace in which each node has its Lease."""

_AT_ONCE = 8
_PATIENCE = 300
"""Seconds for one kubectl."""


class Cluster:
    """The operator's own client and kubectl, for code that waits for each answer."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        """`home` keeps kubectl's discovery cache."""
        self.kubeconfig = kubeconfig
        self.home = home
        # One loop for all questions, so that the connection stays open: a handshake costs more
        # than most requests.
        self._loop = asyncio.new_event_loop()
        self._client = Client(self._loop.run_until_complete(connect("bench", str(kubeconfig))))

    def ask(self, question: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """What the API server answers. Raises KubeError."""
        try:
            return self._loop.run_until_complete(question(self._client))
        except BaseException:
            # Who is interrupted in the middle of many requests does not go on with them later.
            self._end_tasks()
            raise

    def each(
        self, do: Callable[[Client, Object], Coroutine[Any, Any, object]], things: Iterable[Object]
    ) -> None:
        """Ask about each of many, some at a time."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(client: Client, thing: Object) -> None:
            async with places:
                await do(client, thing)

        async def every(client: Client) -> None:
            await asyncio.gather(*(one(client, thing) for thing in things))

        self.ask(every)

    def named(self, resource: Resource, space: str | None, prefix: str) -> list[Object]:
        """Those whose names begin like this."""

        async def listed(client: Client) -> list[Object]:
            everyones = (await client.list(resource, space)).items
            return [each for each in everyones if each["metadata"]["name"].startswith(prefix)]

        return self.ask(listed)

    def kubectl(self, *words: str, stdin: object = None) -> str:
        """What kubectl prints, `stdin` as JSON. Raises RuntimeError with its own words."""
        return run_kubectl(self.kubeconfig, self.home, *words, stdin=stdin)

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()

    def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()

        async def ended() -> None:
            await asyncio.gather(*tasks, return_exceptions=True)

        self._loop.run_until_complete(ended())


def run_kubectl(kubeconfig: Path, home: Path, *words: str, stdin: object = None) -> str:
    """The same for a kubeconfig that may lead nowhere."""
    done = subprocess.run(
        [str(kubectl()), f"--kubeconfig={kubeconfig}", *words],
        input=None if stdin is None else json.dumps(stdin),
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def kubectl() -> Path:
    """The kubectl that the benchmarks use: the one that belongs to its own control plane."""
    return build.home("kubernetes") / "kubectl"
