"""The apply is killed at each of its system calls, and each of them made to fail: no file tears.

Three operations: an apply of five files, one of two files of which the second becomes a list (a
file is made and one removed), and the restore of that. A slice of the points runs with all tests;
every point with `CNI_UPGRADE_TORTURE=all`. The calls are taken from a trace first, an injection
that does not fire fails the test, and because a kill cannot show a missing fsync, the order of
fsync and rename is read off the trace.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from cni_upgrade.agent.files import backup
from cni_upgrade.agent.protocol.operation import Form, Kind, Operation, Outcome, Result, Target
from cni_upgrade.agent.protocol.termination_message import decode
from tests.unit.agent.host import VERSIONLESS, Host, sha256
from tests.unit.agent.torture_agent import BEGIN, END, FILES

ROOT = Path(__file__).parents[3]
ALL = os.environ.get("CNI_UPGRADE_TORTURE") == "all"
SLICE = 8  # points of each kind that the fast run tries
NAMES = tuple(f"{number}0-net.conflist" for number in range(5))
FIRST, SECOND, LIST = "00-net.conflist", "10-net.conf", "10-net.conflist"
KINDS = ("five files", "a list", "back from the list")
ERRORS = ("ENOSPC", "EIO", "EROFS", "EACCES", "EINTR")

# Calls that a file system can fail.
FALLIBLE = re.compile(
    r"open|read|write|stat|fsync|rename|unlink|mkdir|rmdir|chmod|chown|xattr|getdents|flock|utime"
    r"|ioctl|lseek|fcntl|close"
)

# Python's own housekeeping. A call that is in neither is to be put into one of them.
UNFAILING = re.compile(
    r"rt_sig|mmap|mremap|munmap|brk|madvise|get[a-z]*id|getgroups|futex|getrandom"
)

# Those that give or take a file's name.
NAMING = ("rename", "unlink")

pytestmark = pytest.mark.timeout(0 if ALL else 600)  # all take over an hour of CPU

Told = Callable[[str, object], None]  # pytest's record_property: hack/run_tests.py prints it


def lacking(reason: str) -> NoReturn:
    """Who asks for every point is not told that all is well when none was tried."""
    if ALL:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def strace() -> None:
    if shutil.which("strace") is None:
        lacking("strace is not installed (Debian package strace)")


@dataclass(frozen=True)
class Call:
    """One system call of the window: its name, and which of that name it is in the process."""

    name: str
    number: int
    line: str


@dataclass(frozen=True)
class Bench:
    """A host, an order for it, and what its files are before and after; None: not there."""

    kind: str
    host: Host
    order: Operation
    old: dict[str, bytes]
    new: dict[str, bytes]
    pristine: Path

    @property
    def changed(self) -> set[str]:
        return {name for name in self.old | self.new if self.old.get(name) != self.new.get(name)}


ALONE = """{
  "name": "net1",
  "type": "bridge",
  "ipam": {"type": "host-local", "mtu": 1.50E3}
}
"""


def build(folder: Path, kind: str) -> Host:
    host = Host(folder)
    names = NAMES if kind == "five files" else (FIRST, SECOND)
    for name in names:
        number = int(name[0])
        text = ALONE if name == SECOND else VERSIONLESS.replace("pod-net", f"net{number}")
        path = host.config(name, text)
        path.chmod(0o600 + number)
        os.setxattr(path, "user.number", str(number).encode())
    host.state.mkdir()
    return host


def apply_of(host: Host, kind: str, *names: str, number: int = 0) -> Operation:
    """An order for the files as they are now; all of them unless named."""
    order = host.apply(*names, number=number)
    if kind == "five files":
        return order
    files = tuple(
        replace(each, becomes=LIST) if each.name == SECOND else each for each in order.files
    )
    return replace(order, files=files, target=Target(form=Form.LIST))


def contents(host: Host) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in host.conf.iterdir()}


@cache
def compile_modules() -> None:
    """As in the image: a run takes a fraction of the time, and each one makes the same calls."""
    command = (sys.executable, "-m", "compileall", "-q", "operator", "tests/unit/agent")
    subprocess.run(command, cwd=ROOT, check=True)


def agent(host: Host, operation: Operation, *strace: str) -> tuple[int, Result | None, str]:
    """Runs the agent, under strace when options are given; None when it left no message."""
    compile_modules()
    log = host.root.parent / "termination-log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.unit.agent.torture_agent"]
    if strace:
        command = ["strace", "-qq", *strace, *command]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=120,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}/operator:{ROOT}",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CNI_UPGRADE_TERMINATION_LOG": str(log),
            FILES: "0" if (host.conf / NAMES[-1]).exists() else "2",
            "CNI_UPGRADE_OPERATION": json.dumps(operation.to_json()),
        },
    )
    text = log.read_text() if log.exists() else ""
    return ran.returncode, decode(text) if text else None, ran.stderr


def trace(host: Host, operation: Operation) -> list[Call]:
    """The calls between the marks, as the process makes them when nothing is in their way."""
    file = host.root.parent / "trace"
    code, result, error = agent(host, operation, "-y", "-s", "200", "-o", str(file))
    if "ptrace" in error.lower():
        lacking(f"strace may not trace here: {error}")
    assert code == 0, (result, error)
    calls: list[Call] = []
    seen: Counter[str] = Counter()
    inside = False
    for line in file.read_text().splitlines():
        match = re.match(r"(\w+)\(", line)
        if match is None:
            continue
        name = match[1]
        seen[name] += 1
        if BEGIN in line:
            inside = True
        elif END in line:
            unknown = {each.name for each in calls if not FALLIBLE.search(each.name)}
            unknown = {each for each in unknown if not UNFAILING.match(each)}
            assert not unknown, f"can a file system fail these? {unknown}"
            return calls
        elif inside:
            calls.append(Call(name, seen[name], line))
    raise AssertionError("the marks are not in the trace")


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return made(request.param, tmp_path)


def made(kind: str, tmp_path: Path) -> Bench:
    host = build(tmp_path / "host", kind)
    order = apply_of(host, kind)
    if kind == "back from the list":
        done = carried_out(host, order)
        order = host.restore(done.backup)
    pristine = tmp_path / "pristine"
    shutil.copytree(host.root, pristine)
    old = contents(host)
    carried_out(host, order)
    bench = Bench(kind, host, order, old, contents(host), pristine)
    reset(bench)
    return bench


def carried_out(host: Host, order: Operation) -> Result:
    code, result, error = agent(host, order)
    assert code == 0, (result, error)
    assert result is not None
    return result


def reset(bench: Bench) -> None:
    shutil.rmtree(bench.host.root)
    shutil.copytree(bench.pristine, bench.host.root)


def chosen(calls: Sequence[Call], offset: int = 0) -> list[Call]:
    """All, or a slice that holds the calls that give or take a name, of many every other one, and
    of the kinds of calls each fifth: together the five errors meet them all."""
    if ALL:
        return list(calls)
    step = max(1, len(calls) // SLICE)
    some = list(calls[offset % step :: step])
    naming = [call for call in calls if call.name.startswith(NAMING) and call not in some]
    some += naming if len(naming) < SLICE else naming[offset % 2 :: 2]
    kinds = sorted({call.name for call in calls})[offset % len(ERRORS) :: len(ERRORS)]
    missing = [kind for kind in kinds if kind not in {call.name for call in some}]
    some += [next(call for call in calls if call.name == kind) for kind in missing]
    assert len(some) >= SLICE
    return some


def check_whole(bench: Bench, point: object) -> set[str]:
    """Every file is the old or the new one, with its mode and xattr; the names of the new ones.

    Of a file and the list in its place one is always there. As soon as one is new, the backup
    holds all of the old ones.
    """
    found = {
        name: data for name, data in contents(bench.host).items() if not name.endswith(".cnitmp")
    }
    assert found.keys() <= bench.old.keys() | bench.new.keys(), point
    new = {name for name in bench.old | bench.new if found.get(name) != bench.old.get(name)}
    for name in bench.old | bench.new:
        assert found.get(name) in (bench.old.get(name), bench.new.get(name)), (point, name)
    assert not bench.changed & {SECOND, LIST} or found.keys() & {SECOND, LIST}, point
    for name in found:
        path, number = bench.host.conf / name, int(name[0])
        assert path.stat().st_mode & 0o7777 == 0o600 + number, (point, name)
        assert os.getxattr(path, "user.number") == str(number).encode(), (point, name)
    if new:
        check_saved(bench, point)
    return new


def check_saved(bench: Bench, point: object) -> None:
    """What an apply writes over can be had again, and what a restore puts back as well."""
    kept = bench.old if bench.order.kind is Kind.APPLY else bench.new
    assert saved(bench.host) >= set(kept.values()), point


def saved(host: Host) -> set[bytes]:
    """What the backups that can be seen hold; each of them must be whole."""
    found: set[bytes] = set()
    for folder in (host.state / "backups").iterdir():
        if folder.name.startswith("."):
            continue
        manifest = json.loads((folder / "manifest.json").read_text())
        assert folder.name == backup.address(backup.Backup.read(manifest), manifest)
        for entry in manifest["files"]:
            path = folder / "files" / entry["name"]
            assert sha256(path) == entry["sha256"]
            found.add(path.read_bytes())
    return found


def check_end(bench: Bench, point: object) -> None:
    """Everything is new, nothing of ours is left over, and the old files can be had again."""
    assert contents(bench.host) == bench.new, point
    assert not (bench.host.state / "journal.json").exists(), point
    check_saved(bench, point)
    assert not [
        each for each in (bench.host.state / "backups").iterdir() if each.name.startswith(".")
    ], point


def check_rerun(bench: Bench, point: object) -> None:
    """The same operation again: it goes on where the killed run ended."""
    code, result, error = agent(bench.host, bench.order)
    assert result is not None, (point, error)
    assert (code, result.outcome) == (0, Outcome.DONE), (point, result.error, error)
    if bench.order.kind is Kind.APPLY:
        assert {change.name for change in result.changes} == bench.changed, point
        written = [change for change in result.changes if change.after is not None]
        assert all('+  "cniVersion"' in change.diff for change in written), point
    check_end(bench, point)


def check_next(bench: Bench, point: object, new: set[str]) -> None:
    """Another operation, ordered from an audit of what the first one left: it puts on record how
    far that came, `new` being what it had written, and leaves an answer of before as it is."""
    order = next_order(bench)
    before, left = recorded(bench), (bench.host.state / "journal.json").exists()
    code, result, error = agent(bench.host, order)
    assert result is not None, (point, error)
    if order.id != bench.order.id:
        assert (code, result.outcome) == (0, Outcome.DONE), (point, result.error, error)
        after = recorded(bench)
        if before is not None or not left:
            assert after == before, point
        else:
            assert after is not None, point
            assert after.error is not None, point
            assert (after.outcome, after.error.code) == (Outcome.FAILED, "Interrupted"), point
            assert {change.name for change in after.changes} == new, (point, after)
    else:
        assert result.outcome in (Outcome.DONE, Outcome.FAILED), (point, result.error)
    check_end(bench, point)


def recorded(bench: Bench) -> Result | None:
    """What the node has on record of the first operation."""
    path = bench.host.state / f"results/{bench.order.id}.json"
    return Result.from_json(json.loads(path.read_text())) if path.exists() else None


def next_order(bench: Bench) -> Operation:
    """For what is left to do; where nothing is, the first one asked for again."""
    if bench.order.kind is Kind.RESTORE:
        return replace(bench.order, id=bench.host.restore(None, number=1).id)
    found = contents(bench.host)
    left = [order.name for order in bench.order.files if found.get(order.name) is not None]
    left = [name for name in left if found[name] == bench.old[name]]
    kind = "a list" if SECOND in bench.old else "five files"
    return apply_of(bench.host, kind, *left, number=1) if left else bench.order


def tell(record_property: Told, text: str) -> None:
    print(text)
    record_property("counted", text)


def kill(bench: Bench, call: Call) -> None:
    """Runs the apply and kills it as it enters the call; fails if it was not killed."""
    code, _, error = agent(
        bench.host,
        bench.order,
        "-e",
        f"trace={call.name}",
        "-o",
        "/dev/null",
        "-e",
        f"inject={call.name}:signal=SIGKILL:when={call.number}",
    )
    assert code == -signal.SIGKILL, (call, code, error)


def test_killed_at_each_call(bench: Bench, record_property: Told) -> None:
    calls = trace(bench.host, bench.order)
    points = chosen(calls)
    states: Counter[int] = Counter()
    for index, call in enumerate(points):
        reset(bench)
        kill(bench, call)
        new = check_whole(bench, call)
        states[len(new)] += 1
        if index % 2:
            check_rerun(bench, call)
        else:
            check_next(bench, call, new)
    tell(
        record_property,
        f"{bench.kind}: killed at {len(points)} of {len(calls)} calls; "
        f"new files at the kill: {dict(sorted(states.items()))}",
    )
    assert ALL is False or set(states) == set(range(len(bench.changed) + 1))


def test_killed_again_while_settling(bench: Bench, record_property: Told) -> None:
    """The run that finishes a killed one is killed in turn."""
    calls = trace(bench.host, bench.order)
    renames = [call for call in calls if call.name.startswith("rename")]
    tried = 0
    for first in renames[:: 1 if ALL else 4]:
        reset(bench)
        kill(bench, first)
        kept = bench.host.root.parent / "kept"
        shutil.copytree(bench.host.root, kept, symlinks=True)
        second_calls = trace(bench.host, bench.order)
        for second in second_calls[:: 9 if ALL else len(second_calls) // 3]:
            shutil.rmtree(bench.host.root)
            shutil.copytree(kept, bench.host.root, symlinks=True)
            kill(bench, second)
            check_whole(bench, (first, second))
            check_rerun(bench, (first, second))
            tried += 1
        shutil.rmtree(kept)
    assert tried >= 3
    tell(record_property, f"{bench.kind}: killed again at {tried} points")


@pytest.mark.parametrize(
    ("bench", "error"),
    [
        (kind, error)
        for kind in KINDS
        for error in (ERRORS if ALL or kind == "five files" else ERRORS[:1])
    ],
    indirect=["bench"],
)
def test_each_call_fails(bench: Bench, error: str, record_property: Told) -> None:
    calls = [call for call in trace(bench.host, bench.order) if FALLIBLE.search(call.name)]
    points = chosen(calls, ERRORS.index(error) + 1)
    ends: Counter[str] = Counter()
    for call in points:
        reset(bench)
        result, new = fail(bench, call, error)
        if result is not None:
            assert result.outcome is not Outcome.REFUSED or not new, (call, result.error)
            assert {change.name for change in result.changes} == new, (call, result)
            ends[ended(result)] += 1
        check_next(bench, call, new)
    told = dict(sorted(ends.items()))
    tell(record_property, f"{bench.kind}: {error} at {len(points)} of {len(calls)} calls: {told}")


def fail(bench: Bench, call: Call, error: str) -> tuple[Result | None, set[str]]:
    """Runs the order with the call failing; its result, where that could be told, and the names of
    the files that are new then. An answer of Done is that all are."""
    code, result, text = agent(
        bench.host,
        bench.order,
        "-f",  # which --seccomp-bpf asks for: no other call stops the process
        "--seccomp-bpf",  # (strace 6.1 sends no signal with it, so kills do without)
        "-e",
        f"trace={call.name}",
        "-o",
        str(bench.host.root.parent / "injected"),
        "-e",
        f"inject={call.name}:error={error}:when={call.number}",
    )
    injected = (bench.host.root.parent / "injected").read_text()
    assert "(INJECTED)" in injected, (call, "did not fire")
    assert "Traceback" not in text, (call, text)
    new = check_whole(bench, call)
    if result is None:  # the message itself could not be written: the log has the result
        assert "could not be written" in text, (call, text)
        return None, new
    assert result.error is None or result.error.code != "Unexpected", (call, result.error)
    assert code == {"Done": 0, "Failed": 1, "Refused": 3}[result.outcome], call
    assert result.outcome is not Outcome.DONE or new == bench.changed, (call, new)
    return result, new


def ended(result: Result) -> str:
    return f"{result.outcome} {result.error.code if result.error else ''}".strip()


@pytest.mark.parametrize("bench", KINDS if ALL else KINDS[:1], indirect=True)
def test_each_call_fails_in_the_run_that_goes_on(bench: Bench, record_property: Told) -> None:
    """After a kill between two of the names: what is written is never said not to be."""
    folder = re.escape(f"<{bench.host.conf}>")
    renames = [
        call
        for call in trace(bench.host, bench.order)
        if re.match(rf"rename(at2?)?\(\d+{folder}", call.line)
    ]
    reset(bench)
    kill(bench, renames[1])
    assert check_whole(bench, renames[1])
    kept = bench.host.root.parent / "kept"
    shutil.copytree(bench.host.root, kept, symlinks=True)
    calls = [call for call in trace(bench.host, bench.order) if FALLIBLE.search(call.name)]
    points = chosen(calls)
    ends: Counter[str] = Counter()
    for call in points:
        shutil.rmtree(bench.host.root)
        shutil.copytree(kept, bench.host.root, symlinks=True)
        result, new = fail(bench, call, "EIO")
        if result is not None and result.outcome is Outcome.REFUSED:
            # It has not come to see that there was a run before it.
            assert result.error is not None
            assert result.error.code == "StateFolder", (call, result.error)
            ends[ended(result)] += 1
        elif result is not None:
            assert result.backup is not None, (call, result.error)
            told = {change.name for change in result.changes}
            unknown = result.error is not None and "written is not known" in result.error.message
            assert told == (set() if unknown else new), (call, result)
            ends[ended(result) + (", not known what is written" if unknown else "")] += 1
        check_next(bench, call, new)
    shutil.rmtree(kept)
    tell(
        record_property,
        f"{bench.kind}: EIO in the run that goes on at {len(points)} of {len(calls)} calls: "
        f"{dict(sorted(ends.items()))}",
    )


@pytest.mark.parametrize("error", ["ENOSYS", "EINVAL", "EPERM"])
def test_a_kernel_that_exchanges_no_names(error: str, tmp_path: Path) -> None:
    """Each file is written all the same, by a plain rename."""
    for kind in KINDS:
        folder = tmp_path / kind.replace(" ", "-")
        folder.mkdir()
        bench = made(kind, folder)
        flags = ("-e", "trace=renameat2", "-o", str(folder / "injected"))
        injected = f"inject=renameat2:error={error}"
        code, result, text = agent(bench.host, bench.order, *flags, "-e", injected)
        assert "(INJECTED)" in (folder / "injected").read_text()
        assert (code, result is not None and result.outcome) == (0, Outcome.DONE), text
        check_end(bench, kind)


def test_a_folder_that_a_killed_run_made_is_durable(tmp_path: Path) -> None:
    """It stands there when the next run comes, and its name may still be lost in a power cut."""
    bench = made("five files", tmp_path)
    shutil.rmtree(bench.pristine / bench.host.state.relative_to(bench.host.root))
    reset(bench)
    calls = trace(bench.host, bench.order)
    folders = 0
    for number, call in enumerate(calls):
        match = re.match(r'mkdir\("([^"]+)"', call.line)
        if match is None or "/." in match[1]:  # a partial backup: it is made anew
            continue
        reset(bench)
        kill(bench, next(each for each in calls[number:] if each.name == "fsync"))
        assert Path(match[1]).is_dir(), call
        again = [each.line for each in trace(bench.host, bench.order)]
        # The first name that is worth nothing without the folder.
        folder = Path(match[1])
        name = {"backups": NAMES[0], "results": f"{bench.order.id}.json"}.get(
            folder.name, "journal.json"
        )
        relied = next(n for n, line in enumerate(again) if re.match(rf'rename.*, "{name}"', line))
        synced = rf"fsync\(\d+<{re.escape(str(folder.parent))}>\) += 0"
        assert any(re.match(synced, line) for line in again[:relied]), call
        folders += 1
    assert folders >= 3, "the folder itself, backups, results"


def test_fsync_comes_before_the_name(tmp_path: Path) -> None:
    """Content is on disk before a name leads to it, and everything that undoes it before that."""
    bench = made("five files", tmp_path)
    calls = trace(bench.host, bench.order)
    lines = [call.line for call in calls]
    synced: set[str] = set()
    dirty: set[str] = set()
    given: list[str] = []
    backups = re.escape(str(bench.host.state / "backups"))
    backed_up: set[str] = set()
    for line in lines:
        if match := re.match(r"(?:write|fch(?:own|mod)|fsetxattr)\(\d+<(/[^>]+)>", line):
            dirty.add(match[1])
            synced.discard(match[1])
        elif match := re.match(r"fsync\(\d+<(/[^>]+)>\) += 0", line):
            synced.add(match[1])
            dirty.discard(match[1])
            if (inside := re.fullmatch(rf"{backups}/\.[^/]+(/files)?", match[1])) is not None:
                backed_up.add(inside[1] or "")
        elif match := re.match(
            r'rename(?:at2?)?\(\d+<([^>]+)>, "([^"]+)", \d+<[^>]+>, "([^"]+)"', line
        ):
            folder, source, name = match.groups()
            written = {path for path in dirty if path.startswith(str(bench.host.root))}
            assert not written, (line, written)
            if folder == str(bench.host.conf):
                assert f"{folder}/{source}" in synced, line
                assert str(bench.host.state / "backups") in synced, "the backup's name is durable"
                assert {"", "/files"} <= backed_up, "and what the name leads to"
                assert str(bench.host.state) in synced, "the journal's name is durable"
                if set(given) & set(NAMES):
                    assert folder in synced, "each name is durable before the next is given"
                synced.discard(folder)
            given.append(name)
    assert [name for name in given if name in NAMES] == list(NAMES)
    assert given[0] == "journal.json"
    assert given[-1] == f"{bench.order.id}.json"
    assert str(bench.host.state / "results") in synced


@pytest.mark.parametrize(
    ("kind", "lands", "goes"), [(KINDS[1], LIST, SECOND), (KINDS[2], SECOND, LIST)]
)
def test_what_takes_the_place_is_durable_first(
    kind: str, lands: str, goes: str, tmp_path: Path
) -> None:
    """A power cut between the two leaves both or the new one, never none."""
    bench = made(kind, tmp_path)
    lines = [call.line for call in trace(bench.host, bench.order)]
    folder = re.escape(f"<{bench.host.conf}>")

    def first(pattern: str, after: int = 0) -> int:
        found = [n for n, line in enumerate(lines) if n > after and re.match(pattern, line)]
        assert found, pattern
        return found[0]

    landed = first(rf'rename(?:at2?)?\(\d+{folder}, "[^"]+", \d+{folder}, "{re.escape(lands)}"')
    gone = first(rf'unlinkat\(\d+{folder}, "{re.escape(goes)}"')
    assert landed < first(rf"fsync\(\d+{folder}\) += 0", landed) < gone
    recorded = first(r'rename(?:at2?)?\(.*"[a-z]+-[0-9a-f]{20}\.json"', gone)
    assert gone < first(rf"fsync\(\d+{folder}\) += 0", gone) < recorded
