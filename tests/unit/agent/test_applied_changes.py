"""What an audit tells of the changes that stand, so that a lost record can be made anew."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.protocol.operation import Outcome, Result, Standing, StandingFile, Target
from tests.unit.agent import killed
from tests.unit.agent.host import VERSIONLESS, Host, codes, refused, report, sha256

ME, OTHER = "policy-uid-1", "policy-uid-2"


def apply(
    host: Host, *, policy: str = ME, to: str = "1.0.0", number: int = 0, keep: int = 5
) -> Result:
    order = replace(host.apply(to=to, number=number), target=Target(to), keep=keep)
    result = run(replace(order, policy=policy))
    assert result.outcome is Outcome.DONE, result.error
    return result


def standing(host: Host) -> Standing | None:
    return report(run(host.audit())).standing


def backup(result: Result) -> str:
    assert result.backup is not None
    return result.backup


def file(path: Path, result: Result, to: str = "1.0.0") -> StandingFile:
    return StandingFile(path.name, backup(result), None, to, sha256(path), backup(result))


def test_what_a_policy_wrote(host: Host) -> None:
    path = host.config()
    assert standing(host) is None
    done = apply(host)
    before = host.tree()
    assert standing(host) == Standing(ME, (file(path, done),))
    assert host.tree() == before, "an audit only looks"


def test_the_first_backup_of_a_policy_counts(host: Host) -> None:
    """Also where somebody has changed the file in between, or since."""
    path = host.config()
    first = apply(host, to="0.4.0")
    path.write_text(path.read_text().replace("0.4.0", "0.3.1"))
    second = apply(host, number=1)
    written = sha256(path)
    told = StandingFile(path.name, backup(first), None, "1.0.0", written, backup(second))
    assert standing(host) == Standing(ME, (told,))
    path.write_text("{}")
    assert standing(host) == Standing(ME, (told,)), "to be given back, and then refused by name"


def test_another_policy_begins_anew(host: Host) -> None:
    path = host.config()
    apply(host, to="0.4.0")
    second = apply(host, policy=OTHER, number=1)
    told = replace(file(path, second), from_version="0.4.0")
    assert standing(host) == Standing(OTHER, (told,))


def test_nothing_stands_once_it_was_given_back(host: Host) -> None:
    path = host.config()
    first = apply(host, to="0.4.0")
    second = apply(host, number=1)
    run(host.restore(second.backup))
    still = replace(file(path, first, "0.4.0"), newest=backup(second))
    assert standing(host) == Standing(ME, (still,)), "the first change still does"
    run(host.restore(first.backup, number=1))
    assert (standing(host), path.read_text()) == (None, VERSIONLESS)
    path.write_text(VERSIONLESS.replace("{", '{"cniVersion": "0.3.1",', 1))
    assert standing(host) is None, "what somebody writes then is not the policy's"
    third = apply(host, number=2)
    assert standing(host) == Standing(ME, (replace(file(path, third), from_version="0.3.1"),))


def test_what_a_person_wrote_is_no_policys(host: Host) -> None:
    host.config()
    apply(host, policy="")
    assert standing(host) is None


def test_a_backup_that_cannot_be_read_is_not_nothing(host: Host) -> None:
    host.config()
    done = apply(host)
    (host.state / "backups" / backup(done) / "manifest.json").write_text("{")
    assert standing(host) == Standing(None)


def kept(host: Host) -> set[str]:
    return {path.name for path in (host.state / "backups").iterdir()}


def given_back(host: Host, made: Result) -> Result:
    result = run(host.restore(made.backup, number=99))
    assert result.outcome is Outcome.DONE, result.error
    assert (host.conf / "10-pod.conflist").read_text() == VERSIONLESS
    return result


@pytest.mark.parametrize("then", [ME, ""])
def test_the_backup_that_a_record_names_is_never_pruned(host: Host, then: str) -> None:
    """Another program puts the same bytes back again and again; a person may write here too."""
    host.config()
    first = apply(host)
    for number in range(1, 4):
        host.config()
        apply(host, policy=then, number=number, keep=1)
    assert len(kept(host)) == 2, "what lies between is"
    given_back(host, first)


def test_nor_is_one_of_before_a_person_put_it_back(host: Host) -> None:
    """The controller is not told of that: its record begins where it began, or is made anew."""
    host.config()
    first = apply(host)
    run(host.restore(first.backup, number=1))
    second = apply(host, number=2, keep=1)
    for number, policy in enumerate((ME, "", ME), start=3):
        host.config()
        apply(host, policy=policy, number=number, keep=1)
    assert {first.backup, second.backup} <= kept(host)


@pytest.mark.parametrize("between", [OTHER, ""])
def test_what_a_record_that_begins_later_names_is_kept(host: Host, between: str) -> None:
    """After another policy's, or made anew from here after a person's."""
    host.config()
    for number, policy in enumerate((ME, between, ME)):
        host.config()
        apply(host, policy=policy, number=number)
    told = standing(host)
    assert told is not None
    for number, policy in enumerate((ME, ""), start=3):
        host.config()
        apply(host, policy=policy, number=number, keep=1)
    assert told.files[0].backup in kept(host)


def test_the_last_backup_that_a_policy_had_made_is_kept(host: Host) -> None:
    """A change that is yet to be proved goes back to it, whoever has written since."""
    host.config()
    apply(host)
    host.config()
    last = apply(host, number=1)
    for number in (2, 3):
        host.config()
        apply(host, policy="", number=number, keep=1)
    assert backup(last) in kept(host)


def pruned(host: Host, made: Result) -> None:
    """As releases did that counted a later backup of the same files for as good."""
    shutil.rmtree(host.state / "backups" / backup(made))


def test_a_backup_that_was_pruned_is_given_back_from_its_like(host: Host) -> None:
    host.config()
    first = apply(host)
    host.config()
    second = apply(host, number=1)
    pruned(host, first)
    result = given_back(host, first)
    assert result.backup == first.backup, "the record drops what it asked for"
    [said] = [each for each in report(result).findings if each.code == "BackupReplaced"]
    assert backup(second) in said.message


@pytest.mark.parametrize("damaged", [False, True])
def test_the_likes_of_its_files_may_be_in_several_backups(host: Host, damaged: bool) -> None:
    """Each file drifts by itself, and is then saved by itself."""
    killed.two_files(host)
    old = {path: path.read_bytes() for path in sorted(host.conf.iterdir())}
    first = apply(host)
    used = {}
    for number, (path, data) in enumerate(old.items(), start=1):
        path.write_bytes(data)
        used[path.name] = backup(run(replace(host.apply(path.name, number=number), policy=ME)))
    pruned(host, first)
    if damaged:
        (host.state / "backups" / used[path.name] / "files" / path.name).write_text("{}")
        assert refused(run(host.restore(first.backup, number=99))) == "BackupMissing"
        return
    result = run(host.restore(first.backup, number=99))
    assert (result.outcome, result.replaced_by) == (Outcome.DONE, used)
    assert {path: path.read_bytes() for path in old} == old
    said = [each for each in report(result).findings if each.code == "BackupReplaced"]
    assert {each.component.rpartition("/")[2] for each in said} == set(used.values())
    for path in old:
        path.write_text(path.read_text() + "\n")
    assert standing(host) is None


@pytest.mark.parametrize("left", [1, 2])
def test_nothing_stands_once_the_like_of_its_backup_was_given_back(host: Host, left: int) -> None:
    path = host.config()
    first = apply(host)
    for number in range(1, 1 + left):
        host.config()
        last = apply(host, number=number)
    pruned(host, first)
    result = given_back(host, first)
    assert result.replaced_by == {path.name: last.backup}
    path.write_text(VERSIONLESS.replace("cni0", "cni9"))
    assert standing(host) is None, "what somebody writes then is not the policy's"


def test_of_the_like_of_a_backup_nothing_else_was_given_back(host: Host) -> None:
    """It may hold another file besides, of which what was changed stands."""
    killed.two_files(host)
    path, other = sorted(host.conf.iterdir())
    old = {each: each.read_bytes() for each in (path, other)}
    order = replace(host.apply(path.name), policy=ME)
    first = run(order)
    path.write_bytes(old[path])
    second = apply(host, number=1)
    pruned(host, first)
    assert run(host.restore(first.backup, number=99)).outcome is Outcome.DONE
    assert (path.read_bytes(), other.read_bytes() == old[other]) == (old[path], False)
    path.write_bytes(old[path] + b"\n")
    told = standing(host)
    assert told is not None
    assert [(each.name, each.backup) for each in told.files] == [(other.name, second.backup)]


@pytest.mark.parametrize("unlike", ["mode", "bytes", "damaged", "forgotten"])
def test_what_is_not_sure_to_be_its_like_is_not_given_back(host: Host, unlike: str) -> None:
    path = host.config()
    first = apply(host)
    for number, mode in ((1, 0o644), (2, 0o600 if unlike == "mode" else 0o644)):
        path.write_text(VERSIONLESS.replace("cni0", "cni9") if unlike == "bytes" else VERSIONLESS)
        path.chmod(mode)
        made = apply(host, number=number)
        if unlike == "damaged":
            (host.state / "backups" / backup(made) / "files" / path.name).write_text("{}")
    pruned(host, first)
    if unlike == "forgotten":
        (host.state / "results" / f"{first.id}.json").unlink()
    before = path.read_bytes()
    result = run(host.restore(first.backup, number=99))
    assert result.error is not None
    assert (result.outcome, result.error.code) == (Outcome.REFUSED, "BackupMissing")
    assert "BackupReplaced" not in codes(result)
    assert path.read_bytes() == before
