"""Writes our documents as JSON in which each number keeps the spelling that it has in its file.

`json` writes a number as a Python one would be read: 0.40 as 0.4, and 1e400 as Infinity, which is
no JSON. All else is as `json.dumps` has it with an indent of 2.
"""

import json
from collections.abc import Iterator, Mapping

from cni_upgrade.cni.document import Number

_INDENT = "  "


def dump(document: object) -> str:
    """The document, with no newline at its end. Raises TypeError for what JSON cannot hold, and
    ValueError for a float that is no number."""
    return "".join(_parts(document, "\n"))


def _parts(value: object, line: str) -> Iterator[str]:
    """`line`: what begins the line on which the value stands."""
    inner = f"{line}{_INDENT}"
    if isinstance(value, Number):
        yield value.spelling
    elif isinstance(value, Mapping) and value:
        before = "{"
        for key, member in value.items():
            if not isinstance(key, str):
                raise TypeError(f"expected text as a key, got {key!r}")
            yield f"{before}{inner}{json.dumps(key)}: "
            yield from _parts(member, inner)
            before = ","
        yield f"{line}}}"
    elif isinstance(value, list | tuple) and value:
        before = "["
        for item in value:
            yield f"{before}{inner}"
            yield from _parts(item, inner)
            before = ","
        yield f"{line}]"
    else:
        yield json.dumps(value, allow_nan=False)
