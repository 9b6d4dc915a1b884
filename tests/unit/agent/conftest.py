"""What the node's tests share: a host of their own, with plugins that support everything."""

from pathlib import Path

import pytest

from tests.unit.agent.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path / "host")
    made.plugins()
    return made
