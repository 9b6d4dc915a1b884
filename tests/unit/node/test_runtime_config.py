"""The folders are those that the runtime itself names, or said to be the usual ones."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.runtime_config import Stated
from cni_upgrade.node import runtime_config
from cni_upgrade.node.agent import run
from cni_upgrade.node.members import Members
from cni_upgrade.node.operation import Kind, Operation, Paths
from cni_upgrade.node.paths import Known
from tests.unit.node.host import VERSIONLESS, Host, codes, report

V2 = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\n'
ETC = "etc/containerd/config.toml"
K3S = "var/lib/rancher/k3s/agent/etc/containerd/config.toml"
K3S_CONF = "/var/lib/rancher/k3s/agent/etc/cni/net.d"
DEFAULT = Stated("containerd", "/etc/cni/net.d", ("/opt/cni/bin",), ("configs", "plugins"))
NO_BINS = replace(DEFAULT, defaults=("plugins",))


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def wrong(root: Path, runtime: str = "containerd://1.6.2") -> str:
    """The one finding's text, of a configuration that is not to be relied on."""
    found = runtime_config.read(str(root), runtime)
    assert (found.stated, found.findings) == (None, ())
    assert found.elsewhere is not None
    assert (str(found.elsewhere.code), found.elsewhere.severity) == (
        "RuntimeConfig",
        Severity.FAULT,
    )
    return found.elsewhere.message


def test_nothing_there_is_nothing_known(tmp_path: Path) -> None:
    for runtime in ("", "docker://24.0.7"):
        assert runtime_config.read(str(tmp_path), runtime) == runtime_config.Found()
    by_default = runtime_config.Found(default="/etc/cni/net.d")
    for runtime in ("containerd://1.6.2", "cri-o://1.30.0"):
        assert runtime_config.read(str(tmp_path), runtime) == by_default


def test_k3s_without_its_own_has_it_elsewhere(tmp_path: Path) -> None:
    """k3s and RKE2 write it at each start, below their data-dir."""
    assert "k3s and RKE2 write theirs" in wrong(tmp_path, "containerd://1.7.1-k3s1")


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


def test_k3s_reads_its_own(tmp_path: Path) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/etc/cni/net.d"\n')
    put(tmp_path, K3S, V2 + f'conf_dir = "{K3S_CONF}"\n')
    own = runtime_config.read(str(tmp_path), "containerd://1.7.22-k3s1").stated
    assert own == replace(NO_BINS, conf_dir=K3S_CONF, files=(f"/{K3S}",))
    other = runtime_config.read(str(tmp_path), "containerd://1.7.22").stated
    assert other == replace(NO_BINS, files=(f"/{ETC}",))


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


ETC_CNI = '[crio.network]\nnetwork_dir = "/etc/cni/net.d"\n'
V3 = 'version = 3\n[plugins."io.containerd.cri.v1.runtime".cni]\nconf_dir = "/c"\n'


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


USUAL = Paths((K3S_CONF, "/etc/cni/net.d"), ("/usr/lib/cni", "/opt/cni/bin"))


def test_an_audit_looks_where_the_runtime_does(host: Host) -> None:
    """A folder that stands first among the usual ones is left by something else."""
    left = host.root / K3S_CONF.strip("/")
    left.mkdir(parents=True)
    (left / "10-flannel.conflist").write_text(VERSIONLESS)
    asked = replace(host.audit(), paths=USUAL)
    seen = report(run(asked))
    assert (seen.paths.conf_dir, seen.verdict, seen.files) == ("/etc/cni/net.d", "NoConfig", ())
    found = report(run(replace(asked, runtime=""))).paths
    assert (found.conf_dir, found.known.source) == (K3S_CONF, "preset")
    put(host.root, ETC, V2 + 'conf_dir = "/etc/cni/net.d/"\nbin_dir = "/opt/cni/bin"\n')
    found = report(run(asked)).paths
    assert (found.conf_dir, found.bin_dirs) == ("/etc/cni/net.d", ("/opt/cni/bin",))
    assert found.known.source == "runtime config /etc/containerd/config.toml"


@pytest.mark.parametrize("runtime", ["containerd://1.7.22", "cri-o://1.30.0"])
def test_the_preset_of_another_installation(host: Host, runtime: str) -> None:
    """A policy for k3s that selects a node which was moved away from it."""
    left = host.root / K3S_CONF.strip("/")
    left.mkdir(parents=True)
    (left / "10-flannel.conflist").write_text(VERSIONLESS)
    host.plugins()
    host.runtime = runtime
    asked = replace(host.audit(), paths=Paths((K3S_CONF,), ("/opt/cni/bin",)))
    result = run(asked)
    assert (report(result).verdict, report(result).files) == ("Blocked", ())
    assert "FolderNotAllowed" in codes(result)
    other = "/srv/cni"
    (host.root / "srv/cni").mkdir(parents=True)
    seen = report(run(replace(asked, paths=Paths((K3S_CONF, other), ("/opt/cni/bin",)))))
    assert (seen.paths.conf_dir, seen.verdict) == (other, "NoConfig")


@pytest.mark.parametrize(
    ("runtime", "place"),
    [
        ("containerd://1.7.22-k3s1", K3S),  # k3s without flannel writes no folders
        ("containerd://1.7.22", ETC),
        ("cri-o://1.30.0", "etc/crio/crio.conf"),
    ],
)
def test_what_is_not_stated_is_the_runtimes_default(host: Host, runtime: str, place: str) -> None:
    """And never a folder that another installation has left."""
    left = host.root / K3S_CONF.strip("/")
    left.mkdir(parents=True)
    (left / "10-flannel.conflist").write_text(VERSIONLESS)
    (host.root / "usr/lib/cni").mkdir(parents=True)
    host.config()
    host.runtime = runtime
    put(host.root, place, "")
    found = report(run(replace(host.audit(), paths=USUAL))).paths
    assert (found.conf_dir, found.bin_dirs) == ("/etc/cni/net.d", ("/opt/cni/bin",))
    name = runtime.partition(":")[0]
    assert found.known.source == f"runtime config /{place}; configs and plugins: {name}'s default"


def test_one_member_that_is_not_stated(host: Host) -> None:
    host.config()
    put(host.root, ETC, V2 + 'conf_dir = "/etc/cni/net.d"\n')
    known = report(run(host.audit())).paths.known
    assert (
        known.source == "runtime config /etc/containerd/config.toml; plugins: containerd's default"
    )
    put(host.root, ETC, V2 + 'bin_dir = "/opt/cni/bin"\n')
    known = report(run(host.audit())).paths.known
    assert (
        known.source == "runtime config /etc/containerd/config.toml; configs: containerd's default"
    )


def test_copies_of_a_plugin_in_several_of_the_usual_folders(host: Host) -> None:
    """What the first one supports is a guess where the runtime may run the second."""
    host.config()
    host.plugins("1.1.0")
    asked = host.audit()
    other = host.root / "usr/lib/cni"
    other.mkdir(parents=True)
    shutil.copy(host.bin / "bridge", other / "bridge")
    alike = report(run(asked))
    assert (alike.verdict, alike.files[0].to) == ("Rewrite", "1.0.0")
    (other / "bridge").unlink()
    old = host.plugin("bridge", "0.4.0").rename(other / "bridge")
    host.plugin("bridge", "1.1.0")
    found = run(asked)
    assert (report(found).verdict, report(found).files[0].to) == ("Blocked", None)
    [said] = [each for each in report(found).findings if each.code == "FolderAmbiguous"]
    assert "/opt/cni/bin: 0.1.0 to 1.1.0; /usr/lib/cni: 0.1.0 to 0.4.0" in said.message
    # What the audit found is what the order to write carries: it is asked again by it.
    order = replace(host.apply(), paths=replace(asked.paths, known=report(found).paths.known))
    assert run(order).outcome == "Refused"
    put(host.root, ETC, V2 + 'bin_dir = "/opt/cni/bin"\n')
    assert report(run(asked)).files[0].to == "1.0.0"
    (host.root / ETC).unlink()
    by_hand = replace(asked.paths, by_hand=("--bin-dir",))
    assert report(run(replace(asked, paths=by_hand))).files[0].to == "1.0.0"
    old.write_text("#!/bin/sh\nexec sleep 60\n")
    assert report(run(asked)).verdict == "Blocked"
    old.unlink()
    old.symlink_to("/opt/cni/bin/bridge")
    assert report(run(asked)).files[0].to == "1.0.0"


@pytest.mark.parametrize("runtime", ["containerd://1.7.22", "cri-o://1.30.0"])
def test_plugins_where_a_runtime_that_is_told_nothing_does_not_look(
    host: Host, runtime: str
) -> None:
    """Debian's packages put them there, and tell containerd so: without that it finds none."""
    host.config()
    host.plugins()
    host.runtime = runtime
    other = host.root / "usr/lib/cni"
    other.parent.mkdir(parents=True)
    host.bin.rename(other)
    asked = host.audit()
    for place in (None, ETC if runtime.startswith("containerd") else "etc/crio/crio.conf"):
        if place:
            put(host.root, place, "")
        found = report(run(asked))
        assert (found.verdict, found.files[0].to) == ("Blocked", None), place
        assert not any(each.supported for each in found.plugins)
    (host.root / str(place)).unlink()
    said = [each.message for each in report(run(asked)).findings if each.code == "PluginUnknown"]
    assert "bridge stands in /usr/lib/cni and not in /opt/cni/bin" in said[0]
    assert run(host.apply()).outcome == "Refused"
    host.bin.mkdir()
    assert report(run(asked)).verdict == "Blocked"
    host.bin.rmdir()
    host.bin.symlink_to("/usr/lib/cni")
    assert report(run(asked)).files[0].to == "1.0.0", "it is the same folder"
    host.bin.unlink()
    by_hand = replace(asked.paths, by_hand=("--bin-dir",))
    assert report(run(replace(asked, paths=by_hand))).files[0].to == "1.0.0"
    named = replace(asked.paths, bin_dirs=("/usr/lib/cni",))
    assert report(run(replace(asked, paths=named))).files[0].to == "1.0.0"


def test_configs_in_several_of_the_usual_folders(host: Host) -> None:
    """Which of them the runtime reads is not known, so none is looked at and none is written."""
    host.config()
    host.plugins()
    other = host.root / K3S_CONF.strip("/")
    other.mkdir(parents=True)
    asked = replace(host.audit(), paths=USUAL)
    found = report(run(asked))
    assert (found.paths.conf_dir, found.verdict) == ("/etc/cni/net.d", "Rewrite")
    (other / "notes.txt").write_text("libcni does not load this")
    assert report(run(asked)).paths.conf_dir == "/etc/cni/net.d"
    (other / "10-flannel.conflist").write_text(VERSIONLESS)
    before = host.tree()
    result = run(asked)
    found = report(result)
    assert (found.paths.conf_dir, found.verdict, found.files) == (None, "Blocked", ())
    assert (found.baseline.add, found.baseline.delete) == (None, None)
    assert codes(result) == {"FolderAmbiguous"}
    assert f"{K3S_CONF} and /etc/cni/net.d" in found.findings[0].message
    order = replace(host.apply(), paths=USUAL)
    assert run(order).outcome == "Refused"
    kept = ("", "/lock", "/results", f"/results/{order.id}.json")
    assert host.tree().keys() - before.keys() <= {f"var/lib/cni-upgrade{each}" for each in kept}


def test_a_config_folder_that_is_not_allowed(host: Host) -> None:
    """What stands in the usual folder is not what this runtime reads: nothing is written."""
    host.config()
    put(host.root, ETC, V2 + 'conf_dir = "/root/.ssh"\n')
    (host.root / "root/.ssh").mkdir(parents=True)
    before = host.tree()
    result = run(host.audit())
    seen = report(result)
    assert (seen.paths.conf_dir, seen.verdict, seen.files) == (None, "Blocked", ())
    assert (seen.baseline.add, seen.baseline.delete) == (None, None)
    assert codes(result) == {"FolderNotAllowed"}
    assert any("/root/.ssh" in each.message for each in seen.findings)
    assert host.tree() == before


def test_plugin_folders_up_to_the_first_that_is_not_allowed(host: Host) -> None:
    """The plugin that we would ask might not be the one that the runtime runs."""
    host.config()
    host.runtime = "containerd://2.1.0"
    table = '[plugins."io.containerd.cri.v1.runtime".cni]\n'
    put(host.root, ETC, f'version = 3\n{table}bin_dirs = ["/opt/cni/bin", "/x", "/usr/lib/cni"]\n')
    (host.root / "usr/lib/cni").mkdir(parents=True)
    result = run(host.audit())
    assert report(result).paths.bin_dirs == ("/opt/cni/bin",)
    assert "FolderNotAllowed" in codes(result)
    put(host.root, ETC, f'version = 3\n{table}bin_dirs = ["/x", "/opt/cni/bin"]\n')
    result = run(host.audit())
    assert report(result).paths.bin_dirs == ()
    assert report(result).verdict == "Blocked"


def test_a_folder_under_another_name(host: Host) -> None:
    """k3s names data/<hash>/bin; allowed is data/current/bin, and current leads there."""
    data = host.root / "var/lib/rancher/k3s/data"
    (data / "1234/bin").mkdir(parents=True)
    (data / "current").symlink_to("/var/lib/rancher/k3s/data/1234")
    put(host.root, ETC, V2 + 'bin_dir = "/var/lib/rancher/k3s/data/1234/bin"\n')
    current = "/var/lib/rancher/k3s/data/current/bin"
    asked = replace(host.audit(), paths=Paths(bin_dirs=("/opt/cni/bin", current)))
    assert report(run(asked)).paths.bin_dirs == (current,)


def test_the_number_of_files_that_containerd_loads(host: Host) -> None:
    host.config("10-a.conflist")
    host.config("20-b.conflist")
    put(host.root, ETC, V2 + 'conf_dir = "/etc/cni/net.d"\nmax_conf_num = 0\n')
    seen = report(run(host.audit()))
    assert [file.active for file in seen.files] == [True, True]
    assert seen.paths.known.max_conf_num == 0


@pytest.mark.parametrize(
    ("runtime", "text", "internal"),
    [
        ("containerd://2.2.0", V3 + "use_internal_loopback = true\n", True),
        ("containerd://2.0.0", V3 + "use_internal_loopback = true\n", True),
        ("containerd://2.2.0", V2 + "use_internal_loopback = true\n", True),
        ("containerd://2.2.0", V3 + "use_internal_loopback = false\n", False),
        ("containerd://2.2.0", V3, False),
        ("containerd://1.7.29", V2 + "use_internal_loopback = true\n", False),
    ],
)
def test_a_containerd_that_needs_no_loopback_plugin(
    host: Host, runtime: str, text: str, internal: bool
) -> None:
    host.runtime = runtime
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "1.0.0",', 1))
    host.plugins()
    (host.bin / "loopback").unlink()
    put(host.root, ETC, text.replace('"/c"', '"/etc/cni/net.d"'))
    found = run(host.audit())
    assert report(found).paths.known.internal_loopback is internal
    assert report(found).verdict == ("Compatible" if internal else "Blocked")
    assert ("Loopback" in codes(found)) is not internal
    assert ("loopback" in {each.type for each in report(found).plugins}) is not internal
    known = Known.read(Members(report(found).paths.known.to_json()))
    assert known == report(found).paths.known, "it goes with an order to write"
    host.config()
    order = replace(host.apply(), paths=replace(host.audit().paths, known=known))
    assert report(run(order)).baseline.add is internal


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


def test_the_network_that_crio_takes_by_name(host: Host) -> None:
    host.runtime = "cri-o://1.30.0"
    host.config("10-a.conflist")
    host.config("20-b.conflist", '{"name": "other", "plugins": [{"type": "bridge"}]}')
    put(host.root, "etc/crio/crio.conf", '[crio.network]\ncni_default_network = "other"\n')
    seen = report(run(host.audit()))
    assert {file.name: file.active for file in seen.files} == {
        "10-a.conflist": False,
        "20-b.conflist": True,
    }


def test_an_apply_goes_by_what_the_audit_found(host: Host) -> None:
    """The runtime's configuration is not mounted for it."""
    host.config("10-a.conflist")
    host.config("20-b.conflist")
    put(host.root, ETC, V2 + 'conf_dir = "/etc/cni/net.d"\nmax_conf_num = 2\n')
    audited = report(run(host.audit()))
    (host.root / ETC).unlink()
    known = replace(Paths(), known=audited.paths.known)
    applied = run(replace(host.apply(), paths=known))
    assert applied.outcome == "Done", applied.error
    assert len(applied.changes) == 2
    assert report(applied).paths == replace(audited.paths)


def test_what_is_known_crosses_to_the_node_and_back(host: Host) -> None:
    put(host.root, ETC, V2 + 'conf_dir = "/etc/cni/net.d"\nmax_conf_num = 2\n')
    host.config()
    paths = replace(Paths(), known=report(run(host.audit())).paths.known)
    asked = replace(host.operation(Kind.AUDIT), paths=paths)
    assert Operation.from_json(asked.to_json()) == asked
    assert Paths().to_json().keys() == {"confDirs", "binDirs", "cacheDir", "stateDir"}


UNIT = "usr/lib/systemd/system/containerd.service"


@pytest.mark.parametrize(
    "flag",
    [
        "--config /etc/other.toml",
        "--config=/etc/other.toml",
        "-c /etc/other.toml",
        '"-c=/etc/other.toml"',
        "-config /etc/other.toml",
        "-config=/etc/other.toml",
        '"--config" "/etc/other.toml"',
        "'--config' '/etc/other.toml'",
        "--config /first.toml --config /etc/other.toml",
        "--root /var/lib/containerd --config /etc/other.toml",
    ],
)
def test_containerd_started_with_another_file(tmp_path: Path, flag: str) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, "etc/other.toml", V2 + 'conf_dir = "/other"\n')
    put(tmp_path, UNIT, f"[Service]\nExecStart=/usr/bin/containerd \\\n  {flag}\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated == replace(NO_BINS, conf_dir="/other", files=("/etc/other.toml",))
    # k3s starts a containerd of its own, whatever this unit says.
    put(tmp_path, K3S, V2 + 'conf_dir = "/own"\n')
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2-k3s1").stated
    assert stated == replace(NO_BINS, conf_dir="/own", files=(f"/{K3S}",))


def test_a_drop_in_takes_the_place_of_what_a_unit_starts(tmp_path: Path) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, UNIT, "[Service]\nExecStart=/usr/bin/containerd --config /etc/other.toml\n")
    put(
        tmp_path,
        "etc/systemd/system/containerd.service.d/10-own.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/containerd --log-level debug\n",
    )
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated == replace(NO_BINS, conf_dir="/usual", files=(f"/{ETC}",))


def test_another_file_that_is_not_there(tmp_path: Path) -> None:
    """It may only not be mounted; the usual one is not read in its stead."""
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, UNIT, "[Service]\nExecStart=/usr/bin/containerd --config /srv/c.toml\n")
    assert "--config /srv/c.toml, which cannot be found" in wrong(tmp_path, "containerd://1.7.2")


@pytest.mark.parametrize(
    ("wanted", "runtime", "place", "text"),
    [
        ("is imported by", "containerd://1.6.2", ETC, 'version = 2\nimports = ["/gone.toml"]\n'),
        (
            "cannot be found",
            "containerd://1.6.2",
            UNIT,
            "[Service]\nExecStart=containerd --config /no.toml\n",
        ),
        ("neither is there", "containerd://1.6.2-k3s1", ETC, ""),
        ("CRI part is off", "containerd://1.6.2", ETC, 'disabled_plugins = ["cri"]\n'),
    ],
)
def test_nothing_is_written_where_the_configuration_cannot_be_relied_on(
    host: Host, wanted: str, runtime: str, place: str, text: str
) -> None:
    """What stands in the usual folder may be a leftover, and was rewritten for the node's own."""
    host.config()
    host.plugins()
    host.runtime = runtime
    put(host.root, place, text)
    seen = report(run(host.audit()))
    assert (seen.verdict, seen.files, seen.baseline.add) == ("Blocked", (), None)
    [finding] = [each for each in seen.findings if each.severity == "Fault"]
    assert str(finding.code) == "RuntimeConfig"
    assert wanted in finding.message
    assert run(host.apply()).outcome == "Refused"


@pytest.mark.parametrize(
    "place",
    [
        "etc/systemd/system/containerd.service",
        "run/systemd/system/containerd.service",
        "usr/local/lib/systemd/system/containerd.service",
        "lib/systemd/system/containerd.service",
        "lib/systemd/system/containerd.service.d/99-own.conf",
        "etc/systemd/system/service.d/99-own.conf",
    ],
)
def test_everywhere_that_systemd_looks(tmp_path: Path, place: str) -> None:
    put(tmp_path, "srv/c.toml", V2 + 'conf_dir = "/srv/cni"\n')
    put(tmp_path, place, "[Service]\nExecStart=\nExecStart=containerd --config /srv/c.toml\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/srv/cni"


def test_the_last_of_many_drop_ins_decides(tmp_path: Path) -> None:
    drop_ins = "etc/systemd/system/containerd.service.d"
    put(tmp_path, "srv/c.toml", V2 + 'conf_dir = "/srv/cni"\n')
    for number in range(40):
        put(tmp_path, f"{drop_ins}/{number:03}.conf", "[Service]\nNice=1\n")
    last = "[Service]\nExecStart=\nExecStart=containerd --config /srv/c.toml\n"
    put(tmp_path, f"{drop_ins}/999.conf", last)
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/srv/cni"
    for number in range(40, 300):
        put(tmp_path, f"{drop_ins}/{number:03}.conf", "[Service]\nNice=1\n")
    assert "holds more than 256 drop-ins" in wrong(tmp_path, "containerd://1.7.2")


@pytest.mark.parametrize(
    ("text", "conf_dir"),
    [
        ("Environment=CFG=/srv/c.toml\nExecStart=containerd --config ${CFG}", "/srv/cni"),
        ("Environment=CFG=/x\nEnvironmentFile=/etc/c.env\nExecStart=containerd $ARGS", "/srv/cni"),
        ('Environment="ARGS=-config /srv/c.toml"\nExecStart=containerd $ARGS', "/srv/cni"),
        ("EnvironmentFile=-/etc/none.env\nExecStart=containerd $ARGS", "/etc/cni/net.d"),
        ("Environment=ARGS=--config=/x\nUnsetEnvironment=ARGS\nExecStart=containerd $ARGS", None),
        ("ExecStart=-/bin/env PATH=/x containerd $$ARGS", "/etc/cni/net.d"),
        ("EnvironmentFile=/etc/%H.env\nUnsetEnvironment=A\nExecStart=containerd $A", None),
        ("EnvironmentFile=-/etc/c/*.env\nUnsetEnvironment=A\nExecStart=containerd ${A}", None),
        ("Environment==%x CFG=/srv/c.toml\nExecStart=containerd --config ${CFG}", "/srv/cni"),
    ],
)
def test_containerd_started_with_variables(tmp_path: Path, text: str, conf_dir: str | None) -> None:
    put(tmp_path, ETC, "")
    put(tmp_path, "srv/c.toml", V2 + 'conf_dir = "/srv/cni"\n')
    put(tmp_path, "etc/c.env", '# mine\nCFG=/y\nARGS="--config \\\n/srv/c.toml"\n')
    put(tmp_path, UNIT, f"[Service]\n{text}\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == (conf_dir or "/etc/cni/net.d")


@pytest.mark.parametrize(
    "text",
    [
        "HTTP_PROXY=http://u:pa'ss@proxy\n",
        "NAME=O'Brien\n",
        "MOTTO='one\ntwo'\n",
        "OTHER='is not closed\n",
    ],
)
def test_a_quote_that_is_no_concern_of_the_runtime(tmp_path: Path, text: str) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/x"\n')
    put(tmp_path, "etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/x"\n')
    put(tmp_path, "etc/own.env", text)
    unit = "[Service]\nEnvironmentFile=-/etc/own.env\nExecStart="
    put(tmp_path, UNIT, f"{unit}/usr/bin/containerd\n")
    put(tmp_path, CRIO_UNIT, f"{unit}/usr/bin/crio\n")
    for runtime in ("containerd://1.7.2", "cri-o://1.29.4"):
        stated = runtime_config.read(str(tmp_path), runtime).stated
        assert stated is not None
        assert stated.conf_dir == "/x"
    put(tmp_path, UNIT, f"{unit}/usr/bin/containerd $OTHER\n")
    if "OTHER" in text:
        assert "/etc/own.env: OTHER: a quote is not closed" in wrong(tmp_path, "containerd://1.7.2")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("EnvironmentFile=-/etc/containerd/*.env", "a pattern is not followed"),
        ("EnvironmentFile=-/etc/default/containerd-%H", "a specifier is not followed"),
        ("EnvironmentFile=-/etc/large.env", "larger than 65536 bytes"),
        ("EnvironmentFile=-/etc/nul.env", "holds a NUL"),
    ],
)
def test_variables_that_nobody_asks_for(tmp_path: Path, line: str, why: str) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/x"\n')
    put(tmp_path, "etc/large.env", "#" * 65537)
    put(tmp_path, "etc/nul.env", "A=b\0\n")
    put(tmp_path, UNIT, f"[Service]\n{line}\nExecStart=/usr/bin/containerd\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/x"
    put(tmp_path, UNIT, f"[Service]\n{line}\nExecStart=/usr/bin/containerd $ARGS\n")
    assert why in wrong(tmp_path, "containerd://1.7.2")


@pytest.mark.parametrize(
    "command",
    [
        "ionice -c 2 /usr/bin/containerd",
        "/usr/bin/containerd --log-level info ; /bin/true -c x",
        "/bin/sh -c true ; /usr/bin/containerd --config /etc/containerd/config.toml ; true -c x",
        "@/usr/bin/containerd containerd --root /var/lib/containerd",
    ],
)
def test_flags_of_another_program(tmp_path: Path, command: str) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/x"\n')
    put(tmp_path, UNIT, f"[Service]\nExecStart={command}\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/x"


def test_an_apostrophe_where_no_unit_of_crio_is_found(tmp_path: Path) -> None:
    put(tmp_path, "etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/x"\n')
    put(tmp_path, "etc/sysconfig/crio", "NAME=O'Brien\nCONTAINER_CNI_CONFIG_DIR='/y'\n")
    stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
    assert stated is not None
    assert stated.conf_dir == "/y"
    put(tmp_path, "etc/sysconfig/crio", "NAME='O\n")
    assert "/etc/sysconfig/crio: NAME: a quote is not closed" in wrong(tmp_path, "cri-o://1.29.4")


def test_a_unit_that_is_masked_or_cannot_be_read(tmp_path: Path) -> None:
    put(tmp_path, ETC, "")
    put(tmp_path, UNIT, "[Service]\nExecStart=containerd --config /srv/c.toml\n")
    own = tmp_path / "etc/systemd/system/containerd.service"
    own.parent.mkdir(parents=True)
    own.symlink_to("/dev/null")
    assert runtime_config.read(str(tmp_path), "containerd://1.7.2").stated is not None
    own.unlink()
    own.symlink_to("/opt/containerd/containerd.service")
    assert "leads to /opt/containerd/containerd.service" in wrong(tmp_path, "containerd://1.7.2")


def test_a_masked_unit_where_dev_is_mounted(tmp_path: Path) -> None:
    put(tmp_path, ETC, "")
    put(tmp_path, UNIT, "[Service]\nExecStart=containerd --config /srv/c.toml\n")
    own = tmp_path / "etc/systemd/system/containerd.service"
    own.parent.mkdir(parents=True)
    own.symlink_to("/dev/null")
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/null")  # for root alone may make a device; neither is a plain file
    assert runtime_config.read(str(tmp_path), "containerd://1.7.2").stated is not None


CRIO_UNIT = "usr/lib/systemd/system/crio.service"


def test_crio_started_with_other_files(tmp_path: Path) -> None:
    put(tmp_path, "etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/usual"\n')
    put(tmp_path, "etc/own/crio.conf", '[crio.network]\nnetwork_dir = "/own"\n')
    put(tmp_path, "etc/own.d/1", '[crio.network]\nplugin_dirs = ["/p"]\n')
    put(
        tmp_path,
        CRIO_UNIT,
        "[Service]\nEnvironmentFile=-/etc/sysconfig/crio\n"
        "ExecStart=/usr/bin/crio -c /etc/own/crio.conf $MORE\n",
    )
    put(tmp_path, "etc/sysconfig/crio", "# --cni-config-dir /x\nMORE=--config-dir=/etc/own.d\n")
    stated = runtime_config.read(str(tmp_path), "cri-o://1.30.0").stated
    assert stated is not None
    assert (stated.conf_dir, stated.bin_dirs) == ("/own", ("/p",))
    put(tmp_path, "etc/sysconfig/crio", "MORE='--config-dir=/etc/own.d --cni-config-dir /x'\n")
    stated = runtime_config.read(str(tmp_path), "cri-o://1.30.0").stated
    assert stated is not None
    assert (stated.conf_dir, stated.bin_dirs) == ("/x", ("/p",))


CRIO_DROP_IN = "usr/lib/systemd/system/crio.service.d/10-crio.conf"


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        ("etc/sysconfig/crio", "CONTAINER_CNI_CONFIG_DIR=/x/net.d\n", ("/x/net.d", (), None)),
        ("etc/default/crio", "CONTAINER_CNI_DEFAULT_NETWORK='x y'\n", (None, (), "x y")),
        (
            CRIO_DROP_IN,
            '[Service]\nEnvironment=A=b "CONTAINER_CNI_PLUGIN_DIR=/x, /y"\n',
            (None, ("/x", "/y"), None),
        ),
        (CRIO_UNIT, "[Service]\nEnvironment=MORE=--cni-plugin-dir=/x\n", (None, ("/x",), None)),
        (
            CRIO_UNIT,
            "[Service]\nEnvironmentFile=-/etc/own.env\nExecStart=/usr/bin/crio\n",
            ("/own", (), None),
        ),
        (
            CRIO_UNIT,
            "[Service]\nEnvironmentFile=-/etc/own.env\n"
            "ExecStart=/usr/bin/crio -cni-config-dir /x --cni-plugin-dir /p --cni-plugin-dir=/q\n",
            ("/x", ("/p", "/q"), None),
        ),
        (
            CRIO_UNIT,
            '[Service]\nEnvironment=DIR=/x\nExecStart=crio "--cni-config-dir" "${DIR}/net.d"\n',
            ("/x/net.d", (), None),
        ),
        (
            "etc/systemd/system.conf.d/own.conf",
            "[Manager]\nDefaultEnvironment=CONTAINER_CNI_CONFIG_DIR=/x\n",
            ("/x", (), None),
        ),
        (
            CRIO_UNIT,
            "[Service]\nEnvironment=HTTP_PROXY=http://u:p%40s@x CONTAINER_CNI_CONFIG_DIR=/%%/%N\n"
            "ExecStart=/usr/bin/crio\n",
            ("/%/crio", (), None),
        ),
        (
            CRIO_UNIT,
            "[Service]\nEnvironment=CONTAINER_CNI_CONFIG_DIR=%E\nEnvironmentFile=/etc/own.env\n",
            ("/own", (), None),
        ),
    ],
)
def test_crio_started_with_variables(
    tmp_path: Path, place: str, text: str, said: tuple[str | None, tuple[str, ...], str | None]
) -> None:
    """They go before all of CRI-O's files, and flags before them."""
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    put(tmp_path, "etc/own.env", "CONTAINER_CNI_CONFIG_DIR=/own\n")
    put(tmp_path, place, text)
    conf_dir, bin_dirs, network = said
    stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
    assert stated is not None
    assert (stated.conf_dir, stated.bin_dirs, stated.default_network) == (
        conf_dir or "/etc/cni/net.d",
        bin_dirs or ("/opt/cni/bin",),
        network,
    )


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("ExecStart=/opt/start-crio.sh", "it starts /opt/start-crio.sh, and not crio itself"),
        ("ExecStart=/bin/sh -c 'exec crio --config /x'", "it starts /bin/sh, and not crio"),
        ("ExecStart=crio --cni-config-dir=$DIR", "what --cni-config-dir=$DIR $DIR is given"),
        ("ExecStart=crio --cni-config-dir %h/cni", "%h/cni is given cannot be told"),
        ("ExecStart=crio --cni-config-dir '/x", "a quote is not closed"),
        ("ExecStart=crio --cni-config-dir", "network_dir: expected a folder"),
        ("PassEnvironment=CONTAINER_CNI_CONFIG_DIR", "what may set it cannot be seen"),
        ("EnvironmentFile=-/run/crio.env", "what may set it cannot be seen"),
        ("EnvironmentFile=/etc/nope.env", "what may set it cannot be seen"),
        ("EnvironmentFile=-/etc/own.d/*.env", "a pattern is not followed"),
        ("EnvironmentFile=-/etc/%i.env", "a specifier is not followed"),
        ("EnvironmentFile=/etc/own.env", "expected it without export"),
        ("Environment=CONTAINER_CONFIG_DIR=%E/crio/alt.d", "a specifier is not followed"),
        ("Environment=CONTAINER_CONFIG=/x CONTAINER_CONFIG=/x%", "a specifier is not followed"),
        (
            "ExecStart=crio\n[Manager]\nDefaultEnvironment=CONTAINER_CONFIG=/x\n"
            "[Service]\nExecStart=/opt/start-crio.sh",
            "it starts /opt/start-crio.sh",
        ),
        ("#" + "x" * (1 << 16), "larger than 65536 bytes"),
    ],
)
def test_what_crio_is_started_with_and_cannot_be_told(tmp_path: Path, unit: str, said: str) -> None:
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    put(tmp_path, "etc/own.env", "export CONTAINER_CNI_CONFIG_DIR=/x\n")
    put(tmp_path, CRIO_UNIT, f"[Service]\n{unit}\n")
    assert said in wrong(tmp_path, "cri-o://1.29.4")


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("etc/sysconfig/crio", "# CONTAINER_CNI_CONFIG_DIR=/x\nMY_CONTAINER_CNI_CONFIG_DIR=/x\n"),
        (CRIO_DROP_IN, "[Service]\n#Environment=CONTAINER_CNI_CONFIG_DIR=/x\n"),
        (CRIO_DROP_IN, "[Service]\nEnvironment=CONTAINER_CNI_CONFIG_DIR=/x\nEnvironment=\n"),
        (CRIO_DROP_IN, "[Service]\nEnvironmentFile=/etc/own.env\nEnvironmentFile=\n"),
        (CRIO_DROP_IN, "[Service]\nEnvironment=CONTAINER_CONFIG=%E\nEnvironment=\n"),
        (CRIO_DROP_IN, "[X-Notes]\nExecStart=/opt/start-crio.sh\n"),
        (CRIO_DROP_IN, "Environment=CONTAINER_CNI_CONFIG_DIR=/x\n [Service] \nNice=1\n"),
        (
            CRIO_DROP_IN,
            "[Service]\nNice=1\n[X-Notes]\nWhy=none\nEnvironment=CONTAINER_CNI_CONFIG_DIR=/x\n",
        ),
        (
            "etc/systemd/system.conf",
            "[X-Notes]\nDefaultEnvironment=CONTAINER_CNI_CONFIG_DIR=/x\n[Manager]\n",
        ),
        (
            "etc/systemd/system.conf",
            "[Manager]\nDefaultEnvironment=HTTP_PROXY=%%\nDefaultEnvironment=A=%4\n",
        ),
    ],
)
def test_variables_that_crio_is_not_started_with(tmp_path: Path, place: str, text: str) -> None:
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    put(tmp_path, "etc/own.env", "CONTAINER_CNI_CONFIG_DIR=/x\n")
    put(tmp_path, place, text)
    stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
    assert stated is not None
    assert stated.conf_dir == "/etc/cni/net.d"


def test_lines_end_where_systemd_ends_them(tmp_path: Path) -> None:
    """At a NUL too, which no system call takes, and at none of Unicode's line ends."""
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    text = "[Service]\n# \u2028Environment=CONTAINER_CNI_CONFIG_DIR=/x\n"
    put(tmp_path, CRIO_UNIT, text + "EnvironmentFile=-/etc/a\0b\n")
    stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
    assert stated is not None
    assert stated.conf_dir == "/etc/cni/net.d"


def test_a_line_that_ends_as_windows_ends_it_goes_on(tmp_path: Path) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, "etc/other.toml", V2 + 'conf_dir = "/other"\n')
    text = "[Service]\r\nExecStart=/usr/bin/containerd \\\r\n  --config /etc/other.toml\r\n"
    (tmp_path / UNIT).parent.mkdir(parents=True)
    (tmp_path / UNIT).write_bytes(text.encode())
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/other"


@pytest.mark.parametrize("before", ["", "# mine\r\n", "[Unit]\r\n"])
def test_a_byte_order_mark_hides_no_section(tmp_path: Path, before: str) -> None:
    """systemd passes over the first one that begins a line, whichever line that is."""
    put(tmp_path, ETC, V2 + 'conf_dir = "/usual"\n')
    put(tmp_path, "etc/alt.toml", V2 + 'conf_dir = "/alt"\n')
    put(tmp_path, UNIT, "[Service]\nExecStart=/usr/bin/containerd\n")
    place = tmp_path / "etc/systemd/system/containerd.service.d/alt.conf"
    place.parent.mkdir(parents=True)
    started = "ExecStart=\r\nExecStart=/usr/bin/containerd --config /etc/alt.toml\r\n"
    place.write_bytes(f"{before}\ufeff[Service]\r\n{started}".encode())
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.2").stated
    assert stated is not None
    assert stated.conf_dir == "/alt"


def test_nothing_that_a_terminal_obeys(host: Host) -> None:
    put(host.root, ETC, V2 + 'conf_dir = "/x\\u001b[2J"\n')
    assert all(each.message.isprintable() for each in report(run(host.audit())).findings)
    put(host.root, UNIT, "[Service]\nExecStart=/opt/\\x1b[2J\n")
    assert all(each.message.isprintable() for each in report(run(host.audit())).findings)


def test_an_import_that_no_system_call_takes(tmp_path: Path) -> None:
    put(tmp_path, ETC, 'version = 2\nimports = ["/etc/*/a\\u0000", "/etc/b\\u0000"]\n')
    assert "is imported by" in wrong(tmp_path)


def test_variables_that_name_crios_files(tmp_path: Path) -> None:
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    put(tmp_path, "etc/own/crio.conf", '[crio.network]\nnetwork_dir = "/own"\n')
    put(tmp_path, "etc/other/crio.conf", '[crio.network]\nnetwork_dir = "/other"\n')
    put(tmp_path, "etc/own.d/1", '[crio.network]\nplugin_dirs = ["/p"]\n')
    put(
        tmp_path,
        CRIO_DROP_IN,
        '[Service]\nEnvironment="CONTAINER_CONFIG=/etc/own/crio.conf"\n'
        "Environment=CONTAINER_CONFIG_DIR=/etc/own.d\n",
    )

    def folders() -> tuple[str, tuple[str, ...]]:
        stated = runtime_config.read(str(tmp_path), "cri-o://1.29.4").stated
        assert stated is not None
        return stated.conf_dir, stated.bin_dirs

    assert folders() == ("/own", ("/p",))
    put(tmp_path, "etc/sysconfig/crio", "CONTAINER_CONFIG=/etc/other/crio.conf\n")
    assert folders() == ("/other", ("/p",))
    put(tmp_path, CRIO_UNIT, "[Service]\nExecStart=/usr/bin/crio\n")
    assert folders() == ("/own", ("/p",)), "of a unit that is there what it names counts"
    put(tmp_path, CRIO_UNIT, "[Service]\nExecStart=/usr/bin/crio -c /etc/own/crio.conf\n")
    assert folders() == ("/own", ("/p",))
    put(tmp_path, CRIO_UNIT, "[Service]\nExecStart=/usr/bin/crio -c /etc/nope.conf\n")
    assert "the config /etc/nope.conf, which cannot be found" in wrong(tmp_path, "cri-o://1.29.4")


MICROK8S = "var/snap/microk8s/current/args/containerd.toml"
MICROK8S_UNIT = "etc/systemd/system/snap.microk8s.daemon-containerd.service"


def test_microk8s_whose_files_are_not_mounted(host: Host) -> None:
    """`auto` mounts no /var/snap, and podman, say, left a config in a folder that it does mount."""
    host.config()
    host.plugins()
    assert report(run(host.audit())).verdict == "Rewrite"
    put(host.root, K3S, "")
    put(host.root, MICROK8S_UNIT, "[Service]\nExecStart=/usr/bin/snap run microk8s\n")
    for left in ("", V2 + 'conf_dir = "/etc/cni/net.d"\n'):
        put(host.root, ETC, left)
        result = run(host.audit())
        seen = report(result)
        assert (seen.paths.conf_dir, seen.paths.bin_dirs) == (None, ())
        assert (seen.verdict, seen.files, seen.plugins) == ("Blocked", (), ())
        assert (seen.baseline.add, seen.after.add) == (None, None)
        [finding] = seen.findings
        assert (str(finding.code), str(finding.severity)) == ("RuntimeConfig", "Fault")
        assert f"/{MICROK8S}, cannot be seen" in finding.message
        assert "preset microk8s" in finding.action
    host.runtime = "containerd://1.7.22-k3s1"  # a containerd that says whose it is
    assert report(run(host.audit())).paths.conf_dir == "/etc/cni/net.d"


def test_what_a_person_names_is_looked_at_beside_an_unseen_microk8s(host: Host) -> None:
    host.config()
    host.plugins()
    put(host.root, MICROK8S_UNIT, "")
    named = replace(host.audit(), paths=replace(host.audit().paths, by_hand=("--config-dir",)))
    seen = report(run(named))
    assert (seen.paths.conf_dir, seen.paths.bin_dirs) == ("/etc/cni/net.d", ())
    assert seen.verdict == "Blocked"
    assert any("it may be in /var/snap/microk8s" in each.message for each in seen.findings)
    both = replace(named, paths=replace(named.paths, by_hand=("--config-dir", "--bin-dir")))
    assert report(run(both)).verdict == "Rewrite"


def test_microk8s_that_is_seen(tmp_path: Path) -> None:
    put(tmp_path, MICROK8S_UNIT, "")
    put(tmp_path, MICROK8S, V2 + 'conf_dir = "/b"\n')
    found = runtime_config.read(str(tmp_path), "containerd://1.6.28")
    assert found.elsewhere is None
    assert found.stated == replace(NO_BINS, conf_dir="/b", files=(f"/{MICROK8S}",))


def test_k0s_reads_what_it_makes_of_its_own_folder(tmp_path: Path) -> None:
    """No agent sees /run, where k0s puts what it has made."""
    own = "etc/k0s/containerd.toml"
    put(tmp_path, own, 'version = 2\nimports = ["/run/k0s/containerd-cri.toml"]\n')
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.30").stated
    assert stated == replace(DEFAULT, files=(f"/{own}",))
    put(tmp_path, "etc/k0s/containerd.d/a.toml", V2 + 'conf_dir = "/a"\n')
    put(tmp_path, "etc/k0s/containerd.d/b.toml", "version = 2\n")
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.30").stated
    assert stated == replace(NO_BINS, conf_dir="/a", files=("/etc/k0s/containerd.d/a.toml",))
    put(tmp_path, "etc/k0s/containerd.d/b.toml", V2 + 'bin_dir = "/b"\n')
    assert "is one of several with plugins" in wrong(tmp_path, "containerd://1.7.30")
    put(tmp_path, own, 'version = 2\nimports = ["/run/k0s/other.toml"]\n')
    assert "is not there or not mounted" in wrong(tmp_path, "containerd://1.7.30")


def test_k0s_beside_another_installations_containerd(tmp_path: Path) -> None:
    """Debian's docker.io brings such a file, with a plugin folder that k0s does not use."""
    put(
        tmp_path,
        "etc/k0s/containerd.toml",
        'version = 2\nimports = ["/run/k0s/containerd-cri.toml"]\n',
    )
    put(tmp_path, ETC, V2 + 'bin_dir = "/usr/lib/cni"\n')
    for runtime in ("containerd://1.7.30", ""):
        assert wrong(tmp_path, runtime).startswith(
            f"/{ETC} and /etc/k0s/containerd.toml: it is not known which of them"
        )
    put(tmp_path, K3S, V2 + f'conf_dir = "{K3S_CONF}"\n')
    stated = runtime_config.read(str(tmp_path), "containerd://1.7.22-k3s1").stated
    assert stated is not None
    assert stated.conf_dir == K3S_CONF
    put(tmp_path, "etc/crio/crio.conf", ETC_CNI)
    assert runtime_config.read(str(tmp_path), "cri-o://1.30.0").stated is not None


def handler(name: str, folder: str, key: str = "io.containerd.grpc.v1.cri") -> str:
    return f'[plugins."{key}".containerd.runtimes.{name}]\ncni_conf_dir = "{folder}"\n'


def test_handlers_with_a_config_folder_of_their_own(host: Host) -> None:
    host.config()
    host.plugins()
    of_kata = handler("kata-fc", "/etc/cni/kata.d") + handler("kata", "/etc/cni/kata.d")
    put(host.root, ETC, V2 + 'conf_dir = "/etc/cni/net.d"\n' + of_kata)
    before = report(run(host.audit()))
    [finding] = [each for each in before.findings if each.code == "HandlerFolder"]
    assert (str(finding.severity), finding.component) == ("Warning", "/etc/cni/kata.d")
    assert "handler kata, kata-fc (" in finding.message
    assert "--config-dir /etc/cni/kata.d" in finding.action
    assert (before.verdict, before.paths.conf_dir) == ("Rewrite", "/etc/cni/net.d")


V3_KEY = "io.containerd.cri.v1.runtime"


@pytest.mark.parametrize(
    ("release", "text", "handlers"),
    [
        ("1.5.9", "version = 2\n" + handler("kata", "/k"), ()),
        ("1.6.2", "version = 2\n" + handler("kata", "/k"), (("kata", "/k"),)),
        ("1.6.2", handler("kata", "/k", "cri"), (("kata", "/k"),)),
        ("2.0.0", "version = 2\n" + handler("kata", "/k"), (("kata", "/k"),)),
        ("2.4.2", "version = 3\n" + handler("kata", "/k", V3_KEY), (("kata", "/k"),)),
        ("2.4.2", "version = 3\n" + handler("kata", "/k"), ()),
        ("1.7.0", "version = 2\n" + handler("kata", ""), ()),
        ("1.7.0", "version = 2\n" + handler("kata", "/etc/cni/net.d/"), ()),
        ("1.7.0", V2 + 'conf_dir = "/k"\n' + handler("kata", "/k"), ()),
    ],
)
def test_the_handlers_whose_folder_a_release_reads(
    tmp_path: Path, release: str, text: str, handlers: tuple[tuple[str, str], ...]
) -> None:
    put(tmp_path, ETC, text)
    found = runtime_config.read(str(tmp_path), f"containerd://{release}")
    assert found.stated is not None
    assert found.stated.handlers == handlers
    assert len(found.findings) == len(handlers)


def test_handlers_of_several_files(tmp_path: Path) -> None:
    """containerd 1.x takes the last file's CRI part as a whole, 2.x each handler."""
    put(tmp_path, ETC, 'version = 2\nimports = ["/etc/more.toml"]\n' + handler("kata", "/k"))
    put(tmp_path, "etc/more.toml", "version = 2\n" + handler("gvisor", "/g"))

    def handlers(release: str) -> tuple[tuple[str, str], ...]:
        stated = runtime_config.read(str(tmp_path), f"containerd://{release}").stated
        assert stated is not None
        return stated.handlers

    assert handlers("1.7.0") == (("gvisor", "/g"),)
    assert handlers("2.1.0") == (("gvisor", "/g"), ("kata", "/k"))


def test_a_handler_that_is_no_table(tmp_path: Path) -> None:
    text = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes]\nkata = 5\n'
    put(tmp_path, ETC, text)
    assert 'runtimes."kata": expected a table' in wrong(tmp_path)


def test_more_handlers_than_a_report_bears(tmp_path: Path) -> None:
    text = "".join(handler(f"h{number:04}", f"/{number:04}") for number in range(2000))
    put(tmp_path, ETC, "version = 2\n" + text)
    findings = runtime_config.read(str(tmp_path), "containerd://1.7.0").findings
    assert len(findings) == 17
    assert "handler h0000 (" in findings[0].message
    assert "from 1984 more folders" in findings[-1].message
