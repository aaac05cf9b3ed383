"""Reliable handling of Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interrupt", "heeding_interrupts"]


class Interrupt:
    """Flag that is True after Ctrl-C; used as the `stop` of a run."""

    def __init__(self) -> None:
        self.pressed = False

    def __call__(self) -> bool:
        return self.pressed


@contextmanager
def heeding_interrupts() -> Iterator[Interrupt]:
    """Record Ctrl-C in addition to raising `KeyboardInterrupt`.

    Python discards exceptions raised in finalizers, garbage-collector callbacks and callbacks from
    C code (numba's compiler has some). There, Ctrl-C would only print a traceback on stderr
    and the run would continue. Here it is recorded, and the traceback is suppressed.

    Yields
    ------
    Interrupt
        True after Ctrl-C, even if the exception was discarded.
    """
    interrupt = Interrupt()
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread can set handlers; if our parent ignores Ctrl-C, this is intended.
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield interrupt
        return

    def heed(number: int, frame: FrameType | None) -> None:
        interrupt.pressed = True
        raise KeyboardInterrupt

    def say(discarded: Any) -> None:
        if not issubclass(discarded.exc_type, KeyboardInterrupt):
            said_before(discarded)

    said_before, sys.unraisablehook = sys.unraisablehook, say
    signal.signal(signal.SIGINT, heed)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = said_before
