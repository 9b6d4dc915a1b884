"""Every move that any test here makes the planner take is checked against the map of moves."""

from collections.abc import Callable

import pytest

from cni_upgrade.fleet import rest, work
from cni_upgrade.fleet.view import Move, View
from tests.unit.fleet.invariants import check_move


@pytest.fixture(autouse=True)
def moves_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(next_move: Callable[[View], Move]) -> Callable[[View], Move]:
        def move(view: View) -> Move:
            made = next_move(view)
            check_move(view, made)
            return made

        return move

    for module in (rest, work):
        monkeypatch.setattr(module, "next_move", checked(module.next_move))
