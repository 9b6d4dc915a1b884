"""The agent's own folder: one writer at a time, and an answer that is given stays given."""

import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import journal, recorded_results, state
from cni_upgrade.agent.protocol.operation import Outcome, Result
from tests.unit.agent.files.test_write_obstacles import taken_late
from tests.unit.agent.host import Host, refused


def test_a_state_folder_that_cannot_be(host: Host) -> None:
    host.config()
    host.state.write_text("")
    assert refused(run(host.apply())) == "StateFolder"


@pytest.mark.parametrize("name", ["/etc/cni/net.d", "/etc/cni/net.d/pod-net/.a", "/srv/linked/b"])
def test_a_state_folder_among_the_configs(host: Host, name: str) -> None:
    """libcni 1.3 would load what stands there, if the network has that name."""
    host.config()
    (host.root / "srv").mkdir()
    (host.root / "srv/linked").symlink_to("/etc/cni/net.d")
    operation = host.apply()
    operation = replace(operation, paths=replace(operation.paths, state_dir=name))
    before = host.tree()
    result = run(operation)
    assert refused(result) == "StateFolder"
    assert "is in the config folder /etc/cni/net.d" in str(result.error)
    assert host.tree() == before


@pytest.mark.parametrize("name", ["backups", "results"])
def test_what_is_kept_does_not_lead_elsewhere(host: Host, name: str, tmp_path: Path) -> None:
    """A link in the folder would lead out of a mounted image, or into the config folder."""
    host.config()
    outside = tmp_path / "outside"
    outside.mkdir()
    host.state.mkdir()
    (host.state / name).symlink_to(outside)
    before = host.tree()
    result = run(host.apply())
    assert refused(result) == "StateFolder"
    assert f"{name} is a link" in str(result.error)
    assert not list(outside.iterdir())
    (host.state / "lock").unlink()
    assert host.tree().keys() == before.keys()


def test_two_at_once_wait_for_each_other(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.config()
    operation = host.apply()
    with state.locked(operation):
        monkeypatch.setattr(state, "PATIENCE", 0.1)
        assert refused(run(operation)) == "Busy"
        monkeypatch.setattr(state, "PATIENCE", 10)
        done: list[Result] = []
        thread = threading.Thread(target=lambda: done.append(run(operation)))
        thread.start()
    thread.join()
    assert done[0].outcome is Outcome.DONE


def test_the_lock_is_held_while_writing(host: Host) -> None:
    host.config()
    with (
        state.locked(host.apply()) as place,
        Path(f"{place.path}/lock").open() as again,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.write_text('{"schema": 1'), "ResultDamaged"),
        (lambda path: (path.unlink(), path.mkdir()), "ResultDamaged"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "InputOutput"),
    ],
    ids=["torn", "folder", "unreachable"],
)
def test_an_answer_that_cannot_be_read_is_not_given_anew(
    host: Host, spoil: Callable[[Path], object], code: str
) -> None:
    """What was Done would be called Refused: its file is no longer what the audit saw."""
    host.config()
    operation = host.apply()
    assert run(operation).outcome is Outcome.DONE
    record = host.state / f"results/{operation.id}.json"
    spoil(record)
    for _ in range(2):
        again = run(operation)
        assert refused(again) == code
        assert f"{operation.id}.json" in str(again.error)
    host.config()
    assert run(host.apply(number=1)).outcome is Outcome.DONE


def test_old_results_that_cannot_be_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one is durable, and a rerun gives it: that is not to be called a failure."""
    monkeypatch.setattr(recorded_results, "KEEP", 1)
    host.config()
    order = host.apply()
    stubborn = host.state / "results/apply-0.json"
    stubborn.mkdir(parents=True)
    os.utime(stubborn, (0, 0))
    first = run(order)
    assert first.outcome is Outcome.DONE, first.error
    assert run(order) == first


def test_a_refusal_that_cannot_be_recorded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was written, so nothing is left for the next run to settle."""
    host.config()
    order = host.apply()
    host.state.mkdir()
    (host.state / "results").write_text("no folder")
    monkeypatch.setattr(journal, "begin", taken_late(host.conf / "10-pod.conflist.cnitmp"))
    assert refused(run(order)) == "NameTaken"
    assert not (host.state / "journal.json").exists()


def test_results_are_not_kept_for_ever(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_results, "KEEP", 2)
    for number in range(4):
        host.config()
        run(host.apply(number=number))
    assert sorted(path.name for path in (host.state / "results").iterdir()) == [
        f"apply-{number:020x}.json" for number in (2, 3)
    ]


def test_a_result_is_kept_whatever_the_clock_says(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was set back: every older result is of the future, and this one goes by no age."""
    monkeypatch.setattr(recorded_results, "KEEP", 2)
    for number in range(3):
        host.config()
        run(host.apply(number=number))
    for path in (host.state / "results").iterdir():
        os.utime(path, (4 * 10**9, 4 * 10**9))
    host.config()
    order = host.apply(number=7)
    first = run(order)
    assert first.outcome is Outcome.DONE, first.error
    assert run(order) == first
