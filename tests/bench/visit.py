"""A stay in a cluster that somebody has given: it is left as it was found, or what is left is said.

Also where it ends by Ctrl-C, SIGTERM or an error. Whoever is killed leaves all of it behind; the
next one is refused, and docs/dev/scale.md says how to take it away.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cni_upgrade.kube.client import Client
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import LEASES, NODES, PODS, Resource
from tests.bench.cluster import NODE_LEASES, Cluster
from tests.bench.foreign import PREFIX, RefusedError
from tests.bench.installation import Installation
from tests.bench.interrupts import Interrupts
from tests.bench.say import say

Object = dict[str, Any]

_TRIES = 2
_PAUSE = 5
"""Seconds; kwok, and controllers of the cluster, may be in the middle of something."""
_WITH_NODES: tuple[tuple[Resource, str | None], ...] = ((NODES, None), (LEASES, NODE_LEASES))
_TROUBLE = (KubeError, RuntimeError, OSError, subprocess.TimeoutExpired)


class LeftError(Exception):
    """What is still there of ours, a line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@contextmanager
def visit(cluster: Cluster) -> Iterator[None]:
    """The cluster is ours to write to within. Raises RefusedError, LeftError."""
    installation = Installation(cluster)
    with Interrupts() as interrupts:
        try:
            # Not interrupted in the middle: it must be known whose it is before it is taken away.
            installation.claim()
        except KubeError as error:
            raise RefusedError(str(error)) from error
        try:
            interrupts.hear()
            yield
        finally:
            interrupts.ignore()
            say("taking everything away again; this is not interrupted")
            if left := take_away(cluster):
                raise LeftError(left)
            say("nothing of it is left")


def take_away(cluster: Cluster) -> list[str]:
    """Remove all that is ours; what is left, a line each."""
    left: list[str] = []
    for again in range(_TRIES):
        time.sleep(_PAUSE if again else 0)
        for step in (Installation(cluster).uninstall, lambda: _remove_nodes(cluster)):
            try:
                step()
            except _TROUBLE as error:
                say(str(error))
        left = _left(cluster)
        if not left:
            break
    return left


def _left(cluster: Cluster) -> list[str]:
    try:
        left = Installation(cluster).there()
        for resource, space in _WITH_NODES:
            ours = cluster.named(resource, space, PREFIX)
            left += [f"{resource.plural}/{each['metadata']['name']}" for each in ours]
        pods = _pods(cluster).items()
        return left + [f"pods/{name} in {space}" for space, found in pods for name in found]
    except _TROUBLE as error:
        return [f"not known, for the cluster does not say: {error}"]


def _remove_nodes(cluster: Cluster) -> None:
    """The nodes, their Leases, and pods that others' controllers have put on them."""
    for resource, space in _WITH_NODES:
        _remove(cluster, resource, space)
    # Of a node that is gone no kubelet ends them, and nothing of them ever ran.
    for space, found in _pods(cluster).items():
        force = ("--grace-period=0", "--force", "--ignore-not-found", "--wait=false")
        cluster.kubectl("delete", "pods", "-n", space, *force, *found)


def _remove(cluster: Cluster, resource: Resource, space: str | None) -> None:
    async def remove(client: Client, it: Object) -> None:
        try:
            name, uid = it["metadata"]["name"], it["metadata"]["uid"]
            await client.delete(resource, space, name, uid, "Background")
        except KubeError as error:
            if not error.gone:
                raise

    cluster.each(remove, cluster.named(resource, space, PREFIX))


def _pods(cluster: Cluster) -> dict[str, list[str]]:
    """Names of the pods on our nodes, by namespace."""

    async def listed(client: Client) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for pod in (await client.list(PODS)).items:
            if pod["spec"].get("nodeName", "").startswith(PREFIX):
                meta = pod["metadata"]
                found.setdefault(meta["namespace"], []).append(meta["name"])
        return found

    return cluster.ask(listed)
