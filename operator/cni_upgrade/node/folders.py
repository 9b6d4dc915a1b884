"""Folders of a host, found under the root where the host is mounted, and never outside it.

A host's absolute links name the host's paths (k3s' plugins are links into
/var/lib/rancher/k3s/data/<hash>/bin). The kernel would resolve them in the agent's own tree, so
they are walked here, as chroot would see them.
"""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.runtime_config import Stated
from cni_upgrade.node.paths import PRESET, FoundPaths, Known, Paths

_MOST_LINKS = 40  # as Linux counts (path_resolution(7))


class BrokenLinkError(FileNotFoundError):
    """A link leads to what is not there, or not mounted; `target` is the host's path of it."""

    def __init__(self, target: str) -> None:
        self.target = target
        super().__init__(errno.ENOENT, os.strerror(errno.ENOENT), target)


@dataclass(frozen=True, slots=True)
class Folders:
    """What exists: each folder as the host names it and where the agent opens it."""

    conf_dir: tuple[str, str] | None
    bin_dirs: tuple[tuple[str, str], ...]
    cache_dir: tuple[str, str] | None
    findings: tuple[Finding, ...]
    known: Known

    def report(self) -> FoundPaths:
        """The `paths` member of a report."""
        return FoundPaths(
            conf_dir=self.conf_dir and self.conf_dir[0],
            bin_dirs=tuple(host for host, _ in self.bin_dirs),
            cache_dir=self.cache_dir and self.cache_dir[0],
            known=self.known,
        )


def resolve(root: str, path: str) -> str:
    """Where the host's absolute `path` stands beneath `root`, with every link resolved.

    Raises FileNotFoundError; BrokenLinkError when a link on the way leads to what is not there
    (and not when what is missing stands beneath a link that leads somewhere); OSError (ELOOP) for
    a circle of links, PermissionError, NotADirectoryError.
    """
    if "\0" in path:  # JSON and TOML can name one; the kernel is never asked, and Python objects
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


def find(root: str, paths: Paths, stated: Stated | None = None) -> Folders:
    """The folders that exist, each missing one that matters as a finding. Raises nothing.

    `paths` are candidates, and all that may be looked at. What the runtime's own configuration
    states is taken in their place, as far as it is among them.
    """
    findings: list[Finding] = []
    stated = stated or Stated()
    conf_candidates, bin_candidates = paths.conf_dirs, paths.bin_dirs
    if stated.conf_dir is not None:
        conf_candidates = _allowed(root, (stated.conf_dir,), paths.conf_dirs, "confDirs", findings)
    if stated.bin_dirs:
        bin_candidates = _allowed(root, stated.bin_dirs, paths.bin_dirs, "binDirs", findings)
    conf_dirs = _existing(root, conf_candidates, findings)
    bin_dirs = _existing(root, bin_candidates, findings)
    cache_dirs = _existing(root, (paths.cache_dir,), findings)
    if not conf_dirs:
        findings.append(
            _missing(
                conf_candidates,
                "no network is configured on this node",
                "install a network, or name the folder that the runtime reads",
            )
        )
    if not bin_dirs:
        findings.append(
            _missing(
                bin_candidates,
                "no plugin can be found",
                "install the plugins, or name the folder that the runtime uses",
            )
        )
    return Folders(
        conf_dir=conf_dirs[0] if conf_dirs else None,
        bin_dirs=tuple(bin_dirs),
        cache_dir=cache_dirs[0] if cache_dirs else None,
        findings=tuple(findings),
        known=paths.known or _known(stated),
    )


def _known(stated: Stated) -> Known:
    files = f"runtime config {', '.join(stated.files)}"
    match stated.conf_dir is not None, bool(stated.bin_dirs):
        case True, True:
            source = files
        case True, False:
            source = f"{files}; plugins: {PRESET}"
        case False, True:
            source = f"{files}; configs: {PRESET}"
        case _:
            source = PRESET
    return Known(source, stated.max_conf_num, stated.default_network, stated.conf_template)


def _allowed(
    root: str,
    stated: Sequence[str],
    candidates: Sequence[str],
    member: str,
    findings: list[Finding],
) -> tuple[str, ...]:
    """The candidates that the runtime names, in its order, up to the first that is none.

    What follows that one is not used either: the runtime might find a plugin of the same name
    before it. A folder counts as a candidate under another name too, for k3s names data/<hash>/bin
    where data/current leads.
    """
    real = {_real(root, candidate): candidate for candidate in reversed(candidates)}
    taken: list[str] = []
    for folder in stated:
        plain = f"/{folder.strip('/')}"
        candidate = plain if plain in candidates else real.get(_real(root, plain))
        if candidate is None:
            findings.append(
                Finding(
                    Code.FOLDER_NOT_ALLOWED,
                    Severity.WARNING if taken else Severity.FAULT,
                    folder,
                    f"the runtime uses {folder}, which is not among the folders that may be "
                    f"looked at: {', '.join(candidates) or '(none)'}",
                    f"add it to {member} in the operator's configuration (and to what the "
                    "admission policy lets an agent mount), or give it to cni-upgrade by hand",
                )
            )
            break
        taken.append(candidate)
    return tuple(taken)


def _real(root: str, path: str) -> str:
    try:
        return resolve(root, path)
    except OSError:
        return path


def _existing(
    root: str, candidates: Sequence[str], findings: list[Finding]
) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for host in candidates:
        try:
            real = resolve(root, host)
            if stat.S_ISDIR(os.lstat(real).st_mode):
                found.append((host, real))
        except BrokenLinkError as error:
            findings.append(
                Finding(
                    Code.FOLDER_MISSING,
                    Severity.WARNING,
                    host,
                    f"{host} is or holds a link to {error.target}, which is not there",
                    "mount the link's target as well, or mend the link",
                )
            )
        except FileNotFoundError:
            continue  # candidates are tried in order; that none is there is said by the caller
        except OSError as error:
            findings.append(
                Finding(
                    Code.FOLDER_MISSING,
                    Severity.WARNING,
                    host,
                    f"{host} cannot be reached: {error.strerror}",
                    "see why the agent may not look there",
                )
            )
    return found


def _missing(candidates: Sequence[str], effect: str, action: str) -> Finding:
    shown = ", ".join(candidates) or "(none that may be looked at)"
    return Finding(
        Code.FOLDER_MISSING,
        Severity.FAULT,
        shown,
        f"none of these folders is there: {shown}; {effect}",
        action,
    )
