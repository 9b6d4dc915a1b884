"""Backups by the command: listed, damaged ones too, and put back by what it prints itself."""

import json
import re
import shlex
import shutil

import pytest

from cni_upgrade.cli.main import main
from tests.unit.agent.host import VERSIONLESS, Host
from tests.unit.cli.asking import Captured, ask, flat


def test_a_damaged_backup_is_listed_as_one(host: Host, capsys: Captured) -> None:
    assert ask(host, "apply") == 0
    [made] = (host.root / "var/lib/cni-upgrade/backups").iterdir()
    (made.parent / "lost+found").mkdir()
    capsys.readouterr()
    assert ask(host, "backups") == 0, "whatever else lies there is no backup"
    assert "DAMAGED" not in capsys.readouterr().out
    copy = made / "files/10-pod.conflist"
    copy.chmod(0o600)
    copy.write_text("{}")
    assert ask(host, "backups") == 1
    told = flat(capsys)
    assert f"DAMAGED: {made}/files/10-pod.conflist".replace(str(host.root), "") in told
    assert "is not what was saved" in told
    assert "as it was before 1.0.0 was written" in told
    assert ask(host, "backups", "-o", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in document["backups"]] == [made.name]
    assert [each["id"] for each in document["damaged"]] == [made.name]
    (made / "manifest.json").write_text("{")
    assert ask(host, "backups") == 1
    told = flat(capsys)
    assert "no backups" not in told
    assert f"{made.name} - - DAMAGED: " in told
    assert "manifest.json cannot be read" in told
    assert ask(host, "backups", "-o", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["backups"] == []
    assert "manifest.json" in document["damaged"][0]["why"]
    (made / "manifest.json").unlink()
    assert ask(host, "restore", made.name) == 2
    told = flat(capsys)
    assert "BackupDamaged: " in told, "it is there, and so are its copies"
    assert "the copies beside it may still be good" in told


def test_commands_lead_to_the_machine_that_was_looked_at(host: Host, capsys: Captured) -> None:
    assert ask(host, "audit") == 1
    assert "give each the options that were given here" in flat(capsys)
    kept = ("--state-dir", "/var/kept here")
    assert ask(host, "apply", *kept) == 0
    [made] = (host.root / "var/kept here/backups").iterdir()
    where = f"--root {host.root} --runtime {host.runtime} --state-dir '/var/kept here'"
    told = flat(capsys)
    assert f"`cni-upgrade restore {made.name} {where}` puts it back" in told
    assert ask(host, "backups", *kept) == 0
    told = flat(capsys)
    assert f"`cni-upgrade restore <BACKUP> {where}` puts one back" in told
    assert main(["backups", "--root", str(host.root), *kept]) == 0
    assert re.search("restore <BACKUP> --root .* --runtime <RUNTIME>` puts one back", flat(capsys))


@pytest.mark.parametrize("root", [True, False], ids=["a root", "this machine"])
@pytest.mark.parametrize("verb", ["apply", "backups"])
def test_what_is_printed_is_a_command_that_works(
    host: Host, verb: str, root: bool, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed elsewhere, as it stands there: without the runtime, or in another folder, it would be
    refused where pods run."""
    host.runtime = "containerd://2.9.0"
    named = ["--runtime", host.runtime, "--libcni", "1.3.1", "--state-dir", "kept here"]
    for option, folder in (
        ("--config-dir", host.conf),
        ("--bin-dir", host.bin),
        ("--cache-dir", host.results.parent),
    ):
        folder.rename(host.root / option)
        named += [f"{option}=./{option}"]
    if root:
        named += ["--root", str(host.root)]
    monkeypatch.chdir(host.root)
    assert main(["apply", *named]) == 1, "whether this runtime asks CHECK is not known"
    host.results = host.root / "--cache-dir/results"
    host.sandbox("1.0.0")
    if verb == "backups":
        capsys.readouterr()
        assert main(["backups", *named]) == 0
    [printed] = re.findall("`cni-upgrade (restore [^`]+)`", capsys.readouterr().out)
    [made] = (path.name for path in (host.root / "kept here/backups").iterdir())
    monkeypatch.chdir("/")
    words = shlex.split(printed.replace("<BACKUP>", made))
    named_here = {each.split("=")[0] for each in named if each.startswith("--")}
    assert {each for each in words if each.startswith("--")} == named_here
    assert main(words) == 1, "it is back, with its fault"
    assert (host.root / "--config-dir/10-pod.conflist").read_text() == VERSIONLESS


def test_a_restore_that_lets_pods_hang_again(host: Host, capsys: Captured) -> None:
    host.config()
    host.sandbox(None)
    assert ask(host, "apply") == 0
    made = next(path.name for path in (host.state / "backups").iterdir())
    assert ask(host, "restore", made) == 2
    assert ask(host, "restore", "--rollback", made) == 1
    assert "HangAgain" in capsys.readouterr().out
    assert ask(host, "restore", made) == 1, "it stands there already, and they hang still"
    assert "F1" in capsys.readouterr().out


def test_a_restore_that_leaves_nothing_to_be_found(host: Host, capsys: Captured) -> None:
    """As an apply: what is found afterwards decides, not that something was done."""
    path = host.config(text=VERSIONLESS.replace("{\n", '{\n  "cniVersion": "0.4.0",\n', 1))
    before = path.read_text()
    assert ask(host, "apply") == 0
    made = next(path.name for path in (host.state / "backups").iterdir())
    assert ask(host, "restore", made) == 0
    assert path.read_text() == before
    assert "F1" not in capsys.readouterr().out


def test_a_restore_that_cannot_be(host: Host, capsys: Captured) -> None:
    assert ask(host, "restore", "20261123T225404Z-3f2a9c1b") == 2
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("Refused")
    assert told[1].startswith("BackupMissing: ")
    assert "Verdict" not in "".join(told), "nothing was touched, and the error is what matters"


def refreshed(host: Host, revision: int) -> None:
    """As snapd makes a new revision of microk8s: a copy, its own paths in the args, `current`."""
    snaps = host.root / "var/snap/microk8s"
    old, new = snaps / f"{revision - 1}", snaps / f"{revision}"
    if old.exists():
        shutil.copytree(old, new)
        (snaps / "current").unlink()
    else:
        host.conf.parent.mkdir(parents=True, exist_ok=True)
        (new / "args").mkdir(parents=True)
        host.conf.rename(new / "args/cni-network")
        (new / "opt/cni").mkdir(parents=True)
        host.bin.rename(new / "opt/cni/bin")
    (snaps / "current").symlink_to(new.name)
    place = f"/var/snap/microk8s/{revision}"
    (new / "args/containerd.toml").write_text(
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\n'
        f'bin_dir = "{place}/opt/cni/bin"\nconf_dir = "{place}/args/cni-network"\n'
    )


def test_a_backup_outlives_a_refresh_of_the_snap(host: Host, capsys: Captured) -> None:
    """microk8s names its folders by the revision of the snap, to which `current` leads."""
    refreshed(host, 6000)
    assert ask(host, "apply") == 0
    capsys.readouterr()
    assert ask(host, "backups", "-o", "json") == 0
    [made] = json.loads(capsys.readouterr().out)["backups"]
    assert made["folder"] == "/var/snap/microk8s/current/args/cni-network"
    refreshed(host, 6001)
    assert ask(host, "restore", made["id"]) == 1, "what it had cured is there again"
    capsys.readouterr()
    snaps = host.root / "var/snap/microk8s"
    files = [snaps / f"{each}/args/cni-network/10-pod.conflist" for each in (6000, 6001)]
    assert [each.read_text() == VERSIONLESS for each in files] == [False, True]


def test_a_folder_that_is_named_and_not_the_runtimes(host: Host, capsys: Captured) -> None:
    refreshed(host, 6000)
    named = ("--config-dir", "/var/snap/microk8s/6000/args/cni-network")
    host.runtime = "containerd://1.6.20"
    file = host.root / named[1][1:] / "10-pod.conflist"
    file.write_text(VERSIONLESS.replace("{", '{"cniVersion": "0.4.0",', 1))
    assert ask(host, "apply", *named) == 0
    [made] = (host.root / "var/lib/cni-upgrade/backups").iterdir()
    capsys.readouterr()
    assert ask(host, "restore", made.name) == 0, "as long as both are one folder"
    assert ask(host, "apply", *named) == 0
    refreshed(host, 6001)
    capsys.readouterr()
    assert ask(host, "restore", made.name) == 0, "the refresh has copied what it was made of"
    copied = host.root / "var/snap/microk8s/6001/args/cni-network/10-pod.conflist"
    assert '"cniVersion": "0.4.0"' in copied.read_text()
    assert '"cniVersion": "1.0.0"' in file.read_text(), "nobody reads this one any more"
    capsys.readouterr()
    assert ask(host, "restore", made.name, *named) == 1
    told = flat(capsys)
    assert "Warning OtherFolder" in told
    assert "/var/snap/microk8s/6001/args/cni-network, and what was put back stands in" in told
    file = host.root / "var/snap/microk8s/6001/args/containerd.toml"
    file.write_text(
        f'{file.read_text()}[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]\n'
        f'cni_conf_dir = "{named[1]}/"\n'
    )
    assert ask(host, "apply", *named) == 1
    assert ask(host, "restore", made.name, *named) == 1
    assert "HandlerFolder" in (told := flat(capsys))
    assert "OtherFolder" not in told, "a runtime handler reads it"
