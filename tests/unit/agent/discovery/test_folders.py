"""Folders are found as chroot would find them: a host's links never lead out of its root."""

from pathlib import Path

import pytest

from cni_upgrade.agent.discovery.folders import find
from cni_upgrade.agent.discovery.host_paths import BrokenLinkError, resolve
from cni_upgrade.agent.protocol.operation import Paths
from cni_upgrade.cni.findings import Severity


@pytest.mark.parametrize(
    ("path", "broken"),
    [
        ("/good/none", False),
        ("/bad", True),
        ("/bad/none", True),
        ("/over/none", False),
        ("/good/a/to-b/none", False),
        ("/good/a/to-none", True),
        ("/none/good", False),
    ],
)
def test_a_link_is_broken_only_where_it_leads_nowhere(
    path: str, broken: bool, tmp_path: Path
) -> None:
    """/opt is a link on some systems: that nothing stands beneath it is no fault of the link."""
    (tmp_path / "real/a/b").mkdir(parents=True)
    (tmp_path / "good").symlink_to("/real")
    (tmp_path / "over").symlink_to("good/a")
    (tmp_path / "bad").symlink_to("/real/none/more")
    (tmp_path / "real/a/to-b").symlink_to("/good/a/b")
    (tmp_path / "real/a/to-none").symlink_to("/over/none")
    with pytest.raises(FileNotFoundError) as caught:
        resolve(str(tmp_path), path)
    assert isinstance(caught.value, BrokenLinkError) is broken


def test_a_plain_path(tmp_path: Path) -> None:
    (tmp_path / "opt/cni/bin").mkdir(parents=True)
    assert resolve(str(tmp_path), "/opt/cni/bin") == f"{tmp_path}/opt/cni/bin"
    assert resolve("", str(tmp_path / "opt")) == f"{tmp_path}/opt"


def test_an_absolute_link_is_the_hosts(tmp_path: Path) -> None:
    """k3s: data/cni/bridge -> /var/lib/rancher/k3s/data/<hash>/bin/cni."""
    target = tmp_path / "var/lib/rancher/k3s/data/1234/bin"
    target.mkdir(parents=True)
    (target / "cni").write_text("x")
    (target.parent.parent / "cni").mkdir()
    (target.parent.parent / "cni/bridge").symlink_to("/var/lib/rancher/k3s/data/1234/bin/cni")
    assert resolve(str(tmp_path), "/var/lib/rancher/k3s/data/cni/bridge") == str(target / "cni")


def test_nothing_climbs_out(tmp_path: Path) -> None:
    root = tmp_path / "host"
    (root / "etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (root / "etc/out").symlink_to("../../../../secret")
    with pytest.raises(BrokenLinkError) as caught:
        resolve(str(root), "/etc/out")
    assert caught.value.target == "/secret"
    (root / "secret").write_text("the host's own")
    assert resolve(str(root), "/etc/out") == str(root / "secret")
    assert resolve(str(root), "/../../secret") == str(root / "secret")


@pytest.mark.parametrize("path", ["/f/", "/f/.", "/f/..", "/f//", "/f/../f", "/l", "/d/../f/x"])
def test_a_path_leads_through_no_file(tmp_path: Path, path: str) -> None:
    """The kernel lets nobody through either, so the runtime finds nothing there."""
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("")
    (tmp_path / "l").symlink_to("f/../f")
    for root, asked in ((str(tmp_path), path), ("", f"{tmp_path}{path}")):
        with pytest.raises(NotADirectoryError):
            resolve(root, asked)
    assert resolve(str(tmp_path), "/d/../f") == str(tmp_path / "f")
    assert resolve(str(tmp_path), "/d/.//") == str(tmp_path / "d")


def test_a_path_that_no_system_call_takes_is_not_there(tmp_path: Path) -> None:
    """A network named "a\\u0000b" is valid JSON, and its folder is looked for."""
    with pytest.raises(FileNotFoundError):
        resolve(str(tmp_path), "/etc/cni/net.d/a\0b")


def test_a_circle_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        resolve(str(tmp_path), "/a")


def test_the_first_config_folder_and_all_plugin_folders(tmp_path: Path) -> None:
    for folder in ("second", "third", "bin1", "bin3"):
        (tmp_path / folder).mkdir()
    found = find(
        str(tmp_path),
        Paths(("/first", "/second", "/third"), ("/bin1", "/bin2", "/bin3"), "/cache", "/state"),
    )
    assert found.conf_dir == ("/second", str(tmp_path / "second"))
    assert [host for host, _ in found.bin_dirs] == ["/bin1", "/bin3"]
    assert found.cache_dir is None
    assert found.findings == ()
    assert found.report().to_json() == {
        "confDir": "/second",
        "binDirs": ["/bin1", "/bin3"],
        "cacheDir": None,
        "source": "preset",
    }


def test_a_missing_folder_is_a_finding(tmp_path: Path) -> None:
    found = find(str(tmp_path), Paths())
    assert found.conf_dir is None
    assert [(str(f.code), f.severity) for f in found.findings] == [
        ("FolderMissing", Severity.FAULT)
    ] * 2
    assert "/etc/cni/net.d" in found.findings[0].message


def test_a_folder_behind_a_link_that_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "conf").symlink_to("/not/mounted")
    found = find(str(tmp_path), Paths(("/conf",), ("/conf",), "/conf", "/s"))
    assert any("/not/mounted" in finding.message for finding in found.findings)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("")
    assert find(str(tmp_path), Paths(("/conf", "/conf/x"), (), "/c", "/s")).conf_dir is None


def test_a_plugin_folder_that_cannot_be_seen_ends_the_search(tmp_path: Path) -> None:
    """What comes after it might not be what the runtime finds."""
    for folder in ("conf", "bin1", "bin3"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bin2").symlink_to("/not/mounted")
    paths = Paths(("/conf",), ("/bin1", "/bin2", "/bin3"), "/c", "/s")
    found = find(str(tmp_path), paths)
    assert ([host for host, _ in found.bin_dirs], found.unseen) == (["/bin1"], "/bin2")
    assert [str(each.code) for each in found.findings] == ["FolderMissing"]


def test_a_config_folder_that_cannot_be_seen_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "conf").symlink_to("/not/mounted")
    (tmp_path / "bin").mkdir()
    found = find(str(tmp_path), Paths(("/conf",), ("/bin",), "/c", "/s"))
    assert (found.conf_dir, found.findings) == (None, ())
    assert found.unread is not None
    assert "/not/mounted" in found.unread.message


def test_one_folder_under_two_names_is_one(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/10-a.conflist").write_text("{}")
    (tmp_path / "also").symlink_to("conf")
    assert find(str(tmp_path), Paths(("/also", "/conf"), (), "/c", "/s")).conf_dir is not None
