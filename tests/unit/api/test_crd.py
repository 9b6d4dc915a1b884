"""The CRDs in the tree are those of the models, and say what people and tools rely on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.api import names
from cni_upgrade.api.crd import NODE_STATE, POLICY, RESOURCES, Column, Resource, crd, main, render
from cni_upgrade.api.schema import UnsayableError

CRDS = Path(__file__).parents[3] / "crds"
BOTH = pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.kind)


def schema_of(resource: Resource) -> dict[str, Any]:
    found: dict[str, Any] = crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def properties(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}", inner
        yield from properties(inner.get("items", inner), f"{path}.{name}")


@BOTH
def test_the_file_is_that_of_the_model(resource: Resource) -> None:
    committed = (CRDS / resource.file_name).read_text(encoding="utf-8")
    assert committed == render(resource), "run: python -m cni_upgrade.api.crd crds/"


def test_there_is_no_other_file() -> None:
    assert {p.name for p in CRDS.iterdir()} == {r.file_name for r in RESOURCES}


@BOTH
def test_yaml_says_what_was_meant(resource: Resource) -> None:
    assert yaml.safe_load(render(resource)) == crd(resource)


def listed_defaults(schema: dict[str, Any], path: str = "", within: bool = False) -> Iterator[str]:
    if within and "default" in schema:
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from listed_defaults(inner, f"{path}.{name}", within)
    if "items" in schema:
        yield from listed_defaults(schema["items"], f"{path}[]", True)


@BOTH
def test_nothing_in_a_list_has_a_default(resource: Resource) -> None:
    """kubectl apply replaces lists whole: it would write the same manifest again each time."""
    assert list(listed_defaults(schema_of(resource))) == []


@BOTH
def test_names(resource: Resource) -> None:
    definition = crd(resource)
    assert definition["metadata"]["name"] == f"{resource.plural}.{names.GROUP}"
    assert definition["spec"]["names"]["categories"] == ["cniupgrade"]
    assert definition["spec"]["scope"] == "Cluster"


def test_short_names() -> None:
    assert [crd(r)["spec"]["names"]["shortNames"] for r in (POLICY, NODE_STATE)] == [
        ["cup"],
        ["cns"],
    ]


@BOTH
def test_descriptions_are_sentences(resource: Resource) -> None:
    for path, schema in properties(schema_of(resource)):
        if path != ".metadata":
            assert schema["description"].endswith("."), path
            assert len(schema["description"]) > 12, path


@BOTH
def test_defaults_are_told(resource: Resource) -> None:
    for path, schema in properties(schema_of(resource)["properties"]["spec"]):
        if schema.get("default", {}) != {}:
            told = schema["description"].lower()
            assert "default" in told, path
            assert str(schema["default"]).lower() in told, path


def test_a_column_of_a_field_that_is_not_there_is_an_error() -> None:
    wrong = replace(POLICY, columns=(Column("Mood", "string", ".spec.mood", "No."),))
    with pytest.raises(UnsayableError, match=r"\.spec\.mood: a printer column"):
        crd(wrong)


def test_the_command_writes_every_file(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {r.file_name for r in RESOURCES}


def test_the_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage:" in capsys.readouterr().err
