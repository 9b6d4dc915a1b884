"""Plugins that multus runs: it looks in a folder of its own first, whatever the runtime's is."""

import json
import shutil
from dataclasses import replace

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.discovery import folders
from cni_upgrade.agent.protocol.operation import ManagedFiles, Operation, Report
from tests.unit.agent.host import Host, codes, report

DEBIAN = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/cni"\n'
NETWORK = {
    "name": "net",
    "cniVersion": "1.0.0",
    "plugins": [{"type": "bridge", "ipam": {"type": "host-local"}}, {"type": "portmap"}],
}


@pytest.fixture
def multus(host: Host) -> Host:
    """Plugins of today where the runtime looks, and an older bridge where multus does."""
    host.runtime = "containerd://1.7.2"
    (host.root / "etc/containerd").mkdir()
    (host.root / "etc/containerd/config.toml").write_text(DEBIAN)
    host.plugin("multus")
    (host.root / "usr/lib").mkdir(parents=True)
    shutil.move(host.bin, host.root / "usr/lib/cni")
    host.bin.mkdir()
    host.plugin("bridge", "0.4.0")
    return host


def asked(host: Host, **members: object) -> Operation:
    """An audit of multus' config with these members."""
    given = members or {"delegates": [NETWORK]}
    text = {"name": "m", "cniVersion": "1.0.0", "type": "multus", **given}
    host.config("00-multus.conf", json.dumps(text))
    return audit(host)


def audit(host: Host) -> Operation:
    """Of what is there, whoever writes it."""
    return replace(host.audit(), managed_files=ManagedFiles.OVERRIDE)


def supported(found: Report) -> dict[str, str | None]:
    return {each.type: each.max for each in found.plugins}


def test_the_copy_that_multus_finds_first_counts(multus: Host) -> None:
    found = report(run(asked(multus)))
    assert (found.verdict, found.baseline.add) == ("Blocked", False)
    assert "/opt/cni/bin/bridge" in str(found.baseline.add_why)
    assert supported(found)["/opt/cni/bin/bridge"] == "0.4.0"
    assert supported(found)["bridge"] == "1.1.0", "the runtime's own"
    assert "/opt/cni/bin/portmap" not in supported(found), "it is not there: the runtime's runs"
    assert found.paths.bin_dirs == ("/usr/lib/cni",)
    assert found.paths.delegate_dirs == ("/opt/cni/bin",)
    (multus.bin / "bridge").unlink()
    found = report(run(asked(multus)))
    assert (found.verdict, found.paths.delegate_dirs) == ("Compatible", ())


def test_a_network_that_it_loads_from_a_file(multus: Host) -> None:
    found = report(run(asked(multus, clusterNetwork="/etc/cni/net.d/10-net.conflist")))
    assert found.baseline.add is None
    multus.config("10-net.conflist", json.dumps(NETWORK))
    found = report(run(asked(multus, clusterNetwork="/etc/cni/net.d/10-net.conflist")))
    assert (found.verdict, found.baseline.add) == ("Blocked", False)
    assert "/opt/cni/bin/bridge" in str(found.baseline.add_why)


@pytest.mark.parametrize("told", ["/usr/lib/cni", "/usr/lib/cni/", "usr/lib/cni"])
def test_a_folder_that_it_is_told(multus: Host, told: str) -> None:
    found = report(run(asked(multus, delegates=[NETWORK], binDir=told)))
    assert (found.verdict, found.paths.delegate_dirs) == ("Compatible", ())


def test_the_runtimes_own_plugins_are_asked_as_before(multus: Host) -> None:
    multus.config("00-a.conflist", json.dumps(NETWORK))
    found = report(run(asked(multus)))
    assert (found.verdict, found.baseline.add) == ("Compatible", True)


def test_a_folder_that_may_not_be_looked_at(multus: Host) -> None:
    given = asked(multus)
    found = run(replace(given, paths=replace(given.paths, bin_dirs=("/usr/lib/cni",))))
    assert (report(found).verdict, report(found).baseline.add) == ("Blocked", None)
    assert "FolderNotAllowed" in codes(found)
    named = replace(given.paths, bin_dirs=("/usr/lib/cni",), by_hand=("--bin-dir",))
    assert report(run(replace(given, paths=named))).verdict == "Compatible"


def test_a_folder_of_which_nothing_can_be_seen(
    multus: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on k3s, where an audit has no mount of /opt: most nodes have no plugins there."""
    shutil.rmtree(multus.root / "opt")
    given = asked(multus)
    given = replace(given, paths=replace(given.paths, bin_dirs=("/usr/lib/cni",)))
    found = run(given)
    assert (report(found).verdict, report(found).baseline.add) == ("Compatible", None)
    assert "/opt/cni/bin/bridge supports, if it is there" in report(found).files[0].why
    assert "FolderNotAllowed" in codes(found)
    path = multus.conf / "00-multus.conf"
    path.write_text(path.read_text().replace("1.0.0", "0.3.1", 1))
    assert report(run(given)).verdict == "Blocked", "it would be written"
    with monkeypatch.context() as patched:
        patched.setattr(folders, "seen", lambda *_: True)
        found = run(given)
        assert (report(found).verdict, report(found).baseline.add) == ("Rewrite", True)
        assert "FolderNotAllowed" not in codes(found)


def test_what_is_seen_of_a_host() -> None:
    """/proc is mounted; what stands in no mount may well be on the host."""
    assert folders.seen("/", "/proc/none/bin")
    assert not folders.seen("/", "/none/bin")
    assert not folders.seen("/proc", "/none/bin")


def test_a_link_that_leads_to_what_is_not_mounted(multus: Host) -> None:
    shutil.rmtree(multus.bin)
    multus.bin.symlink_to("/not/mounted")
    found = report(run(asked(multus)))
    assert (found.verdict, found.baseline.add) == ("Blocked", None)


def test_an_order_to_write_looks_where_the_audit_did(multus: Host) -> None:
    """It is sent the folders that were found; the others are not mounted for it."""
    old: dict[str, object] = {**NETWORK, "cniVersion": "0.4.0"}
    asked(multus, delegates=[old])
    path = multus.conf / "00-multus.conf"
    path.write_text(path.read_text().replace("1.0.0", "0.3.1", 1))
    found = report(run(audit(multus))).paths
    sent = replace(
        multus.audit().paths,
        bin_dirs=found.bin_dirs,
        known=found.known,
        delegate_dirs=found.delegate_dirs,
    )
    order = replace(multus.apply(), paths=sent, managed_files=ManagedFiles.OVERRIDE)
    assert Operation.from_json(order.to_json()).paths == sent
    multus.plugin("bridge", "0.3.1")
    refused = run(order)
    assert refused.outcome == "Refused"
    assert "/opt/cni/bin/bridge" in str(refused.error)
    multus.plugin("bridge", "0.4.0")
    done = run(replace(order, id=f"{order.id[:-1]}1"))
    assert (done.outcome, path.read_text().count("1.0.0")) == ("Done", 1)


def test_one_folder_under_two_names_is_asked_once(multus: Host) -> None:
    shutil.rmtree(multus.bin)
    multus.bin.symlink_to("/usr/lib/cni")
    found = report(run(asked(multus)))
    assert (found.verdict, found.paths.delegate_dirs) == ("Compatible", ())
