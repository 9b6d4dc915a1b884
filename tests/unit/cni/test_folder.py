"""Which file counts, for each runtime."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.cni import config, folder
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.runtimes import lookup
from tests.unit.cni import samples

CONTAINERD = lookup("containerd://1.6.2")
CRIO = lookup("cri-o://1.23.0")
GOOD = samples.bridge("1.0.0")


def configs(**files: bytes) -> list[config.Config]:
    """Configs by file name, in which a double underscore stands for a dot or dash."""
    return [config.read(name, data) for name, data in files.items()]


def test_names_are_sorted_by_bytes_and_hidden_files_come_first() -> None:
    names = ["10-b.conf", "\u00e9.conf", "z.json", ".00-x.conflist", "Z.conf", "a.bak", "a.CONF"]
    assert folder.loadable(names) == [
        ".00-x.conflist",
        "10-b.conf",
        "Z.conf",
        "z.json",
        "\u00e9.conf",
    ]


@given(st.lists(st.text(max_size=8)))
def test_only_the_three_extensions_are_loaded(names: list[str]) -> None:
    for name in folder.loadable([*names, *(f"{name}.conf" for name in names)]):
        assert name.endswith((".conf", ".conflist", ".json"))


def test_containerd_takes_the_first_and_says_when_it_is_hidden() -> None:
    files = configs(**{"20-b.conflist": GOOD, ".10-a.conflist": GOOD})
    loaded = folder.active(files, CONTAINERD)
    assert [file.name for file in loaded.files] == [".10-a.conflist"]
    assert [finding.code for finding in loaded.findings] == [Code.DOTFILE]


def test_a_first_invalid_file_aborts_containerd_and_is_skipped_by_crio() -> None:
    files = configs(**{"10-a.conflist": b"{", "20-b.conflist": GOOD})
    aborted = folder.active(files, CONTAINERD)
    assert aborted.files == ()
    assert aborted.failed is files[0]
    assert [finding.code for finding in aborted.findings] == [Code.UNPARSABLE]
    skipped = folder.active(files, CRIO)
    assert [file.name for file in skipped.files] == ["20-b.conflist"]
    assert [finding.code for finding in skipped.findings] == [Code.SKIPPED_FILE]


def test_a_later_invalid_file_does_not_reach_containerd_unless_it_takes_more() -> None:
    files = configs(**{"10-a.conflist": GOOD, "20-b.conflist": b"{"})
    assert folder.active(files, CONTAINERD).failed is None
    for max_conf_num in (2, 0):
        assert folder.active(files, CONTAINERD, max_conf_num).failed is files[1]


def test_crio_can_be_told_the_network_by_name() -> None:
    other = samples.BRIDGE.replace("containerd-net", "other").encode()
    files = configs(**{"10-a.conflist": other, "20-b.conflist": GOOD})
    loaded = folder.active(files, CRIO, default_network="containerd-net")
    assert [file.name for file in loaded.files] == ["20-b.conflist"]
    assert folder.active(files, CRIO, default_network="none").files == ()


def test_crio_asks_the_plugins_before_it_takes_a_file() -> None:
    lower = samples.BRIDGE.replace("{", '{"cniVersion": "0.4.0",', 1).replace("-net", "-2")
    files = configs(**{"10-a.conflist": GOOD, "20-b.conflist": lower.encode()})
    old = samples.plugins("0.4.0")
    loaded = folder.active(files, CRIO, plugins=old)
    assert [file.name for file in loaded.files] == ["20-b.conflist"]
    assert [finding.code for finding in loaded.findings] == [Code.SKIPPED_FILE]
    alone = folder.active(files[:1], CRIO, plugins=old)
    assert [file.name for file in alone.files] == ["10-a.conflist"]
    ipam = samples.plugins("1.1.0", host_local="0.4.0")
    assert folder.active(files, CRIO, plugins=ipam).files[0].name == "10-a.conflist"


def test_crio_names_a_nameless_network_by_its_file() -> None:
    data = b'{"cniVersion": "1.0.0", "type": "bridge"}'
    named = folder.active(configs(**{"10-a.conf": data}), CRIO).files[0]
    assert (named.network, named.notes) == ("10-a.conf", ())
    hidden = folder.active(configs(**{".a.conf": data}), CRIO).files[0]
    assert [note.code for note in hidden.notes] == [Code.MISSING_NAME]


DEEP = b'{"name": "n", "plugins": [{"type": "bridge", "x": ' + b"[" * 200 + b"]" * 200 + b"}]}"


def unread(name: str) -> config.Config:
    """A file of which there are no bytes."""
    finding = Finding(Code.FILE_UNREADABLE, Severity.FAULT, name, "it cannot be read", "see why")
    return config.Config(name, config.kind_of(name), error=finding, unjudged=True)


@pytest.mark.parametrize(
    "unseen", [config.read("10-a.conflist", DEEP), unread("10-a.conflist")], ids=["deep", "lost"]
)
def test_what_cannot_be_read_here_is_not_taken_for_skipped_or_refused(
    unseen: config.Config,
) -> None:
    """libcni reads 10,000 levels and files of any size: it may well load this one."""
    good = configs(**{"05-a.conflist": b"{", "20-b.conflist": GOOD})
    for name in (None, "containerd-net"):
        loaded = folder.active([unseen, *good], CRIO, default_network=name)
        assert (loaded.files, loaded.failed, loaded.unjudged) == ((), None, unseen)
        assert [finding.component for finding in loaded.findings] == ["05-a.conflist"]
    first = folder.active([unseen, good[1]], CONTAINERD)
    assert (first.files, first.failed, first.unjudged) == ((), None, unseen)
    aborted = folder.active([unseen, *good], CONTAINERD, max_conf_num=0)
    assert (aborted.failed, aborted.unjudged) == (good[0], None), "the load fails all the same"
    before = configs(**{"00-b.conflist": GOOD})
    for runtime in (CRIO, CONTAINERD):
        assert folder.active([unseen, *before], runtime).files == tuple(before)


def test_an_empty_folder_has_nothing() -> None:
    for runtime in (CONTAINERD, CRIO):
        loaded = folder.active([], runtime)
        assert loaded.files == ()
        assert loaded.failed is None
