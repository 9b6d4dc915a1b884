"""libcni is the judge: whatever a folder holds, this project reads of it what libcni reads."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from cni_upgrade.cni import config, folder, runtimes
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.rewrite import rewrite
from tests.judge.build import RELEASES
from tests.judge.folders import Folder, folders
from tests.judge.process import Judge

FOLDERS = int(os.environ.get("JUDGE_FOLDERS", "10000"))
CONTAINERD = {
    "0.8.1": "containerd://1.5.8",
    "1.0.1": "containerd://1.6.2",
    "1.1.2": "containerd://1.7.30",
    "1.2.3": "containerd://2.0.14",
    "1.3.0": "containerd://2.1.3",
}


@pytest.fixture(scope="module")
def judges() -> Iterator[list[Judge]]:
    running = [Judge(release, "read") for release in RELEASES]
    yield running
    for judge in running:
        judge.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judge")


def lay(place: Path, made: Folder) -> Path:
    """Write a folder where libcni can read it."""
    path = place / "net.d"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, data in made.files.items():
        (path / name).write_bytes(data)
    for sub, files in made.inlined.items():
        (path / sub).mkdir()
        for name, data in files.items():
            (path / sub / name).write_bytes(data)
    return path


def inline(made: Folder, network: str) -> Mapping[str, bytes]:
    """What libcni 1.3 finds in the folder named as the network; no name is the folder itself."""
    return made.files if network == "" else made.inlined.get(network, {})


def read(made: Folder, name: str, release: str) -> config.Config:
    """Read one file as the node room does: once to learn the network, then with its folder."""
    first = config.read(name, made.files[name], "1.2.3")
    network = first.network
    if network is None:
        alone = b'{"type": "placeholder"}'
        network = config.read(name, made.files[name], "1.3.0", {"x.conf": alone}).network
    return config.read(name, made.files[name], release, inline(made, network or ""))


def agree(judge: Judge, made: Folder, path: Path) -> dict[str, Any]:
    """Every file of the folder, and the one that containerd takes; the answer by file."""
    answer = judge.folder(path)
    names = [file["name"] for file in answer["files"]]
    assert folder.loadable(made.files) == names
    ours = {name: read(made, name, judge.release) for name in names}
    for file in answer["files"]:
        mine = ours[file["name"]]
        assert (mine.error is None) == (file["error"] == ""), (judge.release, file, mine.error)
        if mine.error is not None:
            assert (mine.error.code == Code.CRASHES) == file["error"].startswith("panic"), file
            continue
        assert mine.network == file["network"]
        assert (mine.version or "") == file["version"], (judge.release, file, mine)
        assert mine.plugins == tuple(dict.fromkeys(file["chain"])), (judge.release, file, mine)
        assert mine.check_disabled == file["disableCheck"]
        if any(told != file["version"] for told in file["told"]):
            assert any(note.code == Code.HIDDEN_VERSION for note in mine.notes), (file, mine)
    runtime = runtimes.lookup(CONTAINERD[judge.release])
    assert runtime.libcni == judge.release
    loaded = folder.active(list(ours.values()), runtime)
    taken = answer["containerd"]
    assert bool(loaded.files) == (taken["error"] == ""), (judge.release, taken, loaded)
    if loaded.files:
        assert loaded.files[0].network == taken["network"]
        assert (loaded.files[0].version or "") == taken["version"]
    return {file["name"]: file for file in answer["files"]}


@seed(20261)
@settings(
    max_examples=FOLDERS,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(made=folders())
def test_generated_folders_are_read_as_libcni_reads_them(
    made: Folder, judges: list[Judge], place: Path
) -> None:
    path = lay(place, made)
    before = {judge.release: agree(judge, made, path) for judge in judges}
    rewritten = dict(made.files)
    for name in folder.loadable(made.files):
        if any(not answer[name]["error"] for answer in before.values()):
            network = next(a[name]["network"] for a in before.values() if not a[name]["error"])
            given_inline = inline(made, network)
            rewritten[name] = rewrite(
                made.files[name], config.kind_of(name), "1.0.0", given_inline
            ).data
    after_made = Folder(rewritten, made.inlined)
    path = lay(place, after_made)
    for judge in judges:
        after = agree(judge, after_made, path)
        for name, file in before[judge.release].items():
            if file["error"] == "":
                assert after[name]["error"] == "", (judge.release, file, after[name])
                assert after[name]["version"] == "1.0.0"
                assert after[name]["chain"] == file["chain"]
                own = len(after[name]["told"]) - len(inline(made, file["network"]))
                assert set(after[name]["told"][:own]) <= {"1.0.0"}
