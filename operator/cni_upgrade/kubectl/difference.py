"""What was written on a node, as the records keep it, or what is planned there."""

from __future__ import annotations

from collections.abc import Iterator

from cni_upgrade.api.history import HistoryEntry
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.kubectl.terminal import Terminal, harmless


def lines(state: CNINodeState, terminal: Terminal, *, everything: bool = False) -> list[str]:
    """The newest change with its diff, or all that are remembered; then what is planned."""
    told = [entry for entry in state.status.history if entry.diff]
    shown = told if everything else told[-1:]
    found = [line for entry in shown for line in _entry(entry, terminal)]
    planned = [
        f"planned: {file.name}: {file.version or 'missing'} -> {file.to}"
        + (f", as {file.becomes}" if file.becomes else "")
        for file in state.status.files
        if file.action == "Rewrite" and file.to
    ]
    if planned:
        planned.append("The diff is made on the node, when the change is written.")
    return [*found, *map(harmless, planned)] or ["Nothing was written on this node, or is planned."]


def _entry(entry: HistoryEntry, terminal: Terminal) -> Iterator[str]:
    moved = f"{entry.from_ or 'missing'} -> {entry.to or 'missing'}"
    backup = f"  backup {entry.backup}" if entry.backup else ""
    head = f"# {entry.at:%Y-%m-%d %H:%M:%S} UTC  {entry.kind} {entry.outcome}  {moved}{backup}"
    yield terminal.paint(harmless(head), "bold")
    for line in (entry.diff or "").splitlines():
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        yield terminal.paint(harmless(line.expandtabs()), colour)
