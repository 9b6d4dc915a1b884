"""What chattr(1) has set on a config is on its new version too, or a finding tells of it."""

import json
import os
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import inode_flags
from cni_upgrade.agent.protocol.result import Outcome
from tests.unit.agent.host import Host, codes, report

NO_ATIME, NO_DUMP = 0x80, 0x40


def flags(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return inode_flags.chosen(descriptor)
    finally:
        os.close(descriptor)


def give(path: Path, wanted: int) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        inode_flags.give(descriptor, wanted)
    finally:
        os.close(descriptor)
    assert flags(path) & wanted == wanted


def test_they_are_kept_saved_and_given_back(host: Host) -> None:
    path = host.config()
    give(path, NO_ATIME | NO_DUMP)
    done = run(host.apply())
    assert done.outcome is Outcome.DONE
    assert "1.0.0" in path.read_text()
    assert flags(path) == NO_ATIME | NO_DUMP
    assert "FlagsNotKept" not in codes(done)
    manifest = json.loads((host.state / f"backups/{done.backup}/manifest.json").read_text())
    assert manifest["files"][0]["flags"] == "dA"
    assert run(host.restore(done.backup)).outcome is Outcome.DONE
    assert "1.0.0" not in path.read_text()
    assert flags(path) == NO_ATIME | NO_DUMP


def test_a_file_without_any_is_saved_as_ever(host: Host) -> None:
    host.config()
    done = run(host.apply())
    manifest = json.loads((host.state / f"backups/{done.backup}/manifest.json").read_text())
    assert "flags" not in manifest["files"][0]


def test_those_that_cannot_be_kept_are_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a number that the kernel does not know: as a file system that cannot set them says."""
    path = host.config()
    give(path, NO_ATIME | NO_DUMP)
    monkeypatch.setattr(inode_flags, "_SET", 0x4008667F)
    done = run(host.apply())
    assert done.outcome is Outcome.DONE
    assert flags(path) == 0
    [found] = [each for each in report(done).findings if each.code == "FlagsNotKept"]
    assert (found.component, found.action.split("`")[1]) == (path.name, "chattr +dA")


def test_one_that_is_refused_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        inode_flags.give(descriptor, NO_ATIME | 0x100000)  # verity is enabled in another way
        assert inode_flags.chosen(descriptor) & NO_ATIME
    finally:
        os.close(descriptor)


def test_letters() -> None:
    assert inode_flags.text(NO_ATIME | NO_DUMP) == "dA"
    assert inode_flags.parse("Ad") == NO_ATIME | NO_DUMP
    assert inode_flags.parse("") == 0
    with pytest.raises(ValueError, match="got 'Ai'"):
        inode_flags.parse("Ai")
