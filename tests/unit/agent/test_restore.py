"""A restore gives back the very file, unless sandboxes that run now would be stranded by it."""

import errno
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import backup, state, transaction
from cni_upgrade.agent.protocol.operation import FileOrder, Kind, Operation, Outcome, Result
from cni_upgrade.agent.protocol.paths import BY_HAND_CONFIGS
from cni_upgrade.cni.findings import Severity
from tests.unit.agent import killed
from tests.unit.agent.host import VERSIONLESS, Host, refused, report, saved_as, sha256

NOBODY = 0xFFFFFFFF  # the id of an entry of an ACL that names none


def applied(host: Host, **attributes: int) -> tuple[Path, Result]:
    path = host.config()
    path.chmod(0o644)
    os.setxattr(path, "user.origin", b"by hand")
    os.utime(path, ns=(2 * 10**18, 10**18 + 1))  # read last in 2033: reading leaves that
    result = run(host.apply())
    assert result.outcome is Outcome.DONE
    assert path.read_text() != VERSIONLESS
    return path, result


def test_the_very_file_comes_back(host: Host) -> None:
    path, done = applied(host)
    result = run(host.restore(done.backup))
    assert result.outcome is Outcome.DONE
    assert result.backup == done.backup
    assert path.read_text() == VERSIONLESS
    entry = path.stat()
    assert (entry.st_mode & 0o7777, entry.st_mtime_ns) == (0o644, 10**18 + 1)
    assert entry.st_atime_ns == 2 * 10**18
    assert os.getxattr(path, "user.origin") == b"by hand"
    change = result.changes[0]
    assert (change.from_version, change.to) == ("1.0.0", None)
    assert (change.before, change.after) == (done.changes[0].after, done.changes[0].before)
    assert run(host.restore(done.backup)) == result
    again = run(host.restore(done.backup, number=1))
    assert (again.outcome, again.changes) == (Outcome.DONE, ()), "it stands there already"


@pytest.mark.skipif(os.geteuid() != 0, reason="sets capabilities on a file")
def test_what_a_write_takes_off_is_given_after_it(host: Host) -> None:
    """The kernel removes a file's capabilities with the first byte written."""
    path = host.config()
    path.chmod(0o6755)
    os.setxattr(path, "security.capability", bytes.fromhex("0100000200040000") + bytes(12))
    was = owned(path)
    done = run(host.apply())
    assert (done.outcome, owned(path)) == (Outcome.DONE, was)
    assert run(host.restore(done.backup)).outcome is Outcome.DONE
    assert (path.read_text(), owned(path)) == (VERSIONLESS, was)


def owned(path: Path) -> tuple[int, int, int, dict[str, bytes]]:
    entry = path.stat()
    xattrs = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return entry.st_mode & 0o7777, entry.st_uid, entry.st_gid, xattrs


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.chmod(0o666),
        lambda path: os.removexattr(path, "user.origin"),
        lambda path: os.setxattr(path, "user.later", b"x"),
        lambda path: os.chown(path, -1, 4242),
    ],
    ids=["mode", "attribute gone", "attribute added", "group"],
)
def test_the_same_bytes_with_another_mode_owner_or_attribute(
    host: Host, spoil: Callable[[Path], None]
) -> None:
    path, done = applied(host)
    was = owned(path)
    assert run(host.restore(done.backup)).outcome is Outcome.DONE
    try:
        spoil(path)
    except PermissionError:
        pytest.skip("only root gives files away")
    result = run(host.restore(done.backup, number=1))
    assert result.outcome is Outcome.DONE
    assert owned(path) == was
    assert [change.told for change in result.changes] == [
        "10-pod.conflist: mode, owner or extended attributes"
    ]
    assert result.changes[0].before == result.changes[0].after
    path.touch()  # when it was written is no difference
    assert run(host.restore(done.backup, number=2)).changes == ()


def test_what_a_new_file_inherits_is_taken_off_it(host: Host) -> None:
    """The folder has a default ACL, as `setfacl -d -m u:4242:rw` gives it; the file had none."""
    path = host.config()
    path.chmod(0o640)
    was = owned(path)
    entries = [(1, 7, NOBODY), (2, 6, 4242), (4, 5, NOBODY), (16, 7, NOBODY), (32, 5, NOBODY)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(host.conf, "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    (host.conf / "inherits").touch()
    assert "system.posix_acl_access" in os.listxattr(host.conf / "inherits")
    (host.conf / "inherits").unlink()
    done = run(host.apply("10-pod.conflist"))
    assert done.outcome is Outcome.DONE, done.error
    assert owned(path) == was
    assert run(host.restore(done.backup)).changes
    assert owned(path) == was


def test_a_link_to_the_same_bytes_is_not_the_file(host: Host) -> None:
    path, done = applied(host)
    path.rename(host.root / "elsewhere")
    (host.root / "elsewhere").write_text(VERSIONLESS)
    path.symlink_to("/elsewhere")
    assert refused(run(host.restore(done.backup))) == "SymbolicLink"


@pytest.mark.parametrize(
    ("added", "runtime", "code"),
    [
        (None, "containerd://1.6.2", "Unsafe"),
        (None, "containerd://1.6.8", None),
        (None, "cri-o://1.23.0", None),
        ("1.0.0", "containerd://1.6.2", "Unsafe"),
        ("1.0.0", "containerd://1.6.8", None),
        ("1.0.0", "cri-o://1.23.0", None),
        ("unknown", "containerd://1.6.2", "Unsafe"),
    ],
)
def test_sandboxes_that_were_added_since(
    host: Host, added: str | None, runtime: str, code: str | None
) -> None:
    """A versionless file under libcni up to 1.0.1 deletes nothing, whenever that was added; under
    CRI-O its pods hang before as after."""
    host.runtime = runtime
    path, done = applied(host)
    host.sandbox(added)
    result = run(host.restore(done.backup))
    if code is None:
        assert result.outcome is Outcome.DONE
        assert path.read_text() == VERSIONLESS
    else:
        assert refused(result) == code
        assert "drain" in str(result.error)
        assert path.read_text() != VERSIONLESS


def unread(host: Host, network: str = "pod-net") -> None:
    """An entry of the results cache that does not tell how its pod was added."""
    host.sandbox("1.0.0", "d" * 12, network).write_text("{")


def test_crio_deletes_with_its_cache_whatever_comes_back(host: Host) -> None:
    """What is not known of a plugin was not known before: a node that its change has broken would
    never come back."""
    host.runtime = "cri-o://1.23.0"
    path, done = applied(host)
    host.sandbox("1.0.0")
    host.script("bridge", "exit 1")
    host.script("host-local", "exit 1")
    assert run(host.restore(done.backup)).outcome is Outcome.DONE
    assert path.read_text() == VERSIONLESS


@pytest.mark.parametrize(
    ("before", "runtime", "network", "code"),
    [
        (None, "cri-o://1.23.0", "pod-net", "Unsafe"),
        (None, "cri-o://1.23.0", "another", None),
        (None, "cri-o://1.34.0", "pod-net", None),
        ("0.4.0", "cri-o://1.23.0", "pod-net", None),
        ("0.4.0", "containerd://1.6.2", "pod-net", None),
        (None, "containerd://1.6.2", "another", None),
    ],
)
def test_a_pod_of_which_the_cache_tells_nothing(
    host: Host, before: str | None, runtime: str, network: str, code: str | None
) -> None:
    """CRI-O too deletes it with the file. What comes back must delete what can go today: with no
    version, under libcni up to 1.0.1, it deletes nothing; at 0.4.0 whatever it does at 1.0.0."""
    host.runtime = runtime
    text = VERSIONLESS
    if before is not None:
        text = text.replace("{\n", f'{{\n  "cniVersion": "{before}",\n', 1)
    path = host.config(text=text)
    done = run(host.apply())
    unread(host, network)
    result = run(replace(host.restore(done.backup), rollback=True))
    if code is None:
        assert result.outcome is Outcome.DONE, result.error
        assert path.read_text() == text
    else:
        assert refused(result) == code
        assert "at a version that is not known" in str(result.error)
        assert path.read_text() != text


def test_a_rollback_lets_hang_again_what_hung_before(host: Host) -> None:
    """It is for the pods that work now or would never come: the others are counted, and no pod that
    was added since is stranded by it."""
    path, done = applied(host)
    host.sandbox(None, "a" * 12)
    host.sandbox(None, "b" * 12)
    back = replace(host.restore(done.backup), rollback=True)
    result = run(back)
    assert result.outcome is Outcome.DONE, result.error
    assert path.read_text() == VERSIONLESS
    first = report(result).findings[0]
    assert (first.code, first.severity) == ("HangAgain", Severity.FAULT)
    assert "2 cached sandboxes added with no version will hang again" in first.message
    assert run(back) == result


def test_a_rollback_strands_nothing_that_came_since(host: Host) -> None:
    path, done = applied(host)
    host.sandbox(None, "a" * 12)
    host.sandbox("1.0.0", "b" * 12)
    result = run(replace(host.restore(done.backup), rollback=True))
    assert refused(result) == "Unsafe"
    assert "at 1.0.0" in str(result.error)
    assert path.read_text() != VERSIONLESS


def test_what_somebody_else_wrote_is_theirs(host: Host) -> None:
    path, done = applied(host)
    path.write_text(path.read_text() + "\n")
    result = run(host.restore(done.backup))
    assert refused(result) == "ChangedSinceBackup"
    assert f"backups/{done.backup}/files/10-pod.conflist" in str(result.error)


def test_what_was_removed_is_not_brought_back(host: Host) -> None:
    path, done = applied(host)
    path.unlink()
    assert refused(run(host.restore(done.backup))) == "ChangedSinceBackup"
    assert not path.exists()


def test_an_older_backup_over_a_newer_change(host: Host) -> None:
    path, first = applied(host)
    path.write_text(VERSIONLESS.replace("cni0", "cni9"))
    assert run(host.apply(number=1)).outcome is Outcome.DONE
    assert run(host.restore(first.backup)).outcome is Outcome.DONE
    assert path.read_text() == VERSIONLESS


@pytest.mark.parametrize("damaged", [True, False])
def test_what_stands_is_the_last_copy_where_its_backup_is_damaged(
    host: Host, damaged: bool
) -> None:
    """Somebody has put back what was there before the second change: it is in that one's backup."""
    path, first = applied(host)
    theirs = VERSIONLESS.replace("cni0", "cni9")
    path.write_text(theirs)
    second = run(host.apply(number=1))
    path.write_text(theirs)
    copy = host.state / "backups" / str(second.backup) / "files/10-pod.conflist"
    if damaged:
        copy.write_text("spoiled")
    result = run(host.restore(first.backup, number=2))
    if not damaged:
        assert result.outcome is Outcome.DONE, result.error
        assert path.read_text() == VERSIONLESS
        return
    assert refused(result) == "ChangedSinceBackup"
    assert "only copy" in str(result.error)
    assert path.read_text() == theirs
    path.write_text(path.read_text().replace("{\n", '{\n  "cniVersion": "1.0.0",\n', 1))
    again = run(host.restore(first.backup, number=3))
    assert again.outcome is Outcome.DONE, "what we wrote is ours to replace"


def test_a_backup_that_a_failing_disk_does_not_show_is_not_gone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.config()
    made = str(run(host.apply()).backup)
    look = os.lstat

    def failing(path: str, **rest: int) -> os.stat_result:
        return killed.failing(errno.EIO)() if str(path).endswith(made) else look(path, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", failing)
        assert run(host.restore(made)).outcome is Outcome.DONE


def test_a_backup_that_is_not_there(host: Host) -> None:
    host.config()
    assert refused(run(host.restore("20261123T225404Z-3f2a9c1b"))) == "BackupMissing"


@pytest.mark.parametrize(
    ("of", "member", "value"),
    [
        ("backup", "files", []),
        ("backup", "createdNs", 10**30),
        ("backup", "createdNs", -(10**30)),
        ("file", "uid", 1 << 70),
        ("file", "uid", -1),
        ("file", "gid", (1 << 32) - 1),
        ("file", "mtimeNs", 10**40),
        ("file", "atimeNs", -(10**40)),
        ("file", "mode", "-1"),
        ("file", "mode", "0o777"),
        ("file", "xattrs", {"user.a\0b": "AA=="}),
        ("file", "xattrs", {"user.\ud800": "AA=="}),
        ("file", "xattrs", {"user.a": "?"}),
        ("file", "flags", "Ai"),
        ("file", "name", "\ud800.conflist"),
        ("file", "name", "a\0.conflist"),
        ("file", "name", "../../../../etc/cni/net.d/10-pod.conflist"),
        ("file", "becomes", "../x"),
    ],
)
def test_a_manifest_that_nobody_can_have_written(
    host: Host, of: str, member: str, value: object
) -> None:
    """It may stand on a disk image: nothing of it is handed to the kernel, nothing is left."""
    _, done = applied(host)
    manifest = host.state / "backups" / str(done.backup) / "manifest.json"
    document = json.loads(manifest.read_text())
    (document if of == "backup" else document["files"][0])[member] = value
    manifest.write_text(json.dumps(document))
    before = host.tree()
    result = run(host.restore(done.backup))
    assert refused(result) == "BackupDamaged"
    assert f"cannot be read: {'' if of == 'backup' else 'files[0].'}{member}: " in str(result.error)
    after = host.tree()
    assert {name for name in after if name.startswith("etc")} == {
        name for name in before if name.startswith("etc")
    }
    with state.locked(host.restore(done.backup)) as place:
        assert list(backup.damaged(place)) == [done.backup]
        assert backup.everything(place) == []


def members(document: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all values that are no object and no list."""
    for name, value in document.items() if isinstance(document, dict) else enumerate(document):
        if isinstance(value, dict | list):
            yield from members(value, (*at, name))
        else:
            yield (*at, name)


def other(place: tuple[str | int, ...], value: object) -> object:
    """Another value that the reader takes too, so that nothing but the id can tell."""
    if isinstance(value, int):
        return value + 1
    return {"mode": "0777", "user.origin": "AAAA"}.get(str(place[-1]), f"{value}0")


def test_no_member_of_a_manifest_changes_unseen(host: Host) -> None:
    """A mode, an owner or a time that a disk has spoiled was given back."""
    killed.two_files(host)
    for path in host.conf.iterdir():
        os.setxattr(path, "user.origin", b"by hand")
    done = run(replace(host.apply(), policy="uid"))
    manifest = host.state / "backups" / str(done.backup) / "manifest.json"
    whole = manifest.read_text()
    # Of another schema no reader knows what the other members mean.
    places = [place for place in members(json.loads(whole)) if place != ("schema",)]
    assert {("policy",), ("files", 1, "xattrs", "user.origin")} <= set(places)
    added = ("files", 0, "becomes"), ("files", 0, "unknown")
    for number, place in enumerate((*places, *added)):
        document = json.loads(whole)
        inner = document
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = other(place, inner.get(place[-1]))
        manifest.write_text(json.dumps(document))
        result = run(host.restore(done.backup, number))
        assert refused(result) == "BackupDamaged", place
        said = "says that it is" if place == ("id",) else "the copies beside it may still be good"
        assert said in str(result.error), place
        assert "cannot be read" not in str(result.error), place
    manifest.write_text(json.dumps(json.loads(whole), sort_keys=True))
    same = run(host.restore(done.backup, number=99))
    assert same.outcome is Outcome.DONE, "it says the same"


def test_a_backup_under_another_name_is_none(host: Host) -> None:
    _, done = applied(host)
    folder = host.state / "backups" / str(done.backup)
    other = folder.rename(folder.with_name("20261123T225404Z-3f2a9c1b"))
    result = run(host.restore(other.name))
    assert refused(result) == "BackupDamaged"
    assert f"says that it is '{done.backup}'" in str(result.error)


def test_a_file_from_the_far_future_comes_back(host: Host) -> None:
    """What a file system can hold is no damage."""
    path = host.config()
    path.chmod(0o4640)
    os.utime(path, (14_000_000_000, 14_000_000_000))  # 2413; ext4 ends in 2446
    os.setxattr(path, "user.with/slash", b"")
    done = run(host.apply())
    assert done.outcome is Outcome.DONE
    assert run(host.restore(done.backup)).outcome is Outcome.DONE
    assert (path.stat().st_mtime, path.stat().st_mode & 0o7777) == (14_000_000_000, 0o4640)


@pytest.mark.parametrize("victim", ["manifest.json", "files/10-pod.conflist"])
@pytest.mark.parametrize("content", [None, "", "{}", '{"schema": 9}'])
def test_a_damaged_backup_is_never_put_back(host: Host, victim: str, content: str | None) -> None:
    path, done = applied(host)
    written = path.read_text()
    file = host.state / "backups" / str(done.backup) / victim
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    result = run(host.restore(done.backup))
    assert refused(result) in ("BackupDamaged", "BackupMissing")
    assert path.read_text() == written


def test_another_folder(host: Host) -> None:
    _, done = applied(host)
    host.conf.rename(host.root / "etc/cni/other")
    host.conf.symlink_to("other")
    assert run(host.restore(done.backup)).outcome is Outcome.DONE
    manifest = host.state / "backups" / str(done.backup) / "manifest.json"
    document = json.loads(manifest.read_text()) | {"folder": "/etc/cni/elsewhere"}
    of_another = saved_as(manifest, document)
    assert refused(run(host.restore(of_another, number=1))) == "OtherFolder"


def test_the_report_is_of_what_stands_now(host: Host) -> None:
    _, done = applied(host)
    assert report(run(host.restore(done.backup))).baseline.delete is False


@pytest.mark.parametrize(("module", "call"), [(transaction, "check"), (backup, "everything")])
def test_what_goes_on_with_a_killed_restore_and_fails_has_touched_something(
    host: Host, monkeypatch: pytest.MonkeyPatch, module: object, call: str
) -> None:
    killed.two_files(host)
    done = run(host.apply())
    assert len(done.changes) == 2
    order = host.restore(done.backup)
    written = killed.after_one_file(order, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(module, call, killed.failing(errno.EIO))
        result = run(order)
    assert (result.outcome, result.backup) == (Outcome.FAILED, done.backup)
    assert [change.name for change in result.changes] == [written]


def killed_among_modes(host: Host, monkeypatch: pytest.MonkeyPatch) -> tuple[Operation, str]:
    """A restore that gives two files their mode back, killed after the first; its name."""
    killed.two_files(host)
    done = run(host.apply())
    assert run(host.restore(done.backup)).outcome is Outcome.DONE
    for path in host.conf.iterdir():
        path.chmod(0o666)
    order = host.restore(done.backup, number=1)
    return order, killed.after_one_file(order, monkeypatch)


def test_a_mode_that_a_killed_restore_gave_back_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, written = killed_among_modes(host, monkeypatch)
    result = run(order)
    assert result.outcome is Outcome.DONE, result.error
    assert result.changes[0].name == written
    assert len(result.changes) == 2
    assert all("mode, owner" in change.told for change in result.changes)


def test_what_goes_on_with_a_restore_of_modes_and_fails_has_touched_something(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, written = killed_among_modes(host, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(transaction, "check", killed.failing(errno.EIO))
        result = run(order)
    assert (result.outcome, result.backup) == (Outcome.FAILED, order.backup)
    assert [change.name for change in result.changes] == [written]


def test_another_operation_tells_of_the_mode_that_a_killed_restore_gave_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, written = killed_among_modes(host, monkeypatch)
    run(host.restore(order.backup, number=2))
    told = run(order)
    assert told.error is not None
    assert told.error.code == "Interrupted"
    assert [change.name for change in told.changes] == [written]


def test_a_mode_that_a_killed_restore_had_yet_to_give_back_is_not_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, written = killed_among_modes(host, monkeypatch)
    (host.conf / written).chmod(0o640)  # somebody's since: nothing of ours stands there
    run(host.restore(order.backup, number=2))
    told = run(order)
    assert told.error is not None
    assert "written until then: nothing" in told.error.message
    assert told.changes == ()


def test_a_file_whose_mode_changes_after_a_killed_restore_wrote_it_is_told_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the run that goes on, and by the one after that, if it is killed in turn."""
    killed.two_files(host)
    done = run(host.apply())
    order = host.restore(done.backup)
    written = killed.after_one_file(order, monkeypatch)
    (host.conf / written).chmod(0o666)
    assert killed.after_one_file(order, monkeypatch) == written
    (host.conf / written).chmod(0o666)
    result = run(order)
    assert result.outcome is Outcome.DONE, result.error
    assert len(result.changes) == 2
    versions = {change.name: (change.before, change.after) for change in done.changes}
    for change in result.changes:
        assert (change.after, change.before) == versions[change.name]
        assert (change.from_version, change.to) == ("1.0.0", None)


def test_one_folder_under_several_names(host: Host) -> None:
    """By hand it was named by the snap's revision, by the agent as `current`, which leads there."""
    path, first = applied(host)
    manifest = host.state / "backups" / str(first.backup) / "manifest.json"
    (host.root / "etc/cni/current").symlink_to("net.d")
    current = replace(host.restore(None).paths, conf_dirs=("/etc/cni/current",))
    path.write_text(path.read_text().replace("1.0.0", "0.4.0"))
    again = run(replace(host.apply(number=1), paths=current))
    assert again.outcome is Outcome.DONE
    back = replace(host.restore(first.backup, number=2), paths=current)
    result = run(back)
    assert result.outcome is Outcome.DONE, "what another backup tells of the file counts as well"
    assert path.read_text() == VERSIONLESS
    assert json.loads(manifest.read_text())["folder"] == "/etc/cni/net.d"


SNAP = "/var/snap/microk8s"


@pytest.mark.parametrize("gone", [False, True])
def test_a_backup_by_the_revision_of_a_snap_that_was_refreshed(host: Host, gone: bool) -> None:
    """Earlier releases named it so by hand. A refresh copies the files, and leaves the old ones."""
    old, new = (f"{SNAP}/{each}/args/cni-network" for each in ("7000", "7100"))
    at = {each: host.root / each.lstrip("/") / "10-pod.conflist" for each in (old, new)}

    def carried_out(order: Operation, folder: str) -> Result:
        hand = replace(order.paths, conf_dirs=(folder,), by_hand=(BY_HAND_CONFIGS,))
        return run(replace(order, paths=hand))

    def order(folder: str, number: int) -> Operation:
        file = FileOrder(at[folder].name, sha256(at[folder]), "1.0.0")
        return replace(host.operation(Kind.APPLY, number), files=(file,))

    at[old].parent.mkdir(parents=True)
    made: list[Result] = []
    for number in range(2):
        at[old].write_text(VERSIONLESS)
        made.append(carried_out(order(old, number), old))
    first = made[0]
    shutil.copytree(host.root / f"{SNAP}/7000".lstrip("/"), host.root / f"{SNAP}/7100".lstrip("/"))
    (host.root / f"{SNAP}/current".lstrip("/")).symlink_to("7100")
    if gone:
        shutil.rmtree(host.state / "backups" / str(first.backup))
    written = at[old].read_bytes()
    back = host.restore(first.backup, number=2)
    result = carried_out(back, f"{SNAP}/current/args/cni-network")
    assert result.outcome is Outcome.DONE, result.error
    assert (at[new].read_text(), at[old].read_bytes()) == (VERSIONLESS, written)
    assert bool(result.replaced_by) == gone


def test_a_folder_of_a_snap_that_is_not_used_is_another(host: Host) -> None:
    """What is of `current` is not put back where it led before."""
    path, done = applied(host)
    manifest = host.state / "backups" / str(done.backup) / "manifest.json"
    document = json.loads(manifest.read_text())
    made = saved_as(manifest, {**document, "folder": f"{SNAP}/current/args/cni-network"})
    old = f"{SNAP}/7000/args/cni-network"
    for each in ("7000", "7100"):
        shutil.copytree(path.parent, host.root / f"{SNAP}/{each}/args/cni-network".lstrip("/"))
    (host.root / f"{SNAP}/current".lstrip("/")).symlink_to("7100")
    back = host.restore(made)
    hand = replace(back.paths, conf_dirs=(old,), by_hand=(BY_HAND_CONFIGS,))
    assert refused(run(replace(back, paths=hand))) == "OtherFolder"
