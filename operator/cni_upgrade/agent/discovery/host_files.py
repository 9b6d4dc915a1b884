"""Files and folders that a program of the host is configured with, read within bounds.

What is not there is nothing; what is there and cannot be read is an error, for it may decide.
"""

import os
import stat

from cni_upgrade.agent import file_io
from cni_upgrade.agent.discovery.host_paths import BrokenLinkError, resolve
from cni_upgrade.agent.protocol.json_members import for_the_kernel


class HostFileError(ValueError):
    """What stands there cannot be read; the text names it first.

    `leads_to` is the host's path, links resolved, of what is not there or is no plain file.
    """

    def __init__(self, text: str, leads_to: str = "") -> None:
        self.leads_to = leads_to
        super().__init__(text)


def read(root: str, path: str, limit: int = file_io.CONFIG_LIMIT) -> bytes | None:
    """What the file holds, None where there is none; a link is followed, in root.

    Raises HostFileError.
    """
    real = path
    try:
        real = resolve(root, path)
        parent, _, name = real.rpartition("/")
        with file_io.opened_folder(parent or "/") as descriptor:
            return file_io.read_file(descriptor, name, limit)
    except BrokenLinkError as error:
        text = f"{path}: leads to {error.target}, which is not there"
        raise HostFileError(text, error.target) from error
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HostFileError(f"{path}: cannot be read: {error.strerror}") from error
    except file_io.UnreadableError as error:
        raise HostFileError(f"{path}: cannot be read: {error}", real.removeprefix(root)) from error


def names(root: str, folder: str) -> list[str]:
    """What is in a folder, by name; nothing where there is none. Raises HostFileError.

    A link that leads nowhere may do so beneath a root alone, where its target is not mounted.
    """
    try:
        with file_io.opened_folder(resolve(root, folder)) as descriptor:
            return file_io.names(descriptor)
    except BrokenLinkError as error:
        if not root:
            return []
        text = f"{folder}: leads to {error.target}, which is not there or not mounted"
        raise HostFileError(text, error.target) from error
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise HostFileError(f"{folder}: cannot be read: {error.strerror}") from error


def kind(root: str, path: str) -> int | None:
    """What stands there itself, be it a link: S_IFDIR and so on; None for nothing."""
    if not for_the_kernel(path):
        return None
    parent, _, name = path.rpartition("/")
    try:
        return stat.S_IFMT(os.lstat(f"{resolve(root, parent or '/')}/{name}").st_mode)
    except OSError:
        return None
