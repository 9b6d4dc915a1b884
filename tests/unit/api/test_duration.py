"""Durations: what a policy may say is what the planner can count."""

import pytest
from pydantic import TypeAdapter, ValidationError

from cni_upgrade.api.duration import Duration, seconds

ADAPTER = TypeAdapter[str](Duration)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1s", 1), ("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("1h1m1s", 3661)],
)
def test_counts(text: str, expected: int) -> None:
    assert seconds(text) == expected
    assert ADAPTER.validate_python(text) == text


@pytest.mark.parametrize(
    "text", ["", "15", "0s", "0m", "m", "15 m", "-5m", "30m1h", "1d", "1.5h", "15M", "5m\n"]
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r'write "90s", "15m" or "1h30m"'):
        seconds(text)
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(text)
