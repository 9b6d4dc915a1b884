"""Our JSON is that of `json.dumps`, but for numbers, which keep the spelling of their file."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.cli import jsontext, yamltext
from cni_upgrade.cni.document import Number

DOCUMENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(DOCUMENT)
def test_as_json_writes_it(document: object) -> None:
    assert jsontext.dump(document) == json.dumps(document, indent=2)


@pytest.mark.parametrize("spelling", ["0.40", "1.50E3", "-0", "1e400", "5", "9" * 40])
def test_a_number_keeps_its_spelling(spelling: str) -> None:
    document = {"value": [Number(spelling)], "text": spelling}
    written = jsontext.dump(document)
    assert json.loads(written, parse_int=Number, parse_float=Number) == document
    assert f"  - {'!!float ' if 'e' in spelling.lower() else ''}{spelling}\n" in (
        yamltext.dump(document)
    )


@pytest.mark.parametrize("spelling", ["0.40", "1.50E3", "-0", "1e400", "1e3", "9" * 40])
def test_yaml_reads_it_as_the_number_that_it_is(spelling: str) -> None:
    assert yaml.safe_load(yamltext.dump([Number(spelling)])) == [json.loads(spelling)]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({1: "a"}, TypeError),
        ([object()], TypeError),
        ([float("nan")], ValueError),
        ({"a": float("inf")}, ValueError),
    ],
)
def test_refuses_what_json_cannot_hold(document: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        jsontext.dump(document)
