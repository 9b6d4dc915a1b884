"""The benchmark of an agent at its smallest, so that it never rots; no time counts here."""

import json
import os
import subprocess
import sys

import pytest

from tests.bench.image import ROOT


@pytest.mark.skipif(os.geteuid() != 0, reason="the image's Python runs in a chroot: root alone")
def test_it_measures_an_audit_out_of_the_image() -> None:
    words = (sys.executable, "-m", "tests.bench.node", "--runs", "1")
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    *table, last = done.stdout.splitlines()
    figures = {each["name"]: each for each in json.loads(last)["figures"]}
    assert len(table) == 2 + len(figures)
    assert figures["modules without a .pyc"]["median"] == 0
    assert figures["image: packed"]["median"] <= figures["image: packed"]["goal"]
    for name in ("audit: CPU, plugins included", "audit: memory of the largest process"):
        assert figures[name]["median"] > 0, name
    assert (
        figures["audit of 1000 files: cpu"]["median"] > figures["audit of 250 files: cpu"]["median"]
    )
