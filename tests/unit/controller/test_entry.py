"""The controller's command before it has begun: told to end, or without what it needs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

OPERATOR = Path(__file__).parents[3] / "operator"


def test_without_its_packages_it_says_how_to_get_them() -> None:
    """-S leaves out site-packages, -I all that the environment names."""
    program = (
        f"import sys; sys.path.append({str(OPERATOR)!r}); "
        "from cni_upgrade.controller.__main__ import start; start()"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "is not installed" in ran.stderr
    assert "[operator]" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_while_its_libraries_are_read_it_ends(tmp_path: Path, number: int) -> None:
    """Once a pod was deleted in that second it led for half a minute, until it was killed."""
    # In short steps, as libraries are read: a signal that comes just before one long sleep begins
    # is heard when that is over.
    slow = "import time\nprint('reading', flush=True)\nfor _ in range(600):\n    time.sleep(0.1)\n"
    (tmp_path / "kopf.py").write_text(slow)
    command = [sys.executable, "-m", "cni_upgrade.controller"]
    path = os.pathsep.join((str(tmp_path), str(OPERATOR)))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"reading\n"
        started.send_signal(number)
        assert started.wait(20) == 0
