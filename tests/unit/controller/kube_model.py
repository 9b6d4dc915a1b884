"""The port over an API server in memory: it can refuse, be silent, and tells what it was asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.event_recorder import EventRecorder
from cni_upgrade.controller.executor import Executor
from cni_upgrade.controller.metrics import Metrics
from cni_upgrade.controller.reconcile_loop import ReconcileLoop
from cni_upgrade.kube.client import Client, connect
from cni_upgrade.kube.interface import KubeError, Listed, Object, tried
from cni_upgrade.kube.resources import (
    ADMISSION_BINDINGS,
    ADMISSION_POLICIES,
    BUDGETS,
    CONFIGMAPS,
    DAEMONSETS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODE_STATES,
    NODES,
    PODS,
    POLICIES,
    Resource,
)
from tests.unit.planner.api_model import ApiError
from tests.unit.planner.cluster_model import CONFIG, Cluster

KINDS = {
    NODES: "Node",
    PODS: "Pod",
    JOBS: "Job",
    POLICIES: "CNIUpgradePolicy",
    NODE_STATES: "CNINodeState",
    EVENTS: "Event",
    LEASES: "Lease",
    NAMESPACES: "Namespace",
    CONFIGMAPS: "ConfigMap",
    BUDGETS: "PodDisruptionBudget",
    DAEMONSETS: "DaemonSet",
    ADMISSION_POLICIES: "ValidatingAdmissionPolicy",
    ADMISSION_BINDINGS: "ValidatingAdmissionPolicyBinding",
}
Refuse = Callable[[str, str, str], KubeError | None]
"""(verb, plural, name) -> what is said against it."""


def silence() -> KubeError:
    return KubeError(0, "NoAnswer", "no answer from the API server")


class Memory:
    """Kube, spoken to a cluster in memory."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.asked: list[tuple[str, str, str]] = []
        self.refuse: Refuse = lambda verb, plural, name: None
        self.told: dict[str, list[Object | KubeError]] = defaultdict(list)
        """What watches will say, by the plural of the kind."""
        self.patient = True
        """Watches wait for more; else they end when they have said all."""

    def _ask(self, verb: str, resource: Resource, name: str) -> str:
        self.asked.append((verb, resource.plural, name))
        tried.get()()
        if (error := self.refuse(verb, resource.plural, name)) is not None:
            raise error
        return KINDS[resource]

    def writes(self) -> list[tuple[str, str, str]]:
        return [a for a in self.asked if a[0] not in ("get", "list", "may list", "watch")]

    async def list(self, resource: Resource, namespace: str | None = None, **query: str) -> Listed:
        field, _, value = query.get("fieldSelector", "").partition("=")
        kind = self._ask("list", resource, value)
        found = [
            raw
            for raw in self.cluster.api.all(kind)
            if namespace in (None, raw["metadata"].get("namespace"))
            and (field != "metadata.name" or raw["metadata"]["name"] == value)
            and (field != "spec.nodeName" or raw["spec"].get("nodeName") == value)
            and _selected(query.get("labelSelector", ""), raw["metadata"].get("labels") or {})
        ]
        return Listed(found, str(self.cluster.api.version))

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        kind = self._ask("get", resource, name)
        found: Object | None = self.cluster.api.find(kind, name, namespace or "")
        if found is None:
            raise KubeError(404, "NotFound", f"{kind} {name} not found")
        return found

    async def pages(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> AsyncIterator[Listed]:
        listed = await self.list(resource, namespace, **query)
        # At least one page, and the last one may be empty.
        for first in range(0, len(listed.items) + 1, 3):
            yield Listed(listed.items[first : first + 3], listed.resource_version)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        version: str,
        seconds: int,
        **query: str,
    ) -> AsyncIterator[Object]:
        """What the test has put into `told` of a kind; an error among it is raised."""
        self._ask("watch", resource, version)
        await asyncio.sleep(0)  # as any real one lets others run
        while (queue := self.told[resource.plural]) or self.patient:
            if not queue:
                await asyncio.sleep(0.01)
                continue
            event = queue.pop(0)
            if isinstance(event, KubeError):
                raise event
            yield event

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        kind = self._ask("create", resource, body["metadata"]["name"])
        made: Object = _said(lambda: self.cluster.api.create(kind, body))
        return made

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Object, sub: str = ""
    ) -> Object:
        kind = self._ask("patch", resource, name)
        patched: Object = _said(
            lambda: self.cluster.api.patch(kind, name, body, sub=sub, namespace=namespace or "")
        )
        return patched

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, propagation: str
    ) -> Object:
        kind = self._ask("delete", resource, name)
        _said(lambda: self.cluster.api.delete(kind, name, uid, namespace or ""))
        left = self.cluster.api.find(kind, name, namespace or "")
        return left or {"kind": "Status", "status": "Success"}

    async def evict(self, namespace: str, name: str, uid: str) -> None:
        self._ask("evict", PODS, name)
        _said(lambda: self.cluster.evict(namespace, name, uid))

    async def allowed(
        self, verb: str, resource: Resource, namespace: str | None, sub: str = "", name: str = ""
    ) -> bool:
        self.asked.append(("may " + verb, resource.plural, name))
        error = self.refuse("may " + verb, resource.plural, name)
        if error is not None and error.status != 403:
            raise error
        return error is None


def _selected(selector: str, labels: dict[str, str]) -> bool:
    key, _, value = selector.partition("=")
    return not selector or labels.get(key) == value


def _said(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ApiError as error:
        raise KubeError(error.status, f"HTTP{error.status}", error.message) from error


class Made:
    """A controller around such an API server, without its watches."""

    def __init__(self, kube: Memory, client: Client) -> None:
        self.kube = kube
        self.client = client
        self.store = ClusterStore(CONFIG, "")
        self.recorder = EventRecorder(kube, self.store.now)
        self.executor = Executor(kube, self.store, self.recorder)
        self.leads = True
        self.metrics = Metrics(client, self.executor, self.recorder, lambda: self.leads)
        self.loop = ReconcileLoop(kube, self.store, self.executor, self.metrics, lambda: self.leads)

    async def pass_(self) -> None:
        """The world goes on a little, the store is as new as the lists, one plan is carried out."""
        self.kube.cluster.tick()
        await self.loop.resync()
        await self.loop.once()
        await self.recorder.send()


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "SERVER"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


async def client_of(path: Any, server: str) -> Client:
    """A Client for a server, by a kubeconfig that is written to `path`."""
    path.write_text(KUBECONFIG.replace("SERVER", server))
    return Client(await connect("test", str(path)))
