"""A run that is killed in the middle of its writing, as a test of what the next one does needs."""

import os
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import transaction
from cni_upgrade.agent.files.journal import Entry
from cni_upgrade.agent.protocol.operation import Operation, Result
from tests.unit.agent.host import VERSIONLESS, Host

TWO = """version = 2
[plugins."io.containerd.grpc.v1.cri".cni]
max_conf_num = 2
"""


class KilledError(BaseException):
    """No code catches it, so that what a killed run leaves is left."""


def two_files(host: Host) -> None:
    """Two configs that the runtime uses both, so that one order may be for both."""
    settings = host.root / "etc/containerd/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(TWO)
    for number in (1, 2):
        host.config(f"{number}0-pod.conflist", VERSIONLESS.replace("pod-net", f"net{number}"))


def before_any_file(order: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carries the order out until its first file would get its name: the backup is there."""
    assert _after(0, order, monkeypatch) == []


def after_one_file(order: Operation, monkeypatch: pytest.MonkeyPatch) -> str:
    """Carries the order out until its second file would get its name; the name of the first."""
    (name,) = _after(1, order, monkeypatch)
    return name


def _after(number: int, order: Operation, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    place = transaction._place
    given: list[str] = []

    def some(folder: int, entry: Entry, *lists: Any) -> None:
        if len(given) == number:
            raise KilledError
        given.append(entry.name)
        place(folder, entry, *lists)

    with monkeypatch.context() as patched:
        patched.setattr(transaction, "_place", some)
        with pytest.raises(KilledError):
            run(order)
    return given


def failing(number: int) -> Callable[..., NoReturn]:
    """In place of any function: the error of that number."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number), "the disk")

    return fail


def run_while_failing(
    order: Operation, monkeypatch: pytest.MonkeyPatch, module: object, call: str, number: int
) -> Result:
    """Carries the order out while that call fails with the error of that number."""
    with monkeypatch.context() as patched:
        patched.setattr(module, call, failing(number))
        return run(order)
