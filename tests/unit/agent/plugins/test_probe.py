"""Plugins are asked as libcni asks them, and whatever one of them does is a finding of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cni_upgrade.agent.plugins import plugin_run
from cni_upgrade.cni.facts import Support
from tests.unit.agent import go_binary
from tests.unit.agent.asked import ask, code
from tests.unit.agent.host import VERSIONS, Host


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_run, "TIME_LIMIT", 0.4)


def test_a_plugin_that_answers(host: Host) -> None:
    host.plugin("bridge", "1.0.0")
    assert ask(host, "bridge")["bridge"] == Support(
        "bridge", VERSIONS[:6], "1.0.0", "VERSION", interpreter="/bin/sh"
    )


def test_forty_at_once(host: Host) -> None:
    names = [f"p{number}" for number in range(40)]
    for name in names:
        host.plugin(name, "0.4.0")
    supports = ask(host, *names)
    assert {support.max for support in supports.values()} == {"0.4.0"}
    assert len(supports) == 40


def test_what_a_plugin_is_given(host: Host, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    host.script(
        "spy",
        f"""tr '\\0' '\\n' < /proc/self/environ > {seen}
cat >> {seen}
ls /proc/$$/fd > {seen}.fd
: # sh is still there, and no pipe of its own, whose ends it holds for a moment""",
    )
    os.environ["SECRET"] = "x"  # noqa: S105
    try:
        ask(host, "spy")
    finally:
        del os.environ["SECRET"]
    text = seen.read_text()
    environment = {line for line in text.splitlines() if not line.startswith(("PWD=", "{", "_="))}
    assert environment == {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "CNI_COMMAND=VERSION",
        "CNI_CONTAINERID=",
        "CNI_NETNS=dummy",
        "CNI_ARGS=",
        "CNI_IFNAME=dummy",
        "CNI_PATH=dummy",
    }
    assert '{"cniVersion":"1.0.0"}' in text
    assert "SECRET" not in text
    inherited = sorted(map(int, seen.with_suffix(".fd").read_text().split()))
    assert [number for number in inherited if number < 10] == [0, 1, 2]  # from 10 on: sh's own


def test_a_script_that_takes_an_unset_variable_for_an_error_answers(host: Host) -> None:
    """As many scripts of people's own do; libcni sets all six, the empty ones too."""
    host.script(
        "strict",
        """set -eu
: "$CNI_COMMAND$CNI_CONTAINERID$CNI_NETNS$CNI_ARGS$CNI_IFNAME$CNI_PATH$PATH$HOME"
echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'""",
    )
    assert ask(host, "strict")["strict"].supported == ("0.4.0", "1.0.0")


def test_a_plugin_is_given_no_descriptor_of_ours(host: Host, tmp_path: Path) -> None:
    """Whoever started us may have left one open, to anything."""
    host.script("spy", f"ls -l /proc/$$/fd > {tmp_path}/seen")
    (tmp_path / "secret").touch()
    with (tmp_path / "secret").open() as opened:
        os.set_inheritable(opened.fileno(), True)
        ask(host, "spy")
    assert "pipe:" in (tmp_path / "seen").read_text()
    assert "secret" not in (tmp_path / "seen").read_text()


@pytest.mark.parametrize(
    ("body", "supported"),
    [
        ("""echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1""", ("0.1.0",)),
        ("""echo '{"cniVersion":"0.2.0"}'""", ("0.1.0", "0.2.0")),
        ("""echo '{"cniVersion":"0.2.0","supportedVersions":[]}'""", ("0.1.0", "0.2.0")),
        (
            """echo noise >&2; echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}'""",
            ("1.0.0",),
        ),
        # Go takes keys in any case, and the last one.
        (
            """echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"],
            "SUPPORTEDVERSIONS":["0.4.0"]}'""",
            ("0.4.0",),
        ),
        ("""echo '{"CNIVERSION":"0.2.0"}'""", ("0.1.0", "0.2.0")),
        ("""echo '{"MSG":"unknown CNI_COMMAND: VERSION","code":4}'; exit 1""", ("0.1.0",)),
        ("""echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"],"x":1e999}'""", ("1.0.0",)),
    ],
)
def test_answers_that_libcni_takes(host: Host, body: str, supported: tuple[str, ...]) -> None:
    host.script("p", body)
    assert ask(host, "p")["p"].supported == supported


@pytest.mark.parametrize(
    "body",
    [
        "true",
        "echo hello",
        "echo '[1]'",
        "echo '{}'",
        """echo '{"cniVersion":1}'""",
        """echo '{"cniVersion":"1.0.0"}'""",
        """echo '{"cniVersion":"1.0.0","supportedVersions":"1.0.0"}'""",
        """echo '{"cniVersion":"1.0.0","supportedVersions":[1]}'""",
        r"""echo '{"cniVersion":"1.0.0","supportedVersions":["\ud800"]}'""",
        """echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}'; exit 3""",
        """echo '{"code":100,"msg":"no"}'; exit 1""",
        "kill -9 $$",
        "i=0; while [ $i -lt 30000 ]; do printf '['; i=$((i+1)); done",
        r"printf '\377\376'",
        # Python's json takes these, and Go's decoder does not.
        r"""printf '\357\273\277{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}'""",
        """echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"],"x":NaN}'""",
        """echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"],"x":-Infinity}'""",
        r"""printf '{"cniVersion":"0.2.0"}' | sed 's/./&\x00/g'""",
        """echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"],"CniVersion":1}'""",
        """echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION","details":"x"}'; exit 1""",
        """echo '{"code":"4","msg":"unknown CNI_COMMAND: VERSION"}'; exit 1""",
    ],
)
def test_answers_that_are_none(host: Host, body: str) -> None:
    host.script("p", body)
    support = ask(host, "p")["p"]
    assert code(support) == "PluginGarbled"
    assert support.supported is None
    assert support.source == "unknown"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "body",
    [
        "sleep 60",
        "sleep 60 & exit 0",
        "exec >&- 2>&-; sleep 60",
        "trap '' TERM; while :; do sleep 1; done",
    ],
)
def test_a_plugin_that_hangs_is_killed_with_its_children(
    host: Host, tmp_path: Path, body: str
) -> None:
    host.script("p", f"echo $$ > {tmp_path}/pid; {body}")
    start = time.monotonic()
    supports = ask(host, "p", "bridge")
    assert time.monotonic() - start < 3
    assert code(supports["p"]) == "PluginHang"
    assert supports["bridge"].max == "1.1.0"
    assert_all_ended(int((tmp_path / "pid").read_text()))


AWAY = "</dev/null >/dev/null 2>&1"


def leaving(host: Host, tmp_path: Path, started: str) -> None:
    """A plugin that ends at once, when what it started has got into a session of its own."""
    stray = f"echo $$ >> {tmp_path}/strays; exec sleep 60"
    body = started.format(stray=f"setsid sh -c '{stray}' {AWAY} &")
    host.script("p", f"{body}\nwhile ! [ -s {tmp_path}/strays ]; do sleep 0.01; done")


def stray(tmp_path: Path) -> int:
    return int((tmp_path / "strays").read_text())


@pytest.mark.parametrize(
    "started",
    ["{stray}", f"cat > $0.sh <<'E'\n{{stray}}\nE\nsetsid sh -c '. $0.sh; sleep 60' $0 {AWAY} &"],
    ids=["its own", "that of one of them"],
)
def test_what_a_plugin_leaves_in_another_session_is_ended(
    host: Host, tmp_path: Path, started: str
) -> None:
    leaving(host, tmp_path, started)
    with subprocess.Popen(["sleep", "60"]) as ours:
        ask(host, "p")
        assert ours.poll() is None, "what was started before is none of a plugin's"
        ours.kill()
    left = stray(tmp_path)
    assert members(left) == []
    assert [path for path in Path("/proc/self/task").glob("*/children") if path.read_text()] == []


def test_what_was_let_go_of_before_is_none_of_a_plugins(host: Host, tmp_path: Path) -> None:
    """A script that becomes us with `exec` may have jobs, and one of them ends meanwhile."""
    script = f"sleep 60 & echo $! > {tmp_path}/job; while ! [ -e {tmp_path}/go ]; do :; done"
    with subprocess.Popen(["sh", "-c", script]) as ours:
        while not (tmp_path / "job").exists():
            time.sleep(0.01)
        time.sleep(0.02)  # the kernel tells a process's start to a hundredth of a second
        leaving(host, tmp_path, "{stray}")
        path = host.bin / "p"
        status = f"/proc/$(cat {tmp_path}/job)/status"
        gone = f"while grep -q '^PPid:.{ours.pid}$' {status}; do sleep 0.01; done"
        path.write_text(f"{path.read_text()}\ntouch {tmp_path}/go\n{gone}\n")
        ask(host, "p")
        assert ours.wait() == 0
    left = int((tmp_path / "job").read_text())
    assert members(stray(tmp_path)) == []
    assert os.waitpid(left, os.WNOHANG) == (0, 0), "it is ours by now, and runs"
    os.kill(left, signal.SIGKILL)
    os.waitpid(left, 0)


@pytest.mark.parametrize("error", [PermissionError, None], ids=["of another user", "of the kernel"])
def test_one_that_cannot_be_ended_is_not_waited_for(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError] | None
) -> None:
    """Signals are held back meanwhile: an audit that hangs in there could only be killed."""
    leaving(host, tmp_path, "{stray}")

    def kill(_pid: int, _number: int) -> None:
        if error:
            raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", kill)
        start = time.monotonic()
        ask(host, "p")
        assert time.monotonic() - start < (0.9 if error else 3)
    left = stray(tmp_path)
    os.kill(left, signal.SIGKILL)
    os.waitpid(left, 0)


def test_what_cannot_be_adopted_hinders_nobody(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving(host, tmp_path, "{stray}")
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert ask(host, "bridge", "p")["bridge"].max == "1.1.0"
    os.kill(stray(tmp_path), signal.SIGKILL)


def test_only_what_plugins_leave_comes_to_us(host: Host, tmp_path: Path) -> None:
    ask(host, "bridge")
    leaving(host, tmp_path, "{stray}")
    subprocess.run([str(host.bin / "p")], check=True)
    left = stray(tmp_path)
    status = Path(f"/proc/{left}/status").read_text()
    os.kill(left, signal.SIGKILL)
    assert f"PPid:\t{os.getpid()}\n" not in status


@pytest.mark.usefixtures("impatient")
def test_no_number_is_signalled_that_may_be_somebody_elses(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status that is taken gives the number back, and a fast plugin waits for a slow one."""
    host.script("fast", "exit 1")
    host.script("slow", "exec sleep 60")
    taken: list[int] = []
    late: list[int] = []
    killed: list[int] = []
    wait, kill = os.waitpid, os.killpg

    def waited(pid: int, options: int) -> tuple[int, int]:
        ended, status = wait(pid, options)
        taken.extend([ended] if ended else [])
        return ended, status

    def signalled(group: int, number: int) -> None:
        (late if group in taken else killed).append(group)
        kill(group, number)

    monkeypatch.setattr(os, "waitpid", waited)
    monkeypatch.setattr(os, "killpg", signalled)
    assert [code(each) for each in ask(host, "fast", "slow").values()] == [
        "PluginGarbled",
        "PluginHang",
    ]
    assert late == []
    assert sorted(taken) == sorted(killed)
    assert len(set(taken)) == 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("start", "named"),
    [
        (b"#!/bin/sh\nexec sleep 60\n", "PluginHang"),
        (b"#!/bin/sh\nexit 1\n", "PluginGarbled"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb6\x00", "PluginNotExecutable"),
    ],
    ids=["hangs", "says nothing", "for another machine"],
)
def test_the_build_info_of_a_plugin_that_does_not_answer(
    host: Host, start: bytes, named: str
) -> None:
    """What it links bounds what it may support, and nothing says that it supports that much."""
    path = host.script("p", "")
    text = go_binary.modules(f"dep\t{go_binary.CNI}\tv0.8.1\th1:x")
    path.write_bytes(start.ljust(64, b"\n") + go_binary.inline(text))
    support = ask(host, "p")["p"]
    assert code(support) == named
    assert (support.source, support.max, support.supported) == ("buildinfo", "0.4.0", None)


def test_how_long_a_plugin_is_waited_for(host: Host) -> None:
    """A slow disk is borne; a node whose plugins hang is looked at all the same, in one Job."""
    answer = (host.plugin("slow").read_text()).splitlines()[-1]
    host.script("slow", f"sleep 2\n{answer}")
    host.script("stuck", "exec sleep 60")
    start = time.monotonic()
    supports = ask(host, "slow", "stuck")
    assert time.monotonic() - start < 20
    assert supports["slow"].max == "1.1.0"
    assert code(supports["stuck"]) == "PluginHang"


def assert_all_ended(session: int) -> None:
    """A killed process is gone a moment later."""
    deadline = time.monotonic() + 5
    while left := members(session):
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def members(session: int) -> list[str]:
    """Processes of the session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(str(path))
    return found


def test_a_flood_is_cut_off(host: Host, tmp_path: Path) -> None:
    host.script("p", f"echo $$ > {tmp_path}/pid; yes")
    host.script("q", "yes >&2")
    start = time.monotonic()
    supports = ask(host, "p", "q")
    assert time.monotonic() - start < plugin_run.TIME_LIMIT
    assert [code(support) for support in supports.values()] == ["PluginFlood"] * 2
    assert_all_ended(int((tmp_path / "pid").read_text()))


def test_a_link_is_called_by_its_own_name(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libcni calls it, by folder and type: k3s' plugins are links to one binary, which tells by
    that name which of them it is. A script sees no such name, so what is started is looked at."""
    data = host.root / "data"
    data.mkdir()
    host.plugin("portmap").rename(data / "cni")
    (host.bin / "portmap").symlink_to("/data/cni")
    started: list[tuple[str, list[str]]] = []
    spawn = os.posix_spawn

    def noted(path: str, arguments: list[str], *others: Any, **more: Any) -> int:
        started.append((path, arguments))
        return spawn(path, arguments, *others, **more)

    monkeypatch.setattr(os, "posix_spawn", noted)
    ask(host, "portmap", "bridge")
    assert started == [
        (str(data / "cni"), ["/opt/cni/bin/portmap"]),
        (str(host.bin / "bridge"), ["/opt/cni/bin/bridge"]),
    ]


def descriptors() -> set[tuple[str, Path]]:
    """What this process has open, but for the folder that is read to see it.

    With what each leads to: one of somebody else's may be closed meanwhile, its number used again.
    """
    found = set()
    for link in list(Path(f"/proc/{os.getpid()}/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):
            found.add((link.name, link.readlink()))
    return found


def test_no_descriptor_is_lost(host: Host) -> None:
    host.script("p", "exit 1")
    (host.bin / "q").write_text("")
    before = descriptors()
    ask(host, "p", "q", "bridge", "nowhere")
    assert descriptors() - before == set()
