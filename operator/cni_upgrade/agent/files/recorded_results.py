"""What became of each operation, kept on the node: a rerun of an id gives the same answer.

A result is durable before it is reported, so an answer that the controller has seen can never be
contradicted by a rerun after a power cut.
"""

import contextlib
import json
import os
from collections.abc import Iterator

from cni_upgrade.agent import file_io
from cni_upgrade.agent.files.state import State
from cni_upgrade.agent.protocol.contract import Kind
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.json_members import MemberError
from cni_upgrade.agent.protocol.result import Outcome, Result
from cni_upgrade.agent.protocol.termination_message import compact
from cni_upgrade.cni.value import dataclass

FOLDER = "results"

KEEP = 64
"""Results that are kept; a rerun comes within minutes, and 64 operations are months."""

_LIMIT = 16 << 20


def find(state: State, operation_id: str) -> Result | None:
    """The result of an earlier run of that id; None when there is none.

    Raises OSError, and OperationRefusedError (ResultDamaged) for one that says nothing any more: it
    was written atomically, so somebody or the disk has spoiled it, and another answer would
    contradict it.
    """
    try:
        with file_io.opened_folder(f"{state.path}/{FOLDER}", follow=False) as folder:
            text = file_io.read_file(folder, f"{operation_id}.json", _LIMIT)
        return Result.from_json(json.loads(text))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (file_io.UnreadableError, MemberError, ValueError, RecursionError) as error:
        raise OperationRefusedError(
            "ResultDamaged",
            f"{state.host}/{FOLDER}/{operation_id}.json, the result of an earlier run, cannot be "
            f"read: {error}; this run wrote nothing: audit the node again",
        ) from error


@dataclass(frozen=True, slots=True)
class Back:
    """A backup that was put back; `name` None: all of it, else that file alone."""

    backup: str
    name: str | None = None


def returned(state: State) -> dict[Back, int]:
    """When each was last put back, in ns since 1970, as far as results of it are kept: what was
    asked for, and what stood in for it. Raises OSError."""
    found: dict[Back, int] = {}
    for result, at in _kept(state, Kind.RESTORE):
        if result.outcome is Outcome.DONE and result.backup:
            used = (Back(backup, name) for name, backup in result.replaced_by.items())
            for each in (Back(result.backup), *used):
                found[each] = max(at, found.get(each, 0))
    return found


def replaced(state: State, backup: str) -> dict[str, str]:
    """By name: sha256 in hex of what was replaced and is saved in that backup, as far as results
    of it are kept. Raises OSError."""
    return {
        change.name: change.before
        for result, _ in _kept(state, Kind.APPLY)
        if result.backup == backup
        for change in result.changes
        if change.before is not None
    }


def _kept(state: State, kind: Kind) -> Iterator[tuple[Result, int]]:
    """The results of that kind, and when each was written, in ns since 1970. Raises OSError."""
    try:
        with file_io.opened_folder(f"{state.path}/{FOLDER}", follow=False) as folder:
            for name in file_io.names(folder):
                if not (name.startswith(f"{kind}-") and name.endswith(".json")):
                    continue
                # A damaged one tells nothing, here as little as of its operation.
                with contextlib.suppress(FileNotFoundError, OperationRefusedError):
                    result = find(state, name.removesuffix(".json"))
                    if result is not None:
                        yield result, os.stat(name, dir_fd=folder).st_mtime_ns
    except FileNotFoundError:
        return


def record(state: State, result: Result) -> None:
    """Keeps the result. Raises OSError when it is not durable.

    That older ones could not be removed is no reason: the next one tries again.
    """
    file_io.make_folder(f"{state.path}/{FOLDER}")
    with file_io.opened_folder(f"{state.path}/{FOLDER}", follow=False) as folder:
        file_io.replace_file(folder, f"{result.id}.json", f"{compact(result)}\n".encode())
        with contextlib.suppress(OSError):
            _prune(folder, f"{result.id}.json")


def _prune(folder: int, kept: str) -> None:
    """Removes the oldest, whatever the clock says of `kept`: it has not been answered yet."""
    names = [name for name in file_io.names(folder) if name.endswith(".json")]
    if len(names) <= KEEP:
        return
    ages: list[tuple[int, str]] = []
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            ages.append((os.stat(name, dir_fd=folder).st_mtime_ns, name))
    for _, name in sorted(ages)[:-KEEP]:
        if name != kept:
            file_io.remove_if_there(folder, name)
