"""Every move that any test here makes the planner take is checked against the map of moves."""

from collections.abc import Callable

import pytest

from cni_upgrade.planner.node.context import Move, NodeContext
from cni_upgrade.planner.steps import dispatch, idle
from tests.unit.planner.invariants import check_move


@pytest.fixture(autouse=True)
def moves_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(next_move: Callable[[NodeContext], Move]) -> Callable[[NodeContext], Move]:
        def move(view: NodeContext) -> Move:
            made = next_move(view)
            check_move(view, made)
            return made

        return move

    for module in (idle, dispatch):
        monkeypatch.setattr(module, "next_move", checked(module.next_move))
