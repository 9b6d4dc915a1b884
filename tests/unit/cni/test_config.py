"""A config is read as each release of libcni reads it; the table is the one libcni is judge of."""

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.findings import Code, Severity
from tests.judge.table import ALL, ROWS, Row
from tests.unit.cni import samples


@pytest.mark.parametrize("release", ALL)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_the_table_of_quirks(row: Row, release: str) -> None:
    found = config.read(row.name, row.data, release, row.inline)
    assert (found.error is None) == (release in row.loaded_by), found.error
    if found.error is not None:
        assert found.error.severity == Severity.FAULT
        assert found.error.component == row.name
        assert found.mendable or found.plugins == ()
        return
    assert found.network == row.network
    assert (found.version or "") == row.version_by.get(release, row.version)
    assert found.plugins == tuple(dict.fromkeys(row.chain))
    hidden = any(note.code == Code.HIDDEN_VERSION for note in found.notes)
    assert hidden or row.told is None
    told = found.version or "" if row.told is None else row.told
    assert {call.at(found.version) for call in found.calls} == {(told,)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("10-a.conf", "conf"),
        ("10-a.json", "conf"),
        ("10-a.conflist", "conflist"),
        (".conflist", "conflist"),
        (".00-x.conf", "conf"),
        ("a.b.conf", "conf"),
        ("a.CONF", "other"),
        ("a.conf.bak", "other"),
        ("a.conflist.cnitmp", "other"),
        ("a.conf~", "other"),
        ("conf", "other"),
        ("", "other"),
    ],
)
def test_only_the_extension_makes_a_config(name: str, kind: str) -> None:
    assert config.kind_of(name) == kind


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"name": "n", "plugins": [{"type": "b"}],}', Code.UNPARSABLE),
        (b'{"name": "n", "plugins": [{"type": "b", "mtu": __MTU__}]}', Code.TEMPLATE_NOT_RENDERED),
        (b'{"name": "{{ .Values.n }}", "x": {{ .y }}}', Code.TEMPLATE_NOT_RENDERED),
        (b'{% if x %}{"name": "n"}{% endif %}', Code.TEMPLATE_NOT_RENDERED),
        (b'{"name": "n", "plugins": [{"type": "b", "mtu": ${MTU}}]}', Code.TEMPLATE_NOT_RENDERED),
        (b"[" * 5000, Code.TOO_DEEP),
        (b'{"plugins": [{"type": "b"}]}', Code.MISSING_NAME),
        (b'{"name": 1, "plugins": [{"type": "b"}]}', Code.INVALID),
        (b'{"name": "n", "plugins": [{"typ": "b"}]}', Code.MISSING_TYPE),
        (b'{"name": "n", "plugins": []}', Code.MISSING_PLUGINS),
        (b"", Code.UNPARSABLE),
        (b"\x00" * 4096, Code.UNPARSABLE),
    ],
)
def test_each_way_to_be_refused_has_a_name(data: bytes, code: Code) -> None:
    error = config.read("10-a.conflist", data).error
    assert error is not None
    assert error.code == code
    assert error.action


def test_null_for_a_plugin_is_named_as_the_crash_that_it_is() -> None:
    data = b'{"name": "n", "plugins": [null]}'
    old, new = (config.read("a.conflist", data, release).error for release in ("1.0.1", "1.1.0"))
    assert old is not None
    assert new is not None
    assert (old.code, new.code) == (Code.CRASHES, Code.MISSING_TYPE)


def test_a_list_in_a_conf_is_named_as_such() -> None:
    error = config.read("10-a.conf", samples.bridge("1.0.0")).error
    assert error is not None
    assert error.code == Code.LIST_IN_CONF


@pytest.mark.parametrize(
    ("text", "name", "chain"),
    [
        (samples.BRIDGE, "a.conflist", ("bridge", "host-local", "portmap")),
        (samples.FLANNEL, "a.conflist", ("flannel", "bridge", "host-local", "portmap")),
        (samples.CALICO, "a.conflist", ("calico", "calico-ipam", "portmap", "bandwidth")),
        (
            samples.MULTUS,
            "00-multus.conf",
            ("multus", "calico", "calico-ipam", "portmap", "macvlan", "static"),
        ),
        (
            '{"name": "n", "type": "flannel", "delegate": {"type": "ipvlan"}}',
            "a.conf",
            ("flannel", "ipvlan", "host-local"),
        ),
        (
            '{"name": "n", "type": "x", "Delegate": {"type": "y", "delegate": {"type": "z"}}}',
            "a.conf",
            ("x", "y", "z"),
        ),
    ],
)
def test_the_chain_holds_every_binary_that_runs(
    text: str, name: str, chain: tuple[str, ...]
) -> None:
    assert config.read(name, text.encode()).plugins == chain


@pytest.mark.parametrize("network", ["", "-net", "a b", "é", "a/b"])
def test_a_name_that_libcni_refuses_on_add_is_said(network: str) -> None:
    data = samples.BRIDGE.replace("containerd-net", network).encode()
    found = config.read("a.conflist", data)
    assert found.error is None
    assert [note.code for note in found.notes] == [Code.MISSING_NAME]


def test_a_template_that_is_valid_json_is_said() -> None:
    data = samples.BRIDGE.replace("cni0", "__BRIDGE__").encode()
    assert [note.code for note in config.read("a.conflist", data).notes] == [
        Code.TEMPLATE_NOT_RENDERED
    ]


def test_a_plain_file_has_nothing_to_say() -> None:
    assert config.read("a.conflist", samples.bridge("1.0.0")).notes == ()


def test_the_same_file_under_another_release() -> None:
    data = samples.bridge("0.4.0").replace(b"{", b'{"cniVersions": ["1.1.0"],', 1)
    newest = config.read("a.conflist", data)
    assert newest.version == "1.1.0"
    assert newest.versions == ("1.1.0",)
    assert newest.under("1.1.2").version == "0.4.0"
