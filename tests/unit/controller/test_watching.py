"""The watches: kopf in a room of its own, which may end as it likes and is begun anew."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kopf
import pytest

from cni_upgrade.api import names
from cni_upgrade.controller import main, watching
from cni_upgrade.controller.login import login
from cni_upgrade.controller.store import Store
from cni_upgrade.kube.client import Client, connect
from tests.unit.controller.gate import Gate
from tests.unit.controller.kube_model import Made
from tests.unit.fleet.cluster_model import AGENTS, CONFIG, PROOF


async def becomes(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_kopf_s_watches_go_on_with_the_token_of_now(folder: Path, gate: type[Gate]) -> None:
    client = Client(api := await connect("test"))
    store = Store(CONFIG, "")
    watch = asyncio.create_task(watching.watch(store, lambda: None, login(api)))
    await becomes(lambda: "seen-as-first" in store.policies.items)
    (folder / "token").write_text("second")
    gate.valid = "second"
    gate.shown.clear()
    await becomes(lambda: gate.shown.count("second") > 3)
    # Each of its connections may have shown the old one once more, and none after that.
    after = len(gate.shown)
    await becomes(lambda: len(gate.shown) > after + 5)
    assert set(gate.shown[after:]) == {"second"}
    assert not watch.done()
    watch.cancel()
    await asyncio.wait([watch], timeout=20)
    assert watch.cancelled()
    await client.close()


async def test_nodes_are_listed_by_the_page(folder: Path, gate: type[Gate]) -> None:
    """5,000 nodes at once are 50 MB in memory before one of them is trimmed."""
    client = Client(api := await connect("test"))
    store = Store(CONFIG, "")
    watch = asyncio.create_task(watching.watch(store, lambda: None, login(api)))
    await becomes(lambda: "seen-as-first" in store.nodes.items)
    lists = [p for p in gate.paths if p.startswith("/api/v1/nodes") and "watch=" not in p]
    assert lists
    assert all("limit=500" in path for path in lists)
    watch.cancel()
    await asyncio.wait([watch], timeout=20)
    await client.close()


async def hear(store: Store, plural: str, kind: str | None, raw: Any) -> int:
    """What each handler of a kind makes of an event; answers how many took it in."""
    taken: list[bool] = []
    made = watching.registry(store, lambda news: taken.append(news()), lambda **_: None)  # type: ignore[arg-type]
    for handler in made._watching.get_all_handlers():
        if handler.selector is not None and handler.selector.any_name == plural:
            take: Any = handler.fn
            await take(type=kind, event={"type": kind, "object": raw})
    return len(taken)


def pod(namespace: str, component: str, version: int = 1) -> dict[str, Any]:
    labels = {names.LABEL_COMPONENT: component, "batch.kubernetes.io/job-name": "apply-0"}
    meta = {"name": "p", "namespace": namespace, "uid": "u", "labels": labels}
    return {"metadata": {**meta, "resourceVersion": str(version)}, "spec": {}, "status": {}}


@pytest.mark.parametrize(
    ("namespace", "component", "agents", "proofs"),
    [
        (AGENTS, "agent", 1, 0),
        (PROOF, "proof", 0, 1),
        # Who may create pods for proofs must not be able to answer for an agent.
        (PROOF, "agent", 0, 0),
        (AGENTS, "proof", 0, 0),
        ("default", "agent", 0, 0),
        (AGENTS, "", 0, 0),
    ],
)
async def test_a_pod_counts_in_its_own_namespace_alone(
    namespace: str, component: str, agents: int, proofs: int
) -> None:
    store = Store(CONFIG, "")
    assert await hear(store, "pods", "ADDED", pod(namespace, component)) == agents + proofs
    assert (len(store.agents.items), len(store.proofs.items)) == (agents, proofs)
    # Nor does a deletion there make one here forgotten.
    store.agents.put(pod(AGENTS, "agent"))
    await hear(store, "pods", "DELETED", pod(namespace, component, 2))
    assert len(store.agents.items) == (0 if agents else 1)


async def test_an_event_that_expires_says_nothing_new() -> None:
    """An hour after it was said the API server deletes it, and tells of that as of anything."""
    store = Store(CONFIG, "")
    event = {
        "metadata": {"name": "e", "uid": "e", "resourceVersion": "5"},
        "involvedObject": {"kind": "Pod", "uid": "u"},
        "type": "Warning",
        "reason": "Failed",
        "message": "image not found",
    }
    assert await hear(store, "events", "ADDED", event) == 1
    assert store.warnings == {"u": (5, "Failed: image not found")}
    store.warnings.clear()
    later = {**event, "metadata": {**event["metadata"], "resourceVersion": "99"}}  # type: ignore[dict-item]
    assert await hear(store, "events", "DELETED", later) == 0
    assert store.warnings == {}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kopf that gives up at the first refusal."""
    settings = watching.settings

    def impatient() -> kopf.OperatorSettings:
        made = settings()
        made.networking.error_backoffs = ()
        return made

    monkeypatch.setattr(watching, "settings", impatient)


@pytest.mark.usefixtures("hasty")
async def test_a_watch_that_is_refused_ends_with_a_reason_and_takes_nothing_with_it(
    gate: type[Gate],
) -> None:
    gate.status = 403
    client = Client(api := await connect("test"))
    mine = signal.getsignal(signal.SIGTERM)
    bystander = asyncio.create_task(asyncio.sleep(60))
    said = await watching.watch(Store(CONFIG, ""), lambda: None, login(api))
    assert said.startswith("APIForbiddenError: ")
    assert "\n" not in said
    assert not bystander.done(), "kopf ends every task of the loop that it runs in"
    assert signal.getsignal(signal.SIGTERM) == mine
    bystander.cancel()
    await client.close()


@pytest.mark.usefixtures("hasty")
async def test_watches_that_ended_begin_anew_after_a_look_at_the_rights(
    made: Made, gate: type[Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "AGAIN", 0.01)
    gate.status = 500
    client = Client(api := await connect("test"))
    granted = asyncio.Event()
    watch = asyncio.create_task(main._watch(client, made.store, made.loop, granted, login(api)))
    await asyncio.sleep(0.1)
    assert gate.shown == [], "nothing is watched before every right is there"
    granted.set()
    await asyncio.sleep(0.1)
    assert gate.shown == [], "nor before the kinds are served"
    await made.loop.resync()
    await becomes(client.doubted.is_set)
    assert not made.loop.listed.is_set(), "what was missed is listed first"
    gate.status = 200
    await made.loop.resync()
    await becomes(lambda: "seen-as-first" in made.store.policies.items)
    watch.cancel()
    await asyncio.wait([watch], timeout=20)
    await client.close()
