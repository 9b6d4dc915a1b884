"""Every right that is missing, one at a time: one condition names it, and nothing else is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import NODES, POLICIES, Resource
from cni_upgrade.kube.rights import Right, missing, needed
from tests.unit.controller.kube_model import Made
from tests.unit.planner.cluster_model import AGENTS, CONFIG, PROOF
from tests.unit.planner.node_model import SimNode

LEASES = "medik8s-leases"
SPACES = (CONFIG.namespaces.system, AGENTS, PROOF, LEASES)
RIGHTS = tuple(needed(*SPACES))
SILENT = Right("patch", POLICIES, sub="status")
"""Without it there is nowhere to say so but the log, the metric and the readiness."""


async def take(made: Made, right: Right) -> None:
    """The API server refuses it from now on, and the controller has asked what it may do."""

    async def allowed(
        verb: str, resource: Resource, namespace: str | None, sub: str = "", name: str = ""
    ) -> bool:
        return Right(verb, resource, namespace, sub, name) != right

    made.kube.allowed = allowed  # type: ignore[method-assign]
    if right != replace(SILENT, sub=""):  # the port in memory tells no subresource apart
        verb = "evict" if right.sub == "eviction" else right.verb
        made.kube.refuse = lambda said, plural, name: (
            KubeError(403, "Forbidden", f"you may not {right}")
            if (said, plural) == (verb, right.resource.plural)
            else None
        )
    made.store.denied = tuple(str(lacking) for lacking in await missing(made.kube, *SPACES))


def stalled(made: Made) -> list[str]:
    """What the condition Stalled of the policy says; nothing where it has none."""
    [policy] = made.kube.cluster.api.all("CNIUpgradePolicy")
    conditions = policy.get("status", {}).get("conditions", [])
    return [
        c["message"]
        for c in conditions
        if c["type"] == "Stalled" and c["reason"] == "PermissionDenied"
    ]


def counted(made: Made) -> bool:
    return b"\ncni_upgrade_missing_rights 1.0\n" in made.metrics.page()


@pytest.mark.parametrize("begun", [False, True], ids=["from the start", "under way"])
@pytest.mark.parametrize("right", RIGHTS, ids=str)
async def test_one_that_is_missing_is_named_by_one_condition(
    made: Made, right: Right, begun: bool
) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", None))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    for _ in range(4 if begun else 0):
        await made.pass_()
    await take(made, right)
    made.kube.asked.clear()
    await made.pass_()
    assert counted(made)
    written = {plural for verb, plural, _ in made.kube.writes() if not verb.startswith("may")}
    assert written <= {"cniupgradepolicies", "events"}, "nothing is done on half a view"
    if right == SILENT or (right == Right("list", POLICIES) and not begun):
        assert stalled(made) == []
        return
    [text] = stalled(made)
    assert text.startswith(f"the API server refuses the operator: {right}; see manifests/rbac")
    cluster.tick()
    made.kube.asked.clear()
    await made.loop.resync()
    await made.loop.once()
    assert not [w for w in made.kube.writes() if not w[0].startswith("may")], "it is said once"


async def test_the_right_is_there_again(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", None))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    await take(made, Right("patch", NODES))
    await made.pass_()
    assert stalled(made)
    made.kube.refuse, made.store.denied = lambda verb, plural, name: None, ()
    for _ in range(40):
        await made.pass_()
    assert stalled(made) == []
    assert cluster.status("node-a")["phase"] == "Done"
