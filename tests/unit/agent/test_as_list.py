"""A single-plugin config becomes a list: the list lands, the file goes, and back the same way."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import journal, transaction
from cni_upgrade.agent.protocol.operation import (
    Action,
    FileOrder,
    Form,
    Kind,
    Known,
    ManagedFiles,
    Operation,
    Outcome,
    Report,
    Result,
    RewriteMode,
    Target,
    Verdict,
)
from tests.unit.agent import killed
from tests.unit.agent.host import Host, codes, refused, report, sha256

NAME, LIST = "10-pod.conf", "10-pod.conflist"
CONF = """{
  "name": "pod-net",
  "type": "bridge",
  "ipam": {"type": "host-local", "mtu": 1.50E3}
}
"""
AS_LIST = """{
  "cniVersion": "1.0.0",
  "name": "pod-net",
  "plugins": [
    {
      "type": "bridge",
      "ipam": {"type": "host-local", "mtu": 1.50E3}
    }
  ]
}
"""
ASKED = Target(form=Form.LIST)


def audited(host: Host, **members: object) -> Result:
    before = host.tree()
    result = run(replace(host.audit(), **{"target": ASKED, **members}))  # type: ignore[arg-type]
    assert host.tree() == before, "an audit changes nothing"
    return result


def order(host: Host, name: str = NAME, number: int = 0) -> Operation:
    """What a controller would order from an audit of now."""
    file = next(file for file in report(audited(host)).files if file.name == name)
    assert file.to is not None
    ordered = FileOrder(file.name, file.sha256, file.to, file.becomes)
    return replace(host.operation(Kind.APPLY, number), files=(ordered,), target=ASKED)


def names(host: Host) -> list[str]:
    return sorted(path.name for path in host.conf.iterdir())


def carried_out(operation: Operation) -> Result:
    result = run(operation)
    assert result.outcome is Outcome.DONE, result.error
    return result


def brought_back(host: Host, path: Path, operation: Operation) -> Result:
    """Carries it out, after which the file stands there as it was, and no list."""
    result = carried_out(operation)
    assert (names(host), path.read_text()) == ([path.name], CONF)
    return result


def made(host: Host, name: str = NAME) -> tuple[Path, Result]:
    path = host.config(name, CONF)
    path.chmod(0o640)
    os.setxattr(path, "user.origin", b"by hand")
    os.utime(path, ns=(10**18, 10**18 + 1))
    return path, carried_out(order(host, name))


def test_only_when_asked(host: Host) -> None:
    host.config(NAME, CONF)
    assert report(run(host.audit())).files[0].becomes is None
    assert run(host.apply()).outcome is Outcome.DONE
    assert names(host) == [NAME]


@pytest.mark.parametrize("name", [NAME, "10-pod.json"])
def test_there_and_back(host: Host, name: str) -> None:
    path, done = made(host, name)
    assert names(host) == [LIST]
    new = host.conf / LIST
    assert new.read_text() == AS_LIST
    assert new.stat().st_mode & 0o7777 == 0o640
    assert os.getxattr(new, "user.origin") == b"by hand"
    landed, gone = done.changes
    assert (landed.name, landed.before, landed.after) == (LIST, None, sha256(new))
    assert (landed.from_version, landed.to) == (None, "1.0.0")
    assert (gone.name, gone.before, gone.after) == (name, sha256_of(CONF), None)
    assert f"rename from {name}\nrename to {LIST}" in landed.diff
    assert report(done).verdict is Verdict.COMPATIBLE
    assert [file.name for file in report(done).files if file.active] == [LIST]
    assert run(order_again(host, done)) == done, "a rerun of the id"

    host.sandbox("1.0.0")
    assert refused(run(host.restore(done.backup, number=7))) == "Unsafe"
    next(host.results.iterdir()).unlink()
    back = brought_back(host, path, host.restore(done.backup))
    assert (path.stat().st_mode & 0o7777, path.stat().st_mtime_ns) == (0o640, 10**18 + 1)
    assert os.getxattr(path, "user.origin") == b"by hand"
    assert [(change.name, change.before is None, change.after is None) for change in back.changes] \
        == [(name, True, False), (LIST, False, True)]  # fmt: skip
    assert (back.changes[0].from_version, back.changes[0].to) == ("1.0.0", None)
    again = run(host.restore(done.backup, number=1))
    assert (again.outcome, again.changes) == (Outcome.DONE, ()), "it stands there already"


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def order_again(host: Host, done: Result) -> Operation:
    gone = done.changes[1]
    ordered = FileOrder(gone.name, str(gone.before), "1.0.0", LIST)
    return replace(host.apply(number=0), files=(ordered,), target=ASKED)


def test_one_that_is_at_the_target_already(host: Host) -> None:
    host.config(NAME, CONF.replace("{\n", '{\n  "cniVersion": "1.0.0",\n', 1))
    file = report(audited(host)).files[0]
    assert (file.action, file.to, file.becomes) == (Action.REWRITE, "1.0.0", LIST)
    faulty = replace(ASKED, rewrite=RewriteMode.ONLY_FAULTY)
    assert report(audited(host, target=faulty)).files[0].action is Action.NONE
    assert run(order(host)).outcome is Outcome.DONE
    assert (host.conf / LIST).read_text() == AS_LIST
    assert report(audited(host)).verdict is Verdict.COMPATIBLE


def test_a_folder_of_the_networks_name(host: Host) -> None:
    """libcni 1.3 would append what stands in it to a list, and never did to the file."""
    host.config(NAME, CONF)
    (host.conf / "pod-net").mkdir()
    assert run(order(host)).outcome is Outcome.DONE
    assert '"loadOnlyInlinedPlugins": true' in (host.conf / LIST).read_text()


def stays(result: Result, said: str) -> None:
    """It stays a single-plugin config, is cured all the same, and the finding says why."""
    found = report(result)
    file = next(file for file in found.files if file.name == NAME)
    assert (file.action, file.to, file.becomes) == (Action.REWRITE, "1.0.0", None)
    assert "KeptAsConf" in codes(result)
    assert said in next(each.message for each in found.findings if each.code == "KeptAsConf")


def test_a_list_that_is_there_already(host: Host) -> None:
    host.config(NAME, CONF)
    host.config(LIST, AS_LIST.replace("1.0.0", "0.4.0"))
    stays(audited(host), f"{LIST} is there already")
    (host.conf / LIST).unlink()
    (host.conf / LIST).mkdir()
    stays(audited(host), f"{LIST} is there already")


def test_the_very_list_is_there_already(host: Host) -> None:
    """As a killed run leaves it: only the file has to go."""
    path = host.config(NAME, CONF)
    host.config(LIST, AS_LIST)
    result = run(order(host))
    assert [change.name for change in result.changes] == [NAME]
    assert names(host) == [LIST]
    brought_back(host, path, host.restore(result.backup))


def test_the_very_list_is_there_as_a_link(host: Host) -> None:
    host.config(NAME, CONF)
    (host.root / "elsewhere").write_text(AS_LIST)
    (host.conf / LIST).symlink_to("/elsewhere")
    found = audited(host)
    assert "SymbolicLink" in codes(found)
    assert report(found).verdict is Verdict.BLOCKED


def test_a_name_between_the_two(host: Host) -> None:
    host.config(NAME, CONF)
    host.config("10-pod.conf0.conf", CONF.replace("pod-net", "other"))
    stays(audited(host), "10-pod.conf0.conf in its place")


def test_a_runtime_that_loads_several(host: Host) -> None:
    host.config(NAME, CONF)
    paths = replace(host.audit().paths, known=Known("runtime config", max_conf_num=0))
    stays(audited(host, paths=paths), "would join the network twice")


def test_a_writer_that_would_put_it_back(host: Host) -> None:
    host.plugin("flannel")
    host.config(
        NAME, CONF.replace('"bridge"', '"flannel"').replace("{\n", '{"cniVersion": "1.0.0",\n', 1)
    )
    found = audited(host)
    assert (report(found).verdict, report(found).files[0].becomes) == (Verdict.COMPATIBLE, None)
    assert "KeptAsConf" in codes(found)
    told = audited(host, managed_files=ManagedFiles.OVERRIDE)
    assert report(told).files[0].becomes == LIST


@pytest.mark.parametrize("change", ["another list", "a name between", "several", "not asked"])
def test_what_came_since_the_audit(host: Host, change: str) -> None:
    host.config(NAME, CONF)
    operation = order(host)
    match change:
        case "another list":
            host.config(LIST, AS_LIST.replace("1.0.0", "0.4.0"))
        case "a name between":
            host.config("10-pod.conf0.conf", CONF.replace("pod-net", "other"))
        case "several":
            known = Known("runtime config", max_conf_num=2)
            operation = replace(operation, paths=replace(operation.paths, known=known))
        case "not asked":
            operation = replace(operation, target=Target())
    result = run(operation)
    assert refused(result) == "NotAllowed"
    assert "under its own name" in str(result.error)
    assert (host.conf / NAME).read_text() == CONF


def test_a_list_made_in_the_very_moment(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.config(NAME, CONF)
    operation = order(host)

    def meanwhile(*_: object) -> None:
        host.config(LIST, "{}")

    monkeypatch.setattr(journal, "begin", meanwhile)
    assert refused(run(operation)) == "ChangedMeanwhile"
    assert ((host.conf / LIST).read_text(), names(host)) == ("{}", [NAME, LIST])


def test_a_list_removed_in_the_very_moment(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the file must not go."""
    host.config(NAME, CONF)
    operation = order(host)
    still = transaction._still

    def meanwhile(folder: int, name: str, expected: str | None) -> None:
        if name == NAME:
            (host.conf / LIST).unlink()
        still(folder, name, expected)

    monkeypatch.setattr(transaction, "_still", meanwhile)
    result = run(operation)
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert result.error.code == "ChangedMeanwhile"
    assert names(host) == [NAME]
    assert (host.conf / NAME).read_text() == CONF


def test_a_restore_that_would_let_another_network_in(host: Host) -> None:
    _, done = made(host, "10-pod.json")
    host.config("10-pod.d.conf", CONF.replace("pod-net", "other"))
    result = run(host.restore(done.backup))
    assert refused(result) == "Unsafe"
    assert "10-pod.d.conf" in str(result.error)
    assert (host.conf / LIST).read_text() == AS_LIST


@pytest.mark.parametrize("victim", [LIST, NAME])
def test_what_somebody_else_wrote_is_theirs(host: Host, victim: str) -> None:
    _, done = made(host)
    host.config(victim, "{}")
    result = run(host.restore(done.backup))
    assert refused(result) == "ChangedSinceBackup"
    assert victim in str(result.error)
    (host.conf / victim).unlink()
    result = run(host.restore(done.backup, number=1))
    assert result.outcome is (Outcome.DONE if victim == NAME else Outcome.REFUSED)


def older(host: Host, name: str = NAME) -> tuple[Path, Operation]:
    """A file, and the order to bring back what was saved of it before it became a list."""
    path = host.config(name, CONF)
    return path, host.restore(carried_out(host.apply()).backup, number=2)


def test_an_older_backup_over_the_list(host: Host) -> None:
    """What was saved before the file became a list comes back in the list's place."""
    path, restore = older(host)
    carried_out(order(host, number=1))
    assert names(host) == [LIST]
    brought_back(host, path, restore)


def killed_before(victim: str, order: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carries the order out until that file would be removed from the folder."""
    unlink = os.unlink

    def until(name: str, **folder: int) -> None:
        if name == victim:
            raise killed.KilledError
        unlink(name, **folder)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", until)
        with pytest.raises(killed.KilledError):
            run(order)


@pytest.mark.parametrize("name", [NAME, "10-pod.json"])
def test_an_older_backup_whose_restore_is_killed_between_its_two_steps(
    host: Host, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, restore = older(host, name)
    carried_out(order(host, name, number=1))
    killed_before(LIST, restore, monkeypatch)
    assert names(host) == sorted([name, LIST])
    result = brought_back(host, path, restore)
    assert [change.name for change in result.changes] == [name, LIST]
    assert [file.name for file in report(result).files if file.active] == [name]


@pytest.mark.parametrize("name", [NAME, "10-pod.json"])
def test_an_older_backup_after_a_conversion_that_was_killed(
    host: Host, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, restore = older(host, name)
    killed_before(name, order(host, name, number=1), monkeypatch)
    assert names(host) == sorted([name, LIST])
    brought_back(host, path, restore)


def test_a_copy_that_is_damaged_before_the_file_goes_is_made_anew(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list has landed, and the file is the last good copy of what it was made of."""
    path = host.config(NAME, CONF)
    asked = order(host)
    killed_before(NAME, asked, monkeypatch)
    (copy,) = (host.state / "backups").glob(f"*/files/{NAME}")
    copy.write_text("spoiled")
    result = run(asked)
    assert result.outcome is Outcome.DONE, result.error
    assert all(change.diff for change in result.changes if change.after is not None)
    assert run(host.restore(result.backup)).outcome is Outcome.DONE
    assert (names(host), path.read_text()) == ([NAME], CONF)


def test_an_older_backup_beside_a_list_of_somebody_else(host: Host) -> None:
    """Once the file has come back, a list of the name that it had is no business of ours."""
    path = host.config(NAME, CONF)
    first = run(host.apply())
    second = run(order(host, number=1))
    assert run(host.restore(second.backup, number=2)).outcome is Outcome.DONE
    theirs = AS_LIST.replace("bridge", "portmap")
    host.config(LIST, theirs)
    carried_out(host.restore(first.backup, number=3))
    assert path.read_text() == CONF
    assert (host.conf / LIST).read_text() == theirs


def test_a_list_that_was_saved_with_the_file_comes_back(host: Host) -> None:
    """Somebody uses both now, so the one is not in the other's place, whatever was before."""
    path, done = made(host)
    assert run(host.restore(done.backup, number=1)).outcome is Outcome.DONE
    killed.two_files(host)
    for each in host.conf.iterdir():
        each.unlink()
    host.config(NAME, CONF)
    host.config(LIST, AS_LIST)
    host.plugins("0.4.0")
    both = replace(host.apply(to="0.4.0", number=2), target=Target("0.4.0"))
    lowered = carried_out(both)
    carried_out(host.restore(lowered.backup, number=3))
    assert path.read_text() == CONF
    assert (host.conf / LIST).read_text() == AS_LIST


def test_the_only_copy_of_the_file_is_kept(host: Host) -> None:
    for number in range(4):
        host.config(NAME, CONF.replace("mtu", f"mtu{number}"))
        carried_out(replace(order(host, number=number), keep=1))
        (host.conf / LIST).unlink()
    manifests = [
        json.loads((folder / "manifest.json").read_text())
        for folder in (host.state / "backups").iterdir()
    ]
    assert len(manifests) == 4
    assert {each["files"][0]["becomes"] for each in manifests} == {LIST}


def test_the_report_and_the_order_survive_the_journey(host: Host) -> None:
    host.config(NAME, CONF)
    operation = order(host)
    assert Operation.from_json(json.loads(json.dumps(operation.to_json()))) == operation
    result = run(operation)
    again = Result.from_json(json.loads(json.dumps(result.to_json())))
    assert again == result
    assert isinstance(again.report, Report)
