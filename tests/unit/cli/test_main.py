"""cni-upgrade on a machine in a folder: what it says, what it writes, how it exits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cni_upgrade.cli.main import main
from cni_upgrade.cni.findings import Code
from cni_upgrade.node.errors import ABOUT
from cni_upgrade.node.operation import Result
from tests.unit.node.host import VERSIONLESS, Host

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path / "host")
    made.plugins()
    made.config()
    return made


def ask(host: Host, verb: str, *more: str) -> int:
    return main([verb, "--root", str(host.root), "--runtime", host.runtime, *more])


def test_from_the_audit_to_the_restore(host: Host, capsys: Captured) -> None:
    before = host.tree()
    assert ask(host, "audit") == 1
    text = capsys.readouterr().out
    assert "Verdict  Rewrite" in text
    assert "F1" in text
    assert "Plugins  /opt/cni/bin" in text

    assert ask(host, "plan") == 1
    assert "Rewrite" in capsys.readouterr().out
    assert ask(host, "diff") == 1
    assert '+  "cniVersion": "1.0.0",' in capsys.readouterr().out
    assert ask(host, "backups") == 0
    assert "no backups" in capsys.readouterr().out
    assert host.tree() == before, "none of these writes"

    assert ask(host, "apply") == 0
    assert "missing -> 1.0.0" in capsys.readouterr().out
    assert '"cniVersion": "1.0.0"' in (host.conf / "10-pod.conflist").read_text()
    for verb in ("audit", "plan", "diff", "apply"):
        assert ask(host, verb) == 0, verb
    capsys.readouterr()

    assert ask(host, "backups", "-o", "json") == 0
    backups = json.loads(capsys.readouterr().out)
    assert [file["name"] for file in backups[0]["files"]] == ["10-pod.conflist"]
    assert ask(host, "backups") == 0
    assert backups[0]["id"] in capsys.readouterr().out
    assert ask(host, "restore", backups[0]["id"]) == 0
    assert (host.conf / "10-pod.conflist").read_text() == VERSIONLESS


def test_json_is_the_agents_result(host: Host, capsys: Captured) -> None:
    assert ask(host, "audit", "-o", "json") == 1
    result = Result.from_json(json.loads(capsys.readouterr().out))
    assert result.report is not None
    assert result.report.files[0].to == "1.0.0"
    assert ask(host, "plan", "-o", "json") == 1
    plan = json.loads(capsys.readouterr().out)
    assert plan["files"][0]["patch"][-1] == {"op": "add", "path": "/cniVersion", "value": "1.0.0"}
    assert ask(host, "diff", "-o", "json") == 1
    assert set(json.loads(capsys.readouterr().out)) == {"10-pod.conflist"}
    assert ask(host, "apply", "-o", "json") == 0
    assert Result.from_json(json.loads(capsys.readouterr().out)).changes


def test_options_reach_the_engine(host: Host, capsys: Captured) -> None:
    for name in ("host-local", "portmap", "loopback"):
        host.plugin(name, "0.4.0")
    assert ask(host, "plan", "--exact") == 1
    assert "Refuse" in capsys.readouterr().out
    assert ask(host, "apply", "--exact") == 2
    assert ask(host, "diff", "--exact") == 2
    assert "Blocked: 10-pod.conflist: host-local supports" in capsys.readouterr().err
    assert ask(host, "plan", "--target", "0.3.1") == 1
    assert "0.3.1" in capsys.readouterr().out
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "0.3.1",', 1))
    assert ask(host, "plan", "--only-faulty") == 0
    assert ask(host, "plan") == 1


def test_folders_of_ones_own(host: Host, capsys: Captured) -> None:
    host.conf.rename(host.root / "conf")
    host.bin.rename(host.root / "bin")
    assert ask(host, "audit") == 1
    assert "FolderMissing" in capsys.readouterr().out
    assert (
        ask(
            host,
            "apply",
            "--config-dir",
            "/conf",
            "--bin-dir",
            "bin",
            "--bin-dir",
            "/none",
            "--state-dir",
            "/state",
        )
        == 0
    )
    assert (host.root / "state/backups").is_dir()


def test_without_a_root_a_path_is_meant_from_here(
    host: Host, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(host.root)
    assert (
        main(
            [
                "audit",
                "--config-dir",
                "etc/cni/net.d",
                "--bin-dir",
                "opt/cni/bin",
                "--cache-dir",
                "var/lib/cni",
                "--runtime",
                "containerd://1.6.2",
            ]
        )
        == 1
    )
    assert f"Configs  {host.conf}" in capsys.readouterr().out


def test_an_unknown_runtime_promises_nothing(host: Host, capsys: Captured) -> None:
    assert main(["audit", "--root", str(host.root)]) == 1
    text = capsys.readouterr().out
    assert "--runtime containerd://1.6.2" in text
    assert "Verdict  Blocked" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["audit", "--target", "1.0"], "expected one of 0.1.0"),
        (["restore", "../../etc"], "expected the id of a backup"),
        (["explain", "F99"], "there is no code"),
    ],
)
def test_what_makes_no_sense(arguments: list[str], text: str, capsys: Captured) -> None:
    assert main(arguments) == 2
    assert text in capsys.readouterr().err


def test_a_restore_that_cannot_be(host: Host, capsys: Captured) -> None:
    assert ask(host, "restore", "20261123T225404Z-3f2a9c1b") == 2
    assert "BackupMissing" in capsys.readouterr().out


def test_explain(capsys: Captured) -> None:
    assert main(["explain", "f1"]) == 0
    text = capsys.readouterr().out
    assert "containerd/containerd#4012" in text
    assert main(["explain"]) == 0
    listed = capsys.readouterr().out
    for code in [*Code, *ABOUT]:
        assert f"\n{code} " in f"\n{listed}"
        assert main(["explain", code]) == 0


def test_every_code_of_the_node_is_explained() -> None:
    """Codes are words in the source; each must be in the table, and each of the table in use."""
    folder = Path(__file__).parents[3] / "operator/cni_upgrade/node"
    source = {path.name: path.read_text() for path in folder.glob("*.py")}
    errors = source.pop("errors.py")
    assert errors
    used = "".join(source.values())
    for code in ABOUT:
        assert f'"{code}"' in used, code
    raised = set()
    for text in source.values():
        for call in ("OperationRefusedError(", "OperationFailedError(", "OperationError("):
            for piece in text.split(call)[1:]:
                first = piece.strip().split(",")[0]
                if first.startswith('"'):
                    raised.add(first.strip('"'))
    assert raised <= set(ABOUT)


def test_a_reader_that_has_seen_enough(host: Host) -> None:
    ran = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m cni_upgrade.cli.main explain | head -1"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[3] / "operator"), "PATH": "/bin:/usr/bin"},
    )
    assert ran.stderr == ""
    assert ran.stdout.startswith("F1 ")
