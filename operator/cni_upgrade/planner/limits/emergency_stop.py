"""Everything stopped at once: nothing begins, audits included; what was begun is ended safely.

An audit is stopped too, though it writes nothing: it executes the node's plugins, and the switch is
thrown when nobody knows yet what is wrong. A node that was written to is proved, and put back where
the proof fails, because to leave it in between would be worse.
"""

from __future__ import annotations

from cni_upgrade.api import names
from cni_upgrade.planner.world.snapshot import Snapshot

STOPPED = "Stopped"
"""Reason of whatever waits for the switch."""


def stopped(world: Snapshot) -> str:
    """Why nothing begins, and how it goes on."""
    space = world.config.namespaces.agents
    return (
        f"everything is stopped: {world.stopped} "
        f"(kubectl annotate namespace {space} {names.STOP}- lets it go on)"
    )
