"""A slice of the matrix: every chain with two releases of plugins, against the engine's verdicts.

`make matrix` lives all of it; docs/measurements/plugin-matrix.md has its table.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.judge.ahead import Ahead, ahead
from tests.judge.plugin_matrix.cells import Cell, Group, groups
from tests.judge.plugin_matrix.chains import CHAINS, V4, Chain
from tests.judge.plugin_matrix.compare import Compared, compared
from tests.judge.plugin_matrix.live import live
from tests.judge.plugin_matrix.releases import PLUGINS
from tests.judge.world import can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")

_LIBCNI = "1.3.1"
_VERSIONS = {"1.1.1": (None, "0.4.0", "1.0.0"), "1.9.1": ("0.2.0", "1.0.0")}
"""By release: one whose CHECK fails in many ways, and one whose CHECK mostly passes."""

_OF_MULTUS_AND_FLANNEL = [chain for chain in CHAINS if chain.only]
_CASES = [
    pytest.param(release, chain, id=f"{release}-{chain.title}")
    for release in _VERSIONS
    for chain in CHAINS
    if chain not in _OF_MULTUS_AND_FLANNEL
]


@pytest.fixture(scope="module")
def cases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ahead]:
    for release in PLUGINS:
        if release.name in _VERSIONS:
            release.supports()  # ends every child of this process: before threads start others
    test = "test_no_pod_fails_where_the_engine_says_that_it_works"
    with ahead(request, tmp_path_factory, test, held) as running:
        yield running


@pytest.mark.parametrize(("release", "chain"), _CASES)
def test_no_pod_fails_where_the_engine_says_that_it_works(
    release: str, chain: Chain, cases: Ahead, request: pytest.FixtureRequest
) -> None:
    """`held` has done it by now, or is about to."""
    cases.end(request)


def held(release: str, chain: Chain, folder: Path) -> None:
    """Live some cells of a chain; `folder` is not needed, for each node has its own."""
    found = list(compared(each for group in _some(release, chain) for each in live(group)))
    for kind in ("wrong works", "wrong fails"):
        assert not [each for each in found if each.kind == kind]
    assert not [each for each in found if each.kind == "not known" and not each.why]


def _some(release: str, chain: Chain) -> Iterator[Group]:
    chosen = [each for each in PLUGINS if each.name == release]
    for group in groups(chosen, [chain]):
        cells = tuple(each for each in group.cells if each.version in _VERSIONS[release])
        if group.libcni == _LIBCNI and cells:
            yield Group(group.release, chain, _LIBCNI, cells)


@pytest.mark.parametrize(
    ("said", "fails", "kind"),
    [
        (True, False, "right"),
        (True, True, "wrong works"),
        (False, True, "right"),
        (False, False, "wrong fails"),
        (None, False, "not known"),
        (None, True, "not known"),
    ],
)
def test_a_prediction_is_held_against_every_kind_of_pod(
    said: bool | None, fails: bool, kind: str
) -> None:
    """One kind of pod that fails is enough."""
    cell = Cell(PLUGINS[0], CHAINS[0], _LIBCNI, "1.0.0", V4)
    errors = {"hostPort": "could not check ipv6 dnat"} if fails else {}
    assert Compared(cell, "cri-o", "create", said, errors).kind == kind
