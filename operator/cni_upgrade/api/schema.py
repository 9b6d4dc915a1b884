"""Turns a pydantic model into the OpenAPI dialect of CRDs, and refuses what it cannot say there.

A CRD that says less than the model would let through what the controller then cannot read, so
every keyword is either translated or an error that names the field.
"""

from typing import Any, Final

from cni_upgrade.api.base import Model

Schema = dict[str, Any]

_IGNORED: Final = {"title", "additionalProperties", "default", "description", "$defs"}
_KEPT: Final = {
    "string": {"enum", "format", "minLength", "maxLength", "pattern"},
    "integer": {"minimum", "maximum"},
    "boolean": set[str](),
    "array": {"minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "object": {"required", "maxProperties", "x-kubernetes-map-type", "x-kubernetes-validations"},
    "int-or-string": {"x-kubernetes-int-or-string", "minimum", "pattern", "maxLength"},
}
_CHILDREN: Final = {"array": {"items"}, "object": {"properties"}}


class UnsayableError(Exception):
    """A model says something that a CRD cannot, or leaves out what a CRD needs."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


def structural_schema(model: type[Model]) -> Schema:
    """The `openAPIV3Schema` of a resource with `spec` and `status`."""
    whole = model.model_json_schema()
    return _Translator(whole.get("$defs", {})).resource(whole)


class _Translator:
    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def resource(self, root: Schema) -> Schema:
        described = root["properties"]
        spec = self._field(described["spec"], "spec", defaults=True)
        # What the controller has not written must stay absent: no defaults inside the status.
        status = self._field(described["status"], "status", defaults=False)
        # Tools take an object without status for a healthy one: a new one has what the model
        # takes for granted of it, which includes that nobody has seen it yet.
        assumed = described["status"].get("default", {})
        status["default"] = {key: value for key, value in assumed.items() if value}
        if "observedGeneration" not in status["default"]:
            raise UnsayableError("status", "nothing says of a new object that it was not seen yet")
        # The one member that has a default also in a status that is there: one that somebody has
        # emptied was not seen either.
        seen = "observedGeneration"
        status["properties"][seen]["default"] = status["default"][seen]
        result: Schema = {
            "type": "object",
            "description": root["description"],
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string", "description": "Version of this API."},
                "kind": {"type": "string", "description": "Kind of this resource."},
                "metadata": {"type": "object"},
                "spec": spec,
                "status": status,
            },
        }
        if rules := root.get("x-kubernetes-validations"):
            result["x-kubernetes-validations"] = rules
        return result

    def _field(self, raw: Schema, path: str, *, defaults: bool) -> Schema:
        """One property: it must be described, and it may have a default."""
        resolved = self._resolve(raw, path)
        if "description" not in resolved:
            raise UnsayableError(path, "has no description, so kubectl explain says nothing")
        result = self._value(resolved, path, defaults)
        default = raw.get("default")
        if not defaults or default is None or default in ([], {}):
            return result
        if "properties" in result:
            # Nested defaults do the work; the API server fills them into the empty object.
            if _filled(result) != self._without_empty(default):
                raise UnsayableError(path, "its default is not what the defaults inside it give")
            default = {}
        return {**result, "default": default}

    def _value(self, schema: Schema, path: str, defaults: bool) -> Schema:
        kind = self._kind(schema, path)
        allowed = _KEPT[kind] | _CHILDREN.get(kind, set()) | _IGNORED | {"type"}
        if unknown := sorted(schema.keys() - allowed):
            raise UnsayableError(path, f"a CRD cannot say {', '.join(unknown)} of type {kind}")
        result: Schema = {key: schema[key] for key in ("description",) if key in schema}
        if kind != "int-or-string":
            result["type"] = kind
        result |= {key: schema[key] for key in schema if key in _KEPT[kind]}
        match kind:
            case "array":
                self._bounded(schema, path, "maxItems")
                result.setdefault("x-kubernetes-list-type", "atomic")
                items = self._resolve(schema["items"], f"{path}[]")
                result["items"] = self._value(items, f"{path}[]", defaults)
            case "object" if "properties" in schema:
                result["properties"] = {
                    name: self._field(inner, f"{path}.{name}", defaults=defaults)
                    for name, inner in schema["properties"].items()
                }
            case "object":
                self._bounded(schema, path, "maxProperties")
                values = schema.get("additionalProperties")
                if not isinstance(values, dict):
                    raise UnsayableError(path, "an object with neither members nor a value type")
                values = self._resolve(values, f"{path}{{}}")
                result["additionalProperties"] = self._value(values, f"{path}{{}}", defaults)
            case "string" if not schema.keys() & {"enum", "format"}:
                self._bounded(schema, path, "maxLength")
        return result

    def _kind(self, schema: Schema, path: str) -> str:
        if schema.get("x-kubernetes-int-or-string") is True:
            return "int-or-string"
        kind = schema.get("type")
        if kind not in _KEPT:
            raise UnsayableError(path, f"needs one type, not {kind!r} (of {sorted(schema)})")
        return str(kind)

    def _resolve(self, schema: Schema, path: str) -> Schema:
        """Follow `$ref` and drop the null of `X | None`; what stands beside them wins."""
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            target = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
            return self._resolve({**target, **rest}, path)
        if "anyOf" in schema:
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            choices = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
            if len(choices) != 1:
                raise UnsayableError(path, "a CRD has no unions")
            return self._resolve({**choices[0], **rest}, path)
        return schema

    @staticmethod
    def _bounded(schema: Schema, path: str, bound: str) -> None:
        if bound not in schema:
            raise UnsayableError(path, f"needs {bound}: unbounded, no rule over it is accepted")

    def _without_empty(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        members = {key: self._without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in members.items() if inner not in (None, [], {})}


def _filled(schema: Schema) -> Schema:
    """What the API server makes of `{}` under this schema."""
    return {
        name: _filled(inner) if "properties" in inner else inner["default"]
        for name, inner in schema["properties"].items()
        if "default" in inner
    }
