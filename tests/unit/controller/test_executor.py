"""The executor: every refusal teaches it something, and no write is made on an old view."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cni_upgrade.api import names
from cni_upgrade.controller.executor import Executor
from cni_upgrade.kube import retry_after
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.resources import PODS
from cni_upgrade.planner.world import decisions as d
from cni_upgrade.planner.world.batch import Batch
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.snapshot import Eviction
from tests.unit.controller.kube_model import Made, silence
from tests.unit.controller.test_client import serving
from tests.unit.planner.cluster_model import AGENTS, PROOF
from tests.unit.planner.node_model import SimNode


@pytest.fixture
async def known(made: Made) -> Made:
    """A node with a record and a policy, all of it known."""
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "1.0.0"))
    cluster.apply_policy("cure", {"mode": "Audit"})
    await made.pass_()
    await made.loop.resync()
    made.kube.asked.clear()
    assert cluster.state("node-a") is not None
    return made


async def carry(made: Made, *decisions: d.Decision) -> bool:
    world = made.store.snapshot(made.kube.cluster.now)
    return await made.executor.carry_out([Batch("node-a", decisions)], world)


def set_status(**status: Any) -> d.SetStatus:
    return d.SetStatus(names.NODE_STATE_KIND, "node-a", status)


async def test_who_saw_an_older_record_does_not_write_and_reads_the_new_one(known: Made) -> None:
    api = known.kube.cluster.api
    api.patch("CNINodeState", "node-a", {"status": {"message": "by another"}}, sub="status")
    uncordon = d.Uncordon("node-a", "0")
    assert await carry(known, set_status(message="by us"), uncordon), "there is something to plan"
    assert known.kube.cluster.status("node-a")["message"] == "by another"
    assert known.store.states.items["node-a"].status.message == "by another"
    assert ("patch", "nodes", "node-a") not in known.kube.asked, "the turn ends with its intent"
    assert known.store.errors == {}, "to be second is no error"


async def test_a_cordon_on_an_old_view_is_refused_and_the_node_is_read(known: Made) -> None:
    cluster = known.kube.cluster
    seen = known.store.nodes.items["node-a"].resource_version
    cluster.cordon("node-a")
    assert await carry(known, d.Cordon("node-a", seen, "apply-0"))
    assert names.CORDONED_BY not in cluster.node("node-a")["metadata"].get("annotations", {})
    assert known.store.nodes.items["node-a"].unschedulable


async def test_a_record_that_is_gone_is_forgotten_at_once(known: Made) -> None:
    known.kube.cluster.api.remove("CNINodeState", "node-a")
    assert await carry(known, set_status(message="too late"))
    assert "node-a" not in known.store.states.items


async def test_a_job_that_is_there_already_is_read_and_not_sent_again(known: Made) -> None:
    body = {"metadata": {"name": "apply-0", "namespace": AGENTS}}
    there = known.kube.cluster.api.create("Job", body)
    assert await carry(known, d.CreateJob("apply-0", "node-a", body))
    assert known.store.jobs.items["apply-0"].uid == there["metadata"]["uid"]


async def test_what_was_deleted_already_is_forgotten(known: Made) -> None:
    api = known.kube.cluster.api
    for name in ("apply-0", "apply-1"):
        known.store.jobs.put(api.create("Job", {"metadata": {"name": name, "namespace": AGENTS}}))
    jobs = dict(known.store.jobs.items)
    for name in jobs:
        api.remove("Job", name, AGENTS)
    api.create("Job", {"metadata": {"name": "apply-1", "namespace": AGENTS}})
    for name, job in jobs.items():
        assert await carry(known, d.DeleteJob(name, job.uid))
    assert known.store.jobs.items == {}
    assert api.find("Job", "apply-1", AGENTS), "another one of that name stays"


async def test_a_proof_pod_that_is_to_go_stays_known_until_it_went(known: Made) -> None:
    api = known.kube.cluster.api
    body = {"metadata": {"name": "proof", "namespace": PROOF}, "spec": {"nodeName": "node-a"}}
    assert await carry(known, d.CreateProof("proof", "node-a", body))
    pod = known.store.proofs.items["proof"]
    assert await carry(known, d.DeleteProof("proof", pod.uid))
    assert known.store.proofs.items["proof"].deleting
    api.remove("Pod", "proof", PROOF)
    assert await carry(known, d.DeleteProof("proof", pod.uid))
    assert "proof" not in known.store.proofs.items


def _says(error: KubeError, verb: str) -> Callable[[str, str, str], KubeError | None]:
    return lambda asked, plural, name: error if asked == verb else None


DENIED = KubeError(409, "Conflict", "admission webhook denied the request")


async def test_a_conflict_that_stays_is_a_refusal_and_left_alone_for_longer_each_time(
    known: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("cni_upgrade.controller.write_conflicts.time.monotonic", lambda: clock[0])
    known.kube.refuse = _says(DENIED, "patch")
    said = [await carry(known, set_status(message="x")) for _ in range(3)]
    assert said == [True, True, False], "chance is no refusal"
    assert known.store.errors == {"node-a": DENIED.message}
    rests = []
    for _ in range(6):
        known.kube.asked.clear()
        began = clock[0]
        while not known.kube.writes():
            assert not await carry(known, set_status(message="x")), "nobody is waked by it"
            clock[0] += 1
        rests.append(clock[0] - began - 1)
    assert rests == [4, 7, 15, 31, 59, 59]
    known.kube.refuse = lambda verb, plural, name: None
    clock[0] += 60
    assert await carry(known, set_status(message="x"))
    assert known.store.errors == {}
    known.kube.refuse = _says(DENIED, "patch")
    assert await carry(known, set_status(message="x")), "counted from the start"


async def test_conflicts_over_different_writes_are_none_that_stays(known: Made) -> None:
    known.kube.refuse = _says(DENIED, "patch")
    version = known.store.nodes.items["node-a"].resource_version
    for _ in range(3):
        assert await carry(known, set_status(message="x"))
        assert await carry(known, d.Cordon("node-a", version, "apply-0"))
    assert known.store.errors == {}


@pytest.mark.parametrize("verb", ["create", "delete"])
async def test_what_is_denied_as_a_conflict_was_neither_there_nor_deleted(
    known: Made, verb: str
) -> None:
    body = {"metadata": {"name": "proof", "namespace": PROOF}, "spec": {"nodeName": "node-a"}}
    assert await carry(known, d.CreateProof("proof", "node-a", body))
    pod = known.store.proofs.items["proof"]
    known.kube.refuse = _says(DENIED, verb)
    other = {"metadata": {"name": "other", "namespace": PROOF}, "spec": {}}
    for _ in range(3):
        if verb == "create":
            await carry(known, d.CreateProof("other", "node-a", other))
        else:
            await carry(known, d.DeleteProof("proof", pod.uid))
    assert known.store.errors == {"node-a": DENIED.message}
    assert list(known.store.proofs.items) == ["proof"]


async def test_an_eviction_denied_as_a_conflict_is_not_asked_for_at_once_again(
    known: Made,
) -> None:
    known.kube.refuse = _says(DENIED, "evict")
    assert await carry(known, d.Evict("node-a", "default", "web", "web-uid"))
    assert known.store.evictions["web-uid"].blocked_by == DENIED.message


@pytest.mark.parametrize("status", [403, 422, 429, 500, 503])
async def test_a_refusal_is_told_in_the_next_message_until_it_is_over(
    known: Made, status: int
) -> None:
    known.kube.refuse = _says(KubeError(status, "Refused", "said the server"), "patch")
    assert not await carry(known, set_status(message="x"))
    assert known.store.errors == {"node-a": "said the server"}
    assert known.executor.refused["Refused"] == 1
    known.kube.refuse = lambda verb, plural, name: None
    assert await carry(known, set_status(message="x"))
    assert known.store.errors == {}


async def test_a_server_that_does_not_answer_is_asked_no_more(known: Made) -> None:
    known.kube.refuse = lambda verb, plural, name: silence()
    turns = [Batch(f"turn-{n}", (set_status(message="x"),)) for n in range(100)]
    world = known.store.snapshot(known.kube.cluster.now)
    assert not await known.executor.carry_out(turns, world)
    assert known.executor.silent
    assert len(known.kube.asked) <= 10, "as many as are asked at once"


async def test_what_was_planned_before_everything_was_stopped_is_not_begun(known: Made) -> None:
    made = {"metadata": {"name": AGENTS, "annotations": {names.STOP: "now"}}}
    space = known.kube.cluster.api.create("Namespace", made)
    turn = Batch("node-a", (set_status(message="one"), set_status(message="two")))
    world = known.store.snapshot(known.kube.cluster.now)
    whole = known.kube.patch

    async def thrown_meanwhile(*words: Any, **more: Any) -> Any:
        answer = await whole(*words, **more)
        known.store.rooms.put(space)
        return answer

    known.kube.patch = thrown_meanwhile  # type: ignore[method-assign]
    assert not await known.executor.carry_out([turn, turn], world)
    assert len(known.kube.writes()) == 1
    world = known.store.snapshot(known.kube.cluster.now)
    assert world.stopped == "now"
    assert await known.executor.carry_out([Batch("node-a", (set_status(message="x"),))], world)


def busy(known: Made, times: int, meanwhile: Callable[[], object]) -> list[str]:
    """The API server wants each write again later, so often; what is done in the first pause."""
    whole, told = known.kube.patch, list[str]()

    async def patch(*words: Any, **more: Any) -> Any:
        told.append(words[2])
        if len(told) > times:
            return await whole(*words, **more)
        if len(told) == 1:
            asyncio.get_running_loop().call_soon(meanwhile)
        error = KubeError(429, "TooManyRequests", "later")
        error.retry_after = 3600.0
        raise error

    known.kube.patch = patch  # type: ignore[method-assign]
    return told


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Retry-After says."""
    monkeypatch.setattr(retry_after, "LONGEST", 0.01)


@pytest.mark.usefixtures("soon")
async def test_what_the_api_server_is_too_busy_for_is_sent_again(known: Made) -> None:
    told = busy(known, 5, lambda: None)
    assert await carry(known, set_status(message="x"))
    assert len(told) == 6
    assert known.kube.cluster.status("node-a")["message"] == "x"
    assert known.store.errors == {}


@pytest.mark.usefixtures("soon")
async def test_what_the_api_server_is_too_busy_for_is_given_up_in_the_end(known: Made) -> None:
    told = busy(known, 99, lambda: None)
    assert not await carry(known, set_status(message="x"))
    assert len(told) == 6
    assert known.store.errors == {"node-a": "later"}


_BODY = {"metadata": {"name": "new"}}


@pytest.mark.parametrize(
    ("method", "decision"),
    [
        ("PATCH", d.Uncordon("node-a", "7")),
        ("PATCH", d.TakeLease("new", "7", _BODY)),
        ("POST", d.TakeLease("new", "", _BODY)),
        ("POST", d.CreateJob("new", "node-a", _BODY)),
        ("DELETE", d.DeleteJob("new", "uid")),
    ],
)
async def test_what_a_conflict_makes_us_read_of_a_busy_api_server_does_not_begin_the_write_anew(
    known: Made, tmp_path: Path, method: str, decision: d.Decision
) -> None:
    """The read is sent again as any is, six times in all: 36 would hold the whole pass up."""
    known.store.config = known.store.config.model_copy(update={"lease_namespace": "leases"})
    sent = Counter[str]()

    async def answer(request: web.Request) -> web.StreamResponse:
        sent[request.method] += 1
        busy = request.method == "GET" or sent[method] == 1
        return web.Response(
            status=429 if busy else 409, text='{"message":"no"}', headers={"Retry-After": "0"}
        )

    async with serving(answer, tmp_path) as client:
        known.executor = Executor(client, known.store, known.recorder)
        assert not await carry(known, decision)
    assert sent == {method: 2, "GET": 6}
    assert known.store.errors == {"node-a": "no"}


@pytest.mark.usefixtures("soon")
async def test_what_waits_to_be_sent_again_is_not_once_everything_was_stopped(known: Made) -> None:
    """But what ends it is: the next plan knows of the stop."""
    made = {"metadata": {"name": AGENTS, "annotations": {names.STOP: "now"}}}
    space = known.kube.cluster.api.create("Namespace", made)
    told = busy(known, 2, lambda: known.store.rooms.put(space))
    node = known.store.nodes.items["node-a"]
    cordon = d.Cordon("node-a", "cure", node.resource_version)
    assert not await carry(known, cordon)
    assert told == ["node-a"]
    assert await carry(known, set_status(message="not begun"))
    assert len(told) == 3
    assert not known.store.nodes.items["node-a"].unschedulable


@pytest.mark.usefixtures("soon")
async def test_what_waits_to_be_sent_again_is_not_in_another_term(known: Made) -> None:
    """Another replica may have led between, done it, and what comes after it."""
    told = busy(known, 1, known.executor.drop)
    assert not await carry(known, set_status(message="of term 1"))
    assert len(told) == 1


async def test_what_an_eviction_was_answered_is_kept(known: Made) -> None:
    cluster = known.kube.cluster
    cluster.budgets.add("web-node-a-0")
    [pod] = cluster.pods_on("node-a", "default")
    uid = pod["metadata"]["uid"]
    evict = d.Evict("node-a", "default", "web-node-a-0", uid)
    assert await carry(known, evict)
    assert "disruption budget" in known.store.evictions[uid].blocked_by
    cluster.budgets.clear()
    assert await carry(known, evict)
    assert known.store.evictions[uid].blocked_by == ""
    cluster.api.remove("Pod", "web-node-a-0", "default")
    assert await carry(known, evict), "who is gone need not be evicted"


def evictions(known: Made, *names_: str) -> list[d.Evict]:
    """A decision for each of these pods of node-a, which are there from now on."""
    for name in names_:
        known.kube.cluster.add_pod("node-a", name)
    pods = {p["metadata"]["name"]: p for p in known.kube.cluster.pods_on("node-a", "default")}
    return [d.Evict("node-a", "default", n, pods[n]["metadata"]["uid"]) for n in names_]


BUDGET = {"reason": "DisruptionBudget", "message": "The disruption budget web needs 1 healthy pods"}
BUSY = "Too many requests, please try again later."


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KubeError(429, "TooManyRequests", "Cannot evict pod", [BUDGET]), BUDGET["message"]),
        (KubeError(429, "HTTPError", BUSY), f"the API server is busy: {BUSY}"),
        (
            KubeError(429, "Denied", 'admission webhook "x" denied the request: no'),
            'admission webhook "x" denied the request: no',
        ),
        (KubeError(400, "Denied", "admission webhook denied it"), "admission webhook denied it"),
        (KubeError(403, "Forbidden", "the namespace is terminating"), "namespace is terminating"),
        (KubeError(422, "Invalid", "not so", [{"field": "spec"}]), "not so"),
        (KubeError(500, "InternalError", "an error on the server"), "an error on the server"),
        (KubeError(503, "Unavailable", "no endpoints for the webhook"), "no endpoints"),
    ],
    ids=lambda it: str(it.status) if isinstance(it, KubeError) else "",
)
async def test_one_eviction_that_is_refused_keeps_no_other_pod_from_being_asked(
    known: Made, error: KubeError, told: str
) -> None:
    a, b = evictions(known, "a", "b")
    known.kube.refuse = lambda verb, plural, name: error if name == "a" else None
    assert await carry(known, a, b)
    assert told in known.store.evictions[a.uid].blocked_by
    assert known.store.evictions[b.uid].blocked_by == ""
    assert known.store.errors == {}
    assert known.executor.refused == {error.reason: 1}
    assert known.executor.carried_out["Evict"] == 1, "the other one"


async def test_an_eviction_that_is_refused_is_not_logged_as_done(
    known: Made, caplog: pytest.LogCaptureFixture
) -> None:
    [a] = evictions(known, "a")
    caplog.set_level("INFO", "cni_upgrade.controller.executor")
    known.kube.refuse = _says(
        KubeError(429, "TooManyRequests", "Cannot evict pod", [BUDGET]), "evict"
    )
    assert await carry(known, a, set_status(message="goes on"))
    assert "Evict" not in caplog.text
    assert known.kube.cluster.status("node-a")["message"] == "goes on"


SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not"


def budget(known: Made, name: str, namespace: str = "default", **spec: Any) -> None:
    meta = {"name": name, "namespace": namespace}
    known.kube.cluster.api.create("PodDisruptionBudget", {"metadata": meta, "spec": spec})


async def several(known: Made, error: KubeError | None = None) -> Eviction:
    """What is kept of the answer for a pod that several budgets select."""
    [a] = evictions(known, "a")
    listed = await known.kube.list(PODS, fieldSelector="spec.nodeName=node-a")
    known.store.node_pods["node-a"] = tuple(Pod.of(raw) for raw in listed.items)
    says = {"evict": KubeError(500, "InternalError", SEVERAL), "list": error}
    known.kube.refuse = lambda verb, plural, name: says.get(verb)
    assert await carry(known, a)
    assert known.executor.refused == {"InternalError": 1}
    return known.store.evictions[a.uid]


async def test_several_budgets_of_one_pod_are_named(known: Made) -> None:
    web = {"matchLabels": {"app": "a"}}
    not_this = {"key": "app", "operator": "NotIn", "values": ["a"]}
    budget(known, "web", selector=web)
    budget(known, "all", selector={})
    budget(known, "none")
    budget(known, "others", selector={"matchExpressions": [not_this]})
    budget(known, "elsewhere", "kube-system", selector=web)
    answer = await several(known)
    assert "selects it (all, web)" in answer.blocked_by
    assert answer.wait.total_seconds() == 30, "nobody but a person ends it"


@pytest.mark.parametrize("status", [0, 403, 404, 500])
async def test_several_budgets_that_cannot_be_listed_are_told_of(known: Made, status: int) -> None:
    answer = await several(known, KubeError(status, "Refused", "not now"))
    assert answer.blocked_by == SEVERAL
    assert known.store.errors == {}


async def test_an_eviction_is_not_asked_again_before_the_api_server_wants_it(known: Made) -> None:
    [a] = evictions(known, "a")
    busy = KubeError(429, "TooManyRequests", BUSY)
    busy.retry_after = 40.0
    known.kube.refuse = _says(busy, "evict")
    assert await carry(known, a)
    assert known.store.evictions[a.uid].wait.total_seconds() == 40


async def test_an_eviction_without_an_answer_ends_its_own_turn_alone(known: Made) -> None:
    a, b = evictions(known, "a", "b")
    known.kube.refuse = lambda verb, plural, name: silence() if name == "a" else None
    world = known.store.snapshot(known.kube.cluster.now)
    after = Batch("node-a", (a, set_status(message="never")))
    assert not await known.executor.carry_out([after, Batch("node-b", (b,))], world)
    assert not known.executor.silent, "a webhook that hangs is not the API server's silence"
    assert known.store.evictions[a.uid].blocked_by == "no answer from the API server"
    assert known.store.evictions[b.uid].blocked_by == ""
    assert not [asked for asked in known.kube.writes() if asked[0] == "patch"]


async def test_slow_evictions_are_waited_for_side_by_side(known: Made) -> None:
    asked = evictions(known, "a", "b", "c")
    met = asyncio.Barrier(len(asked))
    whole = known.kube.evict

    async def slow(namespace: str, name: str, uid: str) -> None:
        async with asyncio.timeout(5):
            await met.wait()
        await whole(namespace, name, uid)

    known.kube.evict = slow  # type: ignore[method-assign]
    assert await carry(known, *asked)
    assert {known.store.evictions[each.uid].blocked_by for each in asked} == {""}


async def test_a_mistake_of_our_own_leaves_no_turn_behind(known: Made) -> None:
    """What is under way comes to its end: beside the next pass it would write by an old plan."""
    whole = known.kube.patch

    async def slow(*words: Any, **more: Any) -> Any:
        await asyncio.sleep(0.05)
        return await whole(*words, **more)

    known.kube.patch = slow  # type: ignore[method-assign]
    nobody = Batch("node-b", (object(),))  # type: ignore[arg-type]
    world = known.store.snapshot(known.kube.cluster.now)
    with pytest.raises(TypeError, match="nobody carries out"):
        await known.executor.carry_out([nobody, Batch("node-a", (set_status(message="x"),))], world)
    assert known.kube.cluster.status("node-a")["message"] == "x"
