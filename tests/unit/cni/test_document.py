"""The parser takes what Go takes, refuses what Go refuses, and knows where everything stands."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.cni.document import (
    MAX_DEPTH,
    DocumentError,
    Node,
    Number,
    Plain,
    TooDeepError,
    parse,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def loaded(plain: Plain) -> object:
    """A plain value as json.loads gives it."""
    if isinstance(plain, Number):
        return json.loads(plain.spelling)
    if isinstance(plain, dict):
        return {key: loaded(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [loaded(value) for value in plain]
    return plain


@given(VALUES, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_reads_what_json_reads(value: object, indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert loaded(parse(text.encode()).root.plain()) == json.loads(text)


@given(VALUES)
def test_every_span_holds_its_own_value(value: object) -> None:
    document = parse(json.dumps(value, indent=1).encode())
    for node in document.root.walk():
        assert loaded(node.plain()) == json.loads(document.text[node.start : node.end])


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_by_name(data: bytes) -> None:
    with contextlib.suppress(DocumentError):
        parse(data)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("\ufeff{}", "byte order mark"),
        ('{"a": 1,}', "comma stands before the closing brace"),
        ("[1,]", "comma stands before the closing bracket"),
        ('{"a": 1} {}', "something follows"),
        ('{"a": 1 // one\n}', "comma or a closing brace"),
        ("// one\n{}", "no comments"),
        ("{'a': 1}", "expected a key"),
        ('{"a" 1}', "colon"),
        ('{"a": }', "expected a value"),
        ('{"a": tru}', "expected true"),
        ('{"a": "x\ny"}', "string is broken"),
        ('{"a": "x', "string is broken"),
        ('{"a": 01}', "comma or a closing brace"),
        ('{"a": .5}', "expected a value"),
        ('{"a": -}', "expected a value"),
        ('{"a": NaN}', "expected a value"),
        ('{"a": \u0663}', "expected a value"),
        ("{", "expected a key"),
        ('{"a":', "ends too early"),
        ("[1", "comma or a closing bracket"),
    ],
)
def test_what_go_refuses_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        parse(text.encode())


def test_the_place_is_told_in_lines_and_columns() -> None:
    with pytest.raises(DocumentError, match="line 3, column 3"):
        parse(b'{\n  "a": 1\n  "b": 2\n}')


def test_bytes_that_are_not_utf8_are_kept_and_read_as_go_reads_them() -> None:
    document = parse(b'{"a": "x\xff\xe2\x82y"}')
    assert document.root.plain() == {"a": "x\ufffd\ufffd\ufffdy"}
    with pytest.raises(DocumentError):
        parse(b"{\xff}")


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert parse(rb'"\ud83d\ude00 \ud800 \udc00"').root.plain() == "\U0001f600 \ufffd \ufffd"


def test_duplicates_are_kept_and_the_last_one_counts() -> None:
    root = parse(b'{"a": 1, "b": 2, "a": 3}').root
    assert [member.key for member in root.members] == ["a", "b", "a"]
    assert root.plain() == {"a": Number("3"), "b": Number("2")}


def test_numbers_keep_their_spelling() -> None:
    assert parse(b"[1.50E3, -0, 1e999]").root.plain() == [
        Number("1.50E3"),
        Number("-0"),
        Number("1e999"),
    ]


def test_nesting_has_a_limit_with_a_name() -> None:
    def nested(depth: int) -> bytes:
        return b"[" * depth + b"]" * depth

    assert isinstance(parse(nested(MAX_DEPTH)).root, Node)
    with pytest.raises(TooDeepError, match="100 levels"):
        parse(nested(MAX_DEPTH + 1))
    with pytest.raises(TooDeepError):
        parse(b'{"a":' * 100_000)
