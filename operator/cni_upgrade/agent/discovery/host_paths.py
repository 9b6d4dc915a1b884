"""Paths of a host, resolved under the root where the host is mounted, and never outside it.

A host's absolute links name the host's paths (k3s' plugins are links into
/var/lib/rancher/k3s/data/<hash>/bin). The kernel would resolve them in the agent's own tree, so
they are walked here, as chroot would see them.
"""

import errno
import os
import re
import stat

from cni_upgrade.agent.protocol.json_members import for_the_kernel

_REVISION = re.compile(r"^(/var/snap/microk8s/)x?[0-9]+(?=/)")  # x: of a snap that is no store's
_MOST_LINKS = 40  # as Linux counts (path_resolution(7))


class BrokenLinkError(FileNotFoundError):
    """A link leads to what is not there, or not mounted; `target` is the host's path of it."""

    def __init__(self, target: str) -> None:
        self.target = target
        super().__init__(errno.ENOENT, os.strerror(errno.ENOENT), target)


def resolve(root: str, path: str) -> str:
    """Where the host's absolute `path` stands beneath `root`, with every link resolved.

    Raises FileNotFoundError; BrokenLinkError when a link on the way leads to what is not there
    (and not when what is missing stands beneath a link that leads somewhere); OSError (ELOOP) for
    a circle of links, PermissionError, NotADirectoryError.
    """
    if not for_the_kernel(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    waiting = path.split("/")[::-1]
    real: list[str] = []
    links = 0
    asked_for = len(waiting)  # so many parts, at most, are of the path itself and of no link
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            real[-1:] = []  # the root is its own parent
            continue
        here = "/".join((root, *real, part))
        try:
            mode = os.lstat(here).st_mode
        except FileNotFoundError as error:
            if len(waiting) >= asked_for:
                rest = "/".join((*real, part, *waiting[::-1]))
                raise BrokenLinkError(f"/{rest}") from error
            raise
        if not stat.S_ISLNK(mode):
            if waiting and not stat.S_ISDIR(mode):  # also before `..`, and where a path ends in /
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            real.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(here)  # noqa: PTH115 - pathlib costs the agent 8 ms of its start
        if target.startswith("/"):
            real.clear()
        asked_for = min(asked_for, len(waiting))
        waiting.extend(target.split("/")[::-1])
    return "/".join((root, *real)) if real else root or "/"


def same(root: str, one: str, other: str) -> bool:
    """Whether both name one folder of the host, by whatever links; a name that leads nowhere is no
    other's."""
    return one == other or real(root, one) == real(root, other)


def whatever_revision(path: str) -> str:
    """The folder of microk8s' data that is used now, of one that was named by a revision of its
    snap; any other as it is."""
    return _REVISION.sub(r"\1current", path)


def real(root: str, path: str) -> str:
    """Where the path leads, or the path itself where it leads nowhere. Raises nothing."""
    try:
        return resolve(root, path)
    except OSError:
        return f"/{path.strip('/')}"
