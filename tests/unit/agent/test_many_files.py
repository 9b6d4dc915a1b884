"""A folder of many files costs in proportion to their number; how long it takes is benchmarked."""

import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from cni_upgrade.agent.agent import run
from tests.unit.agent.host import VERSIONLESS, Host

EVENTS = ("call", "c_call")


def calls(folder: Path, files: int) -> int:
    """How many functions an audit of so many files calls, of Python and of C."""
    host = Host(folder / str(files))
    for number in range(files):
        host.config(f"{number:04}.conflist", VERSIONLESS.replace("pod-net", f"net{number}"))
    counted: Counter[str] = Counter()

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        counted[event] += 1

    audit = host.audit()
    sys.setprofile(count)
    try:
        run(audit)
    finally:
        sys.setprofile(None)
    return sum(counted[event] for event in EVENTS)


def test_an_audit_of_many_files_is_linear(tmp_path: Path) -> None:
    calls(tmp_path, 1)  # what is imported at the first need
    few, more, many = (calls(tmp_path, files) for files in (25, 50, 100))
    assert many - more <= 2.01 * (more - few), "twice as many files more, twice as many calls more"
