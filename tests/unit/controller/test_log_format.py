"""The log of the controller's command: text, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cni_upgrade.controller.log_format import JsonFormatter

ROOT = Path(__file__).parents[3]
MEMBERS = {"time", "level", "logger", "message"}


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cni_upgrade.controller", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )


def logged(program: str) -> list[dict[str, str]]:
    """What a program leaves in its log, each line read as JSON."""
    head = "import logging\nfrom cni_upgrade.controller import log_format as f\n"
    ran = subprocess.run(
        [sys.executable, "-c", f"{head}f.set_up(f.LogFormat.JSON)\n{program}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_each_line_is_an_object_whatever_the_message_holds() -> None:
    [line] = logged('logging.getLogger("a.b").warning("two\\nlines, %s: ü \\"x\\"", 7)')
    assert line.keys() == MEMBERS
    assert line["level"] == "warning"
    assert line["logger"] == "a.b"
    assert line["message"] == 'two\nlines, 7: ü "x"'
    at = datetime.fromisoformat(line["time"])
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


def test_an_error_brings_its_traceback_in_the_same_line() -> None:
    [line] = logged("try:\n  1 / 0\nexcept ZeroDivisionError:\n  logging.exception('it failed')")
    assert line["message"] == "it failed"
    assert line["error"].startswith("Traceback (most recent call last):\n")
    assert line["error"].endswith("ZeroDivisionError: division by zero")


def test_a_warning_of_python_itself_is_a_line_too() -> None:
    [line] = logged("import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=1)")
    assert line["logger"] == "py.warnings"


def test_every_member_of_a_line_is_text() -> None:
    record = JsonFormatter().format(logging.LogRecord("x", 20, "f", 1, "m %s", ("y",), None))
    assert {type(value) for value in json.loads(record).values()} == {str}


@pytest.mark.parametrize(("chosen", "is_json"), [("json", True), ("text", False)])
def test_why_it_cannot_start_is_said_in_the_chosen_format(chosen: str, is_json: bool) -> None:
    ran = command(f"--log-format={chosen}", "--config=/there/is/none.yaml")
    assert (ran.returncode, ran.stdout) == (2, "")
    [line] = ran.stderr.splitlines()
    said = json.loads(line)["message"] if is_json else line
    assert said == "operator configuration /there/is/none.yaml: No such file or directory"


def test_a_format_that_there_is_not() -> None:
    ran = command("--log-format=xml")
    assert ran.returncode == 2
    assert "argument --log-format: invalid choice: 'xml'" in ran.stderr


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ran = command("--version")
    assert (ran.returncode, ran.stdout) == (0, f"cni-upgrade-controller {project['version']}\n")
