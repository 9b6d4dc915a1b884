"""Builds the operator's images, and installs it as the README says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.api.spaces import SYSTEM
from tests.e2e.api import CORE
from tests.e2e.world import DEPLOYMENT, ROOT, World


def images() -> list[Path]:
    """Both images, built from the Dockerfile."""
    command = [sys.executable, str(ROOT / "hack/image.py")]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [Path(line.partition(" ")[2]) for line in built.stdout.splitlines()]


def install(world: World) -> None:
    """Install as the README says; a controller of an earlier session makes room for this one."""
    before = world.api.get(DEPLOYMENT)
    done = world.kubectl("apply", "-k", str(ROOT))
    assert done.returncode == 0, done.stderr
    if before:
        world.api.delete(f"{CORE}/namespaces/{SYSTEM}/pods")
    world.await_controller()
