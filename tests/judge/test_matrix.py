"""DEL and CHECK of a pod added at another version: every cell measured, none only believed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_upgrade.cni import compat
from tests.judge.ahead import Ahead, ahead
from tests.judge.build import RELEASES
from tests.judge.matrix import row
from tests.judge.stories import has_check, with_interfaces
from tests.judge.world import can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")


@pytest.fixture(scope="module")
def rows(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ahead]:
    test = "test_every_cell_is_as_the_code_says"
    with ahead(request, tmp_path_factory, test, measured) as running:
        yield running


@pytest.mark.parametrize("release", RELEASES)
def test_every_cell_is_as_the_code_says(
    release: str, rows: Ahead, request: pytest.FixtureRequest
) -> None:
    """`measured` has done it by now, or is about to."""
    rows.end(request)


def measured(release: str, folder: Path) -> None:
    """Measure one release's cells."""
    cells = 0
    for added, now, cell, checked in row(release, folder):
        if cell != "no ADD":
            cells += 1
            survives = compat.del_survives(release, added, now)
            assert (cell == "ok") == survives, (added, now, cell)
            works = survives and has_check(now) and with_interfaces(added)
            assert (checked == "ok") == works, (added, now, checked)
    assert cells >= 48
