"""The writing itself: every file ready beside its name, the backup safe, then one rename each.

A rename in the same folder is what containerd's watcher reloads on, and not on a file that comes
from elsewhere (`pkg/cri/server/cni_conf_syncer.go`); it cannot tear, and a name that ends in
`.cnitmp` is none that libcni loads. It exchanges the two names where the kernel can: a file that
another program has renamed there since our last look is then found, and has its name again. The
active file comes first: if we are killed between two renames, what pods need is what has been
cured. Every file is judged on its own, so no moment between renames is worse than the one before.
Where a list takes the place of a single-plugin config it lands first, and the old one goes after
it: `succession` has said that the runtime loads one of the two at every moment.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Collection, Sequence

from cni_upgrade.agent import file_io
from cni_upgrade.agent.files import exchanged, journal, renames, write_obstacles
from cni_upgrade.agent.files.journal import Entry, Journal
from cni_upgrade.agent.files.metadata import Metadata
from cni_upgrade.agent.files.state import State
from cni_upgrade.agent.protocol.errors import OperationFailedError, OperationRefusedError
from cni_upgrade.cni.value import dataclass


@dataclass(frozen=True, slots=True)
class Write:
    """One file to be made or replaced: new bytes, and what the new file is besides them."""

    entry: Entry
    data: bytes
    metadata: Metadata
    keep_times: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """One file that goes, once `instead` stands in its place."""

    entry: Entry
    instead: Entry


Step = Write | Removal


def check(folder: int, host: str, state: State, steps: Sequence[Step], saved: int) -> None:
    """Raises OperationRefusedError for what can be seen to stand in the way; writes nothing.

    `folder` is the config folder, `host` its name on the host, `saved` the bytes of a backup.
    """
    obstacle = write_obstacles.of_folder(folder, host)
    made = {step.entry.name for step in steps if isinstance(step, Write)}
    for step in steps:
        obstacle = obstacle or _in_the_way(folder, step, made)
    size = sum(len(step.data) for step in steps if isinstance(step, Write))
    with file_io.opened_folder(state.path) as own:
        shared = os.fstat(folder).st_dev == os.fstat(own).st_dev
        kept = size + saved
        obstacle = obstacle or write_obstacles.of_space(
            folder, host, size + (kept if shared else 0)
        )
        obstacle = obstacle or write_obstacles.of_space(own, state.host, kept)
    if obstacle is not None:
        raise obstacle


def _in_the_way(folder: int, step: Step, made: Collection[str]) -> OperationRefusedError | None:
    name = step.entry.name
    obstacle = (write_obstacles.of_new if step.entry.before is None else write_obstacles.of_file)(
        folder, name
    )
    if isinstance(step, Write):
        obstacle = obstacle or write_obstacles.of_size(name, len(step.data))
        obstacle = obstacle or write_obstacles.of_new(folder, file_io.ready_name(name))
        obstacle = obstacle or write_obstacles.of_metadata(folder, name, step.metadata)
    if isinstance(step, Removal) and step.instead.name not in made:
        obstacle = obstacle or write_obstacles.of_file(folder, step.instead.name)
    return obstacle


def commit(
    state: State,
    plan: Journal,
    folder: int,
    steps: Sequence[Step],
    save: Callable[[], None],
    replaced: list[Entry],
) -> None:
    """Carries the steps out in their order, and notes each in `replaced` as it is done.

    `save` makes the backup durable; it is called before the first of them. Where `replaced` tells
    already of a killed run, the journal that stands names the backup of that, and names the new one
    when this can be relied on.

    Raises OperationRefusedError when nothing was replaced, OperationFailedError when some were;
    in both cases no temporary file of ours is left, and each file is the old or the new one.
    """
    ready: list[str] = []
    goes_on = bool(replaced)
    try:
        if goes_on:
            save()
        journal.begin(state, plan)
        for step in steps:
            if isinstance(step, Write):
                _make_ready(folder, step, ready)
        if not goes_on:
            save()
        for step in steps:
            _still(folder, step.entry.name, step.entry.before)
            name = step.entry.name
            if isinstance(step, Removal):
                _still(folder, step.instead.name, step.instead.after)
                os.unlink(name, dir_fd=folder)
                replaced.append(step.entry)
            else:
                _place(folder, step.entry, ready, replaced)
            os.fsync(folder)
    except OSError as error:
        _remove(folder, ready)
        text = f"{error.filename or plan.folder}: {error.strerror}"
        if replaced:
            raise OperationFailedError(
                "WriteFailed", f"{text}; some files are new, some old: see `changes`"
            ) from error
        raise OperationRefusedError(
            _CODES.get(error.errno or 0, "WriteFailed"), f"{text}; nothing was changed"
        ) from error
    except OperationRefusedError as error:
        _remove(folder, ready)
        if replaced:
            raise OperationFailedError(error.code, f"{error}; the others were written") from error
        raise


def _place(folder: int, entry: Entry, ready: list[str], replaced: list[Entry]) -> None:
    """Gives its name to a file that was made ready. Raises OperationRefusedError and OSError; in
    `replaced` is what stands there then."""
    name, own = entry.name, file_io.ready_name(entry.name)
    if entry.before is None:
        try:
            renames.give(folder, own, name)
        except FileExistsError as error:
            raise _made_meanwhile(name) from error
        ready.remove(own)
        replaced.append(entry)
        return
    try:
        taken_out = renames.exchange(folder, own, name)
    except FileNotFoundError as error:
        raise OperationRefusedError(
            "ChangedMeanwhile",
            f"{name} was removed by another program in this very moment; find out which one",
        ) from error
    if not taken_out:
        os.rename(own, name, src_dir_fd=folder, dst_dir_fd=folder)
    ready.remove(own)  # what has that name now may be another program's
    replaced.append(entry)
    if taken_out and not _settled(folder, entry, replaced):
        replaced.remove(entry)
        raise _changed_meanwhile(name)


def _settled(folder: int, entry: Entry, replaced: list[Entry]) -> bool:
    try:
        return exchanged.settle(folder, entry)
    except OSError:
        with contextlib.suppress(OSError):  # a second look may come through
            if not exchanged.settle(folder, entry):
                replaced.remove(entry)
        raise


_CODES = {
    errno.EEXIST: "NameTaken",
    errno.ENOSPC: "NoSpace",
    errno.EDQUOT: "NoSpace",
    errno.EROFS: "ReadOnly",
    errno.EACCES: "NoPermission",
    errno.EPERM: "NoPermission",
}


def clear(folder: int, plan: Journal) -> None:
    """Removes what a killed run made ready and did not use, or exchanged and did not look at: that
    gets its name back where it is another program's. What is not ours stays.

    Raises OSError: the journal must stay then, for nothing else tells whose it is. Raises
    OperationRefusedError where other programs do not cease to write.
    """
    for entry in plan.entries:
        try:
            name = file_io.ready_name(entry.name)
            if entry.after is not None and write_obstacles.of_leftover(folder, name) is None:
                exchanged.settle(folder, entry, torn=True)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # no file has such a name
                raise


def _remove(folder: int, names: Sequence[str]) -> None:
    """A failure leaves a name that libcni ignores."""
    for name in names:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)


def _make_ready(folder: int, write: Write, ready: list[str]) -> None:
    """Notes in `ready` what it has made, also where it then fails."""
    name = file_io.ready_name(write.entry.name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    ready.append(name)
    try:
        write.metadata.give_flags(descriptor)
        file_io.write_all(descriptor, write.data)
        write.metadata.give(descriptor, write.entry.name)
        if write.keep_times:
            write.metadata.give_times(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _still(folder: int, name: str, expected: str | None) -> None:
    """Right before the step: what is replaced must be what was judged and saved, or not there."""
    if expected is None:
        if write_obstacles.of_new(folder, name) is None:
            return
        raise _made_meanwhile(name)
    try:
        data = file_io.read_file(folder, name)
    except (OSError, file_io.UnreadableError) as error:
        raise OperationRefusedError(
            "ChangedMeanwhile",
            f"{name} can no longer be read: {error}; another program writes in this folder",
        ) from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise _changed_meanwhile(name)


def _made_meanwhile(name: str) -> OperationRefusedError:
    return OperationRefusedError(
        "ChangedMeanwhile",
        f"{name} was made by another program in this very moment; find out which one",
    )


def _changed_meanwhile(name: str) -> OperationRefusedError:
    return OperationRefusedError(
        "ChangedMeanwhile",
        f"{name} was changed by another program in this very "
        "moment; find out which one writes it, and mend its source",
    )
