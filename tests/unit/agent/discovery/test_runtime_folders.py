"""An audit looks where the runtime does: in the folders that its own configuration names."""

import shutil
from dataclasses import replace

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.protocol.json_members import Members
from cni_upgrade.agent.protocol.operation import Kind, Operation, Paths
from cni_upgrade.agent.protocol.paths import Known
from tests.unit.agent.configured import ETC, K3S, K3S_CONF, UNIT, V2, V3, put
from tests.unit.agent.host import VERSIONLESS, Host, codes, report

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
