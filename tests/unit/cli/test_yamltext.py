"""Our YAML, read by PyYAML: the same document comes back, whatever text stands in it."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from cni_upgrade.cli import yamltext

WORDS = "yes No ON null ~ 1.0.0 1.0 0x1f 1e3 12:30:45 2026-11-24 = << .inf .nan 0o7 1_000 true,"
SIGNS = "- -- --- ... ? : # a:b a: ! & * | > % @ ` 'a' \"a\" \\"
TRICKY = st.sampled_from([*WORDS.split(), *SIGNS.split()])
LINES = st.lists(st.sampled_from(["", " ", "+  x", " {", "\t}", "--- a/x", "# no", "a: b", "é"]))
TEXT = st.text() | TRICKY | LINES.map("\n".join) | LINES.map(lambda each: "\n".join(each) + "\n")
DOCUMENT = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(DOCUMENT, max_size=4) | st.dictionaries(TEXT, DOCUMENT, max_size=4))
@example({"a": {"diff": " {\n+  1\n"}, "b": ["x\n\n", [[], {}], {"k": "a\nb"}]})
@example({"\x85": "\u2028\n", "bytes that are no text": "\udc80", "far": "\U0001f600\U000e0001"})
def test_comes_back(document: object) -> None:
    assert yaml.safe_load(yamltext.dump(document)) == document


def test_reads_well() -> None:
    document = {
        "verdict": "Rewrite",
        "max": "1.0.0",
        "why": "F1: it is missing",
        "files": [{"name": "10-pod.conflist", "diff": "--- a\n+++ b\n {\n", "to": None}],
        "changes": [],
    }
    assert (
        yamltext.dump(document)
        == """\
verdict: Rewrite
max: 1.0.0
why: 'F1: it is missing'
files:
  - name: '10-pod.conflist'
    diff: |
      --- a
      +++ b
       {
    to: null
changes: []
"""
    )


@pytest.mark.parametrize("document", [{1: "a"}, {"a": 1.5}, [object()]])
def test_refuses_what_no_document_holds(document: object) -> None:
    with pytest.raises(TypeError):
        yamltext.dump(document)
