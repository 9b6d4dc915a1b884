"""The part of JSON Schema 2020-12 that our schema is written in, and nothing more.

A package would check all of it; here a keyword that is not known is an error, so that no rule of
the schema is passed over unseen.
"""

from collections.abc import Iterator
from typing import Any

_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "null": type(None),
}
_WORDS = {"$schema", "$defs", "title", "description"}


def problems(schema: dict[str, Any], document: object, *, strict: bool = True) -> list[str]:
    """What in the document is not as the schema says; `strict`: nor described by it at all."""
    return list(_problems(schema, document, schema["$defs"], "$", strict))


def _problems(
    schema: dict[str, Any], value: Any, defs: dict[str, Any], at: str, strict: bool
) -> Iterator[str]:
    for keyword, rule in schema.items():
        match keyword:
            case "$ref":
                yield from _problems(defs[rule.removeprefix("#/$defs/")], value, defs, at, strict)
            case "const" | "enum":
                if value not in (rule if keyword == "enum" else [rule]):
                    yield f"{at}: {value!r} is none of {rule!r}"
            case "type":
                kinds = [_TYPES[kind] for kind in ([rule] if isinstance(rule, str) else rule)]
                if not any(type(value) is kind for kind in kinds):
                    yield f"{at}: expected {rule}, got {value!r}"
            case "oneOf" | "anyOf":
                found = [list(_problems(each, value, defs, at, strict)) for each in rule]
                good = sum(not each for each in found)
                if not good or (keyword == "oneOf" and good > 1):
                    yield f"{at}: {good} of {keyword} hold: {found}"
            case "required" | "properties" | "additionalProperties" if type(value) is not dict:
                continue  # they speak of objects, and `type` says whether it must be one
            case "items" if type(value) is not list:
                continue
            case "required":
                yield from (f"{at}: no {name}" for name in rule if name not in value)
            case "properties":
                for name, member in value.items():
                    if name in rule:
                        yield from _problems(rule[name], member, defs, f"{at}.{name}", strict)
                    elif strict:
                        yield f"{at}.{name}: not described"
            case "additionalProperties":
                for name, member in value.items():
                    yield from _problems(rule, member, defs, f"{at}.{name}", strict)
            case "items":
                for place, item in enumerate(value):
                    yield from _problems(rule, item, defs, f"{at}[{place}]", strict)
            case _ if keyword not in _WORDS:
                raise ValueError(f"{at}: a keyword that is not known here: {keyword}")
