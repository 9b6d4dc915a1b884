"""`kubectl cni-upgrade` as a person runs it: kubectl finds the plugin on the PATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.api.shipped import ROOT
from tests.cluster.control import ControlPlane

Done = subprocess.CompletedProcess[str]


class Plugin:
    """The plugin, and one control plane that it speaks to unless another kubeconfig is given."""

    def __init__(self, plane: ControlPlane, home: Path) -> None:
        self.plane, self.home = plane, home
        script = home / "kubectl-cni_upgrade"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m cni_upgrade.kubectl.main "$@"\n')
        script.chmod(0o755)

    def __call__(self, *words: str, kubeconfig: Path | None = None) -> Done:
        return subprocess.run(
            [str(self.plane.kubectl), "cni-upgrade", *words],
            env={
                **os.environ,
                "PATH": f"{self.home}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "operator"),
                "HOME": str(self.home),
                "KUBECONFIG": str(kubeconfig or self.plane.kubeconfig),
                "COLUMNS": "80",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def did(self, *words: str) -> str:
        """What it says of something that it can do."""
        done = self(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout
