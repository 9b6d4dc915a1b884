"""Runs the cases of a module ahead of its tests, some at once: they mostly wait for the kernel.

Making and deleting network namespaces is slow and costs little CPU. Each case has namespaces and a
folder of its own, so cases are independent; the test of a case then only hands out how it ended.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

AT_ONCE = 2 * (os.cpu_count() or 1)


class Ahead:
    """Cases under way, by the name of their test."""

    def __init__(self, ends: dict[str, Future[None]]) -> None:
        self._ends = ends

    def end(self, request: pytest.FixtureRequest) -> None:
        """Wait for the case of this test; what it raised is raised here."""
        self._ends[request.node.name].result()


@contextmanager
def ahead(
    request: pytest.FixtureRequest,
    factory: pytest.TempPathFactory,
    test: str,
    case: Callable[..., None],
) -> Iterator[Ahead]:
    """Start the case for each selected test of that name, with its parameters and a `folder`."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends: dict[str, Future[None]] = {}
        for item in request.session.items:
            if item.path == request.path and getattr(item, "originalname", "") == test:
                parameters = item.callspec.params  # type: ignore[attr-defined]
                folder: Path = factory.mktemp("case")
                ends[item.name] = pool.submit(case, folder=folder, **parameters)
        yield Ahead(ends)
        pool.shutdown(cancel_futures=True)
