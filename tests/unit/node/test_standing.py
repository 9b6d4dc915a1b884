"""What an audit tells of the changes that stand, so that a lost record can be made anew."""

from dataclasses import replace
from pathlib import Path

from cni_upgrade.node.agent import run
from cni_upgrade.node.operation import Outcome, Result, Standing, StandingFile, Target
from tests.unit.node.host import VERSIONLESS, Host, report, sha256

ME, OTHER = "policy-uid-1", "policy-uid-2"


def apply(host: Host, *, policy: str = ME, to: str = "1.0.0", number: int = 0) -> Result:
    order = replace(host.apply(to=to, number=number), target=Target(to))
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
    still = replace(file(path, first), newest=backup(second))
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
