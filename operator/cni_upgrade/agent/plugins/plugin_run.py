"""Holds one plugin under way, so that whatever it does it ends in time, with all that it started.

It has libcni's environment (`ENVIRONMENT`) and nothing of ours, no descriptor of ours, a limited
time, limited output, and a session of its own that is killed as a whole; what it started and let go
of is ended by `strays`. All are attended to from one poll loop: no threads, and no `subprocess`,
whose import alone costs a tenth of the time that an audit may start in.
"""

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Collection, Iterator

from cni_upgrade.agent.plugins.plugin_binary import Place

TIME_LIMIT = 5.0
"""Seconds that a plugin has to answer and end."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "CNI_COMMAND": "VERSION",
    "CNI_CONTAINERID": "",
    "CNI_NETNS": "dummy",
    "CNI_ARGS": "",
    "CNI_IFNAME": "dummy",
    "CNI_PATH": "dummy",
}
"""All six that libcni sets, the empty ones too (`pkg/invoke/args.go` AsEnv, `exec.go`
GetVersionInfo): without one a script with `set -u` ends before it answers. libcni adds them to the
runtime's own environment, of which PATH and HOME are what a script may count on: PATH is as systemd
sets it for services, HOME is root's."""

OUTPUT_LIMIT = 64 << 10
"""Bytes of a plugin's output that are read before it is killed."""

_CHUNK = 16 << 10
_NOTHING_LEFT = (ProcessLookupError, PermissionError)  # Linux says the one, BSD the other


class Run:
    """One plugin under way: its process, what it printed, and how it ended."""

    __slots__ = ("deadline", "output", "outputs", "pid", "status", "verdict")

    def __init__(self, place: Place, version: str) -> None:
        """Starts the binary. Raises OSError when it cannot be started."""
        self.output: dict[int, bytearray] = {}
        self.status: int | None = None
        self.verdict = ""
        ends: list[int] = []
        try:
            stdin, question = os.pipe()
            ends += (stdin, question)
            stdout, stdout_write = os.pipe()
            ends += (stdout, stdout_write)
            stderr, stderr_write = os.pipe()
            ends += (stderr, stderr_write)
            os.write(question, json.dumps({"cniVersion": version}, separators=(",", ":")).encode())
            os.close(question)
            ends.remove(question)
            self.pid = os.posix_spawn(
                place.real,
                [place.called],
                ENVIRONMENT,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, stdin, 0),
                    (os.POSIX_SPAWN_DUP2, stdout_write, 1),
                    (os.POSIX_SPAWN_DUP2, stderr_write, 2),
                    *((os.POSIX_SPAWN_CLOSE, each) for each in _inherited()),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGTERM, signal.SIGINT),
            )
        except BaseException:
            for end in ends:
                os.close(end)
            raise
        for end in (stdin, stdout_write, stderr_write):
            os.close(end)
        self.deadline = time.monotonic() + TIME_LIMIT
        self.outputs = (stdout, stderr)
        self.output = {stdout: bytearray(), stderr: bytearray()}

    def read(self, descriptor: int) -> bool:
        """Takes what there is to read; False at the end of that output, or of our patience."""
        chunk = os.read(descriptor, _CHUNK)
        self.output[descriptor] += chunk
        if sum(map(len, self.output.values())) > OUTPUT_LIMIT:
            self.verdict = "flood"
            return False
        return bool(chunk)

    def ended(self) -> bool:
        """Whether the process has ended; its status stays to be taken by `kill`.

        Until then the number is nobody else's, be it of a process or of a group.
        """
        if self.status is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        """Ends the whole session, and takes the status of the process that we started, once."""
        if self.status is not None:
            return
        with contextlib.suppress(*_NOTHING_LEFT):
            os.killpg(self.pid, signal.SIGKILL)
        self.status = os.waitpid(self.pid, 0)[1]

    def close(self) -> None:
        """Kills what is left and gives the descriptors back."""
        self.kill()
        for descriptor in self.outputs:
            os.close(descriptor)

    @property
    def printed(self) -> bytes:
        """What the plugin printed on its standard output."""
        return bytes(self.output[self.outputs[0]])


def _inherited() -> Iterator[int]:
    """The descriptors that whoever started us has left open: our own close by themselves."""
    try:
        names = os.listdir("/dev/fd")  # noqa: PTH208 - see file_io.py
    except OSError:
        return
    for number in map(int, names):
        with contextlib.suppress(OSError):  # that of the listing is closed again
            if number > 2 and os.get_inheritable(number):
                yield number


def attend(runs: Collection[Run]) -> None:
    """Reads from all until each has closed its outputs and ended, flooded, or run out of time."""
    poller = select.poll()
    owners: dict[int, Run] = {}
    for run in runs:
        for descriptor in run.outputs:
            poller.register(descriptor, select.POLLIN)
            owners[descriptor] = run
    open_ends = dict(owners)
    unfinished = list(runs)
    while unfinished:
        # Without an open output only the process itself is waited for, which no poll shows.
        wait = 0.2 if open_ends else 0.002
        for descriptor, _events in poller.poll(wait * 1000):
            if descriptor in open_ends and not open_ends[descriptor].read(descriptor):
                poller.unregister(descriptor)
                del open_ends[descriptor]
        now = time.monotonic()
        for run in tuple(unfinished):
            silent = not any(end in open_ends for end in run.outputs)
            if now > run.deadline and not run.verdict:
                run.verdict = "hang"
            if run.verdict:
                run.kill()
                for end in run.outputs:
                    if open_ends.pop(end, None):
                        poller.unregister(end)
            if run.verdict or (silent and run.ended()):
                unfinished.remove(run)
