"""What the tests of the command share: a machine, and how wide what is printed is."""

from pathlib import Path

import pytest

from tests.unit.agent.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine with plugins and a config without a version."""
    made = Host(tmp_path / "host")
    made.plugins()
    made.config()
    return made


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the documents: the tests have no terminal whose width would count."""
    monkeypatch.setenv("COLUMNS", "100")
