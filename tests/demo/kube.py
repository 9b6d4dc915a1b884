"""kubectl as a person would type it, shown with its output; JSON where the demo checks."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.cluster.cluster import Cluster
from tests.demo.screen import note, typed


class NotSeenError(Exception):
    """The demo ends here: what it says it shows did not show itself."""


class Kubectl:
    """kubectl for one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._command = [str(cluster.kubectl), f"--kubeconfig={cluster.kubeconfig}"]

    def run(self, *argv: str, stdin: str | None = None, check: bool = True) -> str:
        """Run it unseen; raises NotSeenError with what it printed where it fails."""
        done = subprocess.run(
            [*self._command, *argv], input=stdin, capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            raise NotSeenError(f"kubectl {' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def show(self, *argv: str, stdin: str | None = None) -> str:
        """Run it as if typed, with all that it prints."""
        typed("kubectl " + " ".join(argv))
        text = self.run(*argv, stdin=stdin)
        print(text.rstrip(), flush=True)
        return text

    def get(self, *argv: str) -> dict[str, Any]:
        """An object or a list as JSON; empty where it is not there."""
        text = self.run("get", *argv, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(text) if text.strip() else {}
        return found

    def items(self, *argv: str) -> list[dict[str, Any]]:
        """The objects of a list."""
        items: list[dict[str, Any]] = self.get(*argv).get("items", [])
        return items


def until(what: str, seconds: float, check: Callable[[], Any]) -> Any:
    """Wait for something to show itself and answer it; raises NotSeenError when it does not."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if found := check():
            note(f"seen after {time.monotonic() - begun:.0f} s: {what}")
            return found
        time.sleep(0.5)
    raise NotSeenError(f"not seen within {seconds:.0f} s: {what}")
