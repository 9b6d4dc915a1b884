"""A plugin's binary is looked for as libcni does, and one that cannot be run is told why."""

import os
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent import make_report as reports
from cni_upgrade.agent import survey
from cni_upgrade.agent.agent import run
from cni_upgrade.agent.plugins import plugin_binary, probe
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Severity
from tests.unit.agent import killed
from tests.unit.agent.asked import ask, code
from tests.unit.agent.host import Host, report


def elf(machine: int) -> bytes:
    header = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    return header + struct.pack("<HHI", 2, machine, 1) + bytes(40)


def test_missing(host: Host) -> None:
    (host.bin / "folder").mkdir()
    supports = ask(host, "nowhere", "folder", "../bridge", "")
    assert {support.source for support in supports.values()} == {"missing"}
    assert {code(support) for support in supports.values()} == {"PluginMissing"}
    assert "/opt/cni/bin" in supports["nowhere"].finding.message  # type: ignore[union-attr]


def test_no_folder_to_look_in() -> None:
    none = plugin_binary.find("", [], "bridge", None)
    assert isinstance(none, Support)
    assert none.finding is not None
    assert none.finding.message == "there is no plugin folder, so no bridge: ADD and DEL fail"
    unseen = plugin_binary.find("", [], "bridge", "/opt/x")
    assert isinstance(unseen, Support)
    assert unseen.finding is not None
    assert unseen.finding.message == (
        "bridge may be in /opt/x, which could not be looked at, and there is no other plugin folder"
    )


def test_links(host: Host) -> None:
    data = host.root / "var/lib/rancher/k3s/data/12ab/bin"
    data.mkdir(parents=True)
    host.plugin("portmap", "0.4.0").rename(data / "cni")
    (host.bin / "linked").symlink_to("/var/lib/rancher/k3s/data/12ab/bin/cni")
    (host.bin / "lost").symlink_to("/var/lib/rancher/k3s/data/34cd/bin/cni")
    supports = ask(host, "linked", "lost")
    assert supports["linked"].max == "0.4.0"
    assert code(supports["lost"]) == "PluginBrokenLink"
    assert "/var/lib/rancher/k3s/data/34cd/bin/cni" in str(supports["lost"].finding)


@pytest.mark.parametrize(
    ("first", "named"),
    [
        (b"#!/bin/sh", "/bin/sh"),
        (b"#! /usr/bin/env  sh \t", "/usr/bin/env  sh"),
        (b"#!" + b"/" * 300 + b"bin/sh", "/" * 254),
    ],
)
def test_a_script_that_answers_names_its_interpreter(host: Host, first: bytes, named: str) -> None:
    path = host.plugin("p", "1.0.0")
    path.write_bytes(first + path.read_bytes().removeprefix(b"#!/bin/sh"))
    assert plugin_binary.interpreter(str(path)) == named
    if len(first) < 255:
        support = ask(host, "p")["p"]
        assert (support.max, support.interpreter, support.finding) == ("1.0.0", named, None)


@pytest.mark.parametrize("content", [elf(62), b"", b"#", b"\n#!/bin/sh\n"])
def test_what_is_no_script_names_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    assert plugin_binary.interpreter(str(tmp_path / "p")) == ""


def test_a_script_is_told_once_and_changes_nothing(host: Host) -> None:
    """Each of two configs that the runtime uses runs them; of a compiled one nothing is said."""
    killed.two_files(host)
    host.plugins()
    told = [each for each in report(run(host.audit())).findings if each.code == "PluginScript"]
    assert sorted(each.component for each in told) == [
        "bridge", "host-local", "loopback", "portmap",
    ]  # fmt: skip
    assert {each.severity for each in told} == {Severity.INFO}
    assert all(f"{each.component} is a script for /bin/sh" in each.message for each in told)
    seen = survey.survey(host.audit())
    compiled = {name: replace(each, interpreter="") for name, each in seen.supports.items()}
    with_them, without = (
        reports.make(each, reports.judge(each)) for each in (seen, replace(seen, supports=compiled))
    )
    assert replace(with_them, findings=()) == replace(without, findings=())
    assert set(with_them.findings) - set(without.findings) == set(told)


def test_the_next_folder_is_not_searched_past_a_link_that_leads_nowhere_here(host: Host) -> None:
    """The runtime sees more than an agent: the target of the link may not be mounted here."""
    host.plugin("bridge", "1.0.0")
    host.plugin("portmap", "0.4.0")
    before = host.root / "usr/lib/cni"
    before.mkdir(parents=True)
    (before / "bridge").symlink_to("/nix/store/x/bridge")
    dirs = [("/usr/lib/cni", str(before)), ("/opt/cni/bin", str(host.bin))]
    support = probe.probe(str(host.root), dirs, ["bridge", "portmap"], "1.0.0")
    assert (support["bridge"].source, support["bridge"].supported) == ("unknown", None)
    assert code(support["bridge"]) == "PluginBrokenLink"
    assert "/usr/lib/cni/bridge" in str(support["bridge"].finding)
    assert support["portmap"].max == "0.4.0"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_the_next_folder_is_not_searched_past_one_that_is_closed() -> None:
    """To a person who is not root, and to an agent, whom no capability lets in; the runtime is."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        host = Host(Path(folder) / "host")
        host.plugin("bridge", "1.0.0")
        closed = Path(folder) / "closed"
        closed.mkdir(mode=0o700)
        dirs = [(str(closed), str(closed)), ("/opt/cni/bin", str(host.bin))]
        os.seteuid(65534)
        try:
            support = probe.probe("", dirs, ["bridge"], "1.0.0")["bridge"]
        finally:
            os.seteuid(0)
    assert (support.source, code(support)) == ("unknown", "PluginBrokenLink")
    assert "Permission denied" in str(support.finding)


@pytest.mark.parametrize("first", ["link", "circle", "folder", "under a file"])
def test_what_stat_fails_on_is_passed_over_as_libcni_does(host: Host, first: str) -> None:
    """On the machine itself, where we see what the runtime sees (`invoke/find.go`)."""
    host.plugin("bridge", "1.0.0")
    before = host.root / "first"
    before.mkdir()
    if first == "folder":
        (before / "bridge").mkdir()
    elif first == "under a file":
        before = before / "file"
        before.write_text("")
    else:
        (before / "bridge").symlink_to("bridge" if first == "circle" else "/no/such/file")
    dirs = [(str(before), str(before)), (str(host.bin), str(host.bin))]
    assert probe.probe("", dirs, ["bridge"], "1.0.0")["bridge"].max == "1.0.0"
    if first in ("link", "circle"):
        alone = probe.probe("", dirs[:1], ["bridge"], "1.0.0")["bridge"]
        assert (alone.source, code(alone)) == ("missing", "PluginBrokenLink")


def test_a_folder_that_could_not_be_looked_at(host: Host) -> None:
    """What is not in the folders before it may be there."""
    host.plugin("bridge", "1.0.0")
    dirs = [("/opt/cni/bin", str(host.bin))]
    found = probe.probe(str(host.root), dirs, ["bridge", "vlan"], "1.0.0", "/more")
    assert found["bridge"].max == "1.0.0"
    assert (found["vlan"].source, code(found["vlan"])) == ("unknown", "PluginUnknown")
    assert "it may be in /more" in str(found["vlan"].finding)


@pytest.mark.parametrize(
    ("content", "mode", "text"),
    [
        (elf(22), 0o755, "another machine (s390x)"),
        (elf(4242), 0o755, "another machine (ELF machine 4242)"),
        (b"echo hello\n", 0o755, "neither a program nor a script"),
        (b"", 0o755, "neither a program nor a script"),
        (b"#!/no/such/interpreter\n", 0o755, "interpreter or loader"),
        (b"#!/bin/sh\n", 0o644, "no permission to execute"),
    ],
)
def test_what_cannot_be_run(host: Host, content: bytes, mode: int, text: str) -> None:
    path = host.bin / "p"
    path.write_bytes(content)
    path.chmod(mode)
    support = ask(host, "p")["p"]
    assert code(support) == "PluginNotExecutable"
    assert text in str(support.finding)
