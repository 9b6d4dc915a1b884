"""In which cluster `make bench-fleet` measures: one that was named for it, and no other."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def asked(*words: str, **env: str) -> str:
    """The command that make would run."""
    done = subprocess.run(
        ["make", "-n", "bench-fleet", "NODES=7", *words],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k not in ("KUBECONFIG", "MAKEFLAGS")} | env,
        capture_output=True,
        text=True,
        check=True,
    )
    return next(line for line in done.stdout.splitlines() if "tests.bench.fleet" in line)


@pytest.mark.parametrize("env", [{}, {"KUBECONFIG": "/home/ann/.kube/config"}])
def test_a_cluster_that_was_not_named_is_let_alone(env: dict[str, str]) -> None:
    assert asked(**env).split() == [".venv/bin/python", "-m", "tests.bench.fleet", "7"]


def test_one_behind_make_is_measured() -> None:
    told = asked("KUBECONFIG=/tmp/my cluster", KUBECONFIG="/home/ann/.kube/config")
    assert told.endswith('-m tests.bench.fleet 7  --kubeconfig "/tmp/my cluster"')
