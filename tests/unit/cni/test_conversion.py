"""A list that is made of a single-plugin config is the same network, in the same words."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cni_upgrade.cni import config, golang, versions
from cni_upgrade.cni.conversion import convert
from cni_upgrade.cni.document import Node, parse
from cni_upgrade.cni.notes import names_a_network
from cni_upgrade.cni.rewrite import RELEASES, RewriteError
from tests.judge.folders import BYTES, Choices, content
from tests.unit.cni import patched

NAME = "10-a.conf"
GENERATED = settings(max_examples=400, suppress_health_check=list(HealthCheck))
LEVELS = st.sampled_from(versions.KNOWN)

PLAIN = b"""\
{
  "cniVersion": "0.3.1",
  "name": "net",
  "type": "bridge",
  "mtu": 1.50E3,
  "capabilities": {"portMappings": true},
  "ipam": {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.0.0/16"}]]
  },
  "args": {"cni": {"labels": []}},
  "dns": {"nameservers": ["10.0.0.10"]}
}
"""

AS_LIST = b"""\
{
  "cniVersion": "1.0.0",
  "name": "net",
  "plugins": [
    {
      "type": "bridge",
      "mtu": 1.50E3,
      "capabilities": {"portMappings": true},
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/16"}]]
      },
      "args": {"cni": {"labels": []}},
      "dns": {"nameservers": ["10.0.0.10"]}
    }
  ]
}
"""


def test_a_plain_one_keeps_every_word() -> None:
    made = convert(PLAIN, "1.0.0")
    assert made.data == AS_LIST
    assert convert(PLAIN.replace(b"\n", b"\r\n"), "1.0.0").data == AS_LIST.replace(b"\n", b"\r\n")
    tabs = PLAIN.replace(b"\n    ", b"\n\t\t").replace(b"\n  ", b"\n\t")
    assert b'\n\t"plugins": [\n\t\t{\n\t\t\t"type": "bridge",' in convert(tabs, "1.0.0").data


@pytest.mark.parametrize(
    ("text", "made"),
    [
        (
            '{"type":"b","name":"n"}',
            '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"b"}]}',
        ),
        (
            '{ "name": "n", "type": "b" }\n',
            '{ "cniVersion": "1.0.0", "name": "n", "plugins": [{ "type": "b" }] }\n',
        ),
        (
            '{"CNIVersion": "0.1.0", "name": "m", "Name": "n", "cniVersion": 1, "type": "b"}',
            '{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "b"}]}',
        ),
        (
            '{"name": "n", "type": "b", "disableCheck": true, "cniVersions": [], "prevResult": {}}',
            '{"cniVersion": "1.0.0", "name": "n", "plugins": '
            '[{"type": "b", "disableCheck": true, "cniVersions": [], "prevResult": {}}]}',
        ),
    ],
)
def test_in_the_files_own_manner(text: str, made: str) -> None:
    assert convert(text.encode(), "1.0.0").data.decode() == made


def test_a_folder_of_the_networks_name_stays_out() -> None:
    beside = {"x.conf": b'{"type": "tuning"}'}
    assert config.read("a.conf", PLAIN, "1.3.0", beside).plugins == ("bridge", "host-local")
    plain, alone = convert(PLAIN, "1.0.0").data, convert(PLAIN, "1.0.0", alone=True).data
    assert "tuning" in config.read("a.conflist", plain, "1.3.0", beside).plugins
    assert config.read("a.conflist", alone, "1.3.0", beside).plugins == ("bridge", "host-local")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"type": "bridge"}', "needs a name"),
        ('{"type": "bridge", "name": "-n"}', "needs a name"),
        ('{"type": "bridge", "name": "n", "plugins": []}', "a member plugins"),
        ('{"name": "n", "plugins": [{"type": "bridge"}]}', "ListInConf"),
        ('{"name": "n"}', "MissingType"),
        ("null", "Crashes"),
        ("{", "Unparsable"),
    ],
)
def test_what_cannot_become_one(text: str, said: str) -> None:
    with pytest.raises(RewriteError, match=said):
        convert(text.encode(), "1.0.0")


@st.composite
def convertible(draw: st.DrawFn) -> bytes:
    """A single-plugin config out of the generator of odd ones that has a name."""

    def can(data: bytes) -> bool:
        try:
            convert(data, "1.0.0")
        except RewriteError:
            return False
        return True

    made = st.binary(min_size=BYTES, max_size=BYTES).map(lambda each: content(Choices(each), NAME))
    return draw(made.filter(can))


@GENERATED
@given(st.binary(min_size=BYTES, max_size=BYTES), LEVELS)
def test_whatever_has_a_name_and_is_loaded_becomes_one(data: bytes, to: str) -> None:
    text = content(Choices(data), NAME)
    read = [config.read(NAME, text, release) for release in RELEASES]
    sound = all(each.error is None or each.mendable for each in read)
    named = names_a_network(read[-1].network or "")
    try:
        convert(text, to)
        refusal = ""
    except RewriteError as error:
        refusal = str(error)
    assert (sound and named) if not refusal else (not sound or not named or "plugins" in refusal)


@GENERATED
@given(convertible(), LEVELS, st.booleans())
def test_the_patch_makes_the_list_of_the_config(data: bytes, to: str, alone: bool) -> None:
    made = convert(data, to, alone=alone)
    patched.check(data, made.patch, made.data)


@GENERATED
@given(convertible(), LEVELS)
def test_the_plugin_keeps_its_words(data: bytes, to: str) -> None:
    """Each token of each member that is not the list's, in its order; only space is another."""
    made = parse(convert(data, to).data)
    plugin = next(m.value for m in made.root.members if m.key == "plugins").items[0]
    before = parse(data)
    members = [m for m in before.root.members if golang.fold(m.key) not in ("name", "cniversion")]
    old = [(m.key, _tokens(before.text, m.value)) for m in members]
    assert [(m.key, _tokens(made.text, m.value)) for m in plugin.members] == old


def _tokens(text: str, node: Node) -> Any:
    if node.kind == "object":
        return [(m.key, text[m.start : m.key_end], _tokens(text, m.value)) for m in node.members]
    if node.kind == "array":
        return [_tokens(text, item) for item in node.items]
    return text[node.start : node.end]
