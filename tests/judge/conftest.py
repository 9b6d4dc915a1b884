"""The judges that read folders, for every test that asks all releases of libcni at once."""

from collections.abc import Iterator

import pytest

from tests.judge.build import RELEASES
from tests.judge.process import Judge, running


@pytest.fixture(scope="module")
def judges() -> Iterator[list[Judge]]:
    """One of each release; ended after the file's tests."""
    with running(RELEASES, "read") as asked:
        yield asked
