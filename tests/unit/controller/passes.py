"""Waiting for a controller: passes one by one, or its loop beside the test, until it is so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.unit.controller.kube_model import Made


@asynccontextmanager
async def running(made: Made) -> AsyncIterator[None]:
    task = asyncio.create_task(made.loop.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def becomes(true: Callable[[], object]) -> None:
    """Looks until it is so; the loop under test tells nobody."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until(made: Made, true: Callable[[], object]) -> None:
    """Passes, each on whole lists, until it is so."""
    for _ in range(60):
        await made.pass_()
        if true():
            return
    raise AssertionError(f"node-a is {made.kube.cluster.status('node-a')}")


def step_of(made: Made) -> str:
    """The step that the controller is at with node-a, recorded or not."""
    state = made.store.states.items.get("node-a")
    operation = state.status.operation if state else None
    return operation.step if operation else ""


async def at_step(made: Made, step: str) -> None:
    await until(made, lambda: step_of(made) == step)
