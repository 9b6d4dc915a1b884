"""libcni is the judge: whatever a folder holds, this project reads of it what libcni reads."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, seed
from hypothesis.strategies import binary

from cni_upgrade.cni import config, folder, runtimes
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.rewrite import rewrite
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD
from tests.judge.drawing import draws
from tests.judge.folders import BYTES, Folder
from tests.judge.folders import folder as generated
from tests.judge.laid import inline, lay, network_of
from tests.judge.process import Judge

FOLDERS = int(os.environ.get("JUDGE_FOLDERS", "10000"))
FLOOR = {"accepted": 0.45, "whole": 0.25}
"""Of the generated files that libcni must accept, and of the folders without a bad file in them;
56 % and 37 % were seen."""
CEILING = 0.75
"""Of the files that it may accept: what it refuses is half of what there is to read."""
Answers = dict[str, Any]
"""What one release of libcni says of each file, by its name."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judge")


@dataclass(frozen=True)
class Read:
    """A folder as each release reads it."""

    inlines: Mapping[str, Mapping[str, bytes]]
    """By file that may be loaded: what stands in the folder named as its network."""
    told: Mapping[str, Answers]
    """What libcni says, by release."""
    ours: Mapping[str, Mapping[str, Config]]
    """What we say, by release and file."""


def agree(judges: Sequence[Judge], made: Folder, path: Path) -> Read:
    """Every file of the folder, and the one that containerd takes: we say what libcni says."""
    inlines = {name: inline(made, network_of(made, name)) for name in folder.loadable(made.files)}
    told, ours = {}, {}
    for judge, answer in zip(judges, Judge.folders(judges, path), strict=True):
        release = judge.release
        ours[release] = {
            name: config.read(name, made.files[name], release, inlined)
            for name, inlined in inlines.items()
        }
        hold(release, ours[release], answer)
        told[release] = {file["name"]: file for file in answer["files"]}
    return Read(inlines, told, ours)


def hold(release: str, ours: Mapping[str, Config], answer: Any) -> None:
    """What we say of the files, against what one release of libcni has answered."""
    assert list(ours) == [file["name"] for file in answer["files"]]
    for file in answer["files"]:
        mine = ours[file["name"]]
        assert (mine.error is None) == (file["error"] == ""), (release, file, mine.error)
        if mine.error is not None:
            assert (mine.error.code == Code.CRASHES) == file["error"].startswith("panic"), file
            continue
        assert mine.network == file["network"]
        assert (mine.version or "") == file["version"], (release, file, mine)
        assert mine.plugins == tuple(dict.fromkeys(file["chain"])), (release, file, mine)
        assert mine.check_disabled == file["disableCheck"]
        for place, told in enumerate(file["told"]):
            called = next(call for call in mine.calls if call.place == place)
            assert called.at(mine.version) == (told,), (release, file, mine)
        if any(told != file["version"] for told in file["told"]):
            assert any(note.code == Code.HIDDEN_VERSION for note in mine.notes), (file, mine)
    runtime = runtimes.lookup(CONTAINERD[release])
    assert runtime.libcni == release
    for most in (0, 1, 2):
        loaded = folder.active(list(ours.values()), runtime, most)
        taken = answer["loaded"][str(most)]
        assert bool(loaded.files) == (taken["error"] == ""), (release, most, taken, loaded)
        assert [(each.network, each.version or "") for each in loaded.files] == [
            tuple(each) for each in taken["networks"] or []
        ]


def shares(answers: Mapping[str, Answers]) -> Iterator[str]:
    """What a folder adds to the counts that say whether the folders are worth reading."""
    yield "folders"
    for release, files in answers.items():
        yield from (f"files {release}" for _ in files)
        yield from (f"accepted {release}" for file in files.values() if file["error"] == "")
        if files and all(file["error"] == "" for file in files.values()):
            yield f"whole {release}"


@pytest.fixture(scope="module")
def seen() -> Iterator[Counter[str]]:
    """Agreement about folders that libcni refuses one and all would be worth little."""
    counts: Counter[str] = Counter()
    yield counts
    for release in RELEASES if counts["folders"] else ():
        accepted = counts[f"accepted {release}"] / counts[f"files {release}"]
        assert FLOOR["accepted"] <= accepted <= CEILING, (release, accepted)
        whole = counts[f"whole {release}"] / counts["folders"]
        assert whole >= FLOOR["whole"], (release, whole)


@seed(20261)
@draws(FOLDERS)
@given(data=binary(min_size=BYTES, max_size=BYTES))
def test_generated_folders_are_read_as_libcni_reads_them(
    data: bytes, judges: list[Judge], place: Path, seen: Counter[str]
) -> None:
    made = generated(data)
    path = lay(place, made)
    before = agree(judges, made, path)
    seen.update(shares(before.told))
    rewritten = dict(made.files)
    for name, inlined in before.inlines.items():
        reads = [before.ours[release][name] for release in RELEASES]
        if any(read.error is None or read.mendable for read in reads):
            done = rewrite(made.files[name], config.kind_of(name), "1.0.0", inlined)
            rewritten[name] = done.data
            (path / name).write_bytes(done.data)
    same = rewritten == made.files
    after = before.told if same else agree(judges, Folder(rewritten, made.inlined), path).told
    for release, answers in before.told.items():
        for name, file in answers.items():
            if file["error"] == "":
                new = after[release][name]
                assert new["error"] == "", (release, file, new)
                assert new["version"] == "1.0.0"
                assert new["chain"] == file["chain"]
                own = len(new["told"]) - len(inline(made, file["network"]))
                assert set(new["told"][:own]) <= {"1.0.0"}
            elif before.ours[release][name].mendable:
                assert after[release][name]["error"] == "", (release, file)
                assert after[release][name]["version"] == "1.0.0"
