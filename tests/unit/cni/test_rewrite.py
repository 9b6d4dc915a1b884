"""A rewrite changes the version, proves it, and touches no other line."""

import contextlib
import json
import os
import re
import time

import jsonpatch
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cni_upgrade.cli import jsontext
from cni_upgrade.cni import config, golang, versions
from cni_upgrade.cni.document import Node, parse
from cni_upgrade.cni.patch import prove
from cni_upgrade.cni.rewrite import RELEASES, RewriteError, diff, rewrite
from tests.judge.folders import BYTES, Choices, content
from tests.unit.cni import patched, samples

EDITS = int(os.environ.get("CNI_UPGRADE_EDITS", "400"))
"""Random edits that each of the laws below is held against; `make edits` has many more."""

GENERATED = settings(max_examples=EDITS, suppress_health_check=list(HealthCheck))
NAMES = st.sampled_from(("10-a.conflist", "10-b.conf"))
LEVELS = st.sampled_from(versions.KNOWN)


def loads(name: str, data: bytes) -> bool:
    return any(config.read(name, data, release).error is None for release in RELEASES)


@st.composite
def loadable(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file that some release of libcni loads."""
    name = draw(NAMES)
    made = st.binary(min_size=BYTES, max_size=BYTES).map(lambda each: content(Choices(each), name))
    return name, draw(made.filter(lambda data: loads(name, data)))


@GENERATED
@given(loadable(), LEVELS)
def test_every_release_reads_the_version_that_was_asked_for(
    file: tuple[str, bytes], to: str
) -> None:
    name, data = file
    new = rewrite(data, config.kind_of(name), to).data
    for release in RELEASES:
        before, after = config.read(name, data, release), config.read(name, new, release)
        if before.error is None:
            assert (after.error, after.version) == (None, to)
            assert (after.network, after.plugins) == (before.network, before.plugins)
            assert after.check_disabled == before.check_disabled


@GENERATED
@given(loadable(), LEVELS)
def test_the_patch_makes_the_new_document_of_the_old(file: tuple[str, bytes], to: str) -> None:
    name, data = file
    done = rewrite(data, config.kind_of(name), to)
    patched.check(data, done.patch, done.data)


@GENERATED
@given(loadable(), LEVELS)
def test_doing_it_again_changes_nothing(file: tuple[str, bytes], to: str) -> None:
    name, data = file
    kind = config.kind_of(name)
    once = rewrite(data, kind, to)
    again = rewrite(once.data, kind, to)
    assert (again.data, again.patch) == (once.data, [])


ALIKE = b"""{
  "cniVersion": "0.1.0",
  "name": "net",
  "plugins": [
    {
      "type": "bridge",
      "IPAM": {}
    }
  ],
  "cniVersions": [],
  "cniVersions": [
    "0.1.0",
    {
      "a": null,
      "a": null
    }
  ],
  "cniversions": [
    "0.1.0",
    "0.1.0",
    "0.1.0"
  ]
}"""
"""What the end of the plugins and the end of the versions share, a diff takes for either."""


@GENERATED
@given(loadable(), LEVELS)
@example(("10-a.conflist", ALIKE), "0.2.0")
def test_only_lines_of_the_version_or_a_neighbours_comma_change(
    file: tuple[str, bytes], to: str
) -> None:
    name, data = file
    new = rewrite(data, config.kind_of(name), to).data
    old_lines, new_lines = data.split(b"\n"), new.split(b"\n")
    allowed = lines_of_the_version(data)
    # Not by a diff: of lines that are alike it may call others changed than were.
    rest = iter(new_lines)
    for place, line in enumerate(old_lines):
        assert place in allowed or line in rest, (place, old_lines, new_lines)
    assert len(new_lines) <= len(old_lines) + 1


@GENERATED
@given(loadable(), LEVELS)
def test_every_other_token_stays_as_it_is_spelled_and_where_it_is(
    file: tuple[str, bytes], to: str
) -> None:
    name, data = file
    new = rewrite(data, config.kind_of(name), to).data
    assert other_tokens(new) == other_tokens(data)


def test_the_tokens_are_those_of_the_text() -> None:
    """What the property above stands on: each spelling counts, the order counts."""
    text = b'{"b":1.50E3, "cniVersion" : "1","a":[true, -0,"x\\"y"]}'
    assert other_tokens(text) == [
        "{", '"b"', ":", "1.50E3", '"a"', ":", "[", "true", "-0", r'"x\"y"', "]", "}"
    ]  # fmt: skip


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:]|[^\s,\[\]{}:"]+')


def other_tokens(data: bytes) -> list[str]:
    """The tokens of the text outside of the members of the version, but for commas."""
    document = parse(data)
    text = document.text
    spans = [
        (member.start, member.value.end)
        for node in objects_of(document.root)
        for member in node.members
        if golang.fold(member.key) in ("cniversion", "cniversions")
    ]
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return TOKEN.findall(text)


def objects_of(root: Node) -> list[Node]:
    """Those that may hold a version: the document, and the plugins of a list, as they stand."""
    found = [root]
    for member in root.members:
        if member.key == "plugins":
            found += member.value.items
    return found


def lines_of_the_version(data: bytes) -> set[int]:
    """Lines that hold a member of the version, the end of the member before, or the first key."""
    document = parse(data)
    objects = objects_of(document.root)

    def line(place: int) -> int:
        return document.text.count("\n", 0, place)

    allowed = {line(document.root.members[0].start)}
    for node in objects:
        for place, member in enumerate(node.members):
            if golang.fold(member.key) in ("cniversion", "cniversions"):
                allowed |= set(range(line(member.start), line(member.value.end) + 1))
                before: Node | None = node.members[place - 1].value if place else None
                allowed.add(line(before.end if before else node.start))
                if place + 1 < len(node.members):
                    allowed.add(line(node.members[place + 1].start))
    return allowed


def changed(old: bytes, new: bytes) -> tuple[int, int]:
    """How many lines went and came."""
    lines = diff(old, new).splitlines()[2:]
    return (
        sum(line.startswith("-") for line in lines),
        sum(line.startswith("+") for line in lines),
    )


def test_a_missing_version_is_one_new_line() -> None:
    data = samples.bridge()
    done = rewrite(data, "conflist", "1.0.0")
    assert done.data == samples.bridge("1.0.0")
    assert changed(data, done.data) == (0, 1)
    assert done.patch == [
        {"op": "test", "path": "/name", "value": "containerd-net"},
        {"op": "add", "path": "/cniVersion", "value": "1.0.0"},
    ]


def test_another_version_is_one_line() -> None:
    data = samples.bridge("1.0.0")
    done = rewrite(data, "conflist", "0.4.0")
    assert done.data == samples.bridge("0.4.0")
    assert changed(data, done.data) == (1, 1)
    assert diff(data, done.data) == (
        "--- before\n+++ after\n@@ -1,5 +1,5 @@\n {\n"
        '-  "cniVersion": "1.0.0",\n+  "cniVersion": "0.4.0",\n'
        '   "name": "containerd-net",\n   "plugins": [\n     {\n'
    )


P = '"plugins":[{"type":"b"}]'


@pytest.mark.parametrize(
    ("spelling", "other"),
    [("0.40", "0.4"), ("1.50E3", "1500"), ("-0", "0"), ("9" * 40, "1e40")],
)
@pytest.mark.parametrize(
    ("member", "path"),
    [
        ('"cniVersion": {}', "/cniVersion"),
        ('"cniVersion": [{{"a/b": {}}}]', "/cniVersion"),
        ('"cniVersions": [{}]', "/cniVersions"),
    ],
)
def test_a_number_that_goes_is_guarded_by_its_spelling(
    member: str, path: str, spelling: str, other: str
) -> None:
    """In the proof; a program that makes doubles of numbers takes the patch for either file."""
    old = f'{{"name": "n", {member.format(spelling)}, {P}}}'.encode()
    done = rewrite(old, "conflist", "1.0.0")
    guard = next(each for each in done.patch if each["path"] == path)
    assert guard["op"] == "test"
    written = jsontext.dump(done.patch)
    assert re.search(rf"(?<![0-9.]){re.escape(spelling)}(?![0-9.])", written)
    patched.check(old, done.patch, done.data)
    others = old.replace(spelling.encode(), other.encode())
    with pytest.raises(RewriteError, match="could not be proved"):
        prove(parse(others), done.data, done.patch)
    doubles = json.loads(written, parse_int=float)
    jsonpatch.apply_patch(json.loads(others, parse_int=float), doubles)


def test_a_number_that_no_double_holds_is_in_no_patch() -> None:
    """libcni refuses the file."""
    for member in ('"cniVersion": 1e400', '"cniVersion": "0.4.0", "cniVersions": [1e400]'):
        with pytest.raises(RewriteError, match="does not fit 64 bits"):
            rewrite(f'{{"name": "n", {member}, {P}}}'.encode(), "conflist", "1.0.0")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'{{"name":"n",{P}}}', f'{{"cniVersion":"1.0.0","name":"n",{P}}}'),
        (f'{{ "name": "n", {P} }}', f'{{ "cniVersion": "1.0.0", "name": "n", {P} }}'),
        (
            f'{{\r\n\t"name" : "n",\r\n\t{P}\r\n}}\r\n',
            f'{{\r\n\t"cniVersion" : "1.0.0",\r\n\t"name" : "n",\r\n\t{P}\r\n}}\r\n',
        ),
        (
            f'{{\n\n    "name":  "n",\n{P}}}',
            f'{{\n\n    "cniVersion":  "1.0.0",\n    "name":  "n",\n{P}}}',
        ),
        (f'{{"name": "n",\n  {P}}}', f'{{"cniVersion": "1.0.0", "name": "n",\n  {P}}}'),
        (f'{{"name":\n"n",{P}}}', f'{{"cniVersion": "1.0.0","name":\n"n",{P}}}'),
        (
            f'{{"cniVersion":"","name":"n",{P}}}',
            f'{{"cniVersion":"1.0.0","name":"n",{P}}}',
        ),
        # Duplicates: the one that counts stays where it is.
        (
            f'{{"cniVersion": "0.1.0", "name": "n", "cniVersion": "0.4.0", {P}}}',
            f'{{"name": "n", "cniVersion": "1.0.0", {P}}}',
        ),
        # cniVersions goes, wherever it stands.
        (
            f'{{\n  "cniVersions": [\n    "0.4.0"\n  ],\n  "name": "n",\n  {P}\n}}',
            f'{{\n  "cniVersion": "1.0.0",\n  "name": "n",\n  {P}\n}}',
        ),
        (
            f'{{\n  "cniVersion": "0.3.1",\n  "name": "n",\n  {P},\n  "cniVersions": ["0.4.0"]\n}}',
            f'{{\n  "cniVersion": "1.0.0",\n  "name": "n",\n  {P}\n}}',
        ),
        # A list's own keys are exact, and what a plugin cannot see stays.
        (
            f'{{"CNIVersion":"0.1.0","cniVersion":"0.4.0","name":"n",{P}}}',
            f'{{"CNIVersion":"0.1.0","cniVersion":"1.0.0","name":"n",{P}}}',
        ),
        (
            '{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"b","cniVersion":"0.1.0"}]}',
            '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"b","cniVersion":"0.1.0"}]}',
        ),
        # What would override the list's version in a plugin goes.
        (
            '{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"b","cniversion":"0.1.0"}]}',
            '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"b"}]}',
        ),
        (
            '{"cniVersion":"0.4.0","name":"n","plugins":[{"cniver\u017fion":"x","type":"b"}]}',
            '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"b"}]}',
        ),
    ],
)
def test_lists_by_example(old: str, new: str) -> None:
    assert rewrite(old.encode(), "conflist", "1.0.0").data.decode() == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"type":"b","name":"n"}', '{"cniVersion":"1.0.0","type":"b","name":"n"}'),
        (
            '{"cniVersion": null, "type": "b"}',
            '{"cniVersion": "1.0.0", "type": "b"}',
        ),
        (
            '{"cniVersion": "0.4.0", "type": "b", "CNIVERSION": "0.3.1"}',
            '{"cniVersion": "1.0.0", "type": "b"}',
        ),
        (
            '{"cniVer\u017fion": "0.4.0", "type": "b"}',
            '{"cniVersion": "1.0.0", "type": "b"}',
        ),
        (
            '{"CNIVersion":"0.1.0","cniVersion":"0.2.0","type":"b","cniVersion":"0.3.0","cniversion":"1"}',
            '{"type":"b","cniVersion":"1.0.0"}',
        ),
        ('{"\\u0063niVersion":"0.4.0","type":"b"}', '{"\\u0063niVersion":"1.0.0","type":"b"}'),
    ],
)
def test_single_plugins_by_example(old: str, new: str) -> None:
    assert rewrite(old.encode(), "conf", "1.0.0").data.decode() == new


def test_all_else_is_kept_to_the_byte() -> None:
    data = (
        b'{\n\t"name": "n",  "n1": 1.50E3, "n2": -0,\n"u": "\\u00e9\xc3\xa9\\/ \xff",\n\n'
        b'  "plugins": [ {"type":"b", "type":"b" } ]\n ,"z":{"b":1,"a":2} }   \n\n'
    )
    new = rewrite(data, "conflist", "1.0.0").data
    assert new.replace(b'"cniVersion": "1.0.0",\n\t', b"", 1) == data


def test_a_plugin_folder_beside_the_list_counts_as_its_chain() -> None:
    data, inline = b'{"name": "net"}', {"a.conf": b'{"type": "ptp"}'}
    assert rewrite(data, "conflist", "1.0.0", inline).data == (
        b'{"cniVersion": "1.0.0", "name": "net"}'
    )
    with pytest.raises(RewriteError, match="MissingPlugins"):
        rewrite(data, "conflist", "1.0.0")


@pytest.mark.parametrize(
    ("data", "kind", "to", "why"),
    [
        (samples.bridge(), "conflist", "1.0", "no released CNI version"),
        (samples.bridge(), "conflist", "v1.0.0", "no released CNI version"),
        (samples.bridge(), "other", "1.0.0", "no CNI config"),
        (samples.bridge(), "conf", "1.0.0", "ListInConf"),
        (b"{", "conflist", "1.0.0", "Unparsable"),
        (b"", "conf", "1.0.0", "Unparsable"),
        (b'{"name": "n", "plugins": [null]}', "conflist", "1.0.0", "MissingType"),
        (b"[" * 1000, "conflist", "1.0.0", "TooDeep"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_by_name(
    data: bytes, kind: str, to: str, why: str
) -> None:
    with pytest.raises(RewriteError, match=why):
        rewrite(data, kind, to)


@given(st.binary(max_size=200), st.sampled_from(("conf", "conflist")))
def test_any_bytes_are_rewritten_or_refused(data: bytes, kind: str) -> None:
    with contextlib.suppress(RewriteError):
        made = rewrite(data, kind, "1.0.0").data
        assert config.read(f"10-a.{kind}", made).version == "1.0.0"


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
@example(list("abc" * 9), ["x", *"abc" * 9])
@example(list("abc" * 9), ["x", *"abc" * 4, "x", *"abc" * 5])
@example([], ["a"])
def test_a_diff_makes_the_new_file_of_the_old_one(before: list[str], after: list[str]) -> None:
    """As patch takes it: by the numbers of the lines, which the hunks tell."""
    old, new = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
    text = diff(old.encode(), new.encode()).splitlines()[2:]
    made, read = list[str](), 0
    for line in text:
        if line.startswith("@@"):
            start, _, count = line.split()[1][1:].partition(",")
            here = int(start) - (count != "0")
            made += before[read:here]
            read = here
            told = line.split()[2][1:].partition(",")
            assert int(told[0]) == len(made) + (told[2] != "0")
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert before[read] == line[1:]
            made += [line[1:]] if line[0] == " " else []
            read += 1
    assert [*made, *before[read:]] == after


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
@example(list("bdabdabc"), list("bdabdabdabc"))
def test_a_hunk_shows_three_lines_around_what_differs(before: list[str], after: list[str]) -> None:
    """Of fewer, at either end, `git apply` takes it that the file begins or ends there."""
    old, new = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
    for hunk in re.split(r"^@@ ", diff(old.encode(), new.encode()), flags=re.M)[1:]:
        head, *lines = hunk.splitlines()
        start, _, count = head.split()[0][1:].partition(",")
        here = int(start) - (count != "0")
        behind = len(before) - here - int(count or 1)
        kinds = "".join(line[0] for line in lines)
        assert here == 0 or kinds.startswith("   ")
        assert behind == 0 or kinds.endswith("   ")
        assert set(kinds.strip(" ")) & {"+", "-"}


@pytest.mark.parametrize("ends", [False, True])
def test_the_diff_of_a_large_file_takes_no_minutes(ends: bool) -> None:
    """1 MiB of lines that are much alike. It took five."""
    body = b"".join(b"%d,\n" % (100 + place * 37 % 115) for place in range(200_000))
    old, new = (b"{%d\n%s%d}\n" % (n, body, n * ends) for n in (1, 2))
    began = time.process_time()
    text = diff(old, new)
    assert time.process_time() - began < 5
    assert len(text.splitlines()) == (2 * 200_002 + 3 if ends else 8)


def test_the_diff_says_when_a_last_line_has_no_end() -> None:
    assert diff(b"a", b"b").count("\\ No newline at end of file") == 2
    assert diff(b"a\n", b"a\n") == ""
    assert "\ufffd" in diff(b"\xff\n", b"b\n", "10-a.conf")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("10-net.conflist", "a/10-net.conflist"),
        ("mein netz ü.conf", "a/mein netz ü.conf"),
        ("a\n+++ b/other", '"a/a\\012+++ b/other"'),
        ("\x1b[31m\t.conf", '"a/\\033[31m\\011.conf"'),
        ('say "x"\\.conf', '"a/say \\"x\\"\\\\.conf"'),
        ("\udcff.conf", '"a/\\377.conf"'),
    ],
)
def test_a_files_name_is_one_header_of_a_patch(name: str, header: str) -> None:
    made = diff(b"1\n", b"2\n", name).split("\n")
    assert made[:2] == [f"--- {header}", f"+++ {header.replace('a/', 'b/', 1)}"]
    moved = diff(b"1\n", b"2\n", name, "x.conflist").split("\n")
    assert moved[0] == f"diff --git {header} b/x.conflist"
    assert len(moved) == len(made) + 3
    assert diff(b"1\n", b"2\n", name, name).split("\n") == made
