"""A cluster of real nodes with the operator installed as shipped, brought into order for each test.

It is ended with the session; `E2E_KEEP=1` keeps it, and takes a kept one into use again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.installing import images, install
from tests.e2e.machine import Machine
from tests.e2e.world import NODES, World

_NAME = os.environ.get("E2E_CLUSTER", "e2e")
_KEEP = os.environ.get("E2E_KEEP", "") not in ("", "0")
_world = pytest.StashKey[World]()


@pytest.fixture(scope="session")
def installed(pytestconfig: pytest.Config) -> Iterator[World]:
    """The cluster with the operator in it; what it is made of is built if the cache lacks it."""
    if _KEEP:
        _mend(Cluster(_NAME))
    else:
        Cluster(_NAME).down()
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:
            made = pool.submit(images)
            cluster = Cluster.up(_NAME, NODES)
        for archive in made.result():
            cluster.load_image(archive)
        world = World(cluster)
        pytestconfig.stash[_world] = world
        install(world)
        yield world
    finally:
        if not _KEEP:
            # One that did not come up leaves programs behind as well.
            Cluster(_NAME).down()


@pytest.fixture
def world(installed: World) -> World:
    """The cluster with every fault back in its place and nothing of an earlier test."""
    installed.tidy()
    return installed


def _mend(cluster: Cluster) -> None:
    """Let the nodes of a kept cluster become Ready, whatever the last test had done to them."""
    for node in cluster.nodes() if cluster.exists else []:
        machine = Machine(cluster, node.name)
        machine.write(machine.faulty())
        machine.mend_plugins()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show with each failure how the cluster looked at that moment."""
    report = yield
    world = item.config.stash.get(_world, None)
    if report.failed and world is not None and call.when != "teardown":
        began = time.monotonic()
        report.sections.append(("cluster", world.describe()))
        report.sections.append(("cluster", f"looked at in {time.monotonic() - began:.0f} s"))
    return report
