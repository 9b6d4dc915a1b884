"""A controller around an API server in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cni_upgrade.kube.client import Client
from tests.unit.controller.kube_model import Made, Memory, client_of


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server that is not there; only its counts are looked at."""
    made = await client_of(tmp_path / "kubeconfig", "http://127.0.0.1:9")
    yield made
    await made.close()


@pytest.fixture
def made(client: Client) -> Made:
    return Made(Memory(), client)
