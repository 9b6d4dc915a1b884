"""Objects that hold anything at all: each is an error of its own, never of who reads it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cni_upgrade.api import instant as times
from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.object_cache import ObjectCache
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.interface import Listed, Object
from cni_upgrade.planner.plan import plan
from cni_upgrade.planner.world.kubernetes_objects import Lease, Node
from tests.unit.controller.kube_model import Made, Memory
from tests.unit.controller.passes import becomes
from tests.unit.controller.test_informers import followed
from tests.unit.controller.test_object_cache import came
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.node_model import SimNode

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEYOND = "9999-12-31T23:59:59-05:00"
TIMES = (
    BEYOND,
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+05:00",
    "0001-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "-0001-12-31T19:00:00Z",
    "2026-01-01T00:00:00",
    "no time",
    "",
)
WRITTEN = {("metadata",), *(("metadata", key) for key in ("name", "uid", "resourceVersion"))}
RAW: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(TIMES),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=5,
)


def at_work(client: Client) -> Made:
    """A controller with a rollout before it."""
    made = Made(Memory(), client)
    cluster = made.kube.cluster
    for name in ("node-a", "node-b"):
        cluster.add_node(SimNode(name, "0.4.0"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    return made


async def not_understood(client: Client) -> tuple[Made, Object]:
    """A controller in the midst of a rollout, and the record of node-b as somebody edited it."""
    made = at_work(client)
    for _ in range(6):
        await made.pass_()
    cluster = made.kube.cluster
    ref = {"name": "cure", "uid": cluster.policy("cure")["metadata"]["uid"], "since": BEYOND}
    return made, cluster.api.patch("CNINodeState", "node-b", {"spec": {"policyRef": ref}})


async def worked(client: Client) -> list[tuple[str, Object]]:
    """What the API server holds after some passes, each object with the shelf that takes it."""
    made = at_work(client)
    seen: dict[tuple[str, str], tuple[str, Object]] = {}
    kinds = {
        "Node": "nodes",
        "Pod": "proofs",
        "Job": "jobs",
        "CNIUpgradePolicy": "policies",
        "CNINodeState": "states",
    }
    for _ in range(30):
        await made.pass_()
        for kind, shelf in kinds.items():
            for raw in made.kube.cluster.api.all(kind):
                seen[kind, raw["metadata"]["name"]] = (shelf, copy.deepcopy(raw))
    pod = next(raw for (kind, _), (_, raw) in seen.items() if kind == "Pod")
    seen["Pod", "of an agent"] = ("agents", pod)
    meta = {"name": "node-node-a", "uid": "1", "resourceVersion": "1"}
    spec = {"holderIdentity": "x", "renewTime": "2026-01-01T00:00:00Z", "leaseDurationSeconds": 60}
    seen["Lease", "x"] = ("leases", {"metadata": meta, "spec": spec})
    entry = {"time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {"f:annotations": {}}}}
    room = {**meta, "annotations": {"cniupgrade.dev/stop": "x"}, "managedFields": [entry]}
    seen["Namespace", "x"] = ("rooms", {"metadata": room})
    return list(seen.values())


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in an object; who it is and its version the API server writes."""
    if path and path not in WRITTEN:
        yield path
    members: Any = value.items() if isinstance(value, dict) else ()
    for key, each in enumerate(value) if isinstance(value, list) else members:
        yield from places(each, (*path, key))


def with_at(raw: Object, path: tuple[Any, ...], value: Any) -> Object:
    changed = copy.deepcopy(raw)
    at: Any = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


def is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and "T" in value and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def at(raw: Object, path: tuple[Any, ...]) -> Any:
    found: Any = raw
    for key in path:
        found = found[key]
    return found


def filled(objects: list[tuple[str, Object]]) -> ClusterStore:
    store = ClusterStore(CONFIG, "")
    for shelf, raw in objects:
        getattr(store, shelf).put(raw)
    return store


async def test_whatever_a_member_holds_the_object_is_read_or_named_and_a_plan_is_made_of_the_rest(
    client: Client,
) -> None:
    objects = await worked(client)

    @settings(max_examples=150)
    @given(st.data())
    def held(data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(objects) - 1))
        shelf_name, raw = objects[number]
        path = data.draw(st.sampled_from(sorted(places(raw), key=str)))
        hostile = with_at(raw, path, data.draw(RAW))
        store = filled([*objects[:number], *objects[number + 1 :]])
        shelf: ObjectCache[Any] = getattr(store, shelf_name)
        key = shelf.key_of(hostile)
        assert shelf.put(hostile)
        assert (key in shelf.items) != (key in shelf.unreadable)
        world = store.snapshot(NOW)
        # What the API server types itself is not held to make sense to the planner as well.
        if shelf_name in ("policies", "states") and path[0] in ("spec", "status"):
            plan(world)

    held()


async def test_whatever_time_stands_anywhere_a_plan_is_made(client: Client) -> None:
    objects = await worked(client)
    tried = 0
    for number, (shelf_name, raw) in enumerate(objects):
        for path in places(raw):
            if not is_time(at(raw, path)):
                continue
            for time in TIMES:
                store = filled([*objects[:number], *objects[number + 1 :]])
                getattr(store, shelf_name).put(with_at(raw, path, time))
                plan(store.snapshot(NOW))
                tried += 1
    assert tried > 200


@pytest.mark.parametrize("time", TIMES[:7])
def test_a_node_and_a_lease_with_a_time_beyond_all_calendars_are_read(time: str) -> None:
    meta = {"name": "n", "uid": "u"}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": time}
    node = Node.of({"metadata": meta, "status": {"conditions": [ready]}})
    assert node.ready == "True"
    assert node.ready_since in (times.EARLIEST, times.LATEST)
    held = Lease.of({"metadata": meta, "spec": {"renewTime": time, "leaseDurationSeconds": 9}})
    until = held.until()
    assert until is not None
    assert (until > NOW) == time.startswith(("9", "1")), "far ahead is valid, long ago is not"


async def test_an_object_that_cannot_be_read_ends_no_watch(client: Client) -> None:
    made, raw = await not_understood(client)
    async with followed(made) as heard:
        heard.listed.set()
        assert made.store.states.put(raw), "as the handler of kopf does it"
        assert "node-b" in made.store.states.unreadable
        made.kube.told["nodes"].append({"type": "ADDED", "object": {"metadata": {"name": "odd"}}})
        await becomes(lambda: heard.missed)
        assert "node-a" in made.store.states.items


async def test_such_a_record_is_left_alone_by_a_new_process_too_and_the_policy_says_so(
    client: Client,
) -> None:
    made, _ = await not_understood(client)
    made.kube.asked.clear()
    new = Made(made.kube, client)
    for _ in range(4):
        await new.pass_()
    assert ("create", "cninodestates", "node-b") not in made.kube.asked
    message = made.kube.cluster.policy("cure")["status"]["message"]
    assert "left alone, whose record is not understood" in message
    assert "spec.policyRef.since: expected a time that is in the years 1 to 9999" in message


async def test_a_list_goes_on_after_an_object_that_cannot_be_read() -> None:
    store = ClusterStore(CONFIG, "")
    meta = {"name": "n", "uid": "u", "resourceVersion": "5"}
    wrong = {"metadata": meta, "status": {"conditions": "none"}}
    right = {"metadata": {**meta, "name": "m", "uid": "v"}}
    await store.nodes.replace(came(Listed([wrong, right], "6")))
    assert list(store.nodes.items) == ["m"]
    assert "TypeError" in store.nodes.unreadable["n"].text
