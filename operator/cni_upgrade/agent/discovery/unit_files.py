"""Finds the files of a systemd unit on the host and reads them, within bounds.

What is not there is nothing; what is there and cannot be read is an error, for it may decide.
"""

import os
import re
from collections.abc import Iterator

from cni_upgrade.agent.discovery import host_files
from cni_upgrade.agent.discovery.host_files import HostFileError
from cni_upgrade.agent.discovery.host_paths import BrokenLinkError, resolve
from cni_upgrade.agent.protocol.json_members import for_the_kernel

FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Of systemd.unit(5), the first one goes before; /lib is /usr/lib unless /usr is not merged."""
_MANAGER = ("/lib/systemd", "/usr/lib/systemd", "/usr/local/lib/systemd", "/etc/systemd")
"""Where the manager's own system.conf may stand, the one that decides last."""

_LIMIT = 1 << 16
_MOST_DROP_INS = 256
_MASKED = "/dev/null"
_LINE_ENDS = re.compile("\r?\n|[\r\0]")  # and none of the others that Python knows


class UnitError(ValueError):
    """What a unit's process is started with cannot be told; the text names the file first."""


def places(root: str, unit: str) -> Iterator[str]:
    """Where a unit may stand, each folder with its drop-ins first."""
    for folder in FOLDERS:
        yield from (
            f"{folder}/{unit}.d/{name}" for name in _known_drop_ins(root, f"{folder}/{unit}.d")
        )
        yield f"{folder}/{unit}"


def text(root: str, path: str) -> str:
    """What a small file holds; nothing where it cannot be read."""
    try:
        return read(root, path) or ""
    except UnitError:
        return ""


def uncommented(text: str) -> str:
    """Without the lines that systemd passes over, in a unit as in a file of variables."""
    lines = _LINE_ENDS.split(text)
    return "\n".join(line for line in lines if not line.lstrip().startswith(("#", ";")))


def of_manager(root: str) -> list[str]:
    """Where systemd itself is configured, the file that decides last (systemd-system.conf(5))."""
    own = [each for each in (f"{each}/system.conf" for each in _MANAGER) if is_there(root, each)]
    drop_ins = {
        name: f"{folder}/system.conf.d/{name}"
        for folder in _MANAGER
        for name in _drop_ins(root, f"{folder}/system.conf.d")
    }
    return [*own[-1:], *(drop_ins[name] for name in sorted(drop_ins))]


def in_order(root: str, unit: str) -> list[str]:
    """The one unit file that counts, then drop-ins by name, one of /etc hiding its namesake."""
    own = [path for path in (f"{each}/{unit}" for each in FOLDERS) if is_there(root, path)][:1]
    if own and read(root, own[0]) == "":
        return []  # masked
    names = [unit, *(_aliases(root, own[0], unit) if own else ())]
    stem, _, kind = unit.rpartition(".")
    parts = stem.split("-")
    names += ["-".join(parts[:end]) + f"-.{kind}" for end in range(len(parts) - 1, 0, -1)]
    drop_ins: dict[str, str] = {}
    for name in (*names, kind):
        for folder in FOLDERS:
            for each in _drop_ins(root, f"{folder}/{name}.d"):
                drop_ins.setdefault(each, f"{folder}/{name}.d/{each}")
    return [*own, *(drop_ins[name] for name in sorted(drop_ins))]


def _aliases(root: str, path: str, unit: str) -> list[str]:
    """The name under which the unit's file really stands, where that is another one."""
    real = resolve(root, path).rpartition("/")[2]
    return [real] if real != unit and real.endswith(".service") else []


def _known_drop_ins(root: str, folder: str) -> list[str]:
    try:
        return _drop_ins(root, folder)
    except UnitError:
        return []


def _drop_ins(root: str, folder: str) -> list[str]:
    try:
        names = [name for name in host_files.names(root, folder) if name.endswith(".conf")]
    except HostFileError as error:
        raise UnitError(str(error)) from error
    if len(names) > _MOST_DROP_INS:
        raise UnitError(f"{folder}: holds more than {_MOST_DROP_INS} drop-ins")
    return names


def is_there(root: str, path: str) -> bool:
    """Whether something stands there, be it a link that leads to what is not mounted."""
    if not for_the_kernel(path):
        return False
    try:
        parent, _, name = path.rpartition("/")
        os.lstat(f"{resolve(root, parent or '/')}/{name}")
    except BrokenLinkError as error:
        raise UnitError(f"{path}: leads to {error.target}, which is not there") from error
    except OSError:
        return False
    return True


def read(root: str, path: str) -> str | None:
    """What a small file holds, nothing where systemd is told to pass over it; None for no file.

    Raises UnitError.
    """
    try:
        data = host_files.read(root, path, _LIMIT)
    except HostFileError as error:
        if error.leads_to == _MASKED:
            return ""
        raise UnitError(str(error)) from error
    return None if data is None else data.decode("utf-8", "replace")
