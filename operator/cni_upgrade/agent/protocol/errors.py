"""How an operation ends other than well, so that every such end has a code and a text to act on."""

ABOUT = {
    # What an apply would not write over, and an audit already says.
    "SymbolicLink": "the file is a symbolic link: a rename would replace the link",
    "HardLink": "the file has several names, and the others would keep the old content",
    "NoPlainFile": "what stands under the name is no plain file",
    "ForeignOwner": "the file's owner or group could not be given to its new version",
    "PermissionBits": "the file's permission bits could not be given to its new version",
    "ExtendedAttribute": "an extended attribute could not be given to the new version",
    "MountPoint": "the file is mounted from elsewhere: no rename replaces it",
    "Immutable": "the file or its folder is immutable or append-only",
    "Unreadable": "the file cannot be read",
    "TooLarge": "what would be written is larger than any config that is read",
    # Where it would be written.
    "NoConfig": "there is no config folder to write in",
    "ReadOnly": "the folder is on a read-only file system",
    "NoPermission": "the folder cannot be written by this user",
    "NoSpace": "the disk has no room for the files and a reserve",
    "NameTaken": "a name that is needed in the config folder is somebody else's",
    "StateFolder": "the folder for backups and results cannot be used",
    "Busy": "another run on the same node did not end in time",
    "Unfinished": "what a killed run left behind cannot be settled",
    # What holds no more.
    "ChangedSinceAudit": "the file is not what the audit saw",
    "ChangedMeanwhile": "another program changed the file in the very moment of writing",
    "NotAllowed": "the version may not be written, judged again right before writing",
    "NeedsDrain": "sandboxes that run must be gone first",
    # What cannot be restored.
    "BackupMissing": "there is no such backup",
    "BackupDamaged": "the backup is not what was saved",
    "ChangedSinceBackup": "somebody else changed or removed the file since",
    "OtherFolder": "the backup is of another folder, or the one that is named is not the runtime's",
    "Unsafe": "sandboxes that can be deleted now could not be any more",
    "HangAgain": "a rollback brings back a file with which pods of before cannot be deleted",
    # How it ended.
    "OperationInvalid": "the operation is not what docs/reference/agent-protocol.md says",
    "Stopped": "the run was asked to end before it wrote anything",
    "Interrupted": "the run was killed; a later one has told how far it came",
    "InputOutput": "the disk or the kernel failed",
    "WriteFailed": "a file could not be written; each file is whole, old or new",
    "NotProved": "what was written does not stand there",
    "ResultDamaged": "what an earlier run of the same operation came to cannot be read any more",
    "ResultNotRecorded": "the files are written and the result could not be kept",
    "Unexpected": "a fault of this program itself",
    "BackupReplaced": "a backup is gone, and another one that holds the same files was put back",
    "FlagsNotKept": "inode flags of the old file (lsattr) could not be given to the new one",
    "BackupsNotPruned": "old backups could not be removed",
}
"""Every code of a refused or failed operation, and of what one finds beside that; the one line that
explains it."""


class OperationRefusedError(Exception):
    """Nothing was touched. `code` is one word to count by; the text names file, state and cure."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class OperationFailedError(Exception):
    """Something may have been written: each file is whole, old or new; the report says which."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)
