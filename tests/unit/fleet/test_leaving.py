"""A deleted policy that gives back: which nodes it asks about, of which no record says anything."""

from __future__ import annotations

from typing import Any

import pytest

from cni_upgrade.api.names import FINALIZER
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.fleet.decisions import SetFinalizers, SetStatus
from cni_upgrade.fleet.leaving import all_leaving, turns
from cni_upgrade.fleet.snapshot import Snapshot
from tests.unit.fleet.api_model import merged, stamp
from tests.unit.fleet.cluster_model import CONFIG
from tests.unit.fleet.samples import NOW, node, policy, state

HELD: dict[str, Any] = {"finalizers": [FINALIZER]}
DELETED: dict[str, Any] = {"deletionTimestamp": stamp(NOW)}


def made(name: str = "cure", meta: Any = (), **spec: Any) -> CNIUpgradePolicy:
    return parse_policy(merged(policy(name, **spec).to_api(), {"metadata": dict(meta)}))


def zone(name: str) -> dict[str, Any]:
    return {"nodeSelector": {"matchLabels": {"zone": name}}}


def world(*policies: CNIUpgradePolicy, **states: Any) -> Snapshot:
    """Node-a of zone a, without a record unless one is given."""
    return Snapshot(
        now=NOW,
        config=CONFIG,
        policies={each.metadata.name: each for each in policies},
        nodes={"node-a": node(zone="a")},
        states={each.metadata.name: each for each in states.values()},
    )


@pytest.mark.parametrize(
    ("other", "asked"),
    [
        (made("other", **zone("a")), 0),
        (made("other", **zone("b")), 1),
        (made("other", mode="Audit", **zone("a")), 1),
        (made("other", DELETED, **zone("a")), 1),
    ],
)
def test_a_node_on_which_another_policy_acts_is_not_asked_about(
    other: CNIUpgradePolicy, asked: int
) -> None:
    seen = world(made(meta=HELD | DELETED, deletionPolicy="Restore"), other)
    [turn] = turns(seen, all_leaving(seen))
    [said] = turn.decisions
    assert isinstance(said, SetStatus)
    counts = said.status["restore"]
    assert (counts["nodes"], counts["waiting"]) == (asked, asked)


@pytest.mark.parametrize("others", [(), (made("other", **zone("b")),)])
def test_a_policy_that_acts_no_more_is_held_while_a_node_is_without_a_record(others: Any) -> None:
    """A record that was lost is not nothing: what the policy wrote may stand there."""
    audits = made(meta=HELD, mode="Audit", deletionPolicy="Restore")
    assert list(turns(world(audits, *others), {})) == []
    looked_at = state(verdict="Compatible")
    [turn] = turns(world(audits, *others, a=looked_at), {})
    assert turn.decisions == (SetFinalizers("cure", "", ()),)
    [turn] = turns(world(audits, made("next", **zone("a"))), {})
    assert turn.decisions == (SetFinalizers("cure", "", ()),)


def test_a_policy_that_never_acted_is_not_held_for_a_node_without_a_record() -> None:
    audits = made(mode="Audit", deletionPolicy="Restore")
    assert list(turns(world(audits), {})) == []
