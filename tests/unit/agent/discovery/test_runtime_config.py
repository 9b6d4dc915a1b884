"""A runtime's own files say which folders it uses, or that it is not known which."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent.discovery import runtime_config
from cni_upgrade.cni.runtime_config import Stated
from tests.unit.agent.configured import DEFAULT, ETC, ETC_CNI, NO_BINS, V2, V3, put, wrong


def test_nothing_there_is_nothing_known(tmp_path: Path) -> None:
    for runtime in ("", "docker://24.0.7"):
        assert runtime_config.read(str(tmp_path), runtime) == runtime_config.Found()
    by_default = runtime_config.Found(default="/etc/cni/net.d")
    for runtime in ("containerd://1.6.2", "cri-o://1.30.0"):
        assert runtime_config.read(str(tmp_path), runtime) == by_default


def test_a_file_that_says_nothing_of_cni(tmp_path: Path) -> None:
    """Then it is the runtime's own default that is read: no preset, however usual."""
    put(tmp_path, ETC, "version = 2\n")
    put(tmp_path, "etc/crio/crio.conf", "[crio.runtime]\n")
    assert runtime_config.read(str(tmp_path), "containerd://1.6.2").stated == replace(
        DEFAULT, runtime="containerd", files=(f"/{ETC}",)
    )
    assert runtime_config.read(str(tmp_path), "cri-o://1.30.0").stated == replace(
        DEFAULT, runtime="cri-o", files=("/etc/crio/crio.conf",)
    )


def test_a_file_that_says_nothing_may_be_the_one(tmp_path: Path) -> None:
    put(tmp_path, ETC, "version = 2\n")
    put(tmp_path, "var/snap/microk8s/current/args/containerd.toml", V2 + 'conf_dir = "/b"\n')
    assert "is not known which" in wrong(tmp_path, "containerd://1.7.0")


def test_two_that_could_be_meant(tmp_path: Path) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/a"\n')
    put(tmp_path, "var/snap/microk8s/current/args/containerd.toml", V2 + 'conf_dir = "/b"\n')
    said = wrong(tmp_path, "containerd://1.7.0")
    assert "/etc/containerd/config.toml and /var/snap" in said
    assert "is not known which" in said


def test_containerd_without_its_cri_part_is_not_the_one(tmp_path: Path) -> None:
    put(tmp_path, ETC, 'disabled_plugins = ["cri"]\n[plugins.cri.cni]\nconf_dir = "/a"\n')
    assert "CRI part is off, so the node has another containerd" in wrong(tmp_path)
    assert runtime_config.read(str(tmp_path), "") == runtime_config.Found()
    put(tmp_path, "etc/k0s/containerd.toml", V2 + 'conf_dir = "/b"\n')
    stated = runtime_config.read(str(tmp_path), "containerd://1.6.2").stated
    assert stated is not None
    assert stated.conf_dir == "/b"


@pytest.mark.parametrize(
    ("text", "runtime", "said"),
    [
        ("version = \n", "containerd://1.6.2", "/etc/containerd/config.toml: is not TOML"),
        ("version = 3\n", "containerd://1.6.2", "version: expected 1 or 2"),
        ("version = true\n", "containerd://2.0.0", "version: expected a whole number"),
        ("version = 0x" + "f" * 5000 + "\n", "containerd://1.6.2", "version: expected a whole"),
        (V2 + "conf_dir = ''\n", "containerd://1.6.2", "conf_dir: expected a folder"),
        (V2 + "bin_dir = ''\n", "containerd://1.6.2", "bin_dir: expected a folder"),
        (V2 + "bin_dir = ''\n", "containerd://2.2.0", "bin_dirs: expected folders"),
        (V2 + "conf_dir = 5\n", "containerd://1.6.2", "conf_dir: expected a string"),
        (V2 + "max_conf_num = '1'\n", "containerd://1.6.2", "max_conf_num: expected a whole"),
        ("version = 2\nplugins = 3\n", "containerd://1.6.2", "plugins: expected a table"),
        ("version = 2\nimports = 'x'\n", "containerd://1.6.2", "imports: expected a list"),
        ("imports = ['/nope.toml']\n", "containerd://1.6.2", "/nope.toml: is imported by /etc"),
        ("imports = ['d/*.toml']\n", "containerd://1.6.2", "expected an absolute one"),
        ("imports = ['/d/[a]*.toml']\n", "containerd://2.1.0", "expected only * and ?"),
        (
            V2 + 'conf_dir = "/a"\n[plugins."io.containerd.cri.v1.runtime".cni]\nconf_dir = "/b"\n',
            "containerd://2.1.0",
            "keep one",
        ),
        ("x = '" + "x" * (1 << 20) + "'\n", "containerd://1.6.2", "larger than 1048576 bytes"),
    ],
)
def test_what_cannot_be_relied_on(tmp_path: Path, text: str, runtime: str, said: str) -> None:
    put(tmp_path, ETC, text)
    assert said in wrong(tmp_path, runtime)


CNI_CRI = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".%s]\n%s = "/srv/cni"\n'


@pytest.mark.parametrize(
    ("text", "by_release"),
    [
        # Tried with containerd 1.6.2, 1.6.38 and 2.4.2 (tests/judge/test_runtime_config.py).
        (CNI_CRI % ("cni", "CONF_DIR"), {"1.4.13": True, "1.6.2": True, "2.1.0": True}),
        (CNI_CRI % ("CNI", "conf_dir"), {"1.4.13": True, "1.6.2": True, "2.1.0": True}),
        (CNI_CRI % ("cni", "Conf_Dir"), {"1.4.13": True, "1.6.2": False, "2.1.0": True}),
        (CNI_CRI % ("Cni", "conf_dir"), {"1.4.13": True, "1.6.2": False, "2.1.0": True}),
    ],
)
def test_the_spellings_that_a_release_reads(
    tmp_path: Path, text: str, by_release: dict[str, bool]
) -> None:
    put(tmp_path, ETC, text)
    for release, read in by_release.items():
        stated = runtime_config.read(str(tmp_path), f"containerd://{release}").stated
        assert stated is not None
        assert stated.conf_dir == ("/srv/cni" if read else "/etc/cni/net.d"), release


def test_spellings_of_which_it_is_not_known_which_counts(tmp_path: Path) -> None:
    both = V2 + 'conf_dir = "/a"\nCONF_DIR = "/b"\n'
    put(tmp_path, ETC, both)
    stated = runtime_config.read(str(tmp_path), "containerd://1.6.2").stated
    assert stated is not None
    assert stated.conf_dir == "/a"
    assert "conf_dir and CONF_DIR: are one member" in wrong(tmp_path, "containerd://2.1.0")
    put(tmp_path, ETC, V2 + 'Conf_Dir = "/b"\n')
    assert "depends on the release" in wrong(tmp_path, "")
    put(tmp_path, ETC, 'version = 2\nIMPORTS = ["/etc/more.toml"]\n')
    assert "expected it in small letters" in wrong(tmp_path, "")
    put(tmp_path, ETC, 'imports = ["/etc/more.toml"]\n' + V2 + 'conf_dir = "/a"\n')
    put(tmp_path, "etc/more.toml", V2 + 'CONF_DIR = "/b"\n')
    assert "its members in small letters" in wrong(tmp_path, "containerd://2.1.0")
    put(tmp_path, ETC, V2 + 'BIN_DIR = "/b"\n')
    assert "bin_dir: expected it in small" in wrong(tmp_path, "containerd://2.1.0")
    stated = runtime_config.read(str(tmp_path), "containerd://2.4.2").stated
    assert stated is not None
    assert stated.bin_dirs == ("/opt/cni/bin",)


def test_crio_reads_any_spelling(tmp_path: Path) -> None:
    put(tmp_path, "etc/crio/crio.conf", '[Crio.NETWORK]\nNetwork_Dir = "/a"\n')
    stated = runtime_config.read(str(tmp_path), "cri-o://1.23.0").stated
    assert stated is not None
    assert stated.conf_dir == "/a"
    put(tmp_path, "etc/crio/crio.conf.d/1", '[crio.network]\nnetwork_dir = "/b"\n')
    stated = runtime_config.read(str(tmp_path), "cri-o://1.23.0").stated
    assert stated is not None
    assert stated.conf_dir == "/b"
    put(tmp_path, "etc/crio/crio.conf.d/1", ETC_CNI + 'NETWORK_DIR = "/b"\n')
    assert "are one member: keep one" in wrong(tmp_path, "cri-o://1.23.0")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    put(tmp_path, ETC, "")
    (tmp_path / ETC).write_bytes(b"\xff\xfe")
    assert "is not TOML" in wrong(tmp_path)


def test_a_link_that_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "etc/containerd").mkdir(parents=True)
    (tmp_path / ETC).symlink_to("/nix/store/x/config.toml")
    assert "leads to /nix/store/x/config.toml, which is not there" in wrong(tmp_path)


@pytest.mark.parametrize(
    ("main", "text", "folder", "runtime"),
    [
        (ETC, 'imports = ["/etc/more/*.toml"]\n', "etc/more", "containerd://1.7.2"),
        ("etc/crio/crio.conf", "", "etc/crio/crio.conf.d", "cri-o://1.29.4"),
    ],
)
def test_a_folder_of_drop_ins_that_is_not_mounted(
    tmp_path: Path, main: str, text: str, folder: str, runtime: str
) -> None:
    """What stands in it may name another folder of configs."""
    put(tmp_path, main, text)
    (tmp_path / folder).symlink_to("/srv/more")
    assert f"/{folder}: leads to /srv/more, which is not there or not mounted" in wrong(
        tmp_path, runtime
    )


def test_a_folder_of_drop_ins_that_leads_nowhere_on_the_machine_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is here, and the runtime passes over such a folder."""
    put(tmp_path, "config.toml", f'imports = ["{tmp_path}/more/*.toml"]\n')
    (tmp_path / "more").symlink_to("of/nothing")
    monkeypatch.setattr(runtime_config, "RANCHER", (f"{tmp_path}/config.toml",))
    assert runtime_config.read("", "containerd://1.7.22-k3s1").stated is not None


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "etc/containerd").mkdir(parents=True)
    os.mkfifo(tmp_path / ETC)
    assert "it is no plain file" in wrong(tmp_path)


def test_too_many_imports(tmp_path: Path) -> None:
    put(tmp_path, ETC, 'imports = ["/d/*"]\n')
    for number in range(64):
        put(tmp_path, f"d/{number}", "version = 2\n")
    assert "more than 64 files" in wrong(tmp_path)


@pytest.mark.parametrize(
    ("text", "by_release"),
    [
        # Deprecated in 2.1 in favour of bin_dirs, and gone after it.
        (
            V3 + 'bin_dir = "/a"\n',
            {"2.0.5": ("/a",), "2.1.3": ("/a",), "2.2.0": None},
        ),
        (V3 + 'bin_dirs = ["/a", "/b"]\n', {"2.0.5": None, "2.1.3": ("/a", "/b")}),
        (V3 + 'bin_dir = "/a"\nbin_dirs = ["/b"]\n', {"2.0.5": ("/a",), "2.2.0": ("/b",)}),
        # As `containerd config default` of 2.1 writes them.
        (V3 + 'bin_dir = ""\nbin_dirs = ["/b"]\n', {"2.1.3": ("/b",), "2.2.0": ("/b",)}),
        (V3 + 'bin_dir = ""\n', {"2.1.3": None}),
        (
            V2 + 'conf_dir = "/c"\nbin_dir = "/a"\nbin_dirs = ["/b"]\n',
            {"1.6.2": ("/a",), "1.7.29": ("/a",), "2.0.5": ("/a",)},
        ),
        (V2 + 'conf_dir = "/c"\nbin_dirs = ["/b"]\n', {"1.7.29": None, "2.0.5": None}),
    ],
)
def test_the_plugin_folders_that_a_release_reads(
    tmp_path: Path, text: str, by_release: dict[str, tuple[str, ...] | None]
) -> None:
    put(tmp_path, ETC, text)
    for release, bin_dirs in by_release.items():
        stated = runtime_config.read(str(tmp_path), f"containerd://{release}").stated
        assert stated is not None
        assert (stated.conf_dir, stated.files) == ("/c", (f"/{ETC}",))
        assert stated.bin_dirs == (bin_dirs or DEFAULT.bin_dirs), release
        assert stated.defaults == (() if bin_dirs else ("plugins",)), release


def test_what_depends_on_a_release_that_is_not_known(tmp_path: Path) -> None:
    put(tmp_path, ETC, V3 + 'bin_dirs = ["/opt/cni/bin", "/b"]\n')
    assert "depends on the release of containerd" in wrong(tmp_path, "")
    put(tmp_path, ETC, V3)
    stated = runtime_config.read(str(tmp_path), "").stated
    assert stated == replace(NO_BINS, conf_dir="/c", files=(f"/{ETC}",))


def test_crio_and_its_drop_ins(tmp_path: Path) -> None:
    put(
        tmp_path,
        "etc/crio/crio.conf",
        '[crio.network]\nnetwork_dir = "/a"\nplugin_dirs = ["/p", "/q"]\nplugin_dir = "/r"\n',
    )
    put(tmp_path, "etc/crio/crio.conf.d/20-x", '[crio.network]\ncni_default_network = "n"\n')
    put(tmp_path, "etc/crio/crio.conf.d/10-a/b.conf", '[crio.network]\nnetwork_dir = "/b"\n')
    put(tmp_path, "etc/crio/crio.conf.d/10-a.conf", '[crio.network]\nnetwork_dir = "/last"\n')
    stated = runtime_config.read(str(tmp_path), "cri-o://1.30.0").stated
    # filepath.Walk compares names: 10-a comes before 10-a.conf.
    last = "/etc/crio/crio.conf.d/10-a.conf"
    assert stated == Stated(
        "cri-o",
        "/last",
        ("/p", "/q", "/r"),
        default_network="n",
        files=("/etc/crio/crio.conf", last, "/etc/crio/crio.conf.d/20-x"),
    )


def test_crio_puts_plugin_dir_after_its_default(tmp_path: Path) -> None:
    put(tmp_path, "etc/crio/crio.conf", '[crio.network]\nplugin_dir = "/r"\n')
    stated = runtime_config.read(str(tmp_path), "cri-o://1.23.0").stated
    assert stated is not None
    assert (stated.bin_dirs, stated.defaults) == (("/opt/cni/bin", "/r"), ("configs",))


def test_a_loopback_that_is_neither_wanted_nor_not(tmp_path: Path) -> None:
    put(tmp_path, ETC, V3 + 'use_internal_loopback = "yes"\n')
    assert "expected true or false" in wrong(tmp_path, "containerd://2.2.0")


def test_a_loopback_says_nothing_of_the_folders(tmp_path: Path) -> None:
    """Where no release is known these are the same for all, and only some read the loopback."""
    put(tmp_path, ETC, 'version = 2\nimports = ["/etc/more.toml"]\n')
    put(tmp_path, "etc/more.toml", V2 + "use_internal_loopback = true\n")
    assert runtime_config.read(str(tmp_path), "").stated == replace(DEFAULT, files=(f"/{ETC}",))
    put(tmp_path, ETC, V3 + "use_internal_loopback = true\n")
    stated = runtime_config.read(str(tmp_path), "").stated
    assert stated is not None
    assert stated.internal_loopback, "of those that read such a file each reads it"


def test_an_import_that_no_system_call_takes(tmp_path: Path) -> None:
    put(tmp_path, ETC, 'version = 2\nimports = ["/etc/*/a\\u0000", "/etc/b\\u0000"]\n')
    assert "is imported by" in wrong(tmp_path)
