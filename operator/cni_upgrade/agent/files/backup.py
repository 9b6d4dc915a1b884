"""Backups that a person finds with `ls` and reads with `cat`, whole or not there at all.

    <stateDir>/backups/20261123T225404Z-3f2a9c1b/manifest.json
    <stateDir>/backups/20261123T225404Z-3f2a9c1b/files/10-x.conflist

Never in the config folder: libcni loads what it finds there. A backup is made under a hidden name
and renamed when everything in it is fsynced, so that one that can be seen can be relied on.

Its name ends in the hash of its manifest, and the manifest has the hash of each copy: what was
changed since, by a disk or by hand, is not given back, neither bytes nor a mode or an owner.
"""

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from cni_upgrade.agent import file_io
from cni_upgrade.agent.files.metadata import Metadata
from cni_upgrade.agent.files.state import State
from cni_upgrade.agent.protocol.errors import OperationRefusedError
from cni_upgrade.agent.protocol.json_members import MemberError, Members
from cni_upgrade.agent.protocol.operation import check_backup_id
from cni_upgrade.cni.value import dataclass

SCHEMA = 1
FOLDER = "backups"

FILES = "files"
"""The folder of the copies, in that of a backup."""

HIDDEN = "."
"""Begins the name of one that is not whole yet, or that goes (backup_pruning.py)."""

_MANIFEST = "manifest.json"
_MANIFEST_LIMIT = 16 << 20
_LATEST = (1 << 63) - 1  # the year 2262
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")  # as address makes them


@dataclass(frozen=True, slots=True)
class Saved:
    """One file of a backup: sha256 of its bytes and of those that replaced them, both in hex.

    `becomes`: the name under which these stand, if not under the file's own.
    """

    name: str
    sha256: str
    after: str
    to: str
    metadata: Metadata
    becomes: str | None = None

    @property
    def contents(self) -> tuple[tuple[str, str], ...]:
        """(name, sha256) of what was saved and of what was written."""
        return (self.name, self.sha256), (self.becomes or self.name, self.after)

    def same(self, other: "Saved") -> bool:
        """Whether both give back the same: name, bytes, mode, owner, group and xattrs."""
        mine, others = (self.name, self.sha256), (other.name, other.sha256)
        return mine == others and self.metadata.same(other.metadata)

    @classmethod
    def read(cls, members: Members) -> "Saved":
        """From an entry of `files` of a manifest. Raises MemberError."""
        return cls(
            name=members.file_name("name"),
            sha256=members.text("sha256"),
            after=members.text("after"),
            to=members.text("to"),
            metadata=Metadata.read(members),
            becomes=members.file_name("becomes") if members.text_or_none("becomes") else None,
        )

    def to_json(self) -> dict[str, object]:
        """An entry of `files` of a manifest."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "after": self.after,
            "to": self.to,
            **({} if self.becomes is None else {"becomes": self.becomes}),
            **self.metadata.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup: of which operation, of which folder of the host, when (ns since 1970), what.

    `policy`: UID of the policy for which the operation wrote; empty where there was none.
    """

    id: str
    operation: str
    folder: str
    created: int
    files: tuple[Saved, ...]
    policy: str = ""

    @classmethod
    def made(
        cls, operation: str, folder: str, created: int, files: tuple[Saved, ...], policy: str = ""
    ) -> "Backup":
        """A new one, under the id that is the address of what it holds."""
        unnamed = cls("", operation, folder, created, files, policy)
        return replace(unnamed, id=address(unnamed, unnamed.to_json()))

    @classmethod
    def read(cls, document: object) -> "Backup":
        """From a decoded manifest, whose id is not proved by that. Raises MemberError."""
        members = Members(document)
        schema = members.integer("schema")
        if schema != SCHEMA:
            raise MemberError(f"schema: expected {SCHEMA}, got {schema}")
        backup = cls(
            id=members.text("id"),
            operation=members.text("operation"),
            folder=members.text("folder"),
            created=members.within("createdNs", 0, _LATEST),
            files=members.many("files", Saved.read),
            policy=members.text("policy", ""),
        )
        names = [saved.name for saved in backup.files]
        if not names or len(set(names)) != len(names):
            raise MemberError("files: expected at least one, and each name once")
        return backup

    def to_json(self) -> dict[str, object]:
        """The manifest."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "operation": self.operation,
            "folder": self.folder,
            "createdNs": self.created,
            "files": [saved.to_json() for saved in self.files],
            **({"policy": self.policy} if self.policy else {}),
        }


def address(backup: Backup, manifest: Mapping[str, object]) -> str:
    """`<UTC time>-<8 hex digits>`, which `ls` sorts by time: the id that the backup must have.

    The digits begin the sha256 of all members of the manifest but the id, also of those that this
    release does not know, as JSON without blanks, non-ASCII escaped, the members of each object by
    name.
    """
    content = {name: value for name, value in manifest.items() if name != "id"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(backup.created // 10**9))
    return f"{moment}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def create(state: State, backup: Backup, contents: dict[str, bytes]) -> None:
    """Writes the backup and makes it durable. Raises OSError; then there is no such backup."""
    partial = f"{HIDDEN}{backup.id}"
    folder = f"{state.path}/{FOLDER}"
    file_io.make_folder(folder)
    path = f"{folder}/{partial}"
    remove(path)
    os.mkdir(path, 0o700)  # noqa: PTH102 - see file_io.py
    os.mkdir(f"{path}/{FILES}", 0o700)  # noqa: PTH102
    with file_io.opened_folder(f"{path}/{FILES}", follow=False) as descriptor:
        for saved in backup.files:
            data = contents[saved.name]
            file_io.write_new(descriptor, saved.name, data, saved.metadata.mode & 0o777 | 0o400)
        os.fsync(descriptor)
    with file_io.opened_folder(path, follow=False) as descriptor:
        manifest = json.dumps(backup.to_json(), indent=2)
        file_io.write_new(descriptor, _MANIFEST, f"{manifest}\n".encode())
        os.fsync(descriptor)
    with file_io.opened_folder(folder, follow=False) as descriptor:
        os.rename(partial, backup.id, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        os.fsync(descriptor)


def load(state: State, backup_id: str) -> Backup:
    """The backup's manifest, proved by its id. Raises OperationRefusedError: BackupMissing,
    BackupDamaged."""
    check_backup_id(backup_id)
    path = f"{state.host}/{FOLDER}/{backup_id}"
    try:
        if not is_there(state, backup_id):
            raise OperationRefusedError(
                "BackupMissing",
                f"{path}: there is no such backup; those that there are stand beside it",
            )
        with file_io.opened_folder(
            f"{state.path}/{FOLDER}/{backup_id}", follow=False
        ) as descriptor:
            text = file_io.read_file(descriptor, _MANIFEST, _MANIFEST_LIMIT)
        manifest = json.loads(text)
        backup = Backup.read(manifest)
        proved = address(backup, manifest)
    except (OSError, file_io.UnreadableError, ValueError, RecursionError) as error:
        raise OperationRefusedError(
            "BackupDamaged",
            f"{path}/{_MANIFEST} cannot be read: {error}; the copies beside it may still be good",
        ) from error
    if backup.id != backup_id:
        raise OperationRefusedError(
            "BackupDamaged", f"{path}/{_MANIFEST} says that it is {backup.id!r:.80}"
        )
    if proved != backup_id:
        raise OperationRefusedError(
            "BackupDamaged",
            f"{path}/{_MANIFEST} is not what was saved: by what it says now the backup would be "
            f"{proved}, so that a hash, mode, owner, time or xattr in it may be wrong; the copies "
            "beside it may still be good: compare them, and copy by hand what is wanted",
        )
    return backup


def is_there(state: State, backup_id: str) -> bool:
    """Whether there is such a backup, whole or not, or that cannot be told. Raises nothing."""
    try:
        check_backup_id(backup_id)
        os.lstat(f"{state.path}/{FOLDER}/{backup_id}")
    except (MemberError, FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def content(state: State, backup: Backup, saved: Saved) -> bytes:
    """The saved bytes, proved by their hash. Raises OperationRefusedError (BackupDamaged)."""
    path = f"{state.host}/{FOLDER}/{backup.id}/{FILES}/{saved.name}"
    try:
        with file_io.opened_folder(
            f"{state.path}/{FOLDER}/{backup.id}/{FILES}", follow=False
        ) as descriptor:
            data = file_io.read_file(descriptor, saved.name)
    except (OSError, file_io.UnreadableError) as error:
        raise OperationRefusedError("BackupDamaged", f"{path} cannot be read: {error}") from error
    if hashlib.sha256(data).hexdigest() != saved.sha256:
        raise OperationRefusedError(
            "BackupDamaged", f"{path} is not what was saved: its sha256 is not {saved.sha256}"
        )
    return data


def gives_back(state: State, backup: Backup, saved: Saved) -> bool:
    """Whether its copy of the file is whole. Raises nothing."""
    try:
        content(state, backup, saved)
    except OperationRefusedError:
        return False
    return True


def everything(state: State) -> list[Backup]:
    """All backups whose manifest can be read, the oldest first. Raises OSError."""
    found: list[Backup] = []
    for name in names(state):
        if not name.startswith(HIDDEN):
            # A damaged one is nobody's to count or remove; `load` names it when it is asked for.
            with contextlib.suppress(OperationRefusedError, MemberError):
                found.append(load(state, name))
    return sorted(found, key=lambda backup: (backup.created, backup.id))


def unread(state: State, read: Collection[Backup]) -> list[str]:
    """Ids of those that are there beside the `read` ones, oldest first. Raises OSError."""
    known = {backup.id for backup in read}
    return sorted(name for name in names(state) if _ID.fullmatch(name) and name not in known)


def damaged(state: State) -> dict[str, str]:
    """What is wrong with each backup that cannot be given back as it is, by id. Raises OSError."""
    found: dict[str, str] = {}
    for name in sorted(names(state)):
        if name.startswith(HIDDEN):
            continue
        try:
            backup = load(state, name)
            for saved in backup.files:
                content(state, backup, saved)
        except OperationRefusedError as error:
            # BackupMissing: it was removed meanwhile, or its manifest is.
            found[name] = str(error)
        except MemberError:
            continue  # no name of ours
    return found


def names(state: State) -> list[str]:
    """What is in the folder of backups, hidden or not, sorted by bytes. Raises OSError."""
    try:
        with file_io.opened_folder(f"{state.path}/{FOLDER}", follow=False) as folder:
            return file_io.names(folder)
    except FileNotFoundError:
        return []


def remove(path: str) -> None:
    """Removes what stands under a hidden name: what a kill leaves of it still does. Raises OSError,
    also where there is something in it that is not ours."""
    try:
        with file_io.opened_folder(path, follow=False) as descriptor:
            file_io.remove_if_there(descriptor, _MANIFEST)
        with file_io.opened_folder(f"{path}/{FILES}", follow=False) as descriptor:
            for name in file_io.names(descriptor):
                os.unlink(name, dir_fd=descriptor)
        os.rmdir(f"{path}/{FILES}")  # noqa: PTH106
    except FileNotFoundError:
        pass  # it was never begun, or a killed run began to remove it
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)  # noqa: PTH106
