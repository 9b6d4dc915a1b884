"""A file that another program renames into place between our last look and our rename stays.

Today's way, a plain rename, threw it away with no backup. The two names are exchanged, so what had
the name is looked at and has it again where it is not what was judged and saved.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import exchanged, renames, transaction
from cni_upgrade.agent.protocol.result import Outcome
from tests.unit.agent.host import VERSIONLESS, Host, refused
from tests.unit.agent.killed import KilledError
from tests.unit.agent.test_as_list import CONF, LIST, order

NAME = "10-pod.conflist"
CURED = VERSIONLESS.replace("{\n", '{\n  "cniVersion": "1.0.0",\n', 1)


def foreign(host: Host, text: str, name: str = NAME, mode: int = 0o640) -> None:
    """As a DaemonSet writes its file: another one, renamed over it."""
    path = host.root / "theirs"
    path.write_text(text)
    path.chmod(mode)
    path.rename(host.conf / name)


def after_the_last_look(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    still = transaction._still

    def then(folder: int, name: str, expected: str | None) -> None:
        still(folder, name, expected)
        act()

    monkeypatch.setattr(transaction, "_still", then)


def names(host: Host) -> list[str]:
    return sorted(path.name for path in host.conf.iterdir())


def test_a_file_that_is_renamed_there_after_the_last_look(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.config()
    asked = host.apply()
    after_the_last_look(monkeypatch, lambda: foreign(host, "theirs"))
    assert refused(run(asked)) == "ChangedMeanwhile"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("theirs", 0o640)
    assert names(host) == [NAME]


def test_a_file_that_is_removed_after_the_last_look(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.config()
    asked = host.apply()
    after_the_last_look(monkeypatch, path.unlink)
    assert refused(run(asked)) == "ChangedMeanwhile"
    assert names(host) == []


def test_a_list_that_is_made_after_the_last_look(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.config("10-pod.conf", CONF)
    asked = order(host)
    after_the_last_look(monkeypatch, lambda: foreign(host, "theirs", LIST))
    assert refused(run(asked)) == "ChangedMeanwhile"
    assert (host.conf / LIST).read_text() == "theirs"
    assert (host.conf / "10-pod.conf").read_text() == CONF
    assert names(host) == ["10-pod.conf", LIST]


def test_the_same_bytes_are_the_file_that_was_saved(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.config()
    asked = host.apply()
    after_the_last_look(monkeypatch, lambda: foreign(host, VERSIONLESS))
    assert run(asked).outcome is Outcome.DONE
    assert path.read_text() == CURED
    assert names(host) == [NAME]


@pytest.mark.parametrize("times", [1, 2, 3, 7])
def test_the_newest_of_several_has_the_name(
    host: Host, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """One more comes right before each exchange that is to put one back."""
    path = host.config()
    asked = host.apply()
    exchange, came = renames.exchange, list[int]()

    def late(folder: int, one: str, other: str) -> bool:
        if len(came) < times:
            came.append(len(came))
            foreign(host, f"theirs {len(came)}" + "." * len(came))
        return exchange(folder, one, other)

    monkeypatch.setattr(renames, "exchange", late)
    assert refused(run(asked)) == "ChangedMeanwhile"
    assert path.read_text() == f"theirs {times}" + "." * times
    assert names(host) == [NAME]


def test_what_is_written_into_ours_meanwhile_is_kept_too(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename by one program, and a write into what then has the name by another."""
    path = host.config()
    asked = host.apply()
    after_the_last_look(monkeypatch, lambda: foreign(host, "theirs"))
    read = exchanged._read

    def late(folder: int, name: str) -> bytes | None:
        data = read(folder, name)
        if name.endswith(".cnitmp"):
            path.write_text("theirs, and newer")
        return data

    monkeypatch.setattr(exchanged, "_read", late)
    assert refused(run(asked)) == "ChangedMeanwhile"
    assert path.read_text() == "theirs, and newer"
    assert names(host) == [NAME]


def test_no_end_of_it_is_an_end_all_the_same(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.config()
    asked = host.apply()
    exchange, came = renames.exchange, list[int]()

    def late(folder: int, one: str, other: str) -> bool:
        came.append(0)
        foreign(host, "theirs" + "." * len(came))
        return exchange(folder, one, other)

    monkeypatch.setattr(renames, "exchange", late)
    result = run(asked)
    assert result.error is not None
    assert result.error.code == "ChangedMeanwhile"
    assert "compare the two" in result.error.message
    texts = {(host.conf / name).read_text() for name in names(host)}
    assert "theirs" + "." * len(came) in texts
    assert CURED not in texts


@pytest.mark.parametrize("plain", [True, False])
def test_a_kernel_or_a_file_system_without_it(
    host: Host, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    """Then a plain rename does it, and the window is as it was."""
    monkeypatch.setattr(renames, "_renamed", lambda *_: False)
    if plain:
        path = host.config()
        assert run(host.apply()).outcome is Outcome.DONE
        assert path.read_text() == CURED
        assert names(host) == [NAME]
    else:
        host.config("10-pod.conf", CONF)
        assert run(order(host)).outcome is Outcome.DONE
        assert names(host) == [LIST]


class Kill:
    """Ends a run at its first look at what was exchanged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, order: object) -> None:
        def killed(*_: object, **__: object) -> bool:
            raise KilledError

        with monkeypatch.context() as patched:
            patched.setattr(exchanged, "settle", killed)
            with pytest.raises(KilledError):
                run(order)  # type: ignore[arg-type]


def test_a_run_killed_between_exchange_and_look(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.config()
    asked = host.apply()
    Kill(monkeypatch, asked)
    assert names(host) == [NAME, f"{NAME}.cnitmp"]
    assert ((host.conf / f"{NAME}.cnitmp").read_text(), path.read_text()) == (VERSIONLESS, CURED)
    result = run(asked)
    assert result.outcome is Outcome.DONE
    assert [change.name for change in result.changes] == [NAME]
    assert (path.read_text(), names(host)) == (CURED, [NAME])


@pytest.mark.parametrize("another", [True, False])
def test_a_run_killed_with_another_programs_file_taken_out(
    host: Host, monkeypatch: pytest.MonkeyPatch, another: bool
) -> None:
    """The next run, of whichever operation, gives it its name back."""
    path = host.config()
    asked = host.apply()
    with monkeypatch.context() as patched:
        after_the_last_look(patched, lambda: foreign(host, "theirs"))
        Kill(patched, asked)
    assert (path.read_text(), (host.conf / f"{NAME}.cnitmp").read_text()) == (CURED, "theirs")
    result = run(host.apply(number=1) if another else asked)
    assert result.outcome is Outcome.REFUSED
    assert (path.read_text(), names(host)) == ("theirs", [NAME])


@pytest.mark.parametrize("left", ["", CURED[:40], CURED])
def test_half_of_ours_is_not_another_programs(
    host: Host, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """A rerun that writes a file once more may be killed when half of it is ready."""
    path = host.config()
    asked = host.apply()
    Kill(monkeypatch, asked)
    (host.conf / f"{NAME}.cnitmp").write_text(left)
    assert run(asked).outcome is Outcome.DONE
    assert (path.read_text(), names(host)) == (CURED, [NAME])


def test_ours_that_was_never_used_goes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.config()
    asked = host.apply()
    Kill(monkeypatch, asked)
    (host.conf / f"{NAME}.cnitmp").write_text(CURED)
    path.write_text(VERSIONLESS)
    assert run(asked).outcome is Outcome.DONE
    assert (path.read_text(), names(host)) == (CURED, [NAME])


def test_an_exchange_and_a_gift_are_the_kernels(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert renames.exchange(folder, "a", "b")
        assert (tmp_path / "a").read_text() == "b"
        with pytest.raises(FileNotFoundError):
            renames.exchange(folder, "a", "none")
        with pytest.raises(FileExistsError):
            renames.give(folder, "a", "b")
        renames.give(folder, "a", "c")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]
    finally:
        os.close(folder)
