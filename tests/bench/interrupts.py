"""Ctrl-C, SIGTERM and the end of the terminal: heard once, where that is safe, and then no more."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Ignored for the length of a block, but where `hear` says so.

    Programs that are started while they are ignored ignore them too: Ctrl-C in a terminal goes to
    all of them.
    """

    def __enter__(self) -> Interrupts:
        self._before: dict[signal.Signals, Any] = {
            number: signal.getsignal(number) for number in _SIGNALS
        }
        self.ignore()
        return self

    def hear(self) -> None:
        """From here on the first one is a KeyboardInterrupt, and all others are ignored."""
        for number in _SIGNALS:
            signal.signal(number, self._heard)

    def ignore(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _heard(self, number: int, frame: FrameType | None) -> NoReturn:
        self.ignore()
        raise KeyboardInterrupt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
