"""Starts and ends processes that outlive this command, and never mistakes a stranger for one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError

# The process becomes a grandchild: a test runner that starts a cluster then neither has to reap
# it nor is warned that it still runs.
_DETACH = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> str:
    """Run a command to its end and answer its standard output."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            text=True,
            env=env,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(
            f"`{words[0]}` is not installed", todo="python3 -m tests.cluster preflight"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{' '.join(words)}` did not end in {timeout:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise ClusterError(f"`{' '.join(words)}` ended with {done.returncode}: {said}")
    return done.stdout


def _started_at(pid: int) -> str | None:
    """Answer the kernel's start time of a living process, which a reused pid does not share.

    One that is killed lives, and holds its ports, until the last of its threads has ended; the
    first may end before.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} and len(threads) <= 1 else fields[19]


def record(pid: int, pidfile: Path) -> None:
    """Remember a process by pid and start time."""
    pidfile.write_text(f"{pid} {_started_at(pid)}\n")


def living_pid(pidfile: Path) -> int | None:
    """Answer the pid of the remembered process if that very process still lives."""
    try:
        pid, started = pidfile.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _started_at(int(pid)) == started else None


def spawn(argv: Sequence[str | Path], *, log: Path, pidfile: Path) -> int:
    """Start a process that goes on without us, its output in a log."""
    words = [str(word) for word in argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    out = subprocess.run(
        ["sh", "-c", _DETACH, "sh", str(log), *words],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        check=True,
    )
    pid = int(out.stdout)
    record(pid, pidfile)
    return pid


def stop(pidfile: Path, *, grace: float = 10) -> None:
    """End the remembered process, politely first, and forget it."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + patience
        while (pid := living_pid(pidfile)) is not None and time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            time.sleep(0.1)
    if living_pid(pidfile) is not None:
        raise ClusterError(f"process {pidfile.read_text().split()[0]} ({pidfile.stem}) won't die")
    pidfile.unlink(missing_ok=True)


def resident_mib(pid: int) -> int:
    """Answer how much memory a process holds, in MiB; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


def tail(log: Path, lines: int = 10, width: int = 300) -> str:
    """Answer the last lines of a log, indented and cut to a width, for an error text."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return f"    ({log} was not written)"
    return "\n".join(f"    {line[:width]}" for line in text.splitlines()[-lines:])
