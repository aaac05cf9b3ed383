"""Ctrl-C, where Python itself would lose it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from napari_ulm3d.cli.interrupt import heeding_interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


class _Finalized:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # the handler runs here, and what it raises goes nowhere
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_a_finalizer_is_remembered() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with heeding_interrupts() as interrupted:
            _Finalized()
            assert interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
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
