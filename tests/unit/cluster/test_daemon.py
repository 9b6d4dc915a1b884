"""A node's daemon that was started is there, however busy the machine is."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.cluster.node import DAEMON

_SLOW = """\
#!/bin/sh
sleep 1
exec "$@"
"""


@pytest.fixture
def slow(tmp_path: Path) -> dict[str, str]:
    """Where programs begin late."""
    setsid = tmp_path / "bin/setsid"
    setsid.parent.mkdir()
    setsid.write_text(_SLOW)
    setsid.chmod(0o755)
    return {**os.environ, "PATH": f"{setsid.parent}:{os.environ['PATH']}"}


def started(folder: Path, env: dict[str, str], *argv: str) -> int:
    """Its pid, as it is known once it was started."""
    pid = folder / "pid"
    words = ("sh", "-c", DAEMON, "sh", str(folder / "log"), str(pid), *argv)
    subprocess.run(words, env=env, check=True, timeout=60)
    return int(pid.read_text())


def test_it_is_known_by_its_name_at_once(tmp_path: Path, slow: dict[str, str]) -> None:
    """Asked for too early, it had the name of what was to become it, and was taken for dead."""
    pid = started(tmp_path, slow, "sleep", "60")
    try:
        assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    finally:
        os.kill(pid, 9)


def test_one_that_cannot_be_started_is_not_waited_for(tmp_path: Path, slow: dict[str, str]) -> None:
    began = time.monotonic()
    started(tmp_path, slow, str(tmp_path / "nothing"))
    assert time.monotonic() - began < 9
    assert "not found" in (tmp_path / "log").read_text()
