"""The command from `pip install` alone: a wheel, the agent's locked requirements, nothing else.

pip takes what it needs (the build backend and two packages) from wherever it is configured to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.unit.agent.host import VERSIONLESS, Host

ROOT = Path(__file__).parents[2]
PIP = ("-m", "pip", "--disable-pip-version-check")


def run(*words: object, code: int = 0) -> str:
    """What a command prints, without anything of this process's Python in its environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        list(map(str, words)), env=clean, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, *PIP, "wheel", "--no-deps", f"--wheel-dir={folder}", ROOT)
    [wheel] = folder.glob("*.whl")
    home = folder / "venv"
    venv.create(home, with_pip=True)
    python, locked = home / "bin" / "python", ROOT / "requirements" / "agent.txt"
    run(python, *PIP, "install", "--require-hashes", "--only-binary=:all:", "-r", locked)
    run(python, *PIP, "install", "--no-deps", "--no-index", wheel)
    run(python, *PIP, "check")
    return home


def test_it_brings_the_library_of_patches_and_nothing_else(home: Path) -> None:
    ask = "from importlib.metadata import *; print(*(d.name for d in distributions()))"
    brought = set(run(home / "bin" / "python", "-c", ask).split()) - {"pip", "setuptools"}
    assert brought == {"cni-upgrade-operator", "jsonpatch", "jsonpointer"}


def test_its_files_are_the_package_s(home: Path) -> None:
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})
    installed = Path(paths["purelib"]) / "cni_upgrade"
    source = ROOT / "operator" / "cni_upgrade"
    modules = [{p.relative_to(at) for p in at.rglob("*.py")} for at in (installed, source)]
    assert modules[0] == modules[1]


def test_the_command_answers(home: Path) -> None:
    command = home / "bin" / "cni-upgrade"
    assert "audit" in run(command, "--help")
    assert "F1" in run(command, "explain", "F1")


def test_it_audits_a_machine_plans_and_mends_it(home: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "image")
    host.plugins()
    host.config("10-net.conflist", VERSIONLESS)
    command = home / "bin" / "cni-upgrade"
    where = ("--root", host.root, "--runtime", "containerd://1.6.2")
    found = json.loads(run(command, "audit", *where, "-o", "json", code=1))
    assert found["report"]["verdict"] == "Rewrite"
    assert {each["code"] for each in found["report"]["findings"]} >= {"F1"}
    assert '+  "cniVersion": "1.0.0"' in run(command, "diff", *where, code=1)
    run(command, "apply", *where)
    run(command, "audit", *where)
