"""kubectl against one control plane, as a person would run it."""

import json
import os
import subprocess
from pathlib import Path

from tests.cluster.control import ControlPlane


def run(
    plane: ControlPlane, home: Path, *words: str, stdin: object = None
) -> subprocess.CompletedProcess[str]:
    """Run it, `stdin` as JSON; `home` keeps its discovery cache, its exit code is for you."""
    return subprocess.run(
        [str(plane.kubectl), f"--kubeconfig={plane.kubeconfig}", *words],
        input=None if stdin is None else json.dumps(stdin),
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
