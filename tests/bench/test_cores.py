"""Which cores a program is given for as long as a block lasts."""

import os
import subprocess
import sys

import pytest

from tests.bench.cores import halves, within
from tests.bench.usage import Cores


def started() -> frozenset[int]:
    """The cores of a program that is started now."""
    asks = "import os; print(*os.sched_getaffinity(0))"
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, check=True)
    return frozenset(map(int, done.stdout.split()))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_what_is_started_meanwhile_stays_on_its_half() -> None:
    before = os.sched_getaffinity(0)
    control, others = halves()
    assert control | others == before
    assert not control & others
    with within(control):
        assert started() == control
    with within(others), within(None):
        assert started() == others
    assert os.sched_getaffinity(0) == before


def test_all_cores_together_are_the_machine() -> None:
    each = [Cores.now({core}).all for core in range(os.cpu_count() or 1)]
    assert sum(each) == pytest.approx(Cores.now().all, rel=0.02)
