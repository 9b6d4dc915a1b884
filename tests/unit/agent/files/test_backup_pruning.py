"""Backups are kept as asked, and never less than what gives each original back."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import backup, backup_pruning, state
from cni_upgrade.agent.files.state import State
from cni_upgrade.agent.protocol.operation import Outcome, Target
from tests.unit.agent import killed
from tests.unit.agent.host import VERSIONLESS, Host, codes


def test_what_is_pruned_is_in_the_folder(host: Host, tmp_path: Path) -> None:
    """What a hidden name links to is no backup that a killed run left."""
    host.config()
    (tmp_path / "outside/files").mkdir(parents=True)
    kept = [tmp_path / "outside/manifest.json", tmp_path / "outside/files/precious"]
    for each in kept:
        each.write_text("")
    (host.state / "backups").mkdir(parents=True)
    (host.state / "backups/.left").symlink_to(tmp_path / "outside")
    (host.state / "backups/.half").mkdir()
    (host.state / "backups/.half/files").symlink_to(tmp_path / "outside/files")
    result = run(host.apply())
    assert result.outcome is Outcome.DONE
    assert "BackupsNotPruned" in codes(result)
    assert all(each.exists() for each in kept)


def test_backups_are_kept_as_asked_but_never_the_only_original(host: Host) -> None:
    originals = []
    for number in range(6):
        text = VERSIONLESS if number % 2 else VERSIONLESS.replace("cni0", "cni9")
        host.config(text=text)
        result = run(replace(host.apply(number=number), keep=3))
        assert result.outcome is Outcome.DONE
        originals.append(result.backup)
    with state.locked(host.apply()) as place:
        left = [each.id for each in backup.everything(place)]
    assert left == originals[-3:]
    for number in range(6, 10):
        host.config(text=VERSIONLESS.replace("cni0", f"br{number}"))
        result = run(replace(host.apply(number=number), keep=1))
    with state.locked(host.apply()) as place:
        kept = [saved.sha256 for each in backup.everything(place) for saved in each.files]
    assert len(set(kept)) == len(kept) == 6, "each original once"


def test_the_newest_backup_stays_whatever_the_clock_says(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was set back between two changes of the same file."""
    made = []
    for number, at in enumerate((10**18 + 10**9, 10**18)):
        host.config()
        with monkeypatch.context() as patched:
            patched.setattr(time, "time_ns", lambda at=at: at)
            made.append(run(replace(host.apply(number=number), keep=1)).backup)
    assert {path.name for path in (host.state / "backups").iterdir()} == set(made)


def test_a_damaged_copy_is_no_copy(host: Host) -> None:
    """Two backups of the same bytes; the newer one is spoiled, so the older one is needed."""
    host.config()
    first = run(host.apply(number=0))
    host.config()
    second = run(host.apply(number=1))
    copy = host.state / "backups" / str(second.backup) / "files/10-pod.conflist"
    copy.write_text(copy.read_text() + " ")
    host.config(text=VERSIONLESS.replace("cni0", "cni9"))
    assert run(replace(host.apply(number=2), keep=1)).outcome is Outcome.DONE
    left = {path.name for path in (host.state / "backups").iterdir()}
    assert first.backup in left
    assert run(host.restore(first.backup, number=3)).outcome is Outcome.DONE
    assert (host.conf / "10-pod.conflist").read_text() == VERSIONLESS


def test_what_a_damaged_copy_would_be_made_again_into_is_no_copy(host: Host) -> None:
    """The first backup's bytes become the second one's: not if nobody has the first ones."""
    host.config()
    lower = replace(host.apply(to="0.4.0", number=0), target=Target("0.4.0"))
    first = run(lower)
    assert first.outcome is Outcome.DONE
    written = (host.conf / "10-pod.conflist").read_bytes()
    copy = host.state / "backups" / str(first.backup) / "files/10-pod.conflist"
    copy.write_text(copy.read_text() + " ")
    second = run(host.apply(number=1))
    assert second.outcome is Outcome.DONE
    host.config(text=VERSIONLESS.replace("cni0", "cni9"))
    assert run(replace(host.apply(number=2), keep=1)).outcome is Outcome.DONE
    kept = host.state / "backups" / str(second.backup) / "files/10-pod.conflist"
    assert kept.read_bytes() == written


def test_what_a_later_change_made_again_is_no_copy(host: Host) -> None:
    """Lowered and raised again: what the second change wrote is what the first one saved, and
    stands in no backup but the first."""
    original = VERSIONLESS.replace("{\n", '{\n  "cniVersion": "1.0.0",\n', 1)
    host.config(text=original)
    host.plugins("0.4.0")
    first = run(replace(host.apply(to="0.4.0", number=0), target=Target("0.4.0")))
    assert first.outcome is Outcome.DONE, first.error
    host.plugins()
    assert run(host.apply(number=1)).outcome is Outcome.DONE
    assert (host.conf / "10-pod.conflist").read_text() == original
    host.config(text=VERSIONLESS.replace("cni0", "cni9"))
    assert run(replace(host.apply(number=2), keep=1)).outcome is Outcome.DONE
    copy = host.state / "backups" / str(first.backup) / "files/10-pod.conflist"
    assert copy.read_text() == original


def test_another_mode_is_another_copy(host: Host) -> None:
    """A restore gives back the mode too: of the same bytes with another one, both are kept."""
    modes = (0o600, 0o640, 0o640)
    for number, mode in enumerate(modes):
        host.config().chmod(mode)
        assert run(replace(host.apply(number=number), keep=1)).outcome is Outcome.DONE
    with state.locked(host.apply()) as place:
        kept = [saved.metadata.mode for each in backup.everything(place) for saved in each.files]
    assert kept == [0o600, 0o640]


def test_damaged_backups_take_no_place_of_whole_ones(host: Host) -> None:
    """Of three that are asked for, three can be given back."""
    made = []
    for number in range(5):
        host.config()
        result = run(replace(host.apply(number=number), keep=9))
        made.append(result.backup)
    copy = host.state / "backups" / str(made[3]) / "files/10-pod.conflist"
    copy.write_text(copy.read_text() + " ")
    host.config()
    made.append(run(replace(host.apply(number=5), keep=3)).backup)
    left = {path.name for path in (host.state / "backups").iterdir()}
    assert left == {made[number] for number in (2, 3, 4, 5)}


def many(host: Host, monkeypatch: pytest.MonkeyPatch, *texts: str) -> tuple[State, list[str]]:
    """Where the backups are, and the id of each: one for each of the texts, none of them pruned,
    and each of another second, by which their ids are sorted."""
    made = []
    for number, text in enumerate(texts):
        for path in sorted(host.conf.iterdir()) or [host.config()]:
            path.write_text(text)
        with monkeypatch.context() as patched:
            patched.setattr(time, "time_ns", lambda at=number: 10**18 + at * 10**9)
            result = run(replace(host.apply(number=number), keep=9))
        assert result.outcome is Outcome.DONE, result.error
        made.append(str(result.backup))
    return State(str(host.state), "/var/lib/cni-upgrade"), made


def folders(place: State) -> set[str]:
    return {path.name for path in Path(place.path, "backups").iterdir()}


def prune_killed(
    place: State, calls: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], bool]:
    """Prunes until so many calls that change something were made: which, and whether it ended."""
    made: list[str] = []

    def counted(name: str) -> Callable[..., None]:
        real = getattr(os, name)

        def call(*arguments: Any, **more: Any) -> None:
            if len(made) == calls:
                raise killed.KilledError
            made.append(name)
            real(*arguments, **more)

        return call

    with monkeypatch.context() as patched:
        for name in ("rename", "fsync", "unlink", "rmdir"):
            patched.setattr(os, name, counted(name))
        try:
            backup_pruning.prune(place, 1, ())
        except killed.KilledError:
            return made, False
    return made, True


def test_a_prune_that_is_killed_leaves_no_part_of_a_backup(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node was called damaged for ever, and no later prune removed what was left."""
    killed.two_files(host)
    place, made = many(host, monkeypatch, VERSIONLESS, VERSIONLESS)
    shutil.copytree(host.state, tmp_path / "kept")
    ended, calls, done = False, 0, [""]
    while not ended:
        shutil.rmtree(host.state)
        shutil.copytree(tmp_path / "kept", host.state)
        done, ended = prune_killed(place, calls, monkeypatch)
        read = backup.everything(place)
        assert (backup.damaged(place), backup.unread(place, read)) == ({}, []), done
        assert read[-1].id == made[-1], done
        backup_pruning.prune(place, 1, ())
        assert folders(place) == {made[-1]}, done
        calls += 1
    assert done[:3] == ["rename", "fsync", "unlink"], "a power cut must not undo the first alone"
    assert done[2:] == [*3 * ["unlink"], *2 * ["rmdir"]]


def test_what_somebody_laid_into_a_backup_keeps_no_other_from_going(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed.two_files(host)
    place, made = many(host, monkeypatch, VERSIONLESS, VERSIONLESS, VERSIONLESS)
    (Path(place.path) / "backups" / made[0] / "note.txt").write_text("kept by hand")
    for _ in range(2):
        with pytest.raises(OSError, match="not empty"):
            backup_pruning.prune(place, 1, ())
        assert folders(place) == {f".{made[0]}", made[-1]}


@pytest.mark.parametrize(
    "why", ["spoiled manifest", "only copy", "only good copy", "newest", "no copy of ours", "none"]
)
def test_a_part_that_may_be_the_only_copy_stays(
    host: Host, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """A disk or a hand may have taken the manifest as well as a prune."""
    others = VERSIONLESS.replace("cni0", "cni9") if why == "only copy" else VERSIONLESS
    place, made = many(host, monkeypatch, VERSIONLESS, others)
    rest = host.state / "backups" / made[why == "newest"]
    (rest / "manifest.json").unlink()
    if why == "spoiled manifest":
        (rest / "manifest.json").write_text("{")
    if why == "only good copy":
        (host.state / "backups" / made[1] / "files/10-pod.conflist").write_text("{}")
    if why == "no copy of ours":
        (rest / "notes").write_text("of a person")
    if why == "none":
        shutil.rmtree(host.state / "backups" / made[1])
        made.pop()
    backup_pruning.prune(place, 1, ())
    assert folders(place) == set(made)
