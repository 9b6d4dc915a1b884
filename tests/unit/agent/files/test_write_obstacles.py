"""What stands in the way of writing is found before anything is written, and stays as it is."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent import file_io
from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import journal, state, write_obstacles
from cni_upgrade.agent.protocol.operation import FileOrder, Form, Result, Target, Verdict
from tests.unit.agent.host import VERSIONLESS, Host, audited, codes, refused, report, sha256


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
        "from cni_upgrade.agent.agent import run\n"
        "from cni_upgrade.agent.protocol.operation import Operation\n"
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


def _untouched(path: Path) -> tuple[int, ...]:
    """What any change of the file changes; when it was last read is not among it."""
    found = path.stat()
    return (
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


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
    before = _untouched(path)
    monkeypatch.setattr(os, call, lambda *_: None)  # says yes and does otherwise
    result = run(host.apply())
    assert refused(result) == code
    assert result.error is not None
    assert "10-pod.conflist" in result.error.message
    assert _untouched(path) == before
    assert [each.name for each in host.conf.iterdir()] == ["10-pod.conflist"]


@pytest.mark.parametrize("form", [Form.KEEP, Form.LIST])
def test_what_would_be_too_large_to_be_read_again_is_not_written(host: Host, form: Form) -> None:
    name, text = "10-pod.conflist", VERSIONLESS
    if form is Form.LIST:
        name, text = "10-pod.conf", '{"name": "pod-net", "type": "bridge"}'
    path = host.config(name, text + " " * (file_io.CONFIG_LIMIT - len(text)))
    becomes = "10-pod.conflist" if form is Form.LIST else None
    orders = (FileOrder(name, sha256(path), "1.0.0", becomes),)
    order = replace(host.apply(), files=orders, target=Target(form=form))
    assert refused(run(order)) == "TooLarge"
    assert path.stat().st_size == file_io.CONFIG_LIMIT
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
    monkeypatch.setattr(write_obstacles, "RESERVE", 1 << 60)
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
            f"{prepare} && exec {sys.executable} -m cni_upgrade.agent.agent",
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
