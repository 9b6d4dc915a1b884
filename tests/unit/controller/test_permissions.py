"""What a replica may do is asked first: who cannot ask does not lead, and says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cni_upgrade.controller import permissions as permitting
from cni_upgrade.controller.controller import lead
from cni_upgrade.controller.leader_election import LeaderElection
from cni_upgrade.controller.leader_lease import Election, Timing
from cni_upgrade.controller.permissions import Permissions
from cni_upgrade.controller.reconcile_loop import ReconcileLoop
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import LEASES
from cni_upgrade.kube.rights import LEASE
from tests.unit.controller.kube_model import Made, silence
from tests.unit.controller.passes import becomes
from tests.unit.planner.node_model import SimNode

ASKING = "create selfsubjectaccessreviews.authorization.k8s.io"


def replica(made: Made, identity: str) -> tuple[Permissions, LeaderElection, ReconcileLoop]:
    """Put together as `Controller` does it."""
    system = made.store.config.namespaces.system
    election = Election(identity, Timing.of(1.5))
    leading = LeaderElection(made.kube, system, election, lambda: loop.elected())
    loop = ReconcileLoop(made.kube, made.store, made.executor, made.metrics, leading.leads)
    return Permissions(made.kube, made.store, asyncio.Event(), loop.relist), leading, loop


@asynccontextmanager
async def living(
    made: Made, identity: str
) -> AsyncIterator[tuple[Permissions, LeaderElection, ReconcileLoop]]:
    permissions, leading, loop = replica(made, identity)
    tasks = [
        asyncio.create_task(permissions.run()),
        asyncio.create_task(lead(permissions, leading, loop, made.recorder)),
    ]
    try:
        yield permissions, leading, loop
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def may_ask(made: Made, error: KubeError | None) -> None:
    made.kube.refuse = lambda verb, plural, name: error if verb.startswith("may ") else None


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permitting, "RETRY", 0.01)
    monkeypatch.setattr(permitting, "RECHECK", 0.01)


async def test_who_cannot_ask_does_not_bid_for_the_lease_and_says_why(made: Made) -> None:
    may_ask(made, silence())
    async with living(made, "one") as (permissions, leading, loop):
        assert permissions.unknown() == "the rights have not been asked for yet"
        await becomes(lambda: "no answer" in permissions.unknown())
        assert permissions.unknown().startswith("rights could not be asked for: no answer")
        await becomes(lambda: not loop.ready())
        assert not leading.leads()
        writes = [each for each in made.kube.writes() if not each[0].startswith("may ")]
        assert writes == [], "another replica may know"
        may_ask(made, None)
        await becomes(leading.leads)
        assert permissions.unknown() == ""
        assert permissions.granted.is_set()
        # Once it knows, what it knows holds until it knows better.
        may_ask(made, silence())
        await permissions.once()
        assert permissions.unknown() == ""
        assert permissions.granted.is_set()


async def test_where_no_replica_may_ask_one_leads_and_each_policy_names_the_right(
    made: Made, client: Client
) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", None))
    cluster.apply_policy("cure", {"mode": "Enforce"})

    async def allowed(*words: object, **more: object) -> bool:
        raise KubeError(403, "Forbidden", "selfsubjectaccessreviews is forbidden")

    made.kube.allowed = allowed  # type: ignore[method-assign]
    other = Made(made.kube, client)

    def stalled() -> list[str]:
        [policy] = cluster.api.all("CNIUpgradePolicy")
        told = {c["type"]: c for c in policy.get("status", {}).get("conditions", [])}
        return [c["message"] for t, c in told.items() if t == "Stalled" and c["status"] == "True"]

    async with living(made, "one") as (one, _, loop), living(other, "two") as (two, _, _):
        await becomes(stalled)
        [text] = stalled()
        assert text.startswith(f"the API server refuses the operator: {ASKING}; see manifests/rbac")
        assert made.store.denied == other.store.denied == (ASKING,)
        assert (one.unknown(), two.unknown()) == ("", "")
        assert not one.granted.is_set()
        await becomes(lambda: not loop.ready())
        lease = await made.kube.get(LEASES, made.store.config.namespaces.system, LEASE)
        assert lease["spec"]["holderIdentity"] in ("one", "two")
        assert b"\ncni_upgrade_missing_rights 1.0\n" in made.metrics.page()
        assert list(cluster.api.all("Job")) == []


async def test_rights_that_come_and_go_are_told_once(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    lacks = {"nodes"}
    refused = KubeError(403, "Forbidden", "no")
    made.kube.refuse = lambda verb, plural, name: (
        refused if verb == "may patch" and plural in lacks else None
    )
    permissions, _, loop = replica(made, "one")
    loop.listed.set()
    for _ in range(3):
        await permissions.once()
    assert made.store.denied == ("patch nodes",)
    assert caplog.text.count("missing right: patch nodes; manifests/rbac.yaml grants it") == 1
    assert (permissions.asked.is_set(), permissions.granted.is_set()) == (True, False)
    assert not loop.listed.is_set(), "with other rights everything is listed anew"
    lacks.clear()
    await permissions.once()
    assert not made.store.denied
    assert permissions.granted.is_set()
