"""Which pods are evicted: the filters of `kubectl drain`, one by one, and who is in the way."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cni_upgrade.api.drain import Drain
from cni_upgrade.planner.node.pods_to_evict import AT_ONCE, RETRY, DrainPlan, plan
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.snapshot import Eviction
from tests.unit.planner.api_model import stamp
from tests.unit.planner.samples import DELETED, NOW, pod

OURS = {"cni-upgrade-system", "cni-upgrade-agents", "cni-upgrade-proof"}
DEFAULT = Drain()
MIRROR = {"kubernetes.io/config.mirror": "x"}
BARE: dict[str, Any] = {"metadata": {"ownerReferences": None}}
SCRATCH: dict[str, Any] = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}


def planned(*pods: Pod, settings: Drain = DEFAULT, **evictions: Eviction) -> DrainPlan:
    return plan(pods, {f"{k}-uid": v for k, v in evictions.items()}, settings, OURS, NOW)


def tried_again(
    *pods: Pod, held_by: tuple[str, ...] = ("web",), **evictions: Eviction
) -> DrainPlan:
    """The plan of a drain before which pods of these names held another one."""
    answers = {f"{k}-uid": v for k, v in evictions.items()}
    return plan(pods, answers, DEFAULT, OURS, NOW, {f"{name}-uid" for name in held_by})


def owned(kind: str) -> dict[str, Any]:
    return {"metadata": {"ownerReferences": [{"kind": kind, "controller": True}]}}


def daemon(there: bool | None = True, api: str = "apps/v1", **patch: Any) -> Pod:
    """A pod of a DaemonSet that is there, is gone, or that nobody has looked for."""
    owner = {"apiVersion": api, "kind": "DaemonSet", "name": "logs", "controller": True}
    meta = {"ownerReferences": [owner], **patch.get("metadata", {})}
    made = pod(**{**patch, "metadata": meta})
    return made if there is None else replace(made, orphaned=not there)


ENDED: dict[str, Any] = {"status": {"phase": "Succeeded"}}
FAILED: dict[str, Any] = {"status": {"phase": "Failed"}}
MIRRORED: dict[str, Any] = {"metadata": {"annotations": MIRROR, "ownerReferences": None}}
LEAVING: dict[str, Any] = {"metadata": {**DELETED, "ownerReferences": None}}
FORCE, DELETE, BOTH = (
    Drain(force=True),
    Drain(delete_empty_dir_data=True),
    Drain(force=True, delete_empty_dir_data=True),
)
NO_FORCE, NO_DELETE = "spec.drain.force", "spec.drain.deleteEmptyDirData"


@pytest.mark.parametrize(
    ("it", "settings", "comes_to"),
    [
        # daemonSetFilter
        (daemon(), DEFAULT, "stays"),
        (daemon(), BOTH, "stays"),
        (daemon(**SCRATCH), DEFAULT, "stays"),
        (daemon(there=False), DEFAULT, NO_FORCE),
        (daemon(there=False), FORCE, "evicted"),
        (daemon(there=False, **SCRATCH), FORCE, NO_DELETE),
        (daemon(there=False, **SCRATCH), BOTH, "evicted"),
        (daemon(**ENDED), DEFAULT, "evicted"),
        (daemon(None, **FAILED), DEFAULT, "evicted"),
        (daemon(there=False, **FAILED), DEFAULT, "evicted"),
        (
            daemon(None, api="apps.kruise.io/v1alpha1"),
            BOTH,
            "stays",
        ),  # ours: see planner/node/pods_to_evict.py
        # mirrorPodFilter
        (pod(**MIRRORED), BOTH, "stays"),
        (pod(**MIRRORED, **ENDED), BOTH, "stays"),
        (daemon(there=False, metadata={"annotations": MIRROR}), FORCE, "stays"),
        # localStorageFilter
        (pod(**SCRATCH), DEFAULT, NO_DELETE),
        (pod(**SCRATCH), FORCE, NO_DELETE),
        (pod(**SCRATCH), DELETE, "evicted"),
        (pod(**SCRATCH, **ENDED), DEFAULT, "evicted"),
        (pod(**SCRATCH, **FAILED), DEFAULT, "evicted"),
        (pod(**SCRATCH, **BARE), FORCE, NO_DELETE),
        # unreplicatedFilter
        (pod(**BARE), DEFAULT, NO_FORCE),
        (pod(**BARE), DELETE, NO_FORCE),
        (pod(**BARE), FORCE, "evicted"),
        (pod(**BARE, **ENDED), DEFAULT, "evicted"),
        (pod(**BARE, **FAILED), DEFAULT, "evicted"),
        (pod(**SCRATCH, **BARE), BOTH, "evicted"),
        # skipDeletedFilter is off by default; what is leaving is not refused: see
        # planner/node/pods_to_evict.py
        (pod(**LEAVING), DEFAULT, "waited for"),
        (pod(**LEAVING, **SCRATCH), DEFAULT, "waited for"),
        (daemon(metadata=DELETED), DEFAULT, "stays"),
        (daemon(there=False, metadata=DELETED), DEFAULT, "waited for"),
        # and no pod of ours, which kubectl does not know
        (pod(namespace="cni-upgrade-proof", **BARE), BOTH, "stays"),
        (pod(namespace="cni-upgrade-agents", **ENDED), BOTH, "stays"),
        (pod(namespace="cni-upgrade-system"), BOTH, "stays"),
    ],
)
def test_each_filter_of_kubectl(it: Pod, settings: Drain, comes_to: str) -> None:
    """What `kubectl drain --ignore-daemonsets` does: k8s.io/kubectl v0.34.4 pkg/drain/filters.go.

    spec.drain.force is its --force, deleteEmptyDirData its --delete-emptydir-data.
    """
    made = planned(it, settings=settings)
    if made.refused:
        assert (made.evict, made.remaining) == ((), ())
        assert comes_to in made.refused[0]
    else:
        told = "evicted" if made.evict else "waited for" if made.remaining else "stays"
        assert comes_to == told


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


KEPT = Eviction(NOW, "budget web allows no disruption")
IN_TIME: dict[str, Any] = {
    "metadata": {"deletionTimestamp": stamp(NOW + timedelta(seconds=30))},
}


def names(pods: tuple[Pod, ...]) -> list[str]:
    return [pod.name for pod in pods]


def test_who_held_the_last_drain_is_asked_first_and_nobody_else() -> None:
    made = tried_again(pod("api"), pod(), pod("db"))
    assert names(made.evict) == ["web"]
    assert made.blockers == (
        "default/web is to be evicted",
        "2 more are left alone until those go that held the last drain",
    )
    made = tried_again(pod("api"), pod(), web=KEPT)
    assert (made.evict, names(made.remaining)) == ((), ["api", "web"])
    assert made.blockers == (
        "default/web: budget web allows no disruption",
        "1 more is left alone until those go that held the last drain",
    )


@pytest.mark.parametrize("gone", [(), (pod(**IN_TIME),)])
def test_once_those_are_gone_or_going_the_others_are_asked(gone: tuple[Pod, ...]) -> None:
    assert names(tried_again(pod("api"), *gone, pod("db")).evict) == ["api", "db"]


def test_all_that_held_it_have_to_give_way() -> None:
    made = tried_again(pod("api"), pod(**IN_TIME), pod("db"), held_by=("web", "db"), db=KEPT)
    assert made.evict == ()
    assert made.blockers[:2] == (
        "default/db: budget web allows no disruption",
        "default/web is terminating",
    )


def test_one_that_hangs_on_its_way_out_holds_the_drain_again() -> None:
    hangs = pod(metadata=DELETED)
    assert tried_again(pod("api"), hangs).evict == ()
    assert names(planned(pod("api"), hangs).evict) == ["api"], "a first try asks everybody"


def test_a_pod_of_the_same_name_that_came_later_held_nothing() -> None:
    made = tried_again(pod("api"), pod(metadata={"uid": "another"}))
    assert names(made.evict) == ["api", "web"]


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_a_pod_that_does_not_run_is_missed_by_nobody(phase: str) -> None:
    """It may be what keeps the budget from being met: here it cannot start, elsewhere it could."""
    idle = pod("api", status={"phase": phase})
    assert names(tried_again(idle, pod("db"), pod(), web=KEPT).evict) == ["api"]


def test_so_many_at_once_of_those_that_held_it() -> None:
    held = [f"p{number:02}" for number in range(AT_ONCE + 2)]
    made = tried_again(pod("api"), *map(pod, held), held_by=tuple(held))
    assert names(made.evict) == held[:AT_ONCE]


def test_who_holds_a_drain_is_who_is_left_and_was_asked() -> None:
    assert planned(pod("api"), pod()).holders == ("api-uid", "web-uid")
    assert tried_again(pod("api"), pod(), web=KEPT).holders == ("web-uid",)
    assert tried_again(pod("api"), pod(**IN_TIME)).holders == ("api-uid", "web-uid")
    assert tried_again(pod("api", **BARE), pod()).holders == (), "nobody was asked"
