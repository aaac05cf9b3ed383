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
    """Whether Ctrl-C was pressed; the `stop` of a run."""

    def __init__(self) -> None:
        self.pressed = False

    def __call__(self) -> bool:
        return self.pressed


@contextmanager
def heeding_interrupts() -> Iterator[Interrupt]:
    """Remember Ctrl-C besides raising `KeyboardInterrupt`.

    Python discards an exception that is raised within a finalizer, a callback of the garbage
    collector or one of C code (numba's compiler has such): there Ctrl-C alone would be lost, but
    for a traceback on stderr, and the run go on. Here it is remembered, and not printed.

    Yields
    ------
    Interrupt
        True once Ctrl-C was pressed, also where the exception went nowhere.
    """
    interrupt = Interrupt()
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread may; and who started us so that Ctrl-C is ignored means it.
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
