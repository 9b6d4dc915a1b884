"""A patch in the hands of another program: written down, read back, applied."""

import json
from collections.abc import Callable
from typing import Any

import jsonpatch

from cni_upgrade.cli import jsontext
from cni_upgrade.cni.document import Number, Plain, parse
from cni_upgrade.cni.patch import Operation


def check(old: bytes, patch: list[Operation], new: bytes) -> None:
    """Fails unless the patch makes the one document of the other, for a program that keeps the
    spelling of numbers and for one that knows their values alone."""
    written = jsontext.dump(patch)
    for number in (Number, json.loads):
        read = json.loads(written, parse_int=number, parse_float=number, parse_constant=_refuse)
        before, after = (_read(parse(each).root.plain(), number) for each in (old, new))
        assert jsonpatch.apply_patch(before, read) == after


def _read(value: Plain, number: Callable[[str], Any]) -> Any:
    if isinstance(value, Number):
        return number(value.spelling)
    if isinstance(value, dict):
        return {key: _read(each, number) for key, each in value.items()}
    if isinstance(value, list):
        return [_read(each, number) for each in value]
    return value


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
