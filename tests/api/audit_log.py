"""An API server's audit log, each line of which is read once: it grows with every test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class AuditLog:
    """Read on from where the last reading ended."""

    path: Path
    _offset: int = 0

    def lines(self) -> Iterator[bytes]:
        """Those since the last call; one that is not whole yet comes next time."""
        with self.path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield line
