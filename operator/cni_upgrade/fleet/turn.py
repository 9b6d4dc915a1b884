"""A turn: what is to be done about one node or policy."""

from __future__ import annotations

from dataclasses import dataclass

from cni_upgrade.fleet.decisions import Decision


@dataclass(frozen=True, slots=True)
class Turn:
    """Decisions in the order in which they are carried out; the first that fails ends the turn."""

    subject: str
    decisions: tuple[Decision, ...]
