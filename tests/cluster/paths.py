"""Where things are kept: outside the tree, so that a clean checkout stays one."""

from __future__ import annotations

import os
from pathlib import Path

ROOM = Path(__file__).resolve().parent
COMPONENTS = ROOM / "components"
CONFIGS = ROOM / "configs"


def _home(variable: str, default: str) -> Path:
    """Answer an XDG base folder; the specification says that a relative one is to be ignored."""
    value = os.environ.get(variable, "")
    base = Path(value) if value.startswith("/") else Path.home() / default
    return base / "cni-upgrade-operator"


def cache_root() -> Path:
    """Answer the folder of what can be built again: binaries and images."""
    return _home("XDG_CACHE_HOME", ".cache")


def state_root() -> Path:
    """Answer the folder of what clusters are: keys, etcd data, node disks, logs, pids."""
    return _home("XDG_STATE_HOME", ".local/state") / "clusters"


def temporary_root() -> Path:
    """Answer the folder of control planes that live no longer than the process that made them."""
    return state_root().with_name("temporary")
