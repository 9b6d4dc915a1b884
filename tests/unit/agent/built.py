"""Real plugins, where the test cluster has built them; elsewhere their tests are skipped."""

import os
from pathlib import Path

import pytest


def plugins(version: str) -> Path:
    """The folder of the containernetworking plugins of that release."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for folder in sorted((cache / "cni-upgrade-operator/components").glob(f"plugins-{version}-*")):
        if (folder / "bridge").is_file():
            return folder
    pytest.skip(f"plugins {version} are not built here (the test cluster builds them)")
