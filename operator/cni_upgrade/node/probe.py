"""Asks plugin binaries which CNI versions they support, as libcni asks them, and trusts none.

A plugin is run with CNI_COMMAND=VERSION (libcni `pkg/invoke/exec.go` GetVersionInfo) and nothing
of our environment, for a limited time, with limited output, in a session of its own that is killed
as a whole. All are asked at once from one poll loop: no threads, and no `subprocess`, whose import
alone costs a tenth of the time that an audit may start in.
"""

import contextlib
import errno
import json
import os
import select
import signal
import stat
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.node import buildinfo, stop
from cni_upgrade.node.folders import BrokenLinkError, resolve

TIME_LIMIT = 5.0
"""Seconds that a plugin has to answer and end."""

OUTPUT_LIMIT = 64 << 10
"""Bytes of a plugin's output that are read before it is killed."""

_AT_ONCE = 16
_MOST_VERSIONS = 64
_LONGEST_VERSION = 32
_CHUNK = 16 << 10
_NOTHING_LEFT = (ProcessLookupError, PermissionError)  # Linux says the one, BSD the other


class _Place(NamedTuple):
    """A binary that was found: the path by which the runtime calls it, and the file that it is.

    They differ where a link stands in the way, and many plugins may be one file (k3s): which one is
    asked that file tells by the name that it is called by, while the file alone stays in the root.
    """

    called: str
    real: str


class _Run:
    """One plugin under way: its process, what it printed, and how it ended."""

    __slots__ = ("deadline", "output", "outputs", "pid", "status", "verdict")

    def __init__(self, place: _Place, version: str) -> None:
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
            os.write(question, json.dumps({"cniVersion": version}).encode())
            os.close(question)
            ends.remove(question)
            self.pid = os.posix_spawn(
                place.real,
                [place.called],
                {
                    "CNI_COMMAND": "VERSION",
                    "CNI_NETNS": "dummy",
                    "CNI_IFNAME": "dummy",
                    "CNI_PATH": "dummy",
                },
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, stdin, 0),
                    (os.POSIX_SPAWN_DUP2, stdout_write, 1),
                    (os.POSIX_SPAWN_DUP2, stderr_write, 2),
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


def probe(
    root: str,
    bin_dirs: Sequence[tuple[str, str]],
    types: Iterable[str],
    version: str,
    unseen: str | None = None,
) -> dict[str, Support]:
    """What each binary supports. `bin_dirs` are pairs of the host's path and the real one.

    `version` is what the question carries as cniVersion; `unseen` is the folder that comes after
    `bin_dirs` and cannot be looked at. Raises nothing of the plugins' making: whatever is wrong
    with one is the finding of its Support.
    """
    supports: dict[str, Support] = {}
    found: dict[str, _Place] = {}
    for binary in types:
        place = _find(root, bin_dirs, binary, unseen)
        if isinstance(place, Support):
            supports[binary] = place
        else:
            found[binary] = place
    waiting = list(found.items())
    while waiting:
        batch, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        supports.update(_ask(batch, version))
    return supports


def _find(
    root: str, bin_dirs: Sequence[tuple[str, str]], binary: str, unseen: str | None
) -> _Place | Support:
    """The first plain file of that name in the folders, as libcni's FindInPath looks for it.

    libcni passes over whatever stat fails on (`pkg/invoke/find.go`), so a link that leads nowhere
    is no end of its search. But it looks as the runtime, on the whole host: where we see less, the
    file that comes next is not what it runs. So beneath a root, where the target may only not be
    mounted, and wherever we have not the right to look, nothing is known.
    """
    if "/" in binary or "\0" in binary or binary in ("", ".", ".."):
        return _missing(
            binary,
            Code.PLUGIN_MISSING,
            f"{binary!r:.80} cannot be the name of a binary",
            "mend the config's type",
        )
    passed_over = ""
    for host, _ in bin_dirs:
        path = f"{host}/{binary}"
        try:
            real = resolve(root, path)
            if stat.S_ISREG(os.lstat(real).st_mode):
                return _Place(path, real)
        except BrokenLinkError as error:
            broken = f"{path} is a link to {error.target}, which is not there"
            if root:
                action = "mend the link, or have the folder of its target mounted as well"
                return _unknown(binary, Code.PLUGIN_BROKEN_LINK, broken, action)
            passed_over = passed_over or broken
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            broken = f"{path} cannot be reached: {error.strerror}"
            if error.errno != errno.ELOOP:
                action = "see what stands there, and who may look at it"
                return _unknown(binary, Code.PLUGIN_BROKEN_LINK, broken, action)
            passed_over = passed_over or broken
    if passed_over:
        return _missing(
            binary, Code.PLUGIN_BROKEN_LINK, f"{passed_over}: ADD and DEL fail", "mend the link"
        )
    searched = ", ".join(host for host, _ in bin_dirs) or "no folder at all"
    if unseen is not None:
        return _unknown(
            binary,
            Code.PLUGIN_UNKNOWN,
            f"the binary {binary} is not in {searched}; it may be in {unseen}, which could not be "
            "looked at",
            f"see the finding about {unseen}",
        )
    return _missing(
        binary,
        Code.PLUGIN_MISSING,
        f"the binary {binary} is not in {searched}: ADD and DEL fail",
        f"install {binary}, or name the folder where the runtime finds it",
    )


def _missing(binary: str, code: Code, message: str, action: str) -> Support:
    finding = Finding(code, Severity.FAULT, binary, message, action)
    return Support(binary, source="missing", finding=finding)


def _unknown(binary: str, code: Code, message: str, action: str) -> Support:
    finding = Finding(code, Severity.WARNING, binary, message, action)
    return Support(binary, source="unknown", finding=finding)


def _ask(batch: Sequence[tuple[str, _Place]], version: str) -> dict[str, Support]:
    supports: dict[str, Support] = {}
    runs: dict[str, _Run] = {}
    try:
        for binary, place in batch:
            try:
                with stop.later():  # a process that is started is one that is ended again
                    runs[binary] = _Run(place, version)
            except OSError as error:
                supports[binary] = _bounded(place.real, _not_started(binary, place.real, error))
        _attend(runs.values())
    finally:
        with stop.later():
            for run in runs.values():
                run.close()
    places = dict(batch)
    for binary, run in runs.items():
        answer = _judge(binary, run)
        supports[binary] = (
            _bounded(places[binary].real, answer) if isinstance(answer, Finding) else answer
        )
    return supports


def _attend(runs: Collection[_Run]) -> None:
    """Reads from all until each has closed its outputs and ended, flooded, or run out of time."""
    poller = select.poll()
    owners: dict[int, _Run] = {}
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


def _judge(binary: str, run: _Run) -> Support | Finding:
    if run.verdict == "hang":
        return Finding(
            Code.PLUGIN_HANG,
            Severity.WARNING,
            binary,
            f"{binary} did not answer VERSION within {TIME_LIMIT:g} s",
            f"run {binary} with CNI_COMMAND=VERSION to see what it waits for",
        )
    if run.verdict == "flood":
        return Finding(
            Code.PLUGIN_FLOOD,
            Severity.WARNING,
            binary,
            f"{binary} printed more than {OUTPUT_LIMIT} bytes instead of its versions",
            f"see whether {binary} is a CNI plugin at all",
        )
    code = os.waitstatus_to_exitcode(run.status or 0)
    try:
        answer = json.loads(run.printed)
    except (ValueError, RecursionError):
        shown = run.printed[:80].decode("utf-8", "replace")
        return _garbled(binary, f"it ended with {_ending(code)} and printed {shown!r}")
    if not isinstance(answer, dict):
        return _garbled(binary, "its answer is not a JSON object")
    if code != 0:
        message = answer.get("msg")
        if message == "unknown CNI_COMMAND: VERSION":
            return Support.told(binary, ("0.1.0",))
        return _garbled(binary, f"it ended with {_ending(code)}: {message!r:.200}")
    return _supported(binary, answer)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _supported(binary: str, answer: Mapping[str, object]) -> Support | Finding:
    """libcni `pkg/version/plugin.go` PluginDecoder.Decode."""
    own, versions = answer.get("cniVersion"), answer.get("supportedVersions")
    if not isinstance(own, str) or not own:
        return _garbled(binary, "its answer has no cniVersion")
    if versions in (None, []):
        if own == "0.2.0":
            return Support.told(binary, ("0.1.0", "0.2.0"))
        return _garbled(binary, "its answer has no supportedVersions")
    if not isinstance(versions, list) or len(versions) > _MOST_VERSIONS:
        return _garbled(binary, "supportedVersions is not a short list")
    strings = [each for each in versions if isinstance(each, str) and _like_a_version(each)]
    if len(strings) != len(versions):
        return _garbled(binary, "supportedVersions is not a list of versions")
    return Support.told(binary, strings)


def _like_a_version(text: str) -> bool:
    return len(text) <= _LONGEST_VERSION and text.isascii() and text.isprintable()


def _garbled(binary: str, what: str) -> Finding:
    return Finding(
        Code.PLUGIN_GARBLED,
        Severity.WARNING,
        binary,
        f"{binary} did not answer VERSION as a CNI plugin does: {what}",
        f"run {binary} with CNI_COMMAND=VERSION to see what it answers",
    )


def _not_started(binary: str, path: str, error: OSError) -> Finding:
    if error.errno == errno.ENOEXEC:
        what = _machine(path)
    elif error.errno == errno.ENOENT:
        what = "the interpreter or loader that it names is not there"
    elif error.errno == errno.EACCES:
        what = "it has no permission to execute, or its file system is mounted noexec"
    else:
        what = str(error.strerror)
    return Finding(
        Code.PLUGIN_NOT_EXECUTABLE,
        Severity.WARNING,
        binary,
        f"{binary} cannot be run: {what}",
        f"install a {binary} for this machine; a script's interpreter must also be in "
        "the agent's image",
    )


_MACHINES = {
    3: "386",
    40: "arm",
    62: "amd64",
    183: "arm64",
    21: "ppc64le",
    22: "s390x",
    243: "riscv64",
}
_MACHINE_FIELD = 18  # e_machine of an ELF header, two bytes


def _machine(path: str) -> str:
    """Why the kernel does not know how to run a file."""
    try:
        with open(path, "rb") as binary:  # noqa: PTH123 - see files.py
            header = binary.read(_MACHINE_FIELD + 2)
    except OSError as error:
        return f"it is no program, and cannot be read: {error.strerror}"
    if header[:4] != b"\x7fELF" or len(header) < _MACHINE_FIELD + 2:
        return "it is neither a program nor a script that names its interpreter"
    order = "little" if header[5] == 1 else "big"
    number = int.from_bytes(header[_MACHINE_FIELD:], order)  # type: ignore[arg-type]
    return f"it is for another machine ({_MACHINES.get(number, f'ELF machine {number}')})"


def _bounded(path: str, finding: Finding) -> Support:
    """A binary that gave no answer: its build info bounds what it may support, or nothing does."""
    try:
        bound = buildinfo.highest_version(path)
    except OSError:
        bound = None  # the finding already says that it cannot be run
    if bound is None:
        return Support(finding.component, source="unknown", finding=finding)
    return Support(finding.component, max=bound, source="buildinfo", finding=finding)
