"""The pods of each Job are those of the shelf, whatever came and went, and the same if nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.controller.object_cache import ObjectCache
from cni_upgrade.controller.pods_by_job import PodsByJob
from cni_upgrade.planner.world.kubernetes_objects import Pod

NAMES, JOBS = ("a", "b", "c", "d"), ("audit-1", "audit-2", "apply-1")


def pod(name: str, job: str, version: int) -> dict[str, Any]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job, "controller": True}
    meta = {"name": name, "namespace": "agents", "uid": f"uid-{name}", "ownerReferences": [owner]}
    return {"metadata": {**meta, "resourceVersion": str(version)}, "status": {"phase": "Running"}}


NEWS = st.tuples(st.sampled_from(NAMES), st.sampled_from((*JOBS, None)), st.booleans())
"""The pod, its Job or None where it goes, and whether a pass follows."""


@given(news=st.lists(NEWS, max_size=20))
def test_the_pods_of_a_job_are_those_that_are_there(
    news: list[tuple[str, str | None, bool]],
) -> None:
    shelf = ObjectCache(Pod.of, lambda raw: str(raw["metadata"]["name"]))
    by_job = PodsByJob(shelf)
    for version, (name, job, read) in enumerate(news, 1):
        if job is None:
            shelf.keep_only([each for each in shelf.items if each != name], (), str(version))
        else:
            shelf.put(pod(name, job, version))
        if not read:
            continue
        found = dict(by_job.read())
        there = {name: each.job for name, each in shelf.items.items()}
        assert {each.name: job for job, pods in found.items() for each in pods} == there
        assert all(each is shelf.items[each.name] for pods in found.values() for each in pods)
        assert all(found.values())
        again = by_job.read()
        assert all(again[job] is pods for job, pods in found.items())


def test_a_pod_that_changes_keeps_its_place_beside_the_one_that_came_later() -> None:
    shelf = ObjectCache(Pod.of, lambda raw: str(raw["metadata"]["name"]))
    by_job = PodsByJob(shelf)
    for version, name in enumerate(("b", "a", "b"), 1):
        shelf.put(pod(name, "audit-1", version))
        by_job.read()
    assert [each.name for each in by_job.read()["audit-1"]] == ["b", "a"]


def test_a_job_keeps_its_place_when_its_pod_changes() -> None:
    """What compares two of these finds the few that differ at once then
    (planner/index/incremental.py)."""
    shelf = ObjectCache(Pod.of, lambda raw: str(raw["metadata"]["name"]))
    by_job = PodsByJob(shelf)
    for version, (name, job) in enumerate(
        (("b", "audit-2"), ("a", "audit-1"), ("b", "audit-2")), 1
    ):
        shelf.put(pod(name, job, version))
        by_job.read()
    assert list(by_job.read()) == ["audit-2", "audit-1"]
