"""Members of a runtime's configuration, under the spellings that the runtime takes for a name.

Sources: go-toml 1.9 `marshal.go` keysToTry, go-toml 2 `unmarshaler.go`, BurntSushi toml `decode.go`
unifyStruct.
"""

from collections.abc import Callable, Mapping, Sequence

from cni_upgrade.cni.golang import fold

Document = Mapping[str, object]


class RuntimeConfigError(ValueError):
    """The configuration is not what this runtime reads; the text names file and member."""


Spelling = Callable[[Document, str], Sequence[str]]
"""Which keys of a table a runtime takes for a field of that name."""


def in_capitals(table: Document, name: str) -> Sequence[str]:
    return [each for each in (name, name.upper()) if each in table][:1]


def in_any_case(table: Document, name: str) -> Sequence[str]:
    return [key for key in table if fold(key) == name]


def exact(table: Document, name: str) -> Sequence[str]:
    return [name] if name in table else []


def member(path: str, table: Document, name: str, spelling: Spelling, absent: object) -> object:
    """What stands there under that name. Raises RuntimeConfigError for two spellings of it."""
    keys = spelling(table, name)
    if len(keys) > 1:
        raise RuntimeConfigError(f"{path}: {' and '.join(keys)}: are one member: keep one")
    return table[keys[0]] if keys else absent


def members(
    path: str, table: Document, names: Sequence[str], spelling: Spelling = in_any_case
) -> list[tuple[str, object]]:
    """Those of these names that are there, each under the name itself."""
    missing = object()
    found = [(name, member(path, table, name, spelling, missing)) for name in names]
    return [(name, value) for name, value in found if value is not missing]


def table(path: str, shown: str, document: Document, spelling: Spelling, *names: str) -> Document:
    """The table at that place; an empty one where there is none."""
    value: object = document
    for name in names:
        value = member(path, value, name, spelling, {}) if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping):
        raise RuntimeConfigError(f"{path}: {shown}: expected a table")
    return value


def text(path: str, value: object, name: str) -> str | None:
    """A string; an empty one says nothing."""
    if not isinstance(value, str):
        raise RuntimeConfigError(f"{path}: {name}: expected a string")
    return value or None


def folder(path: str, value: object, name: str) -> str:
    """A folder; with an empty string the runtime does not start, or finds nothing."""
    found = text(path, value, name)
    if found is None:
        raise RuntimeConfigError(f"{path}: {name}: expected a folder, got an empty string")
    return found


def folders(path: str, value: object, name: str) -> tuple[str, ...]:
    found = texts(path, name, value)
    if not found:
        raise RuntimeConfigError(f"{path}: {name}: expected folders, got none")
    return found


def number(path: str, value: object, name: str) -> int:
    """A count of files: whatever is below 1 means all of them, which 0 says."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuntimeConfigError(f"{path}: {name}: expected a whole number")
    return min(max(value, 0), 1 << 16)


def flag(path: str, value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise RuntimeConfigError(f"{path}: {name}: expected true or false")
    return value


def texts(path: str, name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RuntimeConfigError(f"{path}: {name}: expected a list of strings")
    return tuple(each for each in value if each)
