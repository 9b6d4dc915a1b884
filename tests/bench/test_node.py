"""The benchmark of an agent at its smallest, so that it never rots; no time counts here."""

import json
import os
import subprocess
import sys

import pytest

from tests.bench.image import ROOT
from tests.bench.node import Figure, verdict

UNTIMED = ("modules without a .pyc", "image: packed", "audit: memory of the largest process")
"""Figures whose goals hold on a machine however busy it is."""


def test_a_goal_that_is_missed_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    met = [Figure("wall", "s", (0.9, 1.0, 9.0), 1.0), Figure("size", "MB", (99.0,))]
    assert verdict(met) == 0
    assert capsys.readouterr().err == ""
    missed = Figure("start", "ms", (50.0, 61.0, 62.0), 60)
    assert missed.row().endswith("MISSED")
    assert verdict([*met, missed]) == 1
    assert capsys.readouterr().err == "missed: start: 61.000 ms\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="the image's Python runs in a chroot: root alone")
def test_it_measures_an_audit_out_of_the_image() -> None:
    words = (sys.executable, "-m", "tests.bench.node", "--runs", "1")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    *table, last = done.stdout.splitlines() or [done.stderr]
    assert done.returncode == any(line.endswith("MISSED") for line in table), done.stderr
    figures = {each["name"]: each for each in json.loads(last)["figures"]}
    assert len(table) == 2 + len(figures)
    for name in UNTIMED:
        assert figures[name]["median"] <= figures[name]["goal"], name
    assert figures["audit: memory of the largest process"]["goal"] == 40
    for name in ("audit: CPU, plugins included", "audit: memory of the largest process"):
        assert figures[name]["median"] > 0, name
    assert (
        figures["audit of 1000 files: cpu"]["median"] > figures["audit of 250 files: cpu"]["median"]
    )
