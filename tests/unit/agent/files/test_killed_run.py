"""What a killed run leaves is gone on with by the next one, or told of; nothing else is ours."""

import contextlib
import errno
import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cni_upgrade.agent import apply, file_io, signals, survey
from cni_upgrade.agent.agent import run
from cni_upgrade.agent.discovery import host_paths
from cni_upgrade.agent.files import (
    backup,
    journal,
    recorded_results,
    state,
    transaction,
    write_obstacles,
)
from cni_upgrade.agent.protocol.operation import Operation, Outcome
from cni_upgrade.cni.rewrite import Rewritten, rewrite
from tests.unit.agent import killed
from tests.unit.agent.host import Host, audited, codes, refused, sha256


@pytest.mark.parametrize("number", [9, 0], ids=["the same order", "another order"])
def test_what_a_killed_run_of_ours_made_ready(host: Host, number: int) -> None:
    """The journal says whose it is, and the audit in between does not call it in the way."""
    host.config()
    order = host.apply(number=number)
    name = "10-pod.conflist"
    entry = {"name": name, "before": order.files[0].sha256, "after": "0" * 64, "from": None}
    forge(host, files=[{**entry, "to": "1.0.0"}])
    (host.conf / f"{name}.cnitmp").write_text("left by a run that was killed")
    assert "NameTaken" not in codes(audited(host))
    assert run(order).outcome is Outcome.DONE
    assert [each.name for each in host.conf.iterdir()] == [name]


def test_a_leftover_that_cannot_be_removed_at_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal stays, or the next run would take what is ours for somebody else's."""
    killed.two_files(host)
    order = host.apply()
    killed.after_one_file(order, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(file_io, "remove_if_there", killed.failing(errno.EIO))
        result = run(order)
    assert (result.outcome, result.error and result.error.code) == (Outcome.FAILED, "InputOutput")
    assert run(order).outcome is Outcome.DONE
    assert len(list(host.conf.iterdir())) == 2


def test_a_taken_name_that_a_journal_does_not_tell_of(host: Host) -> None:
    """A killed run of ours in another file does not make this one ours."""
    host.config()
    order = host.apply()
    forge(host, files=[])
    name = host.conf / "10-pod.conflist.cnitmp"
    name.write_text("somebody else's")
    assert "NameTaken" in codes(audited(host))
    assert refused(run(order)) == "NameTaken"
    assert name.read_text() == "somebody else's"


def forge(host: Host, **members: object) -> None:
    """A journal that no run of ours has written."""
    said = {
        "schema": 1,
        "id": f"apply-{9:020}",
        "kind": "apply",
        "node": "node-a",
        "backup": "b",
        "folder": "/etc/cni/net.d",
        "files": [],
    }
    host.state.mkdir()
    (host.state / "journal.json").write_text(json.dumps({**said, **members}))


@pytest.mark.parametrize(
    "member",
    [
        {"files": [{"name": "../../outside"}]},
        {"files": [{"name": "a\0"}]},
        {"files": [{"name": "\ud800"}]},
        {"id": "../../apply-00000000000000000009"},
        {"id": "apply-9"},
    ],
)
def test_a_journal_leads_nowhere_else(host: Host, member: dict[str, object]) -> None:
    """It may stand on a disk image: what it names is removed, and its id names a file of ours."""
    host.config()
    outside = host.conf.parent.parent / "outside.cnitmp"
    outside.write_text("")
    forge(host, **member)
    assert refused(run(host.apply())) == "Unfinished"
    assert outside.exists()
    assert not list(host.state.glob("**/*00009.json"))


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '{"schema": 1}'])
def test_a_journal_of_any_text(host: Host, text: str) -> None:
    host.config()
    host.state.mkdir()
    (host.state / "journal.json").write_text(text)
    assert refused(run(host.apply())) == "Unfinished"


def test_a_journals_folder_that_no_path_can_name(host: Host) -> None:
    host.config()
    forge(host, folder="/etc/\ud800")
    assert run(host.apply()).outcome is Outcome.DONE, "it is gone, and so is what it told of"


def test_a_journals_file_that_no_folder_can_hold(host: Host) -> None:
    host.config()
    entry = {"name": "n" * 256, "before": None, "after": "a", "from": None, "to": None}
    forge(host, id=f"apply-{9:020x}", files=[entry])
    assert run(host.apply()).outcome is Outcome.DONE, "such a file was never written"


def test_a_damaged_journal_stops_everything(host: Host) -> None:
    host.config()
    operation = host.apply()
    host.state.mkdir()
    (host.state / "journal.json").write_text("{")
    result = run(operation)
    assert refused(result) == "Unfinished"
    assert "journal.json" in str(result.error)


def begun(host: Host, order: Operation, folder: str, made: str = "a-backup") -> None:
    """As a run leaves it that is killed after it began to write in that folder of the host."""
    with state.locked(order) as place:
        entry = journal.Entry("10-pod.conflist", "a" * 64, "b" * 64, None, "1.0.0")
        left = journal.Journal(order.id, order.kind, order.node, folder, made, (entry,))
        journal.begin(place, left)


def test_a_folder_that_went_while_a_killed_run_wrote_in_it(host: Host) -> None:
    """The next operation is not stopped by it for ever, and what is not known is said."""
    host.config()
    first, second = host.apply(number=0), host.apply(number=1)
    begun(host, first, "/etc/cni/gone.d")
    assert run(second).outcome is Outcome.DONE
    told = run(first)
    assert (told.outcome, told.changes, told.backup) == (Outcome.FAILED, (), None)
    assert told.error is not None
    assert told.error.code == "Interrupted"
    assert "/etc/cni/gone.d" in told.error.message
    assert "backup a-backup, which is made before anything is written" in told.error.message


@pytest.mark.parametrize("damaged", [False, True])
def test_a_folder_that_went_after_a_killed_run_had_made_its_backup(
    host: Host, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    host.config()
    first, second = host.apply(number=0), host.apply(number=1)
    killed.before_any_file(first, monkeypatch)
    [made] = (host.state / "backups").iterdir()
    if damaged:
        (made / "manifest.json").write_text("{")
    host.conf.rename(host.conf.with_name("gone.d"))
    run(second)
    told = run(first)
    assert told.error is not None
    assert (told.error.code, told.backup) == ("Interrupted", made.name)
    assert f"is in backup {made.name}" in told.error.message


@pytest.mark.parametrize("stands_in", [False, True])
@pytest.mark.parametrize("folder_gone", [False, True])
def test_a_killed_restore_is_told_of_as_one(
    host: Host, monkeypatch: pytest.MonkeyPatch, stands_in: bool, folder_gone: bool
) -> None:
    """It makes no backup: what it puts back comes from the one asked for, or what stood in."""
    killed.two_files(host)
    text = {path: path.read_bytes() for path in host.conf.iterdir()}
    asked = run(host.apply(number=0)).backup
    for path, data in text.items():
        path.write_bytes(data)
    used = run(host.apply(number=1)).backup
    assert asked is not None
    if stands_in:
        shutil.rmtree(host.state / "backups" / asked)
    restore = host.restore(asked)
    written = killed.after_one_file(restore, monkeypatch)
    if folder_gone:
        host.conf.rename(host.conf.with_name("gone.d"))
    run(host.restore(asked, number=1))
    told = run(restore)
    assert told.error is not None
    assert (told.error.code, told.backup) == ("Interrupted", asked)
    assert [each.name for each in told.changes] == ([] if folder_gone else [written])
    assert told.error.message.endswith(f"is from backup {used if stands_in else asked}")
    assert "before" not in told.error.message
    assert set(told.replaced_by.values()) == ({used} if stands_in else set())


def test_a_killed_restore_whose_backup_went_since(host: Host) -> None:
    host.config()
    made = run(host.apply()).backup
    restore = host.restore(made)
    begun(host, restore, "/etc/cni/gone.d", f"{made}")
    shutil.rmtree(host.state / "backups")
    run(host.apply(number=1))
    told = run(restore)
    assert told.error is not None
    assert told.error.message.endswith(f"is from backup {made}, not there any more")


def test_a_folder_that_went_before_the_killed_run_was_begun_again(host: Host) -> None:
    host.config()
    order = host.apply()
    begun(host, order, "/etc/cni/net.d")
    shutil.rmtree(host.conf)
    told = run(order)
    assert told.error is not None
    assert (told.outcome, told.error.code) == (Outcome.FAILED, "Interrupted")
    assert run(order) == told
    host.conf.mkdir()
    host.config()
    assert run(host.apply(number=1)).outcome is Outcome.DONE


def test_a_run_that_was_killed_before_it_wrote_names_no_backup(host: Host) -> None:
    """It may have been killed before that was made."""
    host.config()
    first = host.apply(number=0)
    begun(host, first, "/etc/cni/net.d")
    assert run(host.apply(number=1)).outcome is Outcome.DONE
    told = run(first)
    assert told.error is not None
    assert told.error.message == (
        "the run was killed; written until then: nothing; each file is whole"
    )
    assert told.backup is None


def test_a_backup_of_which_nothing_was_replaced_yet_is_named(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.config()
    first, second = host.apply(number=0), host.apply(number=1)
    killed.before_any_file(first, monkeypatch)
    [made] = (host.state / "backups").iterdir()
    assert run(second).outcome is Outcome.DONE
    told = run(first)
    assert (told.outcome, told.changes, told.backup) == (Outcome.FAILED, (), made.name)


@pytest.mark.parametrize("name", ["../x", ""])
def test_a_journal_whose_backup_has_no_name_of_ours(host: Host, name: str) -> None:
    host.config()
    first = host.apply(number=0)
    begun(host, first, "/etc/cni/net.d", name)
    assert run(host.apply(number=1)).outcome is Outcome.DONE
    assert run(first).backup is None


def test_asked_to_stop_after_a_killed_run_of_the_same_operation(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was written by this run, and perhaps by that one: it is gone on with."""
    monkeypatch.setattr(signals, "_over", False)
    host.config()
    order = host.apply()
    look = survey.survey

    def stopped(operation: Operation) -> survey.Survey:
        signals._stop(15, None)
        return look(operation)

    monkeypatch.setattr(survey, "survey", stopped)
    with pytest.raises(signals.StoppedError):
        run(host.apply(number=1))
    begun(host, order, "/etc/cni/net.d")
    assert run(order).outcome is Outcome.DONE


CALLS = ((transaction, "check"), (write_obstacles, "of_space"), (write_obstacles, "of_metadata"))
"""What may fail in a run between its look at the node and its first write."""


@pytest.mark.parametrize(("module", "call"), CALLS)
def test_what_goes_on_with_a_killed_run_and_fails_has_touched_something(
    host: Host, monkeypatch: pytest.MonkeyPatch, module: object, call: str
) -> None:
    """Refused would say that nothing was, and then nothing would be proved or put back."""
    killed.two_files(host)
    order = host.apply()
    written = killed.after_one_file(order, monkeypatch)
    result = killed.run_while_failing(order, monkeypatch, module, call, errno.EIO)
    assert result.error is not None
    assert (result.outcome, result.error.code) == (Outcome.FAILED, "InputOutput")
    assert [change.name for change in result.changes] == [written]
    assert result.changes[0].after == sha256(host.conf / written)
    assert run(order) == result, "what was said stays said"
    assert run(host.restore(result.backup)).outcome is Outcome.DONE
    assert "cniVersion" not in (host.conf / written).read_text()


@pytest.mark.parametrize(("module", "call"), CALLS)
def test_a_run_of_its_own_that_fails_before_it_writes_has_touched_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, module: object, call: str
) -> None:
    killed.two_files(host)
    order = host.apply()
    result = killed.run_while_failing(order, monkeypatch, module, call, errno.EMFILE)
    assert refused(result) == "InputOutput"
    assert run(order) == result


def unreadable(name: str) -> Callable[..., bytes]:
    """In place of `files.read_file`: the disk fails under one file."""
    read = file_io.read_file

    def reading(folder: int, each: str, *limit: int) -> bytes:
        return killed.failing(errno.EIO)() if each == name else read(folder, each, *limit)

    return reading


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):
        made.bind(path.name)  # by its name: a whole path is too long for a socket's


def test_what_a_killed_run_has_written_cannot_be_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is claimed of it then, but where what stood there before can be had."""
    killed.two_files(host)
    order = host.apply()
    written = killed.after_one_file(order, monkeypatch)
    left = json.loads((host.state / "journal.json").read_text())
    with monkeypatch.context() as patched:
        patched.setattr(file_io, "read_file", unreadable(written))
        result = run(order)
    assert (result.outcome, result.changes) == (Outcome.FAILED, ())
    assert result.backup == left["backup"]
    assert "what it has written is not known" in str(result.error)
    assert run(order) == result


def test_what_cannot_be_told_of_a_run_that_made_no_backup_names_none(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.config()
    order = host.apply()
    begun(host, order, "/etc/cni/net.d")
    with monkeypatch.context() as patched:
        patched.setattr(file_io, "read_file", unreadable("10-pod.conflist"))
        result = run(order)
    assert (result.outcome, result.backup) == (Outcome.FAILED, None)
    assert "backup a-backup, which is made before anything is written" in str(result.error)


def test_what_cannot_be_told_and_not_be_recorded_stays_in_the_journal(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed.two_files(host)
    order = host.apply()
    written = killed.after_one_file(order, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(file_io, "read_file", unreadable(written))
        patched.setattr(recorded_results, "record", killed.failing(errno.EIO))
        assert run(order).outcome is Outcome.FAILED
    assert (host.state / "journal.json").exists()
    done = run(order)
    assert (done.outcome, len(done.changes)) == (Outcome.DONE, 2)


def test_another_operation_does_not_settle_what_cannot_be_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on record as not written, for good."""
    killed.two_files(host)
    first = host.apply()
    written = killed.after_one_file(first, monkeypatch)
    second = host.apply(number=1)
    with monkeypatch.context() as patched:
        patched.setattr(file_io, "read_file", unreadable(written))
        assert refused(run(second)) == "InputOutput"
    run(host.apply(number=2))
    assert [change.name for change in run(first).changes] == [written]


@pytest.mark.parametrize(
    "instead", [lambda path: path.symlink_to("/etc/hostname"), socket_at, os.mkfifo, Path.mkdir]
)
def test_what_is_no_file_is_not_what_a_killed_run_has_written(
    host: Host, monkeypatch: pytest.MonkeyPatch, instead: Callable[[Path], object]
) -> None:
    """That is known of it, so no other operation waits for anybody."""
    killed.two_files(host)
    first = host.apply()
    path = host.conf / killed.after_one_file(first, monkeypatch)
    path.unlink()
    instead(path)
    second = replace(host.apply_of("0" * 64, "20-pod.conflist"), id=f"apply-{1:020x}")
    assert refused(run(second)) == "ChangedSinceAudit"
    told = run(first)
    assert told.error is not None
    assert (told.error.code, told.changes) == ("Interrupted", ())


def test_the_folder_of_a_killed_run_that_cannot_be_opened_when_it_is_gone_on_with(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed.two_files(host)
    order = host.apply()
    killed.after_one_file(order, monkeypatch)
    resolve = host_paths.resolve

    def resolving(root: str, path: str) -> str:
        return killed.failing(errno.EIO)() if path == "/etc/cni/net.d" else resolve(root, path)

    with monkeypatch.context() as patched:
        patched.setattr(host_paths, "resolve", resolving)
        result = run(order)
    assert (result.outcome, result.changes) == (Outcome.FAILED, ())
    assert result.backup is not None


def test_an_answer_that_cannot_be_looked_for_after_a_killed_run(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its journal stays, and the next one goes on with it."""
    killed.two_files(host)
    order = host.apply()
    killed.after_one_file(order, monkeypatch)
    result = killed.run_while_failing(order, monkeypatch, recorded_results, "find", errno.EMFILE)
    assert (result.outcome, result.changes) == (Outcome.FAILED, ())
    assert result.backup is not None
    done = run(order)
    assert (done.outcome, len(done.changes)) == (Outcome.DONE, 2)


def test_an_answer_that_cannot_be_made_durable_is_not_contradicted(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed once all was written and said, with the journal still there."""
    host.config()
    order = host.apply()
    done = killed.run_while_failing(order, monkeypatch, journal, "end", errno.EIO)
    failed = killed.run_while_failing(order, monkeypatch, recorded_results, "record", errno.EIO)
    assert failed.outcome is Outcome.FAILED
    assert run(order) == done


@pytest.mark.parametrize("now", ["/etc/cni/other.d", None])
def test_a_killed_run_that_wrote_in_another_folder_than_is_used_now(
    host: Host, monkeypatch: pytest.MonkeyPatch, now: str | None
) -> None:
    """It cannot be gone on with there, and what it has written is told all the same."""
    killed.two_files(host)
    order = host.apply()
    written = killed.after_one_file(order, monkeypatch)
    paths = replace(order.paths, conf_dirs=(now or "/etc/cni/gone.d",), by_hand=("--config-dir",))
    if now is not None:
        shutil.copytree(host.conf, host.root / now.strip("/"))
    result = run(replace(order, paths=paths))
    assert result.outcome is Outcome.FAILED
    assert [change.name for change in result.changes] == [written]


def another_mode(path: Path) -> None:
    path.chmod(0o600)


def another_attribute(path: Path) -> None:
    os.setxattr(path, "user.origin", b"by hand")


@pytest.mark.parametrize("meanwhile", [another_mode, another_attribute])
def test_what_changed_of_a_file_after_the_killed_run_saved_it_is_saved_too(
    host: Host, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Path], None]
) -> None:
    """Two files: one backup gives back both, each as it was when it was replaced."""
    killed.two_files(host)
    order = host.apply()
    written = killed.after_one_file(order, monkeypatch)
    (late,) = [path for path in host.conf.glob("*.conflist") if path.name != written]
    meanwhile(late)
    was = late.stat().st_mode, os.listxattr(late), late.read_text()
    result = run(order)
    assert result.outcome is Outcome.DONE, result.error
    assert [change.name for change in result.changes] == [written, late.name]
    assert all(change.diff for change in result.changes)
    back = run(host.restore(result.backup))
    assert back.outcome is Outcome.DONE, back.error
    assert (late.stat().st_mode, os.listxattr(late), late.read_text()) == was
    assert "cniVersion" not in (host.conf / written).read_text()


def another_engine(*arguments: Any) -> Rewritten:
    """In place of `rewrite`: a later release writes other bytes."""
    made = rewrite(*arguments)
    return replace(made, data=made.data + b"\n")


@pytest.mark.parametrize(
    ("module", "call"), [(backup, "create"), (journal, "begin"), (transaction, "_make_ready")]
)
@pytest.mark.parametrize("end", ["killed", "failed"])
@pytest.mark.parametrize("changed", ["mode", "engine"])
def test_a_backup_that_a_second_run_makes_is_named_once_it_is_there(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    call: str,
    end: str,
    changed: str,
) -> None:
    """What the first run wrote can be given back, wherever the second one ends."""
    killed.two_files(host)
    order = replace(host.apply(), keep=1)
    written = killed.after_one_file(order, monkeypatch)
    if changed == "mode":
        for path in host.conf.iterdir():
            path.chmod(0o600)
    else:
        monkeypatch.setattr(apply, "rewrite", another_engine)

    def killing(*_: object, **__: object) -> NoReturn:
        raise killed.KilledError

    with monkeypatch.context() as patched:
        patched.setattr(module, call, killing if end == "killed" else killed.failing(errno.EIO))
        with pytest.raises(killed.KilledError) if end == "killed" else contextlib.nullcontext():
            run(order)
    result = run(order)
    assert result.outcome is (Outcome.DONE if end == "killed" else Outcome.FAILED)
    assert result.changes[0].name == written
    back = run(host.restore(result.backup))
    assert back.outcome is Outcome.DONE, back.error
    assert not any("cniVersion" in path.read_text() for path in host.conf.iterdir())


@pytest.mark.parametrize("spoiled", ["content", "gone"])
@pytest.mark.parametrize("first", [True, False], ids=["nothing written", "one file written"])
def test_a_copy_that_is_damaged_before_its_file_is_written_is_made_anew(
    host: Host, monkeypatch: pytest.MonkeyPatch, first: bool, spoiled: str
) -> None:
    """Else the file would be written over, and be in no backup."""
    killed.two_files(host)
    order = host.apply()
    if first:
        killed.before_any_file(order, monkeypatch)
        late = host.conf / order.files[0].name
    else:
        written = killed.after_one_file(order, monkeypatch)
        (late,) = [path for path in host.conf.glob("*.conflist") if path.name != written]
    was = late.read_text()
    (copy,) = (host.state / "backups").glob(f"*/files/{late.name}")
    copy.unlink() if spoiled == "gone" else copy.write_text("spoiled")
    result = run(order)
    assert result.outcome is Outcome.DONE, result.error
    assert len(result.changes) == 2
    assert all(change.diff for change in result.changes)
    back = run(host.restore(result.backup))
    assert back.outcome is Outcome.DONE, back.error
    assert late.read_text() == was
    assert not any("cniVersion" in path.read_text() for path in host.conf.iterdir())
