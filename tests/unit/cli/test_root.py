"""A disk image or a dump of a node: its links lead where they led on the node, never out of it."""

import shutil
from pathlib import Path

import pytest

from cni_upgrade.cli.main import main
from tests.unit.agent.host import VERSIONLESS, Host

Captured = pytest.CaptureFixture[str]
HEALTHY = VERSIONLESS.replace("{", '{"cniVersion": "1.0.0",', 1)


@pytest.fixture
def decoy(tmp_path: Path) -> Path:
    """What an absolute link of the image would lead to on the machine that looks at it."""
    folder = tmp_path / "decoy"
    folder.mkdir()
    (folder / "10-pod.conflist").write_text(HEALTHY)
    return folder


@pytest.fixture
def image(tmp_path: Path, decoy: Path) -> Host:
    """As k3s and appliances have it: every folder is reached by links, absolute and climbing."""
    made = Host(tmp_path / "image")
    made.plugins()
    made.config()
    at = made.root / str(decoy).strip("/")
    at.parent.mkdir(parents=True)
    made.conf.rename(at)
    made.conf.symlink_to(decoy)
    made.bin.rename(made.root / "plugins")
    made.bin.symlink_to("../../../../../../../plugins")
    (made.root / "var/lib").rename(made.root / "persist")
    (made.root / "var/lib").symlink_to("/persist")
    return made


def ask(image: Host, verb: str, *more: str) -> int:
    return main([verb, "--root", str(image.root), "--runtime", "containerd://1.6.2", *more])


def test_links_stay_inside(image: Host, decoy: Path, capsys: Captured) -> None:
    written = image.root / str(decoy).strip("/") / "10-pod.conflist"
    assert ask(image, "audit") == 1
    assert "10-pod.conflist  yes   missing  1.0.0  rewrite" in capsys.readouterr().out
    assert ask(image, "apply") == 0
    assert '"cniVersion": "1.0.0"' in written.read_text()
    assert (decoy / "10-pod.conflist").read_text() == HEALTHY
    assert ask(image, "backups") == 0
    backup = capsys.readouterr().out.split("BACKUP", 1)[1].split()[2]
    assert ask(image, "backups", "--state-dir", "/persist/cni-upgrade") == 0
    assert backup in capsys.readouterr().out, "the same folder by its other name"
    assert ask(image, "restore", backup) == 1, "F1 is there again"
    assert written.read_text() == VERSIONLESS


def test_backups_are_not_made_where_a_link_leads_on_this_machine(
    image: Host, tmp_path: Path
) -> None:
    """The folder is not there yet, and what leads to it is an absolute link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (image.root / "srv").symlink_to(outside)
    inside = image.root / str(outside).strip("/")
    inside.mkdir(parents=True)
    assert ask(image, "apply", "--state-dir", "/srv/deep/cni-upgrade") == 0
    assert not list(outside.iterdir())
    assert (inside / "deep/cni-upgrade/backups").is_dir()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_that_leads_nowhere_makes_nothing(
    there: bool, image: Host, tmp_path: Path, capsys: Captured
) -> None:
    """Nowhere in the image, be it there on the machine that looks or not."""
    (image.root / "srv").symlink_to(tmp_path / "outside")
    if there:
        (tmp_path / "outside").mkdir()
    before = image.tree()
    assert ask(image, "apply", "--state-dir", "/srv/cni-upgrade") == 2
    assert "StateFolder" in capsys.readouterr().out
    assert image.tree() == before
    assert not list(tmp_path.glob("outside/*"))


def test_a_config_that_is_a_link_out_of_its_folder_is_read_inside_and_not_replaced(
    image: Host, decoy: Path, capsys: Captured
) -> None:
    conf = image.root / str(decoy).strip("/")
    shutil.move(conf / "10-pod.conflist", image.root / "real.conflist")
    (conf / "10-pod.conflist").symlink_to("/real.conflist")
    assert ask(image, "plan") == 1
    assert "refuse" in capsys.readouterr().out
    assert ask(image, "apply") == 2
    assert (image.root / "real.conflist").read_text() == VERSIONLESS


def test_a_plugin_that_leads_out_is_not_run(image: Host, tmp_path: Path, capsys: Captured) -> None:
    """It leads to a program on the machine that looks, which is none of the node's."""
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    trap.chmod(0o755)
    plugin = image.root / "plugins/bridge"
    plugin.unlink()
    plugin.symlink_to(trap)
    assert ask(image, "audit") == 1
    assert "PluginBrokenLink" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()
