"""Others write in the same folder: agents wait for each other, a DaemonSet waits for nobody."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.protocol.operation import Operation, Outcome
from tests.unit.agent.host import VERSIONLESS, Host

CURED = VERSIONLESS.replace("{\n", '{\n  "cniVersion": "1.0.0",\n', 1)


def start(tmp_path: Path, operation: Operation) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cni_upgrade.agent.agent"],
        stdout=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3] / "operator"),
            "CNI_UPGRADE_OPERATION": json.dumps(operation.to_json()),
            "CNI_UPGRADE_TERMINATION_LOG": str(tmp_path / operation.id),
        },
    )


def test_several_agents_at_once(host: Host, tmp_path: Path) -> None:
    path = host.config()
    operations = [host.apply(number=number) for number in range(4)]
    processes = [start(tmp_path, each) for each in (*operations, operations[0])]
    codes = Counter(process.wait(60) for process in processes)
    assert path.read_text() == CURED
    assert codes[1] == 0
    assert codes[0] in (1, 2), "one does it, and its twin gives the same answer"
    assert codes[3] == 5 - codes[0]
    assert [each.name for each in host.conf.iterdir()] == [path.name]


def by_rename(path: Path) -> None:
    other = path.parents[3] / "copy"
    other.write_text(VERSIONLESS)
    other.rename(path)


def in_place(path: Path) -> None:
    """As `cp` and a shell do it: for a moment the file is empty, and then half of it is there."""
    half = len(VERSIONLESS) // 2
    with path.open("r+") as file:
        file.truncate(0)
        for part in (VERSIONLESS[:half], VERSIONLESS[half:]):
            file.write(part)
            file.flush()
            time.sleep(0.0005)
    time.sleep(0.01)


@pytest.mark.parametrize("put_back", [by_rename, in_place])
def test_a_daemonset_that_puts_its_file_back_in_a_loop(
    host: Host, put_back: Callable[[Path], None]
) -> None:
    """What stands there is theirs or ours, and what is saved is what was judged, never a half."""
    path = host.config()
    order = host.apply()
    stop = threading.Event()
    torn: list[str] = []

    def write() -> None:
        while not stop.is_set():
            put_back(path)

    def look() -> None:
        while not stop.is_set():
            text = path.read_text()
            theirs = put_back is in_place and VERSIONLESS.startswith(text)
            if text not in (VERSIONLESS, CURED) and not theirs:
                torn.append(text)

    threads = [threading.Thread(target=each) for each in (write, look)]
    for thread in threads:
        thread.start()
    ends: Counter[tuple[Outcome, str]] = Counter()
    written = {(Outcome.DONE, ""), (Outcome.FAILED, "NotProved")}
    try:
        for number in range(200):
            if number >= 15 and written & ends.keys():
                break
            result = run(Operation.from_json({**order.to_json(), "id": f"apply-{number:020x}"}))
            ends[result.outcome, result.error.code if result.error else ""] += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not torn
    assert written & ends.keys(), f"none came so far as to write: {ends}"
    assert set(ends) <= written | {
        (Outcome.REFUSED, "ChangedSinceAudit"),
        (Outcome.REFUSED, "ChangedMeanwhile"),
        (Outcome.REFUSED, "Unreadable"),
    }, ends
    assert path.read_text() in (VERSIONLESS, CURED)
    assert [each.name for each in host.conf.iterdir()] == [path.name], "nothing of ours is left"
    saved = [each.read_text() for each in (host.state / "backups").glob("*/files/*")]
    assert set(saved) == {VERSIONLESS}
