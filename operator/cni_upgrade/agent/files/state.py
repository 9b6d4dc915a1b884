"""The agent's own folder on the node: one writer at a time, and everything in it durable.

lock                held by the run that writes (flock; gone with the process, however it ends)
journal.json        what is being written right now (journal.py)
backups/<id>/       what stood there before (backup.py)
results/<id>.json   what became of each operation (recorded_results.py)
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cni_upgrade.agent import file_io
from cni_upgrade.agent.discovery import host_paths
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.cni.value import dataclass

OWN = ("backups", "results")
"""The folders in it."""

PATIENCE = 10.0
"""Seconds that a run waits for another one on the same node to end."""

_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class State:
    """The folder: where it is for us, and how the host names it."""

    path: str
    host: str


def find(operation: Operation) -> State | None:
    """The folder if it is there; for those who only look. Raises OSError."""
    try:
        real = host_paths.resolve(operation.root, operation.paths.state_dir)
    except FileNotFoundError:
        return None
    return State(real, operation.paths.state_dir)


@contextmanager
def locked(operation: Operation) -> Iterator[State]:
    """The folder, made if need be, and nobody else's until the end.

    Raises OperationRefusedError: it cannot be made or written, or lies where libcni would find what
    we keep (StateFolder), or another run has held it for longer than PATIENCE (Busy).
    """
    host = operation.paths.state_dir
    _check_place(operation)
    try:
        state = find(operation) or State(_made(operation.root, host), host)
        file_io.make_folder(state.path)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(f"{state.path}/lock", flags, 0o600)
    except OSError as error:
        raise OperationRefusedError(
            "StateFolder",
            f"{host} cannot be used for backups: {error.strerror}; make it a "
            "folder that this user can write",
        ) from error
    try:
        _check_own(state)
        _wait(lock, host)
        yield state
    finally:
        file_io.close(lock)


def _made(root: str, host: str) -> str:
    """The host's folder, made beneath `root` whatever links lead there: the kernel would follow an
    absolute one out of it. Raises OSError."""
    try:
        return host_paths.resolve(root, host)
    except FileNotFoundError:
        parent, _, name = host.rstrip("/").rpartition("/")
        path = f"{_made(root, parent or '/')}/{name}"
        if os.path.islink(path):  # noqa: PTH114 - it leads to what is not there, or not mounted
            raise
        file_io.make_folder(path)
        return path


def _check_place(operation: Operation) -> None:
    """libcni from 1.3.0 on loads plugins from a folder in the config folder, and watchers reload
    at every file that comes there."""
    own = f"{_real(operation.root, operation.paths.state_dir)}/"
    for conf_dir in operation.paths.conf_dirs:
        if own.startswith(f"{_real(operation.root, conf_dir)}/"):
            raise OperationRefusedError(
                "StateFolder",
                f"{operation.paths.state_dir} is in the config folder {conf_dir}: choose a folder "
                "elsewhere for backups and results",
            )


def _real(root: str, path: str) -> str:
    """Where the folder is, or would be made."""
    parent, _, name = path.rstrip("/").rpartition("/")
    try:
        return host_paths.resolve(root, path)
    except OSError:
        return f"{_real(root, parent)}/{name}" if name else root


def _check_own(state: State) -> None:
    """What we keep stays in the folder: a link would lead out of a mounted image, or into the
    config folder."""
    for name in OWN:
        if os.path.islink(f"{state.path}/{name}"):  # noqa: PTH114 - see file_io.py
            raise OperationRefusedError(
                "StateFolder",
                f"{state.host}/{name} is a link: make it a folder, or name another folder for all "
                "of it",
            )


def _wait(lock: int, host: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise OperationRefusedError(
                    "Busy",
                    f"another run holds {host}/lock for more than {PATIENCE:g} s: wait "
                    "for its end, then try again",
                ) from error
            time.sleep(_PAUSE)
        except OSError as error:
            raise OperationRefusedError(
                "StateFolder", f"{host}/lock cannot be locked: {error.strerror}"
            ) from error
        else:
            return
