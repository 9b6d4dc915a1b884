"""The controller as a process behind a network that fails in every way that we could think of."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.api import names
from cni_upgrade.controller import informers, kopf_handlers
from cni_upgrade.controller.cluster_store import ClusterStore
from cni_upgrade.controller.controller import Controller as Parts
from cni_upgrade.controller.informers import Informers, kinds
from cni_upgrade.kube import client as clients
from cni_upgrade.kube.client import Client, connect
from tests.api import objects
from tests.api.controllers import POLICIES, STATES, Controller, World, check_cured
from tests.api.nodes import JOBS, NODES, Fleet, add_node
from tests.api.proxy import Asked, Deed, Proxy, status_of, wait
from tests.api.spaces import AGENTS, PROOF, pods
from tests.api.waiting import eventually
from tests.unit.controller.under_kopf import running
from tests.unit.planner.cluster_model import CONFIG

TWO = {"maxUnavailable": 2, "maxParallel": 2}
KINDS = f"/apis/{names.API_VERSION}"
KOPF = {POLICIES, STATES, JOBS}
PAIR = ["node-a", "node-b"]
WON, LOST = "this replica leads from now on", "this replica leads no more"


def check_end(world: World, fleet: Fleet, before: int) -> None:
    """Every node is cured, once and by one agent, and told of once."""
    check_cured(world, fleet, before)
    for node in fleet.disks:
        assert [e["kind"] for e in world.status(node)["history"]] == ["apply"]


def codes(it: Controller) -> Counter[str]:
    """Answers by their HTTP status, as the metrics count them."""
    found: Counter[str] = Counter()
    for line in it.get(it.metrics, "/metrics")[1].splitlines():
        if line.startswith("cni_upgrade_api_requests_total{"):
            code = line.partition('code="')[2].partition('"')[0]
            found[code] += int(float(line.rpartition(" ")[2]))
    return found


FAULTS: dict[str, Callable[[], Deed]] = {
    "429": lambda: status_of(429, retry_after=1),
    "500": lambda: status_of(500),
    "503": lambda: status_of(503, retry_after=1),
    "409": lambda: status_of(409),
    "dropped": lambda: Deed(drop=True),
    "lost": lambda: Deed(lose=True),
    "slow": lambda: Deed(before=wait(0.7)),
    "late": lambda: Deed(after=wait(0.7)),
}


def test_everything_at_once(world: World, fleet: Fleet, proxy: Proxy, through: Path) -> None:
    everything(world, fleet, proxy, through, seed=1)


def everything(world: World, fleet: Fleet, proxy: Proxy, through: Path, seed: int) -> None:
    """Of each six requests that are no watches one fails, each time in another way."""
    random = Random(seed)  # noqa: S311
    happened: Counter[str] = Counter()
    fates: list[bool] = []
    lock = threading.Lock()

    def fault(asked: Asked) -> Deed | None:
        with lock:
            quiet = asked.watch or "/leases/" in asked.path or "accessreviews" in asked.path
            if quiet:
                return None
            if not fates:
                fates.extend(random.sample((True, *5 * (False,)), 6))
            if not fates.pop():
                return None
            # What is read meets no conflict.
            kind = random.choice(sorted(FAULTS if asked.write else FAULTS.keys() - {"409"}))
            happened[kind] += 1
        return FAULTS[kind]()

    fleet.add(world.api, *PAIR)
    before = len(world.writes())
    with world.controller(through) as it:
        eventually(lambda: it.get(it.metrics, "/readyz")[0] == 200, "it is ready")
        # An answer that breaks off while kopf looks for its kinds ends the process: below.
        eventually(lambda: {a.path for a in proxy.asked if a.watch} >= KOPF, "kopf follows")
        proxy.fault = fault
        world.policy(rollout=TWO)
        check_end(world, fleet, before)
        assert it.process.poll() is None
        counted = codes(it)
        print(f"\nseed {seed}: {sum(happened.values())} faults {dict(happened)}; {dict(counted)}")
        assert sum(happened.values()) >= 5
        # kopf's requests are not counted, and fail as well.
        assert sum(counted[code] for code in ("0", "409", "429", "500", "503")) > 0


def test_an_answer_that_breaks_off_at_the_start(
    world: World, fleet: Fleet, proxy: Proxy, through: Path
) -> None:
    """The process ends, its last line says why, and its next start does the work."""
    fleet.add(world.api, "node-a")
    proxy.fault = lambda asked: Deed(lose=True) if asked.path == KINDS else None
    with world.controller(through, traceback=True) as it:
        assert it.process.wait(60) == 1
        assert "an answer of the API server broke off" in it.log.splitlines()[-1]
    proxy.fault = lambda asked: None
    with world.controller(through):
        world.policy(mode="Audit")
        world.await_reason("Audited")


def test_retry_after_is_kept_to(world: World, fleet: Fleet, proxy: Proxy, through: Path) -> None:
    at: list[float] = []

    def busy(asked: Asked) -> Deed | None:
        if not (asked.method == "POST" and asked.path == JOBS):
            return None
        at.append(time.monotonic())
        return status_of(429, retry_after=2) if len(at) <= 2 else None

    fleet.add(world.api, "node-a")
    proxy.fault = busy
    with world.controller(through):
        world.policy(mode="Audit")
        world.await_reason("Audited")
    assert [round(b - a) for a, b in itertools.pairwise(at)] == [2, 2]
    assert len(at) == 3


def test_a_watch_that_is_too_old_begins_anew(
    world: World, fleet: Fleet, proxy: Proxy, through: Path
) -> None:
    """410, in the API server's own words: what happened meanwhile is listed."""
    old: Counter[str] = Counter()

    def fault(asked: Asked) -> Deed | None:
        if asked.watch and old[asked.path] < 2:
            old[asked.path] += 1
            return Deed(expired=True)
        return None

    world.restart_api()  # what it was told before it began is what it does not know
    proxy.fault = fault
    before = len(world.writes())
    fleet.add(world.api, *PAIR)
    with world.controller(through):
        world.policy(rollout=TWO)
        check_end(world, fleet, before)
    followed = {NODES, STATES, JOBS, pods(AGENTS), pods(PROOF), POLICIES}
    assert followed <= proxy.expired, "each of them was to be told"


async def test_a_watch_that_dies_without_a_word_is_noticed(
    world: World, proxy: Proxy, through: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that brings nothing for 90 s, bookmarks included, is begun anew; here after 2 s."""
    monkeypatch.setattr(clients, "_QUIET", 2.0)
    client = Client(await connect("test", str(through)))
    store = ClusterStore(CONFIG, "")

    async def follow() -> None:
        listed = asyncio.Event()

        async def ready() -> None:
            if not listed.is_set():
                for kind in kinds(store):
                    await kind.replace(client)
                listed.set()

        await Informers(client, store, lambda: None, listed.clear, ready).run()

    def late() -> None:
        add_node(world.api, "node-late")

    try:
        await _heard_when_it_lives(
            proxy, NODES, follow(), late, lambda: "node-late" in store.nodes.items
        )
    finally:
        await client.close()


async def test_a_dead_watch_of_policies_is_noticed(
    world: World, proxy: Proxy, through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kopf gives a stream up that brings nothing for 70 s, bookmarks included; here for 2 s."""
    monkeypatch.setattr(kopf_handlers, "QUIET", 2.0)
    monkeypatch.setattr(Parts, "start", lambda _: None)
    found: list[Parts] = []

    async def watch() -> None:
        async with running(tmp_path, through) as (parts, task, _):
            found.append(parts)
            await task

    await _heard_when_it_lives(
        proxy,
        POLICIES,
        watch(),
        world.policy,
        lambda: bool(found and found[0].store.policies.items),
    )


async def test_warnings_are_not_read_again_where_etcd_has_forgotten_the_last_one(
    world: World, through: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """etcd forgets what is five minutes old, and no bookmark tells a watch of Events of later."""
    monkeypatch.setattr(informers, "LISTEN", 1)
    monkeypatch.setattr(informers, "PAUSES", (0.1,))
    store = ClusterStore(CONFIG, "")
    told: list[str] = []
    hear = store.warnings.hear

    def heard(event: Any) -> bool:
        told.append(event["metadata"]["name"])
        return hear(event)

    monkeypatch.setattr(store.warnings, "hear", heard)
    path = f"/api/v1/namespaces/{AGENTS}/events"

    def warn(name: str) -> None:
        world.api.create(path, objects.warning(AGENTS, name))

    async def watched(times: int) -> None:
        before = len(proxy.asked)
        async with asyncio.timeout(60):
            while sum(a.watch and a.path == path for a in proxy.asked[before:]) < times:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def ready() -> None:
        """All was listed."""

    client = Client(await connect("test", str(through)))
    follower = Informers(client, store, lambda: None, lambda: None, ready)
    # Told in the order of their names, which is not that in which they happened.
    for name in ("later", "earlier"):
        await asyncio.to_thread(warn, name)
    running = asyncio.create_task(follower.run())
    try:
        await watched(1)
        for name in ("a", "b", "c"):  # something happens, and it is no Warning
            await asyncio.to_thread(world.policy, name)
        forgotten = world.plane.etcd("kv/range", key="AA==")["header"]["revision"]
        await watched(3)
        world.plane.etcd("kv/compaction", revision=forgotten, physical=True)
        await watched(2)
        assert sorted(told) == ["earlier", "later"]
        await asyncio.to_thread(warn, "new")
        async with asyncio.timeout(10):
            while "new" not in told:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert told.count("new") == 1
    finally:
        running.cancel()
        await asyncio.wait([running])
        await client.close()
        await asyncio.to_thread(world.api.request, "DELETE", path)


async def _heard_when_it_lives(
    proxy: Proxy,
    path: str,
    watch: Coroutine[Any, Any, Any],
    happen: Callable[[], object],
    heard: Callable[[], bool],
) -> None:
    """A connection that died stays dead: what happened is heard by the watch that follows it."""
    dead = 10**9  # requests up to this one; at first all
    proxy.fault = lambda asked: Deed(mute=lambda: asked.path == path and asked.number <= dead)
    running = asyncio.create_task(watch)
    try:
        async with asyncio.timeout(20):
            while not any(a.watch and a.path == path for a in proxy.asked):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.to_thread(happen)
        await asyncio.sleep(1)
        assert not heard()
        dead = len(proxy.asked)
        async with asyncio.timeout(15):
            while not heard():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.wait([running])


def test_an_api_server_that_answers_nothing(
    world: World, fleet: Fleet, proxy: Proxy, through: Path
) -> None:
    """Requests hang, the lease runs out, nothing is written; then it goes on."""
    fleet.add(world.api, *PAIR)
    before = len(world.writes())
    hang = threading.Event()
    fleet.hold = lambda operation: operation.kind == "apply" and not hang.is_set()
    with world.controller(through) as it:
        world.policy(rollout=TWO)
        eventually(lambda: world.status("node-a").get("reason") == "Apply", "it is at work")
        answers = threading.Event()
        # A busy machine may have cost it the lease before, and may again.
        lost = it.log.count(LOST)
        proxy.fault = lambda asked: Deed(drop=True, before=lambda: answers.wait(60))
        eventually(lambda: it.log.count(LOST) > lost, "it leads no more")
        hang.set()
        written, won = len(world.writes()), it.log.count(WON)
        time.sleep(2)
        assert len(world.writes()) == written
        assert it.log.count(WON) == won, "who is told nothing does not lead"
        assert it.get(it.health, "/healthz")[0] == 200, "a restart of ours would help nobody"
        proxy.fault = lambda asked: None
        answers.set()
        check_end(world, fleet, before)
        assert it.log.count(WON) > won, "it leads again"
        assert "no answer from the API server" in it.log or "no answer within" in it.log


def test_a_write_that_arrives_when_another_one_leads_is_refused(
    world: World, fleet: Fleet, proxy: Proxy, through: Path
) -> None:
    """A request that the network kept for long: the version that it carries is old."""
    fleet.add(world.api, *PAIR)
    before = len(world.writes())
    kept, arrived = threading.Event(), threading.Event()

    def keep(asked: Asked) -> Deed | None:
        if kept.is_set():
            return Deed(drop=True)  # it is cut off
        if asked.method == "PATCH" and asked.path.startswith(STATES):
            kept.set()
            return Deed(before=lambda: arrived.wait(60))
        return None

    with world.controller(through) as one:
        eventually(lambda: world.leader() == one.name, "the first one leads")
        eventually(lambda: one.get(one.metrics, "/readyz")[0] == 200, "it is ready")
        proxy.fault = keep
        world.policy(rollout=TWO)
        eventually(kept.is_set, "a write of it is kept")
        with world.controller() as two:
            eventually(lambda: world.leader() == two.name, "the second one leads")
            check_end(world, fleet, before)
            # The last counts follow a moment later.
            settled = world.settled()
            arrived.set()
            eventually(lambda: len(world.writes()) > settled, "it arrives")
            late = world.writes()[settled:]
            assert [(verb, code) for verb, _, _, code in late] == [("patch", 409)]
            time.sleep(1)
            check_end(world, fleet, before)


def test_records_that_are_edited_or_deleted_are_made_anew(world: World, fleet: Fleet) -> None:
    fleet.add(world.api, *PAIR)
    with world.controller():
        world.policy(rollout=TWO)
        world.await_reason("Enforced")
        fresh = {n: world.status(n) for n in PAIR}
        uid = world.api.request("GET", f"{STATES}/node-a").body["metadata"]["uid"]
        # Its status emptied, its label and its node's identity changed, and the record gone.
        edits = [
            ("PATCH", f"{STATES}/node-a/status", {"status": {"phase": "Failed", "observed": None}}),
            ("PATCH", f"{STATES}/node-a", {"metadata": {"labels": {names.LABEL_POLICY: "x"}}}),
            ("PATCH", f"{STATES}/node-b", {"spec": {"nodeUID": "another"}}),
            ("DELETE", f"{STATES}/node-a", None),
        ]
        for method, path, body in edits:
            if method == "DELETE":
                world.api.request("DELETE", path)
            else:
                world.api.patch(path, body)

            def healed() -> bool:
                found = {n: world.api.request("GET", f"{STATES}/{n}") for n in PAIR}
                return all(
                    answer.ok
                    and answer.body["metadata"].get("labels", {}).get(names.LABEL_POLICY) == "cure"
                    and (answer.body["status"].get("phase") in ("Done", "Compatible"))
                    and not answer.body["status"].get("operation")
                    and answer.body["status"].get("found") == fresh[n]["found"]
                    for n, answer in found.items()
                )

            time.sleep(0.5)
            eventually(healed, f"{method} {path} is healed")
        now = world.api.request("GET", f"{STATES}/node-a").body["metadata"]["uid"]
        assert now != uid
        world.await_reason("Enforced")
    assert [len(d.writes) for d in fleet.disks.values()] == [1, 1], "and no file was touched again"


def test_an_upgrade_of_the_operator_in_the_middle_runs_no_node_twice(
    world: World, fleet: Fleet
) -> None:
    """A process with another configuration goes on with the node that the last one has begun.

    The admission policy knows one agent image, so the configuration differs in that of proofs; that
    the agent's is part of no operation is in tests/unit/planner/node/test_operations.py.
    """
    fleet.add(world.api, "node-a", "node-b", "node-c")
    before = len(world.writes())
    newer = world.folder / "newer.yaml"
    newer.write_text(f"{world.config.read_text()}\nproofImage: example.com/p:2\n")
    begun: list[str] = []

    def second(operation: Operation) -> bool:
        """Whose audit is answered first goes first: the one after it is held at its work."""
        if operation.kind == "apply" and operation.node not in begun:
            begun.append(operation.node)
        return operation.node in begun[1:] and operation.kind == "apply"

    fleet.hold = second
    world.policy()
    with world.controller() as old:
        eventually(lambda: len(begun) == 2, "one is done and another one at work", 60)
        eventually(lambda: world.status(begun[0])["phase"] == "Done", "the record says so")
        old.end()
    with world.controller(config=newer) as it:
        eventually(lambda: it.get(it.metrics, "/readyz")[0] == 200, "the new one is ready")
        fleet.hold = lambda operation: False
        check_end(world, fleet, before)
    audits = Counter(name for name in fleet.agents if name.startswith("audit-"))
    assert sorted(audits.values()) == [1, 1, 1], "nor is any looked at again"
