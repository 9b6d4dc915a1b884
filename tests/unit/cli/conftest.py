"""What the command prints is as wide as a terminal that the tests do not have."""

import pytest


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The width of the examples in the documents, whatever the tests are started from."""
    monkeypatch.setenv("COLUMNS", "100")
