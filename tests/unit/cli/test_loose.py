"""Config files that are on no node: what is not known of a node is never promised."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cni_upgrade.cli.main import main
from tests.judge.folders import Choices, content
from tests.unit.agent.host import VERSIONLESS, Host

Captured = pytest.CaptureFixture[str]
RUNTIME = ("--runtime", "containerd://1.6.20")
FLANNEL = '{"name": "cbr0", "cniVersion": "0.3.1", "plugins": [{"type": "flannel"}]}'


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With plugins beside it, as a job in CI would unpack them."""
    host = Host(tmp_path / "host")
    host.plugins()
    host.plugin("flannel")
    host.bin.rename(tmp_path / "plugins")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/10-pod.conflist").write_text(VERSIONLESS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(capsys: Captured) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["configs"][0]["report"]
    return found


def test_without_runtime_and_plugins_nothing_is_promised(
    repository: Path, capsys: Captured
) -> None:
    assert main(["audit", "deploy", "-o", "json"]) == 1
    found = report(capsys)
    assert found["verdict"] == "Blocked"
    assert found["baseline"]["add"] is None
    assert found["baseline"]["del"] is None
    assert found["after"]["existingDel"] is None
    assert main(["plan", "deploy"]) == 1
    assert main(["diff", "deploy"]) == 2
    assert "it is not known what the runtime supports" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (VERSIONLESS, "missing"),
        (VERSIONLESS.replace("{", '{"cniVersion": 1.0,', 1), "invalid"),
        (VERSIONLESS.replace("{", '{"cniVersion": "1.0.0", "mtu": __MTU__,', 1), "not read"),
    ],
)
def test_only_a_version_that_is_not_there_is_called_missing(
    repository: Path, capsys: Captured, text: str, shown: str
) -> None:
    (repository / "deploy/10-pod.conflist").write_text(text)
    for verb in ("audit", "plan"):
        main([verb, "deploy", *RUNTIME])
        row = next(
            line for line in capsys.readouterr().out.splitlines() if "10-pod.conflist  " in line
        )
        assert shown in row, verb
        assert ("missing" in row) is (shown == "missing")


def test_a_healthy_file_alone_is_not_called_safe(repository: Path, capsys: Captured) -> None:
    healthy = VERSIONLESS.replace("{", '{"cniVersion": "1.0.0",', 1)
    (repository / "deploy/10-pod.conflist").write_text(healthy)
    assert main(["audit", "deploy"]) == 1
    assert "Verdict  Blocked" in capsys.readouterr().out
    assert main(["audit", "deploy", *RUNTIME]) == 1
    # Where a line breaks depends on how long the path of this test's folder is.
    text = " ".join(capsys.readouterr().out.split())
    assert "name the folder that holds the plugins" in text
    assert "nothing shows that pods come and go with it" in text
    assert main(["audit", "deploy", *RUNTIME, "--bin-dir", "plugins"]) == 0
    assert "Verdict  Compatible" in capsys.readouterr().out
    assert main(["plan", "deploy", *RUNTIME, "--bin-dir", "plugins"]) == 0
    assert main(["diff", "deploy", *RUNTIME, "--bin-dir", "plugins"]) == 0


def test_the_pods_that_run_where_it_is_used_are_not_known(
    repository: Path, capsys: Captured
) -> None:
    assert main(["audit", "deploy", *RUNTIME, "--bin-dir", "plugins", "-o", "json"]) == 1
    found = report(capsys)
    assert found["verdict"] == "Rewrite"
    assert found["after"]["add"] is True
    assert found["after"]["existingDel"] is None


def test_git_applies_what_diff_shows(repository: Path, capsys: Captured) -> None:
    config = repository / "deploy/10-pod.conflist"
    for path in ("deploy", "./deploy/10-pod.conflist", str(config)):
        config.write_text(VERSIONLESS)
        assert main(["diff", path, *RUNTIME, "--bin-dir", "plugins"]) == 1
        patch = capsys.readouterr().out
        ran = subprocess.run(["git", "apply", "-"], input=patch, text=True, check=False)
        assert ran.returncode == 0, path
        assert '"cniVersion": "1.0.0"' in config.read_text()


def test_git_applies_what_makes_a_list(repository: Path, capsys: Captured) -> None:
    """A patch that renames, as git has it."""
    alone = repository / "deploy/20-alone.conf"
    alone.write_text(
        '{"name": "a", "type": "bridge", "cniVersion": "0.3.1", "ipam": {"type": "host-local"}}'
    )
    asked = ("deploy/20-alone.conf", *RUNTIME, "--bin-dir", "plugins", "--conflist")
    assert main(["diff", *asked]) == 1
    patch = capsys.readouterr().out
    subprocess.run(["git", "apply", "-"], input=patch, text=True, check=True)
    assert not alone.exists()
    assert main(["audit", "deploy/20-alone.conflist", *asked[1:]]) == 0


def test_standard_input(
    repository: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source of a managed file is no file that its writer puts back."""
    more = (*RUNTIME, "--bin-dir", "plugins")

    def ask(verb: str, text: str, *options: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return main([verb, "-", *options])

    flannel = FLANNEL.replace('"flannel"', '"flannel", "ipam": {"type": "host-local"}')
    assert ask("diff", flannel, *more) == 1
    assert '+{"name": "cbr0", "cniVersion": "1.0.0"' in capsys.readouterr().out
    assert ask("plan", '{"name": "a", "type": "bridge", "cniVersion": "0.4.0"}', *more) == 1
    assert "stdin.conf  " in capsys.readouterr().out
    stray = FLANNEL.replace("{", '{"type": "bridge", ', 1).replace("0.3.1", "9.9.9")
    assert ask("plan", stray, *more) == 1
    assert "stdin.conflist  9.9.9" in capsys.readouterr().out, "as a file of that name is read"
    assert ask("plan", '{"name": "a", "type": "bridge", "plugins": 1}', *more) == 1
    assert "stdin.conf  " in capsys.readouterr().out
    assert ask("diff", '{"name": "a", "type": "bridge", "cniVersion": 1}', *more) == 1
    assert '+{"name": "a", "type": "bridge", "cniVersion": "1.0.0"}' in capsys.readouterr().out
    assert ask("diff", '{"name": "a", "type": "bridge", "ipam": 5}', *more) == 2
    assert "ipam is not an object" in capsys.readouterr().err
    assert ask("audit", "{,}", *more) == 1
    assert "Unparsable" in capsys.readouterr().out
    assert ask("audit", " \n", *more) == 2
    assert "standard input is empty" in capsys.readouterr().err


def test_each_file_is_judged_by_itself(repository: Path, capsys: Captured) -> None:
    """Also those that a runtime would not come to; and one that is refused hides no other."""
    (repository / "deploy/00-broken.conf").write_text("{")
    (repository / "deploy/20-alone.conf").write_text('{"name": "a", "type": "ipvlan"}')
    (repository / "deploy/notes.txt").write_text("no config")
    (repository / "deploy/more.conf").mkdir()
    more = (*RUNTIME, "--bin-dir", "plugins")
    assert main(["plan", "deploy", *more, "-o", "json"]) == 1
    verdicts = {
        Path(each["path"]).name: each["verdict"]
        for each in json.loads(capsys.readouterr().out)["configs"]
    }
    assert verdicts == {
        "00-broken.conf": "Blocked",
        "10-pod.conflist": "Rewrite",
        "20-alone.conf": "Blocked",
    }
    assert main(["diff", "deploy", *more, "-o", "json"]) == 2
    told = capsys.readouterr()
    assert set(json.loads(told.out)["diffs"]) == {"deploy/10-pod.conflist"}
    assert "20-alone.conf: ipvlan is not there" in told.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["none"], "none: No such file"),
        (["plugins"], "it holds no *.conflist"),
        (["plugins/bridge"], "on standard input"),
        (["deploy", "--root", "/"], "--root is about a machine"),
        (["deploy", "--cache-dir", "/var/lib/cni"], "--cache-dir is about a machine"),
        (["deploy", "--bin-dir", "none"], "No such file"),
    ],
)
def test_what_cannot_be(
    arguments: list[str], text: str, repository: Path, capsys: Captured
) -> None:
    assert main(["audit", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_this_machine_does_not_matter(repository: Path, capsys: Captured) -> None:
    """Neither its plugins nor its runtime's configuration: the job runs on no node."""
    assert main(["audit", "deploy", *RUNTIME, "-o", "json"]) == 1
    found = report(capsys)
    assert found["paths"]["binDirs"] == []
    assert found["paths"]["confDir"] is None


@given(st.binary(min_size=64, max_size=256), st.sampled_from([(), RUNTIME]))
@example(VERSIONLESS.encode(), RUNTIME)
@settings(max_examples=60)
def test_whatever_stands_in_a_file_nothing_is_called_safe_that_is_not_known(
    data: bytes, named: tuple[str, ...]
) -> None:
    """Without the plugins no creation and no deletion is said to work, and no exit code is 0."""
    for text in (data, content(Choices(data), "stdin.conflist"), content(Choices(data), "a.conf")):
        if not text.strip():
            continue
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
            assert main(["audit", "-", *named, "-o", "json"]) == 1
        found = json.loads(out.getvalue())["configs"][0]["report"]
        assert found["baseline"]["add"] is not True
        assert found["baseline"]["del"] is not True
        assert found["after"]["existingDel"] is None
        assert not any(each["action"] == "Rewrite" for each in found["files"])
