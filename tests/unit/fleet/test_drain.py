"""Which pods are evicted: the filters of `kubectl drain`, one by one, and who is in the way."""

from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.api.policy import Drain
from cni_upgrade.fleet.drain import AT_ONCE, RETRY, DrainPlan, plan
from cni_upgrade.fleet.objects import Pod
from cni_upgrade.fleet.snapshot import Eviction
from tests.unit.fleet.samples import DELETED, NOW, pod

OURS = {"cni-upgrade-system", "cni-upgrade-agents", "cni-upgrade-proof"}
DEFAULT = Drain()
MIRROR = {"kubernetes.io/config.mirror": "x"}
BARE: dict[str, Any] = {"metadata": {"ownerReferences": None}}
SCRATCH: dict[str, Any] = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}


def planned(*pods: Pod, settings: Drain = DEFAULT, **evictions: Eviction) -> DrainPlan:
    return plan(pods, {f"{k}-uid": v for k, v in evictions.items()}, settings, OURS, NOW)


def owned(kind: str) -> dict[str, Any]:
    return {"metadata": {"ownerReferences": [{"kind": kind, "controller": True}]}}


@pytest.mark.parametrize(
    "left_alone",
    [
        pod(**owned("DaemonSet")),
        pod(**owned("DaemonSet"), spec=SCRATCH["spec"]),
        pod(metadata={"annotations": MIRROR, "ownerReferences": None}),
        pod(status={"phase": "Succeeded"}, **BARE),
        pod(status={"phase": "Failed"}, **SCRATCH),
        pod(namespace="cni-upgrade-proof", **BARE),
        pod(namespace="cni-upgrade-agents"),
        pod(namespace="cni-upgrade-system"),
    ],
    ids=[
        "daemonset",
        "daemonset-with-emptyDir",
        "mirror",
        "succeeded",
        "failed",
        "proof",
        "agent",
        "controller",
    ],
)
def test_left_alone(left_alone: Pod) -> None:
    assert planned(left_alone) == DrainPlan((), (), (), ())


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet", "Job", "ReplicationController"])
def test_a_pod_that_comes_back_elsewhere_is_evicted(kind: str) -> None:
    made = planned(pod(**owned(kind)))
    assert [p.name for p in made.evict] == ["web"]
    assert made.blockers == ("default/web is to be evicted",)


@pytest.mark.parametrize(
    ("patch", "word", "settings"),
    [
        (BARE, "spec.drain.force", Drain(force=True)),
        (SCRATCH, "spec.drain.deleteEmptyDirData", Drain(delete_empty_dir_data=True)),
    ],
)
def test_one_refusal_and_nothing_is_evicted(
    patch: dict[str, Any], word: str, settings: Drain
) -> None:
    pods = pod("good"), pod("bad", **patch)
    [refusal] = planned(*pods).refused
    assert refusal.startswith("default/bad")
    assert word in refusal
    assert planned(*pods).evict == ()
    assert [p.name for p in planned(*pods, settings=settings).evict] == ["good", "bad"]


def test_an_owner_that_does_not_control_is_none() -> None:
    made = planned(pod(metadata={"ownerReferences": [{"kind": "ReplicaSet"}]}))
    assert made.refused


@pytest.mark.parametrize("patch", [{}, BARE, SCRATCH])
def test_a_pod_that_is_leaving_is_waited_for_whatever_it_is(patch: dict[str, Any]) -> None:
    meta = {**DELETED, **patch.get("metadata", {})}
    made = planned(pod(**{**patch, "metadata": meta}))
    assert (made.refused, made.evict) == ((), ())
    assert made.blockers == ("default/web is terminating",)


def test_a_budget_is_asked_again_after_a_pause_and_named() -> None:
    answer = Eviction(NOW - RETRY + timedelta(seconds=1), "budget web allows no disruption")
    made = planned(pod(), web=answer)
    assert made.evict == ()
    assert made.blockers == ("default/web: budget web allows no disruption",)
    later = Eviction(NOW - RETRY, "budget web allows no disruption")
    assert len(planned(pod(), web=later).evict) == 1


def test_an_accepted_eviction_is_waited_for() -> None:
    made = planned(pod(), web=Eviction(NOW, ""))
    assert made.blockers == ("default/web is being evicted",)
    assert [p.name for p in made.remaining] == ["web"]


def test_a_budget_is_left_alone_for_as_long_as_the_api_server_says() -> None:
    answer = Eviction(
        NOW - timedelta(seconds=10), "is still being processed", timedelta(seconds=11)
    )
    assert planned(pod(), web=answer).evict == ()
    asked_before = Eviction(NOW - timedelta(seconds=11), answer.blocked_by, answer.wait)
    assert len(planned(pod(), web=asked_before).evict) == 1


def test_so_many_at_once_and_who_was_asked_before_comes_after_the_others() -> None:
    pods = [pod(f"p{number:02}") for number in range(AT_ONCE + 2)]
    kept = {f"p{number:02}": Eviction(NOW - number * RETRY, "kept") for number in (1, 2)}
    made = planned(*pods, settings=DEFAULT, **kept)
    assert [p.name for p in made.evict] == [p.name for p in pods if p.name not in kept]
    kept |= {p.name: Eviction(NOW, "") for p in made.evict}
    assert [p.name for p in planned(*pods, settings=DEFAULT, **kept).evict] == ["p02", "p01"]
