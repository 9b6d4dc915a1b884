"""The watches: kopf in a room of its own, which may end as it likes and is begun anew."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import kopf
import pytest

from cni_upgrade.controller import main, watching
from cni_upgrade.controller.login import login
from cni_upgrade.controller.store import Store
from cni_upgrade.kube.client import Client, connect
from tests.unit.controller.gate import Gate
from tests.unit.controller.kube_model import Made
from tests.unit.controller.passes import becomes
from tests.unit.fleet.cluster_model import CONFIG


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
