"""kopf runs the process: its watches are patient, and what it hands on reaches the store."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from cni_upgrade.controller import kopf_handlers
from cni_upgrade.kube.resources import POLICIES
from tests.unit.controller.gate import Gate
from tests.unit.controller.passes import becomes
from tests.unit.controller.under_kopf import running


async def test_watches_go_on_with_the_token_of_now(folder: Path, gate: type[Gate]) -> None:
    async with running(folder) as (controller, task, _):
        await becomes(lambda: "seen-as-first" in controller.store.policies.items)
        (folder / "token").write_text("second")
        gate.valid = "second"
        gate.shown.clear()
        await becomes(lambda: gate.shown.count("second") > 3)
        # Each connection may have shown the old token once more, and none after that.
        after = len(gate.shown)
        await becomes(lambda: len(gate.shown) > after + 5)
        assert set(gate.shown[after:]) == {"second"}
        assert not task.done()


async def test_a_refused_list_is_asked_again(
    folder: Path, gate: type[Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = kopf_handlers.Backoffs(first=(), then=0.01)
    monkeypatch.setattr(kopf_handlers, "Backoffs", lambda: hasty)
    gate.status = 403
    async with running(folder) as (controller, task, _):
        lists = f"/apis/{POLICIES.group}"
        await becomes(lambda: sum(lists in path for path in gate.paths) > 12)
        assert not task.done(), "a right that is missing ends no process"
        gate.status = 200
        await becomes(lambda: "seen-as-first" in controller.store.policies.items)


async def test_the_probe_says_that_the_loop_hangs(
    folder: Path, gate: type[Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = [""]
    async with running(folder) as (controller, _, port), aiohttp.ClientSession() as session:
        monkeypatch.setattr(controller.loop, "alive", lambda: trouble[0])
        url = f"http://127.0.0.1:{port}/healthz"

        async def answers(status: int) -> None:
            for _ in range(200):  # kopf asks its probes again after ten seconds
                with suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if answer.status == status:
                            return
                await asyncio.sleep(0.1)
            pytest.fail(f"no answer with {status}")

        await answers(200)
        trouble[0] = "the loop has not moved for 121 s"
        await answers(500)


async def test_a_new_list_of_kopf_asks_for_ours(folder: Path, gate: type[Gate]) -> None:
    async with running(folder) as (controller, _, _):
        kind, at = POLICIES, controller.listed_at
        at.clear()
        assert not kopf_handlers._relisted(controller, kind), "the first one"
        assert not kopf_handlers._relisted(controller, kind), "the same list"
        at[kind.plural] -= kopf_handlers.RELISTED + 1
        assert kopf_handlers._relisted(controller, kind)
