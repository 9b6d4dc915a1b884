"""Settles what a killed run left, before another one begins.

A run of the same id goes on with it: what is written stays, the rest is judged and written as in
any apply. A run of another id was ordered from an audit that saw the folder as the killed run left
it, each file whole, so nothing is undone: it goes on record as Failed with what was written, its
backup stays, and its temporary files go. Where its folder is gone nobody can tell any more what it
wrote: that goes on record, whatever the id, and the node is not stuck with it.
"""

import contextlib
import errno

from cni_upgrade.agent import file_io
from cni_upgrade.agent.discovery import host_paths
from cni_upgrade.agent.files import backup, journal, recorded_results, transaction
from cni_upgrade.agent.files.journal import Entry, Journal
from cni_upgrade.agent.files.state import State
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.agent.protocol.result import Result

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def settle(state: State, operation: Operation) -> Journal | None:
    """The journal of an earlier, killed run of this very operation; None when there is none.

    Its result is then on record, unless it is the journal that is given.

    Raises OperationRefusedError (Unfinished) when what was left cannot be settled, and OSError.
    """
    try:
        left = journal.load(state)
    except ValueError as error:
        raise OperationRefusedError(
            "Unfinished",
            f"{state.host}/journal.json cannot be read: {error}; an operation was "
            "killed here. Compare the config folder with the newest backup, then remove it",
        ) from error
    if left is None:
        return None
    told = _recorded_result(state, left)
    if told is not None:
        # Its name is there, but the run may have been killed before that was durable.
        recorded_results.record(state, told)
        journal.end(state)
        return None
    with contextlib.ExitStack() as opened:
        try:
            real = host_paths.resolve(operation.root, left.folder)
            folder = opened.enter_context(file_io.opened_folder(real))
        except OSError as error:
            if error.errno in _GONE:
                recorded_results.record(state, _interrupted(state, left, None))
                journal.end(state)
                return None
            if left.id == operation.id:
                raise  # it may have written: that is said, and the journal stays
            raise OperationRefusedError(
                "Unfinished",
                f"operation {left.id} was killed while it wrote in {left.folder}, which "
                f"cannot be opened: {error.strerror}; make it reachable for the next operation",
            ) from error
        transaction.clear(folder, left)
    if left.id == operation.id:
        return left
    recorded_results.record(state, _interrupted(state, left, journal.written(left, real)))
    journal.end(state)
    return None


def _interrupted(state: State, left: Journal, written: tuple[Entry, ...] | None) -> Result:
    backed_up = all(backup.is_there(state, each) for each in left.backups)
    return journal.interrupted(left, written, backed_up=backed_up)


def _recorded_result(state: State, left: Journal) -> Result | None:
    """Its result, if it came so far. A damaged one was never reported: the journal still stands."""
    try:
        return recorded_results.find(state, left.id)
    except OperationRefusedError:
        return None
