"""What systemd starts on the host: a unit's files, its process's arguments and variables.

Within bounds, and what cannot be read tells nothing: most hosts' runtimes have no such arguments,
and some have no systemd.
"""

from collections.abc import Iterator

from cni_upgrade.node import files
from cni_upgrade.node.folders import resolve

FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system")
"""Of systemd.unit(5), the first one goes before; /run is for what generators make."""

_LIMIT = 1 << 16
_MOST_DROP_INS = 32


def places(root: str, unit: str) -> Iterator[str]:
    """Where a unit may stand, each folder with its drop-ins first."""
    for folder in FOLDERS:
        yield from (f"{folder}/{unit}.d/{name}" for name in _drop_ins(root, f"{folder}/{unit}.d"))
        yield f"{folder}/{unit}"


def arguments(root: str, unit: str) -> tuple[str, str] | None:
    """What the unit's process is started with, and the file that says so; None without such a unit.

    A drop-in that sets ExecStart again takes the earlier one away first (systemd.service(5)).
    Variables stay as they are written.
    """
    started: tuple[str, str] | None = None
    for path, key, value in _settings(root, unit):
        if key == "ExecStart":
            started = (value, path) if value else None
    return started


def variables(root: str, unit: str) -> list[tuple[str, str]]:
    """Each place that sets variables of the unit's process, and its text; the last one decides.

    Those of a file go before those of the unit itself, and an empty setting takes the earlier ones
    of its kind away (systemd.exec(5)). A pattern in place of a file's name is not followed.
    """
    own: list[tuple[str, str]] = []
    named: list[str] = []
    for path, key, value in _settings(root, unit):
        if key == "Environment":
            own = [*own, (path, value)] if value else []
        elif key == "EnvironmentFile":
            named = [*named, value.removeprefix("-")] if value else []
    return [*own, *((each, uncommented(text(root, each))) for each in named)]


def _settings(root: str, unit: str) -> Iterator[tuple[str, str, str]]:
    """File, key and value of each line, the one that decides last."""
    for path in _in_order(root, unit):
        for line in uncommented(text(root, path)).replace("\\\n", " ").splitlines():
            key, _, value = line.partition("=")
            yield path, key.strip(), value.strip()


def _in_order(root: str, unit: str) -> Iterator[str]:
    """The one unit file that counts, then drop-ins by name, one of /etc hiding its namesake."""
    yield from [path for path in (f"{each}/{unit}" for each in FOLDERS) if text(root, path)][:1]
    drop_ins = {
        name: f"{folder}/{unit}.d/{name}"
        for folder in reversed(FOLDERS)
        for name in _drop_ins(root, f"{folder}/{unit}.d")
    }
    yield from (drop_ins[name] for name in sorted(drop_ins))


def _drop_ins(root: str, folder: str) -> list[str]:
    try:
        with files.opened_folder(resolve(root, folder)) as descriptor:
            names = [name for name in files.names(descriptor) if name.endswith(".conf")]
    except OSError:
        return []
    return names[:_MOST_DROP_INS]


def text(root: str, path: str) -> str:
    """What a small file holds; nothing where it cannot be read."""
    try:
        parent, _, name = resolve(root, path).rpartition("/")
        with files.opened_folder(parent or "/") as descriptor:
            return files.read_file(descriptor, name, _LIMIT).decode("utf-8", "replace")
    except (OSError, files.UnreadableError):
        return ""


def uncommented(text: str) -> str:
    """Without the lines that systemd passes over, in a unit as in a file of variables."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
