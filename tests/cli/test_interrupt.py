"""Ctrl-C in situations in which Python itself would lose it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

import pytest

from napari_ulm3d.cli.terminal.interrupt import heeding_interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


class _Finalized:
    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def __del__(self) -> None:
        self.act()


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # the handler runs here, and its exception is discarded
        pass


def _fail() -> None:
    raise ValueError("something else")


def test_ctrl_c_in_a_finalizer_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda discarded: told.append(discarded.exc_type))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with heeding_interrupts() as interrupted:
            _Finalized(_press)
            assert interrupted()
            assert told == []  # no traceback on stderr
            _Finalized(_fail)
            assert told == [ValueError]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        _Finalized(_press)
        assert told == [ValueError, KeyboardInterrupt]
        with heeding_interrupts() as interrupted:
            assert not interrupted()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            assert interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def test_who_ignores_it_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with heeding_interrupts() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_touched() -> None:
    found = []

    def work() -> None:
        with heeding_interrupts():
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
