"""Every lie that an agent's message or a record can tell, one member at a time.

The members are enumerated from the types: a new one is lied about without a word here.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from cni_upgrade.agent.protocol.result import Result
from cni_upgrade.api.node_state import NodeStateStatus

Path = tuple[str | int, ...]
GONE = object()
"""In place of a value: the member is dropped."""

LIES: dict[str, object] = {
    "dropped": GONE,
    "null": None,
    "true": True,
    "negative": -1,
    "fraction": 0.5,
    "endless": 10**400,
    "empty": "",
    "text": "z",
    "climbs": "../../etc/shadow",
    "surrogate": "half \ud800 a pair",
    "nul": "a\0b",
    "huge": "x" * 100_000,
    "list": [],
    "lists": [[]],
    "many": ["x"] * 5_000,
    "object": {},
    "deep": {"a": {"b": {"c": [{}]}}},
    "future": "Tomorrow",
}
"""By name: what is said instead."""


def filled(kind: Any) -> Any:
    """A JSON value with every member that a model can have."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return filled(args[0])
    if origin in (Union, types.UnionType):
        return filled(next(each for each in args if each is not type(None)))
    if origin is Literal:
        return args[0]
    if origin is tuple or origin is list:
        return [filled(args[0])]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"a": filled(args[1])}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {f.alias or name: filled(f.annotation) for name, f in kind.model_fields.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind)).value
    if kind is datetime:
        return "2026-01-01T00:00:00Z"
    return {bool: True, int: 1, float: 0.5}.get(kind, "x")


def made(kind: type) -> Any:
    """A value of a dataclass with every member set."""
    hints = get_type_hints(kind)
    return kind(**{each.name: _value(hints[each.name]) for each in dataclasses.fields(kind)})


def _value(kind: Any) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _value(next(each for each in args if each is not type(None)))
    if origin is tuple:
        return (_value(args[0]),)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"a": _value(args[1])}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return made(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    return filled(kind)


def paths(document: object, where: Path = ()) -> Iterator[Path]:
    """Every member of a document, the objects and lists among them too."""
    items: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(document, dict):
        items = iter(document.items())
    elif isinstance(document, list):
        items = iter(list(enumerate(document))[:1])
    for name, value in items:
        yield (*where, name)
        yield from paths(value, (*where, name))


MESSAGE = tuple(paths(made(Result).to_json()))
"""Every member of a termination message."""

RECORD = tuple(paths(filled(NodeStateStatus)))
"""Every member of a record's status."""


def told(document: Any, path: Path, lie: object) -> Any:
    """The document with a lie at a path; what is missing on the way there is made."""
    spoiled = copy.deepcopy(document)
    value = spoiled
    for name, after in pairwise(path):
        value = _step(value, name, [] if isinstance(after, int) else {})
        if value is None:
            return spoiled
    _put(value, path[-1], lie)
    return spoiled


def _step(value: Any, name: str | int, default: Any) -> Any:
    if isinstance(value, list) and isinstance(name, int):
        if not value:
            value.append(default)
        return value[name]
    if isinstance(value, dict):
        if value.get(str(name)) is None:
            value[str(name)] = default
        return value[str(name)]
    return None


def _put(value: Any, name: str | int, lie: object) -> None:
    if isinstance(value, list) and isinstance(name, int):
        value[name : name + 1] = [] if lie is GONE else [lie]
    elif isinstance(value, dict):
        if lie is GONE:
            value.pop(name, None)
        else:
            value[name] = lie


def at(document: Any, path: Path) -> Any:
    """What stands at a path; GONE where nothing does."""
    for name in path:
        try:
            document = document[name]
        except (KeyError, IndexError, TypeError):
            return GONE
    return document


def message(document: Any) -> str:
    return json.dumps(document)
