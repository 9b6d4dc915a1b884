"""A cluster that somebody has given: what is looked at before anything is written to it.

Its own nodes and pods are let alone. Ours stand beside them, and carry nothing by which another's
work is judged or placed: no zone, host name or system by which pods are spread and DaemonSets
chosen, no address that anything would connect to, and no range of pod addresses, for one that is
not the cluster's keeps its controller-manager from starting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cni_upgrade.api import names
from cni_upgrade.kube.client import Client, NoCredentialsError
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import NODES, POLICIES, Resource
from tests.bench import kwok
from tests.bench.cluster import Cluster, run_kubectl
from tests.bench.installation import Installation
from tests.bench.say import say
from tests.bench.target import Target
from tests.cluster import build
from tests.cluster.components import CONTROL_PLANE

Object = dict[str, Any]

PREFIX = "cni-upgrade-bench-"
"""Of the names of our nodes."""

_EVERYTHING = Resource("*", "*", "*")
_LEASE_SECONDS = 40
"""A kubelet's: its control plane takes a node without one to be down."""


class RefusedError(Exception):
    """Why nothing is measured there, a line each. Nothing was written."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def found(kubeconfig: Path, folder: Path) -> Target:
    """The cluster of a kubeconfig's current context. Raises RefusedError."""
    build.ensure(CONTROL_PLANE)  # for its kubectl
    alone = folder / "given.kubeconfig"
    alone.touch(mode=0o600)
    alone.write_text(_current(kubeconfig, folder))
    try:
        cluster = Cluster(alone, folder)
    except NoCredentialsError as error:
        raise RefusedError(str(error)) from error
    try:
        if lines := refusals(cluster):
            raise RefusedError(*lines)
    except (KubeError, RuntimeError) as error:
        raise RefusedError(str(error)) from error
    finally:
        cluster.close()
    server = yaml.safe_load(alone.read_text())["clusters"][0]["cluster"]["server"]
    say(f"in the cluster at {server}")
    return Target(alone, "the cluster's", node, PREFIX, lease_seconds=_LEASE_SECONDS)


def _current(kubeconfig: Path, folder: Path) -> str:
    """The current context alone, with what it names in other files in it."""
    if not kubeconfig.is_file():
        raise RefusedError(f"--kubeconfig {kubeconfig}: there is no such file")
    words = ("config", "view", "--raw", "--minify", "--flatten")
    try:
        return run_kubectl(kubeconfig, folder, *words)
    except RuntimeError as error:
        raise RefusedError(str(error)) from error


def refusals(cluster: Cluster) -> list[str]:
    """Why nothing should be measured there; empty where it may. Raises KubeError, RuntimeError."""

    async def may_all(client: Client) -> bool:
        return await client.allowed("*", _EVERYTHING, None)

    async def nodes(client: Client) -> list[str]:
        return [
            each["metadata"]["name"]
            for each in (await client.list(NODES)).items
            if each["metadata"]["name"].startswith(PREFIX)
            or kwok.LABEL in (each["metadata"].get("labels") or {})
        ]

    if not cluster.ask(may_all):
        # It also takes them to give the operator its own rights.
        return ["the rights of a cluster administrator are needed: every verb on everything"]
    there = Installation(cluster).there()
    lines = [f"{each} is there: an operator may be at work" for each in there]
    if any(each.endswith(f"/{names.POLICY_PLURAL}.{names.GROUP}") for each in there):
        lines += _policies(cluster)
    taken = cluster.ask(nodes)
    return lines + [f"node {each} is there: its name or label is of our nodes" for each in taken]


def _policies(cluster: Cluster) -> list[str]:
    async def policies(client: Client) -> list[str]:
        return [each["metadata"]["name"] for each in (await client.list(POLICIES)).items]

    return [f"{names.POLICY_KIND} {each} is there" for each in cluster.ask(policies)]


def node(number: int) -> Object:
    """A Node like those of our own control plane, that nobody takes for one to work on."""
    body = kwok.node(number)
    body["metadata"] |= {
        "name": f"{PREFIX}{number:05}",
        "labels": {
            kwok.LABEL: "true",
            # No load balancer sends anything there.
            "node.kubernetes.io/exclude-from-external-load-balancers": "true",
        },
    }
    taint = {"key": kwok.LABEL, "value": "true", "effect": "NoSchedule"}
    body["spec"] = {"providerID": f"kwok://{number:05}", "taints": [taint]}
    # Agents and proof pods ask for no more than a place; who asks for more is not put here.
    room = {"pods": "110"}
    body["status"] |= {"addresses": [], "capacity": room, "allocatable": room}
    return body
