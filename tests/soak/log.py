"""Writes what is done and seen, with its time: to the screen in part, to a file in full."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path


class Log:
    """The log of one soak."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._file = (folder / "soak.log").open("w", encoding="utf-8")
        self._began = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since the soak began."""
        return time.monotonic() - self._began

    def note(self, text: str, *, shown: bool = False) -> None:
        """Write a line; `shown`: on the screen as well."""
        clock = f"{datetime.now(UTC):%H:%M:%S} {self.elapsed:7.1f}"
        with self._lock:
            self._file.write(f"{clock}  {text}\n")
            self._file.flush()
            if shown:
                print(f"soak {clock}  {text}", flush=True)
