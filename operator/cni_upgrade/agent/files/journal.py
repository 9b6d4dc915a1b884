"""What a run is about to write, on disk before it writes: a killed run is ended by the next one.

The journal names the files, their hashes before and after, the backup and the temporary names.
Each file is old or new whatever happens, so the next run of the same id goes on where this one
ended, and a run of another id first puts on record how far this one came.
"""

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from cni_upgrade.agent import file_io
from cni_upgrade.agent.files.metadata import Metadata
from cni_upgrade.agent.files.state import State
from cni_upgrade.agent.protocol.contract import Kind, check_id
from cni_upgrade.agent.protocol.json_members import Members
from cni_upgrade.agent.protocol.result import Change, OperationError, Outcome, Result
from cni_upgrade.cni.value import dataclass

SCHEMA = 1

_NAME = "journal.json"
_LIMIT = 16 << 20
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)
"""Of a link, a socket, a name that no file has: there is none of ours."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: sha256 in hex before and after, and the versions for the change's record.

    `before` None: it is not there yet; `after` None: it is to go. `metadata`: what is given to one
    whose content stays, for its hash does not tell then whether it is written.
    """

    name: str
    before: str | None
    after: str | None
    from_version: str | None
    to: str | None
    metadata: Metadata | None = None

    @classmethod
    def read(cls, members: Members) -> "Entry":
        """From an entry of `files` of a journal. Raises MemberError."""
        return cls(
            name=members.file_name("name"),
            before=members.text_or_none("before"),
            after=members.text_or_none("after"),
            from_version=members.text_or_none("from"),
            to=members.text_or_none("to"),
            metadata=members.one_or_none("metadata", Metadata.read),
        )

    def to_json(self) -> dict[str, object]:
        """An entry of `files` of a journal."""
        return {
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "from": self.from_version,
            "to": self.to,
            **({} if self.metadata is None else {"metadata": self.metadata.to_json()}),
        }

    def change(self, diff: str = "") -> Change:
        """The record of this file having been written."""
        return Change(self.name, self.from_version, self.to, self.before, self.after, diff)


def merged(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """One for each file that is written: what stood there first, and what stands there in the end.

    Somebody may have changed the mode of what a killed run wrote: then it is written twice.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        first = found.get(entry.name, entry)
        found[entry.name] = replace(first, after=entry.after, to=entry.to)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Journal:
    """An operation under way in one folder of the host.

    `backup` is made (apply) or was asked for (restore); `replaced_by`: see `Result.replaced_by`.
    """

    id: str
    kind: Kind
    node: str
    folder: str
    backup: str
    entries: tuple[Entry, ...]
    replaced_by: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, document: object) -> "Journal":
        """From the decoded file. Raises MemberError."""
        members = Members(document)
        journal = cls(
            id=members.text("id"),
            kind=members.choice("kind", Kind),
            node=members.text("node"),
            folder=members.text("folder"),
            backup=members.text("backup"),
            entries=members.many("files", Entry.read),
            replaced_by=members.one_or_none("replacedBy", Members.all_texts) or {},
        )
        check_id(journal.id, journal.kind)
        return journal

    @property
    def backups(self) -> tuple[str, ...]:
        """Ids of those that hold what stood there before (apply) or what comes back (restore)."""
        return tuple(dict.fromkeys(self.replaced_by.values())) or (self.backup,)

    def ready_names(self) -> tuple[str, ...]:
        """The names under which it makes files ready: none stood there when it began, so a plain
        file that does now is of its making."""
        return tuple(
            file_io.ready_name(entry.name) for entry in self.entries if entry.after is not None
        )

    def to_json(self) -> dict[str, object]:
        """The file's document."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "kind": str(self.kind),
            "node": self.node,
            "folder": self.folder,
            "backup": self.backup,
            "files": [entry.to_json() for entry in self.entries],
            **({"replacedBy": dict(self.replaced_by)} if self.replaced_by else {}),
        }


def load(state: State) -> Journal | None:
    """The operation that was under way when its run ended; None when none was.

    Raises OSError, and ValueError for a journal that is damaged: it is written atomically, so
    somebody has edited it.
    """
    with file_io.opened_folder(state.path) as folder:
        try:
            return Journal.read(json.loads(file_io.read_file(folder, _NAME, _LIMIT)))
        except FileNotFoundError:
            return None
        except (file_io.UnreadableError, RecursionError) as error:
            raise ValueError(f"{_NAME}: {error}") from error


def begin(state: State, journal: Journal) -> None:
    """Makes it durable that the operation is under way. Raises OSError."""
    with file_io.opened_folder(state.path) as folder:
        file_io.replace_file(folder, _NAME, f"{json.dumps(journal.to_json())}\n".encode())


def end(state: State) -> None:
    """The operation is over, and its result is on record. Raises OSError."""
    with file_io.opened_folder(state.path) as folder:
        file_io.remove_if_there(folder, _NAME)


def written(journal: Journal, conf_dir: str) -> tuple[Entry, ...]:
    """The files that are as they were to be: their content, or mode, owner, group and xattrs where
    the content stays; and those that are gone if they were to go.

    `conf_dir` is where the agent opens the folder. Raises OSError when that or a file in it cannot
    be read: what the file carries is not known then.
    """
    found: list[Entry] = []
    with file_io.opened_folder(conf_dir) as folder:
        for entry in journal.entries:
            try:
                data = file_io.read_file(folder, entry.name)
                given = _given(folder, entry)
            except FileNotFoundError:
                if entry.after is None:
                    found.append(entry)
                continue
            except file_io.UnreadableError:
                continue  # no plain file, or larger than any of ours
            except OSError as error:
                if error.errno in _NO_FILE:
                    continue
                raise
            if given and hashlib.sha256(data).hexdigest() == entry.after:
                found.append(entry)
    return tuple(found)


def _given(folder: int, entry: Entry) -> bool:
    """Whether the file is what it was to become besides its content; another content tells that by
    itself. Raises OSError and UnreadableError."""
    if entry.before != entry.after:
        return True
    if entry.metadata is None:  # its journal does not tell
        return False
    with file_io.opened_file(folder, entry.name) as descriptor:
        return entry.metadata.same(Metadata.of(descriptor))


def kept_in(journal: Journal, *, backed_up: bool) -> str:
    """Where that is which stood there before, for an error that cannot say what was written.

    `backed_up`: its backups are there; a run may be killed before that of an apply is made, and a
    restore makes none: what it writes over can be made again, or is in a backup already.
    """
    if journal.kind is Kind.RESTORE:
        gone = "" if backed_up else ", not there any more"
        return f"a restore makes no backup; what it puts back is from {_named(journal)}{gone}"
    if backed_up:
        return f"if it was anything, what stood there before is in backup {journal.backup}"
    return f"backup {journal.backup}, which is made before anything is written, is not there"


def _named(journal: Journal) -> str:
    return " and ".join(f"backup {each}" for each in journal.backups)


def interrupted(journal: Journal, entries: tuple[Entry, ...] | None, *, backed_up: bool) -> Result:
    """How an operation ended whose run was killed, told by a later run.

    `entries` None: its folder is gone, and with it what could be told of it. `backed_up`: its
    backups are there.
    """
    names = ", ".join(entry.name for entry in entries or ()) or "nothing"
    text = f"the run was killed; written until then: {names}; each file is whole"
    if entries and journal.kind is Kind.RESTORE:
        text += f", and is from {_named(journal)}"
    elif entries:
        text += ", and what stood there before is in the backup"
    if entries is None:
        text = (
            f"the run was killed while it wrote in {journal.folder}, which this run does not "
            f"find: what was written is not known; {kept_in(journal, backed_up=backed_up)}"
        )
    return Result(
        id=journal.id,
        kind=journal.kind,
        node=journal.node,
        outcome=Outcome.FAILED,
        error=OperationError("Interrupted", text),
        changes=tuple(entry.change() for entry in entries or ()),
        backup=journal.backup if entries or backed_up else None,
        replaced_by=journal.replaced_by,
    )
