"""An apply writes what was ordered if it still holds, and refuses the rest by name."""

import base64
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cni_upgrade.agent import file_io, signals
from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import journal, state, transaction
from cni_upgrade.agent.protocol.operation import ManagedFiles, Outcome, Verdict
from tests.unit.agent import built, killed
from tests.unit.agent.host import VERSIONLESS, Host, audited, codes, refused, report, sha256


def test_the_cure(host: Host) -> None:
    path = host.config()
    path.chmod(0o640)
    os.setxattr(path, "user.origin", b"\x00by hand")
    found = report(audited(host))
    assert found.verdict is Verdict.REWRITE
    assert (found.files[0].version, found.files[0].to) == (None, "1.0.0")

    old = path.read_bytes()
    result = run(host.apply())
    assert result.outcome is Outcome.DONE
    assert report(result).verdict is Verdict.COMPATIBLE
    assert path.read_text() == VERSIONLESS.replace("{\n", '{\n  "cniVersion": "1.0.0",\n', 1)
    assert path.stat().st_mode & 0o7777 == 0o640
    assert os.getxattr(path, "user.origin") == b"\x00by hand"
    assert [each.name for each in host.conf.iterdir()] == ["10-pod.conflist"]
    change = result.changes[0]
    assert (change.name, change.from_version, change.to) == ("10-pod.conflist", None, "1.0.0")
    assert change.after == sha256(path)
    assert change.diff.count("\n+ ") == 1

    saved = host.state / "backups" / str(result.backup)
    assert (saved / "files/10-pod.conflist").read_bytes() == old
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["files"][0]["mode"] == "0640"
    assert base64.b64decode(manifest["files"][0]["xattrs"]["user.origin"]) == b"\x00by hand"


def test_files_get_their_names_in_the_order_in_which_they_are_loaded(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order of the order: the file that is asked first is cured first."""
    killed.two_files(host)
    order = host.apply()
    order = replace(order, files=order.files[::-1])
    assert killed.after_one_file(order, monkeypatch) == "10-pod.conflist"


def test_a_rerun_gives_the_same_answer_and_writes_nothing(host: Host) -> None:
    host.config()
    operation = host.apply()
    first = run(operation)
    before = host.tree()
    assert run(operation) == first
    assert host.tree() == before


def test_only_the_file_that_the_runtime_uses_may_be_written(host: Host) -> None:
    """Each of five becomes it in turn; an order for another is refused."""
    for number in range(5):
        host.config(f"{number}0-pod.conflist", VERSIONLESS.replace("pod-net", f"net{number}"))
    for number in range(5):
        name = f"{number}0-pod.conflist"
        if number < 4:
            assert refused(run(host.apply("40-pod.conflist", number=10 + number))) == "NotAllowed"
        assert run(host.apply(name, number=number)).outcome is Outcome.DONE
        (host.conf / name).unlink()


@pytest.mark.parametrize(
    "change", [lambda path: path.write_text(VERSIONLESS + " "), lambda path: path.unlink()]
)
def test_changed_since_the_audit(host: Host, change: object) -> None:
    path = host.config()
    operation = host.apply()
    assert callable(change)
    change(path)
    before = host.tree().get("etc/cni/net.d/10-pod.conflist")
    assert refused(run(operation)) == "ChangedSinceAudit"
    assert host.tree().get("etc/cni/net.d/10-pod.conflist") == before


def test_a_version_that_is_not_allowed_any_more(host: Host) -> None:
    host.config()
    operation = host.apply()
    host.plugin("host-local", "0.4.0")
    result = run(operation)
    assert refused(result) == "NotAllowed"
    assert "0.4.0" in str(result.error)
    assert "host-local" in str(result.error)


def test_a_sandbox_that_came_since(host: Host) -> None:
    host.runtime = "containerd://1.5.9"
    host.config()
    host.sandbox(None)
    order = host.apply(to="0.3.1")
    assert run(order).outcome is Outcome.DONE
    host.config()
    assert refused(run(host.apply(to="0.4.0", number=1))) == "NotAllowed"


def test_no_config_folder(host: Host) -> None:
    host.config()
    operation = host.apply()
    shutil.rmtree(host.conf)
    result = run(operation)
    assert refused(result) == "NoConfig"
    assert report(result).verdict is Verdict.NO_CONFIG


def test_a_file_that_is_written_in_the_very_moment(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the rename: it was judged by nobody, and stands in no backup."""
    path = host.config()
    order = host.apply()
    begin = journal.begin

    def begin_late(place: state.State, plan: journal.Journal) -> None:
        begin(place, plan)
        path.write_text("somebody else's")

    monkeypatch.setattr(journal, "begin", begin_late)
    assert refused(run(order)) == "ChangedMeanwhile"
    assert path.read_text() == "somebody else's"
    assert [each.name for each in host.conf.iterdir()] == [path.name]


@pytest.mark.parametrize("then", [lambda path: path.write_text(VERSIONLESS), Path.unlink])
def test_what_is_written_over_at_once_is_not_proved(
    host: Host, monkeypatch: pytest.MonkeyPatch, then: Callable[[Path], None]
) -> None:
    """The rename was made, and what it gave the name to does not stand there any more."""
    path = host.config()
    commit = transaction.commit

    def commit_in_vain(*arguments: Any) -> None:
        commit(*arguments)
        then(path)

    monkeypatch.setattr(transaction, "commit", commit_in_vain)
    result = run(host.apply())
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert result.error.code == "NotProved"
    assert path.name in result.error.message
    assert [change.name for change in result.changes] == [path.name]


def test_that_nobody_knows_whether_a_pod_can_be_created_is_said_after_it_too(host: Host) -> None:
    """The file that stands then does not tell that CHECK was not asked before."""
    host.plugin("own-main")
    host.config(text='{"cniVersion": "0.3.1", "name": "n", "plugins": [{"type": "own-main"}]}')
    order = replace(host.apply(), runtime="cri-o://1.23.0")
    order = replace(order, files=(replace(order.files[0], to="1.0.0"),))
    done = run(order)
    assert done.outcome is Outcome.DONE, done.error
    assert "CheckUnproved" in codes(done)


def test_a_writer_that_would_put_it_back(host: Host) -> None:
    host.plugin("flannel")
    host.config(text='{"name": "cbr0", "plugins": [{"type": "flannel"}]}')
    found = audited(host)
    assert report(found).verdict is Verdict.MANAGED
    result = run(host.apply())
    assert refused(result) == "NotAllowed"
    assert "mend ConfigMap kube-flannel/kube-flannel-cfg" in str(result.error)
    override = replace(host.apply(number=1), managed_files=ManagedFiles.OVERRIDE)
    assert run(override).outcome is Outcome.DONE


def test_real_plugins_decide(tmp_path: Path) -> None:
    old, new = built.plugins("0.9.1"), built.plugins("1.9.1")
    host = Host(tmp_path / "host")
    host.config()
    for name in ("bridge", "portmap", "loopback"):
        shutil.copy(new / name, host.bin / name)
    shutil.copy(old / "host-local", host.bin / "host-local")
    found = report(audited(host))
    assert found.files[0].to == "0.4.0"
    assert "host-local" in found.files[0].why
    assert refused(run(host.apply(to="1.0.0"))) == "NotAllowed"
    assert run(host.apply(to="0.4.0", number=1)).outcome is Outcome.DONE


def test_asked_to_stop_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_over", False)
    with signals.held():
        signals._stop(15, None)
    with pytest.raises(signals.StoppedError, match="SIGTERM"):
        signals._stop(15, None)
    signals.finish()
    signals._stop(15, None)


def test_asked_to_stop_once_all_is_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """On its way out the run gives its lock back: what it has done is told as done."""
    monkeypatch.setattr(signals, "_over", False)
    path = host.config()
    given_back = file_io.close

    def close(descriptor: int) -> None:
        given_back(descriptor)
        if '"cniVersion"' in path.read_text():
            signals._stop(15, None)

    monkeypatch.setattr(file_io, "close", close)
    assert run(host.apply()).outcome is Outcome.DONE


def test_a_file_that_libcni_does_not_load(host: Host) -> None:
    text = VERSIONLESS.replace("{\n", '{\n  "cniVersion": null,\n', 1)
    path = host.config(text=text)
    found = report(audited(host))
    assert (found.verdict, found.baseline.add) == (Verdict.REWRITE, False)
    assert {plugin.type for plugin in found.plugins} >= {"bridge", "host-local", "portmap"}
    result = run(host.apply())
    assert result.outcome is Outcome.DONE, result.error
    assert report(result).verdict is Verdict.COMPATIBLE
    assert path.read_text() == text.replace("null", '"1.0.0"', 1)
    host.sandbox("1.0.0")
    back = run(host.restore(result.backup))
    assert refused(back) == "Unsafe"
    assert "BadVersion" in str(back.error)
    (host.results / next(iter(host.results.iterdir())).name).unlink()
    assert run(host.restore(result.backup, number=1)).outcome is Outcome.DONE
    assert path.read_text() == text
