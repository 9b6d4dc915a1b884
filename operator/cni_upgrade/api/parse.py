"""Reads objects of the API into models; what cannot be read is named by its path in the object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cni_upgrade.api.base import Model
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that cannot be read."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class UnreadableResourceError(Exception):
    """An object that does not fit its model, with every field that is wrong."""

    def __init__(
        self, kind: str, obj: Mapping[str, object], problems: tuple[FieldProblem, ...]
    ) -> None:
        self.kind = kind
        self.name = _name(obj)
        self.obj = obj
        self.problems = problems
        super().__init__(f"{kind} {self.name}: {self.text}")

    @property
    def text(self) -> str:
        """Every field that is wrong, without the object's name."""
        return "; ".join(map(str, self.problems))


def unforeseen(obj: Mapping[str, object], error: Exception) -> UnreadableResourceError:
    """The same for an object that was read by code which gave up over what it holds."""
    problem = FieldProblem("the object", f"{type(error).__name__}: {error}")
    return UnreadableResourceError(str(obj.get("kind") or "object"), obj, (problem,))


_M = TypeVar("_M", bound=Model)


def parse_policy(obj: Mapping[str, object]) -> CNIUpgradePolicy:
    """A policy as the API returned it; raises UnreadableResourceError."""
    return _parse(CNIUpgradePolicy, obj)


def parse_node_state(obj: Mapping[str, object]) -> CNINodeState:
    """A node state as the API returned it; raises UnreadableResourceError."""
    return _parse(CNINodeState, obj)


def _parse(model: type[_M], obj: Mapping[str, object]) -> _M:
    try:
        return model.model_validate(obj)
    except ValidationError as error:
        problems = tuple(FieldProblem(_path(e), _said(e)) for e in error.errors())
        raise UnreadableResourceError(model.__name__, obj, problems) from error


def _path(error: ErrorDetails) -> str:
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".") or "the object"


def _said(error: ErrorDetails) -> str:
    """What is wrong, without pydantic's word for a rule that is code."""
    return error["msg"].removeprefix("Value error, ")


def _name(obj: object) -> str:
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else "(no name)"
