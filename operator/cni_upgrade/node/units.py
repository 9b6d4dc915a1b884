"""What systemd starts on the host: the words and variables of a unit's process.

Within bounds. No unit tells nothing, for some hosts have no systemd; one that is there and cannot
be read to its end is an error, for the last line of the last file decides.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cni_upgrade.node import env_file, unit_files
from cni_upgrade.node.unit_files import UnitError, is_there, uncommented
from cni_upgrade.node.unit_words import words

_BRACED = re.compile(r"\$(?:\$|\{(\w+)\})")
_ALONE = re.compile(r"\$(\w+)")
_UNSEEN = "what may set it cannot be seen"

_Variables = dict[str, tuple[str, str]]
"""Each with its value and the file that sets it."""
_Hidden = dict[str, tuple[str, str]]
"""Each with the file that says so, and why."""


@dataclass(frozen=True, slots=True)
class Started:
    """A unit's process as systemd starts it."""

    place: str = ""
    """The file whose ExecStart counts; empty where none was found."""
    words: tuple[str, ...] = ()
    """Program and arguments, without quotes, with the variables in their places."""
    variables: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Each with its value and the file that sets it."""
    hidden: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Variables whose value cannot be told, "" for any: the file that says so, and why."""

    def variable(self, *names: str) -> tuple[str, str] | None:
        """Value and file of the first that is set. Raises UnitError where that cannot be seen."""
        for name in names:
            if why := self.hidden.get(name) or self.hidden.get(""):
                raise UnitError(f"{why[0]}: {name}: {why[1]}")
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
    for path, key, value in _settings(root, unit_files.in_order(root, unit)):
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
        variables.update(_assigned(path, value))
    hidden = {name: (path, _UNSEEN) for name, path in passed.items() if name not in variables}
    for path, value in named:
        read, unread = _of_file(root, path, value, unit)
        variables.update(read)
        hidden = {name: why for name, why in hidden.items() if name not in read} | unread
    variables = {name: each for name, each in variables.items() if name not in unset}
    if command is None:
        return Started(variables=variables, hidden=hidden)
    path, text = command
    bare = Started(path, (), variables, hidden)
    return Started(path, tuple(_expanded(bare, text)), variables, hidden)


def set_by(root: str, path: str) -> _Variables:
    """The variables that a file sets, each with its value and the file. Raises UnitError."""
    read, unread = _set_by(root, path)
    for name, (place, why) in unread.items():
        raise UnitError(f"{place}: {name}: {why}")
    return read


def _set_by(root: str, path: str) -> tuple[_Variables, _Hidden]:
    """And those that it sets to what cannot be told."""
    text = unit_files.read(root, path) or ""
    if "\0" in text:
        raise UnitError(f"{path}: holds a NUL, and systemd reads no such file")
    read: _Variables = {}
    unread: _Hidden = {}
    for name, value in env_file.assignments(text):
        if value is None:
            unread[name] = (path, "a quote is not closed")
        else:
            read[name] = (value, path)
    return read, unread


def _of_manager(root: str) -> tuple[_Variables, _Variables]:
    """Variables that every process gets, and those that one gets which asks for them.

    systemd-system.conf(5).
    """
    found: dict[str, _Variables] = {}
    for path, key, value in _settings(root, unit_files.of_manager(root)):
        if key in ("DefaultEnvironment", "ManagerEnvironment"):
            earlier = found.get(key, {}) if value else {}
            found[key] = {**earlier, **_assigned(path, value)}
    return found.get("DefaultEnvironment", {}), found.get("ManagerEnvironment", {})


def _of_file(root: str, said_by: str, named: str, unit: str) -> tuple[_Variables, _Hidden]:
    """What an EnvironmentFile sets; where that cannot be told any variable is hidden.

    Not an error of the unit, whose process may ask for no variable.
    """
    path = _with_its_name(named.removeprefix("-"), unit)
    if "%" in path:
        return {}, {"": (said_by, f"EnvironmentFile={named}: a specifier is not followed")}
    if any(mark in path for mark in "*?["):
        return {}, {"": (said_by, f"EnvironmentFile={named}: a pattern is not followed")}
    try:
        if is_there(root, path):
            return _set_by(root, path)
    except UnitError as error:
        place, _, why = str(error).partition(": ")
        return {}, {"": (place, why)}
    top = f"/{path.strip('/').partition('/')[0]}"
    unseen = not named.startswith("-") or not is_there(root, top)
    return {}, {"": (said_by, _UNSEEN)} if unseen else {}


def _settings(root: str, paths: list[str]) -> Iterator[tuple[str, str, str]]:
    """File, key and value of each line, the one that decides last."""
    for path in paths:
        yield from ((path, key, value) for key, value in _lines(root, path))


def _lines(root: str, path: str) -> Iterator[tuple[str, str]]:
    text = uncommented(unit_files.read(root, path) or "")
    for line in text.replace("\\\n", " ").split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            yield key.strip(), value.strip()


def _assigned(path: str, text: str) -> _Variables:
    parts = (word.partition("=") for word in words(path, text))
    return {name: (value, path) for name, equals, value in parts if equals}


def _expanded(process: Started, text: str) -> Iterator[str]:
    """The words of an ExecStart: `${X}` within one, `$X` in place of one (systemd.service(5)).

    What is written in another way stays as it is, and so stays to be seen.
    """
    text = text.lstrip("-@+!|")
    for word in words(process.place, text.removeprefix(":")):
        if text.startswith(":"):
            yield word
        elif alone := _ALONE.fullmatch(word):
            yield from words(process.place, _value(process, alone[1]))
        else:
            yield _BRACED.sub(lambda found: _value(process, found[1]) if found[1] else "$", word)


def _value(process: Started, name: str) -> str:
    found = process.variable(name)
    return found[0] if found else ""


def _with_its_name(value: str, unit: str) -> str:
    """With the specifiers that name the unit put in; any other one stays (systemd.unit(5))."""
    stem = unit.rpartition(".")[0]
    for mark, meant in (("%n", unit), ("%N", stem), ("%p", stem)):
        value = value.replace(mark, meant)
    return value
