"""Asks the command about a machine in a folder, and reads what it prints as one line."""

import pytest

from cni_upgrade.cli.main import main
from tests.unit.agent.host import Host

Captured = pytest.CaptureFixture[str]


def ask(host: Host, verb: str, *more: str) -> int:
    return main([verb, "--root", str(host.root), "--runtime", host.runtime, *more])


def flat(capsys: Captured) -> str:
    return " ".join(capsys.readouterr().out.split())
