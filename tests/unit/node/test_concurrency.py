"""Others write in the same folder: agents wait for each other, a DaemonSet waits for nobody."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from cni_upgrade.node.agent import run
from cni_upgrade.node.operation import Operation, Outcome
from tests.unit.node.host import VERSIONLESS, Host

CURED = VERSIONLESS.replace("{\n", '{\n  "cniVersion": "1.0.0",\n', 1)


def start(tmp_path: Path, operation: Operation) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cni_upgrade.node.agent"],
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


def test_a_daemonset_that_puts_its_file_back_in_a_loop(host: Host) -> None:
    path = host.config()
    order = host.apply()
    stop = threading.Event()
    torn: list[str] = []

    def put_back() -> None:
        other = host.root / "copy"
        while not stop.is_set():
            other.write_text(VERSIONLESS)
            other.rename(path)

    def look() -> None:
        while not stop.is_set():
            text = path.read_text()
            if text not in (VERSIONLESS, CURED):
                torn.append(text)

    threads = [threading.Thread(target=each) for each in (put_back, look)]
    for thread in threads:
        thread.start()
    try:
        ends = Counter(
            (result.outcome, result.error.code if result.error else "")
            for number in range(15)
            for result in [
                run(Operation.from_json({**order.to_json(), "id": f"apply-{number:020x}"}))
            ]
        )
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not torn
    assert set(ends) <= {
        (Outcome.DONE, ""),
        (Outcome.FAILED, "NotProved"),
        (Outcome.REFUSED, "ChangedSinceAudit"),
        (Outcome.REFUSED, "ChangedMeanwhile"),
        (Outcome.REFUSED, "Unreadable"),
    }, ends
