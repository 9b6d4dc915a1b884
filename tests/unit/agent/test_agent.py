"""The agent as the Job runs it: a process, its environment, its message, its log, its exit code."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent import signals
from cni_upgrade.agent.agent import main, run
from cni_upgrade.agent.protocol import termination_message
from cni_upgrade.agent.protocol.operation import Kind, Outcome, Result
from cni_upgrade.agent.protocol.termination_message import decode
from tests.unit.agent.host import VERSIONLESS, Host, codes, report

OPERATOR = str(Path(__file__).parents[3] / "operator")


def environment(log: Path, operation: str | None) -> dict[str, str]:
    found = {**os.environ, "CNI_UPGRADE_TERMINATION_LOG": str(log), "PYTHONPATH": OPERATOR}
    found.pop("CNI_UPGRADE_OPERATION", None)
    if operation is not None:
        found["CNI_UPGRADE_OPERATION"] = operation
    return found


COMMAND = [sys.executable, "-m", "cni_upgrade.agent.agent"]


def agent(tmp_path: Path, operation: str | None) -> tuple[int, Result, str]:
    log = tmp_path / "termination-log"
    ran = subprocess.run(
        COMMAND,
        env=environment(log, operation),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    message = log.read_bytes()
    assert len(message) <= 4096
    return ran.returncode, decode(message.decode()), ran.stdout


def test_an_answer_is_durable_before_it_is_told(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the controller could know of a change that a power cut takes from the node's record."""
    host.config()
    order = host.apply()
    for name, value in environment(tmp_path / "log", json.dumps(order.to_json())).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(signals, "listen", lambda: None)
    monkeypatch.setattr(signals, "_over", False)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    events: list[str] = []
    fsync, encode = os.fsync, termination_message.encode

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def told(result: Result) -> bytes:
        events.append("told")
        return encode(result)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(termination_message, "encode", told)
    assert main() == 0
    content = events.index(f".{order.id}.json.tmp")
    entry = events.index("results", content)
    assert entry < events.index("told")


def test_audit_apply_restore(host: Host, tmp_path: Path) -> None:
    path = host.config()
    host.sandbox(None)
    code, result, log = agent(tmp_path, json.dumps(host.audit().to_json()))
    assert (code, result.outcome, result.kind) == (0, Outcome.DONE, Kind.AUDIT)
    assert report(result).sandboxes == {"missing": 1}
    assert report(result).baseline.delete is False
    assert Result.from_json(json.loads(log.splitlines()[-1])) == result
    assert "verdict: Rewrite" in log
    assert not host.state.exists()

    code, result, _ = agent(tmp_path, json.dumps(host.apply().to_json()))
    assert (code, result.outcome) == (0, Outcome.DONE)
    assert '"cniVersion": "1.0.0"' in path.read_text()

    back = replace(host.restore(result.backup), rollback=True)
    code, result, _ = agent(tmp_path, json.dumps(back.to_json()))
    assert (code, result.outcome) == (0, Outcome.DONE)
    assert path.read_text() == VERSIONLESS

    code, result, _ = agent(tmp_path, json.dumps(host.restore("none-such").to_json()))
    assert (code, result.outcome) == (3, Outcome.REFUSED) or result.error is None


def test_whose_a_file_is_and_when_it_was_changed(host: Host, tmp_path: Path) -> None:
    """What names a program that changes back what was written."""
    path = host.config()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    _, result, _ = agent(tmp_path, json.dumps(host.audit().to_json()))
    [file] = report(result).files
    assert file.modified == "2023-11-14T22:13:20Z"
    assert file.owner == f"{path.stat().st_uid}:{path.stat().st_gid}"


def test_an_empty_host(tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    for folder in (host.conf, host.bin, host.results):
        folder.rmdir()
    code, result, _ = agent(tmp_path, json.dumps(host.audit().to_json()))
    assert code == 0
    assert report(result).verdict == "NoConfig"
    assert report(result).paths.conf_dir is None
    assert "FolderMissing" in codes(result)


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (None, "has no CNI_UPGRADE_OPERATION"),
        ("", "CNI_UPGRADE_OPERATION"),
        ("{", "CNI_UPGRADE_OPERATION"),
        ("[" * 50_000, "CNI_UPGRADE_OPERATION"),
        ("[]", "expected an object, got a list"),
        ('{"schema": 2}', "schema: expected 1, got 2"),
    ],
)
def test_bad_input_is_a_named_error(tmp_path: Path, operation: str | None, text: str) -> None:
    code, result, _ = agent(tmp_path, operation)
    assert code == 3
    assert result.outcome is Outcome.REFUSED
    assert result.error is not None
    assert result.error.code == "OperationInvalid"
    assert text in result.error.message


def test_a_target_that_is_no_version(host: Host, tmp_path: Path) -> None:
    document = {**host.audit().to_json(), "target": {"version": "1.0"}}
    code, result, _ = agent(tmp_path, json.dumps(document))
    assert code == 3
    assert "target.version: '1.0'" in str(result.error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\ufeff{}",
        '{"name": "x", "plugins": []}',
        "__MTU__",
        '{"type": "../../bin/sh", "name": "x"}',
        '{"name": "x", "plugins": [{"type": "a/b"}]}',
        '{"name": "../../etc", "plugins": [{"type": "bridge"}]}',
        "[" * 100_000,
        '{"name": "x", "plugins": [{"type": "' + "b" * 5000 + '"}]}',
    ],
)
def test_configs_that_are_none_are_findings(host: Host, tmp_path: Path, text: str) -> None:
    host.config(text=text)
    host.config("05-fine.conflist.bak", "never read")
    before = host.tree()
    code, result, _ = agent(tmp_path, json.dumps(host.audit().to_json()))
    assert code == 0
    assert report(result).findings
    assert report(result).files[0].to is None or report(result).files[0].action == "Rewrite"
    assert host.tree() == before


def test_a_file_that_cannot_be_read_is_not_called_empty(host: Host, tmp_path: Path) -> None:
    """There are no bytes to read it from again under the node's libcni."""
    (host.conf / "00-lost.conflist").symlink_to("/nowhere")
    _, result, _ = agent(tmp_path, json.dumps(host.audit().to_json()))
    why = report(result).files[0].why
    assert why.startswith("FileUnreadable: /etc/cni/net.d/00-lost.conflist cannot be read")
    assert "a link to /nowhere, which is not there or not mounted" in report(result).files[0].why
    assert "Unparsable" not in codes(result)


def test_files_that_are_none(host: Host, tmp_path: Path) -> None:
    os.mkfifo(host.conf / "10-fifo.conflist")
    (host.conf / "20-lost.conflist").symlink_to("/nowhere")
    (host.conf / "30-folder.conflist").mkdir()
    (host.conf / "40-huge.conflist").write_bytes(b" " * (2 << 20))
    code, result, _ = agent(tmp_path, json.dumps(host.audit().to_json()))
    assert code == 0
    first, *others = report(result).findings
    assert (first.code, first.severity, first.component) == (
        "FileUnreadable", "Fault", "10-fifo.conflist",
    )  # fmt: skip
    unused = {each.component: each for each in others if each.code == "UnusedFile"}
    assert sorted(unused) == ["20-lost.conflist", "40-huge.conflist"]
    assert all("FileUnreadable: " in each.message for each in unused.values())


@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "cri-o://1.30.0"])
@pytest.mark.parametrize("how", ["huge", "deep", "a link to what is not mounted"])
def test_what_is_not_read_here_may_be_what_the_runtime_uses(
    host: Host, tmp_path: Path, how: str, runtime: str
) -> None:
    host.runtime = runtime
    host.plugins()
    host.config("20-pod.conflist")
    order = host.apply("20-pod.conflist")
    first = host.conf / "10-other.conflist"
    text = VERSIONLESS.replace("{", '{"cniVersion": "0.4.0",', 1)
    if how == "huge":
        first.write_text(text + " " * (1 << 20))
    elif how == "deep":
        first.write_text(text.replace("1.50E3", "[" * 200 + "]" * 200))
    else:
        first.symlink_to("/run/network/10-other.conflist")
    _, result, _ = agent(tmp_path, json.dumps(host.audit().to_json()))
    found = report(result)
    assert (found.verdict, found.baseline.add, found.baseline.delete) == ("Blocked", None, None)
    assert found.after.existing_delete is None
    assert found.findings[0].component == "10-other.conflist"
    assert [each.action for each in found.files] == ["Refuse", "None"]
    _, result, _ = agent(tmp_path, json.dumps(order.to_json()))
    assert result.error is not None
    assert result.error.code == "NotAllowed"
    assert (host.conf / "20-pod.conflist").read_text() == VERSIONLESS


@pytest.mark.parametrize(
    ("network", "folder"), [("pod-net", "pod-net"), ("", "."), ("a/b", "a/b"), ("../x", "../x")]
)
def test_a_list_whose_plugins_all_stand_in_its_folder(
    host: Host, network: str, folder: str
) -> None:
    """libcni 1.3 joins the network's name to the folder's path, whatever the name is."""
    host.runtime = "containerd://2.1.0"
    host.plugins()
    host.config("00-pod.conflist", json.dumps({"cniVersion": "1.0.0", "name": network}))
    (host.conf / folder).mkdir(parents=True, exist_ok=True)
    (host.conf / folder / "10-a.conf").write_text('{"type": "bridge"}')
    (host.conf / folder / "20-b.conf").write_text('{"type": "portmap"}')
    seen = report(run(host.audit()))
    listed = next(file for file in seen.files if file.name == "00-pod.conflist")
    assert (listed.network, listed.plugins) == (network, ("bridge", "portmap"))
    # Earlier releases have no such folder, and the list has no plugins there.
    host.runtime = "containerd://1.7.2"
    older = report(run(host.audit()))
    assert "MissingPlugins" in {str(each.code) for each in older.findings}


def test_a_network_that_no_folder_can_be_named_as(host: Host) -> None:
    host.runtime = "containerd://2.1.0"
    host.config(text='{"name": "a\\u0000b", "plugins": [{"type": "bridge"}]}')
    assert "InlineFolder" in codes(run(host.audit()))


def test_an_inlined_folder_that_is_not_mounted(host: Host, tmp_path: Path) -> None:
    """libcni 1.3 reads what is in it; a folder that is not there at all it passes over."""
    host.runtime = "containerd://2.1.3"
    host.plugins()
    host.config()
    _, result, _ = agent(tmp_path, json.dumps(host.audit().to_json()))
    assert report(result).baseline.add is True
    (host.conf / "pod-net").symlink_to("/run/network/plugins")
    _, result, _ = agent(tmp_path, json.dumps(host.audit().to_json()))
    assert (report(result).verdict, report(result).baseline.add) == ("Blocked", None)
    assert report(result).findings[0].code == "InlineFolder"
    assert "/run/network/plugins" in report(result).findings[0].message


def test_a_runtime_of_which_somebody_says_what_it_carries(host: Host) -> None:
    host.plugins()
    host.config()
    host.runtime = "containerd://2.9.0"
    assert report(run(host.audit())).verdict == "Blocked"
    found = report(run(replace(host.audit(), libcni="1.0.1")))
    assert (found.verdict, found.runtime.libcni, found.baseline.delete) == (
        "Rewrite",
        "1.0.1",
        False,
    )
    assert "RuntimeAssumed" in {str(each.code) for each in found.findings}
    done = run(replace(host.apply(), libcni="1.0.1"))
    assert done.outcome is Outcome.DONE, done.error
    assert run(replace(host.restore(done.backup), libcni="1.0.1")).outcome is Outcome.DONE


def test_a_thousand_files(host: Host, tmp_path: Path) -> None:
    """How long it takes is the benchmark's to say, that it is linear test_many_files.py's."""
    for number in range(1000):
        host.config(f"{number:04}.conflist")
    code, result, log = agent(tmp_path, json.dumps(host.audit().to_json()))
    assert code == 0
    assert result.truncated
    assert report(result).files[0].to == "1.0.0"
    assert len(json.loads(log.splitlines()[-1])["report"]["files"]) == 1000


def test_sigterm_while_it_looks(host: Host, tmp_path: Path) -> None:
    path = host.config()
    host.script("bridge", f"touch {tmp_path}/asked; sleep 30")
    log = tmp_path / "log"
    with subprocess.Popen(
        COMMAND, env=environment(log, json.dumps(host.apply().to_json())), stdout=subprocess.DEVNULL
    ) as process:
        while not (tmp_path / "asked").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 3
    result = decode(log.read_text())
    assert result.error is not None
    assert result.error.code == "Stopped"
    assert path.read_text() == VERSIONLESS


def test_a_message_that_cannot_be_written(host: Host, tmp_path: Path) -> None:
    ran = subprocess.run(
        COMMAND,
        env=environment(tmp_path / "no/where", json.dumps(host.audit().to_json())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0
    assert "could not be written" in ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["outcome"] == "Done"


def test_a_log_that_nobody_can_write(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            COMMAND,
            env=environment(path, json.dumps(host.audit().to_json())),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 0
    assert ran.stderr == "the log could not be written: No space left on device\n"
    assert decode(path.read_text()).outcome is Outcome.DONE


def test_names_that_are_not_utf8(host: Host, tmp_path: Path) -> None:
    name = os.fsdecode(b"10-\xff\xfe.conflist")
    host.config(name)
    code, result, log = agent(tmp_path, json.dumps(host.audit().to_json()))
    assert code == 0
    assert report(result).files[0].name == "10-??.conflist"
    assert r"10-\udcff\udcfe.conflist" in log
    order = host.apply_of(report(result).files[0].sha256, "10-??.conflist")
    code, result, _ = agent(tmp_path, json.dumps(order.to_json()))
    assert code == 3


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="no tmpfs: others end in 2446")
def test_a_file_from_the_end_of_time() -> None:
    """It is judged like any other, and comes back with its time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        host = Host(Path(folder) / "host")
        host.plugins()
        path = host.config()
        last = ((1 << 63) - 1) * 10**9
        os.utime(path, ns=(last, last))
        found = report(run(host.audit())).files[0]
        assert (found.action, found.modified) == ("Rewrite", None)
        done = run(host.apply())
        assert done.outcome == "Done"
        assert run(host.restore(done.backup)).outcome == "Done"
        assert path.stat().st_mtime_ns == last
