"""The benchmark of the fleet at its smallest, so that it never rots, and what it is to count."""

import pytest

from tests.bench.figures import Case, Figures
from tests.bench.fleet import measure
from tests.bench.target import RAISED

NODES = 20


@pytest.fixture(scope="module")
def figures() -> Figures:
    return measure(Case(NODES, "enforce", qps=RAISED, parallel=10, steady=3, jobs=20))


def test_every_node_is_looked_at_written_to_and_proved_once(figures: Figures) -> None:
    ours = figures.requests["controller"]
    once = ("create cninodestates", "create jobs", "create pods", "delete pods", "patch nodes")
    assert {what: ours[what] / NODES for what in once} == {
        "create cninodestates": 1,
        "create jobs": 2,  # the audit and the apply
        "create pods": 2,  # the pod from before and the fresh one
        "delete pods": 2,
        "patch nodes": 2,  # cordoned and given back
    }
    assert figures.requests["job controller"]["create pods"] == 2 * NODES
    # Where pods become ready it is almost four: what is ready is counted, and is no more.
    assert figures.requests["job controller"]["update jobs/status"] / (2 * NODES) < 3.5
    assert figures.requests["scheduler"]["create pods/binding"] == 4 * NODES


def test_nothing_is_written_at_rest(figures: Figures) -> None:
    assert figures.steady_writes == 0


def test_the_figures_are_of_what_they_say(figures: Figures) -> None:
    assert figures.first is not None
    assert figures.idle is not None
    assert 0 < figures.first < figures.wall
    assert figures.ideal < figures.wall
    assert 50 < figures.resting <= figures.peak
    assert 0 < figures.plan_p50 <= figures.plan_p99
    assert figures.passes > 4
