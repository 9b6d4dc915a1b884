"""k3s, microk8s and k0s keep their containerd's configuration in places of their own."""

from dataclasses import replace
from pathlib import Path

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.discovery import runtime_config
from tests.unit.agent.configured import (
    DEFAULT,
    ETC,
    ETC_CNI,
    K3S,
    K3S_CONF,
    NO_BINS,
    V2,
    put,
    wrong,
)
from tests.unit.agent.host import Host, report


def test_k3s_without_its_own_has_it_elsewhere(tmp_path: Path) -> None:
    """k3s and RKE2 write it at each start, below their data-dir."""
    assert "k3s and RKE2 write theirs" in wrong(tmp_path, "containerd://1.7.1-k3s1")


def test_k3s_reads_its_own(tmp_path: Path) -> None:
    put(tmp_path, ETC, V2 + 'conf_dir = "/etc/cni/net.d"\n')
    put(tmp_path, K3S, V2 + f'conf_dir = "{K3S_CONF}"\n')
    own = runtime_config.read(str(tmp_path), "containerd://1.7.22-k3s1").stated
    assert own == replace(NO_BINS, conf_dir=K3S_CONF, files=(f"/{K3S}",))
    other = runtime_config.read(str(tmp_path), "containerd://1.7.22").stated
    assert other == replace(NO_BINS, files=(f"/{ETC}",))


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
    said = [each.message for each in seen.findings]
    assert any("/var/snap/microk8s/current/args" in each for each in said)
    assert any("so bridge is not looked for" in each for each in said)
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
