"""containerd itself reads a config again when the agent has exchanged it into place.

Its watcher passes over creations and changes of mode (`cni_conf_syncer.go`), and says at its debug
level which event it took; a load that fails is an error in its log. As seen by inotify, an exchange
is a move of both names.
"""

import ctypes
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import renames
from cni_upgrade.agent.protocol.result import Outcome
from tests.cluster import build
from tests.unit.agent.host import VERSIONLESS, Host

NAME = "10-pod.conflist"
BROKEN = VERSIONLESS.replace("{\n", '{\n  "cniVersion": 1,\n', 1)
"""No release of containerd loads it, and the agent mends it."""

RELEASES = {
    "1.6.2": 'plugins."io.containerd.grpc.v1.cri".cni',
    "1.6.38": 'plugins."io.containerd.grpc.v1.cri".cni',
    "2.4.2": 'plugins."io.containerd.cri.v1.runtime".cni',
}
TOOK = "receiving change event from cni conf dir"
FAILED = "failed to reload cni configuration"
MOVED_FROM, MOVED_TO, DELETE = 0x40, 0x80, 0x200  # include/uapi/linux/inotify.h


@contextmanager
def containerd(release: str, conf: Path, home: Path) -> Iterator[Path]:
    """A containerd with everything of its own; its log."""
    component = f"containerd-{release}"
    build.ensure([component])
    home.mkdir()
    settings, log = home / "config.toml", home / "log"
    settings.write_text(
        f"""version = {3 if release.startswith("2.") else 2}
root = "{home}/root"
state = "{home}/state"
[grpc]
address = "{home}/sock"
[ttrpc]
address = "{home}/sock.ttrpc"
[debug]
level = "debug"
[{RELEASES[release]}]
conf_dir = "{conf}"
"""
    )
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(build.home(component) / "containerd"), "--config", str(settings)],
            stdout=stream,
            stderr=stream,
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait(30)


def until(log: Path, text: str, start: int = 0) -> int:
    """Where the text is said for the last time, once it is."""
    deadline = time.monotonic() + 60
    while (place := log.read_text().rfind(text, start)) < 0:
        assert time.monotonic() < deadline, (text, log.read_text()[-3000:])
        time.sleep(0.05)
    return place


@pytest.mark.parametrize("release", RELEASES)
def test_containerd_reads_what_was_exchanged(release: str, tmp_path: Path) -> None:
    host = Host(tmp_path / "host", f"containerd://{release}")
    host.plugins()
    path = host.config(text=BROKEN)
    with containerd(release, host.conf, tmp_path / "own") as log:
        until(log, "containerd successfully booted")
        # It is told of what it cannot load: the watcher runs, and a failure shows.
        other = host.root / "other"
        other.write_text(BROKEN)
        other.rename(path)
        (host.conf / "unused").touch()
        (host.conf / "unused").unlink()
        failed = until(log, FAILED)
        said = len(log.read_text())
        assert run(host.apply()).outcome is Outcome.DONE
        until(log, f"{NAME}.cnitmp", said)
        deadline = time.monotonic() + 1  # events come one after the other; no failure may follow
        while time.monotonic() < deadline:
            time.sleep(0.1)
        told = log.read_text()[said:]
    assert failed > 0
    exchanged = [line for line in told.splitlines() if TOOK in line and "RENAME" in line]
    assert any(f"{NAME}.cnitmp" in line for line in exchanged), told
    assert any(f'{NAME}\\"' in line for line in exchanged), told
    after = told[told.index(exchanged[0]) :]
    assert FAILED not in after, after


def test_inotify_tells_of_an_exchange_as_of_moves(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a.cnitmp").write_text("new")
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(watch, os.fsencode(tmp_path), MOVED_FROM | MOVED_TO | DELETE)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert renames.exchange(folder, "a.cnitmp", "a")
        os.unlink("a.cnitmp", dir_fd=folder)
        data = os.read(watch, 4096)
    finally:
        os.close(folder)
        os.close(watch)
    seen, place = [], 0
    while place < len(data):
        _, mask, _, length = struct.unpack_from("iIII", data, place)
        place += 16 + length
        seen.append((mask, data[place - length : place].rstrip(b"\0").decode()))
    assert (MOVED_FROM, "a.cnitmp") in seen
    assert (MOVED_TO, "a") in seen
    assert (MOVED_FROM, "a") in seen
    assert seen[-1] == (DELETE, "a.cnitmp")
    assert (tmp_path / "a").read_text() == "new"
