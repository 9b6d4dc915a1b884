"""Reads the rules out of a CRD's schema and builds, for each, what keeps it and what breaks it.

So no bound, enum or required field can be added without the API server being asked about it.
Patterns and CEL (`BY_HAND`) need a person's examples: those are in rule_cases.py, and test_rules.py
asks that none is missing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

ITEM = "[]"
VALUE = "{}"
BY_HAND = {"pattern", "x-kubernetes-validations", "x-kubernetes-int-or-string", "list-map"}
_BOUNDS = ("maxLength", "maxItems", "maxProperties", "minimum", "maximum", "enum", "required")
_WORDS = ("word", "containerd>=2.0", "1h", "0 22 * * 1-5", "2.*")
_WRONG_TYPES: dict[str, Any] = {
    "string": 5,
    "integer": "five",
    "boolean": "yes",
    "array": "one",
    "object": "one",
}


@dataclass(frozen=True)
class Rule:
    """One thing that the schema asks of one place in the object."""

    path: tuple[str, ...]
    keyword: str
    schema: Schema
    needs_examples: bool
    """A pattern or CEL has its say here too: only a person knows what keeps the rule."""

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}:{self.keyword}"


def rules(schema: Schema, path: tuple[str, ...], *, within_cel: bool = False) -> Iterator[Rule]:
    """Every rule at and below a place."""
    by_hand = BY_HAND & schema.keys()
    examples = within_cel or bool(by_hand)
    if "type" in schema:
        yield Rule(path, "type", schema, examples)
    if schema.get("x-kubernetes-list-type") == "map":
        yield Rule(path, "list-map", schema, examples)
    for keyword in by_hand:
        yield Rule(path, keyword, schema, examples)
    if not by_hand - {"x-kubernetes-validations"}:
        for keyword in (*_BOUNDS, "minLength", "format"):
            if keyword in schema:
                yield Rule(path, keyword, schema, examples)
    within_cel |= "x-kubernetes-validations" in schema
    for name, inner in schema.get("properties", {}).items():
        yield from rules(inner, (*path, name), within_cel=within_cel)
    if "items" in schema:
        yield from rules(schema["items"], (*path, ITEM), within_cel=within_cel)
    if "additionalProperties" in schema:
        yield from rules(schema["additionalProperties"], (*path, VALUE), within_cel=within_cel)


def sample(schema: Schema) -> Any:
    """A small value that keeps every rule."""
    match schema.get("type"):
        case "object":
            return {name: sample(schema["properties"][name]) for name in schema.get("required", ())}
        case "array":
            return []
        case "integer":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "string" if "enum" in schema:
            # Of the operators of a selector, the last ones need no values.
            return schema["enum"][-1]
        case "string" if "format" in schema:
            return "2026-01-02T03:04:05Z"
        case _:
            pattern = schema.get("pattern", "")
            return next((each for each in _WORDS if re.search(pattern, each)), _WORDS[0])


def placed(schema: Schema, path: Sequence[str], value: Any) -> Any:
    """A small object that holds the value at that place."""
    if not path:
        return value
    step, *rest = path
    if step == ITEM:
        return [placed(schema["items"], rest, value)]
    if step == VALUE:
        return {"key": placed(schema["additionalProperties"], rest, value)}
    whole = sample(schema)
    whole[step] = placed(schema["properties"][step], rest, value)
    return whole


def kept(rule: Rule) -> list[Any]:
    """Values at the edge that keep the rule."""
    schema, limit = rule.schema, rule.schema.get(rule.keyword)
    match rule.keyword:
        case "enum":
            return list(schema["enum"])
        case "minimum" | "maximum":
            return [limit]
        case "minLength" | "maxLength":
            return ["x" * schema[rule.keyword]]
        case "maxItems":
            return [_items(schema, schema["maxItems"])]
        case "maxProperties":
            return [_members(schema, schema["maxProperties"])]
        case _:
            return [sample(schema)]


def broken(rule: Rule) -> list[Any]:
    """Values just beyond the edge."""
    schema = rule.schema
    match rule.keyword:
        case "type":
            return [_WRONG_TYPES[schema["type"]]]
        case "enum":
            return ["Nonsense", schema["enum"][0].lower() + "x", ""]
        case "minimum":
            return [schema["minimum"] - 1]
        case "maximum":
            return [schema["maximum"] + 1]
        case "minLength":
            return ["x" * (schema["minLength"] - 1)]
        case "maxLength":
            return ["x" * (schema["maxLength"] + 1)]
        case "maxItems":
            return [_items(schema, schema["maxItems"] + 1)]
        case "maxProperties":
            return [_members(schema, schema["maxProperties"] + 1)]
        case "format":
            return ["yesterday", "2026-13-02T03:04:05Z"]
        case "required":
            return [_without(sample(schema), name) for name in schema["required"]]
        case _:
            raise AssertionError(f"{rule}: nobody has said how it is broken")


def _items(schema: Schema, number: int) -> list[Any]:
    items = [sample(schema["items"]) for _ in range(number)]
    keys = schema.get("x-kubernetes-list-map-keys", ())
    return [
        {**item, **dict.fromkeys(keys, f"Key{i}")} if keys else item for i, item in enumerate(items)
    ]


def _members(schema: Schema, number: int) -> dict[str, Any]:
    return {f"key{i}": sample(schema["additionalProperties"]) for i in range(number)}


def _without(whole: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in whole.items() if key != name}
