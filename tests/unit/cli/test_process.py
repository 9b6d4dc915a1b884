"""cni-upgrade as a process: pipes that close, disks that are full, users who may not look."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_upgrade import __version__
from tests.unit.agent.host import Host

OPERATOR = Path(__file__).parents[3] / "operator"
COMMAND = (sys.executable, "-m", "cni_upgrade.cli.main")
ENVIRONMENT = {"PYTHONPATH": str(OPERATOR), "PATH": "/bin:/usr/bin", "COLUMNS": "70"}

AS_NOBODY = """
import contextlib, io, os, sys
from cni_upgrade.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    main(sys.argv[1:])  # as root: what is imported late must be there, for the folders may not be
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user comes to, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def command(host: Host, verb: str, *more: str) -> tuple[str, ...]:
    return (*COMMAND, verb, "--root", str(host.root), "--runtime", host.runtime, *more)


def shell(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )


def test_a_reader_that_has_seen_enough() -> None:
    ran = shell('"$@" | head -1', *COMMAND, "explain")
    assert ran.stderr == ""
    assert ran.stdout.startswith("F1 ")


def test_an_apply_whose_reader_has_gone_is_told_by_its_exit_code(host: Host) -> None:
    ran = shell('{ "$@"; echo "$?" >&2; } | true', *command(host, "apply"))
    assert ran.stderr == "0\n"
    assert '"cniVersion": "1.0.0"' in (host.conf / "10-pod.conflist").read_text()


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ('"$@" > /dev/full', "the answer could not be written: No space left on device"),
        ('"$@" >&-', "standard output is closed"),
    ],
)
def test_nowhere_to_answer(script: str, text: str, host: Host) -> None:
    ran = shell(script, *command(host, "audit"))
    assert ran.returncode == 2
    assert ran.stderr == f"cni-upgrade: {text}{': there is nowhere to answer' * (text[0] == 's')}\n"


def test_an_apply_that_cannot_answer_says_what_it_has_written(host: Host) -> None:
    ran = shell('"$@" > /dev/full', *command(host, "apply", "-o", "json"))
    assert ran.returncode == 2
    assert '"cniVersion": "1.0.0"' in (host.conf / "10-pod.conflist").read_text()
    [backup] = (host.state / "backups").iterdir()
    assert ran.stderr.startswith("cni-upgrade: the answer could not be written: No space left")
    assert "was Done: 10-pod.conflist: missing -> 1.0.0" in ran.stderr
    assert ran.stderr.endswith(f"; backup {backup.name}\n")
    again = shell('"$@" > /dev/full', *command(host, "apply"))
    assert again.stderr == "cni-upgrade: the answer could not be written: No space left on device\n"


def test_an_apply_with_nowhere_to_answer_writes_nothing(host: Host) -> None:
    before = (host.conf / "10-pod.conflist").read_bytes()
    ran = shell('"$@" >&-', *command(host, "apply"))
    assert ran.returncode == 2
    assert "standard output is closed" in ran.stderr
    assert (host.conf / "10-pod.conflist").read_bytes() == before
    assert not host.state.exists()


def test_standard_input_that_is_closed() -> None:
    ran = shell('"$@" <&-', *COMMAND, "audit", "-", "--runtime", "containerd://1.6.2")
    assert ran.returncode == 2
    assert ran.stderr == "cni-upgrade: standard input is closed: expected a CNI config\n"


def test_a_document_holds_no_complaint_where_standard_error_is_closed(host: Host) -> None:
    (host.conf / "10-pod.conflist").write_text("{")
    ran = shell('"$@" 2>&-', *command(host, "diff", "-o", "json"))
    assert ran.returncode == 2
    json.loads(ran.stdout)


def test_a_working_folder_that_is_gone(host: Host) -> None:
    gone = 'cd "$1" && rmdir "$1" && shift && "$@"'
    folder = host.root / "gone"
    folder.mkdir()
    ran = shell(gone, str(folder), *COMMAND, "audit", "--root", "img")
    assert ran.returncode == 2
    assert ran.stderr == "cni-upgrade: img: the folder that this runs in is gone\n"


def test_ctrl_c_while_a_plugin_hangs(host: Host) -> None:
    """Nothing is written, the plugin goes too, and one line says so."""
    host.script("bridge", f"echo $$ > {host.root}/pid; exec sleep 60")
    before = host.conf.stat().st_mtime_ns
    running = subprocess.Popen(
        command(host, "apply"), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    pid = next(_number(host.root / "pid"))
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=10)
    assert running.returncode == 2
    assert said == "cni-upgrade: stopped by SIGINT before anything was written\n"
    assert host.conf.stat().st_mtime_ns == before
    assert not Path(f"/proc/{pid}").exists()


def _number(path: Path) -> Iterator[int]:
    for _ in range(1000):
        text = path.read_text() if path.exists() else ""
        if text.endswith("\n"):
            yield int(text)
        time.sleep(0.01)
    raise AssertionError(f"{path} was not written")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
@pytest.mark.parametrize(
    "closed",
    ["etc", "etc/cni/net.d", "etc/cni/net.d/10-pod.conflist", "var/lib/cni", "var/lib/cni/results"],
)
def test_a_user_who_may_not_look_is_told_so(closed: str, open_folder: Path) -> None:
    """What cannot be seen is not taken for not being there."""
    host = Host(open_folder / "host")
    host.plugins()
    host.config()
    ran = {}
    for mode in (0o755, 0o700):
        (host.root / closed).chmod(mode)
        asked = command(host, "audit")[len(COMMAND) :]
        ran[mode] = shell('"$@"', sys.executable, "-c", AS_NOBODY, *asked)
    assert ran[0o755].returncode == 1, ran[0o755].stderr
    assert ran[0o700].returncode == 2
    assert ran[0o700].stdout == ""
    assert "Permission denied" in ran[0o700].stderr
    assert "run it as root" in ran[0o700].stderr


def test_every_verb_tells_what_it_is_for() -> None:
    for verb in ("audit", "plan", "diff", "apply", "restore", "backups", "explain", "schema"):
        ran = shell('"$@"', *COMMAND, verb, "--help")
        assert (ran.returncode, ran.stderr) == (0, ""), verb
        assert f"usage: cni-upgrade {verb}" in ran.stdout
    assert shell('"$@"', *COMMAND, "--version").stdout == f"cni-upgrade {__version__}\n"
