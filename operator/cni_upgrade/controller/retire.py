"""`python -m cni_upgrade.controller.retire`: before the operator is taken out of a cluster.

Deletes the policies and waits until the running controller has finished with every node. The chart
runs it as a Job before it deletes anything; `manifests/uninstall.sh` does the same from a shell. It
writes to no node: that is the controller's work. While it fails, nothing of the operator may go.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from cni_upgrade import __version__
from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api import names
from cni_upgrade.kube.client import Client, NoCredentialsError, connect
from cni_upgrade.kube.interface import Kube, KubeError, Object
from cni_upgrade.kube.resources import NODE_STATES, NODES, POLICIES
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.node.stalled import named
from cni_upgrade.planner.world.kubernetes_objects import Node

WAIT = 600
"""Seconds that the controller gets; `manifests/uninstall.sh` gives it as many."""
AGAIN = 5.0  # seconds between two looks
_SHOWN = 10  # names in one line; the rest is counted
_CLEAN = (
    2  # looks in a row: a cordon and the record of its operation are written one after the other
)

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


def say(text: str) -> None:
    print(f"retire: {text}", flush=True)


async def delete_policies(kube: Kube) -> None:
    """Ask for the deletion of each policy; one that is gone already is what is wanted."""
    for raw in (await kube.list(POLICIES)).items:
        meta = raw["metadata"]
        if "deletionTimestamp" in meta:
            continue
        say(f"deleting policy {meta['name']}")
        try:
            await kube.delete(POLICIES, None, meta["name"], meta["uid"], "Background")
        except KubeError as error:
            if not (error.gone or error.conflict):
                raise


async def left(kube: Kube) -> list[str]:
    """What the controller has not finished with, each in words."""
    found = [f"policy {raw['metadata']['name']}" for raw in (await kube.list(POLICIES)).items]
    async for page in kube.pages(NODE_STATES):
        found += [
            f"node {raw['metadata']['name']} ({doing})"
            for raw in page.items
            if (doing := _operation(raw))
        ]
    async for page in kube.pages(NODES):
        found += [
            f"node {node.name} (cordoned)"
            for node in map(Node.of, page.items)
            if cordon.give_back(node)
        ]
    return found


def _operation(node_state: Object) -> str:
    """The kind of a node's operation; empty for an audit, which changes nothing."""
    operation = (node_state.get("status") or {}).get("operation") or {}
    kind: str = operation.get("kind", "")
    return "" if kind == Kind.AUDIT else kind


async def retire(kube: Kube, wait: float, clock: Clock, sleep: Sleep) -> bool:
    """Whether nothing is left after at most `wait` seconds. Says what is waited for."""
    deadline = clock() + wait
    clean, said = 0, ""
    while True:
        try:
            await delete_policies(kube)
            names_left = await left(kube)
            now = f"waiting for the controller to finish with {named(names_left, _SHOWN)}"
            clean = 0 if names_left else clean + 1
        except KubeError as error:
            if error.status in (401, 403):
                raise
            now, clean = f"the API server does not tell what is left, asking again: {error}", 0
        if clean == _CLEAN:
            return True
        if not clean and now != said:
            say(now)
            said = now
        if clock() >= deadline:
            return False
        await sleep(AGAIN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cni_upgrade.controller.retire", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--kubeconfig", help="default: the pod's service account")
    parser.add_argument(
        "--wait", type=float, default=WAIT, metavar="SECONDS", help="default %(default)s"
    )
    return parser


async def _run(arguments: argparse.Namespace) -> bool:
    kube = Client(await connect(f"{names.FIELD_MANAGER}-retire", arguments.kubeconfig))
    try:
        return await retire(kube, arguments.wait, time.monotonic, asyncio.sleep)
    finally:
        await kube.close()


def main() -> int:
    """0: nothing is left. 1: something is. 2: the cluster cannot be asked."""
    arguments = _parser().parse_args()
    try:
        done = asyncio.run(_run(arguments))
    except (KubeError, NoCredentialsError) as error:
        say(str(error))
        return 2
    if not done:
        say(
            f"not finished within {arguments.wait:g} s; nothing of the operator was deleted. See "
            "`kubectl get cup,cns`, and run this again; where no controller runs any more, "
            "manifests/uninstall.sh gives the nodes back"
        )
        return 1
    say("done: no policy is left, no node is cordoned or changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
