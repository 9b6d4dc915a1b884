"""The hand-made table holds for libcni itself: what the unit tests expect is what is true."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.rewrite import RewriteError, rewrite
from tests.judge.process import Judge
from tests.judge.table import ALL, ROWS, Row


@pytest.fixture(scope="module", params=ALL)
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    with Judge(request.param, "read") as judge:
        yield judge


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_libcni_agrees_with_the_row(row: Row, judge: Judge, tmp_path: Path) -> None:
    (tmp_path / row.name).write_bytes(row.data)
    for name, data in row.inline.items():
        (tmp_path / row.network).mkdir(exist_ok=True)
        (tmp_path / row.network / name).write_bytes(data)
    file = judge.folder(tmp_path)["files"][0]
    assert (file["error"] == "") == (judge.release in row.loaded_by), file
    if file["error"]:
        assert file["error"].startswith("panic") == (
            "panics" in row.title and judge.release in ("0.8.1", "1.0.1")
        )
        return
    version = row.version_by.get(judge.release, row.version)
    assert file["network"] == row.network
    assert file["version"] == version
    assert tuple(file["chain"]) == row.chain
    assert file["told"] == [version if row.told is None else row.told] * len(file["told"])


@pytest.mark.parametrize(
    "row", [row for row in ROWS if not row.loaded_by], ids=lambda row: row.title
)
def test_what_a_rewrite_mends_libcni_loads(row: Row, judge: Judge, tmp_path: Path) -> None:
    """And where we say that no rewrite helps, none was made."""
    found = config.read(row.name, row.data, judge.release)
    assert found.error is not None
    if not found.mendable:
        with pytest.raises(RewriteError):
            rewrite(row.data, config.kind_of(row.name), "0.4.0")
        return
    done = rewrite(row.data, config.kind_of(row.name), "0.4.0")
    (tmp_path / row.name).write_bytes(done.data)
    file = judge.folder(tmp_path)["files"][0]
    assert (file["error"], file["version"], file["network"]) == ("", "0.4.0", "net")
    assert set(file["told"]) == {"0.4.0"}


def test_go_reads_deeper_than_this_project(judge: Judge, tmp_path: Path) -> None:
    """The one difference that is ours: beyond 100 levels a file is reported and not read."""
    nested = b"[" * 5000 + b"]" * 5000
    data = b'{"name": "net", "plugins": [{"type": "bridge"}], "x": ' + nested + b"}"
    (tmp_path / "10-a.conflist").write_bytes(data)
    assert judge.folder(tmp_path)["files"][0]["error"] == ""
    error = config.read("10-a.conflist", data, judge.release).error
    assert error is not None
    assert error.code == Code.TOO_DEEP
