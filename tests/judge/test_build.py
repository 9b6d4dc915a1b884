"""The judges are built once, whoever asks first: on a fresh machine many ask at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.judge import build


def test_many_may_ask_for_a_judge_that_is_not_built_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "cache", lambda: tmp_path)
    with ThreadPoolExecutor(4) as pool:
        [program] = set(pool.map(build.judge, ["1.3.0"] * 4))
    assert program.stat().st_mode & 0o111
    assert list(program.parent.iterdir()) == [program]
