"""SIGTERM and SIGINT, heard at once while we only look, and no more once we write.

The kubelet sends SIGTERM and half a minute later SIGKILL. Writing takes milliseconds, so it is
finished; everything before it may simply end. What was written is told as written: a signal on the
way out would make it look as if nothing had been.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_held = 0
_over = False


class StoppedError(Exception):
    """We were asked to end while nothing had been written."""


def listen() -> None:
    """Turns the signals into StoppedError, but not inside `held`, nor after `finish`.

    PID 1 gets none otherwise.
    """
    global _over
    _over = False
    for number in _SIGNALS:
        signal.signal(number, _stop)


@contextmanager
def held() -> Iterator[None]:
    """What is done in here is finished, whatever is asked meanwhile."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1


@contextmanager
def later() -> Iterator[None]:
    """What is done in here is done first; a signal that came meanwhile is heard right after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def finish() -> None:
    """From here to the end of the process nothing is heard any more."""
    global _over
    _over = True


def _stop(number: int, _frame: FrameType | None) -> None:
    if not (_held or _over):
        raise StoppedError(f"stopped by {signal.Signals(number).name} before anything was written")
