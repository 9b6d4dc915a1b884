"""What systemd starts on the host: the words and variables of a unit's process.

Within bounds. No unit tells nothing, for some hosts have no systemd; one that is there and cannot
be read to its end is an error, for the last line of the last file decides.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cni_upgrade.node import files
from cni_upgrade.node.folders import BrokenLinkError, resolve

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
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " "}
_BRACED = re.compile(r"\$(?:\$|\{(\w+)\})")
_ALONE = re.compile(r"\$(\w+)")


class UnitError(ValueError):
    """What a unit's process is started with cannot be told; the text names the file first."""


@dataclass(frozen=True, slots=True)
class Started:
    """A unit's process as systemd starts it."""

    place: str = ""
    """The file whose ExecStart counts; empty where none was found."""
    words: tuple[str, ...] = ()
    """Program and arguments, without quotes, with the variables in their places."""
    variables: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Each with its value and the file that sets it."""
    hidden: Mapping[str, str] = field(default_factory=dict)
    """Variables whose value stands in what cannot be seen, each with the file that says so."""

    def variable(self, *names: str) -> tuple[str, str] | None:
        """Value and file of the first that is set. Raises UnitError where that cannot be seen."""
        for name in names:
            if place := self.hidden.get(name) or self.hidden.get(""):
                raise UnitError(f"{place}: {name}: what may set it cannot be seen")
            if exported := self.variables.get(f"export {name}"):
                # A line that systemd passes over, and a shell does not.
                raise UnitError(f"{exported[1]}: {name}: expected it without export")
            if name in self.variables:
                return self.variables[name]
        return None


def started(root: str, unit: str) -> Started:
    """What the unit's process is started with. Raises UnitError.

    A drop-in that sets ExecStart again takes the earlier one away first (systemd.service(5)).
    Variables of a file go before those of the unit itself, these before the manager's; an empty
    setting takes the earlier ones of its kind away (systemd.exec(5)).
    """
    command: tuple[str, str] | None = None
    own: list[tuple[str, str]] = []
    named: list[tuple[str, str]] = []
    passed: dict[str, str] = {}
    unset: set[str] = set()
    for path, key, value in _settings(root, _in_order(root, unit)):
        if key == "ExecStart":
            command = (path, value) if value else None
        elif key == "Environment":
            own = [*own, (path, value)] if value else []
        elif key == "EnvironmentFile":
            named = [*named, (path, value)] if value else []
        elif key == "PassEnvironment":
            passed = {**passed, **dict.fromkeys(value.split(), path)} if value else {}
        elif key == "UnsetEnvironment":
            unset = {*unset, *value.split()} if value else set()
    given, private = _of_manager(root)
    variables = {**given, **{name: private[name] for name in passed if name in private}}
    for path, value in own:
        variables.update(_assigned(path, _words(path, value)))
    hidden = {name: path for name, path in passed.items() if name not in variables}
    for path, value in named:
        place = _without_specifiers(path, value.removeprefix("-"), unit)
        read = _of_file(root, path, place, optional=value.startswith("-"))
        variables.update(read or {})
        if read is None:
            hidden[""] = path
        hidden = {name: why for name, why in hidden.items() if name not in (read or {})}
    variables = {name: each for name, each in variables.items() if name not in unset}
    if command is None:
        return Started(variables=variables, hidden=hidden)
    path, text = command
    bare = Started(path, (), variables, hidden)
    return Started(path, tuple(_expanded(bare, text)), variables, hidden)


def set_by(root: str, path: str) -> dict[str, tuple[str, str]]:
    """The variables that a file sets, each with its value and the file. Raises UnitError."""
    text = _read(root, path)
    found: dict[str, tuple[str, str]] = {}
    for line in uncommented(text or "").replace("\\\n", "").splitlines():
        key, equals, value = line.partition("=")
        if not equals:
            continue
        found[key.strip()] = ("".join(_words(path, value.strip(), split=False)), path)
    return found


def places(root: str, unit: str) -> Iterator[str]:
    """Where a unit may stand, each folder with its drop-ins first."""
    for folder in FOLDERS:
        yield from (f"{folder}/{unit}.d/{name}" for name in _told(root, f"{folder}/{unit}.d"))
        yield f"{folder}/{unit}"


def text(root: str, path: str) -> str:
    """What a small file holds; nothing where it cannot be read."""
    try:
        return _read(root, path) or ""
    except UnitError:
        return ""


def uncommented(text: str) -> str:
    """Without the lines that systemd passes over, in a unit as in a file of variables."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))


def _of_manager(root: str) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str]]]:
    """Variables that every process gets, and those that one gets which asks for them.

    systemd-system.conf(5).
    """
    own = [each for each in (f"{each}/system.conf" for each in _MANAGER) if _is_there(root, each)]
    drop_ins = {
        name: f"{folder}/system.conf.d/{name}"
        for folder in _MANAGER
        for name in _drop_ins(root, f"{folder}/system.conf.d")
    }
    found: dict[str, dict[str, tuple[str, str]]] = {}
    in_order = [*own[-1:], *(drop_ins[name] for name in sorted(drop_ins))]
    for path, key, value in _settings(root, in_order):
        if key in ("DefaultEnvironment", "ManagerEnvironment"):
            earlier = found.get(key, {}) if value else {}
            found[key] = {**earlier, **_assigned(path, _words(path, value))}
    return found.get("DefaultEnvironment", {}), found.get("ManagerEnvironment", {})


def _of_file(
    root: str, said_by: str, path: str, *, optional: bool
) -> dict[str, tuple[str, str]] | None:
    """What an EnvironmentFile sets; None where one may be there that is not mounted."""
    if any(mark in path for mark in "*?["):
        raise UnitError(f"{said_by}: EnvironmentFile={path}: a pattern is not followed")
    if _is_there(root, path):
        return set_by(root, path)
    top = f"/{path.strip('/').partition('/')[0]}"
    if not optional or not _is_there(root, top):
        return None
    return {}


def _settings(root: str, paths: list[str]) -> Iterator[tuple[str, str, str]]:
    """File, key and value of each line, the one that decides last."""
    for path in paths:
        for line in uncommented(_read(root, path) or "").replace("\\\n", " ").splitlines():
            key, equals, value = line.partition("=")
            if equals:
                yield path, key.strip(), value.strip()


def _in_order(root: str, unit: str) -> list[str]:
    """The one unit file that counts, then drop-ins by name, one of /etc hiding its namesake."""
    own = [path for path in (f"{each}/{unit}" for each in FOLDERS) if _is_there(root, path)][:1]
    if own and _read(root, own[0]) == "":
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


def _told(root: str, folder: str) -> list[str]:
    try:
        return _drop_ins(root, folder)
    except UnitError:
        return []


def _drop_ins(root: str, folder: str) -> list[str]:
    try:
        with files.opened_folder(resolve(root, folder)) as descriptor:
            names = [name for name in files.names(descriptor) if name.endswith(".conf")]
    except BrokenLinkError as error:
        raise UnitError(f"{folder}: leads to {error.target}, which is not there") from error
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UnitError(f"{folder}: cannot be read: {error.strerror}") from error
    if len(names) > _MOST_DROP_INS:
        raise UnitError(f"{folder}: holds more than {_MOST_DROP_INS} drop-ins")
    return names


def _is_there(root: str, path: str) -> bool:
    """Whether something stands there, be it a link that leads to what is not mounted."""
    try:
        parent, _, name = path.rpartition("/")
        os.lstat(f"{resolve(root, parent or '/')}/{name}")
    except BrokenLinkError as error:
        raise UnitError(f"{path}: leads to {error.target}, which is not there") from error
    except OSError:
        return False
    return True


def _read(root: str, path: str) -> str | None:
    """What a small file holds, nothing where systemd is told to pass over it; None for no file.

    Raises UnitError.
    """
    real = path
    try:
        real = resolve(root, path)
        parent, _, name = real.rpartition("/")
        with files.opened_folder(parent or "/") as descriptor:
            return files.read_file(descriptor, name, _LIMIT).decode("utf-8", "replace")
    except BrokenLinkError as error:
        if error.target == _MASKED:
            return ""
        raise UnitError(f"{path}: leads to {error.target}, which is not there") from error
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnitError(f"{path}: cannot be read: {error.strerror}") from error
    except files.UnreadableError as error:
        if real == f"{root}{_MASKED}":
            return ""
        raise UnitError(f"{path}: cannot be read: {error}") from error


def _assigned(path: str, words: list[str]) -> dict[str, tuple[str, str]]:
    parts = (word.partition("=") for word in words)
    return {name: (value, path) for name, equals, value in parts if equals}


def _expanded(process: Started, text: str) -> Iterator[str]:
    """The words of an ExecStart: `${X}` within one, `$X` in place of one (systemd.service(5)).

    What is written in another way stays as it is, and so stays to be seen.
    """
    text = text.lstrip("-@+!|")
    for word in _words(process.place, text.removeprefix(":")):
        if text.startswith(":"):
            yield word
        elif alone := _ALONE.fullmatch(word):
            yield from _words(process.place, _value(process, alone[1]))
        else:
            yield _BRACED.sub(lambda found: _value(process, found[1]) if found[1] else "$", word)


def _value(process: Started, name: str) -> str:
    found = process.variable(name)
    return found[0] if found else ""


def _without_specifiers(path: str, value: str, unit: str) -> str:
    """Those that name the unit are put in, any other one is an error (systemd.unit(5))."""
    stem = unit.rpartition(".")[0]
    for mark, meant in (("%n", unit), ("%N", stem), ("%p", stem)):
        value = value.replace(mark, meant)
    if "%" in value:
        raise UnitError(f"{path}: {value}: a specifier is not followed")
    return value


def _words(path: str, text: str, *, split: bool = True) -> list[str]:
    """As systemd takes a line apart: quotes go, what they hold is one word, `\\` escapes."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    rest = iter(text)
    for mark in rest:
        if mark == "\\":
            word = [*(word or ()), _escaped(rest)]
        elif quote and mark == quote:
            quote = ""
        elif not quote and mark in "\"'":
            quote, word = mark, word or []
        elif split and not quote and mark.isspace():
            words += [] if word is None else ["".join(word)]
            word = None
        else:
            word = [*(word or ()), mark]
    if quote:
        raise UnitError(f"{path}: a quote is not closed: {text:.60}")
    return words if word is None else [*words, "".join(word)]


def _escaped(rest: Iterator[str]) -> str:
    mark = next(rest, "")
    if mark == "x":
        digits = next(rest, "") + next(rest, "")
        return chr(int(digits, 16)) if re.fullmatch("[0-9a-fA-F]{2}", digits) else f"\\x{digits}"
    return _ESCAPES.get(mark, mark)
