"""Says a change as an RFC 6902 patch, by which jsonpatch then judges the edited text."""

from collections.abc import Iterator

import jsonpatch

from cni_upgrade.cni.document import Document, DocumentError, Node, Number, Plain, parse

Operation = dict[str, object]


class RewriteError(ValueError):
    """The change cannot be made; nothing was made of it."""


def tests(path: str, values: dict[str, Node]) -> Iterator[Operation]:
    """Guards. Numbers in them are `Number`: `prove` compares their spelling, and who writes the
    patch down keeps it."""
    for key, value in values.items():
        yield {"op": "test", "path": f"{path}/{pointer(key)}", "value": value.plain()}


def removals(path: str, values: dict[str, Node]) -> list[Operation]:
    """Each value goes from the object at `path`, if it is what it was."""
    operations: list[Operation] = []
    for key, value in values.items():
        operations += tests(path, {key: value})
        operations.append({"op": "remove", "path": f"{path}/{pointer(key)}"})
    return operations


def pointer(key: str) -> str:
    """A key as RFC 6901 writes it."""
    return key.replace("~", "~0").replace("/", "~1")


def prove(document: Document, new: bytes, operations: list[Operation]) -> None:
    """Raises RewriteError unless the new text means what jsonpatch makes of the old one."""
    try:
        wanted = jsonpatch.apply_patch(document.root.plain(), operations)
        found = parse(new).root.plain()
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, DocumentError) as error:
        raise RewriteError(f"the change could not be proved: {error}") from error
    if not _same(wanted, found):
        raise RewriteError("the edited text does not mean what the patch says")


def _same(one: Plain, other: Plain) -> bool:
    """Equality that keeps true apart from 1 and one spelling of a number from another."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Number) and isinstance(other, Number):
        return one == other
    return type(one) is type(other) and one == other
