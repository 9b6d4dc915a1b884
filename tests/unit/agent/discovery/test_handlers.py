"""Handlers whose pods get their network from a folder of their own, which no policy names."""

from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.discovery import runtime_config
from tests.unit.agent.configured import ETC, V2, put, wrong
from tests.unit.agent.host import Host, report


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
