"""The agent as the Job starts it: user 0, no capability, no new privileges."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent.protocol.operation import Operation, Outcome, Result
from cni_upgrade.agent.protocol.termination_message import decode
from tests.unit.agent.host import VERSIONLESS, Host, codes, report, saved_as

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)

POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


def agent(tmp_path: Path, operation: Operation) -> Result:
    log = tmp_path / "log"
    ran = subprocess.run(
        [*POWERLESS, sys.executable, "-m", "cni_upgrade.agent.agent"],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3] / "operator"),
            "CNI_UPGRADE_OPERATION": json.dumps(operation.to_json()),
            "CNI_UPGRADE_TERMINATION_LOG": str(log),
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.stderr == ""
    return decode(log.read_text())


def test_roots_own_files(host: Host, tmp_path: Path) -> None:
    path = host.config()
    path.chmod(0o600)
    host.results.chmod(0o700)
    host.sandbox(None).chmod(0o600)
    host.state.mkdir(mode=0o755)
    os.setxattr(path, "user.origin", b"x")
    assert report(agent(tmp_path, host.audit())).sandboxes == {"missing": 1}
    done = agent(tmp_path, host.apply())
    assert done.outcome is Outcome.DONE
    assert path.stat().st_mode & 0o777 == 0o600
    back = replace(host.restore(done.backup), rollback=True)
    assert agent(tmp_path, back).outcome is Outcome.DONE
    assert path.read_text() == VERSIONLESS
    assert os.getxattr(path, "user.origin") == b"x"


def test_a_foreign_group_cannot_be_given_back(host: Host, tmp_path: Path) -> None:
    path = host.config()
    os.chown(path, -1, 4242)
    assert "ForeignOwner" in codes(agent(tmp_path, host.audit()))
    result = agent(tmp_path, host.apply())
    assert result.outcome is Outcome.REFUSED
    assert result.error is not None
    assert result.error.code == "ForeignOwner"
    assert "10-pod.conflist" in result.error.message
    assert "4242" in result.error.message
    assert [each.name for each in host.conf.iterdir()] == ["10-pod.conflist"]
    assert path.read_text() == VERSIONLESS


def test_a_label_cannot_be_given_back(host: Host, tmp_path: Path) -> None:
    path = host.config()
    try:
        os.setxattr(path, "security.cni-upgrade-test", b"label")
    except OSError as error:
        pytest.skip(f"no security attributes here: {error}")
    assert "ExtendedAttribute" in codes(agent(tmp_path, host.audit()))
    result = agent(tmp_path, host.apply())
    assert result.error is not None
    assert (result.outcome, result.error.code) == (Outcome.REFUSED, "ExtendedAttribute")
    assert "security.cni-upgrade-test" in result.error.message
    assert [each.name for each in host.conf.iterdir()] == ["10-pod.conflist"]


def test_the_group_of_a_folder_that_gives_its_own(host: Host, tmp_path: Path) -> None:
    """A new file of a set-group-ID folder has its group without anybody giving it."""
    path = host.config()
    os.chown(path, -1, 4242)
    os.chown(host.conf, -1, 4242)
    host.conf.chmod(0o2755)
    assert "ForeignOwner" not in codes(agent(tmp_path, host.audit()))
    assert agent(tmp_path, host.apply()).outcome is Outcome.DONE
    assert path.stat().st_gid == 4242


def test_set_id_bits_of_ones_own_are_given_back(host: Host, tmp_path: Path) -> None:
    """Whoever has no capability loses them with the first byte that he writes."""
    path = host.config()
    path.chmod(0o6755)
    done = agent(tmp_path, host.apply())
    assert (done.outcome, path.stat().st_mode & 0o7777) == (Outcome.DONE, 0o6755)
    assert agent(tmp_path, host.restore(done.backup)).outcome is Outcome.DONE
    assert (path.read_text(), path.stat().st_mode & 0o7777) == (VERSIONLESS, 0o6755)


def test_the_set_group_id_bit_of_a_foreign_group_cannot_be_given(
    host: Host, tmp_path: Path
) -> None:
    """The group comes from the folder; the kernel drops the bit and says nothing."""
    path = host.config()
    os.chown(path, -1, 4242)
    path.chmod(0o2755)
    os.chown(host.conf, -1, 4242)
    host.conf.chmod(0o2755)
    assert "PermissionBits" in codes(agent(tmp_path, host.audit()))
    result = agent(tmp_path, host.apply())
    assert result.error is not None
    assert (result.outcome, result.error.code) == (Outcome.REFUSED, "PermissionBits")
    assert "10-pod.conflist has the permission bits 2755" in result.error.message
    assert (path.read_text(), path.stat().st_mode & 0o7777) == (VERSIONLESS, 0o2755)


def test_what_a_restore_could_not_give_back(host: Host, tmp_path: Path) -> None:
    """Refused before anything is made ready: what counts is the file of the backup."""
    path = host.config()
    host.state.mkdir(mode=0o755)
    done = agent(tmp_path, host.apply())
    manifest = host.state / "backups" / str(done.backup) / "manifest.json"
    document = json.loads(manifest.read_text())
    document["files"][0]["gid"] = 4242
    result = agent(tmp_path, host.restore(saved_as(manifest, document)))
    assert result.error is not None
    assert (result.outcome, result.error.code) == (Outcome.REFUSED, "ForeignOwner")
    assert path.read_text() != VERSIONLESS


def test_what_root_may_not_read(host: Host, tmp_path: Path) -> None:
    path = host.config()
    os.chown(path, 4242, 4242)
    path.chmod(0o600)
    result = agent(tmp_path, host.audit())
    assert result.outcome is Outcome.DONE
    assert any(finding.code == "FileUnreadable" for finding in report(result).findings)
