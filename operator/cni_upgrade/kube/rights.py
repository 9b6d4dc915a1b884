"""Every right that the controller needs, so that a missing one is named before it is missed.

A list or watch that is refused says nothing but that; asked beforehand, one missing right is a
condition and a line that says what to add. `manifests/rbac.yaml` gives exactly these, and
what nothing stalls without: to list ConfigMaps by name (controller/config_sources.py), and to get
our own admission policies (controller/admission_policies.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cni_upgrade.kube.interface import Reader
from cni_upgrade.kube.resources import (
    ACCESS_REVIEWS,
    BUDGETS,
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

LEASE = "cni-upgrade-operator"
"""Name of the Lease that says which replica leads."""


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource; `namespace` None for the whole cluster."""

    verb: str
    resource: Resource
    namespace: str | None = None
    sub: str = ""
    name: str = ""
    """The one object that it is about; empty for all."""

    def __str__(self) -> str:
        resource = self.resource.plural + (f"/{self.sub}" if self.sub else "")
        group = f".{self.resource.group}" if self.resource.group else ""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {resource}{group}" + (f" {self.name}" if self.name else "") + where


ASKING = Right("create", ACCESS_REVIEWS)
"""To ask for rights at all. Every account has it, but where system:basic-user was taken away."""

_WATCH = ("list", "watch")


def needed(system: str, agents: str, proof: str, leases: str = "") -> Iterator[Right]:
    """The rights of a controller that lives, and whose agents and proofs live, in those.

    `leases`: the namespace of the Leases on nodes, where they are used.
    """
    yield ASKING
    if leases:
        yield from (Right(verb, LEASES, leases) for verb in ("list", "create", "patch", "delete"))
    # Without these there is no leader, and nobody to say that anything is missing.
    yield Right("create", LEASES, system)
    yield from (Right(verb, LEASES, system, name=LEASE) for verb in ("get", "patch"))
    # The annotation that stops everything.
    yield from (Right(verb, NAMESPACES, name=agents) for verb in _WATCH)
    for resource in (NODES, POLICIES, NODE_STATES):
        yield from (Right(verb, resource) for verb in _WATCH)
    yield Right("patch", NODES)
    yield from (Right("patch", POLICIES, sub=sub) for sub in ("", "status"))
    yield from (Right(verb, NODE_STATES) for verb in ("create", "patch", "delete"))
    yield Right("patch", NODE_STATES, sub="status")
    yield Right("list", PODS)
    yield Right("create", PODS, sub="eviction")
    yield Right("list", BUDGETS)
    yield Right("get", DAEMONSETS)
    for namespace in (agents, proof):
        yield from (Right(verb, PODS, namespace) for verb in _WATCH)
        yield from (Right(verb, EVENTS, namespace) for verb in _WATCH)
    yield from (Right(verb, JOBS, agents) for verb in (*_WATCH, "create", "delete"))
    yield from (Right(verb, PODS, proof) for verb in ("create", "delete"))
    yield Right("create", EVENTS, "default")


async def missing(
    kube: Reader, system: str, agents: str, proof: str, leases: str = ""
) -> tuple[Right, ...]:
    """The rights that the API server refuses us."""
    return tuple(
        [
            right
            for right in needed(system, agents, proof, leases)
            if not await kube.allowed(
                right.verb, right.resource, right.namespace, right.sub, right.name
            )
        ]
    )
