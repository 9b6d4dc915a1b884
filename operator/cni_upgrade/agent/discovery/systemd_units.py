"""What systemd starts on the host: the words and variables of a unit's process.

Within bounds. No unit tells nothing, for some hosts have no systemd; one that is there and cannot
be read to its end is an error, for the last line of the last file decides.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from cni_upgrade.agent.discovery import environment_file, unit_files
from cni_upgrade.agent.discovery.unit_files import UnitError, is_there, uncommented
from cni_upgrade.agent.discovery.unit_words import words
from cni_upgrade.cni.value import dataclass

_BRACED = re.compile(r"\$(?:\$|\{(\w+)\})")
_ALONE = re.compile(r"\$(\w+)")
_SPECIFIER = re.compile("%.?", re.DOTALL)
_BYTE_ORDER_MARK = re.compile("^\ufeff", re.MULTILINE)
_BLANKS = " \t\r"
_UNSEEN = "what may set it cannot be seen"
_NOT_FOLLOWED = "a specifier is not followed"

_Variables = dict[str, tuple[str, str]]
"""Each with its value and the file that sets it."""
_Hidden = dict[str, tuple[str, str]]
"""Each with the file that says so, and why."""
_Read = tuple[_Variables, _Hidden]
"""Variables that are known, and those that are set to what cannot be told."""


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
    unset: frozenset[str] = frozenset()
    """Variables that systemd takes away again, whatever sets them."""

    def variable(self, *names: str) -> tuple[str, str] | None:
        """Value and file of the first that is set. Raises UnitError where that cannot be seen."""
        for name in names:
            told = name in self.hidden or name in self.unset
            if why := self.hidden.get(name if told else ""):
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
    for path, key, value in _settings(root, unit_files.in_order(root, unit), "Service"):
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
    read, private = _of_manager(root)
    known = {name: private[0][name] for name in passed if name in private[0]}
    unseen = {name: (path, _UNSEEN) for name, path in passed.items() if name not in known}
    read = _over(read, (known, unseen))
    for path, value in own:
        read = _over(read, _assigned(path, value, unit))
    for path, value in named:
        read = _over(read, _of_file(root, path, value, unit))
    variables, hidden = ({n: e for n, e in each.items() if n not in unset} for each in read)
    bare = Started(variables=variables, hidden=hidden, unset=frozenset(unset))
    if command is None:
        return bare
    path, text = command
    bare = replace(bare, place=path)
    return replace(bare, words=tuple(_expanded(bare, text)))


def set_by(root: str, path: str) -> _Variables:
    """The variables that a file sets, each with its value and the file. Raises UnitError."""
    read, unread = _set_by(root, path)
    for name, (place, why) in unread.items():
        raise UnitError(f"{place}: {name}: {why}")
    return read


def _set_by(root: str, path: str) -> _Read:
    text = unit_files.read(root, path) or ""
    if "\0" in text:
        raise UnitError(f"{path}: holds a NUL, and systemd reads no such file")
    read: _Variables = {}
    unread: _Hidden = {}
    for name, value in environment_file.assignments(text):
        if value is None:
            unread[name] = (path, "a quote is not closed")
        else:
            read[name] = (value, path)
    return read, unread


def _over(earlier: _Read, later: _Read) -> _Read:
    hidden = {name: why for name, why in earlier[1].items() if name not in later[0]}
    return {**earlier[0], **later[0]}, {**hidden, **later[1]}


def _of_manager(root: str) -> tuple[_Read, _Read]:
    """Variables that every process gets, and those that one gets which asks for them.

    systemd-system.conf(5).
    """
    found: dict[str, _Read] = {"DefaultEnvironment": ({}, {}), "ManagerEnvironment": ({}, {})}
    for path, key, value in _settings(root, unit_files.of_manager(root), "Manager"):
        if key in found:
            earlier = found[key] if value else ({}, {})
            found[key] = _over(earlier, _assigned(path, value, ""))
    return found["DefaultEnvironment"], found["ManagerEnvironment"]


def _of_file(root: str, said_by: str, named: str, unit: str) -> _Read:
    """What an EnvironmentFile sets; where that cannot be told any variable is hidden.

    Not an error of the unit, whose process may ask for no variable.
    """
    path = _specified(named.removeprefix("-"), unit)
    if path is None:
        return {}, {"": (said_by, f"EnvironmentFile={named}: {_NOT_FOLLOWED}")}
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


def _settings(root: str, paths: list[str], section: str) -> Iterator[tuple[str, str, str]]:
    """File, key and value of each line of the section, the one that decides last."""
    for path in paths:
        yield from ((path, key, value) for key, value in _lines(root, path, section))


def _lines(root: str, path: str, section: str) -> Iterator[tuple[str, str]]:
    """A section that systemd does not know (`[X-Notes]`) may hold anything.

    The first byte order mark that begins a line is passed over, be it not the file's first line.
    """
    text = _BYTE_ORDER_MARK.sub("", uncommented(unit_files.read(root, path) or ""), count=1)
    here = False
    for line in text.replace("\\\n", " ").split("\n"):
        key, equals, value = line.partition("=")
        if key.lstrip(_BLANKS).startswith("["):
            here = line.strip(_BLANKS) == f"[{section}]"
        elif here and equals:
            yield key.strip(_BLANKS), value.strip(_BLANKS)


def _assigned(path: str, text: str, unit: str) -> _Read:
    read: _Read = ({}, {})
    for word in words(path, text):
        specified = _specified(word, unit)
        name, equals, value = (word if specified is None else specified).partition("=")
        if not equals or not name:
            continue  # systemd passes over it
        if specified is None:
            read = _over(read, ({}, {name: (path, f"{value:.200}: {_NOT_FOLLOWED}")}))
        else:
            read = _over(read, ({name: (value, path)}, {}))
    return read


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


def _specified(value: str, unit: str) -> str | None:
    """With what specifiers stand for; None where one says more than the unit's name.

    systemd.unit(5). The manager's own settings are no unit's, and its releases differ about them.
    """
    stem = unit.rpartition(".")[0]
    meant = {"%%": "%", "%n": unit, "%N": stem, "%p": stem} if unit else {}
    if not meant.keys() >= set(_SPECIFIER.findall(value)):
        return None
    return _SPECIFIER.sub(lambda found: meant[found[0]], value)
