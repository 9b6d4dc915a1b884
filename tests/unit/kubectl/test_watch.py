"""`--watch`: in the same place on a terminal, and elsewhere only what has changed."""

from __future__ import annotations

import io
from collections.abc import Callable

from cni_upgrade.kubectl.watch import watch


class Screen(io.StringIO):
    """An output that says whether it is a terminal."""

    def __init__(self, live: bool) -> None:
        super().__init__()
        self.live = live

    def isatty(self) -> bool:
        return self.live


def answers(*texts: str) -> Callable[[], list[str]]:
    left = list(texts)

    def answer() -> list[str]:
        if not left:
            raise KeyboardInterrupt
        return [left.pop(0)]

    return answer


def test_a_terminal_is_drawn_anew_each_time() -> None:
    screen = Screen(live=True)
    watch(answers("one", "two"), screen, 0)
    assert screen.getvalue() == "\x1b[H\x1b[Jone\n\x1b[H\x1b[Jtwo\n"


def test_a_file_gets_only_what_changed() -> None:
    screen = Screen(live=False)
    watch(answers("one", "one", "two"), screen, 0)
    assert screen.getvalue() == "one\n\ntwo\n\n"
