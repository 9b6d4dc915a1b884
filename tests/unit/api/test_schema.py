"""The generator: what a CRD cannot say is an error that names the field."""

from typing import Annotated, Any

import pytest
from pydantic import ConfigDict, Field, JsonValue

from cni_upgrade.api.base import Model, Time
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.api.schema import UnsayableError, structural_schema

Short = Annotated[str, Field(max_length=9)]


class Inner(Model):
    """Something inside."""

    word: Short = Field(default="auto", description="A word.")
    empty: tuple[Short, ...] = Field(default=(), max_length=3, description="Words.")


class Status(Model):
    """How it is."""

    observed_generation: int = Field(default=-1, description="Generation.")
    word: Short = Field(default="x", description="A word.")
    other: Short = Field(default="", description="A word.")


class Blank(Model):
    """How it is, without a word on whether it was seen."""

    word: Short = Field(default="x", description="A word.")


def resource(annotation: Any, **field: Any) -> type[Model]:
    """A resource whose spec has one field `it`."""
    field.setdefault("description", "It.")

    class Spec(Model):
        """What is wanted."""

        it: annotation = Field(**field)

    class Thing(Model):
        """A thing."""

        metadata: ObjectMeta
        spec: Spec = Field(description="What is wanted.")
        status: Status = Field(default=Status(), description="How it is.")

    return Thing


def it(annotation: Any, **field: Any) -> dict[str, Any]:
    schema = structural_schema(resource(annotation, **field))["properties"]["spec"]
    found: dict[str, Any] = schema["properties"]["it"]
    return found


def test_optional_is_a_single_type_without_default() -> None:
    assert it(Short | None, default=None) == {
        "description": "It.",
        "type": "string",
        "maxLength": 9,
    }


def test_references_are_written_out_and_the_field_speaks_for_itself() -> None:
    found = it(Inner | None, default=None)
    assert found["description"] == "It."
    assert found["properties"]["word"]["description"] == "A word."
    assert "title" not in found
    assert "additionalProperties" not in found


def test_the_default_of_a_parent_is_the_empty_object() -> None:
    found = it(Inner, default=Inner())
    assert found["default"] == {}
    assert found["properties"]["word"]["default"] == "auto"
    assert "default" not in found["properties"]["empty"]


def test_lists_are_atomic_unless_said_otherwise() -> None:
    assert it(tuple[Short, ...], max_length=3)["x-kubernetes-list-type"] == "atomic"


def test_a_map_keeps_the_type_of_its_values() -> None:
    found = it(dict[str, Short], max_length=3)
    assert found["additionalProperties"] == {"type": "string", "maxLength": 9}
    assert found["maxProperties"] == 3


def test_times_are_bounded_by_their_format() -> None:
    assert it(Time)["format"] == "date-time"


def test_a_new_object_has_the_status_that_the_model_assumes_and_nothing_fills_it_in() -> None:
    """But for one that was emptied, which nobody has seen: kstatus would take it for Current."""
    status = structural_schema(resource(Short))["properties"]["status"]
    assert status["default"] == {"observedGeneration": -1, "word": "x"}
    filled = {name: f["default"] for name, f in status["properties"].items() if "default" in f}
    assert filled == {"observedGeneration": -1}


def test_rules_of_a_resource_are_kept() -> None:
    rules: list[JsonValue] = [{"rule": "size(self.metadata.name) <= 63", "message": "too long"}]

    class Ruled(resource(Short)):  # type: ignore[misc]
        """A thing with a rule."""

        model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": rules})

    assert structural_schema(Ruled)["x-kubernetes-validations"] == rules


def test_a_status_that_does_not_say_whether_it_was_seen_is_an_error() -> None:
    class Thing(Model):
        """A thing."""

        metadata: ObjectMeta
        spec: Inner = Field(description="What is wanted.")
        status: Blank = Field(default=Blank(), description="How it is.")

    with pytest.raises(UnsayableError, match="status: nothing says of a new object"):
        structural_schema(Thing)


@pytest.mark.parametrize(
    ("annotation", "field", "says"),
    [
        (str, {}, "spec.it: needs maxLength"),
        (tuple[Short, ...], {}, "spec.it: needs maxItems"),
        (tuple[str, ...], {"max_length": 2}, r"spec.it\[\]: needs maxLength"),
        (dict[str, Short], {}, "spec.it: needs maxProperties"),
        (dict[str, str], {"max_length": 2}, "spec.it{}: needs maxLength"),
        (Short, {"description": None}, "spec.it: has no description"),
        (Short | int, {}, "spec.it: a CRD has no unions"),
        (float, {}, "spec.it: needs one type, not 'number'"),
        (Any, {}, "spec.it: needs one type, not None"),
        (frozenset[Short], {"max_length": 2}, "a CRD cannot say uniqueItems of type array"),
        (Annotated[int, Field(gt=1)], {}, "a CRD cannot say exclusiveMinimum of type integer"),
        (tuple[Short, int], {}, "a CRD cannot say prefixItems"),
        (dict, {"max_length": 2}, "an object with neither members nor a value type"),
        (Inner, {"default": Inner(word="other")}, "its default is not what the defaults inside"),
    ],
)
def test_what_a_crd_cannot_say_is_an_error(annotation: Any, field: Any, says: str) -> None:
    with pytest.raises(UnsayableError, match=says):
        structural_schema(resource(annotation, **field))
