"""A process of the test cluster is dead when it holds nothing any more."""

import socket
import sys
import time
from pathlib import Path

from tests.cluster import process

# Only the first thread ends, and not the process: as for a moment in one with many threads that
# was killed.
HALF_DEAD = """
import ctypes, socket, threading, time
held = socket.create_server(("127.0.0.1", 0))
print(held.getsockname()[1], flush=True)
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_lives_until_its_last_thread_has_ended(tmp_path: Path) -> None:
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    pid = process.spawn([sys.executable, "-c", HALF_DEAD], log=log, pidfile=pidfile)
    try:
        while ") Z " not in Path(f"/proc/{pid}/stat").read_text():
            time.sleep(0.01)
        with socket.create_connection(("127.0.0.1", int(log.read_text()))):
            assert process.living_pid(pidfile) == pid
    finally:
        process.stop(pidfile)
    assert process.living_pid(pidfile) is None
    with socket.create_server(("127.0.0.1", int(log.read_text()))):
        pass  # nobody holds it
