"""An apply writes what was ordered if it still holds, and refuses the rest by name."""

import base64
import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cni_upgrade.cni.rewrite import Rewritten, rewrite
from cni_upgrade.node import (
    apply,
    backup,
    files,
    folders,
    journal,
    obstacles,
    results,
    state,
    stop,
    survey,
    transaction,
)
from cni_upgrade.node.agent import run
from cni_upgrade.node.operation import (
    FileOrder,
    Form,
    ManagedFiles,
    Operation,
    Outcome,
    Result,
    Target,
    Verdict,
)
from tests.unit.node import built, killed
from tests.unit.node.host import VERSIONLESS, Host, codes, report, sha256


def refused(result: Result) -> str:
    assert result.outcome is Outcome.REFUSED
    assert result.error is not None
    assert result.changes == ()
    return result.error.code


def audited(host: Host) -> Result:
    before = host.tree()
    result = run(host.audit())
    assert host.tree() == before, "an audit changes nothing"
    return result


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


def test_a_link_is_not_written(host: Host) -> None:
    target = host.root / "srv/net.conflist"
    target.parent.mkdir()
    target.write_text(VERSIONLESS)
    (host.conf / "10-pod.conflist").symlink_to("/srv/net.conflist")
    found = audited(host)
    assert report(found).verdict is Verdict.BLOCKED
    assert "SymbolicLink" in codes(found)
    assert report(found).files[0].to is None
    assert refused(run(host.apply_of(report(found).files[0].sha256))) == "SymbolicLink"
    assert target.read_text() == VERSIONLESS


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file")
def test_a_mount_point_is_not_written(host: Host) -> None:
    """Its rename fails, perhaps once others were written: it is told before."""
    path = host.config()
    host.plugins()
    (host.root / "elsewhere").write_text(VERSIONLESS)
    asked = host.apply()
    in_a_mount_namespace = (
        "import json, os, subprocess, sys\n"
        "from cni_upgrade.node.agent import run\n"
        "from cni_upgrade.node.operation import Operation\n"
        "subprocess.run(['mount', '--bind', sys.argv[1], sys.argv[2]], check=True)\n"
        "for document in sys.argv[3:]:\n"
        "    print(json.dumps(run(Operation.from_json(json.loads(document))).to_json()))\n"
    )
    orders = [json.dumps(each.to_json()) for each in (host.audit(), asked)]
    python = [sys.executable, "-c", in_a_mount_namespace, str(host.root / "elsewhere"), str(path)]
    ran = subprocess.run(
        ["unshare", "--mount", *python, *orders],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    seen, result = (Result.from_json(json.loads(line)) for line in ran.stdout.splitlines())
    assert report(seen).verdict is Verdict.BLOCKED
    assert "is mounted from elsewhere" in report(seen).files[0].why
    assert refused(result) in ("MountPoint", "NotAllowed")
    assert sorted(each.name for each in host.conf.iterdir()) == [path.name]


def test_a_hard_link_is_not_written(host: Host) -> None:
    path = host.config()
    (host.root / "other").hardlink_to(path)
    assert "HardLink" in codes(audited(host))
    assert refused(run(host.apply())) == "HardLink"


def test_a_foreign_owner_is_not_written(host: Host) -> None:
    path = host.config()
    try:
        os.chown(path, 4242, -1)
    except PermissionError:
        pytest.skip("only root gives files away")
    assert "ForeignOwner" in codes(audited(host))
    assert refused(run(host.apply())) == "ForeignOwner"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("fchown", "ForeignOwner"),
        ("fchmod", "PermissionBits"),
        ("setxattr", "ExtendedAttribute"),
    ],
)
def test_what_was_given_and_is_not_there_is_not_written(
    host: Host, call: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.config()
    os.chown(path, -1, 4242)
    path.chmod(0o640)
    os.setxattr(path, "user.origin", b"x")
    before = path.stat()
    monkeypatch.setattr(os, call, lambda *_: None)  # says yes and does otherwise
    result = run(host.apply())
    assert refused(result) == code
    assert result.error is not None
    assert "10-pod.conflist" in result.error.message
    assert path.stat() == before
    assert [each.name for each in host.conf.iterdir()] == ["10-pod.conflist"]


@pytest.mark.parametrize("form", [Form.KEEP, Form.LIST])
def test_what_would_be_too_large_to_be_read_again_is_not_written(host: Host, form: Form) -> None:
    name, text = "10-pod.conflist", VERSIONLESS
    if form is Form.LIST:
        name, text = "10-pod.conf", '{"name": "pod-net", "type": "bridge"}'
    path = host.config(name, text + " " * (files.CONFIG_LIMIT - len(text)))
    becomes = "10-pod.conflist" if form is Form.LIST else None
    orders = (FileOrder(name, sha256(path), "1.0.0", becomes),)
    order = replace(host.apply(), files=orders, target=Target(form=form))
    assert refused(run(order)) == "TooLarge"
    assert path.stat().st_size == files.CONFIG_LIMIT
    assert not (host.state / "backups").exists()
    found = run(replace(host.audit(), target=order.target))
    assert "TooLarge" in codes(found)
    assert report(found).verdict is Verdict.BLOCKED


def test_a_small_file_that_its_indentation_makes_too_large_is_foretold(host: Host) -> None:
    """A list holds each line of the file two steps further in, and a step may be long."""
    lines = ",\n".join(f'"m{number}": 1' for number in range(200))
    text = f'{{\n{" " * 4000}"name": "pod-net", "type": "bridge",\n{lines}\n}}\n'
    path = host.config("10-pod.conf", text)
    assert path.stat().st_size < 10_000
    target = Target(form=Form.LIST)
    orders = (FileOrder(path.name, sha256(path), "1.0.0", "10-pod.conflist"),)
    order = replace(host.apply(), files=orders, target=target)
    assert refused(run(order)) == "TooLarge"
    found = run(replace(host.audit(), target=target))
    assert "TooLarge" in codes(found)
    assert report(found).verdict is Verdict.BLOCKED


@contextlib.contextmanager
def immutable(path: Path) -> Iterator[None]:
    if (
        shutil.which("chattr") is None
        or subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode
    ):
        pytest.skip("chattr does not work here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_an_immutable_file(host: Host) -> None:
    with immutable(host.config()):
        assert "Immutable" in codes(audited(host))
        assert refused(run(host.apply())) == "Immutable"


def test_an_immutable_folder(host: Host) -> None:
    host.config()
    with immutable(host.conf):
        assert "Immutable" in codes(audited(host))
        assert refused(run(host.apply())) == "Immutable"


def test_a_full_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.config()
    monkeypatch.setattr(obstacles, "RESERVE", 1 << 60)
    assert refused(run(host.apply())) == "NoSpace"


@pytest.mark.parametrize(("inodes", "code"), [(12 + 31, 3), (12 + 40, 0)])
def test_a_disk_without_inodes(host: Host, inodes: int, code: int) -> None:
    """There is room for every byte, and for no name."""
    host.config()
    disk = host.root / "disk"
    disk.mkdir()
    host.state.mkdir()
    ran = with_mounts(
        host,
        f"mount -t tmpfs -o nr_inodes={inodes} none {disk} &&"
        f" for n in $(seq 12); do : > {disk}/$n; done && mount --bind {disk} {host.state}",
    )
    assert ran.returncode == code, (ran.stdout, ran.stderr)
    assert ("inodes free" in ran.stdout) == bool(code)


def with_mounts(host: Host, prepare: str) -> subprocess.CompletedProcess[str]:
    """An apply in a mount namespace of its own, prepared by a line of shell."""
    mounted = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            f"{prepare} && exec {sys.executable} -m cni_upgrade.node.agent",
        ],
        env={
            **os.environ,
            "CNI_UPGRADE_OPERATION": json.dumps(host.apply().to_json()),
            "CNI_UPGRADE_TERMINATION_LOG": str(host.root / "log"),
            "PYTHONPATH": "operator",
        },
        check=False,
        capture_output=True,
        text=True,
    )
    if "unshare" in mounted.stderr or "mount:" in mounted.stderr:
        pytest.skip(f"no mounts here: {mounted.stderr}")
    return mounted


def test_a_read_only_mount(host: Host) -> None:
    host.config()
    mounted = with_mounts(
        host, f"mount --bind {host.conf} {host.conf} && mount -o remount,bind,ro {host.conf}"
    )
    assert mounted.returncode == 3, mounted.stderr
    assert "ReadOnly" in mounted.stdout


@pytest.mark.parametrize(("kilobytes", "code"), [(1024 + 700, 3), (1024 + 900, 0)])
def test_a_disk_that_config_and_backup_share(host: Host, kilobytes: int, code: int) -> None:
    """The new file, its backup and the record of both fit one by one, and not together."""
    host.config(text=VERSIONLESS + " " * (200 << 10))
    disk = host.root / "disk"
    disk.mkdir()
    host.state.mkdir()
    ran = with_mounts(
        host,
        f"mount -t tmpfs -o size={kilobytes}k none {disk} && mkdir {disk}/conf {disk}/state &&"
        f" cp -a {host.conf}/. {disk}/conf && mount --bind {disk}/conf {host.conf} &&"
        f" mount --bind {disk}/state {host.state}",
    )
    assert ran.returncode == code, (ran.stdout, ran.stderr)
    assert ("NoSpace" in ran.stdout) == bool(code)


def foreign(path: Path) -> None:
    path.write_text("somebody else's")
    try:
        os.chown(path, 4242, -1)
    except PermissionError:
        pytest.skip("only root gives files away")


@pytest.mark.parametrize(
    "taken",
    [
        Path.mkdir,
        foreign,
        lambda path: path.symlink_to("/etc/hostname"),
        os.mkfifo,
        lambda path: path.write_text("another program's, and root's as ours are"),
    ],
    ids=["folder", "foreign file", "link", "pipe", "plain file"],
)
def test_a_name_that_is_taken(host: Host, taken: Callable[[Path], None]) -> None:
    """What is not ours stays, and is known of before the journal says that anything begins."""
    host.config()
    order = host.apply()
    taken(host.conf / "10-pod.conflist.cnitmp")
    before = host.tree()
    assert "NameTaken" in codes(audited(host))
    assert refused(run(order)) == "NameTaken"
    after = host.tree()
    theirs = {name: what for name, what in before.items() if name.startswith("etc/")}
    assert {name: what for name, what in after.items() if name.startswith("etc/")} == theirs


def taken_late(name: Path) -> Callable[[state.State, journal.Journal], None]:
    """Somebody makes the file right after the journal was begun."""
    begin = journal.begin

    def begin_late(place: state.State, plan: journal.Journal) -> None:
        begin(place, plan)
        foreign(name)

    return begin_late


def test_a_name_that_is_taken_in_the_very_moment(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the making of the file."""
    host.config()
    name = host.conf / "10-pod.conflist.cnitmp"
    order = host.apply()
    monkeypatch.setattr(journal, "begin", taken_late(name))
    assert refused(run(order)) == "NameTaken"
    assert name.read_text() == "somebody else's"
    assert not (host.state / "journal.json").exists()


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
        patched.setattr(files, "remove_if_there", killed.failing(errno.EIO))
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
    monkeypatch.setattr(stop, "_over", False)
    host.config()
    order = host.apply()
    look = survey.survey

    def stopped(operation: Operation) -> survey.Survey:
        stop._stop(15, None)
        return look(operation)

    monkeypatch.setattr(survey, "survey", stopped)
    with pytest.raises(stop.StoppedError):
        run(host.apply(number=1))
    begun(host, order, "/etc/cni/net.d")
    assert run(order).outcome is Outcome.DONE


CALLS = ((transaction, "check"), (obstacles, "of_space"), (obstacles, "of_metadata"))
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
    read = files.read_file

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
        patched.setattr(files, "read_file", unreadable(written))
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
        patched.setattr(files, "read_file", unreadable("10-pod.conflist"))
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
        patched.setattr(files, "read_file", unreadable(written))
        patched.setattr(results, "record", killed.failing(errno.EIO))
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
        patched.setattr(files, "read_file", unreadable(written))
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
    resolve = folders.resolve

    def resolving(root: str, path: str) -> str:
        return killed.failing(errno.EIO)() if path == "/etc/cni/net.d" else resolve(root, path)

    with monkeypatch.context() as patched:
        patched.setattr(folders, "resolve", resolving)
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
    result = killed.run_while_failing(order, monkeypatch, results, "find", errno.EMFILE)
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
    failed = killed.run_while_failing(order, monkeypatch, results, "record", errno.EIO)
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


def test_old_results_that_cannot_be_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one is durable, and a rerun gives it: that is not to be called a failure."""
    monkeypatch.setattr(results, "KEEP", 1)
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
    monkeypatch.setattr(results, "KEEP", 2)
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
    monkeypatch.setattr(results, "KEEP", 2)
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
    monkeypatch.setattr(stop, "_over", False)
    with stop.held():
        stop._stop(15, None)
    with pytest.raises(stop.StoppedError, match="SIGTERM"):
        stop._stop(15, None)
    stop.finish()
    stop._stop(15, None)


def test_asked_to_stop_once_all_is_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """On its way out the run gives its lock back: what it has done is told as done."""
    monkeypatch.setattr(stop, "_over", False)
    path = host.config()
    given_back = files.close

    def close(descriptor: int) -> None:
        given_back(descriptor)
        if '"cniVersion"' in path.read_text():
            stop._stop(15, None)

    monkeypatch.setattr(files, "close", close)
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
