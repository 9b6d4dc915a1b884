"""The hand-made table holds for libcni itself: what the unit tests expect is what is true."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_upgrade.agent.survey import config_file
from cni_upgrade.cni import config
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.rewrite import RewriteError, rewrite
from tests.judge.process import Judge
from tests.judge.table import ALL, HEAD, PLUGINS, ROWS, Row


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
    assert set(file["told"]) == {version if row.told is None else row.told}


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


@pytest.mark.parametrize(
    ("beside", "loads"),
    [
        ("nothing", True),
        ("a file", False),
        ("an empty folder", True),
        ("a link to nothing", True),
        ("a link to a folder", True),
        ("a folder with a link to nothing", False),
        ("a folder with a folder in it", True),
    ],
)
@pytest.mark.parametrize("name", ["10-a.conflist", "10-a.conf"])
def test_what_stands_under_the_networks_name(
    beside: str, loads: bool, name: str, judge: Judge, tmp_path: Path
) -> None:
    """libcni from 1.3.0 on looks for plugins there, for a list; read here as the agent reads it."""
    folder, place = tmp_path / "net.d", tmp_path / "net.d/net"
    folder.mkdir()
    text = "{%s}" % (f"{HEAD}, {PLUGINS}" if name == "10-a.conflist" else f'{HEAD}, "type": "b"')
    (folder / name).write_text(text)
    match beside:
        case "a file":
            place.write_text("")
        case "a link to nothing":
            place.symlink_to("/nowhere")
        case "a link to a folder":
            (tmp_path / "other").mkdir()
            place.symlink_to(tmp_path / "other")
        case "nothing":
            pass
        case _:
            place.mkdir()
    if beside == "a folder with a link to nothing":
        (place / "x.conf").symlink_to("/nowhere")
    if beside == "a folder with a folder in it":
        (place / "x.conf").mkdir()
    expected = loads or name == "10-a.conf" or judge.release != "1.3.0"
    file = next(each for each in judge.folder(folder)["files"] if each["name"] == name)
    assert (file["error"] == "") == expected, file
    read = config_file("", str(folder), name).under(judge.release)
    assert (read.error is None) == expected, read.error
