"""Folders that nobody means well with: every verb ends, tears nothing, and obeys no terminal code.

Each is a healthy host with one thing in it that should not be there. What is asked of all of them
is the same; what each one means has tests of its own where it is decided.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cni_upgrade.cli.main import main
from tests.unit.agent.host import VERSIONLESS, Host

Captured = pytest.CaptureFixture[str]
Change = Callable[[Host], object]

NAME = "10-pod.conflist"
ESC = "\x1b]0;mine\x07\x1b[31m"
CONTAINER = "c0ffee" * 8


def in_conf(name: str, make: Callable[[Path], object]) -> Change:
    return lambda host: make(host.conf / name)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end, contextlib.chdir(path.parent):
        end.bind(path.name)  # a socket's path is short


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 20)


def replaced(old: str, new: str) -> Change:
    return in_conf(NAME, lambda path: path.write_text(VERSIONLESS.replace(old, new)))


def cached(text: str) -> Change:
    return lambda host: (host.results / f"pod-net-{CONTAINER}-eth0").write_text(text)


def runtime_config(text: str) -> Change:
    def make(host: Host) -> None:
        (host.root / "etc/containerd").mkdir()
        (host.root / "etc/containerd/config.toml").write_text(text)

    return make


def instead_of_bridge(make: Callable[[Path], object]) -> Change:
    def change(host: Host) -> None:
        (host.bin / "bridge").unlink()
        make(host.bin / "bridge")

    return change


def elsewhere(folder: str, target: str) -> Change:
    """The host's folder is a link, to a place that exists outside as well as in the host."""

    def change(host: Host) -> None:
        path = host.root / folder
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rename(f"{path}.moved")
        path.symlink_to(target.replace("OUTSIDE", str(host.root.parent / "outside")))

    return change


HOSTILE: dict[str, Change] = {
    "pipe": in_conf("00-a.conflist", os.mkfifo),
    "socket": in_conf("00-a.conf", listening),
    "folder": in_conf("00-a.conflist", Path.mkdir),
    "huge": in_conf("00-a.json", huge),
    "empty": in_conf("00-a.conflist", Path.touch),
    "link out": in_conf("00-a.conflist", lambda path: path.symlink_to("/etc/passwd")),
    "link up": in_conf("00-a.conflist", lambda path: path.symlink_to(f"{'../' * 30}etc/passwd")),
    "circle": in_conf("00-a.conflist", lambda path: path.symlink_to(path.name)),
    "name of two lines": in_conf(
        f"00-{ESC}\n+++ b.conflist", lambda path: path.write_text(VERSIONLESS)
    ),
    "name of no text": in_conf(
        "00-\udcff\udcfe.conflist", lambda path: path.write_text(VERSIONLESS)
    ),
    "temporary file": in_conf(f"{NAME}.cnitmp", lambda path: path.symlink_to("/etc/passwd")),
    "network's name": replaced("pod-net", "a\\u001b[31m\\u202e\\u0000"),
    "network's folder": replaced("pod-net", "../../../../../etc"),
    "plugin's name": replaced('"bridge", "bridge"', '"../../../bin/sh", "bridge"'),
    "version": replaced('"name"', '"cniVersion": "\\u001b[31m1.0.0\\u0085", "name"'),
    "plugin that paints": lambda host: host.script("bridge", f"printf '{ESC}'; exit 3"),
    "plugin's versions": lambda host: host.script(
        "bridge",
        "printf '%s' '" + json.dumps({"cniVersion": "1.0.0", "supportedVersions": [ESC]}) + "'",
    ),
    "plugin that is a folder": instead_of_bridge(Path.mkdir),
    "plugin that is a pipe": instead_of_bridge(os.mkfifo),
    "plugin out of the host": instead_of_bridge(lambda path: path.symlink_to("/bin/true")),
    "deep cache": cached("[" * 100_000),
    "cache of a number": cached("9" * 100_000),
    "cache that paints": lambda host: host.sandbox(ESC, ESC.replace("\x07", "")),
    "cache elsewhere": elsewhere("var/lib/cni/results", "OUTSIDE"),
    "configs elsewhere": elsewhere("etc/cni/net.d", "OUTSIDE"),
    "plugins elsewhere": elsewhere("opt/cni/bin", "OUTSIDE"),
    "state elsewhere": elsewhere("var/lib/cni-upgrade", "OUTSIDE"),
    "backups elsewhere": elsewhere("var/lib/cni-upgrade/backups", "OUTSIDE"),
    "results elsewhere": elsewhere("var/lib/cni-upgrade/results", "OUTSIDE"),
    "runtime's circle": runtime_config('imports = ["/etc/containerd/*.toml", "/**/*.toml"]'),
    "runtime's paint": runtime_config(
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\n'
        'conf_dir = "/etc/\\u001b[31m\\u0000"'
    ),
    "runtime's depth": runtime_config("a = " + "[" * 50_000),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_every_verb_ends_well(change: Change, tmp_path: Path, capsys: Captured) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / NAME).write_text(VERSIONLESS)
    host = Host(tmp_path / "host")
    host.plugins()
    host.config()
    change(host)
    before = host.tree()
    aside = {each: each.read_bytes() for each in outside.iterdir()}
    for verb in ("audit", "plan", "diff", "apply", "backups"):
        for form in ("table", "json", "yaml"):
            asked = [verb, "--root", str(host.root), "--runtime", host.runtime, "-o", form]
            assert main(asked) in (0, 1, 2), (verb, form)
            said = "".join(capsys.readouterr())
            assert "Traceback" not in said
            bad = {each for each in said if not each.isprintable() and each != "\n"}
            assert not bad, (verb, form)
            if verb != "apply":
                continue
            assert {each: each.read_bytes() for each in outside.iterdir()} == aside
            if (host.conf / NAME).is_file() and not host.conf.is_symlink():
                json.loads((host.conf / NAME).read_text())
        if verb == "diff":
            assert host.tree() == before, "none of these writes"
