"""The controller's command where only the command line's few packages are installed."""

import subprocess
import sys
from pathlib import Path

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
