"""One error for this room, because a reader wants what failed, what was expected and what to do."""

from __future__ import annotations


class ClusterError(Exception):
    """Something of the cluster did not come about; its text is for a person."""

    def __init__(self, what: str, *, expected: str = "", todo: str = "") -> None:
        """Join the three parts into one text."""
        lines = [what]
        if expected:
            lines.append(f"  expected: {expected}")
        if todo:
            lines.append(f"  to do: {todo}")
        super().__init__("\n".join(lines))
